"""The HTTP client of China Mobile IoT modems (sources: ml307r.md 4 and 5.5, the manuals HTTP and SSL named there).

It writes the request line, Host and the body's length itself. Data goes behind the prompt, never into a command line:
there alone it is raw in every setting.
"""

import asyncio
from collections.abc import Callable, Sequence
import contextlib
from dataclasses import dataclass, field
import hashlib
import re

from ..at.channel import Channel
from ..at.codec import parse_fields
from ..at.command import Command, Priority, Prompt, Response
from ..at.encoding import CommandLine, Parameter, Text
from ..errors import (
    CommandError,
    CommandTimeoutError,
    HttpError,
    InputError,
    ModemError,
    NetworkError,
    SocketError,
    TlsError,
)
from .base import HttpAnswer, HttpSteps, MhttpUrl, ModemTls
from .generic import GenericDriver, field_number, wait_event

CLIENTS = range(4)
TLS_CONTEXT = 1
PIECE_BYTES = 4096
"""Most that one MHTTPCONTENT takes (HTTP 3.4)."""
INLINE_HEADER_BYTES = 1024
PROMPT_HEADER_BYTES = 4096
MAX_CERTIFICATE_BYTES = 8192
PIECE_S = 0.9
"""Line time of a piece: status polls and other sockets go in between."""
ASSUMED_BPS = 115_200
CONNECT_S = 60
RESPONSE_S = 60
INPUT_S = 30
EARLY_ANSWER_S = 2.0
"""How long to wait, after a piece was refused, for what the server may have said (assumed)."""
SLOW_BODY_BYTES = 16_384
"""From here on the modem's own response timer is off: whether it counts the sending too is not told."""
ASSUMED_UPLINK_BPS = 16_000
COMMAND_S = 10.0
MARGIN_S = 10.0
DELETE_PAUSE_S = 0.15
"""The vendor's SDK wants 100 ms between two deletions, which go on in the background."""
DELETE_TRIES = 5
FRAGMENT_BYTES = 1024
"""An answer comes in pieces of this size ..."""
FRAGMENT_MS = 100
"""... this far apart: in one go, large ones lost bytes at 115200 baud (ml307r.md 2)."""
MAX_BODY_BYTES = 262_144
"""Of a response's body this much is kept."""
MAX_REQUEST_BODY_BYTES = 262_144
"""The manual names no limit for all content together; this is what a request is waited for (assumed)."""

_METHODS = {"GET": 1, "POST": 2, "PUT": 3, "DELETE": 4, "HEAD": 5}
_WRITTEN_BY_MODEM = frozenset({"host", "content-length", "transfer-encoding"})
_NONE_FREE, _BUSY = "651", "653"

HTTP_ERRORS = {
    "3": "operation not allowed", "4": "operation not supported", "23": "out of memory", "50": "parameter error",
    "570": "packet data is not active", "571": "packet data could not be activated", "575": "no APN is configured",
    "580": "the name could not be resolved", "581": "DNS is busy",
    "650": "unknown error", "651": "no HTTP client is free", "652": "there is no such HTTP client",
    "653": "the HTTP client is busy", "654": "bad URL", "655": "TLS is not switched on",
    "656": "the server could not be reached", "657": "sending failed", "658": "a file could not be opened",
    "750": "unknown TLS error", "751": "TLS could not be set up", "752": "the certificate could not be verified",
    "753": "the TLS handshake timed out", "754": "the TLS handshake failed", "760": "unknown certificate error",
    "761": "bad certificate", "762": "the certificate is missing",
}  # fmt: skip
"""+CME ERROR (ml307r.md 4.3, 5.4, 5.5). Of 750 to 769 the sources name 752 to 754 and 762; the others are guesses."""

EVENT_ERRORS = {
    1: "the name could not be resolved", 2: "the server could not be reached",
    3: "the server did not answer the connection in time", 4: "the TLS handshake failed",
    5: "the connection broke", 6: "the server did not answer in time", 7: "the answer is not HTTP",
    8: "the answer is too large", 9: "a part of the answer was dropped", 10: "a file could not be written",
    255: "unknown error",
}  # fmt: skip
"""+MHTTPURC: "err" (ml307r.md 4.3). 5 is no time-out, whatever the ML307R report says: that is 6."""

_NETWORK = frozenset({"570", "571", "572", "575"})
_SOCKET = frozenset({"580", "581", "656", "657"})
_NEVER_CONNECTED = frozenset({1, 2, 3, 4})


def http_error(code: str) -> ModemError:
    """Return what +CME ERROR means behind an HTTP or TLS command."""
    sentence = f"The modem's HTTP client: {HTTP_ERRORS.get(code, 'the modem gave no reason')}"
    if code in _NETWORK:
        return NetworkError(code, sentence)
    if code == "655" or re.fullmatch(r"7[56]\d", code):
        return TlsError(code, sentence)
    return SocketError(code, sentence) if code in _SOCKET else HttpError(code, sentence)


def event_error(number: int) -> ModemError:
    """Return what +MHTTPURC: "err" means."""
    sentence = f"The modem's HTTP client: {EVENT_ERRORS.get(number, 'the modem gave no reason')}"
    if number in (1, 2, 3):
        return SocketError(str(number), sentence)
    return TlsError(str(number), sentence) if number == 4 else HttpError(str(number), sentence)


@dataclass(slots=True)
class _Client:
    """One of the modem's HTTP clients with a request of ours, and what the server said."""

    id: int
    is_head: bool = False
    changed: asyncio.Event = field(default_factory=asyncio.Event)
    is_asked: bool = False
    may_send: bool = False
    status: int | None = None
    head: bytes = b""
    body: bytearray = field(default_factory=bytearray)
    is_complete: bool = False
    error: ModemError | None = None
    is_unsent: bool = False
    deletions: int = 0

    def got_head(self, status: int, head: bytes) -> None:
        if status < 200 or self.status is not None:
            return
        self.status, self.head = status, head
        length = re.search(rb"(?:^|\n)Content-Length: *(\d{1,10})", head, re.IGNORECASE)
        self.is_complete = self.is_head or status in (204, 304) or (length is not None and int(length[1]) == 0)

    def got_body(self, announced: int, total: int, data: bytes) -> None:
        self.body += data[: max(0, MAX_BODY_BYTES - len(self.body))]
        self.is_complete = total >= announced if announced else not data

    def broke(self, error: ModemError) -> None:
        if self.status is not None:
            self.is_complete = True  # the server has answered; a body without length ends like this
        elif self.error is None:
            self.error = error
        self.changed.set()


class ChinaMobileHttp(GenericDriver):
    """Mixin: MHTTP and its TLS."""

    http_max_bytes: int = MAX_REQUEST_BODY_BYTES

    def __init__(self, channel: Channel) -> None:
        super().__init__(channel)
        self._mhttp_lock = asyncio.Lock()
        self._mhttp_clients: dict[int, _Client] = {}
        self._mhttp_deletion = asyncio.Event()
        self._mhttp_deleted_at = -DELETE_PAUSE_S
        self._mhttp_timers: dict[int, asyncio.TimerHandle] = {}
        self._is_mhttp_clean = False
        self._damaged_certificate = ""
        channel.on_urc(re.compile(rb"\+MHTTPURC: "), self._mhttp_event)

    async def mhttp_send(
        self,
        method: str,
        url: MhttpUrl,
        headers: Sequence[tuple[str, str]],
        body: bytes,
        *,
        is_chunked: bool = False,
        piece_bytes: int = PIECE_BYTES,
        tls: ModemTls | None,
        steps: HttpSteps,
    ) -> HttpAnswer:
        """Send one request, content first or chunked behind the modem's "ind"; return the response.

        Raises:
            ModemError: with the modem's number and words.
        """
        if method not in _METHODS:
            raise HttpError("method", f"The modem's HTTP client knows no {method}")
        async with self._mhttp_lock:
            while self._mhttp_clients:  # those of earlier requests, on their way back
                self._mhttp_deletion.clear()
                await self._mhttp_deletion.wait()
            try:
                if not self._is_mhttp_clean:
                    await self._delete_strangers()
                if tls is not None:
                    await self._configure_mssl(tls, url.host)
                client = await self._create(url.origin)
            except CommandError as err:
                raise http_error(err.code) from err
            try:
                client.is_head = method == "HEAD"
                return await self._send(client, method, url, headers, body, is_chunked, piece_bytes, tls, steps)
            except CommandError as err:
                if client.error is not None:
                    raise client.error from err
                raise http_error(err.code) from err
            except InputError as err:
                # Not the user's mistake: other ways out take such a URL.
                raise HttpError("url", f"The modem's HTTP client does not take this URL: {err.reason}") from err
            finally:
                self._delete(client)

    async def _send(
        self,
        client: _Client,
        method: str,
        url: MhttpUrl,
        headers: Sequence[tuple[str, str]],
        body: bytes,
        is_chunked: bool,  # noqa: FBT001 - all are handed on
        piece_bytes: int,
        tls: ModemTls | None,
        steps: HttpSteps,
    ) -> HttpAnswer:
        is_chunked = is_chunked and bool(body)
        response_s = RESPONSE_S if len(body) < SLOW_BODY_BYTES else 0
        settings: list[tuple[str, tuple[int, ...]]] = [
            ("cached", (0,)),
            ("encoding", (0, 0)),
            ("chunked", (int(is_chunked),)),
            ("timeout", (CONNECT_S, response_s, INPUT_S)),
        ]
        if tls is None:
            settings.append(("ssl", (0,)))
        else:
            switch = Text("key", "ssl")
            order = self.encoder.set("+MHTTPCFG", switch, client.id, 1, TLS_CONTEXT)
            question = self.encoder.set("+MHTTPCFG", switch, client.id)
            await self._hold_tls("ssl", ["1", str(TLS_CONTEXT)], order, question)
        for key, values in settings:
            await self.ask(self.encoder.set("+MHTTPCFG", Text("key", key), client.id, *values))
        await self.try_ask(
            self.encoder.set("+MHTTPCFG", Text("key", "fragment"), client.id, FRAGMENT_BYTES, FRAGMENT_MS)
        )
        await self._set_headers(client, headers)
        path = Text("url", url.path, secret=True)  # like headers, it may hold a key

        def start() -> None:
            client.is_asked = True
            if not is_chunked:
                steps.on_told()

        request = Command(
            line=self.encoder.set("+MHTTPREQUEST", client.id, _METHODS[method], 0, path),
            timeout_s=COMMAND_S,
            priority=Priority.BULK,
            on_start=start,
        )
        if not is_chunked:
            await self._content(client, body, piece_bytes, steps)
        try:
            await self.channel.execute(request)
        except CommandError as err:
            if err.code != "657":
                steps.on_not_sent()
            raise
        if is_chunked:
            await self._wait(client, lambda: client.may_send, CONNECT_S + MARGIN_S, steps)
            try:
                await self._content(client, body, piece_bytes, steps, on_last=steps.on_told)
            except CommandError:
                # The server may have answered, or hung up, in the middle: that says more.
                with contextlib.suppress(HttpError):
                    await self._wait(client, lambda: client.status is not None, EARLY_ANSWER_S, steps)
                if client.status is None:
                    raise
        self.traffic.sent_bytes += len(body)
        wait_s = CONNECT_S + RESPONSE_S + len(body) * 8 / ASSUMED_UPLINK_BPS + MARGIN_S
        await self._wait(client, lambda: client.status is not None, wait_s, steps)
        if client.status is None:  # its "header" was lost on the line
            raise HttpError("response_invalid", "The modem gave an answer without its head")
        steps.on_answered()
        with contextlib.suppress(ModemError):  # the status is what counts; the body is what came of it
            await self._wait(client, lambda: client.is_complete, RESPONSE_S, steps)
        self.traffic.received_bytes += len(client.head) + len(client.body)
        return HttpAnswer(status=client.status, head=client.head, body=bytes(client.body))

    async def _wait(self, client: _Client, is_over: Callable[[], bool], seconds: float, steps: HttpSteps) -> None:
        """Wait until `is_over`, or an answer or failure that comes instead; at most so long between two events."""
        while not is_over() and client.error is None and not client.is_complete:
            client.changed.clear()
            if not await wait_event(client.changed, seconds):
                raise HttpError("timeout", f"The modem's HTTP client said nothing for {seconds:.0f} s")
        if client.error is not None:
            if client.is_unsent:
                steps.on_not_sent()
            raise client.error

    async def _set_headers(self, client: _Client, headers: Sequence[tuple[str, str]]) -> None:
        """One MHTTPCFG "header" each; those a command line cannot carry go behind the prompt of MHTTPHEADER."""
        merged: dict[str, tuple[str, str]] = {}
        for name, value in headers:  # the modem knows a name once
            key = name.lower()
            if key not in _WRITTEN_BY_MODEM:
                merged[key] = (name, f"{merged[key][1]}, {value}" if key in merged else value)
        behind_prompt: list[bytes] = []
        for name, value in merged.values():
            text = f"{name}: {value}"
            try:
                line = self.encoder.set(
                    "+MHTTPCFG", Text("key", "header"), client.id, Text("headers", text, secret=True)
                )
            except InputError:
                line = None
            if line is not None and len(text) <= INLINE_HEADER_BYTES:
                await self.ask(line)
            else:
                behind_prompt.append(text.encode("latin-1", "replace"))
        for number, data in enumerate(behind_prompt, 1):
            if len(data) > PROMPT_HEADER_BYTES:
                raise HttpError("header_too_long", f"The modem takes headers of {PROMPT_HEADER_BYTES} bytes at most")
            await self._give("+MHTTPHEADER", client, data, is_last=number == len(behind_prompt))

    async def _content(
        self,
        client: _Client,
        body: bytes,
        piece_bytes: int,
        steps: HttpSteps,
        on_last: Callable[[], None] | None = None,
    ) -> None:
        by_time = int((self.channel.line_bps or ASSUMED_BPS) / 10 * PIECE_S)
        size = max(1, min(PIECE_BYTES, piece_bytes, by_time))
        for start in range(0, len(body), size):
            piece, is_last = body[start : start + size], start + size >= len(body)
            if client.status is not None:  # an answer ahead of the request's end: no more is wanted
                return
            if client.error is not None:
                raise client.error
            await self._give("+MHTTPCONTENT", client, piece, is_last=is_last, on_prompt=on_last if is_last else None)
            steps.on_loaded(len(piece))

    async def _give(
        self, name: str, client: _Client, data: bytes, *, is_last: bool, on_prompt: Callable[[], None] | None = None
    ) -> None:
        await self._input(self.encoder.set(name, client.id, 0 if is_last else 1, len(data)), data, on_prompt)

    async def _input(self, line: CommandLine, data: bytes, on_prompt: Callable[[], None] | None = None) -> None:
        """Give data behind a prompt; raises HttpError input_lost besides what Channel.execute raises."""
        loop = asyncio.get_running_loop()
        given_at = loop.time()

        def prompted() -> None:
            nonlocal given_at
            given_at = loop.time()
            if on_prompt is not None:
                on_prompt()

        command = Command(
            line=line,
            prompt=Prompt.ANGLE,
            payload=data,
            timeout_s=INPUT_S + MARGIN_S,
            priority=Priority.BULK,
            on_prompt=prompted,
        )
        await self.channel.execute(command)
        # Input that comes short is taken for all there is once its time is over (ml307r.md 6).
        if loop.time() - given_at >= INPUT_S:
            raise HttpError("input_lost", f"Bytes for {line.name} were lost on the serial line")

    # -- clients ------------------------------------------------------------------------------------------------------

    async def _create(self, origin: str) -> _Client:
        line = self.encoder.set("+MHTTPCREATE", Text("url", origin))
        info = re.compile(rb"\+MHTTPCREATE: ?\d")
        try:
            response = await self.ask(line, info=info, timeout_s=COMMAND_S)
        except CommandError as err:
            if err.code != _NONE_FREE:
                raise
            await self._delete_strangers()
            response = await self.ask(line, info=info, timeout_s=COMMAND_S)
        values = parse_fields(response.lines[-1], "+MHTTPCREATE") if response.lines else []
        client = _Client(field_number(values, 0, "+MHTTPCREATE"))
        self._mhttp_clients[client.id] = client
        return client

    async def _delete_strangers(self) -> None:
        """Delete clients that are not ours: those of an earlier owner of the port."""
        for number in CLIENTS:
            if number in self._mhttp_clients:
                continue
            response = await self.try_ask(self.encoder.set("+MHTTPDEL", number))
            if response is not None:
                await asyncio.sleep(DELETE_PAUSE_S)
        self._is_mhttp_clean = True

    def _delete(self, client: _Client) -> None:
        """Give a client back: enqueued, never waited for; not too soon after another, and again where it is refused."""
        now = asyncio.get_running_loop().time()
        if self.channel.is_lost:
            self._deleted(client)
        elif now < self._mhttp_deleted_at + DELETE_PAUSE_S:
            self._delete_later(client, self._mhttp_deleted_at + DELETE_PAUSE_S)
        else:
            self._delete_now(client)

    def _delete_later(self, client: _Client, when: float) -> None:
        self._mhttp_timers[client.id] = asyncio.get_running_loop().call_at(when, self._delete_now, client)

    def _delete_now(self, client: _Client) -> None:
        self._mhttp_timers.pop(client.id, None)
        client.deletions += 1
        line = self.encoder.set("+MHTTPDEL", client.id)
        deleting = self.channel.enqueue(Command(line=line, timeout_s=COMMAND_S, priority=Priority.URGENT))

        def after(done: asyncio.Future[Response]) -> None:
            self._mhttp_deleted_at = asyncio.get_running_loop().time()
            error = done.exception()
            is_refused = isinstance(error, CommandError) and error.code == _BUSY
            if is_refused and client.deletions < DELETE_TRIES and not self.channel.is_lost:
                self._delete_later(client, self._mhttp_deleted_at + DELETE_PAUSE_S)
            else:
                self._deleted(client)

        deleting.add_done_callback(after)

    def _deleted(self, client: _Client) -> None:
        if self._mhttp_clients.get(client.id) is client:
            del self._mhttp_clients[client.id]
        self._mhttp_deletion.set()

    def _mhttp_event(self, line: bytes, data: bytes) -> None:
        match = re.match(rb'\+MHTTPURC: ?"(\w+)", ?([\d, ]+)', line)
        if match is None:
            return
        numbers = [int(value) for value in re.findall(rb"\d+", match[2])]
        client = self._mhttp_clients.get(numbers[0]) if numbers else None
        if client is None:
            return
        if not client.is_asked and match[1] != b"err":
            return  # of a former request: a client is deleted in the background, and its number given out again
        match match[1], numbers[1:]:
            case b"header", [status, _]:
                client.got_head(status, data)
            case b"content", [announced, total, _]:
                client.got_body(announced, total, data)
            case b"err", [number, *_]:
                client.is_unsent = number in _NEVER_CONNECTED
                client.broke(event_error(number))
            case b"ind", _:
                client.may_send = True
            case _:
                return
        client.changed.set()

    def mhttp_broke(self, error: ModemError) -> None:
        """The modem restarted, is gone or lost packet data: nothing more will come."""
        self._is_mhttp_clean = False
        for client in tuple(self._mhttp_clients.values()):
            client.broke(error)
            timer = self._mhttp_timers.get(client.id)
            if timer is not None and self.channel.is_lost:  # nobody is left who could be asked
                timer.cancel()
                del self._mhttp_timers[client.id]
                self._deleted(client)

    # -- TLS ----------------------------------------------------------------------------------------------------------

    async def _configure_mssl(self, tls: ModemTls, host: str) -> None:
        """Set and read back what TLS depends on: out of the box these modems verify nothing."""
        if tls.ca_pem is not None:
            await self._set_mssl("cert", Text("ca", await self._store_certificate(tls.ca_pem)))
        await self._set_mssl("ignorestamp", 0 if tls.checks_dates else 1)
        await self._set_mssl("auth", 1 if tls.is_verified else 0)
        # The manual gives it to another model and no values (ml307r.md 5.5): a switch, or the name.
        if await self.try_ask(self._mssl_line("sni", 1)) is None:
            await self.try_ask(self._mssl_line("sni", Text("sni", host)))

    async def _set_mssl(self, key: str, value: Parameter) -> None:
        wanted = value.value if isinstance(value, Text) else str(value)
        await self._hold_tls(key, [wanted], self._mssl_line(key, value), self._mssl_line(key))

    async def _hold_tls(self, key: str, wanted: list[str], order: CommandLine, question: CommandLine) -> None:
        try:
            await self.ask(order)
            response = await self.ask(question, info=re.compile(rb"\+M(SSL|HTTP)CFG: "))
        except CommandError as err:
            raise TlsError(err.code, f"The modem does not take the TLS setting {key}") from err
        values = parse_fields(response.lines[-1], question.name.removeprefix("AT")) if response.lines else []
        held = [str(value) for value in values[2 : 2 + len(wanted)]]
        if held != wanted:
            sentence = f"The modem did not keep the TLS setting {key}: {','.join(wanted)} became {','.join(held)}"
            raise TlsError("setting_lost", sentence)

    async def _store_certificate(self, pem: str) -> str:
        """AT+MSSLCERTWR, once: the name holds the hash. Return the name."""
        data = pem.encode()
        if len(data) > MAX_CERTIFICATE_BYTES:
            raise TlsError("certificate_too_long", f"The modem takes CA files of {MAX_CERTIFICATE_BYTES} bytes at most")
        name = f"cu{hashlib.sha256(data).hexdigest()[:12]}.pem"
        listed = await self.try_ask(self.encoder.set("+MSSLLIST", 1), info=re.compile(rb"\+MSSLLIST: "))
        if listed is not None and any(name in line for line in listed.lines) and name != self._damaged_certificate:
            return name
        try:
            await self._input(self.encoder.set("+MSSLCERTWR", Text("file", name), 0, len(data)), data)
        except CommandError as err:
            raise TlsError(err.code, "The modem does not take the CA certificate") from err
        except HttpError, CommandTimeoutError:
            self._damaged_certificate = name
            raise
        self._damaged_certificate = ""
        return name

    def _mssl_line(self, key: str, *value: Parameter) -> CommandLine:
        return self.encoder.set("+MSSLCFG", Text("key", key), TLS_CONTEXT, *value)
