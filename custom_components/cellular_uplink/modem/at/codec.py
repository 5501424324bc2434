"""Bytes from a modem into events: no I/O, no clock, and the same events for every split of the same bytes."""

from dataclasses import dataclass
import re

from ..errors import ModemProtocolError

_CR, _LF, _NUL, _SPACE, _ANGLE = 0x0D, 0x0A, 0x00, 0x20, 0x3E


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


type Event = Line | PromptSeen | Counted | Overlong


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
        self.expects_prompt = False

    def reset(self) -> None:
        """Forget a half-received line or counted data: what follows is parsed as if the line were new."""
        self._buffer.clear()
        self._missing = self._await_lf = self._dropped = 0
        self._after_prompt = False

    def feed(self, data: bytes) -> list[Event]:
        """Take bytes, give the events they complete."""
        events: list[Event] = []
        position, end = 0, len(data)
        while position < end:
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

    def _take(self) -> bytes:
        taken = bytes(self._buffer)
        self._buffer.clear()
        return taken


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
