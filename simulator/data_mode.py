"""Data mode: after CONNECT the port carries bytes, not commands (M-HTTP 1.3, M-FILE 1.2, M-TCP 2.2; bg96.md 2.3, 4)."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
import enum
from typing import TYPE_CHECKING

from simulator.clock import now
from simulator.trace import shortened

if TYPE_CHECKING:
    from simulator.registry import Call
    from simulator.session import Inbox

ESCAPE = b"+++"
_PIECE_BYTES = 2048


class Ended(enum.Enum):
    """Why data mode ended."""

    COUNT = enum.auto()
    TIMEOUT = enum.auto()
    ESCAPED = enum.auto()


async def connect(call: Call, text: str = "CONNECT") -> None:
    """Say CONNECT and be in data mode; unsolicited lines wait until the command ends."""
    call.flush()
    session = call.session
    if session.profile.verbose:
        call.reply.text(f"\r\n{text}\r\n")
    else:
        call.reply.text("1\r" if text == "CONNECT" else f"{text}\r\n")
    call.modem.data_session = session
    await session.enter_data(call)


async def take(
    call: Call,
    size: int,
    timeout_s: float,
    *,
    total: bool = False,
    on_data: Callable[[bytes, float], None] | None = None,
) -> tuple[bytes, Ended]:
    """Take exactly `size` bytes.

    `timeout_s` is the longest silence, or with `total` the longest time for all of it. `+++` between two
    guard times ends data mode, except as the last bytes of a counted payload. `on_data` gets each piece
    and the time its last byte came.
    """
    inbox = call.session.inbox
    guard_s = call.modem.switches.seconds("guard_s")
    data = bytearray()
    begin = last = call.arrived
    ended = Ended.COUNT
    while len(data) < size:
        if not await inbox.more_within((begin if total else last) + timeout_s):
            ended = Ended.TIMEOUT
            break
        if inbox.buffer.startswith(b"+") and size - len(data) > len(ESCAPE):
            piece, arrived, escaped = await escape(inbox, last, guard_s)
            if escaped:
                ended = Ended.ESCAPED
                break
        else:
            piece, arrived = inbox.take(size - len(data))
        last = arrived
        data += piece
        if on_data:
            on_data(piece, arrived)
    call.arrived = last if ended is Ended.COUNT else now()
    whole = "" if ended is Ended.COUNT else f" of {size}"
    call.session.trace.host(shortened(bytes(data)) + whole, call.arrived)
    return bytes(data), ended


async def escape(inbox: Inbox, quiet_since: float, guard_s: float) -> tuple[bytes, float, bool]:
    """Look at a `+`: bytes taken, when the last came, and whether they were the escape sequence.

    A guard time (a second, by the switch guard_s) of silence, three `+` within one and nothing else, another of
    silence.
    """
    taken, first = inbox.take(1)
    arrived = first
    if first - quiet_since < guard_s:
        return taken, arrived, False
    while len(taken) < len(ESCAPE):
        if not await inbox.more_within(first + guard_s) or inbox.buffer[:1] != b"+":
            return taken, arrived, False
        piece, arrived = inbox.take(1)
        taken += piece
    return taken, arrived, not await inbox.more_within(arrived + guard_s)


async def give(call: Call, data: bytes, tail: str = "") -> bool:
    """Send bytes in data mode at the pace of the line; False if the host broke it off with `+++`."""
    session = call.session
    guard_s = call.modem.switches.seconds("guard_s")
    line = call.modem.line
    for start in range(0, len(data), _PIECE_BYTES):
        piece = data[start : start + _PIECE_BYTES]
        session.link.write(piece, call.due, shortened(piece))
        await line.room()
        if session.inbox.escaped(guard_s):
            session.inbox.take(len(ESCAPE))
            call.arrived = now()
            return False
        await asyncio.sleep(0)
    call.reply.text(tail)
    return True
