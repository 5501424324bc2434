"""Quectel BG96 and its relatives (sources: bg96.md 1 to 6, the manuals M-AT and M-TCP named there)."""

import asyncio
from contextlib import suppress
import re
from typing import ClassVar, override

from ..at.channel import Channel
from ..at.codec import CodecRules, CountedRule, parse_fields
from ..at.command import Command, Priority, Prompt, Response
from ..at.encoding import Text
from ..errors import CommandError, LinkError, ModemError, NetworkError, SocketError
from .base import ApnSettings, Care, Identity, IpType, Signal, SocketLimits
from .generic import field_number, pdp_type, wait_event
from .quectel_http import QuectelHttp
from .sockets import BaseSocket, SocketTable

CHUNK_BYTES = 1460
"""Most that QISEND takes (M-TCP 2.1.8; test form 0-1460)."""
READ_BYTES = 1500
"""Most that QIRD gives (M-TCP)."""
SOCKET_COUNT = 12
CONTEXT = 1
OPEN_TIMEOUT_S = 150.0
ACTIVATE_TIMEOUT_S = 150.0
DEACTIVATE_TIMEOUT_S = 40.0
SEND_TIMEOUT_S = 60.0
"""SEND OK means queued, so it comes at once; public drivers wait 11 to 50 s, later notes say up to 120 s."""
CLOSE_TIMEOUT_S = 120.0
FULL_BUFFER_TIMEOUT_S = 90.0
"""A link that acknowledges nothing for so long is dead (flow chart in M-TCP)."""
FULL_BUFFER_WAIT_S = 0.25
POLL_S = 5.0
"""How long to trust that a URC will come before asking (assumed): they may go to another port."""
FIRST_POLL_S = 0.5

_STATE_CONNECTED = 2
_STATE_CLOSING = 4

_ERRORS = {
    "550": "unknown error", "551": "operation blocked", "552": "invalid parameters", "553": "memory not enough",
    "554": "the socket could not be created", "555": "operation not supported", "556": "the socket could not be bound",
    "557": "listening failed", "558": "writing failed", "559": "reading failed", "560": "accepting failed",
    "561": "packet data could not be opened", "562": "packet data could not be closed", "563": "the id is in use",
    "564": "DNS is busy", "565": "the name could not be resolved", "566": "the server could not be reached",
    "567": "the connection was closed", "568": "operation busy", "569": "time-out", "570": "packet data broke down",
    "571": "sending was cancelled", "572": "operation not allowed", "573": "no APN is configured", "574": "port busy",
}  # fmt: skip
"""Result codes of TCP/IP commands (bg96.md 4, M-TCP). China Mobile IoT uses the same numbers for other things."""

_NETWORK_CODES = frozenset({"561", "562", "570", "573"})


class QuectelDriver(QuectelHttp):
    """BG96, BG95, BG77, EC2x, EG9x: packet data by QIACT, sockets in buffer mode by QIOPEN, QISEND and QIRD."""

    family = "quectel"
    rules: ClassVar[CodecRules] = CodecRules(
        counted=(
            CountedRule(re.compile(rb"\+QIRD: ?(\d+)"), ends_line=True),
            # Buffer mode is asked for, but firmware from before 2020 and other owners' settings differ.
            CountedRule(re.compile(rb'\+QIURC: ?"recv", ?\d+, ?(\d+)'), ends_line=True),
        )
    )
    banners: ClassVar[tuple[bytes, ...]] = (
        b"RDY",
        b"APP RDY",
        b"POWERED DOWN",
        b"NORMAL POWER DOWN",
        b"PSM POWER DOWN",
    )
    socket_limits: SocketLimits = SocketLimits(count=SOCKET_COUNT, chunk_bytes=CHUNK_BYTES)

    def __init__(self, channel: Channel) -> None:
        super().__init__(channel)
        self.sockets: SocketTable[QuectelSocket] = SocketTable(SOCKET_COUNT)
        self._knows_urc_port = False
        self._must_deactivate = False
        self._applied_apn: ApnSettings | None = None
        """What the modem was found or made to have: asked once, since firmware may hide a password it is asked for."""
        channel.on_lost(self._broke)
        on_urc = channel.on_urc
        on_urc(re.compile(rb"\+QIOPEN: ?\d"), self._opened)
        on_urc(re.compile(rb'\+QIURC: ?"recv"'), self._received)
        on_urc(re.compile(rb'\+QIURC: ?"closed"'), self._closed)
        on_urc(re.compile(rb'\+QIURC: ?"pdpdeact"'), self._packet_data_lost)

    # -- identity and signal ------------------------------------------------------------------------------------------

    @override
    async def read_identity(self) -> Identity:
        """QGMR gives the revision with its sub-version; without it CGMR (bg96.md 1.2)."""
        identity = await super().read_identity()
        revision = await self.read_text("+QGMR") or identity.firmware
        return Identity(
            family=self.family,
            vendor=identity.vendor,
            model=identity.model,
            firmware=revision,
            imei=identity.imei,
            imsi=identity.imsi,
            iccid=identity.iccid,
        )

    @override
    async def read_imei(self) -> str | None:
        """AT+CGSN: fifteen bare digits."""
        return await self.read_digits(self.encoder.run("+CGSN"), length=15)

    @override
    async def read_iccid(self) -> str | None:
        """AT+QCCID; 19-digit cards show a filler F."""
        return await self.read_digits(self.encoder.run("+QCCID")) or await super().read_iccid()

    @override
    async def read_pin_tries(self) -> int | None:
        """AT+QPINC="SC" -> +QPINC: "SC",<PIN tries>,<PUK tries>."""
        response = await self.try_ask(self.encoder.set("+QPINC", Text("code", "SC")), info=re.compile(rb"\+QPINC: "))
        if response is None or not response.lines:
            return await super().read_pin_tries()
        values = parse_fields(response.lines[-1], "+QPINC")
        return values[1] if len(values) > 1 and isinstance(values[1], int) else None

    @override
    async def read_signal(self) -> Signal:
        """AT+QCSQ; where it says nothing of the RSSI, AT+CSQ does."""
        response = await self.try_ask(self.encoder.run("+QCSQ"), info=re.compile(rb"\+QCSQ: "))
        signal = parse_qcsq(response.lines[-1]) if response and response.lines else Signal()
        if signal.rssi_dbm is not None:
            return signal
        return Signal(
            rssi_dbm=await self.read_rssi_dbm(),
            rsrp_dbm=signal.rsrp_dbm,
            rsrq_db=signal.rsrq_db,
            sinr_db=signal.sinr_db,
        )

    # -- faults of the firmware ---------------------------------------------------------------------------------------

    def mind(self, care: Care) -> None:
        """Mind what is known of this firmware."""
        self.sockets.quarantine_s = care.quarantine_s

    async def restart(self) -> None:
        """AT+CFUN=1,1 (bg96.md 6.3); raises ModemError."""
        await self._restart_by(self.encoder.set("+CFUN", 1, 1))

    # -- packet data --------------------------------------------------------------------------------------------------

    async def activate_packet_data(self, apn: ApnSettings | None) -> None:
        """Bring context 1 up with this APN; one that is up with the same APN is left alone.

        Raises:
            NetworkError: with the modem's number and words.
        """
        if self._must_deactivate:
            await self._take_down()
        is_active = await self._is_active()
        if apn is not None and apn != self._applied_apn:
            if not await self._has_apn(apn):
                if is_active:
                    await self.deactivate_packet_data()
                    is_active = False
                await self._configure_apn(apn)
            self._applied_apn = apn
        if is_active:
            return
        try:
            await self.ask(self.encoder.set("+QIACT", CONTEXT), timeout_s=ACTIVATE_TIMEOUT_S)
        except CommandError as err:
            # A context that is active already answers ERROR too (bg96.md 4).
            if not await self._is_active():
                raise await self._network_error("Packet data could not be activated") from err

    async def deactivate_packet_data(self) -> None:
        """Take context 1 down; its sockets close with it."""
        await self.ask(self.encoder.set("+QIDEACT", CONTEXT), timeout_s=DEACTIVATE_TIMEOUT_S)

    async def _take_down(self) -> None:
        """After a "pdpdeact" the host must deactivate before it may activate again (M-TCP)."""
        with suppress(CommandError):  # refused where the modem has done it by itself
            await self.deactivate_packet_data()
        self._must_deactivate = False

    async def _is_active(self) -> bool:
        response = await self.ask(self.encoder.read("+QIACT"), info=re.compile(rb"\+QIACT: "))
        rows = (parse_fields(line, "+QIACT") for line in response.lines)
        return any(row[:2] == [CONTEXT, 1] for row in rows)

    async def _has_apn(self, apn: ApnSettings) -> bool:
        response = await self.try_ask(
            self.encoder.set("+QICSGP", CONTEXT), info=re.compile(rb"\+QICSGP: "), is_private=True
        )
        if response is None or not response.lines:
            return False
        values = parse_fields(response.lines[-1], "+QICSGP")
        stored = ["" if value is None else str(value) for value in values[:4]]
        if stored + [""] * (4 - len(stored)) != [str(_qicsgp_type(apn)), apn.apn, apn.user, apn.password]:
            return False
        context = await self.read_context(CONTEXT)
        return context is None or context == (pdp_type(apn), apn.apn)

    async def _configure_apn(self, apn: ApnSettings) -> None:
        """QICSGP knows IPv4 or IPv6; both at once are asked for with CGDCONT, as the 719 report does."""
        authentication = 3 if apn.user else 0  # 3: PAP or CHAP, whatever the network takes
        name = Text("apn", apn.apn)
        try:
            if apn.ip_type is IpType.IPV4V6:
                await self.try_ask(self.encoder.set("+CGDCONT", CONTEXT, Text("ip_type", "IPV4V6"), name))
            await self.ask(
                self.encoder.set(
                    "+QICSGP",
                    CONTEXT,
                    _qicsgp_type(apn),
                    name,
                    Text("apn_user", apn.user, secret=True),
                    Text("apn_password", apn.password, secret=True),
                    authentication,
                )
            )
        except CommandError as err:
            raise await self._network_error("The modem refused the APN settings") from err

    async def _network_error(self, sentence: str) -> NetworkError:
        code = await self.last_error()
        return NetworkError(code, f"{sentence}: {_ERRORS.get(code, 'the modem gave no reason')}")

    async def last_error(self) -> str:
        """AT+QIGETERROR: why the last TCP/IP command failed; texts differ, so only the number is used."""
        response = await self.try_ask(self.encoder.run("+QIGETERROR"), info=re.compile(rb"\+QIGETERROR: "))
        if response is None or not response.lines:
            return "unknown"
        number = re.search(r"\d+", response.lines[-1])  # some firmware has a blank, no comma, behind it
        return number[0] if number else "unknown"

    # -- sockets ------------------------------------------------------------------------------------------------------

    @override
    async def release_sockets(self) -> None:
        """Close what QISTATE lists: a former owner's sockets keep their ids and memory."""
        response = await self.try_ask(self.encoder.run("+QISTATE"), info=re.compile(rb"\+QISTATE: "))
        for line in response.lines if response else ():
            socket_id = field_number(parse_fields(line, "+QISTATE"), 0, "+QISTATE")
            if socket_id not in self.sockets:
                await self.try_ask(self.encoder.set("+QICLOSE", socket_id))

    async def open_socket(self, host: str, port: int) -> QuectelSocket:
        """Open a TCP connection in buffer mode; the modem resolves the name.

        Raises:
            SocketError, NetworkError: with the modem's number and words.
        """
        with self.sockets.opening(QuectelSocket(self, await self.sockets.take_id())) as socket:
            await self._open(socket, host, port)
        return socket

    async def _open(self, socket: QuectelSocket, host: str, port: int) -> None:
        line = self.encoder.set("+QIOPEN", CONTEXT, socket.id, Text("type", "TCP"), Text("host", host), port, 0, 0)
        try:
            await self.ask(line)
        except CommandError as err:
            raise self._open_error(await self.last_error(), host) from err
        await self._find_urc_port(socket.id)

        async def is_open() -> bool:
            state = await self.socket_state(socket.id)
            if state == _STATE_CLOSING and not socket.opened.is_set():
                raise self._open_error(await self.last_error(), host)
            return state == _STATE_CONNECTED

        pauses_s = (FIRST_POLL_S, POLL_S)
        if result := await socket.wait_open(host, is_open, timeout_s=OPEN_TIMEOUT_S, pauses_s=pauses_s):
            raise self._open_error(str(result), host)

    def _open_error(self, code: str, host: str) -> ModemError:
        words = _ERRORS.get(code, "the modem gave no reason")
        if code in _NETWORK_CODES:
            return NetworkError(code, f"No packet data for {host}: {words}")
        return SocketError(code, f"No connection to {host}: {words}")

    async def socket_state(self, socket_id: int) -> int | None:
        """AT+QISTATE=1,<id>: 1 opening, 2 connected, 4 closing; None for a free id."""
        response = await self.try_ask(self.encoder.set("+QISTATE", 1, socket_id), info=re.compile(rb"\+QISTATE: "))
        if response is None or not response.lines:
            return None
        return field_number(parse_fields(response.lines[-1], "+QISTATE"), 5, "+QISTATE")

    async def _find_urc_port(self, socket_id: int) -> None:
        """Send URCs to the port we are on, once a session, and only if they go elsewhere: the modem stores the setting.

        Which port that is stands in QISTATE's row of a socket opened from it.
        """
        if self._knows_urc_port:
            return
        response = await self.try_ask(self.encoder.set("+QISTATE", 1, socket_id), info=re.compile(rb"\+QISTATE: "))
        values = parse_fields(response.lines[-1], "+QISTATE") if response and response.lines else []
        ours = values[9] if len(values) > 9 else None
        setting = Text("urc_port", "urcport")
        current = await self.try_ask(self.encoder.set("+QURCCFG", setting), info=re.compile(rb"\+QURCCFG: "))
        if current is None or not current.lines or not isinstance(ours, str) or not ours.isalnum():
            return  # what is no name was garbled on the line: the next socket tells it again
        self._knows_urc_port = True
        if parse_fields(current.lines[-1], "+QURCCFG")[1:2] != [ours]:
            await self.try_ask(self.encoder.set("+QURCCFG", setting, Text("urc_port", ours)))

    # -- URCs ---------------------------------------------------------------------------------------------------------

    def _socket_of(self, line: bytes, index: int) -> QuectelSocket | None:
        values = re.findall(rb"\d+", line.partition(b":")[2])
        return self.sockets.get(int(values[index])) if len(values) > index else None

    def _opened(self, line: bytes, _data: bytes) -> None:
        values = re.findall(rb"\d+", line)
        socket = self._socket_of(line, 0)
        if socket is not None and len(values) > 1:
            socket.open_result = int(values[1])
            socket.opened.set()

    def _received(self, line: bytes, data: bytes) -> None:
        if (socket := self._socket_of(line, 0)) is not None:
            socket.announced(data)

    def _closed(self, line: bytes, _data: bytes) -> None:
        if (socket := self._socket_of(line, 0)) is not None:
            socket.peer_closed()

    def _packet_data_lost(self, line: bytes, _data: bytes) -> None:
        if re.findall(rb"\d+", line.partition(b":")[2])[:1] not in ([], [b"%d" % CONTEXT]):
            return  # somebody else's context, such as the operator's own for calls
        self._must_deactivate = True
        self._broke(NetworkError("570", "The network ended packet data"))

    @override
    def _restarted(self) -> None:
        super()._restarted()
        self._must_deactivate = False
        self._applied_apn = None
        self.has_closed_tls_sockets = False
        error = LinkError("modem_restarted", "The modem restarted")
        self.http_broke(error)
        self.sockets.forget_all(error)

    def _broke(self, error: ModemError) -> None:
        """Everything that needs packet data or the port fails with this error."""
        self.http_broke(error)
        self.sockets.break_all(error)


class QuectelSocket(BaseSocket):
    """A TCP connection in buffer mode: the modem holds what arrives until it is fetched."""

    def __init__(self, driver: QuectelDriver, socket_id: int) -> None:
        super().__init__(socket_id, driver.traffic)
        self._driver = driver
        self._has_data = False
        self._pushed = bytearray()

    @property
    @override
    def readable(self) -> bool:
        return self._has_data or bool(self._pushed) or self.is_closed_by_peer or self.error is not None

    def announced(self, data: bytes) -> None:
        """The modem has data, or (direct push) gives it at once."""
        if data:
            self._pushed += data
        else:
            self._has_data = True
        self._changed.set()

    async def send(self, data: bytes) -> None:
        """Hand one chunk to the modem; while its buffer is full the chunk waits, and other exchanges go on.

        Raises:
            SocketError, NetworkError, LinkError.
        """
        self.check_sendable(data, CHUNK_BYTES)
        encoder, channel = self._driver.encoder, self._driver.channel
        command = Command(
            line=encoder.set("+QISEND", self.id, len(data)),
            prompt=Prompt.ANGLE,
            payload=data,
            success=frozenset({b"SEND OK"}),
            timeout_s=SEND_TIMEOUT_S,
            priority=Priority.BULK,
        )
        loop = asyncio.get_running_loop()
        unacknowledged: int | None = None
        deadline: float | None = None
        while True:
            try:
                await channel.execute(command)
            except CommandError as err:
                if err.code != "SEND FAIL":
                    raise await self._failure("Sending") from err
            else:
                self._traffic.sent_bytes += len(data)
                return
            # The buffer is full (M-TCP): nothing of the chunk was taken. Wait for acknowledgements.
            await asyncio.sleep(FULL_BUFFER_WAIT_S)
            before, unacknowledged = unacknowledged, await self.read_unacknowledged_bytes()
            has_progress = before is not None and unacknowledged is not None and unacknowledged < before
            if deadline is None or has_progress:
                deadline = loop.time() + FULL_BUFFER_TIMEOUT_S
            elif loop.time() > deadline:
                raise SocketError("timeout", f"The network took no data for {FULL_BUFFER_TIMEOUT_S:.0f} s")
            self.check_sendable(data, CHUNK_BYTES)

    async def read_unacknowledged_bytes(self) -> int | None:
        """AT+QISEND=<id>,0 -> +QISEND: <total>,<acked>,<unacked>."""
        response = await self._driver.try_ask(
            self._driver.encoder.set("+QISEND", self.id, 0), info=re.compile(rb"\+QISEND: ")
        )
        values = parse_fields(response.lines[-1], "+QISEND") if response and response.lines else []
        return values[2] if len(values) > 2 and isinstance(values[2], int) else None

    async def _failure(self, what: str) -> ModemError:
        if self.error is not None:
            return self.error
        if self.is_closed_by_peer:
            return SocketError("closed", "The server closed the connection")
        code = await self._driver.last_error()
        return SocketError(code, f"{what} failed: {_ERRORS.get(code, 'the modem gave no reason')}")

    async def receive(self) -> bytes:
        """Wait for data; b"" once the peer has closed and all was read."""
        while True:
            if self._pushed:
                data = bytes(self._pushed)
                self._pushed.clear()
                self._traffic.received_bytes += len(data)
                return data
            if self.error is not None:
                raise self.error
            if (self._has_data or self.is_closed_by_peer) and (data := await self._fetch()):
                return data
            if self.is_closed_by_peer and not self._has_data:
                return b""
            self._changed.clear()
            if not self.readable and not await wait_event(self._changed, POLL_S):
                await self._poll()

    async def _fetch(self) -> bytes:
        # Cleared first: a URC that comes while the answer is on its way means there is more.
        self._has_data = False
        try:
            response: Response = await self._driver.ask(
                self._driver.encoder.set("+QIRD", self.id, READ_BYTES), info=re.compile(rb"\+QIRD: ")
            )
        except CommandError as err:
            if self.is_closed_by_peer and self.error is None:
                return b""
            raise await self._failure("Receiving") from err
        # The announcement is repeated only after the buffer was read empty, which a full answer does not prove.
        if len(response.data) == READ_BYTES:
            self._has_data = True
        self._traffic.received_bytes += len(response.data)
        return response.data

    async def _poll(self) -> None:
        """No URC for a while: ask, in case they go to another port."""
        self._has_data = True
        state = await self._driver.socket_state(self.id)
        if state != _STATE_CONNECTED:
            self.peer_closed()

    @override
    def _enqueue_close(self) -> None:
        line = self._driver.encoder.set("+QICLOSE", self.id, 1)  # waits at most 1 s for the peer; the default is 10 s
        closing = self._driver.channel.enqueue(Command(line=line, timeout_s=CLOSE_TIMEOUT_S, priority=Priority.URGENT))
        self._driver.sockets.give_back(self, closing)


def _qicsgp_type(apn: ApnSettings) -> int:
    return 2 if apn.ip_type is IpType.IPV6 else 1


def parse_qcsq(line: str) -> Signal:
    """+QCSQ: "CAT-M1"|"eMTC"|"LTE"|...,rssi,rsrp,sinr,rsrq; sinr in steps of 0.2 dB from -20 (bg96.md 6.1)."""
    values = parse_fields(line, "+QCSQ")
    numbers = [value if isinstance(value, int) else None for value in values[1:5]] + [None] * 4
    rssi, rsrp, sinr, rsrq = numbers[:4]
    if rssi is not None:
        rssi = -abs(rssi)  # one EC25 log shows it without its sign
    return Signal(
        rssi_dbm=rssi if rssi is not None and -150 <= rssi < 0 else None,
        rsrp_dbm=rsrp if rsrp is not None and -160 <= rsrp < 0 else None,
        rsrq_db=float(rsrq) if rsrq is not None and -40 <= rsrq <= 0 else None,
        sinr_db=sinr / 5 - 20 if sinr is not None and 0 <= sinr <= 250 else None,
    )
