"""TCP and UDP sockets: ml307r.md 5 (TCP 3)."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
import enum
from typing import TYPE_CHECKING, override

from simulator import data_mode
from simulator.errors import CmeError, InputCancelledError
from simulator.ml307r.encoding import decode
from simulator.ml307r.packet import Packet
from simulator.ml307r.settings import HEX, SocketSettings
from simulator.ml307r.tls import MissingCertificateError, Tls, code_of
from simulator.parser import Form
from simulator.registry import Area, Call, Command, at
from simulator.tcp import Ending, OpenFailedError, OpenFailure, TcpLink
from simulator.tls import TlsFailedError, TlsPolicy
from simulator.transparent import Left, Packing, Pipe
from simulator.udp import PACKET_LIMIT, UdpLink

if TYPE_CHECKING:
    from simulator.ml307r.modem import Ml307r

PROMPT_LIMIT = 8192
READ_LIMIT = 4096
_DEFAULT_TIMEOUT_S = 60
_CLOSE_DRAIN_S = 10.0
_FAILURES = {
    OpenFailure.DNS: 580,
    OpenFailure.REFUSED: 557,
    OpenFailure.TIMEOUT: 558,
    OpenFailure.OTHER: 559,
    OpenFailure.DEGRADED: 552,
}
# Not to be changed on an ML307R (TCP 3.7).
_PACKING = Packing(size=1024, silence_s=0.2)
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
    link: TcpLink | UdpLink
    state: State = State.CONNECTING
    opening: asyncio.Task[None] | None = None
    confirmed: int = 0
    confirming: bool = False
    pipe: Pipe | None = None
    local_port: int = 0

    @property
    def tcp(self) -> TcpLink | None:
        """The connection, if it is a TCP one."""
        return self.link if isinstance(self.link, TcpLink) else None

    @property
    def kind(self) -> str:
        """What AT+MIPSTATE calls it."""
        return "TCP" if self.tcp else "UDP"


class Sockets(Area):
    """MIPOPEN and its relatives."""

    modem: Ml307r

    def __init__(self, modem: Ml307r, packet: Packet, tls: Tls) -> None:
        super().__init__(modem)
        self._tls = tls
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
        if socket.pipe:
            socket.pipe.close()

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
        """OK, then `+MIPOPEN: id,result`; mode 0 push, 1 transparent, 2 cache (TCP), 3 packet cache (UDP)."""
        if call.form is Form.TEST:
            call.info(f"+MIPOPEN: (0-{self._settings.count - 1}),,,(0-65535),(1-180),(0-3),(0-65535)")
            return
        call.expect(Form.WRITE)
        number = self._number(call)
        kind, host, port = call.text(1).upper(), call.text(2), call.number(3, 1, 65535)
        timeout_s = call.number(4, 1, 180, _DEFAULT_TIMEOUT_S)
        mode = call.number(5, 0, 3, _PUSH)
        local_port = call.number(6, 0, 65535, 0)
        call.at_most(7)
        if kind not in {"TCP", "UDP"} or not host or mode == (_PACKET_CACHE if kind == "TCP" else _CACHE):
            raise CmeError(50)
        if number in self._table or self.modem.faults.sockets.id_taken(number):
            raise CmeError(552)
        cid = self._settings.get("cid", number)[0]
        if self._packet.active(cid) is None:
            call.then.append(lambda: self._opened(number, 571))
            return
        try:
            link = self._tcp_link(number, host) if kind == "TCP" else self._udp_link(number)
        except MissingCertificateError:
            call.then.append(lambda: self._opened(number, 762))
            return
        socket = self._table[number] = Socket(number, cid, host, port, mode, timeout_s, link, local_port=local_port)
        if mode == _TRANSPARENT:
            await self._open_transparent(call, socket)
        elif self.modem.switches.flag("open_before_ok"):
            self._opened(number, await self._connect(socket))
        else:
            call.then.append(lambda: self._start(socket))

    def _tcp_link(self, number: int, host: str) -> TcpLink:
        switches = self.modem.switches
        secure, context = self._settings.get("ssl", number)
        policy: TlsPolicy | None = self._tls.policy(context, host) if secure else None
        return TcpLink(
            switches.number("send_buffer_bytes"),
            switches.number("recv_buffer_bytes"),
            lambda data: self._received(number, data),
            lambda ending: self._ended(number, ending),
            self.modem.line.room,
            policy,
        )

    def _udp_link(self, number: int) -> UdpLink:
        return UdpLink(lambda data, _: self._received_packet(number, data))

    def _start(self, socket: Socket) -> None:
        socket.opening = self.modem.spawn(self._open(socket))

    def _opened(self, number: int, result: int) -> None:
        self.modem.urc(f"+MIPOPEN: {number},{result}")

    async def _open(self, socket: Socket) -> None:
        self._opened(socket.number, await self._connect(socket))

    async def _connect(self, socket: Socket) -> int:
        context = self._packet.active(socket.cid)
        result = 0
        try:
            if context is None:
                result = 571
            elif isinstance(socket.link, TcpLink):
                await socket.link.open(socket.host, socket.port, socket.timeout_s, context.family)
            else:
                await socket.link.open(socket.host, socket.port, socket.local_port, context.family)
        except OpenFailedError as failed:
            result = _FAILURES[failed.failure]
        except TlsFailedError as failed:
            result = code_of(failed, self.modem.switches.number("tls_no_common"))
        socket.opening = None
        if not result:
            socket.state = State.CONNECTED
        elif self.modem.switches.flag("failed_open_holds_id"):
            socket.state = State.CLOSED
        else:
            self._table.pop(socket.number, None)
        return result

    # Transparent mode

    async def _open_transparent(self, call: Call, socket: Socket) -> None:
        """OK at once; CONNECT, or `+MIPOPEN: id,result`, when it is known. The port waits for that."""
        await data_mode.connect(call, "OK")
        result = await self._connect(socket)
        if result:
            call.silent = True
            call.then.append(lambda: self._opened(socket.number, result))
        else:
            await self._converse(call, socket)

    async def _converse(self, call: Call, socket: Socket) -> None:
        """CONNECT, then bytes both ways until `+++` (OK) or the end of the connection."""
        await data_mode.connect(call)
        pipe = socket.pipe = Pipe(call.session, socket.link)
        socket.mode = _TRANSPARENT
        if socket.state is not State.CONNECTED:
            pipe.close()
        pipe.give(self._unread(socket))
        left = await pipe.run(call, _PACKING)
        socket.pipe = None
        if left is Left.ESCAPED:
            socket.mode = _PUSH
        elif self.modem.switches.text("transparent_close") == "no_carrier":
            call.final = "NO CARRIER"
        else:
            call.silent = True

    def _unread(self, socket: Socket) -> bytes:
        if isinstance(socket.link, TcpLink):
            return socket.link.read(len(socket.link.received))
        data = b"".join(packet for packet, _ in socket.link.packets)
        socket.link.packets.clear()
        return data

    @at("+MIPMODE", tests=True)
    async def mipmode(self, call: Call) -> None:
        """Ask for the mode, or change it; transparent: OK, then CONNECT."""
        if call.form is Form.TEST:
            call.info(f"+MIPMODE: (0-{self._settings.count - 1}),(0-3)")
            return
        call.expect(Form.WRITE)
        call.at_most(2)
        socket = self._get(call)
        if not call.has(1):
            call.info(f"+MIPMODE: {socket.number},{socket.mode}")
            return
        mode = call.number(1, 0, 3)
        if mode == (_PACKET_CACHE if socket.tcp else _CACHE):
            raise CmeError(50)
        if socket.state is not State.CONNECTED:
            raise CmeError(553)
        if mode == _TRANSPARENT:
            await data_mode.connect(call, "OK")
            await self._converse(call, socket)
            return
        socket.mode = mode
        if mode == _PUSH and (data := self._unread(socket)):
            # What the cache held comes in the form of AT+MIPRD (TCP 3.7).
            call.data_block(f"+MIPRD: {socket.number},0,{len(data)},", self._shown(socket.number, data), "\r\n")

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
        if socket.pipe:
            socket.pipe.close()
        if not socket.pipe or self.modem.switches.text("transparent_close") == "disconn":
            self.modem.urc(f'+MIPURC: "disconn",{socket.number},{reason}')
        self._release(socket)

    def _release(self, socket: Socket) -> None:
        """Free the id of an ended socket, unless autofree is 1 or the host has data to fetch."""
        if socket.state is not State.CLOSED or self._settings.get("autofree", socket.number) == (1,):
            return
        if not (socket.tcp and socket.tcp.received):
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
        link = socket.tcp
        if link and self._settings.get("ackmode", socket.number) == (1,) and not socket.confirming:
            socket.confirming = True
            call.then.append(lambda: self.modem.spawn(self._confirm(socket, link)))

    async def _confirm(self, socket: Socket, link: TcpLink) -> None:
        total = await link.wait_acknowledged()
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
        # Nobody confirms UDP (TCP 3.15).
        sent = socket.link.total_sent
        unacked = socket.tcp.unacknowledged if socket.tcp else sent
        call.info(f"+MIPSACK: {sent},{sent - unacked},{unacked},{socket.link.total_received}")

    # Receive

    def _shown(self, number: int, data: bytes) -> bytes:
        return data.hex().upper().encode() if self._settings.get("encoding", number)[1] == HEX else data

    def _received(self, number: int, data: bytes) -> None:
        socket = self._table.get(number)
        link = socket.tcp if socket else None
        if socket is None or link is None:
            return
        if socket.mode == _TRANSPARENT:
            if socket.pipe:
                socket.pipe.give(link.read(len(data)))
        elif socket.mode == _PUSH:
            link.read(len(data))
            head = f'+MIPURC: "rtcp",{number},{len(data)},'.encode()
            self.modem.session.urc_data(head + self._shown(number, data))
        else:
            self.modem.urc(f'+MIPURC: "rtcp",{number},{len(data)},{len(link.received)}')

    def _received_packet(self, number: int, data: bytes) -> None:
        socket = self._table.get(number)
        if socket is None or not isinstance(socket.link, UdpLink):
            return
        packets = socket.link.packets
        if socket.pipe:
            packets.clear()
            socket.pipe.give(data)
        elif socket.mode == _PUSH:
            packets.clear()
            self.modem.session.urc_data(f'+MIPURC: "rudp",{number},{len(data)},'.encode() + self._shown(number, data))
        elif len(packets) > PACKET_LIMIT:
            packets.pop()
            self.modem.urc(f'+MIPURC: "drop",{number},{len(data)}')
        else:
            self.modem.urc(f'+MIPURC: "rudp",{number},{len(packets)}')

    @at("+MIPRD", tests=True)
    async def miprd(self, call: Call) -> None:
        """`+MIPRD: id,left,len,data`, OK alone if there is nothing; without a length `+MIPRD: id,total`.

        A UDP socket counts packets instead of bytes; 0 is everything (TCP 3.6).
        """
        if call.form is Form.TEST:
            call.info(f"+MIPRD: (0-{self._settings.count - 1}),(0-{READ_LIMIT})")
            return
        call.expect(Form.WRITE)
        call.at_most(2)
        socket = self._get(call)
        number, link = socket.number, socket.link
        if socket.mode not in {_CACHE, _PACKET_CACHE}:
            raise CmeError(3)
        store = link.received if isinstance(link, TcpLink) else link.packets
        if not call.has(1):
            call.info(f"+MIPRD: {number},{len(store)}")
            return
        size = call.number(1, 0, READ_LIMIT) or len(store)
        pieces: list[tuple[int, bytes]] = []
        if isinstance(link, TcpLink):
            data = link.read(size)
            pieces = [(len(link.received), data)] if data else []
        else:
            for _ in range(min(size, len(link.packets))):
                data, _ = link.packets.popleft()
                pieces.append((len(link.packets), data))
        for left, data in pieces:
            call.data_block(f"+MIPRD: {number},{left},{len(data)},", self._shown(number, data), "\r\n")
        call.then.append(lambda: self._release(socket))

    # State

    @at("+MIPSTATE", tests=True)
    async def mipstate(self, call: Call) -> None:
        """State of one id, or of all."""
        if call.form is Form.TEST:
            return
        call.expect(Form.READ, Form.WRITE)
        for number in range(self._settings.count) if call.form is Form.READ else [self._number(call)]:
            socket = self._table.get(number)
            if socket is None:
                call.info(f'+MIPSTATE: {number},,,,"INITIAL"')
            else:
                where = f'"{socket.kind}","{socket.host}",{socket.port}'
                call.info(f'+MIPSTATE: {number},{where},"{socket.state.value}"')
