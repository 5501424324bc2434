"""The module's own HTTP client: bg96.md 2 (M-HTTP)."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import TYPE_CHECKING, override

from simulator.bg96.files import coded
from simulator.bg96.http_exchange import Exchange, HttpError, Response, Url, parse_url
from simulator.clock import now
from simulator.data_mode import Ended, connect, give, take
from simulator.errors import CmeError
from simulator.parser import Form
from simulator.registry import Area, Call, at

if TYPE_CHECKING:
    from simulator.bg96.files import Files
    from simulator.bg96.modem import Bg96
    from simulator.bg96.packet import Packet
    from simulator.bg96.tls_settings import TlsSettings

URL_LIMIT = 700
GET_LIMIT = 2048
POST_LIMIT = 1024000
_BIT_11 = 0x800
_DEAD_CONTEXT_S = 30.0  # 716 always came after this time (EG8b)
# Key: low, high, default (M-HTTP 2.1; the zeros by CMIOT and PICO).
_SETTINGS = {
    "contextid": (1, 16, 1),
    "requestheader": (0, 1, 0),
    "responseheader": (0, 1, 0),
    "sslctxid": (0, 5, 1),
    "contenttype": (0, 3, 0),
}
_CONTENT_TYPES = (
    "application/x-www-form-urlencoded",
    "text/plain",
    "application/octet-stream",
    "multipart/form-data",
)
_TEST = "\n".join(f'+QHTTPCFG: "{key}",({low}-{high})' for key, (low, high, _) in _SETTINGS.items()).replace(
    "(0-1)", "(0,1)"
)


class Http(Area):
    """One URL, one request and one response at a time."""

    modem: Bg96

    def __init__(self, modem: Bg96, packet: Packet, files: Files, tls: TlsSettings) -> None:
        super().__init__(modem)
        self._packet = packet
        self._files = files
        self._tls = tls
        self._settings = {key: default for key, (_, _, default) in _SETTINGS.items()}
        self._url: Url | None = None
        self._exchange: Exchange | None = None
        self._response: Response | None = None
        self._busy = False
        self._work: asyncio.Task[None] | None = None
        self._name = ""

    @override
    def reset(self) -> None:
        """Settings are not kept over a reboot (EG8a, EG8c)."""
        self._settings = {key: default for key, (_, _, default) in _SETTINGS.items()}
        self._url = None
        if self._work:
            self._work.cancel()
        self._work = None
        self._forget()
        self._busy = False

    @override
    async def close(self) -> None:
        self.reset()

    def context_gone(self, cid: int) -> None:
        """A context went down: what used it ends, a request at work with 709."""
        if cid != self._settings["contextid"]:
            return
        self._forget()
        if self._work:
            self._work.cancel()
            self._report(self._name, "709")

    def _forget(self) -> None:
        if self._exchange:
            self._exchange.close()
        self._exchange = None
        self._response = None

    # Settings

    @at("+QHTTPCFG", test=_TEST)
    async def qhttpcfg(self, call: Call) -> None:
        """One line for each key, one key, or a new value."""
        call.expect(Form.READ, Form.WRITE)
        if call.form is Form.READ:
            call.info(*(f'+QHTTPCFG: "{key}",{value}' for key, value in self._settings.items()))
            return
        with coded(730):
            call.at_most(2)
            key = call.key()
            if key not in _SETTINGS:
                raise CmeError(730)
            if call.count == 1:
                call.info(f'+QHTTPCFG: "{key}",{self._settings[key]}')
                return
            low, high, _ = _SETTINGS[key]
            self._settings[key] = call.number(1, low, high)

    @at("+QHTTPURL", test=f"+QHTTPURL: (1-{URL_LIMIT}),(1-65535)")
    async def qhttpurl(self, call: Call) -> None:
        """CONNECT, the URL without CR LF, OK."""
        call.expect(Form.READ, Form.WRITE)
        if call.form is Form.READ:
            if self._url:
                call.info(f"+QHTTPURL: {self._url.text}")
            return
        with coded(730):
            call.at_most(2)
            size, timeout_s = call.number(0, 1, URL_LIMIT), call.number(1, 1, 65535, 60)
        self._free(call)
        await connect(call)
        data, ended = await take(call, size, timeout_s, total=self._counts_total)
        if ended is Ended.TIMEOUT:
            raise CmeError(726)
        if ended is Ended.ESCAPED:
            return
        try:
            self._url = parse_url(data.decode("latin-1"))
        except HttpError as error:
            raise CmeError(error.code) from None

    @property
    def _counts_total(self) -> bool:
        return self.modem.switches.text("http_input_timeout") == "total"

    def _free(self, call: Call) -> None:
        if self._busy:
            raise CmeError(703)
        if self.modem.data_session not in {None, call.session}:
            raise CmeError(704)

    def _begin(self, call: Call) -> Url:
        """What every request needs; the response before it is gone."""
        if self._url is None:
            raise CmeError(712)
        self._free(call)
        self._forget()
        return self._url

    # Requests

    def _header(self, method: str, url: Url, size: int | None) -> bytes:
        """What the module writes by itself (M-HTTP 1.2.1; the order of the lines is not known)."""
        lines = [
            f"{method} {url.target} HTTP/1.1",
            f"Host: {url.authority}",
            "Accept: */*",
            "User-Agent: QUECTEL_MODULE",
            "Connection: Keep-Alive",
        ]
        if size is not None:
            lines += [f"Content-Type: {_CONTENT_TYPES[self._settings['contenttype']]}", f"Content-Length: {size}"]
        return ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1", "replace")

    def _doomed(self, url: Url, rule: str | None, total: int) -> tuple[bool, bool]:
        """Whether this firmware fails here, and whether the last packet is late; only https posts have a rule."""
        if not url.secure or rule is None:
            return False, False
        bad = rule == "719" or (rule == "bit11" and bool(total & _BIT_11))
        late = {"no": False, "bad": bad, "every": True}[self.modem.options.effect("late_last_packet")]
        return bad or late, late

    async def _connect(self, url: Url, total: int, *, late: bool = False, limit_s: float = 1e9) -> Exchange:
        context = self._packet.active(self._settings["contextid"])
        if context is None:
            raise HttpError(709)
        exchange = self._exchange = Exchange(url, total, late=late)
        switches = self.modem.switches
        timeout_s = min(switches.seconds("http_connect_timeout_s"), limit_s)
        if self.modem.faults.sockets.dead:
            timeout_s = min(timeout_s, _DEAD_CONTEXT_S)
        number = self._settings["sslctxid"]
        policy = (lambda: self._tls.policy(number, url.host)) if url.secure else None
        await exchange.open(timeout_s, context.family, policy, int(switches.text("http_dns_error")))
        return exchange

    def _report(self, name: str, text: str) -> None:
        self._busy = False
        self._work = None
        self.modem.result_urc(f"{name}: {text}")

    def _start(self, name: str, work: Callable[[], asyncio._CoroutineLike[None]]) -> Callable[[], None]:
        """Something that goes on after the OK and ends with a result line."""
        self._busy = True

        async def run() -> None:
            try:
                await work()
            except HttpError as error:
                self._forget()
                self._report(name, str(error.code))

        def begin() -> None:
            self._name = name
            self._work = self.modem.spawn(run())

        return begin

    async def _answer(self, name: str, exchange: Exchange, end: float, *, doomed: bool) -> None:
        code = int(self.modem.switches.text("http_response_timeout"))
        if doomed:
            await exchange.doomed(end)
        self._response = await exchange.respond(end, code)
        if self._response.empty:
            exchange.close()
        length = "" if self._response.length is None else f",{self._response.length}"
        self._report(name, f"0,{self._response.status}{length}")

    @at("+QHTTPGET", test=f"+QHTTPGET: (1-65535),(1-{GET_LIMIT}),(1-65535)")
    async def qhttpget(self, call: Call) -> None:
        """OK and the result; with a header of the host's own CONNECT first."""
        call.expect(Form.EXEC, Form.WRITE)
        with coded(730):
            call.at_most(3)
            response_s = call.number(0, 1, 65535, 60)
            custom = bool(self._settings["requestheader"])
            if custom != call.has(1):
                raise CmeError(730)
            size, input_s = call.number(1, 1, GET_LIMIT, 1), call.number(2, 1, 65535, 60)
        if custom:
            await self._typed(call, "+QHTTPGET", b"", size, (input_s, response_s))
            return
        url = self._begin(call)
        header = self._header("GET", url, None)

        async def work() -> None:
            end = now() + response_s
            exchange = await self._connect(url, len(header), limit_s=response_s)
            exchange.feed(header)
            await self._answer("+QHTTPGET", exchange, end, doomed=False)

        call.then.append(self._start("+QHTTPGET", work))

    @at("+QHTTPPOST", test=f"+QHTTPPOST: (1-{POST_LIMIT}),(1-65535),(1-65535)")
    async def qhttppost(self, call: Call) -> None:
        """Connects, then CONNECT, the body (with a header of the host's own: header and body), OK, the result."""
        call.expect(Form.WRITE)
        with coded(730):
            call.at_most(3)
            size = call.number(0, 1, POST_LIMIT)
            input_s, response_s = call.number(1, 1, 65535, 60), call.number(2, 1, 65535, 60)
        url = self._begin(call)
        header = b"" if self._settings["requestheader"] else self._header("POST", url, size)
        rule = self.modem.options.effect("https_post")
        await self._typed(call, "+QHTTPPOST", header, size, (input_s, response_s), rule=rule)

    async def _typed(
        self, call: Call, name: str, header: bytes, size: int, times: tuple[int, int], *, rule: str | None = None
    ) -> None:
        """Connect first, CONNECT, the host's bytes at once on their way, OK, the result."""
        url = self._begin(call)
        input_s, response_s = times
        total = len(header) + size
        bad, late = self._doomed(url, rule, total)
        self._busy = True
        try:
            exchange = await self._connect(url, total, late=late)
            exchange.feed(header)
            await connect(call)
            counts_total = self._counts_total
            _, ended = await take(call, size, input_s, total=counts_total, on_data=lambda data, _: exchange.feed(data))
        except HttpError as error:
            self._forget()
            self._refuse(call, name, error.code)
            return
        finally:
            self._busy = False
        if ended is not Ended.COUNT:
            self._forget()
            if ended is Ended.TIMEOUT:
                raise CmeError(726)
            return
        end = now() + response_s
        if bad and self.modem.switches.text("error_719") == "cme":
            await self._fail(exchange, end)
        call.then.append(self._start(name, lambda: self._answer(name, exchange, end, doomed=bad)))

    def _refuse(self, call: Call, name: str, code: int) -> None:
        """No connection: CME instead of CONNECT (M-HTTP), or as a result line (BC660K)."""
        if self.modem.switches.text("http_connect_error") == "cme":
            raise CmeError(code)
        call.then.append(lambda: self._report(name, str(code)))

    async def _fail(self, exchange: Exchange, end: float) -> None:
        try:
            await exchange.doomed(end)
        except HttpError as error:
            self._forget()
            raise CmeError(error.code) from None

    @at("+QHTTPPOSTFILE", test="+QHTTPPOSTFILE: <file_name>,(1-65535)")
    async def qhttppostfile(self, call: Call) -> None:
        """OK, then the file goes out: the body, or with a header of the host's own the whole request."""
        call.expect(Form.WRITE)
        name = "+QHTTPPOSTFILE"
        with coded(730):
            call.at_most(2)
            data = self._files.get(call.text(0))
            response_s = call.number(1, 1, 65535, 60)
        url = self._begin(call)
        if not self._settings["requestheader"]:
            data = self._header("POST", url, len(data)) + data
        bad, late = self._doomed(url, self.modem.options.effect("https_postfile"), len(data))

        async def work() -> None:
            end = now() + response_s
            exchange = await self._connect(url, len(data), late=late, limit_s=response_s)
            exchange.feed(data)
            await self._answer(name, exchange, end, doomed=bad)

        if bad and self.modem.switches.text("error_719") == "cme":
            try:
                await work()
            except HttpError as error:
                self._forget()
                raise CmeError(error.code) from None
            return
        call.then.append(self._start(name, work))

    # Responses

    def _read_begin(self, call: Call) -> Response:
        self._free(call)
        if self._response is None:
            raise CmeError(705)
        return self._response

    @at("+QHTTPREAD", test="+QHTTPREAD: (1-65535)")
    async def qhttpread(self, call: Call) -> None:
        """CONNECT, the response without a length, OK, `+QHTTPREAD: 0`."""
        call.expect(Form.EXEC, Form.WRITE)
        with coded(730):
            call.at_most(1)
            gap_s = call.number(0, 1, 65535, 60)
        response = self._read_begin(call)
        await connect(call)
        pieces: asyncio.Queue[bytes | HttpError | None] = asyncio.Queue()
        reader = self.modem.spawn(self._read(response, gap_s, pieces))
        try:
            while (piece := await pieces.get()) is not None:
                if isinstance(piece, HttpError):
                    raise CmeError(piece.code)
                if not await give(call, piece):
                    return
        finally:
            reader.cancel()
            self._forget()
        if self.modem.switches.flag("qhttpread_blank_line"):
            call.reply.text("\r\n")
        call.then.append(lambda: self.modem.result_urc("+QHTTPREAD: 0"))

    async def _read(self, response: Response, gap_s: float, pieces: asyncio.Queue[bytes | HttpError | None]) -> None:
        if self._settings["responseheader"]:
            pieces.put_nowait(response.head)
        try:
            await response.body(gap_s, pieces.put_nowait, decode=self._decodes)
        except HttpError as error:
            pieces.put_nowait(error)
        pieces.put_nowait(None)

    @property
    def _decodes(self) -> bool:
        return self.modem.switches.text("http_chunked") == "decoded"

    @at("+QHTTPREADFILE", test="+QHTTPREADFILE: <file_name>,(1-65535)")
    async def qhttpreadfile(self, call: Call) -> None:
        """OK, then the response is put into a file and `+QHTTPREADFILE: 0` tells so."""
        call.expect(Form.WRITE)
        with coded(730):
            call.at_most(2)
            name, gap_s = self._files.name(call.text(0)), call.number(1, 1, 65535, 60)
        response = self._read_begin(call)

        async def work() -> None:
            data = bytearray(response.head if self._settings["responseheader"] else b"")
            await response.body(gap_s, data.extend, decode=self._decodes)
            self._files.store[name] = bytes(data)
            self._forget()
            self._report("+QHTTPREADFILE", "0")

        call.then.append(self._start("+QHTTPREADFILE", work))
