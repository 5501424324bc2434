"""What the catalogue makes the driver and the engine do beside the plan, on simulated firmware that has the fault."""

import asyncio
from collections.abc import AsyncIterator, Callable
import os
import re
from typing import Any, override

import pytest

from custom_components.cellular_uplink.modem.at.encoding import Text
from custom_components.cellular_uplink.modem.drivers import quectel_http
from custom_components.cellular_uplink.modem.drivers.base import ApnSettings
from custom_components.cellular_uplink.modem.errors import LinkError, NetworkError
from custom_components.cellular_uplink.modem.quirks.effects import Effect, build_effect
from custom_components.cellular_uplink.modem.quirks.firmware import Vendor, parse_selector
from custom_components.cellular_uplink.modem.quirks.loader import load_quirks
from custom_components.cellular_uplink.modem.quirks.registry import Applies, Confidence, Match, Quirk
from custom_components.cellular_uplink.modem.routes.plan import HttpCommand, PlannedAttempt, RouteName, TlsPlace
from custom_components.cellular_uplink.modem.routes.tls import build_ssl_context
from custom_components.cellular_uplink.modem.session import ModemSession, SessionSettings
from custom_components.cellular_uplink.modem.upload.attempts import Patience
from custom_components.cellular_uplink.modem.upload.choices import Choices
from custom_components.cellular_uplink.modem.upload.engine import UploadEngine
from custom_components.cellular_uplink.modem.upload.memory import OutcomeMemory
from custom_components.cellular_uplink.modem.upload.request import Destination, Picture
from tests.drivers.conftest import trace_of
from tests.routes.loopback import Server, until
from tests.routes.modem_http import quectel

from .modem_double import HttpDriver, HttpModem

QUIRKS = load_quirks()
QUICK_BOOT = ("--set", "boot_s=0.05", "--set", "search_s=0.05")
SOCKET = Choices(route=RouteName.SOCKET)
MODEM_HTTP = Choices(route=RouteName.MODEM_HTTP)

type Bench = Callable[..., tuple[ModemSession, UploadEngine]]


@pytest.fixture
async def bench(start_simulator: Callable[..., Any]) -> AsyncIterator[Bench]:
    """Return what starts a simulated modem with a session and an engine."""
    engines: list[tuple[ModemSession, UploadEngine]] = []

    def start(modem: str, *arguments: str, **given: Any) -> tuple[ModemSession, UploadEngine]:
        port = start_simulator(modem, *arguments).port
        session = ModemSession(SessionSettings(port=port, apn=ApnSettings(apn="internet")))
        engines.append((session, UploadEngine(session, **{"quirks": QUIRKS, **given})))
        return engines[-1]

    yield start
    for session, engine in engines:
        await engine.aclose()
        await session.close()


@pytest.mark.parametrize(("quirks", "times"), [(QUIRKS, 1), ((), 2)], ids=["catalogue", "no catalogue"])
async def test_id_of_a_failed_connection_is_left_alone(
    bench: Bench, server: Server, quirks: tuple[Quirk, ...], times: int
) -> None:
    """ml307r-id-quarantine: its turn would have come again after the four others."""
    session, engine = bench("ml307r", "--fault", "id_stuck=id:0", quirks=quirks)
    server.closes_after_answer = True
    for number in range(8):
        result = await engine.upload(Destination(url=server.url), Picture(content=b"x" * 2000))
        assert result.ok
        assert len(result.attempts) == 2 if number == 0 else len(result.attempts) <= 2
    assert trace_of(session).count("AT+MIPOPEN=0,") == times


@pytest.mark.parametrize(("release", "closes"), [("3.1.0.2606221536", False), ("3.1.0.2606231027_release", True)])
async def test_dangerous_close_is_avoided(bench: Bench, server: Server, release: str, *, closes: bool) -> None:
    """ml307r-mipclose-crash: where the server has closed, the id is free without the command."""
    session, engine = bench("ml307r", "--set", f"release={release}")
    server.closes_after_answer = True
    for number in range(1, 9):
        assert (await engine.upload(Destination(url=server.url), Picture(content=b"x" * 2000))).ok
        await until(lambda: trace_of(session).count('"disconn"') == number)  # noqa: B023 - awaited here
        await session.read_status()
    await engine.aclose()
    await session.read_status()
    assert ("AT+MIPCLOSE" in trace_of(session)) is closes


async def test_modem_that_only_a_restart_cures(bench: Bench, server: Server) -> None:
    """Every open ends with 552, packet data anew does not help (bg96.md 1.4): the modem is restarted, once."""
    session, engine = bench("bg96", "--fault", "stack_degraded=opens:0", *QUICK_BOOT)
    picture = Picture(content=os.urandom(3000))
    result = await engine.upload(Destination(url=server.url), picture, choices=SOCKET)
    assert result.ok, result.as_dict()
    assert [attempt.error.code if attempt.error else "" for attempt in result.attempts] == ["552", "552", ""]
    assert result.attempts[-1].acknowledged_bytes == result.sent_bytes == result.request_bytes
    wire = trace_of(session)
    assert (wire.count("AT+QIDEACT=1"), wire.count("AT+CFUN=1,1")) == (1, 1)
    assert server.requests[-1].body == picture.content


async def test_tls_sockets_of_a_former_owner_are_closed(bench: Bench, rsa_server: Server) -> None:
    """quectel-bg96-ssl-stale: before the modem first does TLS."""
    session, engine = bench("bg96")
    driver = await quectel(session)
    url = re.fullmatch(r"https://localhost:(\d+)/in", rsa_server.url)
    assert url is not None
    question = driver.encoder.run("+QSSLSTATE")

    async def is_open() -> bool:
        return bool((await driver.ask(question, info=re.compile(rb"\+QSSLSTATE: 3,"))).lines)

    await driver.ask(driver.encoder.set("+QSSLOPEN", 1, 1, 3, Text("host", "127.0.0.1"), int(url[1]), 0))
    assert await is_open()
    choices = Choices(route=RouteName.MODEM_HTTP, tls=TlsPlace.MODEM)
    for _ in range(2):
        result = await engine.upload(Destination(url=rsa_server.url), Picture(content=b"x" * 900), choices=choices)
        assert result.ok, result.as_dict()
    assert not await is_open()
    wire = trace_of(session)
    assert (wire.count("AT+QSSLCLOSE=3,0"), wire.count("AT+QSSLSTATE")) == (1, 3)


async def test_late_last_packet_leaves_the_route(
    bench: Bench, rsa_server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    """R04A02: padding first; where the last packet is late all the same, off the modem's HTTP client, to stay so."""
    monkeypatch.setattr(quectel_http, "RESPONSE_S", 1)
    monkeypatch.setattr(quectel_http, "ASSUMED_UPLINK_BPS", 160_000)
    memory = OutcomeMemory()
    session, engine = bench("bg96", "--firmware", "r04a02", "--set", "late_last_packet=every", memory=memory)
    identity = await session.open()
    postfile = PlannedAttempt(route=RouteName.MODEM_HTTP, command=HttpCommand.POSTFILE, tls=TlsPlace.MODEM)
    # Nothing is verified either way, and the modem's HTTP client did better so far.
    memory.record(identity, "https, TLS by modem", postfile, worked=True)
    trust, choices = build_ssl_context(verify=False), Choices(tls=TlsPlace.MODEM)
    picture = Picture(content=os.urandom(2500))
    first = await engine.upload(Destination(url=rsa_server.url), picture, choices=choices, ssl_context=trust)
    assert first.ok, first.as_dict()
    tried = [(attempt.command, attempt.error.code if attempt.error else None) for attempt in first.attempts]
    assert tried == [("postfile", "719"), (None, None)]
    assert first.may_be_stored_twice
    assert "bytes of padding" in str(first.plan[0]["why"])
    assert [way["command"] for way in first.plan] == ["postfile", None]
    second = await engine.upload(Destination(url=rsa_server.url), picture, choices=choices, ssl_context=trust)
    assert (second.ok, second.route, len(second.attempts), len(second.plan)) == (True, "socket", 1, 1)
    assert rsa_server.requests[-1].body == picture.content


# --- effects that the catalogue has no firmware for, but a folder of one's own may ---------------------------------


def _quirk(name: str, **params: object) -> Quirk:
    effect: Effect = build_effect(name, params)
    return Quirk(
        id="mine",
        title="Mine",
        effect=effect,
        confidence=Confidence.REPORTED,
        match=Match(vendor=Vendor.QUECTEL, models=("BG96",), affected=(parse_selector(Vendor.QUECTEL, "*"),)),
        applies=Applies(route="modem-http"),
    )


class Restartable(HttpDriver):
    """A modem that can be restarted."""

    async def restart(self) -> None:
        self.resets.append("restart")


@pytest.mark.parametrize(("what", "done"), [("context", ["down"]), ("modem", ["restart"]), ("power", [])])
async def test_worn_out_after_some_tries(server: Server, what: str, done: list[str]) -> None:
    driver = Restartable()
    engine = UploadEngine(HttpModem(driver), quirks=[_quirk("restart_context", after_opens=2, what=what)])
    for resets in ([], [], done, done, done * 2 if what == "context" else [*done, "down"] if done else []):
        assert (await engine.upload(Destination(url=server.url), Picture(content=b"x"), choices=MODEM_HTTP)).ok
        assert driver.resets == resets
    await engine.aclose()


async def test_error_that_only_a_restart_cures(server: Server) -> None:
    driver = Restartable()
    engine = UploadEngine(HttpModem(driver), quirks=[_quirk("reset_on_error", codes=["706"], what="modem")])
    driver.script = [NetworkError("706", "network busy")]
    result = await engine.upload(Destination(url=server.url), Picture(content=b"x"), choices=MODEM_HTTP)
    assert (result.ok, driver.commands, driver.resets) == (True, ["postfile", "postfile"], ["restart"])
    await engine.aclose()


async def test_restart_does_not_eat_the_time_of_the_try(server: Server) -> None:
    class Slow(Restartable):
        """A modem whose restart takes longer than a try may."""

        @override
        async def restart(self) -> None:
            await super().restart()
            await asyncio.sleep(1.7)

    driver = Slow()
    patience = Patience(base_s=1.5, modem_http_s=0.0, line_factor=0.0)
    quirk = _quirk("reset_on_error", codes=["706"], what="modem")
    engine = UploadEngine(HttpModem(driver), quirks=[quirk], patience=patience)
    driver.script = [NetworkError("706", "network busy")]
    result = await engine.upload(Destination(url=server.url), Picture(content=b"x"), choices=MODEM_HTTP)
    assert (result.ok, driver.resets) == (True, ["restart"]), result.as_dict()
    await engine.aclose()


async def test_port_that_goes_with_the_modem_is_looked_for(server: Server) -> None:
    """On USB a restart takes the port away for some seconds."""

    class UsbModem(HttpModem):
        looks = 0

        @override
        async def ensure_online(self) -> object:
            if driver.resets:
                self.looks += 1
                if self.looks < 3:
                    raise LinkError("port_missing", "The serial port does not exist")
            return await super().ensure_online()

    class UsbDriver(Restartable):
        @override
        async def restart(self) -> None:
            await super().restart()
            raise LinkError("port_lost", "The serial port is gone")

    driver = UsbDriver()
    driver.script = [NetworkError("706", "network busy")]
    modem = UsbModem(driver)
    quirk = _quirk("reset_on_error", codes=["706"], what="modem")
    engine = UploadEngine(modem, quirks=[quirk], patience=Patience(link_pause_s=0.01))
    result = await engine.upload(Destination(url=server.url), Picture(content=b"x"), choices=MODEM_HTTP)
    assert (result.ok, driver.resets, modem.looks) == (True, ["restart"], 3), result.as_dict()
    await engine.aclose()
