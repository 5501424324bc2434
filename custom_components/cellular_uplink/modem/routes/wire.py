"""A request as bytes: routes that need its exact length, and results that report it, ask here."""

import h11
import httpx

from ..errors import InputError


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
