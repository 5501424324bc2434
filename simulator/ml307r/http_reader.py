"""The answer of an HTTP server, taken apart as it comes (RFC 9112)."""

from dataclasses import dataclass, field
import enum

_HEAD_LIMIT_BYTES = 65536
_SIZE_LINE_LIMIT_BYTES = 1024


class BadAnswerError(Exception):
    """What came is not an HTTP answer."""


class _State(enum.Enum):
    HEAD = enum.auto()
    COUNTED = enum.auto()
    UNTIL_CLOSE = enum.auto()
    CHUNK_SIZE = enum.auto()
    CHUNK = enum.auto()
    CHUNK_END = enum.auto()
    TRAILER = enum.auto()
    DONE = enum.auto()


@dataclass(slots=True)
class Head:
    """Status line and header lines.

    `raw` ends with the last line's CR LF; the empty line is not in it (the manual's sample of
    225 bytes counts like that, HTTP 3.5).
    """

    status: int
    raw: bytes
    fields: dict[str, str] = field(default_factory=dict)
    length: int = 0
    chunked: bool = False


class AnswerReader:
    """`feed` gives the pieces of the body that became whole; `head` and `done` tell the rest."""

    def __init__(self, *, bodiless: bool) -> None:
        self._bodiless = bodiless
        self._buffer = bytearray()
        self._state = _State.HEAD
        self._left = 0
        self.head: Head | None = None

    @property
    def done(self) -> bool:
        """Whether the answer is complete."""
        return self._state is _State.DONE

    def closed(self) -> None:
        """Note that the server closed; BadAnswerError unless that was the end."""
        if self._state is _State.UNTIL_CLOSE:
            self._state = _State.DONE
        elif not self.done:
            raise BadAnswerError

    def feed(self, data: bytes) -> list[bytes]:
        """Take bytes."""
        self._buffer += data
        pieces: list[bytes] = []
        while self._step(pieces):
            pass
        return pieces

    def _step(self, pieces: list[bytes]) -> bool:
        match self._state:
            case _State.HEAD:
                return self._read_head()
            case _State.COUNTED | _State.CHUNK:
                return self._read_counted(pieces)
            case _State.UNTIL_CLOSE:
                if self._buffer:
                    pieces.append(bytes(self._buffer))
                    self._buffer.clear()
                return False
            case _State.CHUNK_SIZE | _State.CHUNK_END | _State.TRAILER:
                return self._read_line()
            case _State.DONE:
                return False

    def _read_head(self) -> bool:
        end = self._buffer.find(b"\r\n\r\n")
        if end < 0:
            if len(self._buffer) > _HEAD_LIMIT_BYTES or not b"HTTP/".startswith(bytes(self._buffer[:5])):
                raise BadAnswerError
            return False
        head = _parse_head(bytes(self._buffer[: end + 2]))
        del self._buffer[: end + 4]
        if 100 <= head.status < 200:
            return True
        self.head = head
        coding = head.fields.get("transfer-encoding", "").lower()
        length = head.fields.get("content-length", "")
        head.chunked = "chunked" in coding
        if self._bodiless or head.status in {204, 304}:
            self._state = _State.DONE
        elif head.chunked:
            self._state = _State.CHUNK_SIZE
        elif length:
            if not (length.isascii() and length.isdigit() and len(length) < 16):
                raise BadAnswerError
            head.length = self._left = int(length)
            self._state = _State.COUNTED if self._left else _State.DONE
        else:
            self._state = _State.UNTIL_CLOSE
        return True

    def _read_counted(self, pieces: list[bytes]) -> bool:
        if not self._buffer:
            return False
        piece = bytes(self._buffer[: self._left])
        del self._buffer[: self._left]
        self._left -= len(piece)
        pieces.append(piece)
        if not self._left:
            self._state = _State.DONE if self._state is _State.COUNTED else _State.CHUNK_END
        return not self._left

    def _read_line(self) -> bool:
        end = self._buffer.find(b"\r\n")
        if end < 0:
            if len(self._buffer) > _SIZE_LINE_LIMIT_BYTES:
                raise BadAnswerError
            return False
        line = bytes(self._buffer[:end])
        del self._buffer[: end + 2]
        if self._state is _State.CHUNK_END:
            self._state = _State.CHUNK_SIZE
        elif self._state is _State.TRAILER:
            if not line:
                self._state = _State.DONE
        else:
            self._left = _chunk_size(line)
            self._state = _State.CHUNK if self._left else _State.TRAILER
        return True


def _chunk_size(line: bytes) -> int:
    digits = line.partition(b";")[0].strip()
    if not digits or len(digits) > 8 or not all(digit in b"0123456789abcdefABCDEF" for digit in digits):
        raise BadAnswerError
    return int(digits, 16)


def _parse_head(raw: bytes) -> Head:
    first, *lines = raw.decode("latin-1").split("\r\n")
    version, _, rest = first.partition(" ")
    status = rest[:3]
    if not version.startswith("HTTP/1.") or not (status.isascii() and status.isdigit()):
        raise BadAnswerError
    fields: dict[str, str] = {}
    for line in lines:
        name, colon, value = line.partition(":")
        if colon:
            fields[name.strip().lower()] = value.strip()
    return Head(int(status), raw, fields)
