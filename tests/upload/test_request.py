"""Bad input is refused by the name of its field, before anything reaches the port."""

from dataclasses import replace

import pytest

from custom_components.cellular_uplink.modem.errors import InputError
from custom_components.cellular_uplink.modem.upload.engine import UploadEngine
from custom_components.cellular_uplink.modem.upload.request import (
    MAX_BODY_BYTES,
    Auth,
    AuthMethod,
    Destination,
    Picture,
    UploadFormat,
)
from tests.routes.loopback import LoopbackModem

GOOD = Destination(url="http://example.org/in")
PICTURE = Picture(content=b"x")
BASIC = Auth(method=AuthMethod.BASIC, username="u", password="p")
BEARER = Auth(method=AuthMethod.BEARER, token="t")


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"url": ""}, "url"),
        ({"url": "example.org"}, "url"),
        ({"url": "ftp://example.org/"}, "url"),
        ({"url": "http://"}, "url"),
        ({"url": "http://example.org:0/"}, "url"),
        ({"url": "http://example.org:99999/"}, "url"),
        ({"url": "http://example.org:x/"}, "url"),
        ({"url": "http://[::1/"}, "url"),
        ({"url": "http://example.org/\r\nX: y"}, "url"),
        ({"url": "http://example.org/\n"}, "url"),
        ({"url": "http://exa\rmple.org/"}, "url"),
        ({"url": 'http://example.org"/'}, "url"),
        ({"url": "http://exam ple.org/"}, "url"),
        ({"url": "http://example.org,1/"}, "url"),
        ({"url": f"http://{'a' * 254}/"}, "url"),
        ({"url": "http://user:S3CRET@example.org/"}, "url"),
        ({"url": "http://example.org/" + "a" * 2000}, "url"),
        ({"url": "http://example.org/\udcff"}, "url"),
        ({"method": "GET"}, "method"),
        ({"method": "POST\r\n"}, "method"),
        ({"fields": {"a": "b"}}, "fields"),
        ({"format": UploadFormat.JSON, "fields": {"file": "b"}}, "fields"),
        ({"format": UploadFormat.JSON, "fields": {"": "b"}}, "fields"),
        ({"format": UploadFormat.JSON, "fields": {"a\r\n": "b"}}, "fields"),
        ({"format": UploadFormat.JSON, "fields": {"a": "b\x00"}}, "fields"),
        ({"format": UploadFormat.JSON, "fields": {"a": "\ud800"}}, "fields"),
        ({"file_field": ""}, "file_field"),
        ({"file_field": "a\nb"}, "file_field"),
        ({"file_field": "a" * 101}, "file_field"),
        ({"headers": {"X-A": "b\r\nX-B: c"}}, "headers"),
        ({"headers": {"X-A": "b\n"}}, "headers"),
        ({"headers": {"X-A": "b\x00"}}, "headers"),
        ({"headers": {"X-A": "ä"}}, "headers"),
        ({"headers": {"X-A": "a" * 4001}}, "headers"),
        ({"headers": {"X A": "b"}}, "headers"),
        ({"headers": {"": "b"}}, "headers"),
        ({"headers": {"X-A\r\nX-B": "b"}}, "headers"),
        ({"headers": {"Host": "b"}}, "headers"),
        ({"headers": {"content-length": "1"}}, "headers"),
        ({"headers": {"Idempotency-Key": "1"}}, "headers"),
        ({"format": UploadFormat.MULTIPART, "headers": {"content-type": "text/plain"}}, "headers"),
        ({"auth": BASIC, "headers": {"authorization": "x"}}, "headers"),
        ({"auth": replace(BASIC, username="")}, "username"),
        ({"auth": replace(BASIC, username="a:b")}, "username"),
        ({"auth": replace(BASIC, username="a\r\n")}, "username"),
        ({"auth": replace(BASIC, password="S3CRET\r\n")}, "password"),
        ({"auth": replace(BEARER, token="")}, "token"),
        ({"auth": replace(BEARER, token="S3CRET\r\n")}, "token"),
        ({"auth": replace(BEARER, token="S3CRETä")}, "token"),
    ],
)
async def test_destination_is_refused_by_field(
    engine: UploadEngine, modem: LoopbackModem, change: dict[str, object], field: str
) -> None:
    with pytest.raises(InputError) as caught:
        await engine.upload(replace(GOOD, **change), PICTURE)  # type: ignore[arg-type]
    assert caught.value.field == field
    assert caught.value.message.startswith(f"{field}: ")
    assert caught.value.kind == "input"
    assert modem.times_asked == 0, "the modem was not bothered"
    assert "S3CRET" not in str(caught.value)
    assert not set("\r\n\x00") & set(str(caught.value))


@pytest.mark.parametrize(
    ("picture", "field"),
    [
        (Picture(content=b""), "file"),
        (Picture(content=bytes(MAX_BODY_BYTES + 1)), "file"),
        (Picture(content=b"x", file_name=""), "file_name"),
        (Picture(content=b"x", file_name="a\r\nb"), "file_name"),
        (Picture(content=b"x", file_name="a" * 201), "file_name"),
        (Picture(content=b"x", file_name="\udcff.jpg"), "file_name"),
        (Picture(content=b"x", content_type=""), "content_type"),
        (Picture(content=b"x", content_type="jpeg"), "content_type"),
        (Picture(content=b"x", content_type="image/jpeg\r\nX: y"), "content_type"),
        (Picture(content=b"x", content_type="image/jpég"), "content_type"),
    ],
)
async def test_picture_is_refused_by_field(
    engine: UploadEngine, modem: LoopbackModem, picture: Picture, field: str
) -> None:
    with pytest.raises(InputError) as caught:
        await engine.upload(GOOD, picture)
    assert caught.value.field == field
    assert modem.times_asked == 0


@pytest.mark.parametrize(
    ("options", "field"),
    [
        ({"upload_id": "a\r\nb"}, "upload_id"),
        ({"upload_id": "ä"}, "upload_id"),
        ({"timeout_s": 0}, "timeout"),
        ({"timeout_s": -1}, "timeout"),
        ({"timeout_s": float("nan")}, "timeout"),
        ({"timeout_s": 1e9}, "timeout"),
    ],
)
async def test_options_are_refused_by_field(
    engine: UploadEngine, modem: LoopbackModem, options: dict[str, object], field: str
) -> None:
    with pytest.raises(InputError) as caught:
        await engine.upload(GOOD, PICTURE, **options)  # type: ignore[arg-type]
    assert caught.value.field == field
    assert modem.times_asked == 0


@pytest.mark.parametrize(
    "url", ["http://bücher.example/ä b?x=ü", "http://[::1]:8080/", "HTTPS://EXAMPLE.ORG", "http://a_b/"]
)
def test_odd_urls_that_are_fine(url: str) -> None:
    from custom_components.cellular_uplink.modem.upload.request import check_url

    check_url(url)
