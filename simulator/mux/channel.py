"""One DLCI: a link that an AT session talks over."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING

from simulator.trace import render

if TYPE_CHECKING:
    from simulator.mux.multiplexer import Multiplexer

_WAITING_LIMIT_BYTES = 1 << 20


class Channel:
    """Cuts what the session says into frames; stops while the host says so with MSC (5.4.6.3.7)."""

    def __init__(self, mux: Multiplexer, dlci: int, n1: int) -> None:
        self._mux = mux
        self.dlci = dlci
        self.n1 = n1
        self._stopped = False
        self._waiting: deque[tuple[bytes, float | None, str | None]] = deque()
        self._host_stopped = False

    def write(self, data: bytes, ready_at: float | None = None, note: str | None = "") -> None:
        """Send bytes in frames of at most N1."""
        if self._stopped:
            if sum(len(piece) for piece, _, _ in self._waiting) < _WAITING_LIMIT_BYTES:
                self._waiting.append((data, ready_at, note))
            return
        shown = None if note is None else f"[{self.dlci}] {note or render(data)}"
        for start in range(0, len(data), self.n1):
            piece = data[start : start + self.n1]
            last = start + self.n1 >= len(data)
            self._mux.send_data(self.dlci, piece, ready_at, shown if last else None)

    def flow(self, *, stop: bool) -> None:
        """The host takes nothing, or takes again."""
        self._stopped = stop
        while self._waiting and not self._stopped:
            self.write(*self._waiting.popleft())

    def pause(self) -> None:
        """Take nothing from the host for now: MSC with FC."""
        if not self._host_stopped:
            self._host_stopped = True
            self._mux.tell_status(self.dlci, stop=True)

    def resume(self) -> None:
        """Take from the host again."""
        if self._host_stopped:
            self._host_stopped = False
            self._mux.tell_status(self.dlci, stop=False)

    async def drained(self) -> None:
        """Wait until everything written has gone out."""
        await self._mux.line.drained()
