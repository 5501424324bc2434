"""One HTTP request on its way: ml307r.md 4.2 and 4.3, HTTP 3.5 and 3.10."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
import enum
from typing import TYPE_CHECKING
import urllib.parse

from simulator.ml307r.http_reader import AnswerReader, BadAnswerError, Head
from simulator.tcp import Ending, OpenFailedError, OpenFailure, TcpLink
from simulator.tls import TlsFailedError, TlsPolicy

if TYPE_CHECKING:
    from simulator.ml307r.http import Instance
    from simulator.ml307r.modem import Ml307r

_PIECE_BYTES = 8192
_MAX_REDIRECTS = 5
_REDIRECTS = frozenset({301, 302, 303, 307, 308})
_DEFAULT_PORTS = {"http": 80, "https": 443}
# What AT+MHTTPCFG="urlencode" leaves as it is, besides letters and digits (HTTP 3.1).
_UNENCODED = "-_.!~*'();/?:@&=+$,#"


class Trouble(enum.IntEnum):
    """Codes of the "err" line (HTTP 3.10)."""

    DNS = 1
    CONNECT = 2
    CONNECT_TIMEOUT = 3
    TLS = 4
    BROKEN = 5
    NO_ANSWER = 6
    BAD_ANSWER = 7
    CACHE_FULL = 8
    UNKNOWN = 255


class RequestFailedError(Exception):
    """The request ends with this code."""

    def __init__(self, trouble: Trouble) -> None:
        super().__init__(trouble.name)
        self.trouble = trouble


_OPEN_TROUBLES = {
    OpenFailure.DNS: Trouble.DNS,
    OpenFailure.TIMEOUT: Trouble.CONNECT_TIMEOUT,
}


@dataclass(frozen=True, slots=True)
class Target:
    """Where a request goes."""

    scheme: str
    host: str
    port: int

    @property
    def authority(self) -> str:
        """Value of the Host header."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port == _DEFAULT_PORTS[self.scheme] else f"{host}:{self.port}"


def parse_url(text: str) -> tuple[Target, str] | None:
    """Target and path of an http or https URL."""
    try:
        parts = urllib.parse.urlsplit(text)
        port = parts.port
    except ValueError:
        return None
    if parts.scheme not in _DEFAULT_PORTS or not parts.hostname or port == 0:
        return None
    path = parts.path or "/"
    return Target(parts.scheme, parts.hostname, port or _DEFAULT_PORTS[parts.scheme]), path + (
        f"?{parts.query}" if parts.query else ""
    )


class Step(enum.Enum):
    """How far a request is."""

    CONNECTING = enum.auto()
    UPLOADING = enum.auto()
    ANSWER = enum.auto()


class HttpRequest:
    """Sends a request, takes the answer and tells the host of it."""

    def __init__(
        self,
        modem: Ml307r,
        instance: Instance,
        method: str,
        path: str,
        secure: Callable[[str], TlsPolicy],
        ended: Callable[[], None],
    ) -> None:
        self._modem = modem
        self._instance = instance
        self._method = method
        self._path = path
        self._secure = secure
        self._ended = ended
        self._chunked = bool(instance.settings.number("chunked")) and method in {"POST", "PUT"}
        self._link: TcpLink | None = None
        self._events: asyncio.Queue[bytes | Ending] = asyncio.Queue()
        self._received = 0
        self.step = Step.CONNECTING
        self._task = modem.spawn(self._run())

    # What the host does to it

    def stop(self) -> None:
        """End it without a word (AT+MHTTPTERM, AT+MHTTPDEL)."""
        self._task.cancel()
        self._drop()

    def break_off(self) -> None:
        """End it with "err" 5."""
        self.stop()
        self._tell(Trouble.BROKEN)
        self._ended()

    async def content(self, data: bytes, *, last: bool) -> bool:
        """Send one chunk; False if the connection takes nothing."""
        block = f"{len(data):x}\r\n".encode() + data + b"\r\n" if data else b""
        if last:
            block += b"0\r\n\r\n"
        sent = await self._push(block)
        if last and self.step is Step.UPLOADING:
            self.step = Step.ANSWER
            self._events.put_nowait(b"")  # the time-out counts from here
        return sent

    # Its own course

    async def _run(self) -> None:
        try:
            await self._follow()
        except RequestFailedError as failed:
            self._tell(failed.trouble)
        except OSError, ValueError:  # a name or an address the system cannot make anything of
            self._tell(Trouble.UNKNOWN)
        finally:
            self._drop()
        self._ended()

    async def _follow(self) -> None:
        target, path = self._instance.target, self._path
        for hop in range(_MAX_REDIRECTS + 1):
            may_follow = hop < _MAX_REDIRECTS and self._modem.switches.flag("mhttp_redirect")
            self._path = path
            reader = AnswerReader(bodiless=self._method == "HEAD")
            await self._open(target)
            await self._send(target)
            moved = await self._answer(reader, target, may_follow=may_follow)
            self._drop()
            if moved is None:
                return
            target, path = moved
            if reader.head and reader.head.status == 303:
                self._method = "GET"
            self.step, self._events = Step.CONNECTING, asyncio.Queue()

    async def _open(self, target: Target) -> None:
        switches, settings = self._modem.switches, self._instance.settings
        tls = self._secure(target.host) if target.scheme == "https" else None
        link = TcpLink(
            switches.number("send_buffer_bytes"),
            switches.number("recv_buffer_bytes"),
            self._arrived,
            self._events.put_nowait,
            self._modem.line.room,
            tls,
        )
        self._link = link
        context = self._modem.packet.active(settings.context)
        if context is None:
            raise RequestFailedError(Trouble.CONNECT)
        timeout_s = settings.number("timeout", 0) or switches.seconds("connect_timeout_s")
        try:
            await link.open(target.host, target.port, timeout_s, context.family)
        except OpenFailedError as failed:
            raise RequestFailedError(_OPEN_TROUBLES.get(failed.failure, Trouble.CONNECT)) from None
        except TlsFailedError:
            raise RequestFailedError(Trouble.TLS) from None

    def _arrived(self, data: bytes) -> None:
        if self._link:
            self._link.read(len(data))
        self._events.put_nowait(data)

    async def _send(self, target: Target) -> None:
        body = b"" if self._chunked or self._method in {"GET", "HEAD"} else bytes(self._instance.content)
        await self._push(self._head(target, len(body)) + body)
        if self._chunked:
            self.step = Step.UPLOADING
            crlf = self._modem.switches.flag("ind_crlf")
            self._modem.session.urc_data(
                f'+MHTTPURC: "ind",{self._instance.number}'.encode(), tail=b"\r\n" if crlf else b""
            )
        else:
            self.step = Step.ANSWER

    def _head(self, target: Target, length: int) -> bytes:
        """Request line and headers; the modem's own are Host and Content-Length or Transfer-Encoding."""
        instance = self._instance
        path = urllib.parse.quote(self._path, safe=_UNENCODED) if instance.settings.number("urlencode") else self._path
        lines = {"host": f"Host: {target.authority}".encode()}
        if self._chunked:
            lines["transfer-encoding"] = b"Transfer-Encoding: chunked"
        else:
            # Also on a GET, as the manual's echo server shows (HTTP 3.5).
            lines["content-length"] = f"Content-Length: {length}".encode()
        lines |= instance.settings.headers | instance.headers
        start = f"{self._method} {path} HTTP/1.1".encode("latin-1", "replace")
        return b"".join(line + b"\r\n" for line in (start, *lines.values())) + b"\r\n"

    async def _push(self, data: bytes) -> bool:
        stall_s = self._modem.switches.seconds("send_stall_s")
        for start in range(0, len(data), _PIECE_BYTES):
            piece = data[start : start + _PIECE_BYTES]
            link = self._link
            if link is None or not await link.wait_free(len(piece), stall_s) or not link.send(piece):
                return False
        return True

    async def _answer(self, reader: AnswerReader, target: Target, *, may_follow: bool) -> tuple[Target, str] | None:
        """Take the answer; where to go on, or None once the host has been told everything."""
        moved: tuple[Target, str] | None = None
        told = False
        try:
            while not reader.done:
                event = await self._next_event()
                pieces: list[bytes] = []
                if isinstance(event, Ending):
                    reader.closed()
                else:
                    pieces = reader.feed(event)
                if reader.head and not told:
                    told = True
                    moved = self._moved(reader.head, target) if may_follow else None
                    if moved is None:
                        self._tell_head(reader.head)
                if moved is None and reader.head:
                    for piece in pieces:
                        await self._tell_content(reader.head, piece)
        except BadAnswerError:
            broken = reader.head is not None or isinstance(event, Ending)
            raise RequestFailedError(Trouble.BROKEN if broken else Trouble.BAD_ANSWER) from None
        if moved is None and reader.head:
            self._tell_end(reader.head)
            self._instance.sent()
        return moved

    async def _next_event(self) -> bytes | Ending:
        while True:
            limit_s = self._instance.settings.number("timeout", 1) if self.step is Step.ANSWER else 0
            try:
                async with asyncio.timeout(limit_s or None):
                    event = await self._events.get()
            except TimeoutError:
                raise RequestFailedError(Trouble.NO_ANSWER) from None
            if event != b"":
                return event

    def _moved(self, head: Head, target: Target) -> tuple[Target, str] | None:
        """Where a redirect leads; TLS is then used even if it was not enabled (HTTP 3.5, note)."""
        if head.status not in _REDIRECTS or "location" not in head.fields or self._chunked:
            return None
        base = f"{target.scheme}://{target.authority}{self._path}"
        try:
            return parse_url(urllib.parse.urljoin(base, head.fields["location"]))
        except ValueError:
            return None

    # What the host is told

    @property
    def _cached(self) -> bool:
        return bool(self._instance.settings.number("cached"))

    def _shown(self, data: bytes) -> bytes:
        return data.hex().upper().encode() if self._instance.settings.number("encoding", 1) else data

    def _urc(self, text: str, data: bytes = b"") -> None:
        self._modem.session.urc_data(f"+MHTTPURC: {text}".encode() + self._shown(data))

    def _tell(self, trouble: Trouble) -> None:
        self._urc(f'"err",{self._instance.number},{trouble:d}')

    def _tell_head(self, head: Head) -> None:
        if self._cached:
            self._instance.cache_head = bytearray(head.raw)
            self._instance.cache_body = bytearray()
        else:
            self._urc(f'"header",{self._instance.number},{head.status},{len(head.raw)},', head.raw)

    async def _tell_content(self, head: Head, data: bytes) -> None:
        settings = self._instance.settings
        if self._cached:
            self._instance.cache_body += data
            if len(self._instance.cache_body) > settings.number("cached", 1):
                self._instance.cache_body.clear()
                raise RequestFailedError(Trouble.CACHE_FULL)
            return
        size, gap_s = settings.number("fragment", 0) or len(data), settings.number("fragment", 1) / 1000
        for start in range(0, len(data), size):
            piece = data[start : start + size]
            self._received += len(piece)
            self._urc(f'"content",{self._instance.number},{head.length},{self._received},{len(piece)},', piece)
            if gap_s:
                await asyncio.sleep(gap_s)

    def _tell_end(self, head: Head) -> None:
        instance = self._instance
        if self._cached:
            sizes = f"{len(instance.cache_head)},{len(instance.cache_body)}"
            self._urc(f'"recv",{instance.number},{head.status},{sizes}')
        elif self._counted_by_close(head):
            # Nothing else tells the end of a body without a length.
            self._urc(f'"content",{instance.number},0,{self._received},0,')

    def _counted_by_close(self, head: Head) -> bool:
        bodiless = self._method == "HEAD" or head.status in {204, 304}
        return not bodiless and (head.chunked or "content-length" not in head.fields)

    def _drop(self) -> None:
        link, self._link = self._link, None
        if link:
            link.drop()
