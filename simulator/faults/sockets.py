"""Faults of the packet side: what a connection finds in its way."""

import asyncio
from collections.abc import Mapping
from contextvars import ContextVar
from dataclasses import dataclass

from simulator.faults.catalogue import Value


@dataclass(slots=True)
class Cut:
    """A connection that will end after some bytes."""

    after: int
    outgoing: bool
    reset: bool


@dataclass(slots=True)
class Loss:
    """A connection whose answer will be lost."""

    silent: bool
    reset: bool


class SocketFaults:
    """What goes wrong with connections; connections ask, nobody tells them."""

    def __init__(self) -> None:
        self.fails = 0
        self._cut: Cut | None = None
        self._cuts = 0
        self._loss: Loss | None = None
        self._losses = 0
        self._stuck: int | None = None
        self._used: set[int] = set()
        self._opens_left: int | None = None
        self._alive = asyncio.Event()
        self._alive.set()
        self.cure = "reactivate"

    # Told

    def set(self, name: str, given: Mapping[str, Value]) -> None:
        """Begin one of these faults."""
        if name == "send_fail":
            self.fails = int(given["times"])
        elif name == "close_after":
            self._cut = Cut(int(given["bytes"]), given["direction"] == "out", given["how"] == "reset")
            self._cuts = int(given["times"])
        elif name == "response_lost":
            self._loss = Loss(given["how"] == "silence", given["how"] == "reset")
            self._losses = int(given["times"])
        elif name == "id_stuck":
            self._stuck = int(given["id"])
            self._used.clear()
        elif name == "stack_degraded":
            self._opens_left = int(given["opens"])

    def clear(self, name: str) -> None:
        """End one of these faults."""
        if name == "send_fail":
            self.fails = 0
        elif name == "close_after":
            self._cuts = 0
        elif name == "response_lost":
            self._losses = 0
        elif name == "id_stuck":
            self._stuck = None
        elif name == "stack_degraded":
            self._opens_left = None

    def reset(self) -> None:
        """A reboot frees ids, and mends a degraded stack and a dead context."""
        self._used.clear()
        self._stuck = None
        self._opens_left = None
        self._alive.set()

    def kill(self, cure: str) -> None:
        """From here on nothing passes."""
        self.cure = cure
        self._alive.clear()

    def revive(self) -> None:
        """Let everything pass again."""
        self._alive.set()

    # Asked

    @property
    def dead(self) -> bool:
        """Whether nothing passes."""
        return not self._alive.is_set()

    async def alive(self) -> None:
        """Wait while nothing passes."""
        await self._alive.wait()

    def refuses(self) -> bool:
        """Whether this send finds no room."""
        if self.fails <= 0:
            return False
        self.fails -= 1
        return True

    def cut(self) -> Cut | None:
        """What a new connection is in for."""
        if self._cut is None or self._cuts <= 0:
            return None
        self._cuts -= 1
        return self._cut

    def loss(self) -> Loss | None:
        """Whether the answer that comes now is lost."""
        if self._loss is None or self._losses <= 0:
            return None
        self._losses -= 1
        return self._loss

    def id_taken(self, number: int) -> bool:
        """Whether the modem still holds an id that looks free."""
        if self._stuck is None:
            return False
        if self._stuck >= 0:
            return number == self._stuck
        taken = number in self._used
        self._used.add(number)
        return taken

    def tls_opened(self) -> None:
        """Count a TLS open."""
        if self._opens_left:
            self._opens_left -= 1

    @property
    def degraded(self) -> bool:
        """Whether every open fails."""
        return self._opens_left == 0


# Connections are made deep inside commands; each takes the faults of the modem whose command it is.
CURRENT: ContextVar[SocketFaults | None] = ContextVar("socket_faults", default=None)


def current() -> SocketFaults:
    """The faults for a connection made now."""
    return CURRENT.get() or SocketFaults()
