"""One HTTP request of the module's own and its response (bg96.md 2; errors M-HTTP table 1)."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
import socket
from urllib.parse import urlsplit

from simulator.clock import now
from simulator.stream import Stream
from simulator.tcp import OpenFailedError, OpenFailure
from simulator.tls import TlsFailedError, TlsPolicy

_HEADER_LIMIT = 65536
# How much the module sends at a time; only the last of several can be the late one of the report.
_PACKET_BYTES = 1024


class HttpError(Exception):
    """A request failed with this code of M-HTTP table 1."""

    def __init__(self, code: int) -> None:
        super().__init__(code)
        self.code = code


@dataclass(frozen=True, slots=True)
class Url:
    """A URL taken apart."""

    text: str
    secure: bool
    host: str
    port: int
    authority: str
    target: str


def parse_url(text: str) -> Url:
    """Take a URL apart; 711 if it is none of http or https."""
    try:
        parts = urlsplit(text)
        port = parts.port
    except ValueError:
        raise HttpError(711) from None
    scheme = text.partition("://")[0]
    if scheme not in {"http", "https"} or not parts.hostname or not text.isprintable() or " " in text:
        raise HttpError(711)
    default = 443 if scheme == "https" else 80
    target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    authority = parts.netloc.rpartition("@")[2]
    return Url(text, scheme == "https", parts.hostname, port or default, authority, target)


class Exchange:
    """Connect, send what the host gives, read the response."""

    def __init__(self, url: Url, total: int, *, late: bool = False) -> None:
        self._url = url
        kept_back = (total - 1) % _PACKET_BYTES + 1 if late and total > _PACKET_BYTES else 0
        self._to_queue = self._to_send = total - kept_back
        self._stream: Stream | None = None
        self._queue = bytearray()
        self._more = asyncio.Event()
        self._sender: asyncio.Task[None] | None = None
        self._late = b""

    async def open(
        self, timeout_s: float, family: socket.AddressFamily, policy: Callable[[], TlsPolicy] | None, dns_error: int
    ) -> None:
        """Connect, with TLS for https."""
        try:
            stream = Stream(policy() if policy else None)
            await stream.open(self._url.host, self._url.port, timeout_s, family)
        except OpenFailedError as failed:
            raise HttpError(dns_error if failed.failure is OpenFailure.DNS else 716) from None
        except TlsFailedError:
            # Every refusal of TLS is 701 (SIXW7, bg96.md 2.4).
            raise HttpError(701) from None
        self._stream = stream
        self._sender = asyncio.create_task(self._send())

    # Out

    def feed(self, data: bytes) -> None:
        """Send some of the request, as it comes."""
        self._queue += data[: self._to_queue]
        self._late += data[self._to_queue :]
        self._to_queue = max(0, self._to_queue - len(data))
        self._more.set()

    async def _send(self) -> None:
        stream = self._opened
        while self._to_send:
            if not self._queue:
                self._more.clear()
                await self._more.wait()
            piece = bytes(self._queue[:_PACKET_BYTES])
            del self._queue[: len(piece)]
            try:
                await stream.send(piece)
            except OSError:
                return  # whatever the server said is still there to be read
            self._to_send -= len(piece)

    @property
    def _opened(self) -> Stream:
        if self._stream is None:
            raise HttpError(719)
        return self._stream

    # In

    async def respond(self, end: float, timeout_code: int) -> Response:
        """The response's head, once the request is out; at most until `end`."""
        try:
            async with asyncio.timeout(max(0.0, end - now())):
                if self._sender:
                    await self._sender
                return await Response.read(self._opened)
        except TimeoutError:
            raise HttpError(timeout_code) from None
        except ConnectionError:
            raise HttpError(717) from None

    async def doomed(self, end: float) -> None:
        """The defect behind 719: the server gets everything and answers, and the answer is lost.

        A packet that was kept back leaves once the server has answered or given up (bg96.md 9.1).
        """
        stream = self._opened
        try:
            async with asyncio.timeout(max(0.0, end - now())):
                if self._sender:
                    await self._sender
                await stream.news()
        except TimeoutError:
            pass
        if self._late and not stream.ended:
            try:
                async with asyncio.timeout(1):
                    await stream.send(self._late)
                    await stream.flushed()
            except OSError:  # the server may be gone by now; TimeoutError is one too
                pass
        raise HttpError(719)

    def close(self) -> None:
        """Let go of the connection."""
        if self._sender:
            self._sender.cancel()
        if self._stream:
            self._stream.close()


class Response:
    """A response whose head has come; the body is read when the host asks for it."""

    def __init__(self, stream: Stream, head: bytes, rest: bytes) -> None:
        self._stream = stream
        self._rest = rest
        lines = head.decode("latin-1").split("\r\n")
        words = lines[0].split(" ", 2)
        if len(words) < 2 or not words[0].startswith("HTTP/") or not (words[1].isdigit() and len(words[1]) == 3):
            raise HttpError(723)
        self.head = head
        self.status = int(words[1])
        fields = {}
        for line in lines[1:]:
            name, _, value = line.partition(":")
            fields[name.strip().lower()] = value.strip()
        length = fields.get("content-length", "")
        self.length = int(length) if length.isascii() and length.isdigit() and len(length) < 12 else None
        self.chunked = "chunked" in fields.get("transfer-encoding", "").lower()
        if self.chunked:
            self.length = None
        self.empty = self.status in {204, 304} or self.length == 0

    @classmethod
    async def read(cls, stream: Stream) -> Response:
        """Read up to the blank line; 1xx responses are passed over."""
        data = b""
        while True:
            head, blank, rest = data.partition(b"\r\n\r\n")
            if not blank:
                if len(data) > _HEADER_LIMIT:
                    raise HttpError(723)
                more = await stream.recv()
                if not more:
                    raise HttpError(719)
                data += more
                continue
            response = cls(stream, head + blank, rest)
            if response.status >= 200:
                return response
            data = rest

    async def body(self, gap_s: float, sink: Callable[[bytes], None], *, decode: bool) -> None:
        """Give the body piece by piece; HttpError if it ends early or pauses for too long."""
        if self.empty:
            return
        try:
            if self.chunked:
                await self._chunks(gap_s, sink, decode=decode)
                return
            left = self.length
            while left is None or left > 0:
                data = await self._some(gap_s)
                if not data and left is None:
                    return
                if not data:
                    raise HttpError(719)
                if left is not None:
                    data, left = data[:left], left - len(data)
                sink(data)
        except ConnectionError:
            raise HttpError(717) from None

    async def _some(self, gap_s: float) -> bytes:
        if self._rest:
            data, self._rest = self._rest, b""
            return data
        try:
            async with asyncio.timeout(gap_s):
                return await self._stream.recv()
        except TimeoutError:
            raise HttpError(727) from None

    async def _line(self, gap_s: float) -> bytes:
        held = b""
        while b"\n" not in held:
            more = await self._some(gap_s)
            if not more or len(held) > _HEADER_LIMIT:
                raise HttpError(719)
            held += more
        line, end, self._rest = held.partition(b"\n")
        return line + end

    async def _chunks(self, gap_s: float, sink: Callable[[bytes], None], *, decode: bool) -> None:
        def framing(data: bytes) -> None:
            if not decode:
                sink(data)

        while True:
            line = await self._line(gap_s)
            framing(line)
            try:
                size = int(line.partition(b";")[0].strip(), 16)
            except ValueError:
                raise HttpError(721) from None
            left = size
            while left > 0:
                data = await self._some(gap_s)
                if not data:
                    raise HttpError(719)
                data, self._rest = data[:left], data[left:] + self._rest
                left -= len(data)
                sink(data)
            while True:
                line = await self._line(gap_s)
                framing(line)
                if size or line in {b"\r\n", b"\n"}:
                    break
            if not size:
                return

    def close(self) -> None:
        """Let go of the connection."""
        self._stream.close()
