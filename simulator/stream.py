"""A connection for a modem's own HTTP client, with or without TLS."""

from __future__ import annotations

import asyncio
import socket

from simulator.tcp import Ending, TcpLink
from simulator.tls import TlsPolicy

_SEND_BYTES = 65536
_PIECE_BYTES = 1460
_WINDOW_BYTES = 16384  # "windowsize" of the relatives (bg96.md 2.2)


async def _at_once() -> None:
    """What is received goes into the module, not to the line."""


class Stream:
    """A TcpLink that is awaited."""

    def __init__(self, policy: TlsPolicy | None) -> None:
        self._link = TcpLink(_SEND_BYTES, _WINDOW_BYTES, self._on_data, self._on_end, _at_once, policy)
        self._ending: Ending | None = None
        self._news = asyncio.Event()

    async def open(self, host: str, port: int, timeout_s: float, family: socket.AddressFamily) -> None:
        """Connect; raises OpenFailedError or TlsFailedError."""
        await self._link.open(host, port, timeout_s, family)

    async def send(self, data: bytes) -> None:
        """Send all of it; ConnectionError once the connection has ended."""
        for start in range(0, len(data), _PIECE_BYTES):
            piece = data[start : start + _PIECE_BYTES]
            while not self._link.send(piece):
                if self._ending or not await self._link.wait_free(len(piece), 1):
                    self._check()
            self._check()

    async def recv(self, limit: int = 4096) -> bytes:
        """Some bytes; none once the peer has closed; ConnectionError if the connection broke."""
        while not (data := self._link.read(limit)):
            if self._ending is Ending.CLOSED:
                return b""
            self._check()
            self._news.clear()
            await self._news.wait()
        return data

    @property
    def ended(self) -> bool:
        """Whether the peer has closed, or broken the connection off."""
        return self._ending is not None

    async def news(self) -> None:
        """Wait until there is something to read, or the end."""
        while not self._link.received and self._ending is None:
            self._news.clear()
            await self._news.wait()

    async def flushed(self) -> None:
        """Wait until the peer's system has confirmed everything."""
        await self._link.wait_acknowledged()

    def close(self) -> None:
        """Close at once."""
        self._link.drop()

    def _check(self) -> None:
        if self._ending is not None:
            raise ConnectionResetError(self._ending.name)

    def _on_data(self, data: bytes) -> None:
        del data  # TcpLink keeps it
        self._news.set()

    def _on_end(self, ending: Ending) -> None:
        self._ending = ending
        self._news.set()
