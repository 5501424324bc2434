"""Frames of 27.010's basic option (5.2): flag, address, control, length, information, FCS, flag."""

from collections.abc import Iterator
from dataclasses import dataclass
import enum

FLAG = 0xF9
POLL = 0x10
MAX_INFORMATION = 32767


class Type(enum.IntEnum):
    """Control field without the poll bit (5.2.1.3)."""

    SABM = 0x2F
    UA = 0x63
    DM = 0x0F
    DISC = 0x43
    UIH = 0xEF
    UI = 0x03


_TYPES = frozenset(int(item) for item in Type)


@dataclass(frozen=True, slots=True)
class Frame:
    """One frame; `command` is the C/R bit as it stands on the wire."""

    dlci: int
    type: Type
    data: bytes = b""
    poll: bool = False
    command: bool = False


def _table() -> tuple[int, ...]:
    """CRC-8, polynomial x8+x2+x+1, bits reversed (annex B.3.5)."""
    rows = []
    for byte in range(256):
        value = byte
        for _ in range(8):
            value = value >> 1 ^ (0xE0 if value & 1 else 0)
        rows.append(value)
    return tuple(rows)


_CRC = _table()


def check_sum(data: bytes) -> int:
    """The FCS of these bytes (5.2.1.6)."""
    value = 0xFF
    for byte in data:
        value = _CRC[value ^ byte]
    return 0xFF - value


def encode(frame: Frame) -> bytes:
    """The bytes of a frame, with both flags."""
    size = len(frame.data)
    length = bytes((size << 1 | 1,)) if size <= 127 else bytes((size << 1 & 0xFF, size >> 7))
    head = bytes((frame.dlci << 2 | frame.command << 1 | 1, frame.type | (POLL if frame.poll else 0))) + length
    # UIH covers the head alone (5.2.1.6), so that long data need no second look.
    covered = head + frame.data if frame.type is Type.UI else head
    return bytes((FLAG,)) + head + frame.data + bytes((check_sum(covered), FLAG))


class Decoder:
    """Bytes in, frames out; a frame that is broken is dropped, as 5.2.3 tells."""

    def __init__(self, longest: int) -> None:
        self.longest = longest
        self._buffer = bytearray()
        self.bad = 0

    def feed(self, data: bytes) -> Iterator[Frame]:
        """Every whole frame there is now."""
        self._buffer += data
        while True:
            start = self._buffer.find(FLAG)
            if start < 0:
                self._buffer.clear()
                return
            del self._buffer[:start]
            while len(self._buffer) > 1 and self._buffer[1] == FLAG:
                del self._buffer[0]  # a closing flag may open the next frame, or flags fill the pause
            frame, used = self._first()
            if used == 0:
                return
            del self._buffer[:used]
            if frame:
                yield frame

    def _first(self) -> tuple[Frame | None, int]:
        """The frame at the front and its size up to its closing flag; size 0: wait for more."""
        buffer = self._buffer
        if len(buffer) < 4:
            return None, 0
        head = 4 if buffer[3] & 1 else 5
        if len(buffer) < head:
            return None, 0
        size = buffer[3] >> 1 if head == 4 else buffer[3] >> 1 | buffer[4] << 7
        control = buffer[2] & ~POLL
        kind = Type(control) if control in _TYPES else None
        if not buffer[1] & 1 or kind is None or size > self.longest:
            self.bad += 1
            return None, 1  # look for the next flag
        total = head + size + 2
        if len(buffer) < total:
            return None, 0
        covered = bytes(buffer[1 : head + size if kind is Type.UI else head])
        if buffer[total - 1] != FLAG or check_sum(covered) != buffer[total - 2]:
            self.bad += 1
            return None, 1
        frame = Frame(
            buffer[1] >> 2,
            kind,
            bytes(buffer[head : head + size]),
            poll=bool(buffer[2] & POLL),
            command=bool(buffer[1] & 2),
        )
        return frame, total - 1
