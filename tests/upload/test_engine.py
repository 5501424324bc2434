"""Uploads to real servers through a modem on loopback: what the result says about what happened."""

import asyncio
import json
import ssl

import pytest

from custom_components.cellular_uplink.modem.errors import (
    CommandTimeoutError,
    InputError,
    LinkError,
    ModemError,
    NetworkError,
    SocketError,
)
from custom_components.cellular_uplink.modem.routes.tls import build_ssl_context
from custom_components.cellular_uplink.modem.upload.engine import UploadEngine
from custom_components.cellular_uplink.modem.upload.request import Destination, Picture, UploadFormat
from custom_components.cellular_uplink.modem.upload.result import Progress, UploadState
from tests.routes.loopback import LoopbackDriver, LoopbackModem, LoopbackSocket, Server, scripted, until

PICTURE = Picture(content=bytes(range(256)) * 320)


def to(server: Server, **options: object) -> Destination:
    return Destination(url=server.url, **options)  # type: ignore[arg-type]


@pytest.fixture
def trust(ca_pem: str) -> ssl.SSLContext:
    return build_ssl_context(ca_pem=ca_pem)


# --- delivered ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", [UploadFormat.RAW, UploadFormat.MULTIPART, UploadFormat.JSON])
async def test_delivered(engine: UploadEngine, driver: LoopbackDriver, server: Server, kind: UploadFormat) -> None:
    result = await engine.upload(to(server, format=kind), PICTURE, upload_id="id-7")
    [request] = server.requests
    assert result.ok
    assert (result.state, result.http_status, result.response) == (UploadState.DELIVERED, 200, "ok")
    assert (result.route, result.upload_id, result.ambiguous, result.error) == ("socket", "id-7", False, None)
    assert request.headers["idempotency-key"] == "id-7"
    assert result.body_bytes == len(request.body) == int(request.headers["content-length"])
    assert result.sent_bytes == result.request_bytes == sum(len(chunk) for chunk in driver.sockets[0].chunks)
    assert result.received_bytes == len(server.answer)
    assert result.duration_s > 0
    assert result.average_bytes_per_s == pytest.approx(result.request_bytes / result.duration_s)
    [attempt] = result.attempts
    assert (attempt.route, attempt.outcome, attempt.http_status, attempt.error) == ("socket", result.state, 200, None)
    assert 0 < attempt.duration_s <= result.duration_s
    json.dumps(result.as_dict())


async def test_delivered_over_tls(engine: UploadEngine, https_server: Server, trust: ssl.SSLContext) -> None:
    result = await engine.upload(to(https_server), PICTURE, ssl_context=trust)
    assert result.ok
    assert https_server.requests[0].body == PICTURE.content
    assert https_server.tls_versions == ["TLSv1.3"]
    assert result.sent_bytes > result.request_bytes, "TLS is paid for too"


async def test_every_upload_has_an_id_of_its_own(engine: UploadEngine, server: Server) -> None:
    ids = [(await engine.upload(to(server), PICTURE)).upload_id for _ in range(2)]
    assert ids == [request.headers["idempotency-key"] for request in server.requests]
    assert len(set(ids)) == 2


@pytest.mark.parametrize("kind", ["http", "https"])
async def test_progress_grows_from_nothing_to_all(
    engine: UploadEngine, server: Server, https_server: Server, trust: ssl.SSLContext, kind: str
) -> None:
    steps: list[Progress] = []
    target = server if kind == "http" else https_server
    for _ in range(2):
        steps.clear()
        result = await engine.upload(to(target), PICTURE, ssl_context=trust, on_progress=steps.append)
        assert {step.total_bytes for step in steps} == {result.request_bytes}
        sent = [step.sent_bytes for step in steps]
        assert sent == sorted(set(sent))
        assert (sent[0], sent[-1]) == (0, result.request_bytes)
        assert len(sent) > 50


async def test_connection_is_reused(
    engine: UploadEngine, driver: LoopbackDriver, https_server: Server, trust: ssl.SSLContext
) -> None:
    results = [await engine.upload(to(https_server), PICTURE, ssl_context=trust) for _ in range(3)]
    assert len(driver.sockets) == 1
    assert [result.sent_bytes - result.request_bytes < 200 for result in results] == [False, True, True]


async def test_connection_is_not_shared_between_trusts(
    engine: UploadEngine, https_server: Server, trust: ssl.SSLContext
) -> None:
    unverified = build_ssl_context(verify=False)
    assert (await engine.upload(to(https_server), PICTURE, ssl_context=unverified)).ok
    assert (await engine.upload(to(https_server), PICTURE, ssl_context=trust)).ok
    assert https_server.connections == 2


async def test_contexts_that_are_used_no_more_are_forgotten(
    engine: UploadEngine, https_server: Server, ca_pem: str
) -> None:
    https_server.answer = b"HTTP/1.1 204 No Content\r\nConnection: close\r\n\r\n"
    https_server.closes_after_answer = True
    for _ in range(3):
        assert (await engine.upload(to(https_server), PICTURE, ssl_context=build_ssl_context(ca_pem=ca_pem))).ok
    assert len(engine._transports) == 1


async def test_session_opened_again_gets_new_connections(
    engine: UploadEngine, modem: LoopbackModem, driver: LoopbackDriver, server: Server
) -> None:
    assert (await engine.upload(to(server), PICTURE)).ok
    reopened = modem.driver = LoopbackDriver()
    assert (await engine.upload(to(server), PICTURE)).ok
    assert driver.open_sockets == []
    assert len(reopened.sockets) == 1
    await engine.aclose()
    assert reopened.open_sockets == []


async def test_engine_works_again_after_closing(engine: UploadEngine, server: Server) -> None:
    await engine.aclose()
    assert (await engine.upload(to(server), PICTURE)).ok


# --- rejected ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("status", "words"),
    [
        (b"404 Whatever", "404 Not Found"),
        (b"500 x", "500 Internal Server Error"),
        (b"599 x", "599"),
        (b"301 x", "correct the URL"),
    ],
)
async def test_rejected(engine: UploadEngine, server: Server, status: bytes, words: str) -> None:
    server.answer = b"HTTP/1.1 " + status + b"\r\nContent-Length: 3\r\nLocation: /S3CRET\r\n\r\nbad"
    result = await engine.upload(to(server), PICTURE)
    assert (result.state, result.response, result.ambiguous) == (UploadState.REJECTED, "bad", False)
    assert not result.ok
    assert result.error is not None
    assert (result.error.kind, result.error.code) == ("http", status[:3].decode())
    assert words in result.error.message
    assert "S3CRET" not in result.error.message
    assert result.attempts[0].error is result.error
    assert len(server.requests) == 1, "nothing is sent twice"


@pytest.mark.parametrize("tls", [False, True])
async def test_early_answer_is_read(
    engine: UploadEngine, driver: LoopbackDriver, server_context: ssl.SSLContext, trust: ssl.SSLContext, tls: bool
) -> None:
    async def too_large(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 413 x\r\nContent-Length: 9\r\nConnection: close\r\n\r\ntoo large")
        await writer.drain()
        writer.close()

    async def wait_for_the_answer(sock: LoopbackSocket, index: int) -> None:
        if index == 20:
            await until(lambda: sock._is_over)

    driver.before_send = wait_for_the_answer
    async with scripted(too_large, server_context if tls else None) as port:
        url = f"{'https' if tls else 'http'}://localhost:{port}/"
        result = await engine.upload(Destination(url=url), PICTURE, ssl_context=trust)
    assert (result.state, result.http_status, result.response) == (UploadState.REJECTED, 413, "too large")
    assert result.sent_bytes < result.request_bytes, "what nobody reads is not sent"


# --- failed ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "error",
    [LinkError("port_missing", "There is no port"), NetworkError("not_registered", "No network")],
)
async def test_modem_that_is_not_online(
    engine: UploadEngine, modem: LoopbackModem, server: Server, error: ModemError
) -> None:
    modem.error = error
    result = await engine.upload(to(server), PICTURE)
    assert (result.state, result.route, result.attempts) == (UploadState.FAILED, None, ())
    assert result.error is error
    assert not result.ambiguous


async def test_modem_without_a_data_route(modem: LoopbackModem, engine: UploadEngine, server: Server) -> None:
    modem.driver = object()
    result = await engine.upload(to(server), PICTURE)
    assert result.error is not None
    assert (result.error.kind, result.error.code) == ("socket", "no_data_route")
    assert result.error.message == "No data route for this model yet (Loop Back)"
    assert result.attempts == ()


async def test_input_the_modem_refuses_is_bad_input(
    engine: UploadEngine, modem: LoopbackModem, driver: LoopbackDriver, server: Server
) -> None:
    async def refuse() -> None:
        raise InputError("host", "cannot be said to this modem")

    driver.before_open = refuse
    with pytest.raises(InputError):
        await engine.upload(to(server), PICTURE)
    modem.error = InputError("apn", "cannot be said to this modem")
    with pytest.raises(InputError):
        await engine.upload(to(server), PICTURE)


async def test_modem_error_keeps_its_number(engine: UploadEngine, driver: LoopbackDriver, server: Server) -> None:
    async def refuse() -> None:
        raise SocketError("565", "The modem could not resolve the name")

    driver.before_open = refuse
    result = await engine.upload(to(server), PICTURE)
    assert result.error is not None
    assert result.error.as_dict() == {
        "class": "socket",
        "code": "565",
        "message": "The modem could not resolve the name",
    }
    assert not result.ambiguous
    assert result.attempts[0].error is result.error


@pytest.mark.parametrize("error", [LinkError("port_lost", "gone"), CommandTimeoutError("timeout", "silent")])
@pytest.mark.parametrize("tls", [False, True])
async def test_lost_modem_while_sending(
    engine: UploadEngine,
    driver: LoopbackDriver,
    server: Server,
    https_server: Server,
    trust: ssl.SSLContext,
    tls: bool,
    error: ModemError,
) -> None:
    async def lose(_: LoopbackSocket, index: int) -> None:
        if index == 10:
            raise error

    driver.before_send = lose
    result = await engine.upload(to(https_server if tls else server), PICTURE, ssl_context=trust)
    assert (result.state, result.http_status) == (UploadState.FAILED, None)
    assert result.error is error
    assert not result.ambiguous, "the server cannot have all of it"
    assert driver.open_sockets == []


@pytest.mark.parametrize("tls", [False, True])
@pytest.mark.parametrize("from_the_end", [0, 1])
async def test_ambiguous_from_the_last_chunk_on(
    engine: UploadEngine,
    driver: LoopbackDriver,
    server: Server,
    https_server: Server,
    trust: ssl.SSLContext,
    tls: bool,
    from_the_end: int,
) -> None:
    target = https_server if tls else server
    await engine.upload(to(target), PICTURE, ssl_context=trust, upload_id="a")
    last = len(driver.sockets[0].chunks) - 1
    await engine.aclose()

    async def lose(_: LoopbackSocket, index: int) -> None:
        if index == last - from_the_end:
            raise LinkError("port_lost", "gone")

    driver.before_send = lose
    result = await engine.upload(to(target), PICTURE, ssl_context=trust, upload_id="b")
    assert result.error is not None
    assert result.error.code == "port_lost"
    assert result.ambiguous is (from_the_end == 0)


async def test_server_that_closes_without_a_word(engine: UploadEngine, server: Server) -> None:
    server.answer = b""
    server.closes_after_answer = True
    result = await engine.upload(to(server), PICTURE)
    assert result.error is not None
    assert (result.error.kind, result.error.code) == ("http", "response_lost")
    assert "127.0.0.1 closed the connection without an answer" in result.error.message
    assert result.ambiguous, "it has the whole request"


async def test_server_that_does_not_speak_http(engine: UploadEngine, server: Server) -> None:
    server.answer = b"SSH-2.0-OpenSSH_9.2\r\n\r\n"
    result = await engine.upload(to(server), PICTURE)
    assert result.error is not None
    assert (result.error.kind, result.error.code) == ("http", "response_invalid")
    assert result.ambiguous


async def test_modem_error_while_waiting_for_the_answer(
    engine: UploadEngine, driver: LoopbackDriver, server: Server
) -> None:
    driver.receive_error = SocketError("closed", "The network took the connection down")
    server.answer = b""
    server.closes_after_answer = True
    result = await engine.upload(to(server), PICTURE)
    assert result.error is driver.receive_error
    assert result.ambiguous
