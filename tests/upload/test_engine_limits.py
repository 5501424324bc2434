"""Where uploads end: certificates, the size of answers, time, other uploads."""

import asyncio
from collections.abc import AsyncIterator
import datetime as dt
import ssl

import httpx
import pytest
import trustme

from custom_components.cellular_uplink.modem.errors import (
    InputError,
    ModemError,
    NetworkError,
)
from custom_components.cellular_uplink.modem.routes.tls import build_ssl_context
from custom_components.cellular_uplink.modem.upload import engine as engine_module
from custom_components.cellular_uplink.modem.upload.engine import MAX_RESPONSE_BYTES, Patience, UploadEngine
from custom_components.cellular_uplink.modem.upload.request import Destination, Picture
from custom_components.cellular_uplink.modem.upload.result import UploadState
from tests.routes.loopback import LoopbackDriver, LoopbackModem, LoopbackSocket, Server, scripted, serving, until

PICTURE = Picture(content=bytes(range(256)) * 320)


def to(server: Server, **options: object) -> Destination:
    return Destination(url=server.url, **options)  # type: ignore[arg-type]


@pytest.fixture
def trust(ca_pem: str) -> ssl.SSLContext:
    return build_ssl_context(ca_pem=ca_pem)


# --- TLS ---------------------------------------------------------------------------------------------------------


def _context(authority: trustme.CA, name: str, not_after: dt.datetime | None = None) -> ssl.SSLContext:
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.issue_cert(name, not_after=not_after).configure_cert(context)
    return context


YESTERDAY = dt.datetime.now(dt.UTC) - dt.timedelta(days=1)


@pytest.mark.parametrize(
    ("case", "code", "words"),
    [
        ("unknown", "certificate_untrusted", "The certificate of localhost is not trusted: "),
        ("expired", "certificate_expired", "has expired"),
        ("other", "host_mismatch", "not valid for 'localhost'"),
    ],
)
async def test_bad_certificate_is_refused(
    engine: UploadEngine,
    driver: LoopbackDriver,
    authority: trustme.CA,
    trust: ssl.SSLContext,
    case: str,
    code: str,
    words: str,
) -> None:
    context = {
        "unknown": lambda: _context(trustme.CA(), "localhost"),
        "expired": lambda: _context(authority, "localhost", YESTERDAY),
        "other": lambda: _context(authority, "example.org"),
    }[case]()
    async with serving(context) as server:
        result = await engine.upload(to(server), PICTURE, ssl_context=trust)
        assert result.state is UploadState.FAILED
        assert result.error is not None
        assert (result.error.kind, result.error.code) == ("tls", code)
        assert words in result.error.message
        assert not result.ambiguous
        assert server.requests == []
        assert driver.open_sockets == []
        unverified = await engine.upload(to(server), PICTURE, ssl_context=build_ssl_context(verify=False))
        assert unverified.ok


async def test_without_a_context_the_hosts_store_decides(engine: UploadEngine, https_server: Server) -> None:
    for _ in range(2):
        result = await engine.upload(to(https_server), PICTURE)
        assert result.error is not None
        assert result.error.code == "certificate_untrusted"


@pytest.mark.parametrize("greeting", [b"", b"HTTP/1.1 400 Bad Request\r\n\r\n"], ids=["closes", "plain"])
async def test_server_without_tls(engine: UploadEngine, trust: ssl.SSLContext, greeting: bytes) -> None:
    async def no_tls(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(2000)
        writer.write(greeting)
        writer.close()

    async with scripted(no_tls) as port:
        result = await engine.upload(Destination(url=f"https://localhost:{port}/"), PICTURE, ssl_context=trust)
    assert result.error is not None
    assert (result.error.kind, result.error.code) == ("tls", "handshake")
    assert "The TLS handshake with localhost failed" in result.error.message


async def test_server_that_wants_a_client_certificate(
    engine: UploadEngine, authority: trustme.CA, server_context: ssl.SSLContext, trust: ssl.SSLContext
) -> None:
    authority.configure_trust(server_context)
    server_context.verify_mode = ssl.CERT_REQUIRED
    async with serving(server_context) as server:
        result = await engine.upload(to(server), PICTURE, ssl_context=trust)
    assert result.state is UploadState.FAILED
    assert result.error is not None
    assert result.error.kind in {"tls", "socket"}


# --- bounds ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("length", "connections"), [(MAX_RESPONSE_BYTES - 1, 1), (MAX_RESPONSE_BYTES + 5000, 1), (1_000_000, 2)]
)
async def test_response_is_bounded(engine: UploadEngine, server: Server, length: int, connections: int) -> None:
    server.answer = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % length + b"x" * length
    for _ in range(2):
        result = await engine.upload(to(server), PICTURE)
        assert result.ok
        assert result.response == "x" * min(length, MAX_RESPONSE_BYTES)
        assert result.received_bytes < 400_000
    assert server.connections == connections


@pytest.mark.parametrize(
    ("head", "body", "text"),
    [
        (b"Content-Type: text/plain; charset=latin-1", b"\xe4", "ä"),
        (b"Content-Type: text/plain; charset=nonsense", b"\xc3\xa4\xff", "ä\N{REPLACEMENT CHARACTER}"),
        (b"Content-Type: text/plain", b"\xc3\xa4", "ä"),
        (b"Content-Encoding: gzip", b"\x1f\x8b", ""),
    ],
)
async def test_response_text(engine: UploadEngine, server: Server, head: bytes, body: bytes, text: str) -> None:
    server.answer = b"HTTP/1.1 200 OK\r\n" + head + b"\r\nContent-Length: %d\r\n\r\n" % len(body) + body
    assert (await engine.upload(to(server), PICTURE)).response == text


async def test_status_counts_although_the_body_broke_off(engine: UploadEngine, server: Server) -> None:
    server.answer = b"HTTP/1.1 201 Created\r\nContent-Length: 100\r\n\r\npart"
    server.closes_after_answer = True
    result = await engine.upload(to(server), PICTURE)
    assert (result.state, result.http_status, result.response) == (UploadState.DELIVERED, 201, "part")
    assert result.error is None
    with pytest.raises(ModemError):
        await engine.request(httpx.Request("GET", server.url))


# --- time --------------------------------------------------------------------------------------------------------


async def test_deadline_names_what_was_being_done(
    engine: UploadEngine, driver: LoopbackDriver, modem: LoopbackModem, server: Server
) -> None:
    server.hold = asyncio.Event()
    result = await engine.upload(to(server), PICTURE, timeout_s=1)
    total = result.request_bytes
    assert result.error is not None
    assert (result.error.kind, result.error.code) == ("http", "timeout")
    expected = f"within 1 s: it was waiting for the answer, {total} of {total} bytes sent"
    assert expected in result.error.message
    assert result.ambiguous
    assert driver.open_sockets == []

    async def hang() -> None:
        await asyncio.Event().wait()

    driver.before_open = hang
    result = await engine.upload(to(server), PICTURE, timeout_s=1)
    assert result.error is not None
    assert "it was connecting" in result.error.message
    assert not result.ambiguous


async def test_deadline_holds_while_the_modem_comes_online(engine: UploadEngine, modem: LoopbackModem) -> None:
    async def hang() -> object:
        await asyncio.Event().wait()
        return None

    modem.ensure_online = hang  # type: ignore[method-assign]
    result = await engine.upload(Destination(url="http://example.org"), PICTURE, timeout_s=1)
    assert result.error is not None
    assert "waiting for the modem to be online" in result.error.message
    assert result.attempts == ()


async def test_default_deadline_follows_bytes_and_baud(
    engine: UploadEngine, modem: LoopbackModem, server: Server
) -> None:
    line_s = (80_000 + engine_module.TLS_OVERHEAD_BYTES) * 10 / 115200
    assert engine._time_for(80_000) == pytest.approx(90 + 4 * line_s)
    with engine._counted(80_000):
        assert engine._time_for(80_000) > 90 + 7 * line_s, "another upload is on the line"
    modem.baud = None
    assert engine._time_for(80_000) == pytest.approx(90 + 4 * line_s * 12)
    modem.baud = 115200
    server.hold = asyncio.Event()
    impatient = UploadEngine(modem, patience=Patience(base_s=0.05, line_factor=0.01))
    result = await impatient.upload(to(server), PICTURE)
    await impatient.aclose()
    assert result.error is not None
    assert result.error.code == "timeout"


async def test_time_out_of_another_is_not_ours(engine: UploadEngine, driver: LoopbackDriver, server: Server) -> None:
    async def raise_timeout() -> None:
        raise TimeoutError

    driver.before_open = raise_timeout
    result = await engine.upload(to(server), PICTURE, timeout_s=60)
    assert result.error is not None
    assert result.error.code == "timeout"
    assert "in time" in result.error.message


async def test_cancelling_goes_through_and_frees_the_socket(
    engine: UploadEngine, driver: LoopbackDriver, server: Server
) -> None:
    server.hold = asyncio.Event()
    task = asyncio.create_task(engine.upload(to(server), PICTURE))
    await until(lambda: bool(server.requests))
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert driver.open_sockets == []
    server.hold = None
    assert (await engine.upload(to(server), PICTURE)).ok


# --- side by side ------------------------------------------------------------------------------------------------


@pytest.fixture
async def other_server() -> AsyncIterator[Server]:
    async with serving() as server:
        yield server


async def test_heartbeat_completes_while_an_upload_runs(
    engine: UploadEngine, driver: LoopbackDriver, server: Server, other_server: Server
) -> None:
    heartbeat: asyncio.Task[httpx.Response] | None = None
    upload_was_running: list[bool] = []

    async def start_heartbeat(sock: LoopbackSocket, index: int) -> None:
        nonlocal heartbeat
        if sock is driver.sockets[0] and index == 10:
            request = httpx.Request("GET", other_server.url)
            heartbeat = asyncio.create_task(engine.request(request))
            heartbeat.add_done_callback(lambda _: upload_was_running.append(not server.requests))
        if sock is driver.sockets[0] and index == 50:
            assert heartbeat is not None
            await heartbeat

    driver.before_send = start_heartbeat
    result = await engine.upload(to(server), PICTURE)
    assert result.ok
    assert heartbeat is not None
    response = heartbeat.result()
    assert (response.status_code, response.text) == (200, "ok")
    assert upload_was_running == [True]
    assert result.sent_bytes == result.request_bytes, "each pays for its own"


async def test_many_uploads_at_once(engine: UploadEngine, driver: LoopbackDriver, server: Server) -> None:
    pictures = [Picture(content=bytes([index]) * 20_000) for index in range(20)]
    results = await asyncio.gather(*(engine.upload(to(server), picture) for picture in pictures))
    assert all(result.ok for result in results)
    assert {request.body for request in server.requests} == {picture.content for picture in pictures}
    assert len(driver.sockets) <= driver.socket_limits.count - 1
    assert [result.sent_bytes for result in results] == [result.request_bytes for result in results]


async def test_request_gives_status_headers_and_body(engine: UploadEngine, server: Server) -> None:
    server.answer = (
        b"HTTP/1.1 503 x\r\nX-A: b\r\nContent-Encoding: gzip\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n"
    )
    response = await engine.request(httpx.Request("POST", server.url, json={"a": 1}), timeout_s=30)
    assert (response.status_code, response.headers["X-A"], response.content) == (503, "b", b"ok")
    assert server.requests[0].body == b'{"a":1}'


async def test_request_raises_what_went_wrong(engine: UploadEngine, modem: LoopbackModem, server: Server) -> None:
    with pytest.raises(InputError):
        await engine.request(httpx.Request("GET", server.url), timeout_s=0)
    modem.error = NetworkError("not_registered", "No network")
    with pytest.raises(NetworkError):
        await engine.request(httpx.Request("GET", server.url))
