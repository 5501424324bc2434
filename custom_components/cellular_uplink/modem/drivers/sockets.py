"""What the sockets of all families share: which ids are free, and what one connection has received."""

from abc import ABC, abstractmethod
import asyncio
from collections import deque
from collections.abc import Iterable

from ..errors import ModemError, SocketError
from .base import Traffic


class SocketIds:
    """Hands out socket ids, the one unused for longest first: late events of a closed socket meet no new one."""

    def __init__(self, ids: Iterable[int]) -> None:
        self._free = deque(ids)

    def take(self) -> int:
        """Return a free id; raises SocketError no_free_socket."""
        if not self._free:
            raise SocketError("no_free_socket", "All of the modem's sockets are in use")
        return self._free.popleft()

    def give_back(self, socket_id: int) -> None:
        """Return an id, to the end of the row."""
        if socket_id not in self._free:
            self._free.append(socket_id)


class BaseSocket(ABC):
    """State of one connection; families add how to send, fetch and close. Event methods are called by URC handlers."""

    def __init__(self, socket_id: int, traffic: Traffic) -> None:
        self.id = socket_id
        self._traffic = traffic
        self._changed = asyncio.Event()
        self.is_closed_by_peer = False
        self.error: ModemError | None = None
        self._is_closing = False

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

    def close(self) -> None:
        """Give the socket back, once; what waits on it fails."""
        if self._is_closing:
            return
        self._is_closing = True
        self.broke(SocketError("closed", "The connection was closed on this side"))
        self._enqueue_close()

    @abstractmethod
    def _enqueue_close(self) -> None:
        """Enqueue the family's close command and see to the id."""
