"""The time, asked from an NTP server (RFC 4330)."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
import socket
import struct

from simulator.tcp import OpenFailedError
from simulator.udp import UdpLink

_REQUEST = bytes([0x23]) + bytes(47)  # version 4, client
_EPOCH = datetime(1900, 1, 1, tzinfo=UTC)


async def ask_time(host: str, port: int, timeout_s: float) -> datetime | None:
    """UTC as the server tells it; None without an answer."""
    answer: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()

    def received(data: bytes, peer: tuple[str, int]) -> None:
        del peer
        if len(data) >= len(_REQUEST) and not answer.done():
            answer.set_result(data)

    link = UdpLink(received)
    try:
        async with asyncio.timeout(timeout_s):
            await link.open(host, port, 0, socket.AF_UNSPEC)
            link.send(_REQUEST)
            data = await answer
    except OpenFailedError, TimeoutError:
        return None
    finally:
        link.drop()
    return _EPOCH + timedelta(seconds=int(struct.unpack_from(">I", data, 40)[0]))
