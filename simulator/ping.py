"""One ICMP echo, by the kernel's unprivileged ping socket where it allows that."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
import socket
import struct
import time

_ECHO = struct.Struct(">BBHHH")
_ECHO_REQUEST, _ECHO_REQUEST_V6 = 8, 128


@dataclass(frozen=True, slots=True)
class Echo:
    """An answer."""

    seconds: float
    ttl: int


async def ping(address: str, size: int, timeout_s: float) -> Echo | None:
    """Ping once; None if nothing came, or if this computer lets nobody ping."""
    six = ":" in address
    protocol = socket.IPPROTO_ICMPV6 if six else socket.IPPROTO_ICMP
    try:
        sock = socket.socket(socket.AF_INET6 if six else socket.AF_INET, socket.SOCK_DGRAM, protocol)
    except OSError:
        return None
    with sock:
        sock.setblocking(False)  # noqa: FBT003 - its own signature
        loop = asyncio.get_running_loop()
        start = time.monotonic()
        packet = _ECHO.pack(_ECHO_REQUEST_V6 if six else _ECHO_REQUEST, 0, 0, 0, 1) + b"x" * size
        try:
            async with asyncio.timeout(timeout_s):
                await loop.sock_sendto(sock, packet, (address, 0))
                await loop.sock_recv(sock, 2048)
        except OSError:  # a time-out, too
            return None
        return Echo(time.monotonic() - start, 64)
