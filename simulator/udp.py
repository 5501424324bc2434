"""Real UDP sockets."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
import socket
from typing import override

from simulator.tcp import OpenFailedError, OpenFailure, resolve

# Packets a modem keeps; the newest are lost beyond it (TCP 3.6: 256).
PACKET_LIMIT = 256


class _Receiver(asyncio.DatagramProtocol):
    def __init__(self, on_packet: Callable[[bytes, tuple[str, int]], None]) -> None:
        self._on_packet = on_packet

    @override
    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        self._on_packet(data, (addr[0], addr[1]))


class UdpLink:
    """One UDP socket, with one peer or (host empty) with whoever writes to its port."""

    def __init__(self, on_packet: Callable[[bytes, tuple[str, int]], None]) -> None:
        self._on_packet = on_packet
        self._transport: asyncio.DatagramTransport | None = None
        self.packets: deque[tuple[bytes, tuple[str, int]]] = deque()
        self.total_sent = 0
        self.total_received = 0
        self.remote_ip = ""
        self.remote_port = 0
        self.local_port = 0

    async def open(self, host: str, port: int, local_port: int, family: socket.AddressFamily) -> None:
        """Bind, and fix the peer if there is one; OpenFailedError if that fails."""
        peer = ((await resolve(host, family))[0], port) if host else None
        any_address = "::" if peer and ":" in peer[0] else "0.0.0.0"  # noqa: S104 - as any UDP client does
        try:
            self._transport, _ = await asyncio.get_running_loop().create_datagram_endpoint(
                lambda: _Receiver(self._received), local_addr=(any_address, local_port), remote_addr=peer
            )
        except OSError:
            raise OpenFailedError(OpenFailure.OTHER) from None
        self.local_port = self._transport.get_extra_info("sockname")[1]
        if peer:
            self.remote_ip, self.remote_port = peer

    def _received(self, data: bytes, peer: tuple[str, int]) -> None:
        self.total_received += len(data)
        self.packets.append((data, peer))
        self._on_packet(data, peer)

    def send(self, data: bytes, peer: tuple[str, int] | None = None) -> bool:
        """Send one packet; False once closed."""
        if self._transport is None or self._transport.is_closing():
            return False
        self.total_sent += len(data)
        self._transport.sendto(data, peer)
        return True

    async def wait_free(self, size: int, timeout_s: float) -> bool:
        """There is always room."""
        del size, timeout_s
        return self._transport is not None

    def drop(self) -> None:
        """Close."""
        transport, self._transport = self._transport, None
        if transport:
            transport.close()

    async def close(self, drain_s: float = 0.0) -> None:
        """Close; there is nothing to wait for."""
        del drain_s
        self.drop()
