"""Requests over modem sockets to real servers: reuse, replacement, limits, TLS."""

import asyncio
from collections.abc import AsyncIterator
import ssl

import httpcore
import httpx
import pytest

from custom_components.cellular_uplink.modem.errors import LinkError, SocketError
from custom_components.cellular_uplink.modem.routes.meter import Meter, metered
from custom_components.cellular_uplink.modem.routes.socket import ModemNetworkBackend, SocketTransport
from custom_components.cellular_uplink.modem.routes.tls import build_ssl_context

from .loopback import LoopbackDriver, LoopbackSocket, Server, scripted, serving, until

PICTURE = bytes(range(256)) * 320


def post(server: Server, body: bytes = PICTURE) -> httpx.Request:
    return httpx.Request("POST", server.url, content=body)


async def send(transport: SocketTransport, request: httpx.Request, meter: Meter | None = None) -> httpx.Response:
    with metered(meter or Meter()):
        response = await transport.handle_async_request(request)
        await response.aread()
        await response.aclose()
    return response


@pytest.fixture
def backend(driver: LoopbackDriver) -> ModemNetworkBackend:
    return ModemNetworkBackend(driver)


@pytest.fixture
async def transport(backend: ModemNetworkBackend) -> AsyncIterator[SocketTransport]:
    async with SocketTransport(backend) as transport:
        yield transport


@pytest.fixture
async def tls_transport(backend: ModemNetworkBackend, ca_pem: str) -> AsyncIterator[SocketTransport]:
    async with SocketTransport(backend, build_ssl_context(ca_pem=ca_pem)) as transport:
        yield transport


async def test_request_arrives_whole_in_full_chunks(
    driver: LoopbackDriver, server: Server, transport: SocketTransport
) -> None:
    response = await send(transport, post(server))
    assert (response.status_code, response.content) == (200, b"ok")
    assert server.requests[0].body == PICTURE
    sizes = [len(chunk) for chunk in driver.sockets[0].chunks]
    assert set(sizes[:-1]) == {1460}
    assert driver.asked_for == [("127.0.0.1", server.port)]


async def test_https_shakes_hands_on_this_host(
    driver: LoopbackDriver, https_server: Server, tls_transport: SocketTransport
) -> None:
    meter = Meter()
    response = await send(tls_transport, post(https_server), meter)
    assert response.status_code == 200
    assert https_server.requests[0].body == PICTURE
    assert https_server.tls_versions == ["TLSv1.3"]
    assert https_server.server_names == ["localhost"]
    assert driver.asked_for == [("localhost", https_server.port)], "the modem resolves the name"
    sizes = [len(chunk) for chunk in driver.sockets[0].chunks]
    short = [size for size in sizes if size < 1460]
    assert len(short) == 2, "the end of the ClientHello and the end of the request: Finished rides with its head"
    assert meter.sent_bytes == sum(sizes)
    stream = response.extensions["network_stream"]
    assert stream.get_extra_info("ssl_object").version() == "TLSv1.3"
    assert stream.get_extra_info("server_addr") == ("localhost", https_server.port)
    assert stream.get_extra_info("socket") is None


async def test_tls_1_2_is_the_oldest(
    driver: LoopbackDriver, server_context: ssl.SSLContext, tls_transport: SocketTransport
) -> None:
    server_context.maximum_version = ssl.TLSVersion.TLSv1_2
    async with serving(server_context) as server:
        await send(tls_transport, post(server))
        assert server.tls_versions == ["TLSv1.2"]


async def test_failed_handshake_gives_the_socket_back(
    driver: LoopbackDriver, backend: ModemNetworkBackend, https_server: Server
) -> None:
    async with SocketTransport(backend, build_ssl_context()) as transport:
        with pytest.raises(httpx.ConnectError, match=r"self-signed|unable to get local issuer"):
            await send(transport, post(https_server))
    assert driver.open_sockets == []
    assert not https_server.requests


async def test_second_request_reuses_the_connection_and_costs_little(
    driver: LoopbackDriver, https_server: Server, tls_transport: SocketTransport
) -> None:
    meters = [Meter(), Meter(), Meter()]
    for meter in meters:
        await send(tls_transport, post(https_server), meter)
    assert len(driver.sockets) == 1
    assert {request.connection for request in https_server.requests} == {1}
    for meter in meters[1:]:
        assert meter.sent_bytes - len(PICTURE) < 400
        assert meter.received_bytes < 200


@pytest.mark.parametrize("kind", ["http", "https"])
async def test_idle_connection_the_server_closed_is_replaced(
    driver: LoopbackDriver,
    server: Server,
    https_server: Server,
    transport: SocketTransport,
    tls_transport: SocketTransport,
    kind: str,
) -> None:
    target, route = (server, transport) if kind == "http" else (https_server, tls_transport)
    await send(route, post(target))
    target.drop.set()
    await driver.sockets[0].until_readable()
    target.drop = asyncio.Event()
    response = await send(route, post(target))
    assert response.status_code == 200
    assert [request.connection for request in target.requests] == [1, 2]
    assert driver.sockets[0].is_closed
    assert sum(driver.log.count(sock) for sock in driver.sockets[:1]) == len(driver.sockets[0].chunks)


async def test_connection_close_of_the_server_is_kept_to(
    driver: LoopbackDriver, server: Server, transport: SocketTransport
) -> None:
    server.answer = b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\nok"
    server.closes_after_answer = True
    assert (await send(transport, post(server))).content == b"ok"
    assert driver.open_sockets == []


async def test_unused_connection_is_closed_without_another_request(
    driver: LoopbackDriver, backend: ModemNetworkBackend, server: Server
) -> None:
    async with SocketTransport(backend, keepalive_s=0.05) as transport:
        await send(transport, post(server))
        assert len(driver.open_sockets) == 1
        await until(lambda: not driver.open_sockets)
        assert transport.is_unused
        await send(transport, post(server))
        assert server.connections == 2


async def test_timer_leaves_connections_that_are_not_old(
    driver: LoopbackDriver, server: Server, transport: SocketTransport
) -> None:
    await send(transport, post(server))
    await transport.close_idle(expired_only=True)
    assert len(driver.open_sockets) == 1
    await transport.close_idle()
    assert driver.open_sockets == []


async def test_never_more_sockets_than_the_modem_has(server: Server) -> None:
    driver = LoopbackDriver(count=3)
    backend = ModemNetworkBackend(driver)
    most = 0

    async def count() -> None:
        nonlocal most
        most = max(most, len(driver.open_sockets) + 1)

    driver.before_open = count
    async with SocketTransport(backend) as one, SocketTransport(backend) as other:
        responses = await asyncio.gather(*(send(route, post(server)) for route in (one, other) * 4))
    assert [response.status_code for response in responses] == [200] * 8
    assert most == 2


async def test_waiting_request_takes_over_the_socket_of_another_transport(server: Server) -> None:
    driver = LoopbackDriver(count=2)
    backend = ModemNetworkBackend(driver)
    server.hold = asyncio.Event()
    async with SocketTransport(backend) as one, SocketTransport(backend) as other:
        first = asyncio.create_task(send(one, post(server)))
        await until(lambda: bool(server.requests))
        second = asyncio.create_task(send(other, post(server)))
        await until(lambda: backend.waiting > 0)
        server.hold.set()
        async with asyncio.timeout(5):
            assert (await first).status_code == (await second).status_code == 200


async def test_connection_that_cannot_be_opened(transport: SocketTransport, driver: LoopbackDriver) -> None:
    refused = SocketError("566", "The server refused the connection")

    async def refuse() -> None:
        raise refused

    driver.before_open = refuse
    with pytest.raises(httpx.ConnectError) as caught:
        await transport.handle_async_request(httpx.Request("POST", "http://example.org/", content=b"x"))
    assert caught.value.__cause__ is not None
    assert caught.value.__cause__.__cause__ is refused


async def test_lost_port_reaches_the_caller_with_its_cause(
    driver: LoopbackDriver, https_server: Server, tls_transport: SocketTransport
) -> None:
    lost = LinkError("port_lost", "gone")

    async def lose(_: LoopbackSocket, index: int) -> None:
        if index == 10:
            raise lost

    driver.before_send = lose
    with pytest.raises(httpx.TransportError) as caught:
        await send(tls_transport, post(https_server))
    assert caught.value.__cause__ is not None
    assert caught.value.__cause__.__cause__ is lost
    assert driver.open_sockets == []


async def test_cancelled_while_opening_frees_the_place(driver: LoopbackDriver, server: Server) -> None:
    backend = ModemNetworkBackend(driver)
    opening = asyncio.Event()

    async def hang() -> None:
        opening.set()
        await asyncio.Event().wait()

    driver.before_open = hang
    async with SocketTransport(backend) as transport:
        for _ in range(backend.limit + 1):
            opening.clear()
            task = asyncio.create_task(send(transport, post(server)))
            await opening.wait()
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
        driver.before_open = None
        assert (await send(transport, post(server))).status_code == 200


@pytest.mark.parametrize("phase", ["opening", "handshake"])
async def test_cancelled_before_the_request_closes_the_socket(
    driver: LoopbackDriver, tls_transport: SocketTransport, phase: str
) -> None:
    greeted = asyncio.Event()

    async def silent(reader: asyncio.StreamReader, _: asyncio.StreamWriter) -> None:
        await reader.read(100)
        greeted.set()
        await reader.read()

    async with scripted(silent) as port:
        request = httpx.Request("POST", f"https://localhost:{port}/", content=b"x")
        task = asyncio.create_task(send(tls_transport, request))
        await greeted.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
    assert driver.open_sockets == []


@pytest.mark.parametrize(
    ("timeouts", "error"),
    [
        ({"read": 0.01}, httpx.ReadTimeout),
        ({"connect": 0.01}, httpx.ConnectTimeout),
        ({"write": 0.01}, httpx.WriteTimeout),
    ],
)
async def test_httpx_timeouts_hold(
    driver: LoopbackDriver,
    server: Server,
    transport: SocketTransport,
    timeouts: dict[str, float],
    error: type[Exception],
) -> None:
    server.hold = asyncio.Event()

    async def hang(*_: object) -> None:
        await asyncio.Event().wait()

    if "connect" in timeouts:
        driver.before_open = hang
    elif "write" in timeouts:
        driver.before_send = hang
    request = post(server)
    request.extensions["timeout"] = timeouts
    with pytest.raises(error):
        await send(transport, request)


async def test_body_of_unknown_length_and_no_body(server: Server, transport: SocketTransport) -> None:
    async def pieces() -> AsyncIterator[bytes]:
        for piece in (b"", b"a", b"", b"bc"):
            yield piece

    meter = Meter()
    await send(transport, httpx.Request("PUT", server.url, content=pieces()), meter)
    await send(transport, httpx.Request("GET", server.url))
    assert [request.body for request in server.requests] == [b"abc", b""]
    assert meter.is_last_byte_out


async def test_synchronous_body_is_refused(transport: SocketTransport) -> None:
    request = httpx.Request("PUT", "http://example.org", content=iter([b"a"]))
    with pytest.raises(TypeError):
        await transport.handle_async_request(request)


async def test_backend_keeps_to_connect_timeouts_and_closes_twice(driver: LoopbackDriver, server: Server) -> None:
    backend = ModemNetworkBackend(driver)
    stream = await backend.connect_tcp("127.0.0.1", server.port, timeout=5)
    await stream.write(b"")
    await stream.aclose()
    await stream.aclose()
    with pytest.raises(httpcore.WriteError):
        await stream.write(b"x")
    with pytest.raises(httpcore.ReadError):
        await stream.read(1)
    transport = SocketTransport(backend)
    await transport.aclose()
    await transport.aclose()
    assert transport.is_unused
