"""A BG96's own HTTP client against real servers, in the firmware of the reports."""

import asyncio
from collections.abc import Callable
from functools import partial

import httpx
import pytest
import trustme

from custom_components.cellular_uplink.modem.drivers import quectel_http as driver_module
from custom_components.cellular_uplink.modem.drivers.base import ModemTls
from custom_components.cellular_uplink.modem.errors import (
    HttpError,
    ModemError,
    NetworkError,
    SocketError,
    TlsError,
)
from custom_components.cellular_uplink.modem.routes.meter import Meter, Phase
from custom_components.cellular_uplink.modem.routes.plan import HttpCommand
from custom_components.cellular_uplink.modem.session import ModemSession

from .loopback import Server, scripted, until
from .modem_http import PADDING, UNVERIFIED, multipart, picture, post_of, quectel, send, trace_of

POSTFILE, POST = HttpCommand.POSTFILE, HttpCommand.POST
COMMANDS = pytest.mark.parametrize("command", [POSTFILE, POST], ids=str)
GOOD, BAD = 4096, 6144
"""Totals with bit 11 clear and set."""

type Start = Callable[..., ModemSession]


@pytest.fixture
def start(open_session: Callable[..., ModemSession]) -> Start:
    return partial(open_session, "bg96")


@COMMANDS
@pytest.mark.parametrize("total", [300, 2793, 80_000])
async def test_request_arrives_as_it_is(start: Start, server: Server, command: HttpCommand, total: int) -> None:
    session = start("--firmware", "r03a06")  # plain HTTP is never affected
    request = post_of(server.url, total)
    told: list[tuple[int, int]] = []
    meter = Meter(on_progress=lambda sent, whole: told.append((sent, whole)))
    response = await send(session, request, command, meter=meter)
    assert (response.status_code, await response.aread()) == (200, b"ok")
    assert response.headers["Content-Length"] == "2"
    (received,) = server.requests
    assert received.body == request.content
    assert received.headers == {name.decode().lower(): value.decode() for name, value in request.headers.raw}
    assert meter.is_last_byte_out
    assert (meter.sent_bytes, meter.total_bytes, meter.padding_bytes) == (total, total, 0)
    assert meter.received_bytes > 30
    assert meter.phase is Phase.READING
    assert told[-1] == (total, total)
    assert told == sorted(told)
    driver = await quectel(session)
    assert driver.traffic.sent_bytes == total
    trace = trace_of(session)
    assert ("QFWRITE" in trace) == (command is POSTFILE and total == 80_000)
    assert ("QFUPL" in trace) == (command is POSTFILE and total < 80_000)
    assert await until_no_files(session) == {}


async def until_no_files(session: ModemSession) -> dict[str, int]:
    driver = await quectel(session)
    return await driver.list_files()  # behind the deletion in the queue


@COMMANDS
@pytest.mark.parametrize("size", [2793, 80_000])
async def test_multipart_is_byte_identical(start: Start, server: Server, command: HttpCommand, size: int) -> None:
    request = multipart(server.url, size)
    await send(start(), request, command)
    assert server.requests[0].body == request.content
    assert picture(size) in server.requests[0].body


async def test_status_polls_go_in_between(start: Start, server: Server) -> None:
    session = start()
    driver = await quectel(session)
    sending = asyncio.create_task(send(session, post_of(server.url, 80_000), POSTFILE))
    await until(lambda: "QFWRITE" in trace_of(session))
    await driver.read_status()
    assert not server.requests
    assert (await sending).status_code == 200


@pytest.mark.parametrize(
    ("firmware", "command", "total", "fails"),
    [
        ("clean", POSTFILE, BAD, False),
        ("clean", POST, BAD, False),
        ("r02a07-016", POSTFILE, GOOD, True),
        ("r02a07-016", POST, BAD, False),
        ("r02a07-011", POSTFILE, GOOD, False),
        ("r02a07-011", POSTFILE, BAD, True),
        ("r03a06", POSTFILE, GOOD, False),
        ("r03a06", POSTFILE, BAD, True),
        ("r03a06", POST, GOOD, True),
        ("r04a02", POST, GOOD, False),
    ],
)
async def test_719_of_the_reports(
    start: Start, rsa_server: Server, firmware: str, command: HttpCommand, total: int, *, fails: bool
) -> None:
    session = start("--firmware", firmware)
    meter = Meter()
    request = post_of(rsa_server.url, total)
    if not fails:
        assert (await send(session, request, command, tls=UNVERIFIED, meter=meter)).status_code == 200
        assert rsa_server.requests[0].body == request.content
    else:
        with pytest.raises(HttpError) as caught:
            await send(session, request, command, tls=UNVERIFIED, meter=meter)
        assert caught.value.code == "719"
        assert meter.is_last_byte_out
        assert meter.sent_bytes == total
    assert await until_no_files(session) == {}


@COMMANDS
async def test_late_last_packet_is_not_taken_for_delivered(
    start: Start, rsa_server: Server, monkeypatch: pytest.MonkeyPatch, command: HttpCommand
) -> None:
    """R04A02: a server that waits for the last packet never answers, so that the modem's time runs out."""
    monkeypatch.setattr(driver_module, "RESPONSE_S", 1)
    monkeypatch.setattr(driver_module, "ASSUMED_UPLINK_BPS", 160_000)
    meter = Meter()
    with pytest.raises(HttpError) as caught:
        await send(start("--firmware", "r04a02"), post_of(rsa_server.url, BAD), command, tls=UNVERIFIED, meter=meter)
    assert caught.value.code in ("702", "719", "728")
    assert meter.is_last_byte_out


@pytest.mark.parametrize("total", [2047, 2048, 2061, 4090, 4095, 4096, 6144, 14_335, 14_336, 80_000])
@pytest.mark.parametrize("firmware", ["r02a07-011", "r03a06"])
async def test_padding_cures_it(start: Start, rsa_server: Server, ca: ModemTls, firmware: str, total: int) -> None:
    session = start("--firmware", firmware)
    request = post_of(rsa_server.url, total)
    meter = Meter()
    response = await send(session, request, POSTFILE, tls=ca, workarounds=[PADDING], meter=meter)
    assert response.status_code == 200
    (received,) = rsa_server.requests
    assert received.body == request.content
    assert meter.total_bytes == total + meter.padding_bytes
    assert meter.padding_bytes == {
        2048: 2048,
        2061: 2035,
        4090: 13,
        4095: 13,
        6144: 2048,
        14_336: 2048,
        80_000: 1920,
    }.get(total, 0)
    assert ("x-padding" in received.headers) == bool(meter.padding_bytes)


@pytest.mark.parametrize("switch", ["error_719=cme", "error_719=urc"])
@COMMANDS
async def test_719_in_either_form(start: Start, rsa_server: Server, command: HttpCommand, switch: str) -> None:
    session = start("--set", "https_postfile=719", "--set", "https_post=719", "--set", switch)
    driver = await quectel(session)
    meter = Meter()
    for _ in range(2):
        with pytest.raises(HttpError) as caught:
            await send(session, post_of(rsa_server.url, 1000), command, tls=UNVERIFIED, meter=meter)
        assert caught.value.code == "719"
        assert meter.is_last_byte_out
    await driver.read_status()


# -- TLS --------------------------------------------------------------------------------------------------------------


async def test_settings_are_set_and_read_back_each_time(start: Start, rsa_server: Server, ca: ModemTls) -> None:
    session = start()
    for tls in (ca, ca, UNVERIFIED):
        assert (await send(session, post_of(rsa_server.url, 700), POSTFILE, tls=tls)).status_code == 200
    trace = trace_of(session)
    assert trace.count('AT+QSSLCFG="seclevel",1\\r') == 3
    assert trace.count('AT+QHTTPCFG="sslctxid"\\r') == 3
    assert trace.count('AT+QSSLCFG="seclevel",1,1\\r') == 2
    assert trace.count('AT+QSSLCFG="seclevel",1,0\\r') == 1
    assert trace.count("AT+QFUPL=") == 4  # the CA once, three requests
    assert rsa_server.tls_versions == ["TLSv1.2"] * 3


async def test_another_authority_is_not_believed(start: Start, rsa_server: Server) -> None:
    stranger = ModemTls(ca_pem=trustme.CA(key_type=trustme.KeyType.RSA).cert_pem.bytes().decode())
    session = start()
    with pytest.raises(ModemError) as caught:
        await send(session, post_of(rsa_server.url, 700), POSTFILE, tls=stranger)
    assert isinstance(caught.value, TlsError | SocketError)
    assert rsa_server.requests == []


async def test_sni_is_set_where_the_modem_has_it(start: Start, rsa_server: Server) -> None:
    session = start("--set", "sni=yes", "--set", "sni_hosts=localhost")
    assert (await send(session, post_of(rsa_server.url, 700), POSTFILE, tls=UNVERIFIED)).status_code == 200
    assert rsa_server.server_names == ["localhost"]


async def test_a_server_that_needs_sni_is_a_tls_failure(start: Start, rsa_server: Server) -> None:
    session = start("--set", "sni_hosts=localhost")
    with pytest.raises(TlsError) as caught:
        await send(session, post_of(rsa_server.url, 700), POSTFILE, tls=UNVERIFIED)
    assert caught.value.code == "701"


async def test_https_needs_leave(start: Start, rsa_server: Server) -> None:
    with pytest.raises(TlsError) as caught:
        await send(start(), post_of(rsa_server.url, 700), POSTFILE)
    assert caught.value.code == "not_allowed"


# -- failures ---------------------------------------------------------------------------------------------------------


@COMMANDS
async def test_server_that_is_not_there(start: Start, command: HttpCommand) -> None:
    async with scripted(lambda _reader, _writer: asyncio.sleep(0)) as port:
        pass
    meter = Meter()
    with pytest.raises(SocketError) as caught:
        await send(start(), post_of(f"http://127.0.0.1:{port}/", 500), command, meter=meter)
    assert caught.value.code == "716"
    assert (meter.is_last_byte_out, meter.sent_bytes) == (False, 0)


@COMMANDS
@pytest.mark.parametrize("code", ["714", "716"])
async def test_name_that_is_not_there(start: Start, command: HttpCommand, code: str) -> None:
    session = start("--set", f"http_dns_error={code}", "--set", "http_connect_error=urc")
    meter = Meter()
    with pytest.raises(SocketError) as caught:
        await send(session, post_of("http://nowhere.invalid/", 500), command, meter=meter)
    assert caught.value.code == code
    assert not meter.is_last_byte_out


@COMMANDS
async def test_answer_that_never_comes(
    start: Start, server: Server, monkeypatch: pytest.MonkeyPatch, command: HttpCommand
) -> None:
    monkeypatch.setattr(driver_module, "RESPONSE_S", 1)
    server.hold = asyncio.Event()
    meter = Meter()
    with pytest.raises(HttpError) as caught:
        await send(start(), post_of(server.url, 500), command, meter=meter)
    assert caught.value.code in ("702", "728")
    assert meter.is_last_byte_out
    server.hold.set()


async def test_given_up_request_is_waited_out(start: Start, server: Server) -> None:
    session = start()
    server.hold = asyncio.Event()
    first = asyncio.create_task(send(session, post_of(server.url, 500), POSTFILE))
    await until(lambda: bool(server.requests))
    first.cancel()
    with pytest.raises(asyncio.CancelledError):
        await first
    second = asyncio.create_task(send(session, post_of(server.url, 600), POSTFILE))
    await (await quectel(session)).read_status()
    server.hold.set()
    assert (await second).status_code == 200
    assert len(server.requests) == 2
    assert await until_no_files(session) == {}


async def test_cancelled_in_the_middle_of_a_file_leaves_nothing(start: Start, server: Server) -> None:
    session = start()
    first = asyncio.create_task(send(session, post_of(server.url, 80_000), POSTFILE))
    await until(lambda: "QFWRITE" in trace_of(session))
    first.cancel()
    with pytest.raises(asyncio.CancelledError):
        await first
    assert await until_no_files(session) == {}
    assert (await send(session, post_of(server.url, 500), POSTFILE)).status_code == 200


async def test_requests_take_turns(start: Start, server: Server) -> None:
    session = start()
    await quectel(session)
    responses = await asyncio.gather(*(send(session, post_of(server.url, 400 + n), POSTFILE) for n in range(4)))
    assert [response.status_code for response in responses] == [200] * 4
    assert len({request.body for request in server.requests}) == 4


async def test_packet_data_that_goes_ends_the_wait(start: Start, server: Server) -> None:
    session = start("--fault", "context_lost=after_in:2000", "--set", "urc_port=uart1")
    server.hold = asyncio.Event()
    with pytest.raises(ModemError):
        await send(session, post_of(server.url, 3000), POSTFILE)
    server.hold.set()


async def test_full_storage_is_said_before_anything_is_sent(start: Start, server: Server) -> None:
    session = start("--set", "ufs_free_bytes=20000")
    with pytest.raises(HttpError) as caught:
        await send(session, post_of(server.url, 80_000), POSTFILE)
    assert caught.value.code == "storage_full"
    assert "20000 of" in caught.value.message
    assert (await send(session, post_of(server.url, 80_000), POST)).status_code == 200


async def test_room_is_not_made_by_deleting_the_ca_in_use(start: Start, rsa_server: Server, ca: ModemTls) -> None:
    session = start("--set", "ufs_free_bytes=20000")
    driver = await quectel(session)
    await driver.write_file("cu000000.pem", picture(3000))
    assert (await send(session, post_of(rsa_server.url, 8000), POSTFILE, tls=ca)).status_code == 200
    assert "cu000000.pem" not in await driver.list_files()


async def test_what_earlier_runs_left_is_deleted(start: Start, server: Server) -> None:
    session = start("--set", "ufs_free_bytes=30000", "--set", "qflst_prefix=yes", "--set", "qfdel_missing=418")
    driver = await quectel(session)
    await driver.write_file("cu0000ab.req", picture(20_000))
    await driver.write_file("theirs.req", b"not ours")
    assert (await send(session, post_of(server.url, 15_000), POSTFILE)).status_code == 200
    assert await driver.list_files() == {"theirs.req": 8}


@pytest.mark.parametrize(
    ("answer", "status", "body"),
    [
        (b"HTTP/1.1 204 No Content\r\n\r\n", 204, b""),
        (b"HTTP/1.1 302 Found\r\nLocation: /b\r\nContent-Length: 0\r\n\r\n", 302, b""),
        (b"HTTP/1.1 404 Not Found\r\nContent-Length: 13\r\n\r\nx\r\nOK\r\n\r\nOK\r\n", 404, b"x\r\nOK\r\n\r\nOK\r\n"),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n", 200, b"hello"),
        (b"HTTP/1.1 503 Busy\r\nRetry-After: 7\r\nContent-Length: 4\r\n\r\nbusy", 503, b"busy"),
    ],
)
@pytest.mark.parametrize("chunked", ["decoded", "raw"])
@pytest.mark.parametrize("blank", ["yes", "no"])
async def test_answers(
    start: Start, server: Server, answer: bytes, status: int, body: bytes, chunked: str, blank: str
) -> None:
    server.answer = answer
    session = start("--set", f"http_chunked={chunked}", "--set", f"qhttpread_blank_line={blank}")
    response = await send(session, post_of(server.url, 500), POST)
    assert response.status_code == status
    # Nothing tells where a body ends whose coding is gone: there a blank line more stays.
    assert (await response.aread()).removesuffix(b"\r\n") == body.removesuffix(b"\r\n")
    if status == 503:
        assert response.headers["Retry-After"] == "7"


async def test_body_full_of_ends(start: Start, server: Server) -> None:
    body = b"a\r\nOK\r\n\r\n+QHTTPREAD: 0\r\n" * 100
    server.answer = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(body) + body
    response = await send(start(), post_of(server.url, 500), POSTFILE)
    assert await response.aread() == body


async def test_get(start: Start, server: Server) -> None:
    session = start()
    response = await send(session, httpx.Request("GET", server.url, headers={"X-A": "b"}), POSTFILE)
    assert (response.status_code, await response.aread()) == (200, b"ok")
    assert server.requests[0].headers["x-a"] == "b"
    with pytest.raises(HttpError) as caught:
        await send(session, httpx.Request("GET", server.url, headers={"X-A": "b" * 2050}), POSTFILE)
    assert caught.value.code == "request_too_long"
    with pytest.raises(HttpError) as caught:
        await send(session, httpx.Request("HEAD", server.url), POSTFILE)
    assert caught.value.code == "method"


async def test_limits(start: Start, server: Server) -> None:
    session = start()
    with pytest.raises(HttpError) as caught:
        await send(session, post_of(f"{server.url}?{'a' * 700}", 2000), POST)
    assert caught.value.code == "url_too_long"
    with pytest.raises(HttpError) as caught:
        await send(session, post_of(server.url, 1_024_001), POST)
    assert caught.value.code == "request_too_long"
    assert server.requests == []


def test_every_number_has_words() -> None:
    assert set(driver_module.HTTP_ERRORS) == {str(code) for code in range(701, 732)}


@pytest.mark.parametrize(("code", "kind"), [("709", NetworkError), ("718", SocketError), ("719", HttpError)])
async def test_error_classes(start: Start, code: str, kind: type[ModemError]) -> None:
    driver = await quectel(start())
    error = driver.http_error(code)
    assert type(error) is kind
    assert error.code == code
    assert driver.http_error("799").message.endswith("the modem gave no reason")
