"""The HTTP client of Quectel modems (sources: bg96.md 2, 5 and 9, the manuals M-HTTP and M-SSL named there).

It is given whole requests (requestheader 1) and gives whole responses (responseheader 1). There is one URL, one
request and one response at a time, and no command that stops a request.
"""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
import math
import re

from ..at.channel import Channel
from ..at.codec import RawRule, parse_fields
from ..at.command import Command, Priority, Prompt, Response
from ..at.encoding import CommandLine, Parameter, Text, Word
from ..errors import CommandError, HttpError, ModemError, NetworkError, SocketError, TlsError
from .base import HttpOutcome, HttpSteps, ModemTls
from .generic import wait_event
from .quectel_files import ASSUMED_BPS, QuectelFiles

PACKET_DATA_CONTEXT = 1
TLS_CONTEXT = 1
"""QHTTPCFG's own default."""
MAX_URL_BYTES = 700
MAX_REQUEST_BYTES = 1_024_000
MAX_GET_BYTES = 2_048
CONNECT_TIMEOUT_S = 125
"""How long CONNECT may be in coming, TLS included (M-HTTP)."""
URL_TIMEOUT_S = 30
RESPONSE_S = 60
"""The modem's own default of the time it waits for a response ..."""
ASSUMED_UPLINK_BPS = 16_000
"""... and what is added for the way through the air (assumed: a bad NB-IoT cell)."""
READ_GAP_S = 20
"""How long QHTTPREAD may pause between packets."""
MAX_READ_BYTES = 262_144
"""A longer response is not fetched: that holds the port to its end."""
READ_URC_S = 5.0
MARGIN_S = 10.0
SETTLE_S = 30.0
"""How long to wait for the result of a request that nobody waits for any more."""

TLS_VERSION = 3
"""TLS 1.2 and nothing else, the newest these modems have."""

HTTP_ERRORS = {
    "701": "unknown error", "702": "time-out", "703": "the HTTP client is busy", "704": "the port is busy",
    "705": "there is no request to read the answer of", "706": "the network is busy",
    "707": "packet data could not be opened", "708": "packet data is not configured",
    "709": "packet data is not active", "710": "network error", "711": "bad URL", "712": "no URL is set",
    "713": "IP address error", "714": "the name could not be resolved", "715": "the socket could not be created",
    "716": "the server could not be reached", "717": "reading from the socket failed",
    "718": "writing to the socket failed", "719": "the connection was closed before the modem had the answer",
    "720": "encoding failed", "721": "decoding failed", "722": "reading timed out", "723": "the response failed",
    "724": "busy with an incoming call", "725": "busy with a call", "726": "the input came too slowly",
    "727": "waiting for data timed out", "728": "the server did not answer in time", "729": "memory not enough",
    "730": "invalid parameter", "731": "the response is too large",
}  # fmt: skip
"""Results and +CME ERROR of HTTP commands (bg96.md 2.4, complete). SIMCom uses the same numbers for other things."""

_NETWORK = frozenset({"706", "707", "708", "709", "710"})
_SOCKET = frozenset({"713", "714", "715", "716", "717", "718"})
_NOTHING_SENT = frozenset({"703", "704", "705", "707", "708", "709", "711", "712", "713", "714", "715", "716"})
"""The modem never had a connection, so that the server cannot have the request."""

_URC_IN_BETWEEN = rb"(?:\r\n\+[^\r\n]{1,100}\r\n){0,3}"
_READ_END = re.compile(
    rb"\r\n(?:OK\r\n" + _URC_IN_BETWEEN + rb"(?:\r\n)?\+QHTTPREAD ?: ?\d{1,5}|\+CME ERROR: ?\d{1,5})\r\n"
)


def response_rule(announced_bytes: int | None) -> RawRule:
    """Return where the output of QHTTPREAD ends: there is no length, and bodies may hold the end marker.

    `announced_bytes` is the body's length as the result URC gave it; the response's own Content-Length does as well.
    """

    def least_bytes(data: bytes) -> int:
        if not data.startswith(b"HTTP/"):  # firmware that gives no heads
            return announced_bytes or 0
        end = data.find(b"\r\n\r\n")
        if end < 0:
            return len(data)
        head = data[:end]
        if re.search(rb"\r\nTransfer-Encoding:", head, re.IGNORECASE):
            return end + 4
        match = re.search(rb"\r\nContent-Length: *(\d{1,10})", head, re.IGNORECASE)
        return end + 4 + (int(match[1]) if match else announced_bytes or 0)

    return RawRule(end=_READ_END, least_bytes=least_bytes)


@dataclass(slots=True)
class _Pending:
    """A request the modem was given. `done` ends with its command, `result` with its URC, or with what broke it."""

    name: bytes
    result: asyncio.Future[tuple[str, ...]]
    done: asyncio.Future[Response] | None = None
    is_started: bool = False


class QuectelHttp(QuectelFiles):
    """Mixin: the HTTP client and its TLS."""

    http_max_bytes: int = MAX_REQUEST_BYTES

    def __init__(self, channel: Channel) -> None:
        super().__init__(channel)
        self._http_lock = asyncio.Lock()
        self._http_pending: _Pending | None = None
        self._http_read: asyncio.Event = asyncio.Event()
        self._uses_tls = False
        self._certificate = ""
        self.has_closed_tls_sockets = False
        channel.on_urc(re.compile(rb"\+QHTTP(GET|POST|POSTFILE) ?: ?\d"), self._http_result)
        channel.on_urc(re.compile(rb"\+QHTTPREAD ?: ?\d"), lambda _line, _data: self._http_read.set())
        channel.on_stray_error(self._http_stray_error)

    @asynccontextmanager
    async def http_session(self) -> AsyncGenerator[None]:
        """Have the client to oneself, once a request that was given up has come to its end, or had the time to."""
        async with self._http_lock:
            pending = self._http_pending
            if pending is not None and pending.is_started:
                await asyncio.wait((pending.result,), timeout=SETTLE_S)
            self._http_pending = None
            yield

    async def configure_http(self, url: str, tls: ModemTls | None) -> None:
        """Set everything a request depends on, each time: nothing of it outlives a restart, and others may change it.

        Raises:
            HttpError: a setting or the URL was refused. TlsError: a TLS setting did not hold.
        """
        if len(url) > MAX_URL_BYTES:
            raise HttpError("url_too_long", f"The modem's HTTP client takes URLs of at most {MAX_URL_BYTES} characters")
        self._uses_tls = tls is not None
        await self._configure("contextid", PACKET_DATA_CONTEXT)
        await self._configure("requestheader", 1)
        await self._configure("responseheader", 1)
        if tls is not None:
            await self._configure_tls(tls)
            key = Text("key", "sslctxid")
            order = self.encoder.set("+QHTTPCFG", key, TLS_CONTEXT)
            await self._hold_tls(key.value, str(TLS_CONTEXT), order, self.encoder.set("+QHTTPCFG", key))
        command = Command(
            line=self.encoder.set("+QHTTPURL", len(url), URL_TIMEOUT_S),
            prompt=Prompt.CONNECT,
            payload=url.encode("ascii"),
            timeout_s=URL_TIMEOUT_S + MARGIN_S,
        )
        try:
            await self.channel.execute(command)
        except CommandError as err:
            raise self.http_error(err.code) from err

    async def http_post_file(self, data: bytes, steps: HttpSteps) -> HttpOutcome:
        """Write the request to a file, QHTTPPOSTFILE it, delete the file.

        Raises:
            ModemError: with the modem's number and words.
        """
        await self.make_room(len(data), keep=self._certificate)
        name = self.own_file_name()
        await self.delete_file(name)
        await self.write_file(name, data, steps.on_loaded)
        try:
            seconds = self._response_time_s(len(data))
            line = self.encoder.set("+QHTTPPOSTFILE", Text("file", name), seconds)
            command = Command(line=line, timeout_s=MARGIN_S, priority=Priority.BULK)
            return await self._request(b"POSTFILE", command, len(data), CONNECT_TIMEOUT_S + seconds, steps)
        finally:
            pending = self._http_pending
            if pending is None or not pending.is_started or pending.result.done():
                self.drop_file(name)
            else:  # a file that is being sent stays until the modem is done with it
                pending.result.add_done_callback(lambda _result: self.drop_file(name))

    async def http_post(self, data: bytes, steps: HttpSteps) -> HttpOutcome:
        """QHTTPPOST: the modem connects, then takes the request, and holds the port from beginning to end.

        Raises:
            ModemError: as `http_post_file`.
        """
        return await self._post("POST", data, steps)

    async def http_get(self, data: bytes, steps: HttpSteps) -> HttpOutcome:
        """QHTTPGET with a head of our own.

        Raises:
            ModemError: as `http_post_file`; HttpError request_too_long.
        """
        if len(data) > MAX_GET_BYTES:
            raise HttpError("request_too_long", f"The modem's QHTTPGET takes at most {MAX_GET_BYTES} bytes")
        return await self._post("GET", data, steps)

    async def _post(self, verb: str, data: bytes, steps: HttpSteps) -> HttpOutcome:
        seconds = self._response_time_s(len(data))
        input_s = 10 + math.ceil(2 * len(data) * 10 / (self.channel.line_bps or ASSUMED_BPS))
        # The two commands order their times differently: POST <len>,<input>,<response>, GET <response>,<len>,<input>.
        numbers = (len(data), input_s, seconds) if verb == "POST" else (seconds, len(data), input_s)
        command = Command(
            line=self.encoder.set(f"+QHTTP{verb}", *numbers),
            prompt=Prompt.CONNECT,
            payload=data,
            timeout_s=CONNECT_TIMEOUT_S + MARGIN_S,
            priority=Priority.BULK,
        )
        return await self._request(verb.encode(), command, len(data), seconds, steps)

    async def read_http_response(self, outcome: HttpOutcome) -> bytes:
        """QHTTPREAD: the response, head and body, as the modem gives it.

        Raises:
            HttpError: with the modem's number; response_too_long, since reading cannot be stopped.
        """
        if (outcome.body_bytes or 0) > MAX_READ_BYTES:
            raise HttpError("response_too_long", f"The answer has {outcome.body_bytes} bytes, too many to be fetched")
        self._http_read.clear()
        command = Command(
            line=self.encoder.set("+QHTTPREAD", READ_GAP_S),
            raw=response_rule(outcome.body_bytes),
            timeout_s=READ_GAP_S + MARGIN_S,
            priority=Priority.BULK,
        )
        try:
            response = await self.channel.execute(command)
        except CommandError as err:
            raise self.http_error(err.code) from err
        # The URC, not the OK before it, is the end; until it has come a next command would find the client busy.
        await wait_event(self._http_read, READ_URC_S)
        self.traffic.received_bytes += len(response.data)
        return response.data

    # -- a request and its result -------------------------------------------------------------------------------------

    async def _request(
        self, name: bytes, command: Command, sent_bytes: int, seconds: float, steps: HttpSteps
    ) -> HttpOutcome:
        pending = _Pending(name, asyncio.get_running_loop().create_future())

        def start() -> None:
            pending.is_started = True
            if not command.payload:
                steps.on_told()

        self._http_pending = pending
        done = pending.done = self.channel.enqueue(
            replace(command, on_start=start, on_prompt=steps.on_told if command.payload else None)
        )
        try:
            try:
                await asyncio.wait((done,))  # not cancelled with its caller: how it ends tells whose a late result is
            except asyncio.CancelledError:
                if not pending.is_started:
                    done.cancel()
                raise
            done.result()
            if command.payload:
                steps.on_loaded(len(command.payload))
            async with asyncio.timeout(seconds + MARGIN_S):
                await asyncio.wait((pending.result,))  # not shield: it reports what fails after its caller has gone
            fields = pending.result.result()
        except CommandError as err:
            pending.result.cancel()
            if err.code in _NOTHING_SENT or (not command.payload and err.code not in HTTP_ERRORS):
                steps.on_not_sent()
            raise self.http_error(err.code) from err
        except TimeoutError as err:
            pending.result.cancel()
            raise HttpError("timeout", f"The modem did not tell what came of the request in {seconds:.0f} s") from err
        except ModemError:
            pending.result.cancel()
            raise
        return self._outcome(fields, sent_bytes, steps)

    def _outcome(self, fields: tuple[str, ...], sent_bytes: int, steps: HttpSteps) -> HttpOutcome:
        code = fields[0]
        if code in _NOTHING_SENT:
            steps.on_not_sent()
        else:
            self.traffic.sent_bytes += sent_bytes
        if code != "0":
            raise self.http_error(code)
        steps.on_answered()
        if len(fields) < 2:
            raise HttpError("response_invalid", "The modem tells of an answer without a status")
        return HttpOutcome(status=int(fields[1]), body_bytes=int(fields[2]) if len(fields) > 2 else None)

    def _response_time_s(self, count: int) -> int:
        return RESPONSE_S + math.ceil(count * 8 / ASSUMED_UPLINK_BPS)

    def _http_result(self, line: bytes, _data: bytes) -> None:
        pending = self._http_pending
        head, _, rest = line.partition(b":")
        if pending is None or not pending.is_started or pending.result.done():
            return  # of a request that was given up
        if head.strip() == b"+QHTTP" + pending.name:
            pending.result.set_result(tuple(re.findall(r"\d+", rest.decode("latin-1"))))

    def _http_stray_error(self, code: str) -> bool:
        """Take the result of a request as +CME ERROR behind its OK: which of both firmware uses is not settled."""
        pending = self._http_pending
        if pending is None or code not in HTTP_ERRORS or pending.result.done():
            return False
        done = pending.done
        if done is None or not done.done() or done.cancelled() or done.exception() is not None:
            return False
        pending.result.set_result((code,))
        return True

    def http_broke(self, error: ModemError) -> None:
        """The modem restarted, is gone or lost packet data: no result will come."""
        pending = self._http_pending
        if pending is not None and not pending.result.done():
            pending.result.set_exception(error)
            pending.result.exception()  # seen: perhaps nobody waits

    def http_error(self, code: str) -> ModemError:
        """Return what a number means; 701 on https is what these modems say of most TLS failures (bg96.md 2.4)."""
        words = HTTP_ERRORS.get(code, "the modem gave no reason")
        sentence = f"The modem's HTTP client: {words}"
        if code == "701" and self._uses_tls:
            return TlsError(code, f"{sentence}; over https mostly a handshake or certificate the modem did not like")
        if code in _NETWORK:
            return NetworkError(code, sentence)
        return SocketError(code, sentence) if code in _SOCKET else HttpError(code, sentence)

    # -- settings -----------------------------------------------------------------------------------------------------

    async def _configure(self, key: str, value: int) -> None:
        try:
            await self.ask(self.encoder.set("+QHTTPCFG", Text("key", key), value))
        except CommandError as err:
            raise HttpError(err.code, f"The modem's HTTP client does not take the setting {key}") from err

    async def _configure_tls(self, tls: ModemTls) -> None:
        """Set and read back what TLS depends on: out of the box these modems verify nothing."""
        if not self.has_closed_tls_sockets:
            await self._close_tls_sockets()
        await self._set_tls("sslversion", TLS_VERSION)
        await self._set_tls("ciphersuite", Word("0XFFFF"))
        if tls.ca_pem is not None:
            self._certificate = await self.store_certificate(tls.ca_pem)
            await self._set_tls("cacert", Text("cacert", self._certificate))
        await self._set_tls("ignorelocaltime", 0 if tls.checks_dates else 1)
        await self._set_tls("seclevel", 1 if tls.is_verified else 0)
        # Not in the BG96's manual; without it, servers that share an address refuse (bg96.md 5).
        await self.try_ask(self._tls_line("sni", 1))

    async def _close_tls_sockets(self) -> None:
        """Close what a former owner of the port left open: it blocks new settings (bg96.md 5, Mbed's driver)."""
        response = await self.try_ask(self.encoder.run("+QSSLSTATE"), info=re.compile(rb"\+QSSLSTATE: "))
        for line in response.lines if response else ():
            number = parse_fields(line, "+QSSLSTATE")[0]
            if isinstance(number, int):
                await self.try_ask(self.encoder.set("+QSSLCLOSE", number, 0))
        self.has_closed_tls_sockets = True

    async def _set_tls(self, key: str, value: Parameter) -> None:
        wanted = value.value if isinstance(value, Text | Word) else str(value)
        await self._hold_tls(key, wanted, self._tls_line(key, value), self._tls_line(key))

    async def _hold_tls(self, key: str, wanted: str, order: CommandLine, question: CommandLine) -> None:
        try:
            await self.ask(order)
            response = await self.ask(question, info=re.compile(rb"\+Q(SSL|HTTP)CFG: "))
        except CommandError as err:
            raise TlsError(err.code, f"The modem does not take the TLS setting {key}") from err
        values = parse_fields(response.lines[-1], question.name.removeprefix("AT")) if response.lines else []
        held = str(values[-1]).removeprefix("UFS:") if len(values) > 1 else ""
        if held.upper() != wanted.upper():
            raise TlsError("setting_lost", f"The modem did not keep the TLS setting {key}: {wanted} became {held}")

    def _tls_line(self, key: str, *value: Parameter) -> CommandLine:
        return self.encoder.set("+QSSLCFG", Text("key", key), TLS_CONTEXT, *value)
