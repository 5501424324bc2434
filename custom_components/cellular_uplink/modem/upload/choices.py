"""What the user wants of one upload beyond where it goes: ways, workarounds, doubt; and the request shaped by it."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

import httpx

from ..errors import InputError
from ..routes.plan import HttpCommand, RouteName, TlsPlace
from ..routes.wire import content_digest, serialise, with_longer_body
from .formats import authorization
from .request import Destination, check_url

MAX_PAD_TO_BYTES = 20_000_000
UPLOAD_ID = "{upload_id}"
FILL_HEADER = "X-Fill"
MAX_FILL_HEADER_BYTES = 4_000
MAX_FILL_IN_HEADERS_BYTES = 8_000
"""Servers refuse heads that are much longer; a form or JSON grows behind its end instead."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Choices:
    """How to send. `route` and `command` None: as the planner thinks best.

    `tls`: who may do TLS; the modem only where it is named here. `modem_ca_pem`: what the modem checks servers with,
    without it (or with a `ssl_context` that checks nothing) it checks nothing. `use_workarounds` False: one attempt.
    `pad_to`: bytes the request is lengthened to before workarounds add to it, for tests.
    `retry_ambiguous`: go on after a failure behind which the server may have the picture (it may be stored twice).
    `check_url` is asked first then, {upload_id} in it replaced: 2xx means delivered, 404 and 410 not arrived (not yet,
    where nobody waited for the server to finish). It must hold {upload_id}: others say nothing of a picture.
    `has_content_digest`: send Content-Digest (RFC 9530), so that a server can prove the body.
    `pads_body`: where a request must be longer, let it grow behind JSON, JPEG or form rather than by a header.
    """

    route: RouteName | None = None
    command: HttpCommand | None = None
    tls: TlsPlace = TlsPlace.HOST
    use_workarounds: bool = True
    pad_to: int | None = None
    allows_chunked: bool = False
    modem_ca_pem: str | None = field(default=None, repr=False)
    retry_ambiguous: bool = True
    check_url: str | None = None
    check_method: Literal["HEAD", "GET"] = "HEAD"
    check_headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    has_content_digest: bool = False
    pads_body: bool = False

    @property
    def is_forced(self) -> bool:
        """Return True when what comes of the upload says nothing about what the planner would have chosen."""
        return self.route is not None or self.command is not None or self.pad_to is not None or not self.use_workarounds


AS_PLANNED = Choices()


def check_choices(choices: Choices) -> None:
    """Raise InputError naming the first choice that cannot be."""
    if choices.command is not None and choices.route is RouteName.SOCKET:
        raise InputError("command", f"{choices.command} is one of the modem's HTTP client; the route is socket")
    if choices.pad_to is not None and not 1 <= choices.pad_to <= MAX_PAD_TO_BYTES:
        raise InputError("pad_to", f"must be between 1 and {MAX_PAD_TO_BYTES} bytes")
    if choices.check_url is not None:
        try:
            check_url(choices.check_url.replace(UPLOAD_ID, "0"))
        except InputError as err:
            raise InputError("check_url", err.reason) from err
        if UPLOAD_ID not in choices.check_url:
            raise InputError("check_url", f"must contain {UPLOAD_ID}, or it says nothing of this picture")


def headers_of_check(destination: Destination, url: str) -> dict[str, str]:
    """Return the headers to ask `url` with: those of the destination on its own server, none on any other.

    Another server must not be told the destination's credentials. The URL need not have been checked.
    """
    origin = _origin(url.replace(UPLOAD_ID, "0"))
    if origin is None or origin != _origin(destination.url):
        return {}
    headers = {name: value for name, value in destination.headers.items() if name.lower() != "content-type"}
    return headers | authorization(destination.auth)


def shaped(request: httpx.Request, choices: Choices) -> httpx.Request:
    """Return the request as the choices want it: with a digest, and of the length asked for.

    Raises:
        InputError: it is longer than that already.
    """
    if choices.has_content_digest and "Content-Digest" not in request.headers:
        digest = content_digest(request.content).encode()
        request = _changed(request, [*request.headers.raw, (b"Content-Digest", digest)])
    return request if choices.pad_to is None else _lengthened(request, choices.pad_to)


def _origin(url: str) -> tuple[str, str, int | None] | None:
    """Return what a URL's server is known by, None where there is none; httpx leaves the scheme's own port out."""
    try:
        parts = httpx.URL(url)
    except httpx.InvalidURL:
        return None
    return parts.scheme, parts.host, parts.port


def _lengthened(request: httpx.Request, total: int) -> httpx.Request:
    """Return the request made exactly `total` bytes long, its picture untouched."""
    length = len(serialise(request))
    if length > total:
        raise InputError("pad_to", f"is {total}, but the request has {length} bytes already")
    # A reader of an image would not mind bytes behind it, but it is the picture that would change.
    is_picture = request.headers.get("Content-Type", "").startswith("image/")
    if total - length > MAX_FILL_IN_HEADERS_BYTES and not is_picture:
        request = with_longer_body(request, total - length - len(str(total))) or request
    gap = total - len(serialise(request))
    least = len(FILL_HEADER) + len(": \r\n")
    headers = list(request.headers.raw)
    while gap >= least:
        size = gap if gap <= MAX_FILL_HEADER_BYTES else min(MAX_FILL_HEADER_BYTES, gap - least)
        headers.append((FILL_HEADER.encode(), b"Z" * (size - least)))
        gap -= size
    # A header of its own would be too long: one that is there grows.
    headers = [
        (name, value + b"Z" * gap) if name.lower() == b"user-agent" else (name, value) for name, value in headers
    ]
    return _changed(request, headers)


def _changed(request: httpx.Request, headers: list[tuple[bytes, bytes]]) -> httpx.Request:
    return httpx.Request(
        request.method, request.url, headers=headers, content=request.content, extensions=request.extensions
    )
