"""What a server makes of the three formats: read by werkzeug and the standard library, not by us."""

import base64
from io import BytesIO
import json

from hypothesis import given, settings, strategies as st
import pytest
from werkzeug.test import EnvironBuilder
from werkzeug.wrappers import Request

from custom_components.cellular_uplink.modem.routes.wire import serialise
from custom_components.cellular_uplink.modem.upload.formats import build_request
from custom_components.cellular_uplink.modem.upload.request import (
    Auth,
    AuthMethod,
    Destination,
    Picture,
    UploadFormat,
    check_destination,
    check_picture,
)

PICTURE = Picture(content=b"\xff\xd8\r\n--x\r\n\x00\x1a" + bytes(range(256)) + b"\r\n", file_name="door.jpg")


def on_the_wire(destination: Destination, picture: Picture = PICTURE, upload_id: str = "id-1") -> bytes:
    check_destination(destination)
    check_picture(picture)
    return serialise(build_request(destination, picture, upload_id))


def understood(wire: bytes) -> Request:
    """Return what werkzeug makes of a request's bytes."""
    head, _, body = wire.partition(b"\r\n\r\n")
    request_line, *lines = head.decode("latin-1").split("\r\n")
    method, target, version = request_line.split(" ")
    assert version == "HTTP/1.1"
    headers = [(name, value) for name, _, value in (line.partition(": ") for line in lines)]
    lengths = [value for name, value in headers if name.lower() == "content-length"]
    assert lengths == [str(len(body))]
    assert not any(name.lower() == "transfer-encoding" for name, _ in headers)
    path, _, query = target.partition("?")
    builder = EnvironBuilder(method=method, path=path, query_string=query, headers=headers, input_stream=BytesIO(body))
    builder.content_length = len(body)
    return Request(builder.get_environ())


def test_raw_body_is_the_picture() -> None:
    request = understood(on_the_wire(Destination(url="http://example.org/in?camera=1", method="PUT")))
    assert (request.method, request.path, request.args["camera"]) == ("PUT", "/in", "1")
    assert request.data == PICTURE.content
    assert request.content_type == "image/jpeg"


def test_multipart_has_fields_and_file() -> None:
    destination = Destination(
        url="http://example.org/",
        format=UploadFormat.MULTIPART,
        file_field="photo",
        fields={"camera": "front door", "note": "ä\r\nline two", "empty": ""},
    )
    wire = on_the_wire(destination)
    request = understood(wire)
    assert request.form.to_dict() == {"camera": "front door", "note": "ä\r\nline two", "empty": ""}
    file = request.files["photo"]
    assert (file.filename, file.content_type, file.read()) == ("door.jpg", "image/jpeg", PICTURE.content)
    assert wire.index(b'name="camera"') < wire.index(b'name="photo"')
    boundary = request.mimetype_params["boundary"].encode()
    assert wire.endswith(b"\r\n--" + boundary + b"--\r\n")


def test_multipart_without_fields() -> None:
    request = understood(on_the_wire(Destination(url="http://example.org/", format=UploadFormat.MULTIPART)))
    assert request.files["file"].read() == PICTURE.content
    assert not request.form


@pytest.mark.parametrize("name", ['a "b".jpg', "Tür.jpg", "a;b.jpg", "a\\b.jpg"])
def test_odd_file_names_survive(name: str) -> None:
    destination = Destination(url="http://example.org/", format=UploadFormat.MULTIPART)
    request = understood(on_the_wire(destination, Picture(content=b"x", file_name=name)))
    assert request.files["file"].filename in {name, name.replace('"', "%22")}


def test_json_carries_base64() -> None:
    destination = Destination(
        url="http://example.org/",
        format=UploadFormat.JSON,
        file_field="image",
        fields={"camera": "Tür", "file_name": "x"},
    )
    request = understood(on_the_wire(destination))
    assert request.content_type == "application/json"
    members = json.loads(request.data)
    assert base64.b64decode(members.pop("image"), validate=True) == PICTURE.content
    assert members == {"camera": "Tür", "file_name": "x", "content_type": "image/jpeg"}


@settings(max_examples=60)
@given(
    content=st.binary(min_size=1, max_size=2000),
    fields=st.dictionaries(
        st.from_regex(r"[a-z]{1,9}", fullmatch=True),
        st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\x00")),
    ),
)
def test_any_picture_survives_any_format(content: bytes, fields: dict[str, str]) -> None:
    fields.pop("photo", None)
    picture = Picture(content=content)
    url = "http://example.org/"
    assert understood(on_the_wire(Destination(url=url), picture)).data == content
    form = Destination(url=url, format=UploadFormat.MULTIPART, file_field="photo", fields=fields)
    request = understood(on_the_wire(form, picture))
    assert request.files["photo"].read() == content
    assert request.form.to_dict() == fields
    body = Destination(url=url, format=UploadFormat.JSON, file_field="photo", fields=fields)
    members = understood(on_the_wire(body, picture)).json
    assert base64.b64decode(members["photo"]) == content
    assert fields.items() <= members.items()


def test_headers_of_our_own_and_of_the_user() -> None:
    request = understood(on_the_wire(Destination(url="http://example.org:8080/"), upload_id="abc"))
    assert request.headers["Host"] == "example.org:8080"
    assert request.headers["User-Agent"].startswith("cellular-uplink/")
    assert request.headers["Idempotency-Key"] == "abc"
    assert request.headers["Connection"] == "keep-alive"
    assert request.headers["Accept"] == "*/*"
    assert request.headers["Accept-Encoding"] == "identity"
    own = {"user-agent": "mine/1", "CONTENT-TYPE": "application/octet-stream", "X-Tag": "  padded\t"}
    wire = on_the_wire(Destination(url="http://example.org/", headers=own))
    request = understood(wire)
    assert request.headers.getlist("User-Agent") == ["mine/1"]
    assert request.headers.getlist("Content-Type") == ["application/octet-stream"]
    assert b"X-Tag: padded\r\n" in wire


def test_authentication() -> None:
    basic = Auth(method=AuthMethod.BASIC, username="jösé", password="p:ä")
    request = understood(on_the_wire(Destination(url="http://example.org/", auth=basic)))
    assert request.authorization is not None
    assert (request.authorization.username, request.authorization.password) == ("jösé", "p:ä")
    bearer = Auth(method=AuthMethod.BEARER, token="t0ken")
    request = understood(on_the_wire(Destination(url="http://example.org/", auth=bearer)))
    assert request.headers["Authorization"] == "Bearer t0ken"
    assert "Authorization" not in understood(on_the_wire(Destination(url="http://example.org/"))).headers


def test_secrets_are_not_in_representations() -> None:
    destination = Destination(
        url="http://example.org/", headers={"X-Key": "S3CRET"}, auth=Auth(password="S3CRET", token="S3CRET")
    )
    assert "S3CRET" not in repr(destination)
    assert "S3CRET" not in repr(Picture(content=b"S3CRET"))
    assert "S3CRET" not in repr(build_request(destination, PICTURE, "id"))
