"""The socket route: HTTP over TCP sockets of the modem, TLS on this host.

From the modem up: a `ModemSocket` becomes an anyio byte stream (joining pieces into full chunks), that becomes
httpcore's network stream (TLS, error classes), a backend hands such streams to httpcore's connection pool, and
`SocketTransport` shows the pool to httpx.
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterable, Iterator
from contextlib import contextmanager
import ssl
from typing import Any, override

import anyio
from anyio.abc import ByteStream
from anyio.streams.tls import TLSAttribute, TLSStream
import httpcore
import httpx

from ..drivers.base import CountsAcknowledged, ModemSocket, SupportsSockets
from ..errors import ModemError, SocketError
from .meter import Meter, Phase, current_meter

KEEPALIVE_S = 15.0
"""How long an unused connection keeps its modem socket."""
EARLY_ANSWER_S = 2.0
"""How long to wait, after the modem refused a chunk, for what the server may have said before it closed."""
RESERVED_SOCKETS = 1
"""Sockets of the modem left alone: a closed one is only free once the modem has said so."""

_BROKEN = (
    anyio.BrokenResourceError,
    anyio.ClosedResourceError,
    anyio.EndOfStream,
    ssl.SSLError,
)
_HTTPCORE_ERRORS = (
    httpcore.TimeoutException,
    httpcore.NetworkError,
    httpcore.ProtocolError,
    httpcore.UnsupportedProtocol,
)


class ModemByteStream(ByteStream):
    """A modem's TCP socket as a byte stream that never sends a small chunk where a full one is possible.

    Full chunks leave at once; the rest waits until the caller reads (whoever reads has said all there is to say for
    now) or calls `send_eof`. A refused chunk is not raised where it happens: the server may have answered before it
    closed, so the rest of what is sent is dropped, and `receive` gives that answer, or raises the refusal.
    """

    def __init__(self, sock: ModemSocket, chunk_bytes: int, on_close: Callable[[], None] | None = None) -> None:
        self._socket = sock
        self._chunk_bytes = chunk_bytes
        self._on_close = on_close
        self._unsent = bytearray()
        self._unread = b""
        self._refusal: SocketError | None = None
        self._has_read_after_refusal = False
        self._is_counted = True
        self._is_closed = False
        self.failure: ModemError | None = None
        """Why the stream broke, for callers whose own layers lose the cause."""

    @property
    def is_readable(self) -> bool:
        """Return True when `receive` would not wait: data is pending, or the connection is over."""
        return self._is_closed or bool(self._unread) or self._socket.readable

    @override
    async def send(self, item: bytes) -> None:
        """Take bytes of any number and pass on every full chunk they make.

        Raises:
            anyio.BrokenResourceError: the port or the modem is gone; the cause is the ModemError.
            anyio.ClosedResourceError: closed by this side.
        """
        self._check_usable()
        if self._refusal is None:
            self._unsent += item
            await self._pass_on(self._chunk_bytes)

    @override
    async def send_eof(self) -> None:
        """Pass on what is buffered. Modem sockets close both directions or none, so no end is sent."""
        self._check_usable()
        await self._pass_on(1)

    @override
    async def receive(self, max_bytes: int = 65536) -> bytes:
        """Pass on what is buffered, then wait for data.

        Raises:
            anyio.EndOfStream: the server has closed and everything was read.
            anyio.BrokenResourceError: a chunk was refused and no answer came, or the port or the modem is gone.
            anyio.ClosedResourceError: closed by this side.
        """
        self._check_usable()
        if not self._unread:
            await self._pass_on(1)
            self._unread = await self._receive()
            await self._count_acknowledged()
            if not self._unread:
                raise anyio.EndOfStream
            current_meter().received(len(self._unread))
        data, self._unread = self._unread[:max_bytes], self._unread[max_bytes:]
        return data

    @override
    async def aclose(self) -> None:
        """Give the socket back. Waits for nothing, so it also works in a cancelled scope."""
        if self._is_closed:
            return
        self._is_closed = True
        self._unsent.clear()
        self._socket.close()
        if self._on_close is not None:
            self._on_close()

    def _check_usable(self) -> None:
        if self._is_closed:
            raise anyio.ClosedResourceError
        if self.failure is not None:
            raise anyio.BrokenResourceError from self.failure

    async def _pass_on(self, at_least_bytes: int) -> None:
        meter = current_meter()
        while len(self._unsent) >= at_least_bytes:
            chunk = bytes(self._unsent[: self._chunk_bytes])
            del self._unsent[: self._chunk_bytes]
            meter.chunk_leaving(is_last=not self._unsent)
            try:
                await self._socket.send(chunk)
            except SocketError as err:
                self._refusal = err
                self._unsent.clear()
                return
            except ModemError as err:
                raise self._break(err) from err
            meter.chunk_sent(len(chunk))
            self._is_counted = False

    async def _receive(self) -> bytes:
        if self._refusal is not None and not self._has_read_after_refusal:
            return await self._receive_early_answer(self._refusal)
        try:
            return await self._socket.receive()
        except ModemError as err:
            raise self._break(err) from err

    async def _count_acknowledged(self) -> None:
        """When the answer to a whole request is here, or its end, ask how much of the request has been acknowledged."""
        meter = current_meter()
        if self._is_counted or not meter.is_last_byte_out or not isinstance(self._socket, CountsAcknowledged):
            return
        self._is_counted = True
        try:
            count = await self._socket.read_unacknowledged_bytes()
        except ModemError:
            return  # the answer is what counts; whatever is wrong with the modem shows with the next exchange
        if count is not None:
            meter.unacknowledged(count)

    async def _receive_early_answer(self, refusal: SocketError) -> bytes:
        data = b""
        try:
            with anyio.move_on_after(EARLY_ANSWER_S):
                data = await self._socket.receive()
        except SocketError:
            pass  # the refusal came first and says more
        except ModemError as err:
            raise self._break(err) from err
        if not data:
            raise self._break(refusal) from refusal
        self._has_read_after_refusal = True
        return data

    def _break(self, err: ModemError) -> anyio.BrokenResourceError:
        self.failure = err
        self._unsent.clear()
        return anyio.BrokenResourceError()


class ModemNetworkStream(httpcore.AsyncNetworkStream):
    """What httpcore reads and writes: the byte stream itself, or TLS over it."""

    def __init__(self, transport: ModemByteStream, server: tuple[str, int], tls: TLSStream | None = None) -> None:
        self._transport = transport
        self._server = server
        self._tls = tls
        self._stream: ByteStream = tls or transport

    @override
    async def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        """Return 1 to `max_bytes` bytes, b"" at the end; raises httpcore.ReadError or ReadTimeout (seconds)."""
        with self._mapped(httpcore.ReadError, httpcore.ReadTimeout), anyio.fail_after(timeout):
            try:
                return await self._stream.receive(max_bytes)
            except anyio.EndOfStream:
                return b""

    @override
    async def write(self, buffer: bytes, timeout: float | None = None) -> None:
        """Send; an empty buffer is nothing. Raises httpcore.WriteError or WriteTimeout (seconds)."""
        if not buffer:
            return
        with self._mapped(httpcore.WriteError, httpcore.WriteTimeout), anyio.fail_after(timeout):
            await self._stream.send(buffer)

    @override
    async def aclose(self) -> None:
        """Give the socket back without a closing handshake: it would cost bytes and prove nothing to HTTP."""
        await self._transport.aclose()

    @override
    async def start_tls(
        self, ssl_context: ssl.SSLContext, server_hostname: str | None = None, timeout: float | None = None
    ) -> httpcore.AsyncNetworkStream:
        """Shake hands on this host, with SNI; raises httpcore.ConnectError whose cause is the ssl.SSLError."""
        try:
            with self._mapped(httpcore.ConnectError, httpcore.ConnectTimeout), anyio.fail_after(timeout):
                tls = await TLSStream.wrap(
                    self._transport,
                    server_side=False,
                    hostname=server_hostname,
                    ssl_context=ssl_context,
                    standard_compatible=False,
                )
        except BaseException:
            await self.aclose()
            raise
        return ModemNetworkStream(self._transport, self._server, tls)

    @override
    def get_extra_info(self, info: str) -> Any:
        """Answer what httpcore and httpx ask for: is_readable, ssl_object, server_addr."""
        if info == "is_readable":
            return self._transport.is_readable
        if info == "ssl_object" and self._tls is not None:
            return self._tls.extra(TLSAttribute.ssl_object)  # noqa: S610 - this is anyio, not Django
        if info == "server_addr":
            return self._server
        return None

    @contextmanager
    def _mapped(self, broken: type[Exception], timed_out: type[Exception]) -> Iterator[None]:
        try:
            yield
        except TimeoutError as err:
            raise timed_out(err) from err
        except _BROKEN as err:
            cause = self._transport.failure or err
            raise broken(cause) from cause


class ModemNetworkBackend(httpcore.AsyncNetworkBackend):
    """Opens connections through one driver, never more at a time than the modem has sockets for.

    The limit holds over all transports that share this backend; a request that finds none free makes the others
    give up their unused connections, then waits.
    """

    def __init__(self, driver: SupportsSockets) -> None:
        limits = driver.socket_limits
        self.driver = driver
        self.limit = max(1, limits.count - RESERVED_SOCKETS)
        self.waiting = 0
        self._chunk_bytes = limits.chunk_bytes
        self._free = asyncio.Semaphore(self.limit)
        self._transports: list[SocketTransport] = []

    def join(self, transport: SocketTransport) -> None:
        """Let `transport` be asked for its unused connections."""
        self._transports.append(transport)

    def leave(self, transport: SocketTransport) -> None:
        """Undo `join`."""
        self._transports.remove(transport)

    @override
    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[httpcore.SOCKET_OPTION] | None = None,
    ) -> httpcore.AsyncNetworkStream:
        """Open a modem socket; raises httpcore.ConnectError whose cause is the ModemError, or ConnectTimeout (seconds).

        `local_address` and `socket_options` are the network stack's, which is the modem's: ignored.
        """
        try:
            with anyio.fail_after(timeout):
                await self._wait_for_free_socket()
                try:
                    sock = await self.driver.open_socket(host, port)
                except BaseException:
                    self._free.release()
                    raise
        except TimeoutError as err:
            raise httpcore.ConnectTimeout(err) from err
        except ModemError as err:
            raise httpcore.ConnectError(err) from err
        return ModemNetworkStream(ModemByteStream(sock, self._chunk_bytes, self._free.release), (host, port))

    async def _wait_for_free_socket(self) -> None:
        meter = current_meter()
        if self._free.locked():
            meter.phase = Phase.QUEUED
            for transport in list(self._transports):
                await transport.close_idle()
        self.waiting += 1
        try:
            await self._free.acquire()
        finally:
            self.waiting -= 1
        meter.phase = Phase.CONNECTING


class SocketTransport(httpx.AsyncBaseTransport):
    """An httpx transport over sockets of the modem. One for each TLS context: connections are reused within it only.

    Connections without work are closed after `keepalive_s`, whether or not another request comes.
    """

    def __init__(
        self,
        backend: ModemNetworkBackend,
        ssl_context: ssl.SSLContext | None = None,
        *,
        keepalive_s: float = KEEPALIVE_S,
    ) -> None:
        self._backend = backend
        self._keepalive_s = keepalive_s
        self._pool = httpcore.AsyncConnectionPool(
            ssl_context=ssl_context,
            max_connections=backend.limit,
            keepalive_expiry=keepalive_s,
            http1=True,
            http2=False,
            retries=0,
            network_backend=backend,
        )
        self._timer: asyncio.TimerHandle | None = None
        self._closing: asyncio.Task[None] | None = None
        self._is_closed = False
        backend.join(self)

    @property
    def is_unused(self) -> bool:
        """Return True when no connection is open: nothing is lost with this transport."""
        return all(connection.is_closed() for connection in self._pool.connections)

    @override
    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Send the request and return the response, its body still to be read; raises httpx.TransportError."""
        meter = current_meter()
        core_request = httpcore.Request(
            method=request.method,
            url=httpcore.URL(
                scheme=request.url.raw_scheme,
                host=request.url.raw_host,
                port=request.url.port,
                target=request.url.raw_path,
            ),
            headers=request.headers.raw,
            content=_body_of(request, meter),
            extensions={**request.extensions, "trace": meter.on_event},
        )
        try:
            with _as_httpx(request):
                response = await self._pool.handle_async_request(core_request)
        except BaseException:
            self._after_use()
            raise
        return httpx.Response(
            status_code=response.status,
            headers=response.headers,
            stream=_ResponseBody(response, request, self._after_use),
            extensions=response.extensions,
        )

    async def close_idle(self, *, expired_only: bool = False) -> None:
        """Close connections without work, or only those whose time is over or whose server has closed."""
        for connection in self._pool.connections:
            if connection.is_idle() and (connection.has_expired() or not expired_only):
                await connection.aclose()

    @override
    async def aclose(self) -> None:
        """Close all connections; requests under way fail."""
        if self._is_closed:
            return
        self._is_closed = True
        self._backend.leave(self)
        if self._timer is not None:
            self._timer.cancel()
        await self._pool.aclose()

    def _after_use(self) -> None:
        """A request is over: look after the connection it may have left."""
        if self._is_closed:
            return
        if self._timer is not None:
            self._timer.cancel()
        delay_s = 0.0 if self._backend.waiting else self._keepalive_s + 0.05
        self._timer = asyncio.get_running_loop().call_later(delay_s, self._start_closing)

    def _start_closing(self) -> None:
        self._timer = None
        self._closing = asyncio.get_running_loop().create_task(
            self._close_unneeded(), name="cellular_uplink idle sockets"
        )

    async def _close_unneeded(self) -> None:
        await self.close_idle(expired_only=not self._backend.waiting)
        if any(connection.is_idle() and not connection.is_closed() for connection in self._pool.connections):
            self._after_use()


class _ResponseBody(httpx.AsyncByteStream):
    """The body of a response; tells the transport when it is done with."""

    def __init__(self, response: httpcore.Response, request: httpx.Request, on_close: Callable[[], None]) -> None:
        self._response = response
        self._request = request
        self._on_close = on_close

    @override
    async def __aiter__(self) -> AsyncIterator[bytes]:
        with _as_httpx(self._request):
            async for part in self._response.aiter_stream():
                yield part

    @override
    async def aclose(self) -> None:
        await self._response.aclose()
        self._on_close()


def _body_of(request: httpx.Request, meter: Meter) -> AsyncIterator[bytes]:
    """Yield the body, telling the meter when the last of it is taken; bodies of known length are told in time."""
    stream = request.stream
    if not isinstance(stream, httpx.AsyncByteStream):
        raise TypeError("the body of a request must be asynchronous")
    left_bytes = int(request.headers.get("Content-Length", -1))

    async def pieces() -> AsyncIterator[bytes]:
        nonlocal left_bytes
        async for piece in stream:
            left_bytes -= len(piece)
            if left_bytes == 0:  # before it is sent, since sending it may be the last that happens
                meter.body_taken()
            yield piece
        meter.body_taken()

    return pieces()


@contextmanager
def _as_httpx(request: httpx.Request) -> Iterator[None]:
    """Raise httpcore's errors as httpx's of the same name, with the cause kept: its pool cuts it off."""
    try:
        yield
    except _HTTPCORE_ERRORS as err:
        if err.args and isinstance(err.args[0], BaseException):
            err.__cause__ = err.args[0]
        kind: type[httpx.TransportError] = getattr(httpx, type(err).__name__, httpx.TransportError)
        raise kind(str(err), request=request) from err
