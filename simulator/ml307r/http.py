"""The modem's own HTTP client, AT+MHTTP...: ml307r.md 4."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, override

from simulator.clock import now
from simulator.errors import CmeError, CommandFailedError, InputCancelledError
from simulator.ml307r.encoding import decode
from simulator.ml307r.http_request import HttpRequest, Step, Target, parse_url
from simulator.ml307r.http_settings import KEYS, TEST_REPLY, HttpSettings, header_lines
from simulator.ml307r.packet import Packet
from simulator.ml307r.settings import ESCAPED, HEX, RAW
from simulator.ml307r.tls import Tls
from simulator.parser import Form
from simulator.registry import Area, Call, at

if TYPE_CHECKING:
    from simulator.ml307r.modem import Ml307r

INSTANCES = 4
BLOCK_LIMIT = 4096
HEADER_LIMIT = 1024
_METHODS = ("GET", "POST", "PUT", "DELETE", "HEAD")
_LAST, _MORE, _CLEAR = range(3)
_DELETE_PAUSE_S = 0.1  # OCPU (ml307r.md 4.1)


@dataclass(slots=True)
class Instance:
    """One HTTP client."""

    number: int
    target: Target
    settings: HttpSettings = field(default_factory=HttpSettings)
    headers: dict[str, bytes] = field(default_factory=dict)
    raw_headers: bytearray = field(default_factory=bytearray)
    headers_whole: bool = False
    content: bytearray = field(default_factory=bytearray)
    content_whole: bool = False
    request: HttpRequest | None = None
    cache_head: bytearray = field(default_factory=bytearray)
    cache_body: bytearray = field(default_factory=bytearray)

    def sent(self) -> None:
        """Forget what counts for one request only; not after a failure or AT+MHTTPTERM (HTTP 3.8)."""
        self.clear_headers()
        self.clear_content()

    def clear_headers(self) -> None:
        """Forget this request's headers."""
        self.headers, self.headers_whole = {}, False
        self.raw_headers.clear()

    def clear_content(self) -> None:
        """Forget the body."""
        self.content.clear()
        self.content_whole = False


class Http(Area):
    """MHTTPCREATE and its relatives."""

    modem: Ml307r

    def __init__(self, modem: Ml307r, packet: Packet, tls: Tls) -> None:
        super().__init__(modem)
        self._packet = packet
        self._tls = tls
        self._table: dict[int, Instance] = {}
        self._deleted_at = 0.0

    @override
    def reset(self) -> None:
        for instance in self._table.values():
            self._stop(instance)
        self._table.clear()

    @override
    async def close(self) -> None:
        self.reset()

    def _get(self, call: Call, index: int = 0) -> Instance:
        instance = self._table.get(call.number(index, 0, INSTANCES - 1))
        if instance is None:
            raise CmeError(652)
        return instance

    def _idle(self, call: Call, index: int = 0) -> Instance:
        instance = self._get(call, index)
        if instance.request:
            raise CmeError(653)
        return instance

    # Instances

    @at("+MHTTPCREATE")
    async def mhttpcreate(self, call: Call) -> None:
        """`"http[s]://host[:port]"` without a path; at most four instances."""
        call.expect(Form.WRITE)
        call.at_most(1)
        parsed = parse_url(call.text(0))
        if parsed is None or parsed[1] != "/":
            raise CmeError(654)
        number = next((number for number in range(INSTANCES) if number not in self._table), None)
        if number is None:
            raise CmeError(651)
        self._table[number] = Instance(number, parsed[0])
        call.info(f"+MHTTPCREATE: {number}")

    @at("+MHTTPDEL", test="+MHTTPDEL: (0-3)")
    async def mhttpdel(self, call: Call) -> None:
        """Forget an instance and all its settings."""
        call.expect(Form.WRITE)
        call.at_most(1)
        instance = self._get(call)
        if self.modem.switches.flag("delete_needs_100ms") and now() - self._deleted_at < _DELETE_PAUSE_S:
            raise CmeError(653)
        self._deleted_at = now()
        self._stop(instance)
        del self._table[instance.number]

    @at("+MHTTPTERM", test="+MHTTPTERM: (0-3)")
    async def mhttpterm(self, call: Call) -> None:
        """Stop a request, or all; headers and content stay (HTTP 3.8)."""
        call.expect(Form.EXEC, Form.WRITE)
        call.at_most(1)
        instances = list(self._table.values()) if call.form is Form.EXEC else [self._get(call)]
        for instance in instances:
            self._stop(instance)

    def _stop(self, instance: Instance) -> None:
        request, instance.request = instance.request, None
        if request:
            request.stop()

    @at("+MHTTPCFG", test=TEST_REPLY)
    async def mhttpcfg(self, call: Call) -> None:
        """Settings of an instance; asked for by leaving the values out."""
        call.expect(Form.READ, Form.WRITE)
        instances = [instance for _, instance in sorted(self._table.items())]
        if call.form is Form.READ:
            for instance in instances:
                for key in KEYS:
                    instance.settings.show(call, instance.number, key)
            return
        key = call.key()
        if key not in KEYS:
            raise CmeError(50)
        if call.count > 2:
            instance = self._idle(call, 1)
            if key == "header":
                call.at_most(3)
                instance.settings.headers |= header_lines(self._inline(call, instance, 2, 0, HEADER_LIMIT))
            else:
                instance.settings.change(call, key)
            return
        for instance in [self._get(call, 1)] if call.count == 2 else instances:
            instance.settings.show(call, instance.number, key)

    # Input

    def _inline(self, call: Call, instance: Instance, index: int, length: int, limit: int) -> bytes:
        """Data typed inside the command, by the instance's encoding."""
        text = call.text(index)
        encoding = instance.settings.number("encoding")
        bare = text.replace('\\"', "") if encoding == ESCAPED else text
        if '"' in bare and not self.modem.switches.flag("inline_quotes"):
            raise CmeError(50)  # a note of the manual, against its own sample (ml307r.md 10.12)
        if not text:
            raise CmeError(50)
        return decode(text, encoding, length, limit * 2 if encoding == HEX else limit)

    async def _input(self, call: Call, instance: Instance, index: int, limit: int) -> bytes | None:
        """Inline data, a counted prompt, or one that Ctrl-Z ends (None: cancelled); ml307r.md 4.2."""
        length = call.number(index, 0, BLOCK_LIMIT, 0)
        if call.count > index + 1:
            return self._inline(call, instance, index + 1, length, limit)
        return await self._prompted(call, instance, length)

    async def _prompted(self, call: Call, instance: Instance, length: int) -> bytes | None:
        await call.prompt()
        if length:
            # What came until the time-out is taken (HTTP 3.4).
            return await call.payload(length, instance.settings.number("timeout", 2))
        try:
            return await call.text_payload(BLOCK_LIMIT)
        except InputCancelledError:
            return None

    @at("+MHTTPHEADER", test="+MHTTPHEADER: (0-3),(0-2),(0-4096)")
    async def mhttpheader(self, call: Call) -> None:
        """Headers of the next request only; they replace those of AT+MHTTPCFG by name."""
        call.expect(Form.WRITE)
        call.at_most(4)
        if call.count == 1:
            instance = self._get(call)
            self._show_input(call, "+MHTTPHEADER", instance, bytes(instance.raw_headers))
            return
        instance = self._idle(call)
        eof = call.number(1, _LAST, _CLEAR)
        if eof == _CLEAR:
            instance.clear_headers()
            return
        if instance.headers_whole:
            raise CmeError(653)
        data = await self._input(call, instance, 2, HEADER_LIMIT)
        if data is None:
            return
        instance.headers |= header_lines(data)
        instance.raw_headers += data
        instance.headers_whole = eof == _LAST

    def _show_input(self, call: Call, name: str, instance: Instance, data: bytes) -> None:
        if data:
            call.data_block(f"{name}: {instance.number},{len(data)},", data, "\r\n")

    # Content

    @at("+MHTTPCONTENT", test="+MHTTPCONTENT: (0-3),(0-2),(0-4096)")
    async def mhttpcontent(self, call: Call) -> None:
        """The body: before the request, or (chunked) after its "ind"."""
        call.expect(Form.WRITE)
        call.at_most(4)
        instance = self._get(call)
        if call.count == 1:
            self._show_input(call, "+MHTTPCONTENT", instance, bytes(instance.content))
            return
        eof = call.number(1, _LAST, _CLEAR)
        chunked = bool(instance.settings.number("chunked"))
        code = self.modem.options.effect("nonchunked_content_error")
        if not chunked and code != "none":
            raise CmeError(int(code))
        if eof == _CLEAR:
            if chunked:
                raise CmeError(50)
            self._idle(call).clear_content()
            return
        data = await self._content(call, instance)
        if data is None:
            return
        if instance.request and chunked:
            await self._send_block(call, instance.request, data, last=eof == _LAST)
        elif not instance.request:
            if len(instance.content) + len(data) > self.modem.switches.number("content_total_max"):
                raise CmeError(23)
            instance.content += data
            instance.content_whole = eof == _LAST

    async def _content(self, call: Call, instance: Instance) -> bytes | None:
        effect = self.modem.options.effect
        if call.count < 4:
            if effect("mhttp_prompt") == "error50":
                raise CmeError(50)
            length = call.number(2, 0, BLOCK_LIMIT, 0)
            self._check_order(instance)
            data = await self._prompted(call, instance, length)
            if data is not None:
                self._check_order(instance)  # the request may have ended meanwhile
        else:
            data = self._typed(call, instance)
            self._check_order(instance)
        if data == b"":
            raise CmeError(50)  # an empty last block is refused (esp, ml307r.md 9)
        return data

    def _check_order(self, instance: Instance) -> None:
        """Content first, or chunked: after "ind"."""
        request = instance.request
        if instance.settings.number("chunked"):
            if request is None or request.step is not Step.UPLOADING:
                raise CmeError(653)
        elif request or instance.content_whole:
            raise CmeError(653)

    def _typed(self, call: Call, instance: Instance) -> bytes:
        """Inline content, with what one report saw of it (ml307r.md 6, rows 1 to 3)."""
        effect = self.modem.options.effect
        encoding = instance.settings.number("encoding")
        length, text = call.number(2, 0, BLOCK_LIMIT, 0), call.text(3)
        if encoding == HEX and effect("mhttp_hex") == "broken":
            raise CmeError(50 if length and length == len(text) else 650)
        if encoding == ESCAPED and effect("mhttp_escape") == "broken":
            self._inline(call, instance, 3, length, BLOCK_LIMIT)
            return text.encode("latin-1")
        try:
            return self._inline(call, instance, 3, length, BLOCK_LIMIT)
        except CmeError:
            if encoding == RAW and effect("mhttp_raw_error") == "plain":
                raise CommandFailedError from None
            raise

    async def _send_block(self, call: Call, request: HttpRequest, data: bytes, *, last: bool) -> None:
        limit = self.modem.options.effect("content_single_max")
        if limit != "none" and len(data) > int(limit):
            # No result at all, then "err" 5 (ml307r.md 6, row 5).
            await asyncio.sleep(self.modem.switches.seconds("content_stall_s"))
            call.silent = True
            call.then.append(request.break_off)
        elif not await request.content(data, last=last):
            raise CmeError(657)

    # Requests

    @at("+MHTTPREQUEST", test="+MHTTPREQUEST: (0-3),(1-5),(0-4096)")
    async def mhttprequest(self, call: Call) -> None:
        """OK, then what comes of it; the path inline or at a prompt."""
        call.expect(Form.WRITE)
        call.at_most(5)
        instance = self._idle(call)
        method = _METHODS[call.number(1, 1, len(_METHODS)) - 1]
        if call.has(4):
            raise CmeError(658)  # there is no file system to store an answer in
        if instance.target.scheme == "https" and not instance.settings.number("ssl"):
            raise CmeError(655)
        if self._packet.active(instance.settings.context) is None:
            raise CmeError(656)
        path = await self._input(call, instance, 2, BLOCK_LIMIT)
        if path is None:
            return
        text = path.decode("latin-1")
        call.then.append(lambda: self._start(instance, method, text if text.startswith("/") else f"/{text}"))

    def _start(self, instance: Instance, method: str, path: str) -> None:
        instance.cache_head.clear()
        instance.cache_body.clear()

        def ended() -> None:
            instance.request = None

        ssl_id = instance.settings.number("ssl", 1)
        instance.request = HttpRequest(
            self.modem, instance, method, path, lambda host: self._tls.policy(ssl_id, host), ended
        )

    @at("+MHTTPREAD", test="+MHTTPREAD: (0-3),(0-1),(0-65535)")
    async def mhttpread(self, call: Call) -> None:
        """What a request in cached mode left: `id,type,left,len,data`; without a length `id,type,left`."""
        call.expect(Form.WRITE)
        call.at_most(3)
        instance = self._idle(call)
        kind = call.number(1, 0, 1)
        if not instance.settings.number("cached"):
            raise CmeError(3)
        store = instance.cache_body if kind else instance.cache_head
        if not call.has(2):
            call.info(f"+MHTTPREAD: {instance.number},{kind},{len(store)}")
            return
        size = call.number(2, 0, 65535) or len(store)
        data = bytes(store[:size])
        del store[:size]
        call.data_block(f"+MHTTPREAD: {instance.number},{kind},{len(store)},{len(data)},", data, "\r\n")
