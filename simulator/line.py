"""The serial line: a pseudo-terminal that keeps the pace of a UART."""

import asyncio
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
import fcntl
import os
import pty
import random
import struct
import termios
import tty

from simulator.clock import Timers, now
from simulator.faults.bytes import Spoiler
from simulator.host_watch import HostWatch
from simulator.trace import Trace, render

BITS_PER_BYTE = 10  # 8N1 (bg96.md 6.3)
_SLICE_S = 0.004
_UNPACED_SLICE_BYTES = 4096
_BACKLOG_LIMIT_BYTES = 1 << 20
_ROOM_BYTES = 4096
_TCGETS2 = 0x802C542A
_SPEED_TOLERANCE = 0.03
_NOISE = bytes((0x00, 0x80, 0xC0, 0xE0, 0xF0, 0xF8, 0xFC, 0xFE))
_SPEEDS = {
    getattr(termios, name): int(name[1:]) for name in dir(termios) if name.startswith("B") and name[1:].isdigit()
}

type Receiver = Callable[[bytes, float, float], None]


@dataclass(slots=True)
class _Piece:
    """Something to send, or (with `baud`) a change of rate at this point of the stream."""

    data: bytes
    ready_at: float
    note: str | None
    baud: int | None = None
    pause_s: float = 0.0
    start: float = -1.0
    sent: int = 0


class Line:
    """One UART, seen from the modem.

    `baud` None means no pace and no check of the host's speed. Deadlines are counted from the
    ideal end of the byte before, so a late wake-up never adds to the next one.
    """

    def __init__(self, timers: Timers, trace: Trace, baud: int | None) -> None:
        self._loop = asyncio.get_running_loop()
        self._timers = timers
        self._trace = trace
        self._random = random.Random(719)  # noqa: S311 - noise, and the same one every time
        self.baud = baud
        self.split_s = 0.0
        self.spoiler: Spoiler | None = None
        self.plugged: list[Callable[[], None]] = []
        self.unplugged: list[Callable[[], None]] = []
        self.rate_changed: list[Callable[[], None]] = []
        self._held = False
        self._out_left = 0
        self._out_action: Callable[[], None] | None = None
        self.bytes_out = 0
        self.autobaud_rates: frozenset[int] = frozenset()
        self._hunting = False
        self._hunted = b""
        self._receiver: Receiver | None = None
        self._queue: deque[_Piece] = deque()
        self._backlog = 0
        self._tx_free_at = 0.0
        self._wake_at: float | None = None
        self._waiting_writable = False
        self._reading = False
        self._rx_paused = False
        self._rx_in_flight = False
        self._room: asyncio.Event = asyncio.Event()
        self._room.set()
        self._closed = False
        self._master = self._slave = -1
        self.port = ""
        self._make_port()

    def _make_port(self) -> None:
        self._master, self._slave = pty.openpty()
        self.port = os.ttyname(self._slave)
        tty.setraw(self._slave)
        self._set_slave_speed(self.baud or 115200)
        os.set_blocking(self._master, False)
        self._watch = HostWatch(self.port)

    def _set_slave_speed(self, baud: int) -> None:
        """Start the port at the modem's rate, for hosts that never set one."""
        constant = getattr(termios, f"B{baud}", None)
        if constant is None:
            return
        attributes = termios.tcgetattr(self._slave)
        attributes[4] = attributes[5] = constant
        termios.tcsetattr(self._slave, termios.TCSANOW, attributes)

    def open(self, receiver: Receiver) -> None:
        """Start listening: `receiver(data, end, byte_time)`, `end` being the last byte's arrival."""
        self._receiver = receiver
        self._attend()

    def _attend(self) -> None:
        if self._watch.fd is not None:
            self._loop.add_reader(self._watch.fd, self._host_changed)
        self._listen()

    def close(self) -> None:
        """Hang up; a host that has the port open gets an I/O error."""
        self._closed = True
        self._queue.clear()
        self._room.set()
        self._drop_port()

    def _drop_port(self) -> None:
        if self._master < 0:
            return
        self._unlisten()
        self._loop.remove_writer(self._master)
        self._waiting_writable = False
        if self._watch.fd is not None:
            self._loop.remove_reader(self._watch.fd)
        self._watch.close()
        os.close(self._slave)
        os.close(self._master)
        self._master = self._slave = -1

    @property
    def is_plugged(self) -> bool:
        """Whether there is a port."""
        return self._master >= 0

    def host_has_flow_control(self) -> bool:
        """Whether the host has switched on RTS/CTS on its side."""
        if self._master < 0:
            return False
        return bool(int(termios.tcgetattr(self._master)[2]) & termios.CRTSCTS)

    # Faults

    def unplug(self) -> None:
        """Take the port away; the modem does not notice and goes on talking."""
        self._drop_port()
        for action in self.unplugged:
            action()
        self._pump()

    def plug(self) -> None:
        """Bring a port back, under a new name."""
        if self._master >= 0 or self._closed:
            return
        self._make_port()
        self._attend()
        for action in self.plugged:
            action()
        self._pump()

    def hold(self) -> None:
        """Say nothing until released."""
        self._held = True

    def release(self) -> None:
        """Say what was held back."""
        self._held = False
        self._tx_free_at = max(self._tx_free_at, now())
        self._pump()

    def purge(self) -> None:
        """Forget what has not gone out yet."""
        self._queue.clear()
        self._backlog = 0
        self._tx_free_at = min(self._tx_free_at, now())
        self._room.set()

    def after_out(self, count: int, action: Callable[[], None] | None) -> None:
        """Do something right after this many more bytes have gone out."""
        self._out_left, self._out_action = count, action

    @property
    def byte_time(self) -> float:
        """Seconds a byte takes at the modem's rate."""
        return BITS_PER_BYTE / self.baud if self.baud else 0.0

    # Modem to host

    def write(self, data: bytes, ready_at: float | None = None, note: str | None = "") -> None:
        """Send after everything before it, and not before `ready_at`.

        `note` is what the trace shows: None nothing, an empty string the bytes themselves.
        """
        if self._closed or self._backlog + len(data) > _BACKLOG_LIMIT_BYTES:
            return
        self._backlog += len(data)
        if self._backlog > _ROOM_BYTES:
            self._room.clear()
        shown = render(data) if note == "" else note
        ready_at = now() if ready_at is None else ready_at
        pieces = self.spoiler.spoil(data) if self.spoiler and self.spoiler.active else [(data, 0.0)]
        if pieces != [(data, 0.0)]:
            self._spoiled(pieces, len(data), ready_at, shown)
        else:
            self._queue.append(_Piece(data, ready_at, shown))
        self._pump()

    def _spoiled(self, pieces: list[tuple[bytes, float]], size: int, ready_at: float, note: str | None) -> None:
        self._backlog += sum(len(data) for data, _ in pieces) - size
        if note is not None:
            note += " (spoiled)"
        for index, (data, pause_s) in enumerate(pieces):
            last = index == len(pieces) - 1
            self._queue.append(_Piece(data, ready_at, note if last else None, pause_s=pause_s))

    def switch_baud(self, baud: int) -> None:
        """Change the rate once everything written so far has gone (M-AT 3.5)."""
        self._queue.append(_Piece(b"", now(), None, baud=baud))
        self._pump()

    async def room(self) -> None:
        """Wait until little is left to send."""
        await self._room.wait()

    async def drained(self) -> None:
        """Wait until everything written so far has gone out."""
        while self._queue and not self._closed:
            last = self._queue[-1]
            start = max(last.ready_at, self._tx_free_at)
            await self._timers.sleep_until(max(now() + 0.0005, start + self._backlog * self.byte_time))

    def _pump(self) -> None:
        while self._queue and not self._waiting_writable and not self._held:
            moment = now()
            piece = self._queue[0]
            if piece.start < 0:
                piece.start = max(piece.ready_at, self._tx_free_at)
                if piece.pause_s:
                    piece.start = max(piece.start, moment) + piece.pause_s
            if moment < piece.start:
                self._wake(piece.start)
                return
            size = len(piece.data)
            byte_time = max(self.byte_time, self.split_s)
            due = min(size, int((moment - piece.start) / byte_time + 1e-3)) if byte_time else size
            if self.split_s:
                due = min(due, piece.sent + 1)
            if due > piece.sent:
                if due == size and piece.note is not None and not self._out_action:
                    # Before the host can see the last byte, so that it finds the line in the trace then.
                    self._trace.modem(piece.note, piece.start + size * byte_time)
                    piece.note = None
                piece.sent += self._put(piece.data[piece.sent : due])
                if piece is not (self._queue[0] if self._queue else None):
                    return  # what happened at this byte has emptied the queue
                if piece.sent < due:
                    if self._master < 0 or self._held:
                        continue
                    self._waiting_writable = True
                    self._loop.add_writer(self._master, self._writable)
                    return
            if piece.sent < size:
                step = 1 if self.split_s else max(1, int(_SLICE_S / byte_time))
                self._wake(piece.start + min(size, piece.sent + step) * byte_time)
                return
            self._finish(piece, piece.start + size * byte_time)

    def _finish(self, piece: _Piece, end: float) -> None:
        self._queue.popleft()
        self._tx_free_at = end
        self._backlog -= len(piece.data)
        if self._backlog <= _ROOM_BYTES:
            self._room.set()
        if piece.note is not None:
            self._trace.modem(piece.note, end)
        if piece.baud is not None:
            self.baud = piece.baud if self.baud else None
            self._trace.remark(f"modem at {piece.baud} baud")
            for action in self.rate_changed:
                action()

    def _wake(self, when: float) -> None:
        if self._wake_at is None or when < self._wake_at:
            self._wake_at = when
            self._timers.at(when, self._woken)

    def _woken(self) -> None:
        self._wake_at = None
        if not self._closed:
            self._pump()

    def _writable(self) -> None:
        self._waiting_writable = False
        self._loop.remove_writer(self._master)
        self._pump()

    def _put(self, data: bytes) -> int:
        if self._out_action:
            data = data[: self._out_left]
        done = self._put_some(data)
        self.bytes_out += done
        if self._out_action:
            self._out_left -= done
            if self._out_left <= 0:
                action, self._out_action = self._out_action, None
                action()
        return done

    def _put_some(self, data: bytes) -> int:
        if self._master < 0:
            return len(data)
        self._host_changed()
        if not self._watch.present or self._hunting:
            return len(data)
        if not self._same_speed(self._host_speed()):
            data = self._noise(len(data))
        try:
            return os.write(self._master, data)
        except BlockingIOError:
            return 0

    def _host_changed(self) -> None:
        if self._watch.poll():
            # What the last host left unread is gone, as on a UART.
            termios.tcflush(self._slave, termios.TCIFLUSH)

    # Host to modem

    def start_autobaud(self, rates: frozenset[int]) -> None:
        """Deaf until `AT` comes at one of these rates (ml307r.md 2)."""
        self.autobaud_rates = rates
        self._hunting = bool(rates) and self.baud is not None
        self._hunted = b""

    def pause(self) -> None:
        """Take nothing more from the host for now (as RTS would)."""
        self._rx_paused = True
        self._unlisten()

    def resume(self) -> None:
        """Take from the host again."""
        if self._rx_paused:
            self._rx_paused = False
            if not self._rx_in_flight and not self._closed:
                self._listen()

    def _listen(self) -> None:
        if not self._reading and not self._rx_paused and self._master >= 0:
            self._reading = True
            self._loop.add_reader(self._master, self._readable)

    def _unlisten(self) -> None:
        if self._reading:
            self._reading = False
            self._loop.remove_reader(self._master)

    def _readable(self) -> None:
        self._take(now())

    def _take(self, start: float) -> None:
        speed = self._host_speed()
        paced = self.baud is not None and speed > 0
        limit = max(1, int(speed / BITS_PER_BYTE * _SLICE_S)) if paced else _UNPACED_SLICE_BYTES
        try:
            data = os.read(self._master, limit)
        except OSError:  # nothing there, or (EIO) the port is being taken down
            data = b""
        if not data:
            self._listen()
            return
        self._watch.heard()
        if not paced:
            self._deliver(data, start, 0.0, speed)
            return
        self._unlisten()
        self._rx_in_flight = True
        byte_time = BITS_PER_BYTE / speed
        end = start + len(data) * byte_time
        self._timers.at(end, lambda: self._arrived(data, end, byte_time, speed))

    def _arrived(self, data: bytes, end: float, byte_time: float, speed: int) -> None:
        self._rx_in_flight = False
        if self._closed:
            return
        self._deliver(data, end, byte_time, speed)
        if not self._rx_paused and self._master >= 0:
            self._take(end)

    def _deliver(self, data: bytes, end: float, byte_time: float, speed: int) -> None:
        if self._hunting and not self._locked_on(data, speed):
            return
        if not self._same_speed(speed):
            data = self._noise(len(data))
        if self._receiver:
            self._receiver(data, end, byte_time)

    def _locked_on(self, data: bytes, speed: int) -> bool:
        seen = self._hunted + data
        self._hunted = seen[-1:]
        if speed not in self.autobaud_rates or b"AT" not in seen.upper():
            return False
        self._hunting = False
        self.baud = speed
        self._trace.remark(f"modem found {speed} baud")
        if self._receiver and seen[:1].upper() == b"A" and data[:1].upper() == b"T" and len(seen) > len(data):
            self._receiver(seen[:1], now(), 0.0)
        return True

    def _host_speed(self) -> int:
        """Bits a second the host has set on the port."""
        attributes = bytearray(44)
        try:
            fcntl.ioctl(self._master, _TCGETS2, attributes)
        except OSError:
            return _SPEEDS.get(termios.tcgetattr(self._master)[5], 0)
        return int(struct.unpack_from("=I", attributes, 40)[0])

    def _same_speed(self, speed: int) -> bool:
        return self.baud is None or abs(speed / self.baud - 1) <= _SPEED_TOLERANCE

    def _noise(self, size: int) -> bytes:
        return bytes(self._random.choices(_NOISE, k=size))
