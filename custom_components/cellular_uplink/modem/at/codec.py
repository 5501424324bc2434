"""Bytes from a modem into events: no I/O, no clock, and the same events for every split of the same bytes."""

from collections.abc import Callable
from dataclasses import dataclass
import re

from ..errors import ModemProtocolError

_CR, _LF, _NUL, _SPACE, _ANGLE = 0x0D, 0x0A, 0x00, 0x20, 0x3E
MAX_RAW_BYTES = 262_144
"""Of raw output this much is kept; the rest is counted and thrown away."""
MAX_MARKER_BYTES = 512


@dataclass(frozen=True, slots=True)
class Line:
    """A line without its end; never empty."""

    text: bytes


@dataclass(frozen=True, slots=True)
class PromptSeen:
    """The modem asks for a payload with `>`."""


@dataclass(frozen=True, slots=True)
class Counted:
    """Binary data whose length stood in its header; it was counted, never scanned."""

    header: bytes
    data: bytes


@dataclass(frozen=True, slots=True)
class Overlong:
    """A line longer than any modem sends; `dropped_bytes` were thrown away up to its end."""

    dropped_bytes: int


@dataclass(frozen=True, slots=True)
class Raw:
    """Binary data without a length of its own; the lines that ended it follow as events of their own."""

    data: bytes


type Event = Line | PromptSeen | Counted | Overlong | Raw


@dataclass(frozen=True, slots=True)
class RawRule:
    """Output without a length, from behind a line CONNECT up to its end marker.

    `end` matches a whole marker of at most `MAX_MARKER_BYTES`, line ends included. `least_bytes` is given what came so
    far and says how many bytes belong to the data for certain: a marker among them is data, unless nothing follows.
    """

    end: re.Pattern[bytes]
    least_bytes: Callable[[bytes], int] = lambda _data: 0


@dataclass(frozen=True, slots=True)
class CountedRule:
    """A header that announces raw bytes; group 1 of `header` is their number.

    `ends_line`: the data starts behind the header's CR LF (Quectel), else right behind the header (China Mobile IoT).
    """

    header: re.Pattern[bytes]
    ends_line: bool


@dataclass(frozen=True, slots=True)
class CodecRules:
    """What is special in a family's output. `unterminated` lines come without a line end on some firmware."""

    counted: tuple[CountedRule, ...] = ()
    unterminated: tuple[re.Pattern[bytes], ...] = ()


class Codec:
    """Incremental parser for what a modem sends.

    Lines end at CR or LF; empty ones vanish, so every framing in the field comes out the same. NUL bytes, and bytes
    above 0x7E before a line's first character, are noise (ML307R sends 0xE0 on wake-up) and dropped.
    """

    def __init__(
        self, rules: CodecRules | None = None, *, max_line_bytes: int = 4096, max_counted_bytes: int = 65536
    ) -> None:
        self._rules = rules or CodecRules()
        self._max_line_bytes = max_line_bytes
        self._max_counted_bytes = max_counted_bytes
        self._buffer = bytearray()
        self._header = b""
        self._missing = 0
        self._after_prompt = False
        self._await_lf = 0  # bytes announced by a header whose LF is still to come, plus one; 0: none
        self._dropped = 0
        self._await_raw = False
        self._raw: RawScanner | None = None
        self.expects_prompt = False
        self.raw_rule: RawRule | None = None

    @property
    def raw(self) -> RawScanner | None:
        """The scanner at work, while raw output without a length comes in."""
        return self._raw

    def reset(self) -> None:
        """Forget a half-received line or counted data: what follows is parsed as if the line were new."""
        self._buffer.clear()
        self._missing = self._await_lf = self._dropped = 0
        self._after_prompt = self._await_raw = False
        self._raw = self.raw_rule = None

    def give_up_raw(self) -> list[Event]:
        """Nothing more comes: take an end marker at the end for one, however few bytes there are; else no events."""
        if self._raw is None or (found := self._raw.cut_short()) is None:
            return []
        return self._end_raw(*found)

    def feed(self, data: bytes) -> list[Event]:
        """Take bytes, give the events they complete."""
        events: list[Event] = []
        position, end = 0, len(data)
        while position < end:
            if self._raw is not None:
                found = self._raw.feed(data[position:])
                if found is None:
                    break
                # What follows the marker is fed to the lines, and so is the marker.
                return events + self._end_raw(*found)
            if self._missing:
                piece = data[position : position + self._missing]
                self._buffer += piece
                self._missing -= len(piece)
                position += len(piece)
                if not self._missing:
                    events.append(Counted(self._header, self._take()))
                continue
            self._byte(data[position], events)
            position += 1
        return events

    def _byte(self, byte: int, events: list[Event]) -> None:
        if self._await_lf:
            announced, self._await_lf = self._await_lf - 1, 0
            if byte == _LF:
                self._count(announced, events)
                return
            events.append(Line(self._take()))
        if self._await_raw:
            self._await_raw = False
            if byte == _LF and self.raw_rule is not None:
                self._raw, self.raw_rule = RawScanner(self.raw_rule), None
                return
        if self._after_prompt:
            self._after_prompt = False
            if byte == _SPACE:
                return
        if byte in (_CR, _LF):
            self._line_end(byte, events)
        elif byte == _NUL or (byte > 0x7E and not self._buffer):
            return
        elif self._dropped:
            self._dropped += 1
        elif byte == _ANGLE and not self._buffer and self.expects_prompt:
            self.expects_prompt = False
            self._after_prompt = True
            events.append(PromptSeen())
        else:
            self._text(byte, events)

    def _text(self, byte: int, events: list[Event]) -> None:
        buffer = self._buffer
        buffer.append(byte)
        if byte == 0x2C:  # a comma may end a header that is followed by raw bytes
            for rule in self._rules.counted:
                if not rule.ends_line and (announced := self._announced(rule)) is not None:
                    self._count(announced, events)
                    return
        for pattern in self._rules.unterminated:
            if pattern.fullmatch(buffer):
                events.append(Line(self._take()))
                return
        if len(buffer) > self._max_line_bytes:
            self._dropped = len(buffer)
            buffer.clear()

    def _line_end(self, byte: int, events: list[Event]) -> None:
        if self._dropped:
            events.append(Overlong(self._dropped))
            self._dropped = 0
        elif self._buffer:
            for rule in self._rules.counted:
                if rule.ends_line and (announced := self._announced(rule)) is not None:
                    if byte == _CR:
                        self._await_lf = announced + 1
                    else:
                        self._count(announced, events)
                    return
            self._await_raw = byte == _CR and self.raw_rule is not None and self._buffer == b"CONNECT"
            events.append(Line(self._take()))

    def _announced(self, rule: CountedRule) -> int | None:
        match = rule.header.fullmatch(self._buffer)
        if match is None:
            return None
        count = int(match.group(1))
        return count if count <= self._max_counted_bytes else None

    def _count(self, announced: int, events: list[Event]) -> None:
        self._header = self._take()
        self._missing = announced
        if not announced:
            events.append(Counted(self._header, b""))

    def _end_raw(self, data: bytes, rest: bytes) -> list[Event]:
        self._raw = None
        return [Raw(data), *self.feed(rest)]

    def _take(self) -> bytes:
        taken = bytes(self._buffer)
        self._buffer.clear()
        return taken


class RawScanner:
    """Finds the end of raw output; bounded, and the same for every split of the same bytes."""

    def __init__(self, rule: RawRule) -> None:
        self._rule = rule
        self._kept = bytearray()
        self._window = bytearray()  # the last bytes, where the marker is looked for
        self._window_start = 0

    @property
    def looks_ended(self) -> bool:
        """Return True when the last bytes are an end marker that came too early to be one for certain."""
        return self._last_marker() is not None

    def feed(self, data: bytes) -> tuple[bytes, bytes] | None:
        """Take bytes; once the end is there, return the data, and everything from the marker on."""
        self._window += data
        self._kept += data[: max(0, MAX_RAW_BYTES - len(self._kept))]
        for match in self._rule.end.finditer(self._window):
            # Judged by what had come when the marker ended, so that splits make no difference.
            came = bytes(self._kept[: self._window_start + match.end()])
            if self._rule.least_bytes(came) <= self._window_start + match.start():
                return self._cut(match.start())
        surplus = len(self._window) - MAX_MARKER_BYTES
        if surplus > 0:
            del self._window[:surplus]
            self._window_start += surplus
        return None

    def cut_short(self) -> tuple[bytes, bytes] | None:
        """Return what `feed` would, if the last bytes are an end marker."""
        start = self._last_marker()
        return None if start is None else self._cut(start)

    def _last_marker(self) -> int | None:
        for match in self._rule.end.finditer(self._window):
            if match.end() == len(self._window):
                return match.start()
        return None

    def _cut(self, start: int) -> tuple[bytes, bytes]:
        return bytes(self._kept[: self._window_start + start]), bytes(self._window[start:])


_ERROR = re.compile(rb"\+CM([ES]) ERROR: ?(.*)")
_FINAL_ERRORS = frozenset({b"ERROR", b"NO CARRIER", b"BUSY", b"NO ANSWER", b"NO DIALTONE", b"ABORTED", b"SEND FAIL"})
_FINAL_SUCCESSES = frozenset({b"OK", b"SEND OK"})


def is_final(text: bytes) -> bool:
    """Return whether a line is a final result of some command."""
    return text in _FINAL_SUCCESSES or error_code(text) is not None


def error_code(text: bytes) -> str | None:
    """Return what a final error says, the number or words of +CME/+CMS ERROR or the bare result; else None."""
    if match := _ERROR.fullmatch(text):
        return match.group(2).decode("latin-1").strip() or "ERROR"
    return text.decode("ascii") if text in _FINAL_ERRORS else None


_FIELD = re.compile(r'\s*("[^"]*"?|[^,]*)[^,]*(,|$)')
_NUMBER = re.compile(r"[+-]?\d+")


def parse_fields(text: str, prefix: str) -> list[str | int | None]:
    """Split `<prefix>: a,"b",,3` into values: quoted text as str, numbers as int, empty as None, other words as str.

    Liberal on purpose (blanks around anything, a missing blank behind the colon): firmware differs.

    Raises:
        ModemProtocolError: the line does not start with the prefix.
    """
    head, colon, rest = text.partition(":")
    if not colon or head.strip() != prefix:
        raise ModemProtocolError("unexpected_reply", f"The modem's answer does not start with {prefix}")
    values: list[str | int | None] = []
    for match in _FIELD.finditer(rest):
        word = match.group(1).strip()
        if word.startswith('"'):
            values.append(word.strip('"'))
        elif not word:
            values.append(None)
        elif _NUMBER.fullmatch(word):
            values.append(int(word))
        else:
            values.append(word)
        if not match.group(2):
            break
    return values
