"""Fixtures of the routes: sockets on loopback, throw-away certificates."""

from collections.abc import AsyncIterator, Callable
import ssl
from typing import Any

import pytest
import trustme

from custom_components.cellular_uplink.modem.drivers.base import ModemTls
from custom_components.cellular_uplink.modem.session import ModemSession, SessionSettings

from .loopback import LoopbackDriver, Server, serving


@pytest.fixture(autouse=True)
def _loopback(socket_enabled: None) -> None:
    """These tests talk to servers of their own on 127.0.0.1."""


@pytest.fixture(scope="session")
def authority() -> trustme.CA:
    return trustme.CA()


@pytest.fixture
def ca_pem(authority: trustme.CA) -> str:
    return authority.cert_pem.bytes().decode()


@pytest.fixture
def server_context(authority: trustme.CA) -> ssl.SSLContext:
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.issue_cert("localhost").configure_cert(context)
    return context


@pytest.fixture
async def driver() -> AsyncIterator[LoopbackDriver]:
    driver = LoopbackDriver()
    yield driver
    for sock in driver.sockets:
        sock.close()


@pytest.fixture
async def server() -> AsyncIterator[Server]:
    async with serving() as server:
        yield server


@pytest.fixture
async def rsa_server(rsa_context: ssl.SSLContext) -> AsyncIterator[Server]:
    """For TLS by the modem."""
    async with serving(rsa_context) as server:
        yield server


@pytest.fixture
def ca(rsa_authority: trustme.CA) -> ModemTls:
    """What makes the modem trust `rsa_server`."""
    return ModemTls(ca_pem=rsa_authority.cert_pem.bytes().decode())


@pytest.fixture
async def open_session(start_simulator: Callable[..., Any]) -> AsyncIterator[Callable[..., ModemSession]]:
    """Return what starts a simulated modem with these arguments, and a session to it; keywords are its settings."""
    sessions: list[ModemSession] = []

    def begin(modem: str, *arguments: str, **settings: Any) -> ModemSession:
        sessions.append(ModemSession(SessionSettings(port=start_simulator(modem, *arguments).port, **settings)))
        return sessions[-1]

    yield begin
    for session in sessions:
        await session.close()


@pytest.fixture
async def https_server(server_context: ssl.SSLContext) -> AsyncIterator[Server]:
    async with serving(server_context) as server:
        yield server
