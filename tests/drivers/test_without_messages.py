"""Modems whose messages go to another port, or never come: asking serves instead."""

import asyncio
from typing import Any

import pytest

from custom_components.cellular_uplink.modem.at.encoding import Text
from custom_components.cellular_uplink.modem.drivers import china_mobile, quectel
from custom_components.cellular_uplink.modem.drivers.base import HttpSteps, MhttpUrl
from custom_components.cellular_uplink.modem.drivers.china_mobile import ChinaMobileDriver
from custom_components.cellular_uplink.modem.drivers.quectel import QuectelDriver
from custom_components.cellular_uplink.modem.errors import HttpError, LinkError, ModemError, NetworkError, SocketError

from .conftest import Peer, StartDriver, StartSession, online_sockets
from .scripted import Answers

QIOPEN = 'AT+QIOPEN=1,0,"TCP","h.example",80,0,0'
MIPOPEN = 'AT+MIPOPEN=0,"TCP","h.example",80,60,0'


def qistate(state: int) -> str:
    return f'+QISTATE: 0,"TCP","192.0.2.1",80,5000,{state},1,0,0,"usbat"|OK'


def mipstate(state: str) -> str:
    return f'+MIPSTATE: 0,"TCP","192.0.2.1",80,"{state}"|OK'


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever waits for a message asks soon."""
    monkeypatch.setattr(quectel, "FIRST_POLL_S", 0.01)
    for module in (quectel, china_mobile):
        monkeypatch.setattr(module, "POLL_S", 0.02)


FAMILIES = pytest.mark.parametrize(
    ("family", "answers"),
    [
        (QuectelDriver, {QIOPEN: "OK", "AT+QISTATE=1,0": [qistate(1), qistate(1), qistate(2)], "AT+QICLOSE=0,1": "OK"}),
        (ChinaMobileDriver, {MIPOPEN: "OK", "AT+MIPSTATE=0": ["ERROR", mipstate("CONNECTING"), mipstate("CONNECTED")]}),
    ],
    ids=["quectel", "china_mobile"],
)
NEVER = pytest.mark.parametrize(
    ("family", "answers", "closing"),
    [
        (QuectelDriver, {QIOPEN: "OK", "AT+QISTATE=1,0": qistate(1), "AT+QICLOSE=0,1": "OK"}, "AT+QICLOSE=0,1"),
        (ChinaMobileDriver, {MIPOPEN: "OK", "AT+MIPSTATE=0": "+MIPSTATE: 0|OK"}, "AT+MIPCLOSE=0"),
    ],
    ids=["quectel", "china_mobile"],
)


@FAMILIES
async def test_an_open_without_a_message_is_found_by_asking(
    start_driver: StartDriver, family: Any, answers: Answers
) -> None:
    driver, _ = start_driver(family, answers)
    socket = await asyncio.wait_for(driver.open_socket("h.example", 80), 10)
    assert not socket.readable


@NEVER
async def test_an_open_without_an_end_is_given_up_and_closed(
    start_driver: StartDriver, monkeypatch: pytest.MonkeyPatch, family: Any, answers: Answers, closing: str
) -> None:
    monkeypatch.setattr(quectel, "OPEN_TIMEOUT_S", 0.05)
    monkeypatch.setattr(china_mobile, "OPEN_TIMEOUT_S", 0)
    answers = {command.replace(",60,0", ",0,0"): reply for command, reply in answers.items()}
    driver, stream = start_driver(family, answers)
    with pytest.raises(SocketError) as caught:
        await driver.open_socket("h.example", 80)
    assert caught.value.code == "timeout"
    assert caught.value.message.startswith("h.example could not be reached within")
    await asyncio.wait_for(stream.heard(closing), 5)


@NEVER
@pytest.mark.parametrize("event", ["restart", "unplug"])
async def test_an_open_under_way_fails_at_once_when_the_modem_goes(
    start_driver: StartDriver,
    monkeypatch: pytest.MonkeyPatch,
    family: Any,
    answers: Answers,
    closing: str,
    event: str,
) -> None:
    for module in (quectel, china_mobile):
        monkeypatch.setattr(module, "POLL_S", 1000.0)
    monkeypatch.setattr(quectel, "FIRST_POLL_S", 1000.0)
    driver, stream = start_driver(family, answers)
    opening = asyncio.create_task(driver.open_socket("h.example", 80))
    await stream.heard(next(iter(answers)))
    await driver.channel.drain(5)
    if event == "unplug":
        stream.unplug()
    else:
        stream.say("RDY" if family is QuectelDriver else "+MATREADY")
    with pytest.raises(LinkError) as caught:
        await asyncio.wait_for(opening, 5)
    assert caught.value.code == {"restart": "modem_restarted", "unplug": "port_lost"}[event]
    assert closing not in stream.modem.heard


async def test_a_refusal_without_a_message_is_found_by_asking(
    start_session: StartSession, socket_enabled: None, unused_tcp_port: int
) -> None:
    """bg96.md 6.3: by default messages go to the USB port, so a host on the UART never hears the result."""
    driver = await online_sockets(start_session("bg96", "--set", "urc_port=usbmodem", "--set", "result_urcs=urcport"))
    with pytest.raises(SocketError) as caught:
        await asyncio.wait_for(driver.open_socket("127.0.0.1", unused_tcp_port), 20)
    assert caught.value.code == "566"


async def test_data_and_the_peers_close_are_found_by_asking(start_session: StartSession, peer: Peer) -> None:
    """Somebody else on the modem's USB port took the messages over after our socket was opened."""
    driver = await online_sockets(start_session("bg96"))
    socket = await driver.open_socket("127.0.0.1", peer.port)
    await driver.ask(driver.encoder.set("+QURCCFG", Text("urc_port", "urcport"), Text("urc_port", "usbat")))
    await socket.send(b"hello")
    await peer.wait_for(5)
    assert peer.writer is not None
    peer.writer.write(b"unheard")
    assert await asyncio.wait_for(socket.receive(), 20) == b"unheard"
    peer.writer.close()
    assert await asyncio.wait_for(socket.receive(), 20) == b""
    assert socket.readable


@pytest.mark.parametrize(
    ("family", "answers", "error", "code"),
    [
        (QuectelDriver, {QIOPEN: "ERROR", "AT+QIGETERROR": "+QIGETERROR: 563,in use|OK"}, SocketError, "563"),
        (QuectelDriver, {QIOPEN: "ERROR", "AT+QIGETERROR": "+QIGETERROR: 561 open PDP failed|OK"}, NetworkError, "561"),
        (QuectelDriver, {QIOPEN: "ERROR", "AT+QIGETERROR": "+QIGETERROR: operate failed|OK"}, SocketError, "unknown"),
        (QuectelDriver, {QIOPEN: "ERROR", "AT+QIGETERROR": "OK"}, SocketError, "unknown"),
        (QuectelDriver, {QIOPEN: "ERROR"}, SocketError, "unknown"),
        (QuectelDriver, {QIOPEN: "OK|+QIOPEN: 0,561"}, NetworkError, "561"),
        (QuectelDriver, {QIOPEN: "OK|+QIOPEN: 0|+QIOPEN: 5,0|+QIOPEN: 0,569"}, SocketError, "569"),
        (ChinaMobileDriver, {MIPOPEN: "+CME ERROR: 552"}, SocketError, "552"),
        (ChinaMobileDriver, {MIPOPEN: "+CME ERROR: 570"}, NetworkError, "570"),
        (ChinaMobileDriver, {MIPOPEN: "OK|+MIPOPEN: 3,0|+MIPOPEN: 0,571"}, NetworkError, "571"),
        (ChinaMobileDriver, {MIPOPEN: "OK|+MIPOPEN: 0,753"}, SocketError, "753"),
    ],
)
async def test_an_open_that_fails_says_why(
    start_driver: StartDriver, family: Any, answers: Answers, error: type[ModemError], code: str
) -> None:
    """The same number means different things in different families; one we do not know is shown all the same."""
    driver, _ = start_driver(family, answers)
    with pytest.raises(error) as caught:
        await asyncio.wait_for(driver.open_socket("h.example", 80), 10)
    assert caught.value.code == code
    assert "h.example" in caught.value.message
    words = {"561": "packet data", "563": "in use", "569": "time-out", "552": "in use", "570": "not active"}
    assert words.get(code, "") in caught.value.message


# --- messages that came garbled --------------------------------------------------------------------------------------


async def test_a_garbled_name_of_a_port_is_not_set(start_driver: StartDriver) -> None:
    row = '+QISTATE: 0,"TCP","192.0.2.1",80,5000,2,1,0,0,usbat"|OK'
    answers = {QIOPEN: "OK", "AT+QISTATE=1,0": row, 'AT+QURCCFG="urcport"': '+QURCCFG: "urcport","uart1"|OK'}
    driver, stream = start_driver(QuectelDriver, answers)
    await asyncio.wait_for(driver.open_socket("h.example", 80), 10)
    assert not any(line.startswith('AT+QURCCFG="urcport",') for line in stream.modem.heard)


async def test_an_answer_without_its_head_is_no_answer(start_driver: StartDriver) -> None:
    request = 'AT+MHTTPREQUEST=0,2,0,"/in"'
    answers: Answers = {
        'AT+MHTTPCREATE="http://h.example"': "+MHTTPCREATE: 0|OK",
        **{
            f'AT+MHTTPCFG="{key}",0,{values}': "OK"
            for key, values in {
                "cached": "0", "encoding": "0,0", "chunked": "0", "timeout": "60,60,30", "ssl": "0",
            }.items()
        },
        "AT+MHTTPCONTENT=0,0,4": ">|OK",
        request: 'OK|+MHTTPURC: "content",0,2,2,2,ok',
    }  # fmt: skip
    driver, stream = start_driver(ChinaMobileDriver, answers)
    url = MhttpUrl(origin="http://h.example", path="/in", host="h.example")
    with pytest.raises(HttpError) as caught:
        await asyncio.wait_for(driver.mhttp_send("POST", url, (), b"body", tls=None, steps=HttpSteps()), 10)
    assert caught.value.code == "response_invalid", stream.modem.heard
