"""Sessions with simulated modems, and a peer for their sockets."""

import asyncio
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from pathlib import Path
import socket
from typing import Any, Protocol

import pytest

from custom_components.cellular_uplink.modem.at.channel import Channel
from custom_components.cellular_uplink.modem.drivers.base import PinMemory
from custom_components.cellular_uplink.modem.drivers.china_mobile import ChinaMobileDriver
from custom_components.cellular_uplink.modem.drivers.generic import GenericDriver
from custom_components.cellular_uplink.modem.drivers.quectel import QuectelDriver
from custom_components.cellular_uplink.modem.session import ModemSession, SessionSettings

from .scripted import Answers, ScriptedPort, ScriptedStream

type StartSession = Callable[..., ModemSession]
type StartPort = Callable[..., ScriptedPort]


@pytest.fixture
async def start_session(start_simulator: Callable[..., Any]) -> AsyncIterator[StartSession]:
    """Return what starts a simulated modem and a session with it, not opened yet; keywords are session settings."""
    sessions: list[ModemSession] = []

    def start(modem: str = "bg96", *arguments: str, **settings: Any) -> ModemSession:
        session = ModemSession(SessionSettings(port=start_simulator(modem, *arguments).port, **settings))
        sessions.append(session)
        return session

    yield start
    for session in sessions:
        await session.close()


class StartDriver(Protocol):
    """What starts a driver of a family on a scripted modem."""

    def __call__[D: GenericDriver](self, family: type[D], answers: Answers) -> tuple[D, ScriptedStream]: ...


@pytest.fixture
async def start_driver() -> AsyncIterator[StartDriver]:
    """Return what starts a driver on a modem that answers from a table."""
    channels: list[Channel] = []

    def start[D: GenericDriver](family: type[D], answers: Answers) -> tuple[D, ScriptedStream]:
        stream = ScriptedStream(answers)
        channel = Channel(stream)
        channels.append(channel)
        channel.start()
        return family(channel), stream

    yield start
    for channel in channels:
        await channel.aclose()


@pytest.fixture
async def start_port() -> AsyncIterator[StartPort]:
    """Return what puts a modem that answers from a table, or another device, behind a serial port."""
    ports: list[ScriptedPort] = []

    def start(answers: Answers, device: type[ScriptedPort] = ScriptedPort) -> ScriptedPort:
        ports.append(device(answers))
        return ports[-1]

    yield start
    for port in ports:
        port.unplug()


@pytest.fixture
async def open_session() -> AsyncIterator[Callable[..., ModemSession]]:
    """Return what makes a session with any port, not opened yet; it is closed in the end."""
    sessions: list[ModemSession] = []

    def start(port: str, *, pin_memory: PinMemory | None = None, on_lost: Any = None, **settings: Any) -> ModemSession:
        sessions.append(ModemSession(SessionSettings(port=port, **settings), pin_memory=pin_memory, on_lost=on_lost))
        return sessions[-1]

    yield start
    for session in sessions:
        await session.close()


@dataclass
class Peer:
    """A TCP server that keeps what it gets and says what it is told to."""

    port: int = 0
    received: bytearray = field(default_factory=bytearray)
    connected: asyncio.Event = field(default_factory=asyncio.Event)
    changed: asyncio.Condition = field(default_factory=asyncio.Condition)
    writer: asyncio.StreamWriter | None = None
    reading: asyncio.Event = field(default_factory=asyncio.Event)
    ended: asyncio.Event = field(default_factory=asyncio.Event)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.writer = writer
        self.connected.set()
        try:
            while True:
                await self.reading.wait()
                data = await reader.read(65536)
                if not data:
                    break
                self.received += data
                async with self.changed:
                    self.changed.notify_all()
        except ConnectionError:
            pass  # the modem may drop a connection; tests look at what arrived
        finally:
            self.ended.set()
            writer.close()

    async def wait_for(self, count: int) -> bytes:
        async with self.changed:
            await self.changed.wait_for(lambda: len(self.received) >= count)
        return bytes(self.received)


async def _end(server: asyncio.Server) -> None:
    server.close()
    server.abort_clients()
    await server.wait_closed()


@pytest.fixture
async def peer(socket_enabled: None) -> AsyncIterator[Peer]:
    """A peer on 127.0.0.1."""
    peer = Peer()
    peer.reading.set()
    server = await asyncio.start_server(peer.serve, "127.0.0.1", 0)
    peer.port = server.sockets[0].getsockname()[1]
    yield peer
    await _end(server)


@pytest.fixture
async def small_peer(socket_enabled: None) -> AsyncIterator[Peer]:
    """A peer whose system keeps little, and which does not read until it is told to."""
    listener = socket.create_server(("127.0.0.1", 0))
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 8192)
    peer = Peer(port=listener.getsockname()[1])
    server = await asyncio.start_server(peer.serve, sock=listener, limit=4096)
    yield peer
    peer.reading.set()
    await _end(server)


async def online_sockets(session: ModemSession) -> QuectelDriver | ChinaMobileDriver:
    """Bring a session online and return its driver, which has sockets."""
    driver = await session.ensure_online()
    assert isinstance(driver, QuectelDriver | ChinaMobileDriver)
    return driver


def trace_of(session: ModemSession) -> str:
    """Return what crossed the wire so far."""
    return (Path(session.settings.port).parent / "trace.txt").read_text()
