"""Qiniu Kodo form upload: key, token, form fields, and what Qiniu's answers mean. Pure: no clock, no network.

The token is valid for one key of one bucket, and unless told otherwise cannot replace anything that is there. Its
deadline is tested when the upload ends, so it allows for the line.
"""

from base64 import urlsafe_b64encode
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
import hashlib
import hmac
import json
from pathlib import PurePath
import re
from typing import Final
import zlib

from ..errors import HttpError, InputError
from .result import UploadState

DEFAULT_REGION: Final = "z0"
REGIONS: Final = ("z0", "z1", "z2", "na0", "as0", "cn-east-2", "ap-southeast-2", "ap-southeast-3")
"""Known ones; any other name is tried as it stands."""
DEFAULT_KEY: Final = "{date}/{time}-{upload_id}{extension}"
PLACEHOLDERS: Final = ("date", "time", "year", "month", "day", "upload_id", "file_name", "extension")
FILE_FIELD: Final = "file"
CUSTOM_PREFIXES: Final = ("x:", "x-qn-meta-")

MAX_KEY_BYTES = 750
TOKEN_MARGIN_S = 3600
"""For attempts, waiting for the network, and a clock of ours that is slow."""
TOKEN_LINE_FACTOR = 10
ASSUMED_LINE_BPS = 9600
BITS_PER_BYTE = 10
"""On a serial line, with start and stop bit."""
BLOCK_BYTES = 4 * 1024 * 1024

NEVER_AGAIN: Final = frozenset({501, 509, 573, 579, 608, 612, 614, 616, 618, 630, 631, 632, 640, 701})
"""From 500 up, what a repetition does not change. Below 500 nothing is repeated but 406; everything else is."""

_ACCESS_KEY = re.compile(r"[0-9A-Za-z_-]{1,200}")
_SECRET_KEY = re.compile(r"[\x21-\x7e]{1,200}")
_BUCKET = re.compile(r"[0-9A-Za-z][0-9A-Za-z._-]{0,62}")
_REGION = re.compile(r"[0-9a-z][0-9a-z-]{0,39}")
_PLACEHOLDER = re.compile(r"\{([a-z_]*)\}")
_UPLOAD_HOST = re.compile(rb"\bup(?:load)?(?:-[0-9a-z-]{1,40})?\.qiniup\.com\b")


@dataclass(frozen=True, slots=True, kw_only=True)
class QiniuSettings:
    """Where in Qiniu pictures go, and with whose keys.

    `key` is the name of the stored file, with placeholders (see `PLACEHOLDERS`). Without `overwrite`, a file that is
    there is never replaced. `region` and `scheme` make the address; a destination with an address of its own
    (`Destination.url`) does not use them.
    """

    access_key: str
    secret_key: str = field(repr=False)
    bucket: str
    key: str = DEFAULT_KEY
    region: str = DEFAULT_REGION
    scheme: str = "https"
    overwrite: bool = False

    @property
    def url(self) -> str:
        """Return the address of the region's upload host."""
        return region_url(self.region, self.scheme)


def region_url(region: str, scheme: str = "https") -> str:
    """Return the address that takes uploads to buckets of a region."""
    host = "upload.qiniup.com" if region == DEFAULT_REGION else f"upload-{region}.qiniup.com"
    return f"{scheme}://{host}/"


def check_settings(settings: QiniuSettings, fields: Mapping[str, str]) -> None:
    """Raise InputError naming the first setting, or custom form field, that Qiniu cannot take."""
    for name, value, allowed, shape in (
        ("qiniu_access_key", settings.access_key, _ACCESS_KEY, "letters, digits, hyphens and underscores only"),
        ("qiniu_secret_key", settings.secret_key, _SECRET_KEY, "printable ASCII without spaces"),
        ("qiniu_bucket", settings.bucket, _BUCKET, "up to 63 letters, digits, dots, hyphens and underscores"),
        ("qiniu_region", settings.region, _REGION, "a name such as z0, z1 or as0"),
        ("qiniu_key", settings.key, re.compile(r"[^\x00-\x1f\x7f\ud800-\udfff]{1,500}"), "up to 500 characters"),
    ):
        if not value:
            raise InputError(name, "is missing")
        if not allowed.fullmatch(value):
            raise InputError(name, f"must be {shape}")
    if settings.scheme not in ("http", "https"):
        raise InputError("qiniu_scheme", "must be http or https")
    for placeholder in _PLACEHOLDER.findall(settings.key):
        if placeholder not in PLACEHOLDERS:
            raise InputError("qiniu_key", f"has an unknown placeholder {{{placeholder}}}; there are {_placeholders()}")
    if re.search(r"[{}]", _PLACEHOLDER.sub("", settings.key)):
        raise InputError("qiniu_key", f"has a brace that belongs to no placeholder; there are {_placeholders()}")
    for name in fields:
        if not any(name.startswith(prefix) and len(name) > len(prefix) for prefix in CUSTOM_PREFIXES):
            raise InputError("fields", f"{name[:40]!r} must begin with x: or x-qn-meta- to be taken by Qiniu")


def object_key(settings: QiniuSettings, *, file_name: str, upload_id: str, started: datetime) -> str:
    """Return the key of one upload: the same for all its attempts, since all of them are given when it started.

    Raises:
        InputError: it is longer than Qiniu allows.
    """
    values = {
        "date": f"{started:%Y-%m-%d}",
        "time": f"{started:%H%M%S}",
        "year": f"{started:%Y}",
        "month": f"{started:%m}",
        "day": f"{started:%d}",
        "upload_id": upload_id,
        "file_name": file_name,
        "extension": PurePath(file_name).suffix,
    }
    key = _PLACEHOLDER.sub(lambda found: values[found[1]], settings.key)
    if (length := len(key.encode())) > MAX_KEY_BYTES:
        raise InputError("qiniu_key", f"becomes {length} bytes long for this picture; the limit is {MAX_KEY_BYTES}")
    return key


def token_lifetime_s(content_bytes: int, line_bps: int | None = None, timeout_s: float | None = None) -> int:
    """Return for how long a token must be valid, so that it still is when the last byte of an upload arrives."""
    line_s = content_bytes * BITS_PER_BYTE / (line_bps or ASSUMED_LINE_BPS)
    return TOKEN_MARGIN_S + int(max(TOKEN_LINE_FACTOR * line_s, timeout_s or 0.0))


def upload_token(settings: QiniuSettings, key: str, deadline: int) -> str:
    """Return the token that lets its holder upload `key` until `deadline` (seconds since 1970)."""
    policy: dict[str, str | int] = {"scope": f"{settings.bucket}:{key}", "deadline": deadline}
    if not settings.overwrite:
        policy["insertOnly"] = 1
    return sign(settings, json.dumps(policy, separators=(",", ":")))


def sign(settings: QiniuSettings, policy: str) -> str:
    """Return a token for a policy in JSON."""
    encoded = urlsafe_b64encode(policy.encode())
    signature = hmac.digest(settings.secret_key.encode(), encoded, "sha1")
    return f"{settings.access_key}:{urlsafe_b64encode(signature).decode('ascii')}:{encoded.decode('ascii')}"


def form_fields(token: str, key: str, fields: Mapping[str, str], content: bytes) -> dict[str, str]:
    """Return the fields of the form in their order; the file comes after them."""
    return {"token": token, "key": key, **fields, "crc32": str(zlib.crc32(content))}


def etag(content: bytes) -> str:
    """Return the hash Qiniu gives a file: over the content up to 4 MiB, beyond that over the hashes of its blocks."""
    starts = range(0, max(1, len(content)), BLOCK_BYTES)
    digests = [_sha1(content[start : start + BLOCK_BYTES]) for start in starts]
    raw = b"\x16" + digests[0] if len(digests) == 1 else b"\x96" + _sha1(b"".join(digests))
    return urlsafe_b64encode(raw).decode("ascii")


# --- answers -----------------------------------------------------------------------------------------------------


class Retry(StrEnum):
    """Whether the same request may be sent again after an answer."""

    NEVER = "never"
    ONCE = "once"
    """Bytes were lost on the way: worth one repetition, then something is wrong for good."""
    LATER = "later"
    """The service has trouble: after a pause it may take the request."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Judgement:
    """What an answer means.

    `error` is None exactly when `state` is delivered. `note` is a sentence the user should see beside a delivery.
    `may_be_stored`: not delivered as far as the answer goes, but the service may have kept the picture.
    """

    state: UploadState
    retry: Retry = Retry.NEVER
    error: HttpError | None = None
    note: str = ""
    may_be_stored: bool = False


type Judge = Callable[[int, Mapping[str, str], bytes], Judgement]


def judge(
    status: int,
    headers: Mapping[str, str],
    body: bytes,
    *,
    expected_etag: str,
    expected_key: str,
    key_is_ours: bool,
) -> Judgement:
    """Return what an answer to a form upload means.

    `body` may be cut. `key_is_ours`: nobody else can have used this key, since it carries the upload's id.
    Nothing the server wrote gets into a sentence.
    """
    if status == 411:  # the gateway in front of Qiniu says so itself
        return _refused(status, _reason(status, body))
    if 200 <= status < 300 and not headers:  # a portal's answer has some
        return Judgement(
            state=UploadState.FAILED,
            retry=Retry.LATER,
            error=HttpError("response_lost", f"An answer with status {status} came, but the modem lost the rest of it"),
            may_be_stored=True,
        )
    if not any(name.lower() == "x-reqid" for name in headers):
        return _not_qiniu(status)
    if 200 <= status < 300:
        return _stored(body, expected_etag, expected_key)
    match status:
        case 579:
            return Judgement(
                state=UploadState.DELIVERED,
                note="The picture is stored, but Qiniu could not call the address that the bucket's owner wants called",
            )
        case 614 if key_is_ours:
            return Judgement(
                state=UploadState.DELIVERED,
                note="The picture was stored already, by an earlier attempt of this upload",
            )
        case 406:
            return _refused(status, "what arrived is not what was sent (crc32 differs)", Retry.ONCE)
    if status == 429 or (status >= 500 and status not in NEVER_AGAIN):
        return _refused(status, "the service has trouble or is busy", Retry.LATER, may_be_stored=status >= 500)
    return _refused(status, _reason(status, body))


def _stored(body: bytes, expected_etag: str, expected_key: str) -> Judgement:
    try:
        told = json.loads(body)
    except ValueError:
        told = None
    if not isinstance(told, dict) or "hash" not in told:
        return Judgement(
            state=UploadState.DELIVERED,
            note="Qiniu took the picture, but its answer came without the hash that proves it",
        )
    if (told["hash"], told.get("key", expected_key)) == (expected_etag, expected_key):
        return Judgement(state=UploadState.DELIVERED)
    # Never again: what is stored has the key now, and a repetition would be told that it exists.
    return Judgement(
        state=UploadState.REJECTED,
        error=HttpError("hash_mismatch", "Qiniu stored something else than what was sent (hash or key differ)"),
        may_be_stored=True,
    )


def _not_qiniu(status: int) -> Judgement:
    sentence = f"The answer with status {status} is not from Qiniu (it has no X-Reqid)"
    if status == 511 or status < 400:
        sentence += ": a captive portal or a proxy answered, or the address is wrong"
    # A gateway on the way may have passed the request on before it gave up.
    passing = status in {502, 503, 504}
    return Judgement(
        state=UploadState.REJECTED,
        retry=Retry.LATER if passing or status < 400 or status == 511 else Retry.NEVER,
        error=HttpError("not_qiniu", sentence),
        may_be_stored=passing,
    )


def _refused(status: int, why: str, retry: Retry = Retry.NEVER, *, may_be_stored: bool = False) -> Judgement:
    return Judgement(
        state=UploadState.REJECTED,
        retry=retry,
        error=HttpError(str(status), f"Qiniu answered {status}: {why}"),
        may_be_stored=may_be_stored,
    )


_REASONS = {
    400: "it cannot read the form",
    401: "the access key and the secret key do not belong together, or are wrong",
    403: "these keys may not upload this",
    411: "it needs to know the length of the request first",
    413: "the picture is larger than the bucket allows",
    419: "the account is frozen",
    573: "too many requests for this bucket",
    614: "there is a file of this name already; give the key template {upload_id}, or allow to overwrite",
    631: "there is no such bucket",
}


def _reason(status: int, body: bytes) -> str:
    if status == 401 and b"out of date" in body:
        return "the token is out of date: the clock of this machine is wrong, or the upload took too long"
    if status == 400 and b"incorrect region" in body:
        host = _UPLOAD_HOST.search(body)
        where = f"; its address is {host[0].decode('ascii')}" if host else ""
        return f"the bucket lies in another region{where}"
    return _REASONS.get(status, "it does not take the picture")


def _placeholders() -> str:
    return ", ".join(f"{{{name}}}" for name in PLACEHOLDERS)


def _sha1(content: bytes) -> bytes:
    return hashlib.sha1(content, usedforsecurity=False).digest()
