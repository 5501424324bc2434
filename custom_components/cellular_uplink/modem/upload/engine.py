"""Carries an upload out and says what happened.

The engine asks for the modem to be online, sends one request over the socket route, and turns whatever came of it
into an `UploadResult`. It never sends twice.
"""

import asyncio
from collections.abc import AsyncGenerator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
import ssl
import time
from typing import Protocol
import uuid

import anyio
import h11
import httpx

from ..drivers.base import Identity, SupportsSockets
from ..errors import HttpError, InputError, ModemError, SocketError
from ..routes.meter import Meter, Phase, metered
from ..routes.socket import ModemNetworkBackend, SocketTransport
from ..routes.tls import build_ssl_context, tls_error
from ..routes.wire import serialise
from .formats import build_request
from .request import Destination, Picture, check_destination, check_header_value, check_picture
from .result import Attempt, Progress, UploadResult, UploadState

ROUTE = "socket"
MAX_RESPONSE_BYTES = 16_384
"""Of a response's body this much is kept ..."""
MAX_DRAINED_BYTES = 16_384
"""... and this much more read away to keep the connection usable; beyond it a new connection costs less."""
BASE_TIMEOUT_S = 90.0
"""Time for what doesn't grow with the picture: name look-up, connecting, TLS, the server's own work."""
LINE_TIME_FACTOR = 4.0
"""The line is shared with other uploads and status polls, and the network may be slower than the line."""
ASSUMED_BAUD = 9600
TLS_OVERHEAD_BYTES = 8_192


class Modem(Protocol):
    """What the engine needs of a modem; `session.ModemSession` is one."""

    @property
    def baud(self) -> int | None:
        """Bits per second on the line, None where unknown."""

    @property
    def identity(self) -> Identity:
        """Who the modem is."""

    async def ensure_online(self) -> object:
        """Bring packet data up and return the driver, which is asked for what it can do; raises ModemError."""


@dataclass(slots=True)
class _Answer:
    """What the server said: `status` is None until the head of the response is there."""

    status: int | None = None
    headers: httpx.Headers = field(default_factory=httpx.Headers)
    body: bytearray = field(default_factory=bytearray)


class UploadEngine:
    """Sends pictures through one modem. Uploads may run side by side; their chunks interleave on the port."""

    def __init__(self, session: Modem) -> None:
        self._session = session
        self._backend: ModemNetworkBackend | None = None
        self._transports: dict[ssl.SSLContext | None, SocketTransport] = {}
        self._users: dict[SocketTransport, int] = {}
        self._default_ssl_context: ssl.SSLContext | None = None
        self._outstanding_bytes = 0

    async def upload(
        self,
        destination: Destination,
        picture: Picture,
        *,
        ssl_context: ssl.SSLContext | None = None,
        upload_id: str | None = None,
        timeout_s: float | None = None,
        on_progress: Callable[[Progress], None] | None = None,
    ) -> UploadResult:
        """Send one picture. Failures of delivery are in the result; only bad input raises (InputError).

        `ssl_context` says whom https trusts (see routes.tls.build_ssl_context; building one blocks); None is this
        host's trust store. `timeout_s` counts from the call; without it, time is allowed by bytes and line rate, from
        the moment the modem is online. `on_progress` is called in the event loop after every chunk.
        """
        upload_id = uuid.uuid4().hex if upload_id is None else upload_id
        check_destination(destination)
        check_picture(picture)
        check_header_value("upload_id", upload_id)
        check_timeout(timeout_s)
        request = build_request(destination, picture, upload_id)
        meter = _meter_for(request, on_progress)
        started = time.monotonic()
        answer = _Answer()
        error: ModemError | None = None
        attempt_started: float | None = None

        def on_attempt() -> None:
            nonlocal attempt_started
            attempt_started = time.monotonic()

        try:
            await self._exchange(request, ssl_context, timeout_s, meter, answer, on_attempt)
        except InputError:
            raise
        except ModemError as err:
            if answer.status is None:  # else the answer is what counts, though its body may be incomplete
                error = err
        ended = time.monotonic()
        state = UploadState.FAILED
        if answer.status is not None:
            state = UploadState.DELIVERED if 200 <= answer.status < 300 else UploadState.REJECTED
            error = _rejection(answer) if state is UploadState.REJECTED else None
        attempts: tuple[Attempt, ...] = ()
        if attempt_started is not None:
            attempt = Attempt(
                route=ROUTE,
                outcome=state,
                http_status=answer.status,
                duration_s=ended - attempt_started,
                error=error,
            )
            attempts = (attempt,)
        return UploadResult(
            state=state,
            upload_id=upload_id,
            http_status=answer.status,
            response=_text(answer),
            route=ROUTE if attempts else None,
            attempts=attempts,
            request_bytes=meter.total_bytes,
            body_bytes=len(request.content),
            sent_bytes=meter.sent_bytes,
            received_bytes=meter.received_bytes,
            duration_s=ended - started,
            ambiguous=state is UploadState.FAILED and meter.is_last_byte_out,
            error=error,
        )

    async def request(
        self,
        request: httpx.Request,
        *,
        ssl_context: ssl.SSLContext | None = None,
        timeout_s: float | None = None,
    ) -> httpx.Response:
        """Send another request through the same modem, beside uploads; its body must be in memory.

        Returns the response whatever its status, with at most `MAX_RESPONSE_BYTES` of its body.

        Raises:
            ModemError: no whole response came.
        """
        check_timeout(timeout_s)
        answer = _Answer()
        await self._exchange(request, ssl_context, timeout_s, _meter_for(request, None), answer, lambda: None)
        if answer.status is None:  # pragma: no cover: an exchange without error has a status
            raise HttpError("response_lost", "No answer came")
        # The body may be cut and is as the server sent it: headers that describe it otherwise would mislead httpx.
        headers = [
            (name, value)
            for name, value in answer.headers.multi_items()
            if name not in ("content-encoding", "content-length", "transfer-encoding")
        ]
        return httpx.Response(answer.status, headers=headers, content=bytes(answer.body), request=request)

    async def aclose(self) -> None:
        """Give all sockets back. The engine can be used again afterwards."""
        await self._forget_routes()

    async def _exchange(
        self,
        request: httpx.Request,
        ssl_context: ssl.SSLContext | None,
        timeout_s: float | None,
        meter: Meter,
        answer: _Answer,
        on_attempt: Callable[[], None],
    ) -> None:
        """Fill `answer` from what the server says to `request`; raises ModemError, whatever went wrong."""
        async with _deadline(timeout_s, request, meter) as deadline:
            driver = await self._session.ensure_online()
            if not isinstance(driver, SupportsSockets):
                raise SocketError("no_data_route", f"No data route for this model yet ({self._model()})")
            if request.url.scheme == "https" and ssl_context is None:
                ssl_context = await self._default_trust()
            if timeout_s is None:
                deadline.allow(self._time_for(meter.total_bytes))
            on_attempt()
            with self._counted(meter.total_bytes), _explained(request.url.host):
                async with self._transport(driver, ssl_context if request.url.scheme == "https" else None) as transport:
                    with metered(meter):
                        meter.phase = Phase.QUEUED
                        response = await transport.handle_async_request(request)
                        answer.status, answer.headers = response.status_code, response.headers
                        await _read_bounded(response, answer.body)

    def _time_for(self, request_bytes: int) -> float:
        """Return seconds for a request of this length, given what else is on the line now."""
        line_bytes = request_bytes + self._outstanding_bytes + TLS_OVERHEAD_BYTES
        return BASE_TIMEOUT_S + LINE_TIME_FACTOR * line_bytes * 10 / (self._session.baud or ASSUMED_BAUD)

    @contextmanager
    def _counted(self, request_bytes: int) -> Iterator[None]:
        self._outstanding_bytes += request_bytes
        try:
            yield
        finally:
            self._outstanding_bytes -= request_bytes

    @asynccontextmanager
    async def _transport(
        self, driver: SupportsSockets, ssl_context: ssl.SSLContext | None
    ) -> AsyncGenerator[SocketTransport]:
        """Lend the transport for this driver and this trust; the ones nobody needs any more go."""
        if self._backend is None or self._backend.driver is not driver:  # the modem was opened again
            stale = self._take_routes()
            self._backend = ModemNetworkBackend(driver)
            await _close_all(stale)
        for key, idle in list(self._transports.items()):
            if key is not ssl_context and idle.is_unused and not self._users.get(idle):
                del self._transports[key]
                await idle.aclose()
        transport = self._transports.get(ssl_context)
        if transport is None:
            transport = self._transports[ssl_context] = SocketTransport(self._backend, ssl_context)
        self._users[transport] = self._users.get(transport, 0) + 1
        try:
            yield transport
        finally:
            self._users[transport] -= 1
            if not self._users[transport]:
                del self._users[transport]

    async def _forget_routes(self) -> None:
        await _close_all(self._take_routes())

    def _take_routes(self) -> list[SocketTransport]:
        stale = list(self._transports.values())
        self._transports.clear()
        self._backend = None
        return stale

    async def _default_trust(self) -> ssl.SSLContext:
        if self._default_ssl_context is None:
            self._default_ssl_context = await asyncio.to_thread(build_ssl_context)
        return self._default_ssl_context

    def _model(self) -> str:
        identity = self._session.identity
        return " ".join(part for part in (identity.vendor, identity.model) if part) or "unknown modem"


def check_timeout(timeout_s: float | None) -> None:
    """Raise InputError unless this is a number of seconds from 1 to a day, or None."""
    if timeout_s is not None and not 1 <= timeout_s <= 86_400:
        raise InputError("timeout", "must be between 1 and 86400 seconds")


def _meter_for(request: httpx.Request, on_progress: Callable[[Progress], None] | None) -> Meter:
    meter = Meter(total_bytes=len(serialise(request)))
    if on_progress is not None:
        meter.on_progress = lambda sent, total: on_progress(Progress(sent_bytes=sent, total_bytes=total))
    return meter


class _Deadline:
    """When to give up; `allow` starts the clock anew."""

    def __init__(self, timeout: asyncio.Timeout, timeout_s: float | None) -> None:
        self._timeout = timeout
        self.timeout_s = timeout_s

    def allow(self, timeout_s: float) -> None:
        self.timeout_s = timeout_s
        self._timeout.reschedule(asyncio.get_running_loop().time() + timeout_s)


@asynccontextmanager
async def _deadline(timeout_s: float | None, request: httpx.Request, meter: Meter) -> AsyncGenerator[_Deadline]:
    timeout = asyncio.timeout(timeout_s)
    deadline = _Deadline(timeout, timeout_s)
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
def _explained(host: str) -> Iterator[None]:
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


async def _read_bounded(response: httpx.Response, body: bytearray) -> None:
    """Append the start of the response's body to `body`; close the connection when there is too much of it."""
    drained_bytes = 0
    try:
        async for part in response.aiter_raw():
            room = MAX_RESPONSE_BYTES - len(body)
            body += part[:room]
            drained_bytes += max(0, len(part) - room)
            if drained_bytes > MAX_DRAINED_BYTES:
                break
    finally:
        await response.aclose()


def _text(answer: _Answer) -> str:
    if answer.headers.get("Content-Encoding", "identity").lower() != "identity":
        return ""  # asked for plain text, got something compressed
    head = httpx.Response(answer.status or 200, headers=answer.headers)
    try:
        return answer.body.decode(head.charset_encoding or "utf-8", errors="replace")
    except LookupError:
        return answer.body.decode(errors="replace")


def _rejection(answer: _Answer) -> HttpError:
    status = answer.status or 0
    phrase = httpx.codes.get_reason_phrase(status)
    sentence = f"The server answered {status} {phrase}".rstrip()
    if 300 <= status < 400:
        sentence += "; pictures are not sent on to another address, so correct the URL"
    return HttpError(str(status), sentence)


async def _close_all(transports: list[SocketTransport]) -> None:
    for transport in transports:
        await transport.aclose()
