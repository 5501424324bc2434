"""What the sockets of all families share: which ids are free, and what one connection has received."""

from abc import ABC, abstractmethod
import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from functools import partial

from ..at.command import Response
from ..errors import CommandError, ModemError, SocketError
from .base import Traffic
from .generic import wait_event


class BaseSocket(ABC):
    """State of one connection; families add how to send, fetch and close. Event methods are called by URC handlers."""

    def __init__(self, socket_id: int, traffic: Traffic) -> None:
        self.id = socket_id
        self._traffic = traffic
        self._changed = asyncio.Event()
        self.opened = asyncio.Event()
        self.open_result = 0
        self.is_closed_by_peer = False
        self.error: ModemError | None = None
        self._is_closing = False
        self.has_failed = False
        """The connection never came about, or broke."""
        self.is_gone = False
        """The modem restarted: it knows nothing of this connection, and the id may be another's by now."""

    @property
    @abstractmethod
    def readable(self) -> bool:
        """True when `receive` would not wait."""

    def peer_closed(self) -> None:
        """The peer closed its side."""
        self.is_closed_by_peer = True
        self._changed.set()

    def broke(self, error: ModemError) -> None:
        """The connection ended for any other reason; everything that waits on it fails with this error."""
        if self.error is None:
            self.error = error
        self.opened.set()
        self._changed.set()

    def check_sendable(self, data: bytes, chunk_bytes: int) -> None:
        """Raise when a chunk cannot be sent: a wrong size is our bug, a broken or closed connection a SocketError."""
        if not 0 < len(data) <= chunk_bytes:
            raise ValueError(f"a chunk has 1 to {chunk_bytes} bytes, not {len(data)}")
        if self.error is not None:
            raise self.error
        if self._is_closing:
            raise SocketError("closed", "The connection was closed on this side")
        if self.is_closed_by_peer:
            raise SocketError("closed", "The server closed the connection")

    def close(self, *, failed: bool = False) -> None:
        """Give the socket back, once; what waits on it fails."""
        if self._is_closing:
            return
        self._is_closing = True
        self.has_failed = failed or self.error is not None
        self.broke(SocketError("closed", "The connection was closed on this side"))
        if not self.is_gone:
            self._enqueue_close()

    async def wait_open(
        self, host: str, is_open: Callable[[], Awaitable[bool]], *, timeout_s: float, pauses_s: tuple[float, float]
    ) -> int:
        """Wait for the URC that tells how opening went; return its number, 0 for open.

        Without a word the modem is asked, after the first of `pauses_s` and then at growing distances up to the second:
        its URCs may go to another port. `is_open` raises what the modem says against it.

        Raises:
            SocketError: timeout, or what ended the connection meanwhile.
        """
        pause_s, longest_s = pauses_s
        try:
            async with asyncio.timeout(timeout_s):
                while not await wait_event(self.opened, pause_s):
                    pause_s = min(pause_s * 2, longest_s)
                    if await is_open():
                        return 0
        except TimeoutError as err:
            raise SocketError("timeout", f"{host} could not be reached within {timeout_s:.0f} s") from err
        if self.error is not None:
            raise self.error
        return self.open_result

    @abstractmethod
    def _enqueue_close(self) -> None:
        """Enqueue the family's close command and see to the id."""


class SocketTable[S: BaseSocket]:
    """The sockets of one modem: who has which id, and what happens to all of them at once.

    Of the free ids it hands out the one unused for longest: late events of a closed socket meet no new one. The id of a
    failed connection is left alone for `quarantine_s` while there are others.
    """

    def __init__(self, count: int) -> None:
        self._count = count
        self._open: dict[int, S] = {}
        self._free = deque(range(count))
        self._barred: deque[tuple[float, int]] = deque()
        self.quarantine_s = 0.0
        self._closing = 0
        self._changed = asyncio.Event()

    def __contains__(self, socket_id: int) -> bool:
        return socket_id in self._open

    def get(self, socket_id: int) -> S | None:
        """Return the open socket with this id."""
        return self._open.get(socket_id)

    async def take_id(self) -> int:
        """Return a free id, after a wait where one is just being given back; raises SocketError no_free_socket."""
        while True:
            now = asyncio.get_running_loop().time()
            while self._barred and self._barred[0][0] <= now:
                self._free.append(self._barred.popleft()[1])
            if self._free:
                return self._free.popleft()
            if not self._closing:
                if self._barred:
                    return self._barred.popleft()[1]
                raise SocketError("no_free_socket", "All of the modem's sockets are in use")
            self._changed.clear()
            await self._changed.wait()

    @contextmanager
    def opening(self, socket: S) -> Iterator[S]:
        """Keep a socket under the id that was taken for it; what fails within gives it back."""
        self._open[socket.id] = socket
        try:
            yield socket
        except BaseException:
            socket.close(failed=True)
            raise

    def give_back(self, socket: S, closing: asyncio.Future[Response]) -> None:
        """The close command was enqueued; the id is used again only if the modem says it is free."""
        self._closing += 1
        closing.add_done_callback(partial(self._closed, socket))

    def forget(self, socket: S) -> None:
        """The modem has freed the id by itself."""
        del self._open[socket.id]
        self._free.append(socket.id)
        self._changed.set()

    def _closed(self, socket: S, closing: asyncio.Future[Response]) -> None:
        self._closing -= 1
        self._changed.set()
        if socket.is_gone:
            return
        del self._open[socket.id]
        error = closing.exception()
        if error is not None and not isinstance(error, CommandError):  # refused: it was free already
            return
        if socket.has_failed and self.quarantine_s:
            self._barred.append((asyncio.get_running_loop().time() + self.quarantine_s, socket.id))
        else:
            self._free.append(socket.id)

    def break_all(self, error: ModemError) -> None:
        """End every connection with this error."""
        for socket in tuple(self._open.values()):
            socket.broke(error)

    def forget_all(self, error: ModemError) -> None:
        """End every connection of a modem that knows of none any more: all ids are free."""
        for socket in self._open.values():
            socket.is_gone = True
        self.break_all(error)
        self._open.clear()
        self._free = deque(range(self._count))
        self._barred.clear()
        self._changed.set()
