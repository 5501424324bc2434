"""A request as bytes: routes that need its exact length, and results that report it, ask here."""

from base64 import b64encode
from collections.abc import Mapping
import hashlib

import h11
import httpx

from ..errors import HttpError, InputError
from ..quirks.effects import empty_header_bytes, least_padding


def serialise(request: httpx.Request) -> bytes:
    """Return the request as HTTP/1.1 writes it, head and body; the body must be in memory.

    Raises:
        InputError: h11 refuses a header.
    """
    connection = h11.Connection(h11.CLIENT)
    try:
        head = connection.send(
            h11.Request(method=request.method, target=request.url.raw_path, headers=request.headers.raw)
        )
        body = connection.send(h11.Data(data=request.content))
        end = connection.send(h11.EndOfMessage())
    except h11.LocalProtocolError as err:
        raise InputError("headers", "cannot be sent as HTTP/1.1") from err
    return (head or b"") + (body or b"") + (end or b"")


def pad(request: httpx.Request, params: Mapping[str, object]) -> tuple[httpx.Request, int]:
    """Return the request lengthened so that the bit `mask` of its length is clear, and the bytes that added.

    Params, those of the effect: `mask`; `header`. And `in_body`: lengthen the body instead, where its type has room
    behind its end.
    """
    mask, header = params["mask"], str(params["header"])
    assert isinstance(mask, int), "typed by the effect"
    total = len(serialise(request))
    if params.get("in_body"):
        size = body_padding_for(total, len(request.content), mask=mask)
        longer = with_longer_body(request, size) if size else None
        if longer is not None:
            return longer, len(serialise(longer)) - total
    size = padding_for(total, mask=mask, header=header)
    if not size:
        return request, 0
    name, value = padding_header(size, header)
    padded = httpx.Request(
        request.method,
        request.url,
        headers=[*request.headers.raw, (name.encode("ascii"), value.encode("ascii"))],
        content=request.content,
        extensions=request.extensions,
    )
    return padded, size


def parse_response(raw: bytes, request: httpx.Request, status: int | None = None) -> httpx.Response:
    """Return the response that a modem's HTTP client read, its body in memory.

    The module may have taken a chunked body's coding away and left the header that announces it; and there may be
    bytes behind the body. `status` is what the modem says of a response that has no head.

    Raises:
        HttpError: response_invalid, when there is neither a head nor a status that can be one.
    """
    response, parsed, is_whole = _parse(raw, request)
    if response is None:
        if status is None or not 200 <= status <= 599:  # a digit may have been lost on the line
            raise HttpError("response_invalid", "The modem gave something that is not an HTTP response")
        return httpx.Response(status, stream=httpx.ByteStream(raw), request=request)
    body = parsed if is_whole or b"chunked" not in _header(response, b"transfer-encoding") else _behind_head(raw)
    return httpx.Response(
        response.status_code, headers=list(response.headers), stream=httpx.ByteStream(body), request=request
    )


def _parse(raw: bytes, request: httpx.Request) -> tuple[h11.Response | None, bytes, bool]:
    """Return head and body as h11 sees them, and whether the body ended as it should."""
    connection = h11.Connection(h11.CLIENT, max_incomplete_event_size=max(len(raw), 1))
    connection.send(h11.Request(method=request.method, target="/", headers=[("Host", "")]))
    response: h11.Response | None = None
    body = bytearray()
    try:
        connection.receive_data(raw)
        connection.receive_data(b"")
        while True:
            match connection.next_event():
                case h11.Response() as response:
                    pass
                case h11.Data() as data:
                    body += data.data
                case h11.EndOfMessage():
                    return response, bytes(body), True
                case h11.InformationalResponse():
                    pass
                case _:
                    return response, bytes(body), False
    except h11.RemoteProtocolError:
        return response, bytes(body), False


def _header(response: h11.Response, name: bytes) -> bytes:
    return b",".join(value.lower() for key, value in response.headers if key == name)


def _behind_head(raw: bytes) -> bytes:
    """Return what follows the last head of a response; interim responses come before it."""
    rest = raw
    while True:
        head, _, rest = rest.partition(b"\r\n\r\n")
        if not head.split(b" ", 2)[1:2] or not head.split(b" ", 2)[1].startswith(b"1"):
            return rest


# --- padding: a request of a length that the modem can send --------------------------------------------------------


def padding_for(total: int, *, mask: int, header: str) -> int:
    """Return how many bytes a padding header has to add so that bit `mask` of a total length is clear; 0: none.

    It is the least that a header can add, which is never less than its own name, colon, blank and line end.
    """
    return least_padding(total, mask, empty_header_bytes(header))


def padding_header(size: int, header: str) -> tuple[str, str]:
    """Return the header (name, value) that takes `size` bytes on the wire."""
    overhead = empty_header_bytes(header)
    if size < overhead:
        raise ValueError(f"a header {header} takes {overhead} bytes at least")
    return header, "Z" * (size - overhead)


def body_padding_for(total: int, body_bytes: int, *, mask: int) -> int:
    """Return how many bytes a body has to grow by, so that bit `mask` of the total is clear; 0: none.

    A longer body can take another digit in Content-Length, and that byte counts too.
    """
    size = least_padding(total, mask)
    while size and (total + size + len(str(body_bytes + size)) - len(str(body_bytes))) & mask:
        size += 1
    # Where the extra digit alone carries the length past the bad band, a byte less does as well.
    while size > 1 and not (total + size - 1 + len(str(body_bytes + size - 1)) - len(str(body_bytes))) & mask:
        size -= 1
    return size


def pad_body(content: bytes, content_type: str, size: int) -> bytes | None:
    """Return the body with `size` bytes more that its readers ignore; None where its type has no room for any.

    Blanks after JSON, zeros after a JPEG's end marker, text after a multipart body's last boundary.
    """
    kind = content_type.partition(";")[0].strip().lower()
    if kind == "application/json" or kind.endswith("+json"):
        return content + b" " * size
    if kind == "image/jpeg" and content.endswith(_JPEG_END):
        return content + bytes(size)
    if kind.startswith("multipart/") and content.endswith(b"--\r\n"):
        return content + b"Z" * size
    return None


def with_longer_body(request: httpx.Request, size: int) -> httpx.Request | None:
    """Return the request with `size` bytes behind its body, and headers that say so; None: see `pad_body`."""
    content = pad_body(request.content, request.headers.get("Content-Type", ""), size)
    if content is None:
        return None
    now = {b"content-length": str(len(content)), b"content-digest": content_digest(content)}
    headers = [
        (name, now[name.lower()].encode() if name.lower() in now else value) for name, value in request.headers.raw
    ]
    return httpx.Request(request.method, request.url, headers=headers, content=content, extensions=request.extensions)


def content_digest(content: bytes) -> str:
    """Return the value of a Content-Digest header (RFC 9530)."""
    return f"sha-256=:{b64encode(hashlib.sha256(content).digest()).decode()}:"


_JPEG_END = b"\xff\xd9"
