"""A request as bytes."""

import httpx
import pytest

from custom_components.cellular_uplink.modem.errors import HttpError, InputError
from custom_components.cellular_uplink.modem.routes.wire import parse_response, serialise


def test_head_and_body() -> None:
    request = httpx.Request("PUT", "http://example.org/a?b=c#d", headers={"X-A": "b"}, content=b"\r\n\x00")
    assert serialise(request) == (
        b"PUT /a?b=c HTTP/1.1\r\nHost: example.org\r\nX-A: b\r\nContent-Length: 3\r\n\r\n\r\n\x00"
    )


def test_header_that_http_cannot_carry() -> None:
    with pytest.raises(InputError) as caught:
        serialise(httpx.Request("PUT", "http://example.org/", headers={"X-A": "a\r\nb"}))
    assert caught.value.field == "headers"


@pytest.mark.parametrize("status", [None, 20, 2201])
def test_a_number_that_is_no_status_is_no_answer(status: int | None) -> None:
    request = httpx.Request("POST", "http://h.example/", content=b"body")
    assert parse_response(b"thanks", request, 200).status_code == 200
    with pytest.raises(HttpError) as caught:
        parse_response(b"thanks", request, status)
    assert caught.value.code == "response_invalid"
