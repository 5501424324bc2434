"""Padding: the least that makes a length good, over every length."""

import json

import httpx
import pytest

from custom_components.cellular_uplink.modem.routes.wire import (
    body_padding_for,
    content_digest,
    pad,
    pad_body,
    padding_for,
    padding_header,
    serialise,
)

HEADER, BIT_11 = "X-PADDING", 0x800
RULE: dict[str, object] = {"mask": BIT_11, "header": HEADER}
TOTALS = range(200, 70_001)


def test_least_header_for_every_total() -> None:
    """For every length: what a header can add is 0, or 13 and more; the least of those that clears bit 11."""
    # The least good length at or above each, from the top down: the proof needs no second formula.
    good_from: dict[int, int] = {}
    good = 0
    for length in range(TOTALS[-1] + 3 * BIT_11, TOTALS[0] - 1, -1):
        if not length & BIT_11:
            good = length
        good_from[length] = good
    for total in TOTALS:
        expected = 0 if not total & BIT_11 else good_from[total + 13] - total
        assert padding_for(total, mask=BIT_11, header=HEADER) == expected
        assert not (total + expected) & BIT_11
        assert expected <= BIT_11


def test_header_takes_exactly_its_size() -> None:
    for size in (13, 14, 2035, 2048):
        name, value = padding_header(size, HEADER)
        assert len(f"{name}: {value}\r\n") == size
    with pytest.raises(ValueError, match="13 bytes at least"):
        padding_header(12, HEADER)


@pytest.mark.parametrize("body_bytes", [0, 1900, 3954, 9990, 80_000])
def test_padded_request_has_a_good_length(body_bytes: int) -> None:
    request = httpx.Request("POST", "https://example.org/post", content=bytes(body_bytes))
    total = len(serialise(request))
    padded, added = pad(request, RULE)
    wire = serialise(padded)
    assert len(wire) == total + added
    assert added == padding_for(total, mask=BIT_11, header=HEADER)
    assert not len(wire) & BIT_11
    assert wire.endswith(b"\r\n\r\n" + bytes(body_bytes))


def test_header_with_an_empty_value() -> None:
    """At 4095 bytes no header is small enough to stop at 4096: 13 bytes it is."""
    request = httpx.Request("POST", "https://example.org/post", content=bytes(4000))
    short = 4095 - len(serialise(request))
    request = httpx.Request("POST", "https://example.org/post", content=bytes(4000 + short))
    padded, added = pad(request, RULE)
    assert added == 13
    assert b"X-PADDING: \r\n" in serialise(padded)
    assert len(serialise(padded)) == 4108


def test_least_body_padding_for_every_total() -> None:
    """Content-Length's digits are part of the length: compared with trying, one byte after the other."""
    head = 150

    def length(body_bytes: int) -> int:
        return head + len(str(body_bytes)) + body_bytes

    good = 0
    for body_bytes in range(70_000 + 2 * BIT_11, 49, -1):
        if not length(body_bytes) & BIT_11:
            good = body_bytes
        if body_bytes < 70_000:
            assert body_padding_for(length(body_bytes), body_bytes, mask=BIT_11) == good - body_bytes


@pytest.mark.parametrize(
    ("content", "content_type", "padded"),
    [
        (b'{"a":1}', "application/json", b'{"a":1}   '),
        (b'{"a":1}', "application/problem+json; charset=utf-8", b'{"a":1}   '),
        (b"\xff\xd8x\xff\xd9", "image/jpeg", b"\xff\xd8x\xff\xd9\x00\x00\x00"),
        (b"\xff\xd8x", "image/jpeg", None),
        (b"--b\r\n\r\nx\r\n--b--\r\n", "multipart/form-data; boundary=b", b"--b\r\n\r\nx\r\n--b--\r\nZZZ"),
        (b"--b\r\n\r\nx\r\n--b", "multipart/form-data; boundary=b", None),
        (b"x", "text/plain", None),
    ],
)
def test_padding_in_the_body(content: bytes, content_type: str, padded: bytes | None) -> None:
    assert pad_body(content, content_type, 3) == padded


def test_a_body_that_grows_keeps_its_headers_true() -> None:
    request = httpx.Request(
        "POST", "https://h/", json={"a": "x" * 1950}, headers={"Content-Digest": content_digest(b"shorter")}
    )
    assert len(serialise(request)) & BIT_11
    grown, added = pad(request, {**RULE, "in_body": True})
    assert len(serialise(grown)) == len(serialise(request)) + added
    assert not len(serialise(grown)) & BIT_11
    assert json.loads(grown.content) == json.loads(request.content)
    assert grown.headers["Content-Length"] == str(len(grown.content))
    assert grown.headers["Content-Digest"] == content_digest(grown.content)
    assert "X-PADDING" not in grown.headers


def test_a_body_without_room_gets_the_header() -> None:
    request = httpx.Request("POST", "https://h/", content=b"x" * 2048)
    grown, added = pad(request, {**RULE, "in_body": True})
    assert (grown.content, added > 0, "X-PADDING" in grown.headers) == (request.content, True, True)
