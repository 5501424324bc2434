"""Puts a picture into an HTTP request: raw body, multipart form, JSON, or Qiniu's form."""

from base64 import b64encode
from datetime import datetime
from functools import partial
import json
from typing import cast

import httpx

from . import qiniu
from .request import Auth, AuthMethod, Destination, Picture, UploadFormat

USER_AGENT = "cellular-uplink/0.1.0"
_JUDGE = "cellular_uplink.judge"


def build_request(
    destination: Destination,
    picture: Picture,
    upload_id: str,
    *,
    started: datetime | None = None,
    now: datetime | None = None,
    line_bps: int | None = None,
    timeout_s: float | None = None,
) -> httpx.Request:
    """Return the request that carries `picture`, its body in memory and its Content-Length set.

    Both were checked before (`check_destination`, `check_picture`). `upload_id` goes out as Idempotency-Key, so that
    a server can tell a second attempt from a second picture.

    The rest is for formats with a token and a name made of the time: when the upload (not this attempt) began, the
    time now, the rate of the line (None where unknown), and the seconds the upload may take where the user said so.

    Raises:
        InputError: the name made for this picture is too long.
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
    headers.update(authorization(destination.auth))
    content: bytes | None = None
    fields = dict(destination.fields)
    extensions: dict[str, object] = {}
    match destination.format:
        case UploadFormat.RAW:
            headers["Content-Type"] = picture.content_type
            content = picture.content
        case UploadFormat.JSON:
            headers["Content-Type"] = "application/json"
            content = _json_body(destination, picture)
        case UploadFormat.MULTIPART:
            pass  # the boundary makes the header
        case UploadFormat.QINIU:
            now = now or datetime.now().astimezone()
            started = started or now
            deadline = int(now.timestamp()) + qiniu.token_lifetime_s(len(picture.content), line_bps, timeout_s)
            fields, extensions[_JUDGE] = _qiniu_form(destination, picture, upload_id, started, deadline)
    headers.update({name: value.strip(" \t") for name, value in destination.headers.items()})
    if content is not None:
        return httpx.Request(destination.method, destination.url, headers=headers, content=content)
    request = httpx.Request(
        destination.method,
        destination.url,
        headers=headers,
        data=fields,
        files={destination.file_field: (picture.file_name, picture.content, picture.content_type)},
        extensions=extensions,
    )
    request.read()  # from now on the body is bytes, as the other formats have it
    return request


def authorization(auth: Auth) -> dict[str, str]:
    """Return the header that says who sends, or none."""
    match auth.method:
        case AuthMethod.BEARER:
            return {"Authorization": f"Bearer {auth.token}"}
        case AuthMethod.BASIC:
            pair = f"{auth.username}:{auth.password}".encode()
            return {"Authorization": "Basic " + b64encode(pair).decode("ascii")}
        case AuthMethod.NONE:
            return {}


def judge_of(request: httpx.Request) -> qiniu.Judge | None:
    """Return what tells the meaning of an answer to this request, None where the HTTP status alone does."""
    return cast("qiniu.Judge | None", request.extensions.get(_JUDGE))


def _qiniu_form(
    destination: Destination, picture: Picture, upload_id: str, started: datetime, deadline: int
) -> tuple[dict[str, str], qiniu.Judge]:
    settings = destination.qiniu
    assert settings is not None  # check_destination
    key = qiniu.object_key(settings, file_name=picture.file_name, upload_id=upload_id, started=started)
    token = qiniu.upload_token(settings, key, deadline)
    judge = partial(
        qiniu.judge,
        expected_etag=qiniu.etag(picture.content),
        expected_key=key,
        key_is_ours="{upload_id}" in settings.key,
    )
    return qiniu.form_fields(token, key, destination.fields, picture.content), judge


def _json_body(destination: Destination, picture: Picture) -> bytes:
    members = {"file_name": picture.file_name, "content_type": picture.content_type, **destination.fields}
    members[destination.file_field] = b64encode(picture.content).decode("ascii")
    return json.dumps(members, ensure_ascii=False, separators=(",", ":")).encode()
