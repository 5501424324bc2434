"""The responding station of 27.010's basic option: DLCI 0 for control, one AT session for each other DLCI."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import TYPE_CHECKING

from simulator.clock import now
from simulator.mux.channel import Channel
from simulator.mux.frames import Decoder, Frame, Type, encode
from simulator.session import Session

if TYPE_CHECKING:
    from simulator.modem import Modem

# Message types on DLCI 0 (5.4.6.3), without EA and C/R.
_PN, _CLD, _TEST, _FC_ON, _FC_OFF, _MSC, _NSC, _RPN, _RLS = (
    0x80, 0xC0, 0x20, 0xA0, 0x60, 0xE0, 0x10, 0x90, 0x50,
)  # fmt: skip
_EA, _CR = 0x01, 0x02
# V.24 signals (5.4.6.3.7): EA, RTC, RTR and DV; FC asks to be spared.
_READY, _STOP = 0x8D, 0x02
_RPN_DEFAULT = bytes((0x07, 0x03, 0x00, 0x00, 0x11, 0x13, 0x7F, 0x3F))  # 115200 8N1


@dataclass(slots=True)
class Open:
    """A DLCI that is open."""

    channel: Channel
    session: Session
    task: asyncio.Task[None]


class Multiplexer:
    """Takes the line over after AT+CMUX until it is closed down."""

    def __init__(self, modem: Modem, n1: int) -> None:
        self._modem = modem
        self.line = modem.line
        self._n1 = n1
        self._decoder = Decoder(n1)
        self._control = False
        self._open: dict[int, Open] = {}
        self._agreed: dict[int, int] = {}
        switches = modem.switches
        self._channels = switches.number("cmux_channels")
        self._deaf_until = now() + switches.seconds("cmux_settle_s")

    # In

    def feed(self, data: bytes, end: float, byte_time: float) -> None:
        """Take bytes from the line."""
        if end < self._deaf_until:
            self._modem.trace.remark(f"cmux not ready yet: {len(data)} bytes lost")
            return
        bad = self._decoder.bad
        for frame in self._decoder.feed(data):
            self._take(frame, end, byte_time)
            if self._modem.mux is not self:
                return
        if self._decoder.bad > bad:
            self._modem.trace.remark(f"cmux: {self._decoder.bad - bad} frames not understood")

    def _take(self, frame: Frame, end: float, byte_time: float) -> None:
        self._modem.trace.host(f"[{frame.dlci}] {frame.type.name} <{len(frame.data)} bytes>", end)
        if frame.type is Type.SABM:
            self._begin(frame.dlci)
        elif frame.type is Type.DISC:
            self._disconnect(frame.dlci)
        elif frame.type in {Type.UIH, Type.UI}:
            if frame.dlci == 0 and self._control:
                self._messages(frame.data)
            elif opened := self._open.get(frame.dlci):
                opened.session.feed(frame.data, end, byte_time)
            elif frame.dlci:
                self._answer(frame.dlci, Type.DM)

    def _begin(self, dlci: int) -> None:
        if dlci > self._channels or (dlci and not self._control):
            self._answer(dlci, Type.DM)  # refused (5.4.1)
            return
        self._answer(dlci, Type.UA)
        if dlci == 0:
            self._control = True
            return
        if dlci in self._open:
            return
        channel = Channel(self, dlci, self._agreed.get(dlci, self._n1))
        modem = self._modem
        session = Session(modem, channel, modem.timers, modem.trace.channel(dlci), modem.options.latency_s)
        session.profile = modem.stored_profile
        self._open[dlci] = Open(channel, session, modem.spawn(session.run()))
        modem.channels_changed(self.sessions())
        if modem.switches.flag("cmux_msc"):
            self.tell_status(dlci, stop=False)

    def _disconnect(self, dlci: int) -> None:
        if dlci == 0 and self._control:
            self._answer(0, Type.UA)
            self._close_down()
        elif dlci in self._open:
            self._answer(dlci, Type.UA)
            self._end(dlci)
        else:
            self._answer(dlci, Type.DM)

    def _end(self, dlci: int) -> None:
        opened = self._open.pop(dlci)
        opened.session.switch_off()
        opened.task.cancel()
        self._agreed.pop(dlci, None)
        self._modem.channels_changed(self.sessions())

    def sessions(self) -> dict[int, Session]:
        """The sessions of the open channels."""
        return {dlci: opened.session for dlci, opened in sorted(self._open.items())}

    def close(self) -> None:
        """End every channel without a word."""
        for dlci in list(self._open):
            self._end(dlci)
        self._control = False

    def _close_down(self) -> None:
        self.close()
        if self._modem.switches.flag("cmux_exit"):
            self._modem.end_mux()

    # Messages on DLCI 0

    def _messages(self, data: bytes) -> None:
        while len(data) >= 2 and data[1] & 1:
            kind, size = data[0], data[1] >> 1
            value, data = data[2 : 2 + size], data[2 + size :]
            if len(value) < size:
                return
            self._message(kind & ~(_EA | _CR), value, command=bool(kind & _CR))

    def _message(self, kind: int, value: bytes, *, command: bool) -> None:
        if not command:
            return  # the host's answer to a message of ours
        if kind == _CLD:
            self._reply(kind, b"")
            self._close_down()
        elif kind == _PN and len(value) == 8:
            self._reply(kind, self._negotiated(value))
        elif kind == _MSC and len(value) >= 2:
            self._reply(kind, value)
            if opened := self._open.get(value[0] >> 2):
                opened.channel.flow(stop=bool(value[1] & _STOP))
        elif kind in {_FC_ON, _FC_OFF}:
            self._reply(kind, b"")
            for opened in self._open.values():
                opened.channel.flow(stop=kind == _FC_OFF)
        elif kind == _RPN and value:
            self._reply(kind, value if len(value) > 1 else value[:1] + _RPN_DEFAULT[1:])
        elif kind in {_TEST, _RLS}:
            self._reply(kind, value)
        else:
            self._reply(_NSC, bytes((kind | _CR | _EA,)))  # not supported (5.4.6.3.8)

    def _negotiated(self, value: bytes) -> bytes:
        """The answer to PN (5.4.6.3.1): a frame size no larger than asked for and than N1; no error recovery."""
        dlci = value[0] & 0x3F
        size = max(1, min(self._n1, value[4] | value[5] << 8))
        self._agreed[dlci] = size
        return bytes((dlci, value[1] & 0xF0, value[2], value[3], size & 0xFF, size >> 8, value[6], 0))

    # Out

    def _reply(self, kind: int, value: bytes) -> None:
        self._send(Frame(0, Type.UIH, bytes((kind | _EA, len(value) << 1 | 1)) + value))

    def tell_status(self, dlci: int, *, stop: bool) -> None:
        """Send MSC: ready, or with FC please wait."""
        value = bytes((dlci << 2 | 3, _READY | (_STOP if stop else 0)))
        self._send(Frame(0, Type.UIH, bytes((_MSC | _CR | _EA, len(value) << 1 | 1)) + value))

    def _answer(self, dlci: int, kind: Type) -> None:
        # The response to a command of the initiator carries its C/R bit (5.2.1.2).
        self._send(Frame(dlci, kind, poll=True, command=True))

    def _send(self, frame: Frame) -> None:
        shown = frame.data.hex(" ")
        self.line.write(encode(frame), note=f"[{frame.dlci}] {frame.type.name} {shown}".rstrip())

    def send_data(self, dlci: int, data: bytes, ready_at: float | None, note: str | None) -> None:
        """Send a piece of a channel's bytes."""
        self.line.write(encode(Frame(dlci, Type.UIH, data)), ready_at, note)
