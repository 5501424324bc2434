"""Real TCP connections with a modem's finite buffers."""

import asyncio
from collections.abc import Awaitable, Callable
import contextlib
import enum
import fcntl
import socket
import struct
import termios

from simulator.clock import now
from simulator.faults.sockets import Cut, Loss, current
from simulator.tls import TlsPolicy, TlsStream, secure

_READ_BYTES = 1460
_POLL_S = 0.01


class OpenFailure(enum.Enum):
    """Why a connection did not come about."""

    DNS = enum.auto()
    REFUSED = enum.auto()
    TIMEOUT = enum.auto()
    OTHER = enum.auto()
    DEGRADED = enum.auto()  # a fault: the modem's stack opens nothing any more


class OpenFailedError(Exception):
    """A connection did not come about."""

    def __init__(self, failure: OpenFailure) -> None:
        super().__init__(failure.name)
        self.failure = failure


class Ending(enum.Enum):
    """How the peer ended a connection."""

    CLOSED = enum.auto()
    BROKEN = enum.auto()


async def resolve(host: str, family: socket.AddressFamily = socket.AF_UNSPEC) -> list[str]:
    """Addresses of a name, by the host's resolver."""
    try:
        found = await asyncio.get_running_loop().getaddrinfo(host, None, family=family, type=socket.SOCK_STREAM)
    except OSError, UnicodeError:
        raise OpenFailedError(OpenFailure.DNS) from None
    addresses = list(dict.fromkeys(str(item[4][0]) for item in found))
    return sorted(addresses, key=lambda address: ":" in address)


async def connect(host: str, port: int, family: socket.AddressFamily) -> socket.socket:
    """A connected non-blocking socket, from the first address that takes it."""
    failure = OpenFailure.OTHER
    for address in await resolve(host, family):
        sock = socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET, socket.SOCK_STREAM)
        sock.setblocking(False)  # noqa: FBT003 - its own signature
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        try:
            await asyncio.get_running_loop().sock_connect(sock, (address, port))
        except ConnectionRefusedError:
            failure = OpenFailure.REFUSED
            sock.close()
        except OSError:
            sock.close()
        except asyncio.CancelledError:
            sock.close()
            raise
        else:
            return sock
    raise OpenFailedError(failure)


def _settler(future: asyncio.Future[None]) -> Callable[[], None]:
    def settle() -> None:
        if not future.done():
            future.set_result(None)

    return settle


class TcpLink:
    """One connection.

    `on_data` and `on_end` are called as things happen; `room` is awaited before each read, so
    that a slow line holds back a fast peer.
    """

    def __init__(
        self,
        send_limit: int,
        recv_limit: int,
        on_data: Callable[[bytes], None],
        on_end: Callable[[Ending], None],
        room: Callable[[], Awaitable[None]],
        tls: TlsPolicy | None = None,
    ) -> None:
        self._loop = asyncio.get_running_loop()
        self._policy = tls
        self._tls: TlsStream | None = None
        self._faults = current()
        self._cut: Cut | None = None
        self._loss: Loss | None = None
        self._refused = False
        self._send_limit = send_limit
        self._recv_limit = recv_limit
        self._on_data = on_data
        self._on_end = on_end
        self._room = room
        self._socket: socket.socket | None = None
        self._pending = bytearray()
        self._wake_writer = asyncio.Event()
        self._space = asyncio.Event()
        self._space.set()
        self._tasks: list[asyncio.Task[None]] = []
        self.received = bytearray()
        self.total_sent = 0
        self.total_received = 0
        self.remote_ip = ""
        self.remote_port = 0
        self.local_port = 0

    async def open(self, host: str, port: int, timeout_s: float, family: socket.AddressFamily) -> None:
        """Connect, or raise OpenFailedError; with TLS also TlsFailedError."""
        if self._faults.degraded:
            raise OpenFailedError(OpenFailure.DEGRADED)
        self._cut = self._faults.cut()
        try:
            async with asyncio.timeout(timeout_s):
                await self._faults.alive()
                sock = await self._connect(host, port, family)
        except TimeoutError:
            raise OpenFailedError(OpenFailure.TIMEOUT) from None
        if self._policy:
            self._faults.tls_opened()
            try:
                self._tls = await secure(sock, self._policy)
            except BaseException:
                self.drop()
                raise
        self._tasks = [self._loop.create_task(self._reader(sock)), self._loop.create_task(self._writer(sock))]

    async def _connect(self, host: str, port: int, family: socket.AddressFamily) -> socket.socket:
        sock = await connect(host, port, family)
        self._socket = sock
        self.remote_ip, self.remote_port = sock.getpeername()[:2]
        self.local_port = sock.getsockname()[1]
        return sock

    # Out

    @property
    def unacknowledged(self) -> int:
        """Bytes the peer's system has not confirmed."""
        return len(self._pending) + self._in_kernel()

    @property
    def free(self) -> int:
        """Bytes the modem still takes."""
        return self._send_limit - self.unacknowledged

    def send(self, data: bytes) -> bool:
        """Take data if there is room for all of it."""
        self._refused = self._faults.refuses()
        if self._refused or len(data) > self.free:
            return False
        cut = self._cut
        room = len(data) if cut is None or not cut.outgoing else max(0, cut.after - self.total_sent)
        self._pending += data[:room]
        self.total_sent += len(data)
        self._wake_writer.set()
        return True

    async def wait_free(self, size: int, timeout_s: float) -> bool:
        """Wait for room; confirmations have no event, so they are looked for."""
        end = now() + timeout_s
        if self._refused:
            return False
        while self.free < size:
            if self._socket is None or now() >= end:
                return False
            await asyncio.sleep(_POLL_S)
        return True

    async def wait_acknowledged(self) -> int:
        """Wait until everything is confirmed; give the number of bytes confirmed so far."""
        while self._socket is not None and self.unacknowledged:  # noqa: ASYNC110 - the kernel has no event for it
            await asyncio.sleep(_POLL_S)
        return self.total_sent - self.unacknowledged

    def _in_kernel(self) -> int:
        if self._socket is None:
            return 0
        count = bytearray(4)
        try:
            fcntl.ioctl(self._socket, termios.TIOCOUTQ, count)
        except OSError:
            return 0
        return int(struct.unpack("=i", count)[0])

    async def _writer(self, sock: socket.socket) -> None:
        try:
            while True:
                await self._wake_writer.wait()
                self._wake_writer.clear()
                while self._pending:
                    await self._faults.alive()
                    sent = await self._send_some(sock, bytes(self._pending[:65536]))
                    del self._pending[:sent]
                if self._cut and self._cut.outgoing and self.total_sent >= self._cut.after:
                    self._cut_off(reset=self._cut.reset)
                    return
        except OSError:
            self._pending.clear()  # the reader tells of the end

    async def _send_some(self, sock: socket.socket, data: bytes) -> int:
        if self._tls:
            await self._tls.send(data)
            return len(data)
        while True:
            try:
                return sock.send(data)
            except BlockingIOError:
                writable: asyncio.Future[None] = self._loop.create_future()
                self._loop.add_writer(sock, _settler(writable))
                try:
                    await writable
                finally:
                    self._loop.remove_writer(sock)

    # In

    def read(self, count: int) -> bytes:
        """Take what has been received, oldest first."""
        data = bytes(self.received[:count])
        del self.received[:count]
        if len(self.received) < self._recv_limit:
            self._space.set()
        return data

    async def _reader(self, sock: socket.socket) -> None:
        ending = Ending.CLOSED
        try:
            while True:
                await self._space.wait()
                await self._room()
                data = await (self._tls.recv(_READ_BYTES) if self._tls else self._loop.sock_recv(sock, _READ_BYTES))
                await self._faults.alive()
                if data:
                    self._loss = self._loss or self._faults.loss()
                if self._loss and not self._loss.silent:
                    self._cut_off(reset=self._loss.reset)
                    return
                if not data:
                    break
                if self._loss:
                    continue
                if self._cut_in(data):
                    return
                self.received += data
                self.total_received += len(data)
                if len(self.received) >= self._recv_limit:
                    self._space.clear()
                self._on_data(data)
        except OSError:
            ending = Ending.BROKEN
        if not (self._loss and self._loss.silent):
            self._on_end(ending)

    def _cut_in(self, data: bytes) -> bool:
        """Whether the connection ends within these bytes, by a fault."""
        cut = self._cut
        if cut is None or cut.outgoing or self.total_received + len(data) < cut.after:
            return False
        data = data[: max(0, cut.after - self.total_received)]
        self.received += data
        self.total_received += len(data)
        if data:
            self._on_data(data)
        self._cut_off(reset=cut.reset)
        return True

    def _cut_off(self, *, reset: bool) -> None:
        """End the connection in the middle, for both sides."""
        if reset and self._socket is not None:
            self._tls = None
            self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.drop()
        self._on_end(Ending.BROKEN if reset else Ending.CLOSED)

    # End

    async def close(self, drain_s: float = 0.0) -> None:
        """Close, once what was sent is confirmed or the time is over."""
        if drain_s and self._pending:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(drain_s):
                    await self.wait_acknowledged()
        self.drop()

    def drop(self) -> None:
        """Close at once."""
        sock, self._socket = self._socket, None
        tls, self._tls = self._tls, None
        if tls:
            tls.end()
        for task in self._tasks:
            if task is not asyncio.current_task():
                task.cancel()
        self._tasks.clear()
        if sock is not None:
            with contextlib.suppress(OSError):
                self._loop.remove_writer(sock)
                self._loop.remove_reader(sock)
            sock.close()
