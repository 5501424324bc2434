"""China Mobile IoT ML307R and ML307A (sources: ml307r.md 1 to 5, the manuals TCP, EXT and FLOW named there)."""

import asyncio
from collections import deque
import re
from typing import ClassVar, override

from ..at.channel import Channel
from ..at.codec import CodecRules, CountedRule, parse_fields
from ..at.command import Command, Priority, Prompt
from ..at.encoding import AtEncoder, Text
from ..errors import CommandError, LinkError, ModemError, NetworkError, SocketError
from .base import ApnSettings, Care, Identity, SocketLimits
from .china_mobile_http import ChinaMobileHttp
from .generic import pdp_type
from .sockets import BaseSocket, SocketTable

CHUNK_BYTES = 8192
"""Most that MIPSEND takes behind its prompt (TCP 3.5; inline it is 1460)."""
SOCKET_COUNT = 5
"""The manual's text says ids 0 to 5, its samples 0 to 4 (ml307r.md 10.10): five are safe either way."""
RELEASED_IDS = range(6)
CONTEXT = 1
OPEN_TIMEOUT_S = 60
ACTIVATE_TIMEOUT_S = 60.0
SEND_TIMEOUT_S = 30.0
"""OK means in the modem's buffer; a public driver waits 15 s."""
CLOSE_TIMEOUT_S = 30.0
POLL_S = 10.0
MAX_UNREAD_BYTES = 1_000_000
"""Push mode has no brake: a server that floods us is cut off here."""

_ERRORS = {
    "3": "operation not allowed", "4": "operation not supported", "23": "memory full", "30": "no network service",
    "50": "parameter error", "550": "unknown error", "551": "the socket is not in use", "552": "the id is in use",
    "553": "not connected", "554": "the socket could not be created", "555": "the socket could not be bound",
    "556": "listening failed", "557": "the server refused the connection", "558": "the server did not answer in time",
    "559": "the connection failed", "560": "writing failed", "561": "reading failed", "562": "accepting failed",
    "570": "packet data is not active", "571": "packet data could not be activated",
    "572": "packet data could not be deactivated", "575": "no APN is configured", "576": "the port is busy",
    "577": "IPv4 or IPv6 is not supported", "580": "the name could not be resolved", "581": "DNS is busy",
    "582": "ping is busy",
}  # fmt: skip
"""+CME ERROR of sockets and results of +MIPOPEN (ml307r.md 5.4). Quectel uses the same numbers for other things."""

_NETWORK_CODES = frozenset({"30", "570", "571", "572", "575"})
_PARAMETER = "50"


class ChinaMobileDriver(ChinaMobileHttp):
    """ML307R and ML307A: packet data by MIPCALL, sockets in push mode by MIPOPEN and MIPSEND."""

    family = "china_mobile"
    # A backslash starts an escape in some modes of these modems, and strings cannot hold a quote (HTTP 3.4).
    encoder: ClassVar[AtEncoder] = AtEncoder()
    rules: ClassVar[CodecRules] = CodecRules(
        counted=(
            CountedRule(re.compile(rb'\+MIPURC: ?"rtcp", ?\d, ?(\d+),'), ends_line=False),
            CountedRule(re.compile(rb'\+MHTTPURC: ?"header", ?\d, ?\d+, ?(\d+),'), ends_line=False),
            CountedRule(re.compile(rb'\+MHTTPURC: ?"content", ?\d, ?\d+, ?\d+, ?(\d+),'), ends_line=False),
        ),
        unterminated=(re.compile(rb'\+MHTTPURC: ?"ind", ?\d'),),
    )
    banners: ClassVar[tuple[bytes, ...]] = (b"+MATREADY", b"REBOOTING", b"POWER OFF")
    socket_limits: SocketLimits = SocketLimits(count=SOCKET_COUNT, chunk_bytes=CHUNK_BYTES)

    def __init__(self, channel: Channel) -> None:
        super().__init__(channel)
        self.sockets: SocketTable[ChinaMobileSocket] = SocketTable(SOCKET_COUNT)
        self._configured_ids: set[int] = set()
        self._applied_apn: ApnSettings | None = None
        self.avoids_close = False
        channel.on_lost(self._broke)
        on_urc = channel.on_urc
        on_urc(re.compile(rb"\+MIPOPEN: ?\d"), self._opened)
        on_urc(re.compile(rb'\+MIPURC: ?"rtcp"'), self._received)
        on_urc(re.compile(rb'\+MIPURC: ?"disconn"'), self._disconnected)
        on_urc(re.compile(rb"\+MIPCALL: ?\d"), self._packet_data_changed)

    @override
    async def prepare(self) -> None:
        """As every modem, and no deep sleep: while asleep the UART is deaf (ml307r.md 2)."""
        await super().prepare()
        await self.try_ask(self.encoder.set("+MLPMCFG", Text("key", "sleepmode"), 0, 0))

    @override
    async def read_identity(self) -> Identity:
        """CGMR does not tell releases apart; MSWVER does (ml307r.md 1.3)."""
        identity = await super().read_identity()
        return Identity(
            family=self.family,
            vendor=identity.vendor,
            model=identity.model,
            firmware=identity.firmware,
            release=await self.read_text("+MSWVER"),
            imei=identity.imei,
            imsi=identity.imsi,
            iccid=identity.iccid,
        )

    @override
    async def read_imei(self) -> str | None:
        """AT+CGSN=1 only: AT+CGSN alone gives the serial number (ml307r.md 1.2)."""
        return await self.read_digits(self.encoder.set("+CGSN", 1))

    @override
    async def read_iccid(self) -> str | None:
        """ICCID or MCCID, whichever the firmware has."""
        return await self.read_digits(self.encoder.run("+ICCID")) or await self.read_digits(self.encoder.run("+MCCID"))

    # -- faults of the firmware ---------------------------------------------------------------------------------------

    def mind(self, care: Care) -> None:
        """Mind what is known of this firmware."""
        self.sockets.quarantine_s, self.avoids_close = care.quarantine_s, care.avoids_close

    async def restart(self) -> None:
        """AT+MREBOOT=0 (ml307r.md 2); raises ModemError."""
        await self._restart_by(self.encoder.set("+MREBOOT", 0))

    # -- packet data --------------------------------------------------------------------------------------------------

    async def activate_packet_data(self, apn: ApnSettings | None) -> None:
        """Bring context 1 up with this APN; one that is up with the same APN is left alone.

        Raises:
            NetworkError: with the modem's number and words.
        """
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
            await self.ask(self.encoder.set("+MIPCALL", 1, CONTEXT), timeout_s=ACTIVATE_TIMEOUT_S)
        except CommandError as err:
            # "Already active" is OK by the manual and 50 on hardware (ml307r.md 10.8): the address decides, below.
            if err.code != _PARAMETER:
                raise _network_error(err.code, "Packet data could not be activated") from err
        try:
            async with asyncio.timeout(ACTIVATE_TIMEOUT_S):
                pause_s = 0.05
                while not await self._is_active():
                    await asyncio.sleep(pause_s)
                    pause_s = min(pause_s * 2, 1.0)
        except TimeoutError as err:
            raise _network_error("571", f"No address from the network within {ACTIVATE_TIMEOUT_S:.0f} s") from err

    async def deactivate_packet_data(self) -> None:
        """Take context 1 down; its sockets close with it."""
        await self.try_ask(self.encoder.set("+MIPCALL", 0, CONTEXT))

    async def _is_active(self) -> bool:
        response = await self.ask(self.encoder.read("+MIPCALL"), info=re.compile(rb"\+MIPCALL: ?\d"))
        rows = (parse_fields(line, "+MIPCALL") for line in response.lines)
        return any(row[:2] == [CONTEXT, 1] for row in rows)

    async def _has_apn(self, apn: ApnSettings) -> bool:
        if await self.read_context(CONTEXT) != (pdp_type(apn), apn.apn):
            return False
        # 3GPP 27.007 10.1.31: the user is told, the password never. Where the command is missing, nothing is known.
        response = await self.try_ask(self.encoder.read("+CGAUTH"), info=re.compile(rb"\+CGAUTH: "), is_private=True)
        rows = [parse_fields(line, "+CGAUTH") for line in response.lines] if response else []
        stored = next((row for row in rows if row[0] == CONTEXT), None)
        if stored is None or len(stored) < 2 or stored[1] == 0:
            return not apn.user
        return not apn.password and len(stored) > 2 and stored[2] == apn.user

    async def _configure_apn(self, apn: ApnSettings) -> None:
        encoder = self.encoder
        try:
            await self.ask(encoder.set("+CGDCONT", CONTEXT, Text("ip_type", pdp_type(apn)), Text("apn", apn.apn)))
            if apn.user:
                # 3GPP 27.007 10.1.31; 2 is CHAP. Assumed to be there: no manual of this family was at hand.
                user, password = (
                    Text("apn_user", apn.user, secret=True),
                    Text("apn_password", apn.password, secret=True),
                )
                await self.ask(encoder.set("+CGAUTH", CONTEXT, 2, user, password))
            else:
                await self.try_ask(encoder.set("+CGAUTH", CONTEXT, 0))
        except CommandError as err:
            raise _network_error(err.code, "The modem refused the APN settings") from err

    # -- sockets ------------------------------------------------------------------------------------------------------

    @override
    async def release_sockets(self) -> None:
        """Close every id that is not known to be free."""
        for socket_id in RELEASED_IDS:
            if socket_id not in self.sockets and await self.socket_state(socket_id) != "INITIAL":
                await self.try_ask(self.encoder.set("+MIPCLOSE", socket_id))

    async def open_socket(self, host: str, port: int) -> ChinaMobileSocket:
        """Open a TCP connection in push mode; the modem resolves the name.

        Raises:
            SocketError, NetworkError: with the modem's number and words.
        """
        with self.sockets.opening(ChinaMobileSocket(self, await self.sockets.take_id())) as socket:
            await self._open(socket, host, port)
        return socket

    async def _open(self, socket: ChinaMobileSocket, host: str, port: int) -> None:
        encoder = self.encoder
        if socket.id not in self._configured_ids:
            # Settings outlive their owner until a reboot: a public driver leaves hex coding and modem TLS switched on.
            for key, values in (("encoding", (0, 0)), ("ssl", (0,))):
                await self.try_ask(encoder.set("+MIPCFG", Text("key", key), socket.id, *values))
            self._configured_ids.add(socket.id)
        line = encoder.set("+MIPOPEN", socket.id, Text("type", "TCP"), Text("host", host), port, OPEN_TIMEOUT_S, 0)
        try:
            await self.ask(line)
        except CommandError as err:
            raise _open_error(err.code, host) from err

        async def is_open() -> bool:
            return await self.socket_state(socket.id) == "CONNECTED"

        timeout_s = OPEN_TIMEOUT_S + POLL_S  # the modem's own time-out comes first
        if result := await socket.wait_open(host, is_open, timeout_s=timeout_s, pauses_s=(POLL_S, POLL_S)):
            raise _open_error(str(result), host)

    async def socket_state(self, socket_id: int) -> str | None:
        """AT+MIPSTATE=<id>: INITIAL, CONNECTING, CONNECTED, CLOSING or CLOSED; None if the modem does not say."""
        response = await self.try_ask(self.encoder.set("+MIPSTATE", socket_id), info=re.compile(rb"\+MIPSTATE: "))
        values = parse_fields(response.lines[-1], "+MIPSTATE") if response and response.lines else []
        return str(values[4]) if len(values) > 4 else None

    # -- URCs ---------------------------------------------------------------------------------------------------------

    def _numbers(self, line: bytes) -> tuple[ChinaMobileSocket | None, int]:
        """Return the socket a URC is about, and the number behind its id."""
        values = [int(value) for value in re.findall(rb"\d+", line.partition(b":")[2])]
        return (self.sockets.get(values[0]) if values else None), (values[1] if len(values) > 1 else 0)

    def _opened(self, line: bytes, _data: bytes) -> None:
        socket, result = self._numbers(line)
        if socket is not None:
            socket.open_result = result
            socket.opened.set()

    def _received(self, line: bytes, data: bytes) -> None:
        socket, _ = self._numbers(line)
        if socket is not None:
            socket.pushed(data)

    def _disconnected(self, line: bytes, _data: bytes) -> None:
        socket, reason = self._numbers(line)
        if socket is None:
            return
        if reason == 1:
            socket.peer_closed()
        elif reason == 3:
            socket.broke(NetworkError("570", "The network ended packet data"))
        else:
            socket.broke(SocketError("closed", "The connection broke"))

    def _packet_data_changed(self, line: bytes, _data: bytes) -> None:
        if re.match(rb"\+MIPCALL: ?%d, ?0" % CONTEXT, line):  # others are the operator's own, such as 8 for calls
            self._broke(NetworkError("570", "The network ended packet data"))

    @override
    def _restarted(self) -> None:
        super()._restarted()
        self._configured_ids.clear()
        self._applied_apn = None
        error = LinkError("modem_restarted", "The modem restarted")
        self.mhttp_broke(error)
        self.sockets.forget_all(error)

    def _broke(self, error: ModemError) -> None:
        """Everything that needs packet data or the port fails with this error."""
        self.mhttp_broke(error)
        self.sockets.break_all(error)


class ChinaMobileSocket(BaseSocket):
    """A TCP connection in push mode: what arrives comes as URCs. (In cached mode a peer's close frees unread data.)"""

    def __init__(self, driver: ChinaMobileDriver, socket_id: int) -> None:
        super().__init__(socket_id, driver.traffic)
        self._driver = driver
        self._unread: deque[bytes] = deque()
        self._unread_bytes = 0

    @property
    @override
    def readable(self) -> bool:
        return bool(self._unread) or self.is_closed_by_peer or self.error is not None

    def pushed(self, data: bytes) -> None:
        """Data arrived."""
        self._traffic.received_bytes += len(data)
        self._unread.append(data)
        self._unread_bytes += len(data)
        if self._unread_bytes > MAX_UNREAD_BYTES:
            self._unread.clear()
            self.broke(SocketError("flooded", f"The server sent more than {MAX_UNREAD_BYTES} bytes at once"))
        self._changed.set()

    async def send(self, data: bytes) -> None:
        """Hand one chunk to the modem.

        Raises:
            SocketError, NetworkError, LinkError.
        """
        self.check_sendable(data, CHUNK_BYTES)
        command = Command(
            line=self._driver.encoder.set("+MIPSEND", self.id, len(data)),
            info=re.compile(rb"\+MIPSEND: "),
            prompt=Prompt.ANGLE,
            payload=data,
            timeout_s=SEND_TIMEOUT_S,
            priority=Priority.BULK,
        )
        try:
            await self._driver.channel.execute(command)
        except CommandError as err:
            if self.error is not None:
                raise self.error from err
            if self.is_closed_by_peer:
                raise SocketError("closed", "The server closed the connection") from err
            raise SocketError(err.code, f"Sending failed: {_words(err.code)}") from err
        self._traffic.sent_bytes += len(data)

    async def read_unacknowledged_bytes(self) -> int | None:
        """AT+MIPSACK=<id> -> +MIPSACK: <sent>,<acked>,<unacked>,<received>."""
        response = await self._driver.try_ask(
            self._driver.encoder.set("+MIPSACK", self.id), info=re.compile(rb"\+MIPSACK: ")
        )
        values = parse_fields(response.lines[-1], "+MIPSACK") if response and response.lines else []
        return values[2] if len(values) > 2 and isinstance(values[2], int) else None

    async def receive(self) -> bytes:
        """Wait for data; b"" once the peer has closed and all was read."""
        while True:
            if self._unread:
                data = self._unread.popleft()
                self._unread_bytes -= len(data)
                return data
            if self.error is not None:
                raise self.error
            if self.is_closed_by_peer:
                return b""
            self._changed.clear()
            await self._changed.wait()

    @override
    def _enqueue_close(self) -> None:
        if self._driver.avoids_close and self.is_closed_by_peer:
            self._driver.sockets.forget(self)  # by default the modem frees it then ("autofree" 0)
            return
        line = self._driver.encoder.set("+MIPCLOSE", self.id)
        closing = self._driver.channel.enqueue(Command(line=line, timeout_s=CLOSE_TIMEOUT_S, priority=Priority.URGENT))
        self._driver.sockets.give_back(self, closing)


def _words(code: str) -> str:
    return _ERRORS.get(code, "the modem gave no reason")


def _network_error(code: str, sentence: str) -> NetworkError:
    return NetworkError(code, f"{sentence}: {_words(code)}")


def _open_error(code: str, host: str) -> ModemError:
    if code in _NETWORK_CODES:
        return NetworkError(code, f"No packet data for {host}: {_words(code)}")
    return SocketError(code, f"No connection to {host}: {_words(code)}")
