"""A request as bytes."""

import httpx
import pytest

from custom_components.cellular_uplink.modem.errors import InputError
from custom_components.cellular_uplink.modem.routes.wire import serialise


def test_head_and_body() -> None:
    request = httpx.Request("PUT", "http://example.org/a?b=c#d", headers={"X-A": "b"}, content=b"\r\n\x00")
    assert serialise(request) == (
        b"PUT /a?b=c HTTP/1.1\r\nHost: example.org\r\nX-A: b\r\nContent-Length: 3\r\n\r\n\r\n\x00"
    )


def test_header_that_http_cannot_carry() -> None:
    with pytest.raises(InputError) as caught:
        serialise(httpx.Request("PUT", "http://example.org/", headers={"X-A": "a\r\nb"}))
    assert caught.value.field == "headers"
