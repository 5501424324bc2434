"""Packet data: brought up, refused, and ended by the network."""

import asyncio
from typing import Any

import pytest

from custom_components.cellular_uplink.modem.drivers import china_mobile
from custom_components.cellular_uplink.modem.drivers.base import ApnSettings, IpType
from custom_components.cellular_uplink.modem.drivers.china_mobile import ChinaMobileDriver
from custom_components.cellular_uplink.modem.drivers.quectel import QuectelDriver
from custom_components.cellular_uplink.modem.errors import ModemProtocolError, NetworkError
from custom_components.cellular_uplink.modem.session import SessionSettings

from .conftest import Peer, StartDriver, StartSession, online_sockets, trace_of
from .scripted import Answers

UP = '+QIACT: 1,1,1,"10.0.0.1"|OK'
APN = ApnSettings(apn="a.example", user="web", password="s3cret", ip_type=IpType.IPV4)


async def test_a_context_that_came_up_by_itself_is_no_failure(start_driver: StartDriver) -> None:
    """bg96.md 4: a context that is active already answers ERROR."""
    driver, _ = start_driver(QuectelDriver, {"AT+QIACT?": ["OK", UP], "AT+QIACT=1": "ERROR"})
    await driver.activate_packet_data(None)


@pytest.mark.parametrize(
    ("reason", "code", "words"),
    [
        ("+QIGETERROR: 561,open PDP context failed|OK", "561", "packet data could not be opened"),
        ("+QIGETERROR: 572 operation not allowed|OK", "572", "operation not allowed"),
        ("+QIGETERROR: 999,new|OK", "999", "the modem gave no reason"),
        ("ERROR", "unknown", "the modem gave no reason"),
    ],
)
async def test_a_refused_context_says_why(start_driver: StartDriver, reason: str, code: str, words: str) -> None:
    driver, _ = start_driver(QuectelDriver, {"AT+QIACT?": "OK", "AT+QIGETERROR": reason})
    with pytest.raises(NetworkError) as caught:
        await driver.activate_packet_data(None)
    assert (caught.value.code, caught.value.message) == (code, f"Packet data could not be activated: {words}")


@pytest.mark.parametrize(
    ("family", "answers", "code"),
    [
        (QuectelDriver, {"AT+QIACT?": "OK", "AT+QIGETERROR": "+QIGETERROR: 552,x|OK"}, "552"),
        (
            ChinaMobileDriver,
            {"AT+MIPCALL?": "+MIPCALL: 1,0|OK", 'AT+CGDCONT=1,"IP","a.example"': "+CME ERROR: 50"},
            "50",
        ),
        (
            ChinaMobileDriver,
            {
                "AT+MIPCALL?": "+MIPCALL: 1,0|OK",
                'AT+CGDCONT=1,"IP","a.example"': "OK",
                'AT+CGAUTH=1,2,"web","s3cret"': "+CME ERROR: 4",
            },
            "4",
        ),
    ],
)
async def test_refused_apn_settings_are_a_network_error_without_the_password(
    start_driver: StartDriver, family: Any, answers: Answers, code: str
) -> None:
    driver, _ = start_driver(family, answers)
    with pytest.raises(NetworkError) as caught:
        await driver.activate_packet_data(APN)
    assert (caught.value.code, caught.value.message.startswith("The modem refused the APN settings")) == (code, True)
    assert "s3cret" not in str(caught.value)


@pytest.mark.parametrize(
    ("ip_type", "quectel", "china_mobile"),
    [
        (IpType.IPV4, ['AT+QICSGP=1,1,"a.example","","",0'], 'AT+CGDCONT=1,"IP","a.example"'),
        (IpType.IPV6, ['AT+QICSGP=1,2,"a.example","","",0'], 'AT+CGDCONT=1,"IPV6","a.example"'),
        (
            IpType.IPV4V6,
            ['AT+CGDCONT=1,"IPV4V6","a.example"', 'AT+QICSGP=1,1,"a.example","","",0'],
            'AT+CGDCONT=1,"IPV4V6","a.example"',
        ),
    ],
)
async def test_ip_versions(start_session: StartSession, ip_type: IpType, quectel: list[str], china_mobile: str) -> None:
    apn = ApnSettings(apn="a.example", ip_type=ip_type)
    for modem, lines in (("bg96", quectel), ("ml307r", [china_mobile])):
        session = start_session(modem, apn=apn)
        await session.ensure_online()
        wire = trace_of(session)
        assert [wire.count(line) for line in lines] == [1] * len(lines)


@pytest.mark.parametrize("modem", ["bg96", "ml307r"])
async def test_another_apn_takes_packet_data_down_and_up_again(start_session: StartSession, modem: str) -> None:
    session = start_session(modem, apn=APN)
    await session.ensure_online()
    await session.close()
    other = type(session)(
        SessionSettings(port=session.settings.port, apn=ApnSettings(apn="b.example", ip_type=IpType.IPV4))
    )
    try:
        await other.ensure_online()
    finally:
        await other.close()
    down, up = {"bg96": ("AT+QIDEACT=1", "AT+QIACT=1"), "ml307r": ("AT+MIPCALL=0,1", "AT+MIPCALL=1,1")}[modem]
    wire = trace_of(session)
    assert wire.rindex(down) < wire.rindex("b.example") < wire.rindex(up)


@pytest.mark.parametrize("modem", ["bg96", "ml307r"])
async def test_packet_data_that_the_network_ends_breaks_sockets_and_comes_back(
    start_session: StartSession, peer: Peer, modem: str
) -> None:
    arguments = ("--set", "urc_port=uart1") if modem == "bg96" else ("--set", "autoconn=no")
    session = start_session(modem, *arguments, "--set", "search_s=0.05")
    driver = await online_sockets(session)
    socket = await driver.open_socket("127.0.0.1", peer.port)
    receiving = asyncio.create_task(socket.receive())
    await driver.ask(driver.encoder.set("+CFUN", 4))
    with pytest.raises(NetworkError) as caught:
        await asyncio.wait_for(receiving, 10)
    assert (caught.value.code, caught.value.message) == ("570", "The network ended packet data")
    with pytest.raises(NetworkError):
        await socket.send(b"too late")
    socket.close()
    await driver.ask(driver.encoder.set("+CFUN", 1))
    again = await online_sockets(session)
    assert again is driver
    await (await again.open_socket("127.0.0.1", peer.port)).send(b"back")
    await peer.wait_for(4)


async def test_after_pdpdeact_the_context_is_deactivated_first(start_driver: StartDriver) -> None:
    """bg96.md 4: after the message the host must send QIDEACT; until then QIACT is refused."""
    driver, stream = start_driver(
        QuectelDriver, {"AT+QIACT?": "OK", "AT+QIACT=1": "OK", "AT+QIDEACT=1": ["OK", "ERROR"]}
    )
    await driver.activate_packet_data(None)
    for _ in range(2):  # the second time the modem has deactivated by itself, and refuses
        stream.modem.heard.clear()
        stream.say('+QIURC: "pdpdeact",1')
        await driver.ask(driver.encoder.read("+QIACT"))
        await driver.activate_packet_data(None)
        await driver.activate_packet_data(None)
        assert stream.modem.heard[1:4] == ["AT+QIDEACT=1", "AT+QIACT?", "AT+QIACT=1"]
        assert stream.modem.heard.count("AT+QIDEACT=1") == 1


@pytest.mark.parametrize(
    ("family", "answers", "others", "ours"),
    [
        (
            QuectelDriver,
            {'AT+QIOPEN=1,0,"TCP","h.example",80,0,0': "OK|+QIOPEN: 0,0"},
            '+QIURC: "pdpdeact",3',
            '+QIURC: "pdpdeact"',
        ),
        (
            ChinaMobileDriver,
            {'AT+MIPOPEN=0,"TCP","h.example",80,60,0': "OK|+MIPOPEN: 0,0"},
            '+MIPCALL: 8,0|+MIPCALL: 1,1,"10.0.0.1"',
            "+MIPCALL:1,0",
        ),
    ],
)
async def test_only_our_own_context_breaks_our_sockets(
    start_driver: StartDriver, family: Any, answers: Answers, others: str, ours: str
) -> None:
    """ml307r.md 3: context 8 is the operator's own, for calls."""
    driver, stream = start_driver(family, {**answers, "AT": "OK"})
    socket = await driver.open_socket("h.example", 80)
    stream.say(others)
    await driver.ask(driver.encoder.run())
    assert not socket.readable
    stream.say(ours)
    with pytest.raises(NetworkError):
        await asyncio.wait_for(socket.receive(), 5)


async def test_an_address_that_never_comes_is_given_up(
    start_driver: StartDriver, monkeypatch: pytest.MonkeyPatch
) -> None:
    """MIPCALL answers OK at once; whether there is an address shows later."""
    monkeypatch.setattr(china_mobile, "ACTIVATE_TIMEOUT_S", 0.1)
    answers = {"AT+MIPCALL?": "+MIPCALL: 1,0|OK", "AT+MIPCALL=1,1": "OK"}
    driver, _ = start_driver(ChinaMobileDriver, answers)
    with pytest.raises(NetworkError) as caught:
        await driver.activate_packet_data(None)
    assert caught.value.code == "571"
    assert caught.value.message.startswith("No address from the network")


async def test_an_address_may_come_later_and_another_context_does_not_count(start_driver: StartDriver) -> None:
    answers: Answers = {
        "AT+MIPCALL?": [
            "OK",
            '+MIPCALL: 8,1,"10.0.0.8"|OK',
            "+MIPCALL:1,0|OK",
            '+MIPCALL: 8,1,"10.0.0.8"|+MIPCALL: 1,1,"10.0.0.1"|OK',
        ],
        "AT+MIPCALL=1,1": "+CME ERROR: 50",
    }
    driver, stream = start_driver(ChinaMobileDriver, answers)
    await driver.activate_packet_data(None)
    assert stream.modem.heard.count("AT+MIPCALL?") == 4


async def test_a_refused_dial_in_says_why(start_driver: StartDriver) -> None:
    answers = {"AT+MIPCALL?": "+MIPCALL: 1,0|OK", "AT+MIPCALL=1,1": "+CME ERROR: 30"}
    driver, _ = start_driver(ChinaMobileDriver, answers)
    with pytest.raises(NetworkError) as caught:
        await driver.activate_packet_data(None)
    assert (caught.value.code, "no network service" in caught.value.message) == ("30", True)


@pytest.mark.parametrize("stored", ["ERROR", "OK", '+CGDCONT: 8,"IP","ims"|OK', "+CGDCONT: 1|OK"])
async def test_settings_the_modem_cannot_tell_are_written(start_driver: StartDriver, stored: str) -> None:
    answers: Answers = {
        "AT+MIPCALL?": ["+MIPCALL: 1,0|OK", '+MIPCALL: 1,1,"10.0.0.1"|OK'],
        "AT+CGDCONT?": stored,
        'AT+CGDCONT=1,"IP","a.example"': "OK",
        "AT+MIPCALL=1,1": "OK",
    }
    driver, stream = start_driver(ChinaMobileDriver, answers)
    await driver.activate_packet_data(ApnSettings(apn="a.example", ip_type=IpType.IPV4))
    assert 'AT+CGDCONT=1,"IP","a.example"' in stream.modem.heard


@pytest.mark.parametrize("stored", ["ERROR", "OK", "+QICSGP: 1|OK"])
async def test_settings_a_quectel_cannot_tell_are_written(start_driver: StartDriver, stored: str) -> None:
    line = 'AT+QICSGP=1,1,"a.example","","",0'
    driver, stream = start_driver(
        QuectelDriver, {"AT+QIACT?": "OK", "AT+QICSGP=1": stored, line: "OK", "AT+QIACT=1": "OK"}
    )
    await driver.activate_packet_data(ApnSettings(apn="a.example", ip_type=IpType.IPV4))
    assert line in stream.modem.heard


async def test_an_answer_that_makes_no_sense_is_a_protocol_error(start_driver: StartDriver) -> None:
    driver, _ = start_driver(QuectelDriver, {"AT+QISTATE": "+QISTATE: x|OK"})
    with pytest.raises(ModemProtocolError) as caught:
        await driver.release_sockets()
    assert caught.value.code == "unexpected_reply"
