"""More than one attempt: which failure leads where, what may be stored twice, what is learned."""

import asyncio
from base64 import b64encode
from collections.abc import AsyncIterator
from datetime import UTC, datetime
import hashlib
import itertools
import json

import pytest

from custom_components.cellular_uplink.modem.drivers.base import ModemTls
from custom_components.cellular_uplink.modem.errors import (
    CommandTimeoutError,
    HttpError,
    InputError,
    LinkError,
    ModemError,
    NetworkError,
    SimError,
    SocketError,
    TlsError,
)
from custom_components.cellular_uplink.modem.quirks.loader import load_quirks
from custom_components.cellular_uplink.modem.routes.plan import HttpCommand, Plan, PlannedAttempt, RouteName, TlsPlace
from custom_components.cellular_uplink.modem.routes.tls import build_ssl_context
from custom_components.cellular_uplink.modem.routes.wire import serialise
from custom_components.cellular_uplink.modem.upload.attempts import MAX_TRIES, Course
from custom_components.cellular_uplink.modem.upload.choices import Choices, shaped
from custom_components.cellular_uplink.modem.upload.engine import Patience, UploadEngine
from custom_components.cellular_uplink.modem.upload.formats import build_request
from custom_components.cellular_uplink.modem.upload.memory import OutcomeMemory
from custom_components.cellular_uplink.modem.upload.qiniu import Judgement, Retry
from custom_components.cellular_uplink.modem.upload.request import Destination, Picture, UploadFormat
from custom_components.cellular_uplink.modem.upload.result import UploadState
from custom_components.cellular_uplink.modem.upload.verdict import (
    Step,
    Verdict,
    retry_after_s,
    verdict,
    verdict_of_answer,
)
from tests.routes.loopback import LoopbackSocket, Server

from .modem_double import HttpDriver, HttpModem

PICTURE = Picture(content=bytes(range(256)) * 8)
QUIRKS = load_quirks()
SOCKET = PlannedAttempt(route=RouteName.SOCKET)
POSTFILE = PlannedAttempt(route=RouteName.MODEM_HTTP, command=HttpCommand.POSTFILE)
MODEM_HTTP = Choices(route=RouteName.MODEM_HTTP)
LOST = HttpError("719", "The connection was closed before the modem had the answer")


@pytest.fixture
def driver() -> HttpDriver:
    return HttpDriver()


@pytest.fixture
def modem(driver: HttpDriver) -> HttpModem:
    return HttpModem(driver)


@pytest.fixture
def memory() -> OutcomeMemory:
    return OutcomeMemory()


@pytest.fixture
async def engine(modem: HttpModem, memory: OutcomeMemory) -> AsyncIterator[UploadEngine]:
    engine = UploadEngine(modem, quirks=QUIRKS, memory=memory)
    yield engine
    await engine.aclose()


def to(server: Server) -> Destination:
    return Destination(url=server.url)


# --- verdict -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("error", "attempt", "step"),
    [
        (LinkError("modem_restarted", ""), SOCKET, Step.RECONNECT),
        (LinkError("port_lost", ""), POSTFILE, Step.STOP),
        (LinkError("not_responding", ""), None, Step.RECONNECT),
        (LinkError("port_missing", ""), SOCKET, Step.STOP),
        (SimError("sim_missing", ""), SOCKET, Step.STOP),
        (NetworkError("registration_denied", ""), SOCKET, Step.STOP),
        (NetworkError("570", ""), SOCKET, Step.RESET),
        (NetworkError("570", ""), None, Step.STOP),
        (NetworkError("709", ""), POSTFILE, Step.RESET),
        (NetworkError("706", ""), POSTFILE, Step.NEXT),
        (TlsError("certificate_expired", ""), SOCKET, Step.STOP),
        (TlsError("752", ""), POSTFILE, Step.STOP),
        (TlsError("handshake", ""), SOCKET, Step.NEXT),
        (TlsError("701", ""), POSTFILE, Step.NEXT),
        (SocketError("565", ""), SOCKET, Step.STOP),
        (SocketError("566", ""), SOCKET, Step.STOP),
        (SocketError("714", ""), POSTFILE, Step.NEXT),
        (SocketError("716", ""), POSTFILE, Step.RESET),
        (SocketError("552", ""), SOCKET, Step.RESET),
        (SocketError("closed", ""), SOCKET, Step.NEXT),
        (SocketError("timeout", ""), SOCKET, Step.NEXT),
        (HttpError("response_invalid", ""), SOCKET, Step.STOP),
        (HttpError("response_invalid", ""), POSTFILE, Step.NEXT),
        (HttpError("timeout", ""), POSTFILE, Step.NEXT),
        (CommandTimeoutError("timeout", ""), SOCKET, Step.NEXT),
        *((HttpError(str(code), ""), POSTFILE, Step.NEXT) for code in (701, 702, 703, 717, 719, 728, 729, 730)),
    ],
)
def test_verdict(error: ModemError, attempt: PlannedAttempt | None, step: Step) -> None:
    assert verdict(error, attempt).step is step


def test_numbers_are_the_vendors() -> None:
    assert verdict(SocketError("557", ""), SOCKET, "china_mobile").step is Step.STOP
    assert verdict(SocketError("557", ""), SOCKET, "quectel").step is Step.NEXT
    assert verdict(SocketError("552", ""), SOCKET, "china_mobile").step is Step.NEXT


@pytest.mark.parametrize(
    ("status", "header", "judgement", "step", "pause_s"),
    [
        (400, None, None, Step.STOP, 0),
        (404, "5", None, Step.STOP, 0),
        (500, "5", None, Step.STOP, 0),
        (503, None, None, Step.STOP, 0),
        (503, "7", None, Step.AGAIN, 7),
        (429, "7", None, Step.AGAIN, 7),
        (429, "soon", None, Step.STOP, 0),
        (406, None, Judgement(state=UploadState.REJECTED, retry=Retry.ONCE), Step.AGAIN, 0),
        (573, None, Judgement(state=UploadState.REJECTED, retry=Retry.LATER), Step.AGAIN, 5),
        (401, None, Judgement(state=UploadState.REJECTED), Step.STOP, 0),
    ],
)
def test_verdict_of_answer(
    status: int, header: str | None, judgement: Judgement | None, step: Step, pause_s: float
) -> None:
    found = verdict_of_answer(status, {} if header is None else {"Retry-After": header}, judgement)
    assert (found.step, found.pause_s) == (step, pause_s)


def test_retry_after() -> None:
    now = datetime(2026, 1, 1, 0, 0, 0, tzinfo=UTC)
    assert retry_after_s("Thu, 01 Jan 2026 00:01:00 GMT", now) == 60
    assert retry_after_s("Thu, 01 Jan 2025 00:01:00 GMT", now) == 0
    assert retry_after_s(" 12 ") == 12
    assert retry_after_s("-1") is None
    assert retry_after_s(None) is None


# --- course ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("count", [1, 2, 3])
def test_every_course_ends(count: int) -> None:
    """Whatever verdicts come in whatever order, tries are bounded."""
    kinds = [
        Verdict(step=Step.NEXT, is_transient=True),
        Verdict(step=Step.AGAIN, limit=2),
        Verdict(step=Step.RESET, is_transient=True),
        Verdict(step=Step.RECONNECT, limit=2),
    ]
    for verdicts in itertools.product(kinds, repeat=MAX_TRIES):
        course = Course(plan=Plan(attempts=(SOCKET, POSTFILE, POSTFILE)[:count]))
        steps = [course.advance(found) for found in verdicts]
        assert not steps[-1]
        assert course.tries <= MAX_TRIES
        assert course.index < count
    one = Course(plan=Plan(attempts=(SOCKET,)), is_one_shot=True)
    assert not any(one.advance(found) for found in kinds)


def test_broken_handshake_never_leads_to_less_trust() -> None:
    verified = PlannedAttempt(route=RouteName.SOCKET, tls=TlsPlace.HOST, is_verified=True)
    blind = PlannedAttempt(route=RouteName.MODEM_HTTP, command=HttpCommand.POST, tls=TlsPlace.MODEM)
    error = TlsError("handshake", "")
    assert not Course(plan=Plan(attempts=(verified, blind))).advance(verdict(error, verified), is_handshake=True)
    assert Course(plan=Plan(attempts=(blind, blind))).advance(verdict(error, blind), is_handshake=True)


# --- the engine over both routes ---------------------------------------------------------------------------------


async def test_socket_is_enough(engine: UploadEngine, driver: HttpDriver, server: Server) -> None:
    result = await engine.upload(to(server), PICTURE)
    assert result.ok
    assert (result.route, driver.sent, len(result.attempts)) == ("socket", [], 1)
    told = json.loads(json.dumps(result.as_dict()))
    assert [attempt["route"] for attempt in told["plan"]] == ["socket", "modem-http", "modem-http"]
    assert "quectel-bg96-719" in [quirk["id"] for quirk in told["quirks"]]
    assert told["tls"] == {"where": "none", "verified": False}
    assert (told["padding_bytes"], told["may_be_stored_twice"]) == (0, False)
    assert told["attempts"][0]["command"] is None


async def test_next_way_takes_the_same_id(engine: UploadEngine, driver: HttpDriver, server: Server) -> None:
    server.answer = b""
    server.closes_after_answer = True
    result = await engine.upload(to(server), PICTURE, upload_id="id-7")
    assert result.ok
    assert [(attempt.route, attempt.command) for attempt in result.attempts] == [
        ("socket", None),
        ("modem-http", "postfile"),
    ]
    assert server.requests[0].headers["idempotency-key"] == "id-7"
    assert b"Idempotency-Key: id-7\r\n" in driver.sent[0][1]
    assert result.may_be_stored_twice, "the server had all of it the first time"
    assert not result.ambiguous
    assert result.attempts[0].error is not None
    assert result.attempts[0].error.code == "response_lost"
    assert result.sent_bytes > result.request_bytes, "both tries are paid for"


async def test_nothing_is_stored_twice_where_nothing_arrived(
    engine: UploadEngine, driver: HttpDriver, server: Server
) -> None:
    async def close(_: LoopbackSocket, index: int) -> None:
        raise SocketError("closed", "gone") if index == 0 else AssertionError

    driver.before_send = close
    result = await engine.upload(to(server), Picture(content=bytes(20_000)))
    assert (result.ok, driver.commands, result.may_be_stored_twice) == (True, ["postfile"], False)


async def test_who_wants_no_second_copy_is_told(engine: UploadEngine, driver: HttpDriver, server: Server) -> None:
    driver.script = [LOST]
    result = await engine.upload(
        to(server), PICTURE, choices=Choices(route=RouteName.MODEM_HTTP, retry_ambiguous=False)
    )
    assert (result.state, result.ambiguous, len(result.attempts)) == (UploadState.FAILED, True, 1)
    assert result.error is LOST
    assert "Not sent again, as asked" in result.note


@pytest.mark.parametrize(
    ("error", "status", "delivered", "tries", "twice"),
    [
        (LOST, 200, True, 1, False),
        (LOST, 404, True, 2, False),
        (LOST, 500, True, 2, True),
        (HttpError("702", "The server may still be at it"), 404, True, 2, True),
    ],
)
async def test_destination_is_asked_first(
    engine: UploadEngine,
    driver: HttpDriver,
    server: Server,
    error: HttpError,
    status: int,
    delivered: bool,
    tries: int,
    twice: bool,
) -> None:
    driver.script = [error]
    server.answer = b"HTTP/1.1 %d x\r\nContent-Length: 0\r\n\r\n" % status
    choices = Choices(route=RouteName.MODEM_HTTP, check_url=server.url + "/{upload_id}")
    result = await engine.upload(to(server), PICTURE, choices=choices, upload_id="id-9")
    assert [(request.method, request.target) for request in server.requests] == [("HEAD", "/in/id-9")]
    assert (result.ok, len(driver.sent), result.may_be_stored_twice) == (delivered, tries, twice)
    assert not result.ambiguous
    assert bool(result.note) is (status == 200)
    assert result.received_bytes >= len(server.answer), "asking costs bytes, too"


@pytest.mark.parametrize("status", [400, 401, 404, 413, 500, 301])
async def test_server_that_refuses_is_not_asked_again(
    engine: UploadEngine, driver: HttpDriver, server: Server, status: int
) -> None:
    driver.script = [b"HTTP/1.1 %d x\r\nContent-Length: 0\r\n\r\n" % status]
    result = await engine.upload(to(server), PICTURE, choices=MODEM_HTTP)
    assert (result.state, result.http_status, len(driver.sent)) == (UploadState.REJECTED, status, 1)
    assert not result.ambiguous


async def test_server_that_asks_to_wait(engine: UploadEngine, driver: HttpDriver, server: Server) -> None:
    busy = b"HTTP/1.1 503 x\r\nRetry-After: 0\r\nContent-Length: 0\r\n\r\n"
    driver.script = [busy, busy]
    assert (await engine.upload(to(server), PICTURE, choices=MODEM_HTTP)).ok
    assert driver.commands == ["postfile"] * 3
    driver.script = [busy.replace(b"After: 0", b"After: 600")]
    result = await engine.upload(to(server), PICTURE, choices=MODEM_HTTP, timeout_s=20)
    assert (result.http_status, len(result.attempts)) == (503, 1), "there is no time for that"


async def test_reset_of_packet_data_once(engine: UploadEngine, driver: HttpDriver, server: Server) -> None:
    driver.after_sending = False
    driver.script = [SocketError("716", "no"), SocketError("716", "no")]
    result = await engine.upload(to(server), PICTURE, choices=MODEM_HTTP)
    assert result.ok
    assert (driver.commands, driver.resets) == (["postfile", "postfile", "post"], ["down"])


async def test_modem_that_restarted_is_brought_up_again(
    modem: HttpModem, driver: HttpDriver, server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    engine = UploadEngine(modem, quirks=QUIRKS, patience=Patience(link_pause_s=0.01))
    driver.after_sending = False
    driver.script = [LinkError("modem_restarted", "The modem restarted")]
    ensure_online, answers = modem.ensure_online, [None, LinkError("port_missing", "not yet"), None]

    async def come_back() -> object:
        if (error := answers.pop(0)) is not None:
            raise error
        return await ensure_online()

    monkeypatch.setattr(modem, "ensure_online", come_back)
    result = await engine.upload(to(server), PICTURE, choices=MODEM_HTTP)
    assert result.ok
    assert driver.commands == ["postfile", "postfile"]
    assert not result.may_be_stored_twice


async def test_total_time_is_for_all_tries(
    engine: UploadEngine, driver: HttpDriver, memory: OutcomeMemory, server: Server
) -> None:
    server.hold = asyncio.Event()
    result = await engine.upload(to(server), PICTURE, timeout_s=1)
    assert result.error is not None
    assert (result.error.code, len(result.attempts), driver.sent) == ("timeout", 1, [])
    assert result.ambiguous
    assert memory.as_dict() == {"outcomes": []}, "a user in a hurry says nothing of the way"


async def test_no_workarounds_is_one_attempt(engine: UploadEngine, driver: HttpDriver, server: Server) -> None:
    driver.script = [LOST]
    result = await engine.upload(to(server), PICTURE, choices=Choices(use_workarounds=False))
    assert (result.ok, driver.commands, result.ambiguous) == (False, ["postfile"], True)


@pytest.mark.parametrize("total", [2047, 2048, 6144])
async def test_padding_is_counted_where_the_modem_does_tls(
    engine: UploadEngine, driver: HttpDriver, https_server: Server, total: int
) -> None:
    """R03A06: QHTTPPOST is out, QHTTPPOSTFILE is padded."""
    choices = Choices(route=RouteName.MODEM_HTTP, tls=TlsPlace.MODEM, pad_to=total)
    result = await engine.upload(to(https_server), Picture(content=b"x" * 900), choices=choices)
    assert result.ok
    [(command, data)] = driver.sent
    assert command == "postfile"
    assert result.request_bytes == len(data) == total + result.padding_bytes
    assert not len(data) & 0x800
    assert (result.padding_bytes > 0) is bool(total & 0x800)
    assert driver.tls == [ModemTls()]
    assert result.as_dict()["tls"] == {"where": "modem", "verified": False}


@pytest.mark.parametrize("insecure", [False, True])
async def test_ca_goes_to_the_modem(
    engine: UploadEngine, driver: HttpDriver, https_server: Server, ca_pem: str, insecure: bool
) -> None:
    context = build_ssl_context(ca_pem=ca_pem, verify=not insecure)
    choices = Choices(route=RouteName.MODEM_HTTP, tls=TlsPlace.MODEM, modem_ca_pem=ca_pem)
    result = await engine.upload(to(https_server), PICTURE, choices=choices, ssl_context=context)
    assert driver.tls == [ModemTls(ca_pem=None if insecure else ca_pem)]
    assert result.is_tls_verified is not insecure


async def test_modem_does_no_tls_unasked(engine: UploadEngine, driver: HttpDriver, https_server: Server) -> None:
    result = await engine.upload(to(https_server), PICTURE, choices=MODEM_HTTP)
    assert result.error is not None
    assert (result.error.code, result.attempts, driver.sent) == ("no_data_route", (), [])
    assert "does not allow that" in result.error.message


async def test_reset_connection_in_the_handshake_leads_to_no_less_trust(
    engine: UploadEngine, driver: HttpDriver, https_server: Server
) -> None:
    """A reset is as easy to make on the way as a bad handshake."""

    async def close(_: LoopbackSocket, index: int) -> None:
        raise SocketError("closed", "gone") if index == 0 else AssertionError

    driver.before_send = close
    result = await engine.upload(to(https_server), PICTURE, choices=Choices(tls=TlsPlace.MODEM))
    assert [planned["route"] for planned in result.plan] == ["socket", "modem-http", "modem-http"][: len(result.plan)]
    assert (result.ok, result.ambiguous, driver.sent) == (False, False, [])
    assert {attempt.route for attempt in result.attempts} == {"socket"}


async def test_what_one_way_cannot_carry_hides_no_other(
    engine: UploadEngine,
    driver: HttpDriver,
    memory: OutcomeMemory,
    server: Server,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def refuse(url: str, tls: ModemTls | None) -> None:
        raise InputError("url", "contains a character that this modem's commands cannot carry")

    monkeypatch.setattr(driver, "configure_http", refuse)
    server.answer = b""
    server.closes_after_answer = True
    result = await engine.upload(to(server), PICTURE)
    assert [attempt.error.code for attempt in result.attempts if attempt.error] == [
        "response_lost",
        "invalid_input",
        "invalid_input",
    ]
    assert result.ambiguous, "the server has it, and that is not lost for a URL"
    assert memory.as_dict() == {"outcomes": []}, "where no way delivers, it may be the server"
    with pytest.raises(InputError, match="url"):
        await engine.upload(to(server), PICTURE, choices=MODEM_HTTP)


async def test_nobody_starts_into_a_reset(
    engine: UploadEngine, driver: HttpDriver, server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    other: list[asyncio.Task[object]] = []
    seen: list[int] = []

    async def take_down() -> None:
        other.append(asyncio.create_task(engine.upload(to(server), PICTURE, choices=Choices(route=RouteName.SOCKET))))
        await asyncio.wait(other, timeout=0.2)
        seen.append(len(driver.sockets))

    monkeypatch.setattr(driver, "deactivate_packet_data", take_down)
    driver.after_sending = False
    driver.script = [SocketError("716", "no")]
    result = await engine.upload(to(server), PICTURE, choices=MODEM_HTTP)
    await asyncio.gather(*other)
    assert result.ok
    assert seen == [0], "no socket is opened while packet data is down"
    assert len(server.requests) == 1


# --- learning ----------------------------------------------------------------------------------------------------


async def test_what_worked_comes_first_next_time(
    engine: UploadEngine, driver: HttpDriver, memory: OutcomeMemory, server: Server
) -> None:
    server.answer = b""
    server.closes_after_answer = True
    assert (await engine.upload(to(server), PICTURE)).ok
    assert len(server.requests) == 1
    result = await engine.upload(to(server), PICTURE)
    assert (result.ok, [attempt.command for attempt in result.attempts]) == (True, ["postfile"])
    assert len(server.requests) == 1


@pytest.mark.parametrize(
    "choices",
    [MODEM_HTTP, Choices(command=HttpCommand.POST), Choices(use_workarounds=False), Choices(pad_to=9000)],
)
async def test_forced_runs_do_not_learn(
    engine: UploadEngine, driver: HttpDriver, memory: OutcomeMemory, server: Server, choices: Choices
) -> None:
    driver.script = [LOST]
    await engine.upload(to(server), PICTURE, choices=choices)
    assert memory.as_dict() == {"outcomes": []}


async def test_server_and_network_teach_nothing(engine: UploadEngine, memory: OutcomeMemory, server: Server) -> None:
    server.answer = b"HTTP/1.1 500 x\r\nContent-Length: 0\r\n\r\n"
    await engine.upload(to(server), PICTURE)
    assert memory.as_dict() == {"outcomes": []}


# --- shape -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", [UploadFormat.RAW, UploadFormat.MULTIPART, UploadFormat.JSON])
@pytest.mark.parametrize("gap", [0, 1, 5, 9, 10, 11, 3999, 4000, 4005, 4010, 8000, 8001, 9_999, 70_000])
def test_pad_to_is_exact(kind: UploadFormat, gap: int) -> None:
    request = build_request(Destination(url="http://h/", format=kind), PICTURE, "0" * 32)
    length = len(serialise(request))
    longer = shaped(request, Choices(pad_to=length + gap))
    assert len(serialise(longer)) == length + gap
    assert int(longer.headers["Content-Length"]) == len(longer.content)
    assert longer.content.startswith(request.content)
    if kind is UploadFormat.RAW:
        assert longer.content == request.content
    with pytest.raises(InputError, match="pad_to"):
        shaped(request, Choices(pad_to=length - 1))


def test_content_digest() -> None:
    request = build_request(Destination(url="http://h/"), PICTURE, "id")
    digest = b64encode(hashlib.sha256(PICTURE.content).digest()).decode()
    assert shaped(request, Choices(has_content_digest=True)).headers["Content-Digest"] == f"sha-256=:{digest}:"
    assert "Content-Digest" not in shaped(request, Choices()).headers


@pytest.mark.parametrize(
    ("choices", "field"),
    [
        (Choices(route=RouteName.SOCKET, command=HttpCommand.POST), "command"),
        (Choices(pad_to=0), "pad_to"),
        (Choices(pad_to=20), "pad_to"),
        (Choices(check_url="ftp://h/{upload_id}"), "check_url"),
        (Choices(check_url="http://h/"), "check_url"),
    ],
)
async def test_bad_choices(engine: UploadEngine, modem: HttpModem, choices: Choices, field: str) -> None:
    with pytest.raises(InputError, match=field):
        await engine.upload(Destination(url="http://h/"), PICTURE, choices=choices)
    assert modem.times_asked == 0
