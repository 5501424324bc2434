"""Puts a picture into an HTTP request: raw body, multipart form or JSON."""

from base64 import b64encode
import json

import httpx

from .request import Auth, AuthMethod, Destination, Picture, UploadFormat

USER_AGENT = "cellular-uplink/0.1.0"


def build_request(destination: Destination, picture: Picture, upload_id: str) -> httpx.Request:
    """Return the request that carries `picture`, its body in memory and its Content-Length set.

    Both were checked before (`check_destination`, `check_picture`). `upload_id` goes out as Idempotency-Key, so that
    a server can tell a second attempt from a second picture.
    """
    headers = httpx.Headers(
        {
            "User-Agent": USER_AGENT,
            "Accept": "*/*",
            "Accept-Encoding": "identity",
            "Connection": "keep-alive",
            "Idempotency-Key": upload_id,
        }
    )
    if destination.auth.method is not AuthMethod.NONE:
        headers["Authorization"] = _authorization(destination.auth)
    content: bytes | None = None
    match destination.format:
        case UploadFormat.RAW:
            headers["Content-Type"] = picture.content_type
            content = picture.content
        case UploadFormat.JSON:
            headers["Content-Type"] = "application/json"
            content = _json_body(destination, picture)
        case UploadFormat.MULTIPART:
            pass  # the boundary makes the header
    headers.update({name: value.strip(" \t") for name, value in destination.headers.items()})
    if content is not None:
        return httpx.Request(destination.method, destination.url, headers=headers, content=content)
    request = httpx.Request(
        destination.method,
        destination.url,
        headers=headers,
        data=dict(destination.fields),
        files={destination.file_field: (picture.file_name, picture.content, picture.content_type)},
    )
    request.read()  # from now on the body is bytes, as the other formats have it
    return request


def _json_body(destination: Destination, picture: Picture) -> bytes:
    members = {"file_name": picture.file_name, "content_type": picture.content_type, **destination.fields}
    members[destination.file_field] = b64encode(picture.content).decode("ascii")
    return json.dumps(members, ensure_ascii=False, separators=(",", ":")).encode()


def _authorization(auth: Auth) -> str:
    if auth.method is AuthMethod.BEARER:
        return f"Bearer {auth.token}"
    return "Basic " + b64encode(f"{auth.username}:{auth.password}".encode()).decode("ascii")
