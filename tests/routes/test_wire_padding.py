"""Padded requests, and responses as modems give them."""

import httpx
from hypothesis import given, settings, strategies as st
import pytest

from custom_components.cellular_uplink.modem.errors import HttpError
from custom_components.cellular_uplink.modem.routes.meter import Meter, Phase
from custom_components.cellular_uplink.modem.routes.wire import pad, parse_response, serialise

from .modem_http import post_of

RULE: dict[str, object] = {"mask": 0x800, "header": "X-PADDING"}
REQUEST = httpx.Request("POST", "http://example.org/", content=b"x")


@settings(deadline=None, max_examples=60)
@given(st.integers(min_value=200, max_value=70_000))
def test_padded_length_is_clear_of_the_bit_with_the_least_there_is(total: int) -> None:
    request = post_of("http://example.org/in", total)
    padded, added = pad(request, RULE)
    wire = serialise(padded)
    assert len(wire) == total + added
    assert not len(wire) & 0x800
    least = 0 if not total & 0x800 else max(13, 2048 - total % 2048)
    assert added == least
    assert padded.content == request.content
    kept = [(name, value) for name, value in padded.headers.raw if name != b"X-PADDING"]
    assert kept == request.headers.raw


def response(raw: bytes, status: int | None = None) -> tuple[int, bytes]:
    found = parse_response(raw, REQUEST, status)
    return found.status_code, found.read()


@pytest.mark.parametrize(
    ("raw", "status", "body"),
    [
        (b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok", 200, b"ok"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok\r\n", 200, b"ok"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nshort", 200, b"short"),
        (b"HTTP/1.1 200 OK\r\n\r\nuntil the end", 200, b"until the end"),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n", 200, b"ok"),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n{json}", 200, b"{json}"),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", 200, b""),
        (
            b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 201 Created\r\nTransfer-Encoding: chunked\r\n\r\nhi",
            201,
            b"hi",
        ),
        (b"HTTP/1.0 503 Busy\r\nRetry-After: 3\r\n\r\n", 503, b""),
    ],
)
def test_responses(raw: bytes, status: int, body: bytes) -> None:
    assert response(raw) == (status, body)


def test_response_without_a_head() -> None:
    assert response(b"just text", 404) == (404, b"just text")
    with pytest.raises(HttpError) as caught:
        parse_response(b"just text", REQUEST)
    assert caught.value.code == "response_invalid"


def test_meter_of_a_modem_that_sends_by_itself() -> None:
    told: list[tuple[int, int]] = []
    meter = Meter(on_progress=lambda sent, total: told.append((sent, total)))
    meter.phase = Phase.PREPARING
    meter.begin(100, 13)
    meter.loaded(40)
    assert (meter.phase, meter.request_sent_bytes, meter.is_last_byte_out) == (Phase.SENDING, 40, False)
    meter.loaded(60)
    meter.told_to_send()
    assert (meter.phase, meter.sent_bytes, meter.is_last_byte_out) == (Phase.WAITING, 100, True)
    meter.not_sent()
    assert (meter.sent_bytes, meter.is_last_byte_out) == (0, False)
    meter.told_to_send()
    meter.begin(100)
    meter.not_sent()
    assert meter.is_last_byte_out, "the try before may have arrived"
    assert meter.sent_bytes == 100
    meter.loaded(100)
    meter.answered()
    assert (meter.phase, told) == (Phase.READING, [(40, 100), (100, 100)])
