"""Transparent mode: the port is one connection's bytes (bg96.md 4, M-TCP 2.2; ml307r.md 5.1, TCP 3.3 and 3.19)."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
import enum
from typing import TYPE_CHECKING, Protocol

from simulator.clock import now
from simulator.data_mode import escape
from simulator.trace import shortened

if TYPE_CHECKING:
    from simulator.registry import Call
    from simulator.session import Session

_STALL_S = 3600.0


class Sender(Protocol):
    """A connection that takes bytes."""

    def send(self, data: bytes) -> bool:
        """Take data if there is room for all of it."""

    async def wait_free(self, size: int, timeout_s: float) -> bool:
        """Wait for room; False once there will be none."""


class Left(enum.Enum):
    """How transparent mode ended."""

    ESCAPED = enum.auto()
    CLOSED = enum.auto()


@dataclass(frozen=True, slots=True)
class Packing:
    """How the host's bytes are cut into packets: at a size, or after a silence."""

    size: int
    silence_s: float


class Pipe:
    """Both directions between a host and a connection, from CONNECT until `+++` or the connection's end."""

    def __init__(self, session: Session, link: Sender) -> None:
        self._session = session
        self._link = link
        self._closed = asyncio.Event()

    def give(self, data: bytes) -> None:
        """Hand bytes from the connection to the host."""
        if data:
            self._session.link.write(data, note=shortened(data))

    def close(self) -> None:
        """Note that the connection has ended."""
        self._closed.set()

    async def run(self, call: Call, packing: Packing) -> Left:
        """Carry bytes; the caller has said CONNECT."""
        inbox = self._session.inbox
        guard_s = call.modem.switches.seconds("guard_s")
        pending = bytearray()
        last = call.arrived
        while not self._closed.is_set():
            if pending and (len(pending) >= packing.size or now() >= last + packing.silence_s):
                await self._flush(call, pending, packing.size)
                continue
            if not inbox.buffer:
                await self._wait(packing.silence_s if pending else None)
                continue
            if inbox.buffer.startswith(b"+"):
                piece, last, escaped = await escape(inbox, last, guard_s)
                if escaped:
                    await self._flush(call, pending, packing.size)
                    call.arrived = now()
                    return Left.ESCAPED
            else:
                piece, last = inbox.take(max(1, packing.size - len(pending)))
            pending += piece
        call.arrived = now()
        return Left.CLOSED

    async def _wait(self, timeout_s: float | None) -> None:
        waits = [asyncio.ensure_future(self._session.inbox.more()), asyncio.ensure_future(self._closed.wait())]
        try:
            await asyncio.wait(waits, timeout=timeout_s, return_when=asyncio.FIRST_COMPLETED)
        finally:
            # Not awaited: a cancellation of this task must not be taken for one of theirs.
            for wait in waits:
                wait.cancel()

    async def _flush(self, call: Call, pending: bytearray, size: int) -> None:
        while pending and not self._closed.is_set():
            piece = bytes(pending[:size])
            if not await self._link.wait_free(len(piece), _STALL_S) or not self._link.send(piece):
                break
            call.session.trace.host(shortened(piece), now())
            del pending[: len(piece)]
        pending.clear()
