"""What the user wants sent, and where to: checked here, by field name, before anything reaches the port."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
import re
from urllib.parse import urlsplit

import httpx

from ..errors import InputError
from .qiniu import FILE_FIELD, QiniuSettings, check_settings

MAX_URL_CHARS = 2000
MAX_HEADER_CHARS = 4000
MAX_FILE_NAME_CHARS = 200
MAX_BODY_BYTES = 20_000_000
"""Far beyond what a serial line carries in a sitting: 20 MB at 115200 baud take half an hour."""

_TOKEN = re.compile(r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+")
_MEDIA_TYPE = re.compile(rf"{_TOKEN.pattern}/{_TOKEN.pattern}([ \t]*;[ \t]*[\x20-\x7e]+)?")
_HOST = re.compile(r"[0-9A-Za-z._:-]{1,253}")
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")
_OWN_HEADERS = frozenset({"host", "content-length", "transfer-encoding", "connection", "idempotency-key"})


class UploadFormat(StrEnum):
    """How the picture is put into the request's body."""

    RAW = "raw"
    MULTIPART = "multipart"
    JSON = "json"
    QINIU = "qiniu"
    """A multipart form with a token, as Qiniu Kodo takes it."""


class AuthMethod(StrEnum):
    """How the request proves who sends it."""

    NONE = "none"
    BASIC = "basic"
    BEARER = "bearer"


@dataclass(frozen=True, slots=True, kw_only=True)
class Auth:
    """Credentials of a destination: basic takes `username` and `password`, bearer takes `token`."""

    method: AuthMethod = AuthMethod.NONE
    username: str = ""
    password: str = field(default="", repr=False)
    token: str = field(default="", repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Destination:
    """Where pictures go and how.

    `fields` are form fields of a multipart body or members of a JSON body; they must be empty for a raw body.
    `file_field` names the part or the member that carries the picture. `qiniu` is for that format alone.
    """

    url: str
    method: str = "POST"
    format: UploadFormat = UploadFormat.RAW
    file_field: str = "file"
    fields: Mapping[str, str] = field(default_factory=dict)
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    """Override our own (Content-Type, User-Agent, Accept) where the names are equal."""
    auth: Auth = field(default_factory=Auth)
    qiniu: QiniuSettings | None = None

    @property
    def is_https(self) -> bool:
        """Return True when the connection is encrypted on this host."""
        return self.url.lower().startswith("https://")


@dataclass(frozen=True, slots=True, kw_only=True)
class Picture:
    """The bytes to send, with the name and media type the server is told."""

    content: bytes = field(repr=False)
    file_name: str = "snapshot.jpg"
    content_type: str = "image/jpeg"


def check_destination(destination: Destination) -> None:
    """Raise InputError naming the first field that cannot be sent."""
    if destination.format is UploadFormat.QINIU:
        _check_qiniu(destination)
    check_url(destination.url)
    if destination.method not in ("POST", "PUT"):
        raise InputError("method", "must be POST or PUT")
    if destination.format is UploadFormat.RAW and destination.fields:
        raise InputError("fields", "a raw body has no room for fields; use multipart or json")
    check_text("file_field", destination.file_field, maximum=100, required=True)
    for name, value in destination.fields.items():
        check_text("fields", name, maximum=100, required=True)
        if "\x00" in value:
            raise InputError("fields", f"the value of {name} contains NUL")
        if not _is_unicode(value):
            raise InputError("fields", f"the value of {name} is not valid Unicode text")
    if destination.format is UploadFormat.JSON and destination.file_field in destination.fields:
        raise InputError("fields", f"{destination.file_field} is the name of the member that carries the picture")
    check_headers(destination.headers)
    if destination.format in (UploadFormat.MULTIPART, UploadFormat.QINIU) and any(
        name.lower() == "content-type" for name in destination.headers
    ):
        raise InputError(
            "headers", "Content-Type of a multipart body carries its boundary and is written by the upload itself"
        )
    _check_auth(destination)


def check_picture(picture: Picture) -> None:
    """Raise InputError when the picture is empty, too large, or its name or type cannot be sent."""
    if not picture.content:
        raise InputError("file", "is empty")
    if len(picture.content) > MAX_BODY_BYTES:
        raise InputError("file", f"has {len(picture.content)} bytes; the limit is {MAX_BODY_BYTES}")
    check_text("file_name", picture.file_name, maximum=MAX_FILE_NAME_CHARS, required=True)
    check_text("content_type", picture.content_type, maximum=100, required=True)
    if not _MEDIA_TYPE.fullmatch(picture.content_type):
        raise InputError("content_type", "is not a media type such as image/jpeg")


def check_url(url: str) -> None:
    """Raise InputError unless this is an absolute http or https URL that httpx can take."""
    check_text("url", url, maximum=MAX_URL_CHARS, required=True)
    try:
        parts = urlsplit(url)
        port = parts.port
        host = httpx.URL(url).raw_host.decode("ascii")
    except (ValueError, httpx.InvalidURL) as err:
        raise InputError("url", "is not a valid URL") from err
    if parts.scheme.lower() not in ("http", "https"):
        raise InputError("url", "must start with http:// or https://")
    if not host or port == 0:
        raise InputError("url", "must name a host, and a port between 1 and 65535 if any")
    if not _HOST.fullmatch(host):
        raise InputError("url", "names a host that no server can have (letters, digits, dots and hyphens only)")
    if parts.username is not None or parts.password is not None:
        raise InputError("url", "must not carry a user name or password; use the authentication fields")


def check_headers(headers: Mapping[str, str]) -> None:
    """Raise InputError for a header name or value that HTTP cannot carry, or that is ours to write."""
    for name, value in headers.items():
        if not _TOKEN.fullmatch(name):
            raise InputError(
                "headers", f"{_shown(name)} is not a header name (letters, digits and !#$%&'*+-.^_`|~ only)"
            )
        if name.lower() in _OWN_HEADERS:
            raise InputError("headers", f"{name} is written by the upload itself")
        check_header_value("headers", value, f"the value of {name} ")


def check_header_value(field_name: str, value: str, subject: str = "") -> None:
    """Raise InputError when text cannot be the value of a header; `subject` begins the sentence."""
    if _CONTROL.search(value.replace("\t", " ")):
        raise InputError(field_name, f"{subject}contains a line break or another control character")
    if not value.isascii():
        raise InputError(field_name, f"{subject}must be ASCII")
    if len(value) > MAX_HEADER_CHARS:
        raise InputError(field_name, f"{subject}has {len(value)} characters; the limit is {MAX_HEADER_CHARS}")


def check_text(field_name: str, value: str, *, maximum: int, required: bool = False) -> None:
    """Raise InputError when text is missing, too long, or holds a control character (CR and LF among them)."""
    if required and not value:
        raise InputError(field_name, "is missing")
    if len(value) > maximum:
        raise InputError(field_name, f"has {len(value)} characters; the limit is {maximum}")
    if _CONTROL.search(value):
        raise InputError(field_name, "contains a line break or another control character")
    if not _is_unicode(value):
        raise InputError(field_name, "is not valid Unicode text")


def _is_unicode(value: str) -> bool:
    """Return False for text with lone surrogates, as file names in an unknown encoding have."""
    try:
        value.encode()
    except UnicodeEncodeError:
        return False
    return True


def _check_auth(destination: Destination) -> None:
    auth = destination.auth
    if auth.method is AuthMethod.BASIC:
        check_text("username", auth.username, maximum=500, required=True)
        if ":" in auth.username:
            raise InputError("username", "must not contain a colon")
        check_text("password", auth.password, maximum=500)
    elif auth.method is AuthMethod.BEARER:
        check_text("token", auth.token, maximum=MAX_HEADER_CHARS, required=True)
        if not auth.token.isascii():
            raise InputError("token", "must be ASCII")
    if auth.method is not AuthMethod.NONE and any(name.lower() == "authorization" for name in destination.headers):
        raise InputError("headers", "Authorization is written from the authentication fields")


def _check_qiniu(destination: Destination) -> None:
    if destination.method != "POST":
        raise InputError("method", "must be POST for Qiniu")
    if destination.file_field != FILE_FIELD:
        raise InputError("file_field", f"must be {FILE_FIELD} for Qiniu")
    if destination.auth.method is not AuthMethod.NONE:
        raise InputError("auth", "must be none for Qiniu, which goes by the token made from its keys")
    if destination.qiniu is None:
        raise InputError("qiniu_access_key", "is missing")
    check_settings(destination.qiniu, destination.fields)


def _shown(text: str) -> str:
    return repr(text[:40])
