"""One exchange with a server: its deadline, its answer, and what its failures mean."""

import asyncio
from collections.abc import AsyncGenerator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
import ssl

import anyio
import h11
import httpx

from ..errors import HttpError, ModemError
from ..routes.meter import Meter, Phase
from ..routes.tls import tls_error
from ..routes.wire import serialise
from .result import Progress

MAX_RESPONSE_BYTES = 16_384
"""Of a response's body this much is kept ..."""
MAX_DRAINED_BYTES = 16_384
"""... and this much more read away to keep the connection usable; beyond it a new connection costs less."""


@dataclass(slots=True)
class Answer:
    """What the server said: `status` is None until the head of the response is there."""

    status: int | None = None
    headers: httpx.Headers = field(default_factory=httpx.Headers)
    body: bytearray = field(default_factory=bytearray)

    async def take(self, response: httpx.Response) -> None:
        """Read head and the start of the body; close the connection when there is too much of it."""
        self.status, self.headers = response.status_code, response.headers
        drained_bytes = 0
        try:
            async for part in response.aiter_raw():
                room = MAX_RESPONSE_BYTES - len(self.body)
                self.body += part[:room]
                drained_bytes += max(0, len(part) - room)
                if drained_bytes > MAX_DRAINED_BYTES:
                    break
        finally:
            await response.aclose()

    def text(self) -> str:
        """Return the body as text, "" for what came compressed: plain text was asked for."""
        if self.headers.get("Content-Encoding", "identity").lower() != "identity":
            return ""
        head = httpx.Response(self.status or 200, headers=self.headers)
        try:
            return self.body.decode(head.charset_encoding or "utf-8", errors="replace")
        except LookupError:
            return self.body.decode(errors="replace")

    def rejection(self) -> HttpError:
        """Return the error that this answer is."""
        status = self.status or 0
        phrase = httpx.codes.get_reason_phrase(status)
        sentence = f"The server answered {status} {phrase}".rstrip()
        if 300 <= status < 400:
            sentence += "; pictures are not sent on to another address, so correct the URL"
        return HttpError(str(status), sentence)

    def response(self, request: httpx.Request) -> httpx.Response:
        """Return it as httpx has it. The body may be cut, and is as sent: headers that say otherwise would mislead."""
        headers = [
            (name, value)
            for name, value in self.headers.multi_items()
            if name not in ("content-encoding", "content-length", "transfer-encoding")
        ]
        return httpx.Response(self.status or 0, headers=headers, content=bytes(self.body), request=request)


def meter_for(request: httpx.Request, on_progress: Callable[[Progress], None] | None) -> Meter:
    """Return a meter that knows the length of the request."""
    meter = Meter(total_bytes=len(serialise(request)))
    if on_progress is not None:
        meter.on_progress = lambda sent, total: on_progress(Progress(sent_bytes=sent, total_bytes=total))
    return meter


class Deadline:
    """When to give up; `allow` starts the clock anew."""

    def __init__(self, timeout: asyncio.Timeout, timeout_s: float | None) -> None:
        self._timeout = timeout
        self.timeout_s = timeout_s

    def allow(self, timeout_s: float) -> None:
        """Give this many seconds from now on."""
        self.timeout_s = timeout_s
        self._timeout.reschedule(asyncio.get_running_loop().time() + timeout_s)

    def leaves(self, timeout_s: float) -> bool:
        """Return whether there are still about as many seconds."""
        when = self._timeout.when()
        return when is None or when - asyncio.get_running_loop().time() > timeout_s - 0.1


@asynccontextmanager
async def deadline_of(
    timeout_s: float | None, request: httpx.Request, meter: Meter, *, total_s: float | None = None
) -> AsyncGenerator[Deadline]:
    """Raise HttpError timeout after so many seconds; `total_s` is what it says, where these are the rest of more."""
    timeout = asyncio.timeout(timeout_s)
    deadline = Deadline(timeout, total_s or timeout_s)
    try:
        async with timeout:
            yield deadline
    except TimeoutError as err:
        if not timeout.expired():
            raise
        raise _timed_out(deadline.timeout_s or 0.0, request.url.host, meter) from err


def _timed_out(seconds: float, host: str, meter: Meter) -> HttpError:
    doing = f"it was {meter.phase.value}"
    if meter.phase in (Phase.SENDING, Phase.WAITING, Phase.READING):
        doing += f", {meter.request_sent_bytes} of {meter.total_bytes} bytes sent"
    return HttpError("timeout", f"No complete answer from {host} within {seconds:.0f} s: {doing}")


@contextmanager
def explained(host: str) -> Iterator[None]:
    """Raise what the layers below raise as the ModemError at its root, or as one that says what it means."""
    try:
        yield
    except httpx.TransportError as err:
        raise _explain(err, host) from err


def _explain(err: httpx.TransportError, host: str) -> ModemError:
    chain = list(_causes(err))
    for cause in chain:
        if isinstance(cause, ModemError):
            return cause
        if isinstance(cause, ssl.SSLError):
            return tls_error(cause, host)
    if isinstance(err, httpx.ConnectError) and any(isinstance(cause, anyio.EndOfStream) for cause in chain):
        return tls_error(ssl.SSLError(0, "the server closed the connection"), host)
    if isinstance(err, httpx.RemoteProtocolError) and not any(
        isinstance(cause, h11.RemoteProtocolError) for cause in chain
    ):
        return HttpError("response_lost", f"{host} closed the connection without an answer")
    if isinstance(err, httpx.RemoteProtocolError):
        return HttpError("response_invalid", f"{host} answered with something that is not HTTP")
    if isinstance(err, httpx.TimeoutException):
        return HttpError("timeout", f"No answer from {host} in time")
    return HttpError("response_lost", f"The connection to {host} was lost before the answer was complete")


def _causes(err: BaseException) -> Iterator[BaseException]:
    seen: set[int] = set()
    current: BaseException | None = err
    while current is not None and id(current) not in seen:
        seen.add(id(current))
        yield current
        current = current.__cause__ or current.__context__
