"""TLS clients that behave as a modem's own stack: few ciphers, and only the checks it was told to make.

Facts: bg96.md 5 (M-SSL), ml307r.md (MSSL). The handshakes are real ones, with real servers.
"""

from __future__ import annotations

import asyncio
import contextlib
from dataclasses import dataclass
from datetime import UTC, datetime
import enum
from pathlib import Path
import socket
import ssl
import tempfile
import warnings

# OpenSSL's X509_V_FLAG_NO_CHECK_TIME, for which the ssl module has no name.
_NO_CHECK_TIME = 0x200000
_RECORD_BYTES = 16384
# What a modem of that age can do: RSA certificates, no TLS 1.3 suite, no ECDSA (bg96.md 5).
RSA_SUITES = (
    "ECDHE-RSA-AES128-GCM-SHA256:ECDHE-RSA-AES256-SHA384:ECDHE-RSA-AES128-SHA256:ECDHE-RSA-AES256-SHA:"
    "ECDHE-RSA-AES128-SHA:AES256-SHA256:AES256-SHA:AES128-SHA"
)


class TlsFailure(enum.Enum):
    """Why a handshake did not come to its end."""

    CERTIFICATE = enum.auto()
    HANDSHAKE = enum.auto()
    TIMEOUT = enum.auto()
    SETTINGS = enum.auto()


class TlsFailedError(Exception):
    """TLS did not come about; the TCP connection is of no more use."""

    def __init__(self, failure: TlsFailure, reason: str = "") -> None:
        super().__init__(f"{failure.name} {reason}".strip())
        self.failure = failure


@dataclass(frozen=True, slots=True)
class TlsPolicy:
    """What a client sends and checks; the defaults check nothing."""

    verify: bool = False
    ca_pem: bytes = b""
    server_name: str | None = None  # SNI; None: none is sent
    check_name: bool = False
    check_dates: bool = False
    clock: datetime | None = None  # what the modem takes for the time; None: it has the right one
    minimum: ssl.TLSVersion = ssl.TLSVersion.MINIMUM_SUPPORTED
    maximum: ssl.TLSVersion = ssl.TLSVersion.TLSv1_2
    ciphers: str = RSA_SUITES
    client_pem: bytes = b""  # certificate and private key
    negotiate_timeout_s: float = 300.0


class TlsStream:
    """TLS over one connected, non-blocking socket."""

    def __init__(self, sock: socket.socket, policy: TlsPolicy) -> None:
        self._loop = asyncio.get_running_loop()
        self._socket = sock
        self._policy = policy
        self._incoming = ssl.MemoryBIO()
        self._outgoing = ssl.MemoryBIO()
        self._turn = asyncio.Lock()
        try:
            context = _context(policy)
            name = policy.server_name
            self._tls = context.wrap_bio(self._incoming, self._outgoing, server_hostname=name)
        except (ssl.SSLError, ValueError, OSError) as error:
            raise TlsFailedError(TlsFailure.SETTINGS, str(error)) from None

    async def handshake(self) -> None:
        """Agree with the server, or raise TlsFailedError."""
        try:
            async with asyncio.timeout(self._policy.negotiate_timeout_s):
                await self._agree()
        except TimeoutError:
            raise TlsFailedError(TlsFailure.TIMEOUT) from None
        except ssl.SSLCertVerificationError as error:
            await self._tell_alert()
            raise TlsFailedError(TlsFailure.CERTIFICATE, error.verify_message) from None
        except (ssl.SSLError, OSError) as error:
            await self._tell_alert()
            raise TlsFailedError(TlsFailure.HANDSHAKE, str(error)) from None
        if self._policy.verify and self._policy.check_dates and self._policy.clock and not self._timely():
            raise TlsFailedError(TlsFailure.CERTIFICATE, "not valid by the modem's clock")

    async def _agree(self) -> None:
        while True:
            try:
                self._tls.do_handshake()
            except ssl.SSLWantReadError:
                await self._flush()
                await self._fill()
            else:
                await self._flush()
                return

    async def _tell_alert(self) -> None:
        with contextlib.suppress(OSError, TimeoutError):
            async with asyncio.timeout(1):
                await self._flush()

    def _timely(self) -> bool:
        """Whether the server's certificate is valid at the modem's time; the ssl module knows only the real one."""
        found = self._tls.getpeercert() or {}
        clock = (self._policy.clock or datetime.now(UTC)).timestamp()
        start, end = found.get("notBefore"), found.get("notAfter")
        if not isinstance(start, str) or not isinstance(end, str):
            return False
        return ssl.cert_time_to_seconds(start) <= clock <= ssl.cert_time_to_seconds(end)

    async def send(self, data: bytes) -> None:
        """Send all of it, in records; OSError once the connection is gone."""
        for start in range(0, len(data), _RECORD_BYTES):
            while True:
                try:
                    self._tls.write(data[start : start + _RECORD_BYTES])
                except ssl.SSLWantReadError:
                    await self._fill()
                else:
                    break
            await self._flush()

    async def recv(self, limit: int) -> bytes:
        """Some bytes; none at the end; OSError if the connection broke."""
        while True:
            try:
                data = self._tls.read(limit)
            except ssl.SSLWantReadError:
                await self._flush()
                await self._fill()
            except ssl.SSLZeroReturnError, ssl.SSLEOFError:
                return b""
            else:
                return data

    def end(self) -> None:
        """Say good-bye without waiting for an answer."""
        with contextlib.suppress(ssl.SSLError, OSError):
            self._tls.unwrap()
        with contextlib.suppress(OSError):
            self._socket.send(self._outgoing.read())

    async def _flush(self) -> None:
        # One at a time, so that the records of a reader and a writer keep their order.
        async with self._turn:
            if data := self._outgoing.read():
                await self._loop.sock_sendall(self._socket, data)

    async def _fill(self) -> None:
        data = await self._loop.sock_recv(self._socket, 65536)
        if data:
            self._incoming.write(data)
        else:
            self._incoming.write_eof()


async def secure(sock: socket.socket, policy: TlsPolicy) -> TlsStream:
    """TLS on a connected non-blocking socket; TlsFailedError tells why not (the caller closes the socket)."""
    stream = TlsStream(sock, policy)
    await stream.handshake()
    return stream


def _context(policy: TlsPolicy) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_REQUIRED if policy.verify else ssl.CERT_NONE
    with warnings.catch_warnings():
        # The old versions are the point here.
        warnings.simplefilter("ignore", DeprecationWarning)
        context.minimum_version = policy.minimum
        context.maximum_version = policy.maximum
    context.set_ciphers(policy.ciphers + ":@SECLEVEL=0")
    context.options |= ssl.OP_LEGACY_SERVER_CONNECT | ssl.OP_IGNORE_UNEXPECTED_EOF
    if not policy.check_dates or policy.clock:
        context.verify_flags |= ssl.VerifyFlags(_NO_CHECK_TIME)
    if policy.verify:
        context.check_hostname = policy.check_name and policy.server_name is not None
        if policy.ca_pem:
            context.load_verify_locations(cadata=policy.ca_pem.decode("ascii", "replace"))
    if policy.client_pem:
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "client.pem"
            path.write_bytes(policy.client_pem)
            context.load_cert_chain(path)
    return context
