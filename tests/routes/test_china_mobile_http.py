"""An ML307R's own HTTP client against real servers: as its manual says, and as the report says."""

import asyncio
from collections.abc import Callable
from functools import partial
from itertools import product
from typing import Any

import httpx
import pytest
import trustme

from custom_components.cellular_uplink.modem.at.encoding import Text
from custom_components.cellular_uplink.modem.drivers import china_mobile_http as driver_module
from custom_components.cellular_uplink.modem.drivers.base import (
    HttpAnswer,
    MhttpUrl,
    ModemTls,
    SupportsChinaMobileHttp,
)
from custom_components.cellular_uplink.modem.errors import HttpError, ModemError, NetworkError, SocketError, TlsError
from custom_components.cellular_uplink.modem.routes.china_mobile_http import ChinaMobileHttpTransport
from custom_components.cellular_uplink.modem.routes.meter import Meter
from custom_components.cellular_uplink.modem.routes.plan import HttpCommand, Workaround
from custom_components.cellular_uplink.modem.session import ModemSession

from .loopback import Server, scripted, until
from .modem_http import UNVERIFIED, china_mobile, multipart, picture, post_of, send, trace_of

CONTENT, CHUNKED = HttpCommand.CONTENT, HttpCommand.CHUNKED
COMMANDS = pytest.mark.parametrize("command", [CONTENT, CHUNKED], ids=str)

SWITCHES = ("ind_crlf=yes", "ind_crlf=no", "prompt_space=yes", "prompt_crlf=no")

type Start = Callable[..., ModemSession]


@pytest.fixture
def start(open_session: Callable[..., ModemSession]) -> Start:
    return partial(open_session, "ml307r")


@COMMANDS
@pytest.mark.parametrize(
    ("switch", "size"),
    [*product(SWITCHES, [300, 2793, 4096, 4097]), ("ind_crlf=no", 80_000)],
)
async def test_multipart_is_byte_identical(
    start: Start, server: Server, command: HttpCommand, size: int, switch: str
) -> None:
    session = start("--set", switch)
    request = multipart(server.url, size)
    meter = Meter()
    response = await send(session, request, command, meter=meter)
    assert (response.status_code, await response.aread()) == (200, b"ok")
    assert response.headers["Content-Length"] == "2"
    (received,) = server.requests
    assert received.body == request.content
    assert received.target == "/in"
    assert received.headers["content-type"] == request.headers["Content-Type"]
    assert received.headers["host"] == request.url.netloc.decode()
    assert ("transfer-encoding" in received.headers) == (command is CHUNKED)
    assert ("content-length" in received.headers) == (command is CONTENT)
    assert meter.is_last_byte_out
    assert meter.sent_bytes == meter.total_bytes


@COMMANDS
async def test_headers(start: Start, server: Server, command: HttpCommand) -> None:
    """Those a command line cannot carry go behind a prompt; a name given twice is one header."""
    session = start()
    headers = [
        ("X-Plain", "a, b"),
        ("X-Quote", 'form-data; name="file"'),
        ("X-Back", "\\r\\n"),
        ("X-Long", "z" * 3000),
        ("X-Two", "1"),
        ("X-Two", "2"),
    ]
    await send(session, httpx.Request("PUT", f"{server.url}?a=b&c=%3B", content=b"body", headers=headers), command)
    (received,) = server.requests
    assert (received.method, received.target) == ("PUT", "/in?a=b&c=%3B")
    for name, value in headers[:4]:
        assert received.headers[name.lower()] == value
    assert received.headers["x-two"] == "1, 2"
    with pytest.raises(HttpError) as caught:
        await send(session, httpx.Request("PUT", server.url, headers={"X": "z" * 4096}), command)
    assert caught.value.code == "header_too_long"


@pytest.mark.parametrize("switch", ["delete_needs_100ms=no", "delete_needs_100ms=yes"])
async def test_clients_are_given_back(start: Start, server: Server, switch: str) -> None:
    session = start("--set", switch)
    for number in range(6):
        response = await send(session, post_of(server.url, 300 + number), CONTENT)
        assert response.status_code == 200
    assert len(server.requests) == 6
    assert "+CME ERROR: 653" not in trace_of(session)


async def test_clients_of_a_former_owner(start: Start, server: Server) -> None:
    session = start()
    driver = await china_mobile(session)
    assert isinstance(driver, SupportsChinaMobileHttp)
    for _ in range(4):
        await driver.ask(driver.encoder.set("+MHTTPCREATE", Text("url", "http://127.0.0.1:9")))
    assert (await send(session, post_of(server.url, 300), CONTENT)).status_code == 200


async def test_requests_take_turns_and_polls_go_in_between(start: Start, server: Server) -> None:
    session = start()
    driver = await china_mobile(session)
    sending = [asyncio.create_task(send(session, post_of(server.url, 40_000 + n), CONTENT)) for n in range(2)]
    await until(lambda: "MHTTPCONTENT" in trace_of(session))
    await driver.read_status()
    assert not server.requests
    assert [(await one).status_code for one in sending] == [200, 200]


async def test_pieces_as_small_as_a_quirk_wants(start: Start, server: Server) -> None:
    session = start("--set", "content_single_max=1024")
    limit = Workaround(quirk_id="x", effect="limit_chunk", params={"command": "+MHTTPCONTENT", "max_bytes": 1024})
    request = post_of(server.url, 5000)
    assert (await send(session, request, CONTENT, workarounds=[limit])).status_code == 200
    assert server.requests[0].body == request.content


@pytest.mark.parametrize(
    ("answer", "status", "body"),
    [
        (b"HTTP/1.1 204 No Content\r\n\r\n", 204, b""),
        (b"HTTP/1.1 201 Created\r\nContent-Length: 0\r\n\r\n", 201, b""),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n", 200, b"hello"),
        (b"HTTP/1.1 411 Length Required\r\nContent-Length: 6\r\n\r\n\r\nOK\r\n", 411, b"\r\nOK\r\n"),
    ],
)
async def test_answers(start: Start, server: Server, answer: bytes, status: int, body: bytes) -> None:
    server.answer = answer
    response = await send(start(), post_of(server.url, 400), CONTENT)
    assert response.status_code == status
    assert await response.aread() == body


async def test_answer_without_length(start: Start, server: Server) -> None:
    server.answer, server.closes_after_answer = b"HTTP/1.1 200 OK\r\n\r\nuntil the end", True
    response = await send(start(), post_of(server.url, 400), CONTENT)
    assert response.status_code == 200
    assert await response.aread() == b"until the end"


async def test_head_and_get(start: Start, server: Server) -> None:
    session = start()
    response = await send(session, httpx.Request("GET", server.url), CONTENT)
    assert await response.aread() == b"ok"
    server.answer = b"HTTP/1.1 200 OK\r\nContent-Length: 7\r\n\r\n"
    response = await send(session, httpx.Request("HEAD", server.url), CHUNKED)
    assert (response.status_code, response.headers["Content-Length"]) == (200, "7")


# -- TLS --------------------------------------------------------------------------------------------------------------


@COMMANDS
async def test_tls_verified_and_not(start: Start, rsa_server: Server, ca: ModemTls, command: HttpCommand) -> None:
    session = start()
    for tls in (ca, ca, UNVERIFIED):
        request = post_of(rsa_server.url, 3000)
        assert (await send(session, request, command, tls=tls)).status_code == 200
        assert rsa_server.requests[-1].body == request.content
    trace = trace_of(session)
    assert trace.count("AT+MSSLCERTWR=") == 1
    assert trace.count('AT+MSSLCFG="auth",1\\r') == 3
    assert trace.count('AT+MHTTPCFG="ssl",0\\r') == 3
    assert trace.count('AT+MSSLCFG="auth",1,1\\r') == 2


async def test_another_authority_is_not_believed(start: Start, rsa_server: Server) -> None:
    stranger = ModemTls(ca_pem=trustme.CA(key_type=trustme.KeyType.RSA).cert_pem.bytes().decode())
    meter = Meter()
    with pytest.raises(TlsError):
        await send(start(), post_of(rsa_server.url, 700), CONTENT, tls=stranger, meter=meter)
    assert not meter.is_last_byte_out
    assert rsa_server.requests == []


async def test_ecdsa_is_a_tls_failure(start: Start, https_server: Server) -> None:
    with pytest.raises(TlsError):
        await send(start(), post_of(https_server.url, 700), CONTENT, tls=UNVERIFIED)


async def test_a_certificate_too_long(start: Start, rsa_server: Server) -> None:
    with pytest.raises(TlsError) as caught:
        await send(start(), post_of(rsa_server.url, 700), CONTENT, tls=ModemTls(ca_pem="x" * 8193))
    assert caught.value.code == "certificate_too_long"
    with pytest.raises(TlsError):
        await send(start(), post_of(rsa_server.url, 700), CONTENT, tls=ModemTls(ca_pem="no certificate"))


# -- failures ---------------------------------------------------------------------------------------------------------


@COMMANDS
async def test_firmware_of_the_report_refuses(start: Start, server: Server, command: HttpCommand) -> None:
    session = start("--firmware", "report")
    meter = Meter()
    with pytest.raises(ModemError):
        await send(session, multipart(server.url, 2793), command, meter=meter)
    assert not meter.is_last_byte_out
    assert server.requests == []


@COMMANDS
@pytest.mark.parametrize("target", ["refused", "no name"])
async def test_server_that_is_not_there(start: Start, command: HttpCommand, target: str) -> None:
    async with scripted(lambda _reader, _writer: asyncio.sleep(0)) as port:
        pass
    url = f"http://127.0.0.1:{port}/" if target == "refused" else "http://nowhere.invalid/"
    meter = Meter()
    with pytest.raises(SocketError):
        await send(start(), post_of(url, 500), command, meter=meter)
    assert (meter.is_last_byte_out, meter.sent_bytes) == (False, 0)


@COMMANDS
async def test_connection_that_breaks_before_an_answer(start: Start, command: HttpCommand) -> None:
    async def hang_up(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(65536)
        writer.transport.abort()

    meter = Meter()
    async with scripted(hang_up) as port:
        with pytest.raises(ModemError) as caught:
            await send(start(), post_of(f"http://127.0.0.1:{port}/", 500), command, meter=meter)
    assert caught.value.code in ("5", "653", "657")


async def test_answer_that_never_comes(start: Start, server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(driver_module, "RESPONSE_S", 1)
    server.hold = asyncio.Event()
    meter = Meter()
    with pytest.raises(HttpError) as caught:
        await send(start(), post_of(server.url, 500), CONTENT, meter=meter)
    assert caught.value.code == "6"
    assert meter.is_last_byte_out
    server.hold.set()


@COMMANDS
async def test_body_that_came_short_is_no_delivery(
    start: Start, server: Server, monkeypatch: pytest.MonkeyPatch, command: HttpCommand
) -> None:
    """The modem takes what it has for all there is (ml307r.md 6): the server would be content with a part of it."""
    monkeypatch.setattr(driver_module, "INPUT_S", 1)
    session = start("--fault", "drop=direction:in,at:3000,times:1")
    with pytest.raises(HttpError) as caught:
        await send(session, post_of(server.url, 8000), command)
    assert caught.value.code == "input_lost"
    assert server.requests == []


async def test_a_certificate_that_came_short_is_written_again(
    start: Start, rsa_server: Server, ca: ModemTls, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its name, which holds its hash, is in the modem's list all the same."""
    monkeypatch.setattr(driver_module, "INPUT_S", 1)
    assert ca.ca_pem is not None
    short = ModemTls(ca_pem=ca.ca_pem + "\n" * 4000)
    session = start("--fault", "drop=direction:in,at:4000,times:1")
    with pytest.raises(HttpError) as caught:
        await send(session, post_of(rsa_server.url, 700), CONTENT, tls=short)
    assert caught.value.code == "input_lost"
    assert (await send(session, post_of(rsa_server.url, 700), CONTENT, tls=short)).status_code == 200
    assert trace_of(session).count("AT+MSSLCERTWR=") == 2


async def test_early_answer_ends_a_chunked_request(start: Start) -> None:
    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 411 Length Required\r\nContent-Length: 0\r\n\r\n")
        await writer.drain()
        await reader.read()

    async with scripted(answer) as port:
        response = await send(start(), post_of(f"http://127.0.0.1:{port}/", 60_000), CHUNKED)
    assert response.status_code == 411


async def test_given_up_request_frees_its_client(start: Start, server: Server) -> None:
    session = start()
    server.hold = asyncio.Event()
    first = asyncio.create_task(send(session, post_of(server.url, 500), CONTENT))
    await until(lambda: bool(server.requests))
    first.cancel()
    with pytest.raises(asyncio.CancelledError):
        await first
    server.hold.set()
    for _ in range(4):
        assert (await send(session, post_of(server.url, 500), CONTENT)).status_code == 200


async def test_url_it_cannot_carry(start: Start, server: Server) -> None:
    with pytest.raises(HttpError) as caught:
        await send(start(), httpx.Request("POST", f"{server.url};a", content=b"x"), CONTENT)
    assert caught.value.code == "url"
    with pytest.raises(HttpError) as caught:
        await send(start(), httpx.Request("PATCH", server.url, content=b"x"), CONTENT)
    assert caught.value.code == "method"


async def test_name_in_other_letters_reaches_the_modem_as_dns_has_it() -> None:
    class Taking:
        """As much of a driver as is asked for."""

        async def mhttp_send(self, _method: str, url: MhttpUrl, *_more: object, **_settings: object) -> HttpAnswer:
            self.url = url
            return HttpAnswer(status=204, head=b"HTTP/1.1 204 No Content\r\n", body=b"")

    driver: Any = Taking()
    response = await ChinaMobileHttpTransport(driver, tls=UNVERIFIED).handle_async_request(
        httpx.Request("POST", "https://bücher.example/in", content=b"x")
    )
    assert response.status_code == 204
    assert driver.url == MhttpUrl(origin="https://xn--bcher-kva.example", path="/in", host="xn--bcher-kva.example")


async def test_https_needs_leave(start: Start, rsa_server: Server) -> None:
    with pytest.raises(TlsError) as caught:
        await send(start(), post_of(rsa_server.url, 700), CONTENT)
    assert caught.value.code == "not_allowed"


@pytest.mark.parametrize(
    ("code", "kind"),
    [("570", NetworkError), ("650", HttpError), ("656", SocketError), ("753", TlsError), ("65", HttpError)],
)
def test_refusals(code: str, kind: type[ModemError]) -> None:
    error = driver_module.http_error(code)
    assert (type(error), error.code) == (kind, code)


@pytest.mark.parametrize(
    ("number", "kind"),
    [(1, SocketError), (3, SocketError), (4, TlsError), (5, HttpError), (255, HttpError), (99, HttpError)],
)
def test_events(number: int, kind: type[ModemError]) -> None:
    error = driver_module.event_error(number)
    assert (type(error), error.code) == (kind, str(number))


def test_picture_is_reproducible() -> None:
    assert picture(2793) == picture(2793)
