"""Fixtures of the routes: sockets on loopback, throw-away certificates."""

from collections.abc import AsyncIterator
import ssl

import pytest
import trustme

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
async def https_server(server_context: ssl.SSLContext) -> AsyncIterator[Server]:
    async with serving(server_context) as server:
        yield server
