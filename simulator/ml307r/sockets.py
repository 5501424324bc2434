"""TCP sockets: ml307r.md 5."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
import enum
from typing import TYPE_CHECKING, override

from simulator.errors import CmeError, InputCancelledError
from simulator.ml307r.encoding import decode
from simulator.ml307r.packet import Packet
from simulator.ml307r.settings import HEX, SocketSettings
from simulator.parser import Form
from simulator.registry import Area, Call, Command, at
from simulator.tcp import Ending, OpenFailedError, OpenFailure, TcpLink, resolve

if TYPE_CHECKING:
    from simulator.ml307r.modem import Ml307r

PROMPT_LIMIT = 8192
READ_LIMIT = 4096
_DEFAULT_TIMEOUT_S = 60
_CLOSE_DRAIN_S = 10.0
_FAILURES = {OpenFailure.DNS: 580, OpenFailure.REFUSED: 557, OpenFailure.TIMEOUT: 558, OpenFailure.OTHER: 559}
_PUSH, _TRANSPARENT, _CACHE, _PACKET_CACHE = range(4)


class State(enum.Enum):
    """Socket states of AT+MIPSTATE."""

    CONNECTING = "CONNECTING"
    CONNECTED = "CONNECTED"
    CLOSING = "CLOSING"
    CLOSED = "CLOSED"


@dataclass(slots=True)
class Socket:
    """One socket id in use."""

    number: int
    cid: int
    host: str
    port: int
    mode: int
    timeout_s: int
    link: TcpLink
    state: State = State.CONNECTING
    opening: asyncio.Task[None] | None = None
    confirmed: int = 0
    confirming: bool = False


class Sockets(Area):
    """MIPOPEN and its relatives."""

    modem: Ml307r

    def __init__(self, modem: Ml307r, packet: Packet) -> None:
        super().__init__(modem)
        self._packet = packet
        self._settings = SocketSettings(modem)
        self._table: dict[int, Socket] = {}

    @override
    def commands(self) -> dict[str, Command]:
        return super().commands() | self._settings.commands()

    @override
    def reset(self) -> None:
        for number in list(self._table):
            self._free(number)
        self._settings.reset()

    @override
    async def close(self) -> None:
        self.reset()

    def context_gone(self, cid: int) -> None:
        """Tell of every socket that went with its context (reason 3)."""
        for socket in list(self._table.values()):
            if socket.cid == cid and socket.state is not State.CLOSED:
                socket.link.drop()
                self._ended_by(socket, 3)

    def _free(self, number: int) -> None:
        socket = self._table.pop(number, None)
        if socket is None:
            return
        if socket.opening:
            socket.opening.cancel()
        socket.link.drop()

    def _number(self, call: Call) -> int:
        return call.number(0, 0, self._settings.count - 1)

    def _get(self, call: Call) -> Socket:
        socket = self._table.get(self._number(call))
        if socket is None:
            raise CmeError(551)
        return socket

    # Open and close

    @at("+MIPOPEN", tests=True)
    async def mipopen(self, call: Call) -> None:
        """OK, then `+MIPOPEN: id,result`; mode 0 push, 2 cache."""
        if call.form is Form.TEST:
            call.info(f'+MIPOPEN: (0-{self._settings.count - 1}),("TCP"),<addr>,(1-65535),(1-180),(0,2)')
            return
        call.expect(Form.WRITE)
        number = self._number(call)
        kind, host, port = call.text(1).upper(), call.text(2), call.number(3, 1, 65535)
        timeout_s = call.number(4, 1, 180, _DEFAULT_TIMEOUT_S)
        mode = call.number(5, 0, 3, _PUSH)
        call.number(6, 0, 65535, 0)
        call.at_most(7)
        if kind not in {"TCP", "UDP"} or not host or mode == _PACKET_CACHE:
            raise CmeError(50)
        if kind == "UDP" or mode == _TRANSPARENT or self._settings.get("ssl", number)[0]:
            raise CmeError(4)
        if number in self._table:
            raise CmeError(552)
        cid = self._settings.get("cid", number)[0]
        socket = self._new(number, cid, host, port, mode, timeout_s)
        if self._packet.active(cid) is None:
            call.then.append(lambda: self._opened(number, 571))
            return
        self._table[number] = socket
        if self.modem.switches.flag("open_before_ok"):
            await self._open(socket)
        else:
            call.then.append(lambda: self._start(socket))

    def _new(self, number: int, cid: int, host: str, port: int, mode: int, timeout_s: int) -> Socket:
        switches = self.modem.switches
        link = TcpLink(
            switches.number("send_buffer_bytes"),
            switches.number("recv_buffer_bytes"),
            lambda data: self._received(number, data),
            lambda ending: self._ended(number, ending),
            self.modem.line.room,
        )
        return Socket(number, cid, host, port, mode, timeout_s, link)

    def _start(self, socket: Socket) -> None:
        socket.opening = self.modem.spawn(self._open(socket))

    def _opened(self, number: int, result: int) -> None:
        self.modem.urc(f"+MIPOPEN: {number},{result}")

    async def _open(self, socket: Socket) -> None:
        context = self._packet.active(socket.cid)
        result = 0
        try:
            if context is None:
                result = 571
            else:
                await socket.link.open(socket.host, socket.port, socket.timeout_s, context.family)
        except OpenFailedError as failed:
            result = _FAILURES[failed.failure]
        socket.opening = None
        if not result:
            socket.state = State.CONNECTED
        elif self.modem.switches.flag("failed_open_holds_id"):
            socket.state = State.CLOSED
        else:
            self._table.pop(socket.number, None)
        self._opened(socket.number, result)

    @at("+MIPCLOSE", tests=True)
    async def mipclose(self, call: Call) -> None:
        """OK, and `+MIPCLOSE: id` once what was sent is confirmed; 551 on an unused id (ZB)."""
        if call.form is Form.TEST:
            call.info(f"+MIPCLOSE: (0-{self._settings.count - 1})")
            return
        call.expect(Form.WRITE)
        call.at_most(2)
        socket = self._get(call)
        call.then.append(lambda: self.modem.spawn(self._close(socket)))
        if socket.opening:
            socket.opening.cancel()
        was_connected = socket.state is State.CONNECTED
        socket.state = State.CLOSING if was_connected else State.CLOSED

    async def _close(self, socket: Socket) -> None:
        if socket.state is State.CLOSING:
            await socket.link.close(drain_s=_CLOSE_DRAIN_S)
        if self._table.get(socket.number) is not socket:
            return
        self._free(socket.number)
        if self.modem.switches.flag("mipclose_urc"):
            self.modem.urc(f"+MIPCLOSE: {socket.number}")

    def _ended(self, number: int, ending: Ending) -> None:
        socket = self._table.get(number)
        if socket and socket.state is State.CONNECTED:
            self._ended_by(socket, 1 if ending is Ending.CLOSED else 2)

    def _ended_by(self, socket: Socket, reason: int) -> None:
        socket.state = State.CLOSED
        if socket.opening:
            socket.opening.cancel()
        self.modem.urc(f'+MIPURC: "disconn",{socket.number},{reason}')
        self._release(socket)

    def _release(self, socket: Socket) -> None:
        """Free the id of an ended socket, unless autofree is 1 or the host has data to fetch."""
        if socket.state is not State.CLOSED or self._settings.get("autofree", socket.number) == (1,):
            return
        if not socket.link.received:
            self._free(socket.number)

    # Send

    @at("+MIPSEND", tests=True)
    async def mipsend(self, call: Call) -> None:
        """Inline data, or a prompt for 1 to 8192 raw bytes, or for text that Ctrl-Z ends."""
        if call.form is Form.TEST:
            call.info(f"+MIPSEND: (0-{self._settings.count - 1}),(0-{PROMPT_LIMIT}),<data>")
            return
        call.expect(Form.WRITE)
        call.at_most(3)
        socket = self._get(call)
        if socket.state is not State.CONNECTED:
            raise CmeError(553)
        data = await self._input(call, socket.number)
        if data is None:
            return
        await self._send(call, socket, data)

    async def _input(self, call: Call, number: int) -> bytes | None:
        if call.count == 3:
            length = call.number(1, 0, 1460, 0)
            return decode(call.text(2), self._settings.get("encoding", number)[0], length)
        if call.has(1):
            length = call.number(1, 1, PROMPT_LIMIT)
            await call.prompt()
            # What came until the time-out is sent (manual, ml307r.md 6).
            return await call.payload(length, self._settings.get("timeout", number)[0])
        await call.prompt()
        try:
            return await call.text_payload(self._settings.get("sndbuf", number)[0])
        except InputCancelledError:
            return None

    async def _send(self, call: Call, socket: Socket, data: bytes) -> None:
        if socket.state is not State.CONNECTED:
            raise CmeError(553)
        if not socket.link.send(data):
            if not await socket.link.wait_free(len(data), self.modem.switches.seconds("send_stall_s")):
                raise CmeError(560)
            socket.link.send(data)
        if self.modem.switches.flag("mipsend_urc"):
            call.info(f"+MIPSEND: {socket.number},{len(data)}")
        if self._settings.get("ackmode", socket.number) == (1,) and not socket.confirming:
            socket.confirming = True
            call.then.append(lambda: self.modem.spawn(self._confirm(socket)))

    async def _confirm(self, socket: Socket) -> None:
        total = await socket.link.wait_acknowledged()
        socket.confirming = False
        if self._table.get(socket.number) is socket and total > socket.confirmed:
            self.modem.urc(f'+MIPURC: "ack",{socket.number},{total - socket.confirmed}')
            socket.confirmed = total

    @at("+MIPSACK", tests=True)
    async def mipsack(self, call: Call) -> None:
        """Sent, confirmed, unconfirmed and received bytes."""
        if call.form is Form.TEST:
            return
        call.expect(Form.WRITE)
        socket = self._get(call)
        sent, unacked = socket.link.total_sent, socket.link.unacknowledged
        call.info(f"+MIPSACK: {sent},{sent - unacked},{unacked},{socket.link.total_received}")

    # Receive

    def _shown(self, number: int, data: bytes) -> bytes:
        return data.hex().upper().encode() if self._settings.get("encoding", number)[1] == HEX else data

    def _received(self, number: int, data: bytes) -> None:
        socket = self._table.get(number)
        if socket is None:
            return
        if socket.mode == _PUSH:
            socket.link.read(len(data))
            head = f'+MIPURC: "rtcp",{number},{len(data)},'.encode()
            self.modem.session.urc_data(head + self._shown(number, data))
        else:
            self.modem.urc(f'+MIPURC: "rtcp",{number},{len(data)},{len(socket.link.received)}')

    @at("+MIPRD", tests=True)
    async def miprd(self, call: Call) -> None:
        """`+MIPRD: id,left,len,data`; without a length `+MIPRD: id,total`."""
        if call.form is Form.TEST:
            return
        call.expect(Form.WRITE)
        call.at_most(2)
        socket = self._get(call)
        if socket.mode != _CACHE:
            raise CmeError(3)
        if not call.has(1):
            call.info(f"+MIPRD: {socket.number},{len(socket.link.received)}")
            return
        data = socket.link.read(call.number(1, 0, READ_LIMIT))
        head = f"+MIPRD: {socket.number},{len(socket.link.received)},{len(data)},"
        call.data_block(head, self._shown(socket.number, data), "\r\n")
        call.then.append(lambda: self._release(socket))

    # State

    @at("+MIPSTATE", tests=True)
    async def mipstate(self, call: Call) -> None:
        """State of one id."""
        if call.form is Form.TEST:
            return
        call.expect(Form.WRITE)
        number = self._number(call)
        socket = self._table.get(number)
        if socket is None:
            call.info(f'+MIPSTATE: {number},,,,"INITIAL"')
        else:
            call.info(f'+MIPSTATE: {number},"TCP","{socket.host}",{socket.port},"{socket.state.value}"')

    # Names

    @at("+MDNSGIP")
    async def mdnsgip(self, call: Call) -> None:
        """OK, then the addresses; on failure the name alone."""
        call.expect(Form.WRITE)
        host = call.text(0)
        if not host:
            raise CmeError(50)
        if self._packet.active(1) is None:
            raise CmeError(570)
        call.then.append(lambda: self.modem.spawn(self._look_up(host)))

    async def _look_up(self, host: str) -> None:
        try:
            addresses = await resolve(host)
        except OpenFailedError:
            addresses = []
        self.modem.urc(",".join([f'+MDNSGIP: "{host}"', *(f'"{address}"' for address in addresses)]))
