"""A test double for a modem: its sockets are real TCP connections on the loopback interface.

And servers to connect to: they parse with h11, so what they understand is HTTP/1.1, not what the client meant.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
import contextlib
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
import ssl

import h11

from custom_components.cellular_uplink.modem.drivers.base import Identity, SocketLimits
from custom_components.cellular_uplink.modem.errors import ModemError, SocketError


class LoopbackSocket:
    """One modem socket. `chunks` is what every send command carried; `fail_at` breaks the send of that index."""

    def __init__(self, driver: LoopbackDriver, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._driver = driver
        self._reader = reader
        self._writer = writer
        self._received = bytearray()
        self._is_over = False
        self._news = asyncio.Event()
        self._pump_task = asyncio.create_task(self._pump())
        self.chunks: list[bytes] = []
        self.is_closed = False

    async def _pump(self) -> None:
        with contextlib.suppress(OSError):
            while data := await self._reader.read(65536):
                self._received += data
                self._news.set()
        self._is_over = True
        self._news.set()

    @property
    def readable(self) -> bool:
        return bool(self._received) or self._is_over

    async def until_readable(self) -> None:
        while not self.readable:
            self._news.clear()
            await self._news.wait()

    async def send(self, data: bytes) -> None:
        assert 1 <= len(data) <= self._driver.socket_limits.chunk_bytes
        index = len(self.chunks)
        self.chunks.append(data)
        self._driver.log.append(self)
        if self._driver.before_send is not None:
            await self._driver.before_send(self, index)
        async with self._driver.port:
            await asyncio.sleep(0)
            if self.is_closed or (self._is_over and not self._driver.takes_after_close):
                raise SocketError("closed", "The server has closed the connection")
            with contextlib.suppress(OSError):
                self._writer.write(data)
                await self._writer.drain()

    async def receive(self) -> bytes:
        await self.until_readable()
        if self._driver.receive_error is not None and not self._received:
            raise self._driver.receive_error
        data = bytes(self._received)
        self._received.clear()
        return data

    def close(self) -> None:
        if not self.is_closed:
            self.is_closed = True
            self._writer.close()
            self._pump_task.cancel()


class LoopbackDriver:
    """As much of a driver as a route needs."""

    family = "loopback"

    def __init__(self, *, chunk_bytes: int = 1460, count: int = 12) -> None:
        self.socket_limits = SocketLimits(count=count, chunk_bytes=chunk_bytes)
        self.sockets: list[LoopbackSocket] = []
        self.log: list[LoopbackSocket] = []
        self.port = asyncio.Lock()
        self.before_send: Callable[[LoopbackSocket, int], Awaitable[None]] | None = None
        self.before_open: Callable[[], Awaitable[None]] | None = None
        self.receive_error: ModemError | None = None
        self.takes_after_close = False
        self.asked_for: list[tuple[str, int]] = []
        self.hosts: dict[str, str] = {}

    @property
    def open_sockets(self) -> list[LoopbackSocket]:
        return [sock for sock in self.sockets if not sock.is_closed]

    async def open_socket(self, host: str, port: int) -> LoopbackSocket:
        self.asked_for.append((host, port))
        if self.before_open is not None:
            await self.before_open()
        if len(self.open_sockets) >= self.socket_limits.count:
            raise SocketError("no_free_socket", "All sockets of the modem are in use")
        try:
            reader, writer = await asyncio.open_connection(self.hosts.get(host, "127.0.0.1"), port)
        except OSError as err:
            raise SocketError("566", "The connection failed") from err
        sock = LoopbackSocket(self, reader, writer)
        self.sockets.append(sock)
        return sock


class LoopbackModem:
    """As much of a session as the engine needs."""

    def __init__(self, driver: object, baud: int | None = 115200) -> None:
        self.driver = driver
        self.baud = baud
        self.identity = Identity(family="loopback", vendor="Loop", model="Back")
        self.error: ModemError | None = None
        self.times_asked = 0

    async def ensure_online(self) -> object:
        self.times_asked += 1
        if self.error is not None:
            raise self.error
        return self.driver


@dataclass
class Received:
    """One request as the server understood it."""

    method: str
    target: str
    headers: dict[str, str]
    body: bytes
    connection: int


@dataclass
class Server:
    """A real HTTP server on loopback. `answer` is what it says to a request, in bytes of HTTP."""

    port: int = 0
    scheme: str = "http"
    host: str = "127.0.0.1"
    requests: list[Received] = field(default_factory=list)
    connections: int = 0
    answer: bytes = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
    closes_after_answer: bool = False
    tls_versions: list[str] = field(default_factory=list)
    server_names: list[str | None] = field(default_factory=list)
    hold: asyncio.Event | None = None
    drop: asyncio.Event = field(default_factory=asyncio.Event)

    @property
    def url(self) -> str:
        return f"{self.scheme}://{self.host}:{self.port}/in"

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        number = self.connections
        if (tls := writer.get_extra_info("ssl_object")) is not None:
            self.tls_versions.append(tls.version())
        dropping = asyncio.create_task(self._drop_when_told(writer))
        try:
            await self._converse(reader, writer, number)
        except h11.RemoteProtocolError:
            pass
        finally:
            dropping.cancel()
            await asyncio.gather(dropping, return_exceptions=True)

    async def _drop_when_told(self, writer: asyncio.StreamWriter) -> None:
        await self.drop.wait()
        writer.close()

    async def _converse(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, number: int) -> None:
        http = h11.Connection(h11.SERVER)
        head: h11.Request | None = None
        body = b""
        while True:
            event = http.next_event()
            if event is h11.NEED_DATA:
                data = await reader.read(65536)
                if not data and head is None:
                    return
                http.receive_data(data)
            elif isinstance(event, h11.Request):
                head, body = event, b""
            elif isinstance(event, h11.Data):
                body += bytes(event.data)
            elif isinstance(event, h11.EndOfMessage):
                assert head is not None
                self.requests.append(
                    Received(
                        head.method.decode(),
                        head.target.decode(),
                        {name.decode(): value.decode("latin-1") for name, value in head.headers},
                        body,
                        number,
                    )
                )
                if self.hold is not None:
                    await self.hold.wait()
                writer.write(self.answer)
                await writer.drain()
                if self.closes_after_answer:
                    return
                http = h11.Connection(h11.SERVER)
                head = None
            else:
                return


@asynccontextmanager
async def serving(context: ssl.SSLContext | None = None) -> AsyncIterator[Server]:
    server = Server(scheme="https" if context else "http", host="localhost" if context else "127.0.0.1")
    if context is not None:
        context.sni_callback = lambda _sock, name, _context: server.server_names.append(name)
    async with scripted(server.serve, context) as port:
        server.port = port
        yield server


@asynccontextmanager
async def scripted(
    handler: Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]],
    context: ssl.SSLContext | None = None,
) -> AsyncIterator[int]:
    """Run a TCP server whose connections `handler` deals with; give its port."""
    tasks: set[asyncio.Task[None]] = set()

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        tasks.add(task)
        with contextlib.suppress(OSError, asyncio.IncompleteReadError, asyncio.CancelledError):
            await handler(reader, writer)
        writer.close()

    server = await asyncio.start_server(handle, "127.0.0.1", 0, ssl=context)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        server.close_clients()
        with contextlib.suppress(OSError):
            await server.wait_closed()


async def until(condition: Callable[[], bool], timeout_s: float = 10) -> None:
    """Let the others work until something has come about."""
    async with asyncio.timeout(timeout_s):
        while not condition():
            await asyncio.sleep(0.001)
