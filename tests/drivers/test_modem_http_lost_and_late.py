"""A modem's own HTTP client: results that come late, callers that give up, what is not for anybody's log."""

import asyncio
from contextlib import suppress
import logging

import pytest

from custom_components.cellular_uplink.modem.drivers import generic
from custom_components.cellular_uplink.modem.drivers.base import HttpOutcome, HttpSteps, MhttpUrl
from custom_components.cellular_uplink.modem.drivers.china_mobile import ChinaMobileDriver
from custom_components.cellular_uplink.modem.drivers.quectel import QuectelDriver
from custom_components.cellular_uplink.modem.errors import HttpError, ModemError

from .conftest import StartDriver
from .scripted import BG96, ScriptedStream

POSTFILE = 'AT+QHTTPPOSTFILE="cu1.req",61'
FILES = {
    'AT+QFLST="*"': "OK",
    'AT+QFLDS="UFS"': "+QFLDS: 100000,200000|OK",
    'AT+QFDEL="cu1.req"': "OK",
}


def quectel(
    start_driver: StartDriver, monkeypatch: pytest.MonkeyPatch, **answers: str
) -> tuple[QuectelDriver, ScriptedStream]:
    """A driver whose request is in the modem's file cu1.req already: the script knows no CONNECT."""

    async def write_file(_driver: QuectelDriver, name: str, data: bytes, tell: object) -> None:
        """It is there."""

    monkeypatch.setattr(QuectelDriver, "own_file_name", lambda _driver: "cu1.req")
    monkeypatch.setattr(QuectelDriver, "write_file", write_file)
    return start_driver(QuectelDriver, {**BG96, **FILES, POSTFILE: "OK", **answers})


async def test_result_of_a_request_given_up_is_not_taken_for_the_next(
    start_driver: StartDriver, monkeypatch: pytest.MonkeyPatch
) -> None:
    driver, stream = quectel(start_driver, monkeypatch, **{"AT+CSQ": ""})
    poll = asyncio.create_task(driver.read_rssi_dbm())
    await stream.heard("AT+CSQ")
    monkeypatch.setattr(QuectelDriver, "make_room", lambda _driver, _count, keep: asyncio.sleep(0))
    monkeypatch.setattr(QuectelDriver, "delete_file", lambda _driver, _name: asyncio.sleep(0))
    request = asyncio.create_task(driver.http_post_file(b"x", HttpSteps()))
    for _ in range(10):
        await asyncio.sleep(0)  # it is in the queue, behind the poll
    stream.say("+QHTTPPOSTFILE: 0,200,5")
    stream.say("+CSQ: 20,99", "OK")
    assert await poll == -73
    await stream.heard(POSTFILE)
    stream.say("+QHTTPPOSTFILE: 719")
    with pytest.raises(HttpError) as caught:
        await request
    assert caught.value.code == "719"


async def test_request_given_up_before_its_ok_ends_and_leaves_nothing(
    start_driver: StartDriver, monkeypatch: pytest.MonkeyPatch
) -> None:
    driver, stream = quectel(start_driver, monkeypatch, **{POSTFILE: ""})
    request = asyncio.create_task(driver.http_post_file(b"x", HttpSteps()))
    await stream.heard(POSTFILE)
    request.cancel()
    with suppress(asyncio.CancelledError):
        await request
    stream.say("OK")
    poll = asyncio.create_task(driver.read_rssi_dbm())
    stream.say("+CME ERROR: 719")  # the request's, not the poll's
    assert await poll == -73
    async with asyncio.timeout(5), driver.http_session():
        await stream.heard('AT+QFDEL="cu1.req"', 2)


async def test_answer_that_would_hold_the_port_is_not_fetched(
    start_driver: StartDriver, monkeypatch: pytest.MonkeyPatch
) -> None:
    driver, stream = quectel(start_driver, monkeypatch)
    with pytest.raises(HttpError) as caught:
        await driver.read_http_response(HttpOutcome(status=200, body_bytes=50_000_000))
    assert caught.value.code == "response_too_long"
    assert stream.modem.heard == []


async def test_late_answers_noise_and_keys_of_a_client(
    start_driver: StartDriver, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    settings = ('"cached",0,0', '"encoding",0,0,0', '"chunked",0,0', '"timeout",0,60,60,30', '"ssl",0,0')
    header = 'AT+MHTTPCFG="header",0,"Authorization: Bearer 4711"'
    request = 'AT+MHTTPREQUEST=0,2,0,"/up?key=4711"'
    driver, stream = start_driver(
        ChinaMobileDriver,
        {
            'AT+MHTTPCREATE="http://a.b"': "+MHTTPCREATE: 0|OK",
            **{f"AT+MHTTPCFG={setting}": "OK" for setting in settings},
            'AT+MHTTPCFG="ssl",0,0': 'OK|+MHTTPURC: "header",0,200,15,HTTP/1.1 200 OK',  # of a former request
            header: "OK",
            request: "OK",
        },
    )
    sending = asyncio.create_task(
        driver.mhttp_send(
            "POST",
            MhttpUrl(origin="http://a.b", path="/up?key=4711", host="a.b"),
            [("Authorization", "Bearer 4711")],
            b"",
            tls=None,
            steps=HttpSteps(),
        )
    )
    await stream.heard(request)
    stream.say('+MHTTPURC: "err",  ,', '+MHTTPURC: "err",0,6')
    with pytest.raises(HttpError) as caught:
        await sending
    assert caught.value.code == "6"
    assert header in stream.modem.heard
    assert "4711" not in caplog.text
    assert "handler" not in caplog.text


async def test_restart_nobody_hears_of_is_one_all_the_same(
    start_driver: StartDriver, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its messages go to another port; and then the modem is deaf for a while."""
    monkeypatch.setattr(generic, "RESTART_S", 0.05)
    monkeypatch.setattr(generic, "START_UP_ANSWER_S", 0.05)
    driver, stream = start_driver(
        QuectelDriver,
        {
            **BG96,
            "AT+CFUN=1,1": "OK",
            "ATE0": ["OK", "", "OK"],
            "AT+QIACT?": '+QIACT: 1,1,1,"10.0.0.1"|OK',
            'AT+QIOPEN=1,0,"TCP","a.b",80,0,0': "OK|+QIOPEN: 0,0",
        },
    )
    await driver.prepare()
    sock = await driver.open_socket("a.b", 80)
    await driver.restart()
    assert driver.needs_prepare
    with pytest.raises(ModemError) as caught:
        await sock.receive()
    assert caught.value.code == "modem_restarted"
    await driver.prepare()
    assert stream.modem.heard.count("ATE0") == 3


async def test_empty_storage_may_say_that_there_is_no_such_file(start_driver: StartDriver) -> None:
    """No source tells what AT+QFLST answers where there is nothing to list."""
    driver, _ = start_driver(QuectelDriver, {**BG96, 'AT+QFLST="*"': "+CME ERROR: 405"})
    assert await driver.list_files() == {}
