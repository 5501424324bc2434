"""How areas of a modem offer their commands."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass, field
import inspect
from typing import TYPE_CHECKING

from simulator.clock import now
from simulator.errors import CommandFailedError
from simulator.parser import Argument, Form, Part
from simulator.trace import render, shortened

if TYPE_CHECKING:
    from simulator.modem import Modem
    from simulator.session import Session

_MARK = "_at_commands"


@dataclass(frozen=True, slots=True)
class Command:
    """A handler, and the fixed reply to its test form (None: OK alone; the handler if `tests`)."""

    handler: Callable[[Call], Awaitable[None]]
    test: str | None
    tests: bool


def at[T: Callable[..., Awaitable[None]]](
    *names: str, test: str | None = None, tests: bool = False
) -> Callable[[T], T]:
    """Mark a method of an area as the handler of these commands."""

    def mark(method: T) -> T:
        setattr(method, _MARK, (names, test, tests))
        return method

    return mark


class Area:
    """A room of a modem: a state and the commands on it."""

    def __init__(self, modem: Modem) -> None:
        self.modem = modem

    def commands(self) -> dict[str, Command]:
        """Every command of this area, by name."""
        table: dict[str, Command] = {}
        for _, method in inspect.getmembers(self, inspect.ismethod):
            names, test, tests = getattr(method, _MARK, ((), None, False))
            for name in names:
                table[name.upper()] = Command(method, test, tests)
        return table

    def reset(self) -> None:
        """Forget what a reboot forgets."""

    async def close(self) -> None:
        """Let go of what the process holds."""


def collect(areas: Iterable[Area]) -> dict[str, Command]:
    """One table for all areas; later areas win."""
    table: dict[str, Command] = {}
    for area in areas:
        table |= area.commands()
    return table


@dataclass(slots=True)
class Reply:
    """What a command line answers, kept back until it is whole."""

    verbose: bool
    data: bytearray = field(default_factory=bytearray)
    note: str = ""

    def text(self, text: str) -> None:
        """Add characters as they are."""
        raw = text.encode("latin-1", "replace")
        self.data += raw
        self.note += render(raw)

    def payload(self, data: bytes) -> None:
        """Add payload, which the trace shows by its length."""
        self.data += data
        self.note += shortened(data)

    def block(self, lines: list[str]) -> None:
        """Add information text (M-AT 1.2; ATI shows the shape for several lines)."""
        if lines:
            self.text(("\r\n" if self.verbose else "") + "".join(line + "\r\n" for line in lines))


@dataclass(slots=True)
class Call:
    """One command being carried out."""

    session: Session
    modem: Modem
    part: Part
    reply: Reply
    arrived: float
    lines: list[str] = field(default_factory=list)
    final: str | None = None
    silent: bool = False  # no result at all: a modem that hangs
    then: list[Callable[[], object]] = field(default_factory=list)

    @property
    def form(self) -> Form:
        """Which form was used."""
        return self.part.form

    @property
    def arguments(self) -> tuple[Argument, ...]:
        """The values given."""
        return self.part.arguments

    @property
    def count(self) -> int:
        """How many values were given."""
        return len(self.part.arguments)

    def expect(self, *forms: Form) -> None:
        """Refuse any other form."""
        if self.form not in forms:
            raise CommandFailedError

    def has(self, index: int) -> bool:
        """Whether this value was given and is not empty."""
        return index < self.count and bool(self.arguments[index].text or self.arguments[index].quoted)

    def text(self, index: int, default: str | None = None) -> str:
        """A value as text."""
        if index < self.count and (self.has(index) or default is None):
            return self.arguments[index].text
        if default is None:
            raise self.modem.bad_parameter()
        return default

    def key(self, index: int = 0) -> str:
        """A value that names a setting."""
        return self.text(index).lower()

    def number(self, index: int, low: int, high: int, default: int | None = None) -> int:
        """A value as a number within limits."""
        if not self.has(index):
            if default is None:
                raise self.modem.bad_parameter()
            return default
        text = self.arguments[index].text
        if not (text.isascii() and text.isdigit()) or len(text) > 9 or not low <= int(text) <= high:
            raise self.modem.bad_parameter()
        return int(text)

    def at_most(self, count: int) -> None:
        """Refuse surplus values."""
        if self.count > count:
            raise self.modem.bad_parameter()

    def info(self, *lines: str) -> None:
        """Add lines of information text."""
        self.lines.extend(lines)

    def data_block(self, head: str, data: bytes, tail: str) -> None:
        """Add information text with payload in it; `head` and `tail` hold their own line ends."""
        self.flush()
        self.reply.text(("\r\n" if self.reply.verbose else "") + head)
        self.reply.payload(data)
        self.reply.text(tail)

    def flush(self) -> None:
        """Put the lines so far into the reply."""
        self.reply.block(self.lines)
        self.lines.clear()

    @property
    def due(self) -> float:
        """When the next thing the modem says is due: the latency after the last byte it waited for."""
        return max(now(), self.arrived + self.session.latency_s)

    async def prompt(self) -> None:
        """Ask for payload."""
        self.flush()
        await self.session.prompt(self)

    async def payload(self, size: int, timeout_s: float | None = None) -> bytes:
        """Take exactly `size` bytes, or what came until the time is over."""
        return await self.session.take_payload(self, size, timeout_s)

    async def text_payload(self, limit: int) -> bytes:
        """Take bytes up to Ctrl-Z; ESC raises InputCancelledError."""
        return await self.session.take_text(self, limit)
