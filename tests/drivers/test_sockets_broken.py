"""Sockets whose modem refuses, restarts or says odd things."""

import asyncio
from typing import Any

import pytest

from custom_components.cellular_uplink.modem.at import channel as channel_module
from custom_components.cellular_uplink.modem.drivers import china_mobile, quectel
from custom_components.cellular_uplink.modem.drivers.china_mobile import ChinaMobileDriver
from custom_components.cellular_uplink.modem.drivers.quectel import QuectelDriver
from custom_components.cellular_uplink.modem.errors import (
    LinkError,
    ModemError,
    ModemProtocolError,
    NetworkError,
    SocketError,
)
from custom_components.cellular_uplink.modem.session import ModemSession

from .conftest import Peer, StartDriver, StartSession, online_sockets, trace_of
from .scripted import Answers

QUECTEL: Answers = {'AT+QIOPEN=1,0,"TCP","h.example",80,0,0': "OK|+QIOPEN: 0,0", "AT+QICLOSE=0,1": "OK", "AT": "OK"}
CHINA_MOBILE: Answers = {
    'AT+MIPOPEN=0,"TCP","h.example",80,60,0': "OK|+MIPOPEN: 0,0",
    "AT+MIPCLOSE=0": "OK",
    "AT": "OK",
}


@pytest.mark.parametrize(
    ("family", "answers", "code", "words"),
    [
        (QuectelDriver, {"AT+QIGETERROR": "+QIGETERROR: 558,x|OK"}, "558", "Sending failed: writing failed"),
        (QuectelDriver, {}, "unknown", "Sending failed: the modem gave no reason"),
        (QuectelDriver, {"AT+QISEND=0,5": '+QIURC: "closed",0|ERROR'}, "closed", "The server closed the connection"),
        (QuectelDriver, {"AT+QISEND=0,5": '+QIURC: "pdpdeact",1|ERROR'}, "570", "The network ended packet data"),
        (ChinaMobileDriver, {"AT+MIPSEND=0,5": "+CME ERROR: 553"}, "553", "Sending failed: not connected"),
        (ChinaMobileDriver, {"AT+MIPSEND=0,5": ">|+CME ERROR: 560"}, "560", "Sending failed: writing failed"),
        (
            ChinaMobileDriver,
            {"AT+MIPSEND=0,5": '+MIPURC: "disconn",0,1|+CME ERROR: 553'},
            "closed",
            "The server closed the connection",
        ),
        (
            ChinaMobileDriver,
            {"AT+MIPSEND=0,5": '+MIPURC: "disconn",0,2|+CME ERROR: 553'},
            "closed",
            "The connection broke",
        ),
    ],
)
async def test_a_refused_chunk_says_why(
    start_driver: StartDriver, family: Any, answers: Answers, code: str, words: str
) -> None:
    driver, _ = start_driver(family, {**(QUECTEL if family is QuectelDriver else CHINA_MOBILE), **answers})
    socket = await driver.open_socket("h.example", 80)
    with pytest.raises(ModemError) as caught:
        await socket.send(b"hello")
    assert (caught.value.code, caught.value.message) == (code, words)
    assert driver.traffic.sent_bytes == 0


@pytest.mark.parametrize(
    ("answers", "code"),
    [
        ({"AT+QIRD=0,1500": "ERROR", "AT+QIGETERROR": "+QIGETERROR: 559,x|OK"}, "559"),
        ({"AT+QIRD=0,1500": '+QIURC: "pdpdeact",1|ERROR'}, "570"),
    ],
)
async def test_a_refused_read_says_why(start_driver: StartDriver, answers: Answers, code: str) -> None:
    driver, stream = start_driver(QuectelDriver, {**QUECTEL, **answers})
    socket = await driver.open_socket("h.example", 80)
    stream.say('+QIURC: "recv",0')
    with pytest.raises(ModemError) as caught:
        await asyncio.wait_for(socket.receive(), 5)
    assert caught.value.code == code


async def test_a_refused_read_of_a_closed_connection_is_its_end(start_driver: StartDriver) -> None:
    driver, stream = start_driver(QuectelDriver, QUECTEL)
    socket = await driver.open_socket("h.example", 80)
    stream.say('+QIURC: "closed",0')
    assert await asyncio.wait_for(socket.receive(), 5) == b""


async def test_an_announcement_without_data_waits_on(start_driver: StartDriver) -> None:
    answers = {**QUECTEL, "AT+QIRD=0,1500": ["+QIRD: 0|OK", "+QIRD: 5\r\nhello|OK"]}
    driver, stream = start_driver(QuectelDriver, answers)
    socket = await driver.open_socket("h.example", 80)
    receiving = asyncio.create_task(socket.receive())
    stream.say('+QIURC: "recv",0')
    await stream.heard("AT+QIRD=0,1500")
    stream.say('+QIURC: "recv",0')
    assert await asyncio.wait_for(receiving, 5) == b"hello"


async def test_data_pushed_with_its_length_is_taken_too(start_driver: StartDriver) -> None:
    """bg96.md 4: `"recv",<id>,<n>` CR LF data, where another owner's settings or older firmware push."""
    driver, stream = start_driver(QuectelDriver, QUECTEL)
    socket = await driver.open_socket("h.example", 80)
    stream.say('+QIURC: "recv",0,9\r\n\r\nOK\r\n+QI', '+QIURC: "recv",7,2\r\nno', '+QIURC: "recv",0,3\r\nend')
    stream.say('+QIURC: "closed",0')
    got = b""
    while data := await asyncio.wait_for(socket.receive(), 5):
        got += data
    assert got == b"\r\nOK\r\n+QIend"
    assert driver.traffic.received_bytes == 12


@pytest.mark.parametrize(
    ("family", "lines"),
    [
        (QuectelDriver, ['+QIURC: "recv"', '+QIURC: "closed"', '+QIURC: "closed",9', "+QIOPEN: 0", "+QIOPEN: 9,0"]),
        (
            ChinaMobileDriver,
            ['+MIPURC: "disconn"', '+MIPURC: "disconn",9,1', '+MIPURC: "rtcp",4,2,no', "+MIPOPEN: 9,0", "+MIPCALL: 1"],
        ),
    ],
)
async def test_messages_about_nothing_we_know_change_nothing(
    start_driver: StartDriver, family: Any, lines: list[str]
) -> None:
    driver, stream = start_driver(family, QUECTEL if family is QuectelDriver else CHINA_MOBILE)
    socket = await driver.open_socket("h.example", 80)
    stream.say(*lines)
    await driver.ask(driver.encoder.run())
    assert not socket.readable


@pytest.mark.parametrize(
    ("line", "error", "code"),
    [
        ('+MIPURC: "disconn",0,2', SocketError, "closed"),
        ('+MIPURC: "disconn",0', SocketError, "closed"),
        ('+MIPURC: "disconn",0,3', NetworkError, "570"),
    ],
)
async def test_a_connection_that_breaks_says_how(
    start_driver: StartDriver, line: str, error: type[ModemError], code: str
) -> None:
    driver, stream = start_driver(ChinaMobileDriver, CHINA_MOBILE)
    socket = await driver.open_socket("h.example", 80)
    stream.say('+MIPURC: "rtcp",0,4,rest', line)
    await driver.ask(driver.encoder.run())
    assert await socket.receive() == b"rest"
    with pytest.raises(error) as caught:
        await socket.receive()
    assert caught.value.code == code


async def test_a_server_that_floods_is_cut_off(
    start_session: StartSession, peer: Peer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Push mode has no brake, and memory is finite."""
    monkeypatch.setattr(china_mobile, "MAX_UNREAD_BYTES", 50_000)
    driver = await online_sockets(start_session("ml307r"))
    socket = await driver.open_socket("127.0.0.1", peer.port)
    await peer.connected.wait()
    assert peer.writer is not None
    peer.writer.write(bytes(60_000))
    while driver.traffic.received_bytes <= 50_000:
        await driver.ask(driver.encoder.run())
    with pytest.raises(SocketError) as caught:
        await asyncio.wait_for(socket.receive(), 5)
    assert caught.value.code == "flooded"


@pytest.mark.parametrize(
    ("family", "closing"), [(QuectelDriver, "AT+QICLOSE=0,1"), (ChinaMobileDriver, "AT+MIPCLOSE=0")]
)
async def test_an_id_the_modem_did_not_give_back_is_not_used_again(
    start_driver: StartDriver, monkeypatch: pytest.MonkeyPatch, family: Any, closing: str
) -> None:
    monkeypatch.setattr(channel_module, "QUIET_S", 0.01)
    for module in (quectel, china_mobile):
        monkeypatch.setattr(module, "CLOSE_TIMEOUT_S", 0.01)
    answers = {**(QUECTEL if family is QuectelDriver else CHINA_MOBILE), closing: "", "AT+CSQ": "+CSQ: 9,99|OK"}
    driver, _ = start_driver(family, answers)
    (await driver.open_socket("h.example", 80)).close()
    await driver.ask(driver.encoder.run())
    for _ in range(driver.socket_limits.count - 1):
        with pytest.raises(SocketError, match="No connection to"):
            await driver.open_socket("other.example", 80)  # refused and held, as no answer is set
        await driver.ask(driver.encoder.run())
    with pytest.raises(SocketError, match=r"h\.example"):
        await driver.open_socket("h.example", 80)


def seen(session: ModemSession, text: str) -> bool:
    return text in trace_of(session)


@pytest.mark.parametrize("modem", ["bg96", "ml307r"])
async def test_a_restart_breaks_sockets_and_the_modem_is_configured_again(
    start_session: StartSession, peer: Peer, modem: str
) -> None:
    """What the modem was told is gone with it, and so are its sockets: all ids are free."""
    session = start_session(modem, "--set", "boot_s=0.05", "--set", "search_s=0.05")
    driver = await online_sockets(session)
    sockets = [await driver.open_socket("127.0.0.1", peer.port) for _ in range(driver.socket_limits.count)]
    receiving = asyncio.create_task(sockets[0].receive())
    reset = {"bg96": driver.encoder.set("+CFUN", 1, 1), "ml307r": driver.encoder.set("+MREBOOT", 0)}[modem]
    await driver.ask(reset)
    with pytest.raises(LinkError) as caught:
        await asyncio.wait_for(receiving, 10)
    assert caught.value.code == "modem_restarted"
    while not await asyncio.to_thread(seen, session, {"bg96": "APP RDY", "ml307r": "+MATREADY"}[modem]):
        await asyncio.sleep(0)
    await driver.ask(driver.encoder.run())  # everything that came before its answer has been heard
    assert driver.needs_prepare
    again = await online_sockets(session)
    assert again is driver
    for socket in sockets[1:]:
        with pytest.raises(LinkError):
            await socket.send(b"lost")
    fresh = [await again.open_socket("127.0.0.1", peer.port) for _ in sockets]
    for socket in sockets:
        socket.close()  # late: these ids are other connections' by now
    await session.read_status()
    for socket in fresh:
        await socket.send(b"whole")
    assert await again.read_identity() == session.identity
    wire = trace_of(session)
    assert [wire.count(f"host> {line}") for line in ("ATE0", "AT+CEREG=2")] == [2, 2]


async def test_former_sockets_with_odd_rows_are_a_protocol_error(start_driver: StartDriver) -> None:
    driver, _ = start_driver(QuectelDriver, {"AT+QISTATE": "+QISTATE: odd|OK"})
    with pytest.raises(ModemProtocolError, match="lacks a number"):
        await driver.release_sockets()
