"""A session with devices that are no modem, modems that are slow or odd, and networks that do not come."""

import asyncio
from collections.abc import Callable
from typing import Any, override

import pytest

from custom_components.cellular_uplink.modem import session as session_module
from custom_components.cellular_uplink.modem.drivers import generic
from custom_components.cellular_uplink.modem.errors import (
    CommandError,
    LinkError,
    ModemError,
    ModemProtocolError,
    NetworkError,
    SimError,
)
from custom_components.cellular_uplink.modem.session import ModemSession, VolatilePinMemory

from .conftest import StartPort, StartSession, trace_of
from .scripted import BG96, Answers, ScriptedPort

OpenSession = Callable[..., ModemSession]
ICCID = "8934071400006151466"
LOCKED: Answers = {**BG96, "AT+CPIN?": "+CPIN: SIM PIN|OK"}
UNLOCKING: Answers = {
    **BG96,
    "AT+CPIN?": ["+CPIN: SIM PIN|OK", "+CPIN: SIM PIN|OK", "+CME ERROR: 14", "+CPIN: READY|OK"],
}


class Silent(ScriptedPort):
    """A device that listens and never speaks."""

    @override
    def hear(self, data: bytes) -> bytes:
        return b""


class Echo(ScriptedPort):
    """A bridged plug: what is sent comes back."""

    @override
    def hear(self, data: bytes) -> bytes:
        return data


class Chatter(ScriptedPort):
    """Some other instrument, which answers everything in its own way."""

    @override
    def hear(self, data: bytes) -> bytes:
        return b"?SYNTAX ERROR\r\nREADY.\r\n\xff\x00\x80"


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """What only has to expire, expires at once."""
    monkeypatch.setattr(session_module, "ANSWER_S", (0.02, 0.05))
    monkeypatch.setattr(session_module, "BAUD_RATES", (115200, 9600))
    monkeypatch.setattr(session_module, "SIM_READY_S", 0.1)
    monkeypatch.setattr(session_module, "REGISTRATION_S", 0.1)


async def failure[E: ModemError](kind: type[E], session: ModemSession) -> E:
    with pytest.raises(kind) as caught:
        await session.open()
    assert not session.is_open
    return caught.value


# -- what is behind the port --------------------------------------------------------------------------------------


@pytest.mark.parametrize("baud", [None, 115200])
@pytest.mark.parametrize(("device", "code"), [(Silent, "no_answer"), (Echo, "not_a_modem"), (Chatter, "not_a_modem")])
@pytest.mark.usefixtures("impatient")
async def test_a_device_that_is_no_modem(
    start_port: StartPort, open_session: OpenSession, device: type[ScriptedPort], code: str, baud: int | None
) -> None:
    assert (await failure(LinkError, open_session(start_port({}, device).path, baud=baud))).code == code


async def test_something_that_says_ok_to_everything_is_no_modem(
    start_port: StartPort, open_session: OpenSession
) -> None:
    port = start_port({})
    port.modem.answers = AlwaysOk()
    assert (await failure(LinkError, open_session(port.path))).code == "not_a_modem"


class AlwaysOk(dict[str, list[str]]):
    """Every question there is."""

    @override
    def get(self, question: str, *_: Any) -> Any:
        return ["+CSQ: 20,99|OK"] if question == "AT+CSQ" else ["OK"]


async def test_something_that_refuses_everything_but_at(
    start_port: StartPort, open_session: OpenSession, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(generic, "START_UP_S", 0.0)
    error = await failure(ModemProtocolError, open_session(start_port({"AT": "OK", "AT+CSQ": "+CSQ: 20,99|OK"}).path))
    assert isinstance(error, CommandError)
    assert error.command == "ATE0"


async def test_an_unplugged_port_during_bring_up(start_port: StartPort, open_session: OpenSession) -> None:
    told: list[LinkError] = []
    port = start_port({**BG96, "AT+CGMM": ""})
    session = open_session(port.path, on_lost=told.append)
    opening = asyncio.create_task(session.open())
    while "AT+CGMM" not in port.modem.heard:
        await asyncio.sleep(0)
    port.unplug()
    with pytest.raises(LinkError) as caught:
        await asyncio.wait_for(opening, 5)
    assert caught.value.code == "port_lost"
    assert told == [], "who opens is told by the error"


async def test_before_the_first_open_and_after_close(start_port: StartPort, open_session: OpenSession) -> None:
    told: list[LinkError] = []
    port = start_port(BG96)
    session = open_session(port.path, on_lost=told.append)
    for ask in (lambda: session.identity, lambda: session.driver):
        with pytest.raises(LinkError) as caught:
            ask()
        assert caught.value.code == "port_closed"
    assert session.baud is None
    identity = await session.open()
    assert await session.open() is identity
    await session.close()
    assert session.identity is identity
    with pytest.raises(LinkError) as caught:
        await session.open()
    assert caught.value.code == "port_closed"
    assert told == [], "closing is no loss"


async def test_callers_at_once_open_once(start_port: StartPort, open_session: OpenSession) -> None:
    port = start_port(BG96)
    session = open_session(port.path)
    await asyncio.gather(*(session.open() for _ in range(5)))
    assert port.modem.heard.count("ATE0") == 1


async def test_a_restart_may_bring_another_firmware(start_port: StartPort, open_session: OpenSession) -> None:
    port = start_port({**BG96, "AT+CGMR": ["BG96MAR02A07M1G|OK", "BG96MAR04A02M1G|OK"]})
    session = open_session(port.path)
    assert (await session.open()).firmware == "BG96MAR02A07M1G"
    restarted = asyncio.Event()
    session.subscribe(restarted.set)
    port.say(b"\r\nRDY\r\n")
    await asyncio.wait_for(restarted.wait(), 5)
    await session.read_status()
    assert session.identity.firmware == "BG96MAR04A02M1G"


async def test_a_subscriber_hears_restarts_until_it_leaves(start_port: StartPort, open_session: OpenSession) -> None:
    port = start_port(BG96)
    session = open_session(port.path)
    heard = asyncio.Event()
    unsubscribe = session.subscribe(heard.set)
    await session.open()
    port.say(b"\r\nRDY\r\n")
    await asyncio.wait_for(heard.wait(), 5)
    heard.clear()
    unsubscribe()
    port.say(b"\r\nAPP RDY\r\n")
    await session.read_status()
    assert not heard.is_set()


async def test_a_modem_that_still_starts_is_asked_again(start_port: StartPort, open_session: OpenSession) -> None:
    """bg96.md 6.4: between RDY and APP RDY commands may be refused; some firmware has no APP RDY."""
    port = start_port({**BG96, "ATE0": ["OK", "ERROR", "OK"]})
    session = open_session(port.path)
    told = asyncio.Event()
    session.subscribe(told.set)
    await session.open()
    port.say(b"\r\nRDY\r\n")
    await asyncio.wait_for(told.wait(), 5)
    await session.open()
    assert port.modem.heard.count("ATE0") == 3
    assert not session.driver.needs_prepare


# -- SIM ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "answers",
    [
        ["+CME ERROR: 14", "+CME ERROR: SIM busy", "+CPIN: READY|OK"],
        ["OK"],
        ["+CPIN: SIM PIN2|OK"],
        ["ERROR"],
    ],
    ids=["busy, then ready", "says nothing", "second PIN", "cannot be asked"],
)
async def test_a_sim_that_is_usable_sooner_or_later(
    start_port: StartPort, open_session: OpenSession, answers: list[str]
) -> None:
    assert (await open_session(start_port({**BG96, "AT+CPIN?": answers}).path).open()).iccid == ICCID


@pytest.mark.parametrize(
    ("answer", "code"),
    [
        ("+CME ERROR: 10", "sim_missing"),
        ("+CME ERROR: 13", "sim_failure"),
        ("+CME ERROR: 15", "sim_failure"),
        ("+CME ERROR: SIM failure", "sim_failure"),
        ("+CME ERROR: 12", "puk_required"),
        ("+CPIN: PH-NET PUK|OK", "sim_failure"),
        ("+CME ERROR: 14", "sim_busy"),
    ],
)
@pytest.mark.usefixtures("impatient")
async def test_a_sim_that_is_not(start_port: StartPort, open_session: OpenSession, answer: str, code: str) -> None:
    assert (await failure(SimError, open_session(start_port({**BG96, "AT+CPIN?": answer}).path))).code == code


async def test_after_its_pin_a_sim_may_take_a_while(start_port: StartPort, open_session: OpenSession) -> None:
    port = start_port({**UNLOCKING, 'AT+CPIN="4711"': "OK"})
    memory = VolatilePinMemory()
    await open_session(port.path, pin="4711", pin_memory=memory).open()
    assert port.modem.heard.count('AT+CPIN="4711"') == 1
    assert not memory.was_entered(ICCID, "4711")


@pytest.mark.usefixtures("impatient")
async def test_a_sim_that_stays_locked_after_its_pin(start_port: StartPort, open_session: OpenSession) -> None:
    port = start_port({**LOCKED, 'AT+CPIN="4711"': "OK", 'AT+QPINC="SC"': '+QPINC: "SC",3,10|OK'})
    assert (await failure(SimError, open_session(port.path, pin="4711"))).code == "sim_busy"
    assert port.modem.heard.count('AT+CPIN="4711"') == 1


@pytest.mark.parametrize(
    ("refusal", "code", "is_refused"),
    [
        ("+CME ERROR: 16", "pin_wrong", True),
        ("ERROR", "pin_wrong", True),
        ("+CME ERROR: 12", "puk_required", True),
        ("+CME ERROR: SIM PUK required", "puk_required", True),
        ("+CME ERROR: 14", "sim_busy", False),
        ("+CME ERROR: 13", "sim_failure", False),
        ("+CME ERROR: 10", "sim_missing", False),
    ],
)
async def test_only_a_pin_that_was_checked_counts_as_refused(
    start_port: StartPort, open_session: OpenSession, refusal: str, code: str, *, is_refused: bool
) -> None:
    """The right PIN of a busy SIM must not be locked out for ever."""
    port = start_port({**LOCKED, 'AT+QPINC="SC"': '+QPINC: "SC",3,10|OK', 'AT+CPIN="4711"': refusal})
    memory = VolatilePinMemory()
    session = open_session(port.path, pin="4711", pin_memory=memory)
    assert (await failure(SimError, session)).code == code
    assert memory.was_refused(ICCID, "4711") is is_refused
    assert (await failure(SimError, session)).code == ("pin_refused" if is_refused else code)


@pytest.mark.parametrize(
    ("counter", "tries"),
    [
        ({'AT+QPINC="SC"': '+QPINC: "SC",2,10|OK'}, 2),
        ({'AT+QPINC="SC"': '+QPINC: "SC"|OK'}, None),
        ({'AT+QPINC="SC"': "OK", 'AT+CPINR="SIM PIN"': "+CPINR: SIM PIN,3,3|OK"}, 3),
        ({'AT+CPINR="SIM PIN"': "+CPINR: SIM PUK,10,10|+CPINR: SIM PIN|OK"}, None),
        ({}, None),
    ],
)
async def test_tries_left_are_told_where_the_modem_counts(
    start_port: StartPort, open_session: OpenSession, counter: Answers, tries: int | None
) -> None:
    error = await failure(SimError, open_session(start_port({**LOCKED, **counter}).path))
    assert (error.code, error.tries_left) == ("pin_required", tries)


# -- registration -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("modem", ["bg96", "ml307r"])
async def test_a_search_that_ends_well_is_waited_for(start_session: StartSession, modem: str) -> None:
    """The BG96's registration messages go to another port here, so it is asked; the ML307R tells."""
    session = start_session(modem, "--set", "search_s=0.2")
    await session.open()
    driver: Any = session.driver
    await driver.ask(driver.encoder.set("+COPS", 2))
    await driver.ask(driver.encoder.set("+COPS", 0), timeout_s=30)
    assert not (await session.read_status()).registration.is_registered
    await asyncio.wait_for(session.ensure_online(), 20)
    assert (await session.read_status()).registration.is_registered


@pytest.mark.parametrize(
    ("state", "words"), [("2", "still searching"), ("0", "not even searching"), ("4", "its state is unknown")]
)
@pytest.mark.usefixtures("impatient")
async def test_a_network_that_does_not_come(
    start_port: StartPort, open_session: OpenSession, state: str, words: str
) -> None:
    session = open_session(start_port({**BG96, "AT+CEREG?": f"+CEREG: 2,{state}|OK"}).path)
    with pytest.raises(NetworkError) as caught:
        await session.ensure_online()
    assert (caught.value.code, words in caught.value.message) == ("not_registered", True)
    assert session.is_open, "the modem itself is fine"


async def test_a_modem_without_packet_data_still_comes_online(start_port: StartPort, open_session: OpenSession) -> None:
    answers = {**BG96, "AT+CGMI": "SIMCOM|OK", "AT+CGMM": "SIM7600|OK", "AT+CGMR": "LE20|OK"}
    session = open_session(start_port(answers).path)
    assert (await session.ensure_online()).family == "generic"


# -- operator -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("modem", ["bg96", "ml307r"])
async def test_an_operator_that_cannot_be_had(start_session: StartSession, modem: str) -> None:
    session = start_session(modem, operator="99999")
    error = await failure(NetworkError, session)
    assert (error.code, "99999" in error.message) == ("operator_refused", True)
    assert trace_of(session).rindex("AT+COPS=3,0") > trace_of(session).rindex('AT+COPS=1,2,"99999"')


@pytest.mark.parametrize(
    ("operator", "current", "asked"),
    [
        (None, "ERROR", None),
        (None, '+COPS: 1,2,"26202",8|OK', "AT+COPS=0"),
        (None, "OK", "AT+COPS=0"),
        ("26201", '+COPS: 1,2,"26201",8|OK', None),
        ("26201", "+COPS: 1|OK", 'AT+COPS=1,2,"26201"'),
        ("26201", "ERROR", 'AT+COPS=1,2,"26201"'),
    ],
)
async def test_an_operator_is_chosen_only_where_it_is_another(
    start_port: StartPort, open_session: OpenSession, operator: str | None, current: str, asked: str | None
) -> None:
    choices = ("AT+COPS=0", 'AT+COPS=1,2,"26201"')
    port = start_port({**BG96, "AT+COPS?": current, **dict.fromkeys(choices, "OK")})
    await open_session(port.path, operator=operator).open()
    assert [line for line in port.modem.heard if line in choices] == ([asked] if asked else [])


async def test_automatic_that_is_refused_is_said(start_port: StartPort, open_session: OpenSession) -> None:
    error = await failure(NetworkError, open_session(start_port({**BG96, "AT+COPS?": "+COPS: 2|OK"}).path))
    assert (error.code, "automatically" in error.message) == ("operator_refused", True)
