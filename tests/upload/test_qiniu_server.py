"""Is the stand-in a good one? The official SDK uploads to it, and it refuses what the live service refuses."""

import json
import socket
import ssl
from typing import Any
from urllib.parse import urlsplit
from zlib import crc32

import httpx
import pytest
import qiniu as sdk
from qiniu.http.endpoint import Endpoint
from qiniu.http.region import Region, ServiceName
from qiniu.services.storage.uploaders import FormUploader
import trustme

from .qiniu_server import ACCESS_KEY, BUCKET, SECRET_KEY, QiniuServer, etag

CONTENT = bytes(range(256)) * 11
AUTH = sdk.Auth(ACCESS_KEY, SECRET_KEY)


def post(server: QiniuServer, fields: dict[str, str], content: bytes = CONTENT, **options: Any) -> httpx.Response:
    return httpx.post(server.url, data=fields, files={"file": ("a.jpg", content, "image/jpeg")}, **options)


def token(key: str | None = "a.jpg", *, expires: int = 3600, bucket: str = BUCKET, **policy: Any) -> str:
    return str(AUTH.upload_token(bucket, key, expires, policy))


def test_the_official_sdk_uploads(qiniu_server: QiniuServer) -> None:
    host = Endpoint(urlsplit(qiniu_server.url).netloc, default_scheme="http")
    region = Region("z0", services={ServiceName.UP: [host]})
    uploader = FormUploader(BUCKET, auth=AUTH, regions=[region], preferred_scheme="http")
    told, info = uploader.upload(
        "dir/Tür.jpg",
        data=CONTENT,
        file_name="a.jpg",
        custom_vars={"x:camera": "door"},
        up_token=token("dir/Tür.jpg", insertOnly=1),
    )
    assert info.ok(), info
    assert not hasattr(info, "error"), "the SDK takes it for Qiniu"
    assert told == {"hash": etag(CONTENT), "key": "dir/Tür.jpg"}
    assert info.req_id
    stored = qiniu_server.files["dir/Tür.jpg"]
    assert (stored.content, stored.custom) == (CONTENT, {"x:camera": "door"})
    assert qiniu_server.seen[0].fields == ("token", "key", "crc32", "x:camera")


def test_stores_and_answers_as_qiniu(qiniu_server: QiniuServer) -> None:
    response = post(qiniu_server, {"token": token(), "key": "a.jpg", "crc32": str(crc32(CONTENT))})
    assert response.status_code == 200
    assert response.json() == {"hash": etag(CONTENT), "key": "a.jpg"}
    assert response.headers["Content-Type"].startswith("application/json")
    assert {"x-reqid", "x-log"} <= set(response.headers)
    assert qiniu_server.files["a.jpg"].content == CONTENT


def test_stores_over_tls(qiniu_server: QiniuServer, certificate_authority: trustme.CA) -> None:
    context = ssl.create_default_context(cadata=certificate_authority.cert_pem.bytes().decode())
    files = {"file": ("a.jpg", CONTENT)}
    response = httpx.post(qiniu_server.https_url, data={"token": token(None)}, files=files, verify=context)
    assert response.json() == {"hash": etag(CONTENT), "key": etag(CONTENT)}


@pytest.mark.parametrize(
    ("fields", "status", "error"),
    [
        ({"key": "a.jpg"}, 401, "token not specified"),
        ({"token": "x"}, 401, "bad token"),
        ({"token": token()[:-4], "key": "a.jpg"}, 401, "bad token"),
        ({"token": token().replace(ACCESS_KEY, "OTHER"), "key": "a.jpg"}, 401, "bad token"),
        (
            {"token": str(sdk.Auth(ACCESS_KEY, "other").upload_token(BUCKET, "a.jpg")), "key": "a.jpg"},
            401,
            "bad token",
        ),
        (
            {
                "token": AUTH.token_with_data(json.dumps({"scope": BUCKET, "deadline": 9999999999})),
                "key": "not compact",
            },
            401,
            "bad token",
        ),
        ({"token": token(expires=-1), "key": "a.jpg"}, 401, "token out of date"),
        ({"token": token(), "key": "b.jpg"}, 403, "key doesn't match scope"),
        ({"token": token()}, 403, "key doesn't match scope"),
        ({"token": token(bucket="other"), "key": "a.jpg"}, 631, "no such bucket"),
        ({"token": token(), "key": "a.jpg", "crc32": "1"}, 406, "crc32 not match"),
        ({"token": token(), "key": "a.jpg", "crc32": "0x1"}, 400, "invalid crc32"),
        ({"token": token(fsizeLimit=100), "key": "a.jpg"}, 413, "request entity too large"),
        ({"token": token("k" * 751), "key": "k" * 751}, 400, "key too long"),
    ],
)
def test_refuses(qiniu_server: QiniuServer, fields: dict[str, str], status: int, error: str) -> None:
    response = post(qiniu_server, fields)
    assert (response.status_code, response.json()) == (status, {"error": error})
    assert "x-reqid" in response.headers
    assert not qiniu_server.files
    assert qiniu_server.seen[0].status == status


def test_deadline_is_tested_at_the_end(qiniu_server: QiniuServer) -> None:
    times = iter([9e9])
    qiniu_server.clock = lambda: next(times)
    assert post(qiniu_server, {"token": token(), "key": "a.jpg"}).json() == {"error": "token out of date"}
    assert next(times, None) is None


def test_inserting_and_overwriting(qiniu_server: QiniuServer) -> None:
    insert, replace = token(insertOnly=1), token()

    def put(using: str, content: bytes) -> int:
        return post(qiniu_server, {"token": using, "key": "a.jpg"}, content).status_code

    assert [put(insert, b"1"), put(insert, b"2"), put(insert, b"1")] == [200, 614, 200]
    assert put(replace, b"3") == 200
    assert qiniu_server.files["a.jpg"].content == b"3"
    qiniu_server.same_content_exists = True
    assert put(insert, b"3") == 614


def test_chunked_bodies_are_refused(qiniu_server: QiniuServer) -> None:
    response = httpx.post(qiniu_server.url, content=iter([b"a", b"b"]))
    assert response.status_code == 411
    assert "Length Required" in response.text
    assert httpx.get(qiniu_server.url).status_code == 405


FILE = b'Content-Disposition: form-data; name="file"; filename="a.jpg"\r\n\r\nx'
KEY = b'Content-Disposition: form-data; name="key"\r\n\r\na.jpg'


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"--B\r\n" + KEY + b"\r\n--B--\r\n",
        b"--B\r\n" + FILE,
        b"--B\r\n" + FILE + b"\r\n--B--",
        b"--B\r\n" + FILE + b"\r\n--B\r\n",
        b"--B\n" + FILE + b"\r\n--B--\r\n",
        b"--B\r\n" + FILE.replace(b"\r\n", b"\n") + b"\r\n--B--\r\n",
        b"--B\r\n" + FILE.replace(b"\r\n", b"\\r\\n") + b"\r\n--B--\r\n",
        b"--B\r\n" + FILE.replace(b'; filename="a.jpg"', b"") + b"\r\n--B--\r\n",
        b"--B\r\n" + FILE + b"\r\n--B\r\n" + KEY + b"\r\n--B--\r\n",
        b"--B\r\n" + KEY + b"\r\n--B\r\n" + KEY + b"\r\n--B\r\n" + FILE + b"\r\n--B--\r\n",
    ],
)
def test_multipart_is_read_strictly(qiniu_server: QiniuServer, body: bytes) -> None:
    headers = {"Content-Type": "multipart/form-data; boundary=B"}
    assert httpx.post(qiniu_server.url, content=body, headers=headers).status_code == 400
    good = b"--B\r\n" + KEY + b"\r\n--B\r\n" + FILE + b"\r\n--B--\r\n"
    assert httpx.post(qiniu_server.url, content=good, headers=headers).json() == {"error": "token not specified"}
    assert httpx.post(qiniu_server.url, content=good).status_code == 400


def test_faults(qiniu_server: QiniuServer) -> None:
    qiniu_server.faults += ["portal", 599, "corrupt", "callback", "lost"]
    fields = {"token": token(None), "crc32": str(crc32(CONTENT))}
    response = post(qiniu_server, fields)
    assert (response.status_code, "x-reqid" in response.headers) == (200, False)
    assert [post(qiniu_server, fields).status_code for _ in range(2)] == [599, 406]
    assert not qiniu_server.files
    assert post(qiniu_server, fields).status_code == 579
    assert len(qiniu_server.files) == 1
    with pytest.raises(httpx.TransportError):
        post(qiniu_server, {**fields, "token": token("b.jpg"), "key": "b.jpg"})
    assert "b.jpg" in qiniu_server.files
    assert [seen.status for seen in qiniu_server.seen] == [200, 599, 406, 579, 0]
    qiniu_server.region = "up-z1.qiniup.com"
    assert post(qiniu_server, fields).json()["error"] == "incorrect region, please use up-z1.qiniup.com"


def test_body_cut_short_stores_nothing(qiniu_server: QiniuServer) -> None:
    address = urlsplit(qiniu_server.url)
    with socket.create_connection((address.hostname, address.port)) as connection:
        connection.sendall(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 100\r\n\r\nabc")
    assert not qiniu_server.files
