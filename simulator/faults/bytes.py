"""Faults of the line: bytes lost, doubled, changed or late."""

from collections import deque
from collections.abc import Callable, Mapping
import random

from simulator.clock import Timers, now
from simulator.faults.catalogue import Value

KINDS = ("drop", "duplicate", "corrupt", "delay")

type Piece = tuple[bytes, float]
type Receiver = Callable[[bytes, float, float], None]


class Picker:
    """Picks bytes of a stream, the same ones every time."""

    def __init__(self, given: Mapping[str, Value]) -> None:
        self._at = int(given["at"])
        self._every = int(given["every"])
        self._rate = float(given["rate"])
        self._left = int(given["times"]) or None
        self._random = random.Random(int(given["seed"]))  # noqa: S311 - faults must repeat
        self._count = 0
        self.pause_s = float(given.get("seconds", 0))

    def picks(self) -> bool:
        """Whether the next byte is one."""
        self._count += 1
        hit = self._count == self._at or (self._every > 0 and self._count % self._every == 0)
        if self._rate > 0 and self._random.random() < self._rate:
            hit = True
        if not hit or self._left == 0:
            return False
        if self._left is not None:
            self._left -= 1
        return True

    def flipped(self, byte: int) -> int:
        """The byte with one bit changed."""
        return byte ^ 1 << self._random.randrange(8)


class Spoiler:
    """All byte faults of one direction."""

    def __init__(self) -> None:
        self._pickers: dict[str, Picker] = {}
        self.hits = 0

    def set(self, kind: str, given: Mapping[str, Value]) -> None:
        """Begin a fault, counting from here."""
        self._pickers[kind] = Picker(given)

    def clear(self, kind: str) -> None:
        """End a fault."""
        self._pickers.pop(kind, None)

    @property
    def active(self) -> bool:
        """Whether there is anything to do."""
        return bool(self._pickers)

    def spoil(self, data: bytes) -> list[Piece]:
        """What becomes of some bytes: pieces, each with a pause before it."""
        pieces: list[Piece] = []
        rest = bytearray()
        pause_s = 0.0
        for original in data:
            byte = original
            copies = 1
            for kind, picker in self._pickers.items():
                if not picker.picks():
                    continue
                self.hits += 1
                if kind == "drop":
                    copies = 0
                elif kind == "duplicate":
                    copies = 2 * copies
                elif kind == "corrupt":
                    byte = picker.flipped(byte)
                else:
                    pieces.append((bytes(rest), pause_s))
                    rest.clear()
                    pause_s = picker.pause_s
            rest += bytes((byte,)) * copies
        pieces.append((bytes(rest), pause_s))
        return [(piece, pause) for piece, pause in pieces if piece or pause]


class Entrance:
    """Where bytes from the host come in: spoiled, in order, some of them late."""

    def __init__(self, timers: Timers, receiver: Receiver) -> None:
        self._timers = timers
        self._receiver = receiver
        self._late: deque[tuple[float, bytes, float]] = deque()
        self.spoiler = Spoiler()

    def feed(self, data: bytes, end: float, byte_time: float) -> None:
        """Take bytes from the line."""
        if not self.spoiler.active and not self._late:
            self._receiver(data, end, byte_time)
            return
        for piece, pause_s in self.spoiler.spoil(data) if self.spoiler.active else [(data, 0.0)]:
            if not pause_s and not self._late:
                self._receiver(piece, end, byte_time)
                continue
            due = (self._late[-1][0] if self._late else now()) + pause_s
            self._late.append((due, piece, byte_time))
            self._timers.at(due, self._release)

    def _release(self) -> None:
        while self._late and self._late[0][0] <= now() + 1e-4:
            due, piece, byte_time = self._late.popleft()
            if piece:
                self._receiver(piece, due, byte_time)
