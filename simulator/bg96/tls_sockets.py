"""TLS sockets: QSSLOPEN and its relatives (bg96.md 5, M-SSL 2)."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import TYPE_CHECKING, override

from simulator import data_mode
from simulator.bg96.sockets import READ_LIMIT, SEND_LIMIT, SOCKET_COUNT, State
from simulator.errors import InputCancelledError
from simulator.parser import Form
from simulator.registry import Area, Call, at
from simulator.tcp import Ending, OpenFailedError, OpenFailure, TcpLink
from simulator.tls import TlsFailedError
from simulator.transparent import Left, Packing, Pipe

if TYPE_CHECKING:
    from simulator.bg96.modem import Bg96
    from simulator.bg96.packet import Packet
    from simulator.bg96.tls_settings import TlsSettings

_TRANSPARENT = 2
# As for TCP sockets in QICFG's defaults; the SSL manual tells none.
_PACKING = Packing(1024, 0.2)
_FAILURES = {OpenFailure.DNS: 565, OpenFailure.TIMEOUT: 569, OpenFailure.DEGRADED: 552}
_CONNECT_FAILED = 566


@dataclass(slots=True)
class TlsSocket:
    """One TLS socket in use."""

    number: int
    cid: int
    context: int
    host: str
    port: int
    mode: int
    link: TcpLink | None = None
    state: State = State.OPENING
    notified: bool = False
    read: int = 0
    opening: asyncio.Task[None] | None = None
    pipe: Pipe | None = None

    def drop(self) -> None:
        """Let go of the connection."""
        if self.opening:
            self.opening.cancel()
        if self.pipe:
            self.pipe.close()
        if self.link:
            self.link.drop()

    def unread(self, limit: int) -> bytes:
        """Take what has been received."""
        data = self.link.read(limit) if self.link else b""
        self.read += len(data)
        return data


class TlsSockets(Area):
    """Client sockets with an id of their own row; errors are the sockets' ones."""

    modem: Bg96

    def __init__(self, modem: Bg96, packet: Packet, settings: TlsSettings) -> None:
        super().__init__(modem)
        self._packet = packet
        self._settings = settings
        self._table: dict[int, TlsSocket] = {}

    @override
    def reset(self) -> None:
        for socket in self._table.values():
            socket.drop()
        self._table.clear()

    @override
    async def close(self) -> None:
        self.reset()

    def context_gone(self, cid: int) -> None:
        """Close the sockets of a context that went down."""
        for number, socket in list(self._table.items()):
            if socket.cid == cid:
                del self._table[number]
                socket.drop()

    def _get(self, call: Call, index: int = 0) -> TlsSocket:
        socket = self._table.get(call.number(index, 0, SOCKET_COUNT - 1))
        if socket is None:
            raise self._packet.fail(552)
        self._packet.last_error = 0
        return socket

    # Open and close

    @at("+QSSLOPEN", test="+QSSLOPEN: (1-16),(0-5),(0-11),<serveraddr>,<server_port>,(0-2)")
    async def qsslopen(self, call: Call) -> None:
        """OK, then `+QSSLOPEN: id,err`; mode 2: CONNECT, or ERROR."""
        call.expect(Form.WRITE)
        call.at_most(6)
        cid, context = call.number(0, 1, 16), call.number(1, 0, 5)
        number, host, port = call.number(2, 0, SOCKET_COUNT - 1), call.text(3), call.number(4, 1, 65535)
        mode = call.number(5, 0, 2, 0)
        if not host:
            raise self._packet.fail(552)
        self._packet.last_error = 0
        taken = number in self._table or self.modem.faults.sockets.id_taken(number)
        if taken and (mode == _TRANSPARENT or self.modem.switches.text("id_in_use") == "error"):
            raise self._packet.fail(563)
        if taken:
            call.then.append(lambda: self._opened(number, 563))
            return
        socket = TlsSocket(number, cid, context, host, port, mode)
        if mode == _TRANSPARENT:
            if error := await self._connect(socket):
                raise self._packet.fail(error)
            self._table[number] = socket
            await self._converse(call, socket)
            return

        def begin() -> None:
            self._table[number] = socket
            socket.opening = self.modem.spawn(self._open(socket))

        call.then.append(begin)

    def _opened(self, number: int, error: int) -> None:
        self._packet.last_error = error
        self.modem.result_urc(f"+QSSLOPEN: {number},{error}")

    async def _open(self, socket: TlsSocket) -> None:
        error = await self._connect(socket)
        socket.opening = None
        if error and self.modem.switches.flag("failed_open_holds_id"):
            socket.state = State.CLOSING
        elif error:
            self._table.pop(socket.number, None)
        self._opened(socket.number, error)

    async def _connect(self, socket: TlsSocket) -> int:
        context = self._packet.active(socket.cid)
        if context is None:
            return 561
        switches = self.modem.switches
        try:
            socket.link = TcpLink(
                switches.number("send_buffer_bytes"),
                switches.number("recv_buffer_bytes"),
                lambda data: self._received(socket, data),
                lambda ending: self._ended(socket, ending),
                self.modem.line.room,
                self._settings.policy(socket.context, socket.host),
            )
            await socket.link.open(socket.host, socket.port, switches.seconds("connect_timeout_s"), context.family)
        except OpenFailedError as failed:
            return _FAILURES.get(failed.failure, _CONNECT_FAILED)
        except TlsFailedError:
            # Whatever is wrong with a certificate or a handshake, the number is the same (EG8a).
            return _CONNECT_FAILED
        socket.state = State.CONNECTED
        return 0

    @at("+QSSLCLOSE", test="+QSSLCLOSE: (0-11),(0-65535)")
    async def qsslclose(self, call: Call) -> None:
        """Waits for what was sent, 10 s or the time given; 0 is at once. An id that is free is no error."""
        call.expect(Form.WRITE)
        call.at_most(2)
        number, timeout_s = call.number(0, 0, SOCKET_COUNT - 1), call.number(1, 0, 65535, 10)
        self._packet.last_error = 0
        socket = self._table.get(number)
        if socket is None:
            return
        if socket.state is State.CONNECTED and socket.link:
            await socket.link.close(drain_s=timeout_s)
        if self._table.get(number) is socket:
            del self._table[number]
        socket.drop()

    def _ended(self, socket: TlsSocket, ending: Ending) -> None:
        del ending  # one line for both
        if socket.state is not State.CONNECTED:
            return
        socket.state = State.CLOSING
        if socket.pipe:
            socket.pipe.close()
        else:
            self.modem.urc(f'+QSSLURC: "closed",{socket.number}')

    async def _converse(self, call: Call, socket: TlsSocket) -> None:
        if socket.link is None:
            raise self._packet.fail(567)
        await data_mode.connect(call)
        pipe = socket.pipe = Pipe(call.session, socket.link)
        pipe.give(socket.unread(READ_LIMIT))
        if socket.state is not State.CONNECTED:
            pipe.close()
        left = await pipe.run(call, _PACKING)
        socket.pipe = None
        if left is Left.ESCAPED:
            socket.mode, socket.notified = 0, False
        else:
            call.final = "NO CARRIER"

    # Send and receive

    @at("+QSSLSEND", test="+QSSLSEND: (0-11),(1-1460)")
    async def qsslsend(self, call: Call) -> None:
        """Prompt, then a counted payload or one that Ctrl-Z ends."""
        call.expect(Form.WRITE)
        call.at_most(2)
        socket = self._get(call)
        size = call.number(1, 1, SEND_LIMIT, 0)
        self._link(socket)
        await call.prompt()
        if size:
            data = await call.payload(size)
        else:
            try:
                data = await call.text_payload(SEND_LIMIT)
            except InputCancelledError:
                self._packet.last_error = 571
                return
        call.final = "SEND OK" if self._link(socket).send(data) else "SEND FAIL"

    def _link(self, socket: TlsSocket) -> TcpLink:
        if socket.state is not State.CONNECTED or socket.link is None:
            raise self._packet.fail(567)
        return socket.link

    def _received(self, socket: TlsSocket, data: bytes) -> None:
        if socket.pipe:
            socket.pipe.give(socket.unread(len(data)))
        elif socket.mode == 1:
            data = socket.unread(len(data))
            self.modem.urc_data(f'+QSSLURC: "recv",{socket.number},{len(data)}'.encode() + b"\r\n" + data)
        elif socket.mode == 0 and not socket.notified:
            socket.notified = True
            self.modem.urc(f'+QSSLURC: "recv",{socket.number}')

    @at("+QSSLRECV", test="+QSSLRECV: (0-11),(1-1500)")
    async def qsslrecv(self, call: Call) -> None:
        """`+QSSLRECV: n` CR LF data; 0 for n is a switch (bg96.md 11)."""
        call.expect(Form.WRITE)
        call.at_most(2)
        socket = self._get(call)
        size = call.number(1, 0 if self.modem.switches.flag("qsslrecv_zero") else 1, READ_LIMIT)
        if socket.mode != 0 or socket.link is None:
            raise self._packet.fail(572)
        if size == 0:
            total = socket.link.total_received
            call.info(f"+QSSLRECV: {total},{socket.read},{total - socket.read}")
            return
        data = socket.unread(size)
        if not socket.link.received and (not data or self.modem.switches.text("recv_rearm") == "empty"):
            socket.notified = False
        if not data:
            call.info("+QSSLRECV: 0")
            return
        call.data_block(f"+QSSLRECV: {len(data)}\r\n", data, "")

    # State

    @at("+QSSLSTATE")
    async def qsslstate(self, call: Call) -> None:
        """All TLS sockets, or one: `=<id>` in the manual, `=1,<id>` in a driver (bg96.md 11)."""
        sockets = [socket for _, socket in sorted(self._table.items())]
        if call.form is Form.WRITE:
            call.at_most(2)
            number = call.number(call.count - 1, 0, SOCKET_COUNT - 1)
            sockets = [socket for socket in sockets if socket.number == number]
        for socket in sockets:
            ip = (socket.link.remote_ip if socket.link else "") or socket.host
            local = socket.link.local_port if socket.link else 0
            call.info(
                f'+QSSLSTATE: {socket.number},"SSLClient","{ip}",{socket.port},{local},{socket.state:d},'
                f'{socket.cid},0,{socket.mode},"uart1",{socket.context}'
            )
