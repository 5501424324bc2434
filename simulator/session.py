"""One AT command channel: command lines in, replies and unsolicited lines out."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable
from contextvars import ContextVar
from dataclasses import dataclass, replace
import logging
from typing import TYPE_CHECKING, Protocol

from simulator.clock import Timers, now
from simulator.errors import GENERAL_ERRORS, CmeError, CommandFailedError, InputCancelledError
from simulator.faults.sockets import CURRENT
from simulator.parser import Form, Part, split_line
from simulator.registry import Call, Reply
from simulator.trace import Trace, render, shortened

if TYPE_CHECKING:
    from simulator.modem import Modem

_LOGGER = logging.getLogger(__name__)

CTRL_Z = 0x1A
ESC = 0x1B
_MAX_LINE_BYTES = 8192
_HELD_LIMIT_BYTES = 16384
# ATV0 (M-AT table 3); a result that is not in it is printed in words.
_NUMBERS = {"OK": "0", "CONNECT": "1", "RING": "2", "NO CARRIER": "3", "ERROR": "4"}


class Link(Protocol):
    """What a session needs from the line; a multiplexer's channel can offer the same."""

    def write(self, data: bytes, ready_at: float | None = None, note: str | None = "") -> None:
        """Send bytes."""

    def pause(self) -> None:
        """Take nothing from the host for now."""

    def resume(self) -> None:
        """Take from the host again."""

    async def drained(self) -> None:
        """Wait until everything written has gone out."""


@dataclass(frozen=True, slots=True)
class Profile:
    """What AT&W stores and ATZ brings back for the channel."""

    echo: bool = True
    quiet: bool = False
    verbose: bool = True
    cmee: int = 1


class Inbox:
    """Bytes that have crossed the line, with the time each one did."""

    def __init__(self, link: Link) -> None:
        self._link = link
        self.buffer = bytearray()
        self._taken = 0
        self._marks: deque[tuple[int, float, float]] = deque()
        self._more = asyncio.Event()

    def feed(self, data: bytes, end: float, byte_time: float) -> None:
        """Add bytes; the last one came at `end`."""
        self.buffer += data
        self._marks.append((self._taken + len(self.buffer), end, byte_time))
        if len(self.buffer) >= _HELD_LIMIT_BYTES:
            self._link.pause()
        self._more.set()

    def take(self, count: int) -> tuple[bytes, float]:
        """Remove bytes from the front; tell when the last of them came."""
        data = bytes(self.buffer[:count])
        del self.buffer[:count]
        self._taken += len(data)
        while len(self._marks) > 1 and self._marks[0][0] < self._taken:
            self._marks.popleft()
        if len(self.buffer) < _HELD_LIMIT_BYTES // 2:
            self._link.resume()
        if not self._marks:
            return data, now()
        last, end, byte_time = self._marks[0]
        return data, end - max(0, last - self._taken) * byte_time

    async def more_within(self, end: float) -> bool:
        """Wait until there is something, at most until `end`."""
        return bool(self.buffer) or await _within(self.more, end, 0.0)

    def escaped(self, guard_s: float) -> bool:
        """Whether `+++` and nothing else lies here, followed by silence."""
        return self.buffer == b"+++" and bool(self._marks) and now() - self._marks[-1][1] >= guard_s

    async def more(self, beyond: int = 0) -> None:
        """Wait until there are more than `beyond` bytes."""
        while len(self.buffer) <= beyond:
            self._more.clear()
            await self._more.wait()


class Session:
    """Carries out one command line at a time.

    Bytes that come while a command is at work are kept and looked at after it.
    """

    def __init__(self, modem: Modem, link: Link, timers: Timers, trace: Trace, latency_s: float) -> None:
        self.modem = modem
        self.link = link
        self.latency_s = latency_s
        self._timers = timers
        self.trace = trace
        self.profile = modem.factory_profile
        self.inbox = Inbox(link)
        self._busy_until = 0.0
        self._last_line: bytes | None = None
        self._in_data = False
        self._held: list[bytes] = []
        self.deaf = False
        self.working = False
        self._command: asyncio.Task[None] | None = None

    # In

    def feed(self, data: bytes, end: float, byte_time: float) -> None:
        """Take bytes from the line."""
        if not self.deaf:
            self.inbox.feed(data, end, byte_time)

    def switch_off(self) -> None:
        """Forget what came in and listen to nothing more."""
        self.deaf = True
        self.inbox.take(len(self.inbox.buffer))
        self._held.clear()
        self._last_line = None
        if self._command and self._command is not asyncio.current_task():
            self._command.cancel()  # a reboot ends what is at work, data mode too
            self._in_data = False

    async def run(self) -> None:
        """Serve the host for ever."""
        CURRENT.set(self.modem.faults.sockets)
        ASKING.set(self)
        while True:
            line, arrived = await self._next_line()
            self.working = True
            command = self._command = asyncio.create_task(self._carry_out(line, arrived))
            try:
                await asyncio.wait({command})
            finally:
                command.cancel()
            if not command.cancelled():
                command.result()
            self.working = False

    async def _next_line(self) -> tuple[bytes, float]:
        repeat = await self._hunt()
        if repeat is not None:
            return repeat
        line = bytearray()
        while True:
            await self.inbox.more()
            stop = self.inbox.buffer.find(b"\r")
            data, arrived = self.inbox.take(stop + 1 if stop >= 0 else len(self.inbox.buffer))
            if len(line) <= _MAX_LINE_BYTES:
                line += data
            done = data.endswith(b"\r")
            if self.profile.echo:
                self.link.write(data, arrived, render(b"AT" + line) if done else None)
            if done:
                self.trace.host(render(b"AT" + line), arrived)
                return bytes(line[:-1]), arrived

    async def _hunt(self) -> tuple[bytes, float] | None:
        """Skip everything up to `AT`; on `A/` give the last line again (M-AT 2.17)."""
        inbox = self.inbox
        while True:
            await inbox.more()
            start = next((index for index, byte in enumerate(inbox.buffer) if byte in b"Aa"), len(inbox.buffer))
            if start:
                skipped, arrived = inbox.take(start)
                if skipped.strip(b"\r\n"):
                    self.trace.host(f"(ignored) {render(skipped[:64])}", arrived)
                continue
            await inbox.more(1)
            second = inbox.buffer[1]
            if second in b"Tt":
                data, arrived = inbox.take(2)
                if self.profile.echo:
                    self.link.write(data, arrived, None)
                return None
            if second == ord("/"):
                data, arrived = inbox.take(2)
                self.trace.host(render(data), arrived)
                if self.profile.echo:
                    self.link.write(data, arrived)
                if self._last_line is not None:
                    return self._last_line, arrived
                continue
            inbox.take(1)

    # Commands

    async def _carry_out(self, line: bytes, arrived: float) -> None:
        self._last_line = line
        self._inject("after_command")
        reply = Reply(self.profile.verbose)
        begin = max(arrived, self._busy_until)
        call = Call(self, self.modem, Part("", Form.EXEC), reply, begin)
        final = "OK"
        try:
            if len(line) >= _MAX_LINE_BYTES or self.modem.not_ready:
                raise CommandFailedError  # noqa: TRY301 - an overlong line ends like any other failure
            for part in split_line(_edited(line)):
                call.part = part
                await self._one(call)
                call.flush()
            final = call.final or "OK"
        except CmeError as error:
            call.flush()
            final = self._cme(error.code)
        except CommandFailedError:
            call.flush()
            final = "ERROR"
        except Exception:
            _LOGGER.exception("Command failed in the simulator itself: %r", line)
            final = "ERROR"
        self._finish(call, final)

    async def _one(self, call: Call) -> None:
        command = self.modem.table.get(call.part.name)
        if command is None:
            raise CommandFailedError
        if call.form is Form.TEST and not command.tests:
            if command.test:
                call.info(*command.test.split("\n"))
            return
        await self.modem.take_time(call.part)
        await command.handler(call)

    def _finish(self, call: Call, final: str) -> None:
        reply = call.reply
        if injected := self.modem.faults.take_injections("before_result"):
            reply.text(injected.decode("latin-1"))
        if not (call.silent or (self.profile.quiet and final in {"OK", "ERROR"})):
            if self.profile.verbose:
                reply.text(f"\r\n{final}\r\n")
            else:
                number = _NUMBERS.get(final)
                reply.text(f"{number}\r" if number else f"{final}\r\n")
        due = call.due
        self._busy_until = due
        if not self.deaf:
            if reply.data:
                self.link.write(bytes(reply.data), due, reply.note)
            self._inject("after_result")
            self._in_data = False
            for data in self._held:
                self._emit(data)
        self._in_data = False
        if self.modem.data_session is self:
            self.modem.data_session = None
        self._held.clear()
        for action in call.then:
            action()

    def _cme(self, code: int) -> str:
        if self.profile.cmee == 0:
            return "ERROR"
        text = self.modem.error_texts.get(code) or GENERAL_ERRORS.get(code)
        return f"+CME ERROR: {text if self.profile.cmee == 2 and text else code}"

    def set_profile(self, **changes: bool | int) -> None:
        """Change echo, quiet, verbose or cmee."""
        self.profile = replace(self.profile, **changes)  # type: ignore[arg-type]

    # Payload

    async def prompt(self, call: Call) -> None:
        """Send what the reply holds so far and the prompt; unsolicited lines wait from here on."""
        call.reply.text(self.modem.prompt)
        await self.enter_data(call)

    async def enter_data(self, call: Call) -> None:
        """Send what the reply holds so far; what the host sends next is data."""
        reply = call.reply
        due = call.due
        self._in_data = True
        self.link.write(bytes(reply.data), due, reply.note)
        reply.data.clear()
        reply.note = ""
        self._inject("after_prompt")
        if self.modem.switches.text("early_data") == "drop":
            await self.link.drained()
            self.inbox.take(len(self.inbox.buffer))
        call.arrived = due

    async def take_payload(self, call: Call, size: int, timeout_s: float | None) -> bytes:
        """Take a counted payload; after `timeout_s` of silence, what is there."""
        data = bytearray()
        arrived = call.arrived
        whole = True
        while len(data) < size:
            if not self.inbox.buffer and not await _within(self.inbox.more, arrived, timeout_s):
                whole = False
                break
            piece, arrived = self.inbox.take(size - len(data))
            data += piece
        call.arrived = arrived if whole else now()
        self.trace.host(shortened(bytes(data)) + ("" if whole else f" of {size}"), call.arrived)
        return bytes(data)

    async def take_text(self, call: Call, limit: int) -> bytes:
        """Take payload up to Ctrl-Z; what is beyond the limit makes the command fail at its end."""
        data = bytearray()
        while True:
            await self.inbox.more()
            buffer = self.inbox.buffer
            stop = next((index for index, byte in enumerate(buffer) if byte in {CTRL_Z, ESC}), None)
            piece, arrived = self.inbox.take(len(buffer) if stop is None else stop + 1)
            data += piece[: max(0, limit + 2 - len(data))]
            if stop is None:
                continue
            call.arrived = arrived
            self.trace.host(shortened(bytes(data)), arrived)
            if piece[-1] == ESC:
                raise InputCancelledError
            if len(data) > limit + 1:
                raise CommandFailedError
            return bytes(data[:-1])

    # Out

    def _inject(self, where: str) -> None:
        """Say what a fault wants said here."""
        if injected := self.modem.faults.take_injections(where):
            self.link.write(injected)

    def urc(self, text: str) -> None:
        """Say something nobody asked for."""
        self.urc_data(text.encode("latin-1", "replace"))

    def urc_data(self, data: bytes, tail: bytes = b"\r\n") -> None:
        """Say something nobody asked for, bytes as they are."""
        if self.deaf:
            return
        framed = b"\r\n" + data + tail
        if self._in_data:
            self._held.append(framed)
        else:
            self._emit(framed)

    def _emit(self, framed: bytes) -> None:
        self.modem.sleep.speaks()
        note = render(framed)
        self.link.write(framed, note=note if len(note) <= 120 else f"{note[:100]}...<{len(framed)} bytes>")


# Whose command it is that a task works for; late results go there.
ASKING: ContextVar[Session | None] = ContextVar("asking", default=None)


async def _within(wait: Callable[[], Awaitable[None]], start: float, timeout_s: float | None) -> bool:
    if timeout_s is None:
        await wait()
        return True
    try:
        async with asyncio.timeout(max(0.0, start + timeout_s - now())):
            await wait()
    except TimeoutError:
        return False
    return True


def _edited(line: bytes) -> str:
    """The line as typed: without line feeds, with backspaces done."""
    if b"\x08" in line or b"\x7f" in line:
        kept = bytearray()
        for byte in line:
            if byte in {0x08, 0x7F}:
                del kept[-1:]
            else:
                kept.append(byte)
        line = bytes(kept)
    return line.replace(b"\n", b"").decode("latin-1")
