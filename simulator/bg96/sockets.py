"""TCP sockets: bg96.md 4 (M-TCP 2)."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
import enum
from typing import TYPE_CHECKING, override

from simulator import data_mode
from simulator.bg96.packet import Packet
from simulator.bg96.tables import SOCKET_ERRORS
from simulator.errors import InputCancelledError
from simulator.parser import Form
from simulator.registry import Area, Call, at
from simulator.tcp import Ending, OpenFailedError, OpenFailure, TcpLink, resolve
from simulator.transparent import Left, Packing, Pipe

if TYPE_CHECKING:
    from simulator.bg96.modem import Bg96

SOCKET_COUNT = 12
SEND_LIMIT = 1460
READ_LIMIT = 1500
_HEX_LIMIT = 512
_TRANSPARENT = 2
_FAILURES = {
    OpenFailure.DNS: 565,
    OpenFailure.REFUSED: 566,
    OpenFailure.TIMEOUT: 569,
    OpenFailure.OTHER: 566,
    OpenFailure.DEGRADED: 552,
}


class State(enum.IntEnum):
    """Socket states of AT+QISTATE."""

    INITIAL = 0
    OPENING = 1
    CONNECTED = 2
    LISTENING = 3
    CLOSING = 4


@dataclass(slots=True)
class Socket:
    """One socket id in use."""

    number: int
    cid: int
    host: str
    port: int
    mode: int
    link: TcpLink
    state: State = State.OPENING
    notified: bool = False
    read: int = 0
    opening: asyncio.Task[None] | None = None
    pipe: Pipe | None = None


class Sockets(Area):
    """QIOPEN and its relatives."""

    modem: Bg96

    def __init__(self, modem: Bg96, packet: Packet) -> None:
        super().__init__(modem)
        self._packet = packet
        self._table: dict[int, Socket] = {}
        self._echo = False
        self._last_transparent: int | None = None
        self._settings: dict[str, tuple[int, ...]] = {}
        self.reset()

    @override
    def reset(self) -> None:
        for number in list(self._table):
            self._free(number)
        self._echo = False
        self._settings = {
            "transpktsize": (1024,),
            "transwaittm": (2,),
            "dataformat": (0, 0),
            "viewmode": (0,),
            "tcp/retranscfg": (8, 600),
        }

    @override
    async def close(self) -> None:
        self.reset()

    def context_gone(self, cid: int) -> None:
        """Close the sockets of a context that went down; their ids are free (QIDEACT) at once."""
        for number, socket in list(self._table.items()):
            if socket.cid == cid:
                self._free(number)

    def _free(self, number: int) -> None:
        socket = self._table.pop(number)
        if socket.opening:
            socket.opening.cancel()
        socket.link.drop()
        if socket.pipe:
            socket.pipe.close()

    def _get(self, call: Call) -> Socket:
        number = call.number(0, 0, SOCKET_COUNT - 1)
        socket = self._table.get(number)
        if socket is None:
            raise self._packet.fail(552)
        self._packet.last_error = 0
        return socket

    # Open and close

    @at("+QIOPEN", test='+QIOPEN: (1-16),(0-11),"TCP/UDP/TCP LISTENER/UDP SERVICE",'
        '"<IP_address>/<domain_name>",<remote_port>,<local_port>,(0-2)')  # fmt: skip
    async def qiopen(self, call: Call) -> None:
        """OK, then `+QIOPEN: id,err`; mode 0 buffer, 1 push; mode 2 transparent: CONNECT, or ERROR."""
        call.expect(Form.WRITE)
        cid, number = call.number(0, 1, 16), call.number(1, 0, SOCKET_COUNT - 1)
        kind, host, port = call.text(2).upper(), call.text(3), call.number(4, 1, 65535)
        call.number(5, 0, 65535, 0)
        mode = call.number(6, 0, 2, 0)
        call.at_most(7)
        if kind not in {"TCP", "UDP", "TCP LISTENER", "UDP SERVICE"} or not host:
            raise self._packet.fail(552)
        if kind != "TCP":
            raise self._packet.fail(555)
        self._packet.last_error = 0
        if mode == _TRANSPARENT:
            await self._open_transparent(call, number, cid, host, port)
            return
        if number in self._table or self.modem.faults.sockets.id_taken(number):
            if self.modem.switches.text("id_in_use") == "error":
                raise self._packet.fail(563)
            call.then.append(lambda: self._opened(number, 563))
            return
        if self._packet.active(cid) is None:
            call.then.append(lambda: self._opened(number, 561))
            return
        call.then.append(lambda: self._start(number, cid, host, port, mode))

    def _opened(self, number: int, error: int) -> None:
        self._packet.last_error = error
        self.modem.result_urc(f"+QIOPEN: {number},{error}")

    def _start(self, number: int, cid: int, host: str, port: int, mode: int) -> None:
        socket = self._new(number, cid, host, port, mode)
        socket.opening = self.modem.spawn(self._open(socket))

    def _new(self, number: int, cid: int, host: str, port: int, mode: int) -> Socket:
        switches = self.modem.switches
        link = TcpLink(
            switches.number("send_buffer_bytes"),
            switches.number("recv_buffer_bytes"),
            lambda data: self._received(number, data),
            lambda ending: self._ended(number, ending),
            self.modem.line.room,
        )
        socket = Socket(number, cid, host, port, mode, link)
        self._table[number] = socket
        return socket

    async def _open(self, socket: Socket) -> None:
        self._opened(socket.number, await self._connect(socket))

    async def _connect(self, socket: Socket) -> int:
        context = self._packet.active(socket.cid)
        error = 0
        try:
            if context is None:
                error = 561
            else:
                timeout_s = self.modem.switches.seconds("connect_timeout_s")
                await socket.link.open(socket.host, socket.port, timeout_s, context.family)
        except OpenFailedError as failed:
            error = _FAILURES[failed.failure]
        socket.opening = None
        if not error:
            socket.state = State.CONNECTED
        elif self.modem.switches.flag("failed_open_holds_id"):
            socket.state = State.CLOSING
        else:
            self._table.pop(socket.number, None)
        return error

    # Transparent mode

    async def _open_transparent(self, call: Call, number: int, cid: int, host: str, port: int) -> None:
        if number in self._table or self.modem.faults.sockets.id_taken(number):
            raise self._packet.fail(563)
        if self._packet.active(cid) is None:
            raise self._packet.fail(561)
        socket = self._new(number, cid, host, port, _TRANSPARENT)
        if error := await self._connect(socket):
            self._table.pop(number, None)  # an ERROR leaves nothing to close
            raise self._packet.fail(error)
        await self._converse(call, socket)

    async def _converse(self, call: Call, socket: Socket) -> None:
        """CONNECT, then bytes both ways until `+++` (OK) or the peer's close (NO CARRIER)."""
        await data_mode.connect(call)
        pipe = socket.pipe = Pipe(call.session, socket.link)
        socket.mode, self._last_transparent = _TRANSPARENT, socket.number
        if socket.state is not State.CONNECTED:
            pipe.close()
        pipe.give(self._unread(socket))
        size, wait = self._settings["transpktsize"][0], self._settings["transwaittm"][0]
        left = await pipe.run(call, Packing(size, wait / 10))
        socket.pipe = None
        if left is Left.ESCAPED:
            socket.mode, socket.notified = 0, False
        else:
            call.final = "NO CARRIER"

    def _unread(self, socket: Socket) -> bytes:
        data = socket.link.read(len(socket.link.received))
        socket.read += len(data)
        return data

    @at("+QISWTMD", test="+QISWTMD: (0-11),(0-2)")
    async def qiswtmd(self, call: Call) -> None:
        """Change the access mode; 2 gives CONNECT."""
        call.expect(Form.WRITE)
        call.at_most(2)
        socket = self._get(call)
        mode = call.number(1, 0, 2)
        if socket.state is not State.CONNECTED:
            raise self._packet.fail(567)
        if mode == _TRANSPARENT:
            await self._converse(call, socket)
            return
        socket.mode, socket.notified = mode, False
        if mode == 1 and (data := self._unread(socket)):
            call.then.append(lambda: self._push(socket.number, data))

    @at("O")
    async def online(self, call: Call) -> None:
        """Back into the last transparent link; NO CARRIER if there is none."""
        call.number(0, 0, 0, 0)
        number = self._last_transparent
        socket = None if number is None else self._table.get(number)
        if socket is None or socket.state is not State.CONNECTED:
            call.final = "NO CARRIER"
        else:
            await self._converse(call, socket)

    @at("+QICLOSE", test="+QICLOSE: (0-11),(0-65535)")
    async def qiclose(self, call: Call) -> None:
        """Blocks until what was sent is confirmed, or for the time given (10 s)."""
        call.expect(Form.WRITE)
        number = call.number(0, 0, SOCKET_COUNT - 1)
        timeout_s = call.number(1, 0, 65535, 10)
        self._packet.last_error = 0
        socket = self._table.get(number)
        if socket is None:
            return
        if socket.state is State.CONNECTED:
            await socket.link.close(drain_s=timeout_s)
        if self._table.get(number) is socket:
            self._free(number)

    def _ended(self, number: int, ending: Ending) -> None:
        del ending  # the manual knows one URC for both
        socket = self._table.get(number)
        if socket and socket.state is State.CONNECTED:
            socket.state = State.CLOSING
            if socket.pipe:
                socket.pipe.close()
            else:
                self.modem.urc(f'+QIURC: "closed",{number}')

    # Send

    @at("+QISEND", test="+QISEND: (0-11),(0-1460)")
    async def qisend(self, call: Call) -> None:
        """Prompt, then a counted payload or one that Ctrl-Z ends; with 0 the acknowledged bytes."""
        call.expect(Form.WRITE)
        call.at_most(2)
        socket = self._get(call)
        size = call.number(1, 0, SEND_LIMIT, -1)
        if size == 0:
            total, unacked = socket.link.total_sent, socket.link.unacknowledged
            call.info(f"+QISEND: {total},{total - unacked},{unacked}")
            return
        if socket.state is not State.CONNECTED:
            raise self._packet.fail(567)
        await call.prompt()
        if size > 0:
            data = await call.payload(size)
        else:
            try:
                data = await call.text_payload(SEND_LIMIT)
            except InputCancelledError:
                self._packet.last_error = 571
                return
        if self._echo:
            call.reply.payload(data)
        self._send(call, socket, data)

    @at("+QISENDEX", test="+QISENDEX: (0-11),<hex_string>")
    async def qisendex(self, call: Call) -> None:
        """At most 512 hex digits inline."""
        call.expect(Form.WRITE)
        call.at_most(2)
        socket = self._get(call)
        text = call.text(1)
        try:
            data = bytes.fromhex(text)
        except ValueError:
            raise self._packet.fail(552) from None
        if len(text) > _HEX_LIMIT or not data:
            raise self._packet.fail(552)
        if socket.state is not State.CONNECTED:
            raise self._packet.fail(567)
        self._send(call, socket, data)

    def _send(self, call: Call, socket: Socket, data: bytes) -> None:
        if socket.state is not State.CONNECTED:
            raise self._packet.fail(567)
        call.final = "SEND OK" if socket.link.send(data) else "SEND FAIL"

    @at("+QISDE", test="+QISDE: (0,1)")
    async def qisde(self, call: Call) -> None:
        """Whether payload is echoed."""
        call.expect(Form.READ, Form.WRITE)
        if call.form is Form.READ:
            call.info(f"+QISDE: {int(self._echo)}")
        else:
            self._echo = bool(call.number(0, 0, 1))

    # Receive

    def _received(self, number: int, data: bytes) -> None:
        socket = self._table.get(number)
        if socket is None:
            return
        if socket.mode == _TRANSPARENT:
            if socket.pipe:
                socket.pipe.give(self._unread(socket))
        elif socket.mode == 1:
            self._push(number, self._unread(socket))
        elif not socket.notified:
            socket.notified = True
            self.modem.urc(f'+QIURC: "recv",{number}')

    def _push(self, number: int, data: bytes) -> None:
        separator = b"," if self._settings["viewmode"] == (1,) else b"\r\n"
        self.modem.urc_data(f'+QIURC: "recv",{number},{len(data)}'.encode() + separator + data)

    @at("+QIRD", test="+QIRD: (0-11),(0-1500)")
    async def qird(self, call: Call) -> None:
        """`+QIRD: n` CR LF data; with 0 the counters."""
        call.expect(Form.WRITE)
        call.at_most(2)
        socket = self._get(call)
        size = call.number(1, 0, READ_LIMIT, READ_LIMIT)
        link = socket.link
        if socket.mode != 0:
            raise self._packet.fail(572)
        if call.has(1) and size == 0:
            call.info(f"+QIRD: {link.total_received},{socket.read},{link.total_received - socket.read}")
            return
        data = link.read(size)
        socket.read += len(data)
        if not link.received and (not data or self.modem.switches.text("recv_rearm") == "empty"):
            socket.notified = False
        if not data:
            call.info("+QIRD: 0")
            return
        tail = "\r\n" if self.modem.switches.flag("qird_blank_line") else ""
        separator = "," if self._settings["viewmode"] == (1,) else "\r\n"
        call.data_block(f"+QIRD: {len(data)}{separator}", data, tail)

    # State

    @at("+QISTATE")
    async def qistate(self, call: Call) -> None:
        """All sockets, those of a context, or one."""
        sockets = [socket for _, socket in sorted(self._table.items())]
        if call.form is Form.WRITE:
            if call.number(0, 0, 1):
                number = call.number(1, 0, SOCKET_COUNT - 1)
                sockets = [socket for socket in sockets if socket.number == number]
            else:
                cid = call.number(1, 1, 16)
                sockets = [socket for socket in sockets if socket.cid == cid]
        for socket in sockets:
            link = socket.link
            call.info(
                f'+QISTATE: {socket.number},"TCP","{link.remote_ip or socket.host}",{socket.port},{link.local_port},'
                f'{socket.state:d},{socket.cid},0,{socket.mode},"uart1"'
            )

    @at("+QIGETERROR")
    async def qigeterror(self, call: Call) -> None:
        """Why the last TCP/IP command failed."""
        call.expect(Form.EXEC)
        code = self._packet.last_error
        call.info(f"+QIGETERROR: {code},{SOCKET_ERRORS[code]}")

    @at("+QICFG")
    async def qicfg(self, call: Call) -> None:
        """Settings; hexadecimal data is not simulated."""
        call.expect(Form.WRITE)
        key = call.key()
        if key not in self._settings:
            raise self._packet.fail(552)
        if call.count == 1:
            call.info(f'+QICFG: "{key}",{",".join(map(str, self._settings[key]))}')
            return
        limits = {
            "transpktsize": ((1, 1460),),
            "transwaittm": ((0, 20),),
            "dataformat": ((0, 0), (0, 0)),
            "viewmode": ((0, 1),),
            "tcp/retranscfg": ((3, 20), (5, 1000)),
        }[key]
        call.at_most(1 + len(limits))
        self._settings[key] = tuple(call.number(i + 1, low, high) for i, (low, high) in enumerate(limits))

    # Names

    @at("+QIDNSGIP", test="+QIDNSGIP: (1-16),<hostname>")
    async def qidnsgip(self, call: Call) -> None:
        """OK, then the number of addresses and one line for each."""
        call.expect(Form.WRITE)
        context = self._packet.active(call.number(0, 1, 16))
        host = call.text(1)
        if context is None or not host:
            raise self._packet.fail(561 if host else 552)
        self._packet.last_error = 0
        call.then.append(lambda: self.modem.spawn(self._look_up(host)))

    async def _look_up(self, host: str) -> None:
        try:
            addresses = await resolve(host)
        except OpenFailedError:
            self._packet.last_error = 565
            self.modem.urc('+QIURC: "dnsgip",565')
            return
        self.modem.urc(f'+QIURC: "dnsgip",0,{len(addresses)},600')
        for address in addresses:
            self.modem.urc(f'+QIURC: "dnsgip","{address}"')
