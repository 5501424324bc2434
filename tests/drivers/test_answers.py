"""Identity, signal and registration from answers that are odd, short or missing: unknown is None, never a number."""

import asyncio
from typing import Any

import pytest

from custom_components.cellular_uplink.modem.at.channel import Channel
from custom_components.cellular_uplink.modem.drivers import identify
from custom_components.cellular_uplink.modem.drivers.base import (
    AccessTechnology,
    ModemStatus,
    Registration,
    RegistrationState,
    Signal,
)
from custom_components.cellular_uplink.modem.drivers.china_mobile import ChinaMobileDriver
from custom_components.cellular_uplink.modem.drivers.generic import GenericDriver
from custom_components.cellular_uplink.modem.drivers.quectel import QuectelDriver
from custom_components.cellular_uplink.modem.errors import LinkError

from .conftest import StartDriver
from .scripted import Answers, ScriptedStream


async def test_a_modem_that_tells_nothing(start_driver: StartDriver) -> None:
    """Everything refused: every reading is unknown, and none of it is an error."""
    driver, _ = start_driver(GenericDriver, {})
    identity = await driver.read_identity()
    assert identity.family == "generic"
    assert {identity.vendor, identity.model, identity.firmware, identity.imei, identity.imsi, identity.iccid} == {None}
    assert await driver.read_status() == ModemStatus()
    assert await driver.read_pin_tries() is None
    await driver.release_sockets()


@pytest.mark.parametrize(
    ("answer", "firmware"),
    [
        ("Revision: LE20B04|OK", "LE20B04"),
        ("Revision:MTK 2|OK", "MTK 2"),
        ('+CGMR: "LE20B04"|OK', "LE20B04"),
        ("OK", None),
        ("RDY|+CEREG: 1|OK", None),
        ("+CEREG: 1|+CPIN: READY|LE20B04|OK", "LE20B04"),  # messages in the middle are none of the answer
    ],
)
async def test_spellings_of_a_revision(start_driver: StartDriver, answer: str, firmware: str | None) -> None:
    driver, _ = start_driver(GenericDriver, {"AT+CGMR": answer})
    assert await driver.read_text("+CGMR") == firmware


@pytest.mark.parametrize(
    ("family", "answers", "expected"),
    [
        (GenericDriver, {"AT+CGSN=1": '+CGSN: "490154203237518"|OK'}, ("490154203237518", None)),
        (GenericDriver, {"AT+CGSN": "4901542032375189|OK"}, (None, None)),  # sixteen digits: with software version
        (GenericDriver, {"AT+ICCID": "+ICCID: 89860000000000000001|OK"}, (None, "89860000000000000001")),
        (QuectelDriver, {"AT+CCID": "+CCID: 8934071400006151466F|OK"}, (None, "8934071400006151466")),
        (QuectelDriver, {"AT+CGSN": "OK", "AT+QCCID": "OK"}, (None, None)),
        (ChinaMobileDriver, {"AT+CGSN": "490154203237518|OK"}, (None, None)),  # a serial number there
        (ChinaMobileDriver, {"AT+MCCID": "+MCCID: 89860000000000000001|OK"}, (None, "89860000000000000001")),
    ],
)
async def test_numbers_of_device_and_sim(
    start_driver: StartDriver, family: Any, answers: Answers, expected: tuple[str | None, str | None]
) -> None:
    driver, _ = start_driver(family, answers)
    assert (await driver.read_imei(), await driver.read_iccid()) == expected


@pytest.mark.parametrize(
    ("family", "answers", "signal"),
    [
        (GenericDriver, {"AT+CSQ": "+CSQ: 0,0|OK"}, Signal(rssi_dbm=-113)),
        (GenericDriver, {"AT+CSQ": "+CSQ: 99,99|OK", "AT+CESQ": "+CESQ: 99,99,255,255,255,255|OK"}, Signal()),
        (GenericDriver, {"AT+CSQ": "+CSQ: |OK", "AT+CESQ": "+CESQ: 99,99|OK"}, Signal()),
        (GenericDriver, {"AT+CSQ": '+CSQ: "20",99|OK'}, Signal(rssi_dbm=-73)),
        (GenericDriver, {"AT+CSQ": "+CSQ: -,-|OK", "AT+CESQ": "+CESQ: 99,99,255,255,-,x|OK"}, Signal()),
        (GenericDriver, {"AT+CESQ": "+CESQ: 99,99,255,255,34,97|OK"}, Signal(rsrp_dbm=-44, rsrq_db=-3.0)),
        (QuectelDriver, {"AT+CSQ": "+CSQ: 20,99|OK"}, Signal(rssi_dbm=-73)),
        (QuectelDriver, {"AT+QCSQ": "OK", "AT+CSQ": "OK"}, Signal()),
        (
            QuectelDriver,
            {"AT+QCSQ": '+QCSQ: "CAT-M1",,-98,-,-11|OK', "AT+CSQ": "+CSQ: 20,99|OK"},
            Signal(rssi_dbm=-73, rsrp_dbm=-98, rsrq_db=-11.0),
        ),
    ],
)
async def test_signal(start_driver: StartDriver, family: Any, answers: Answers, signal: Signal) -> None:
    driver, _ = start_driver(family, answers)
    assert await driver.read_signal() == signal


@pytest.mark.parametrize(
    ("answers", "registration"),
    [
        ({"AT+CEREG?": '+CEREG: 2,1,"2490","015B290F",7|OK'}, ("home", "lte")),
        ({"AT+CEREG?": '+CEREG: 2,5,"2490","015B290F","9"|OK'}, ("roaming", "nb_iot")),
        ({"AT+CEREG?": '+CEREG: 2,1,"2490","015B290F",77|OK'}, ("home", None)),
        ({"AT+CEREG?": "+CEREG: 2,0|OK", "AT+CGREG?": "+CGREG: 0,1|OK"}, ("home", None)),
        ({"AT+CEREG?": "OK", "AT+CREG?": "+CREG: 0,10|OK"}, ("roaming", None)),
        ({"AT+CEREG?": "+CEREG: 2,3|OK", "AT+CREG?": "+CREG: 0,0|OK"}, ("denied", None)),
        ({"AT+CEREG?": "+CEREG: 2,42|OK"}, ("unknown", None)),
        # A message in the middle is none of the answer.
        ({"AT+CEREG?": '+CEREG: 2,"2490","015B290F",7|+CEREG: 2,1|OK'}, ("home", None)),
    ],
)
async def test_registration(start_driver: StartDriver, answers: Answers, registration: tuple[str, str | None]) -> None:
    driver, _ = start_driver(GenericDriver, answers)
    state, technology = registration
    assert await driver.read_registration() == Registration(
        state=RegistrationState(state), access_technology=AccessTechnology(technology) if technology else None
    )


@pytest.mark.parametrize(
    ("answer", "operator", "technology"),
    [
        ("+COPS: 0|OK", None, None),
        ("OK", None, None),
        ('+COPS: 0,0,""|OK', None, None),
        ('+COPS: 0,0," Telenor "|OK', "Telenor", None),
        ("+COPS: 0,2,26201,8|OK", "26201", AccessTechnology.LTE_M),
        ('+COPS: 0,0,"a, b",7|OK', "a, b", AccessTechnology.LTE),
    ],
)
async def test_operator(
    start_driver: StartDriver, answer: str, operator: str | None, technology: AccessTechnology | None
) -> None:
    driver, _ = start_driver(GenericDriver, {"AT+COPS?": answer, "AT+CEREG?": "+CEREG: 0,1|OK"})
    status = await driver.read_status()
    assert (status.operator, status.access_technology) == (operator, technology)


@pytest.mark.parametrize(
    ("answers", "family"),
    [
        ({"AT+CGMM": "BG96|OK"}, QuectelDriver),
        ({"AT+CGMM": "EC25|OK"}, QuectelDriver),
        ({"AT+CGMM": "ERROR", "AT+CGMR": "ML307R-DC-MBRH0S01|OK"}, ChinaMobileDriver),
        ({"AT+CGMM": "SIM7600|OK", "AT+CGMR": "LE20|OK"}, GenericDriver),
        ({}, GenericDriver),
    ],
)
async def test_a_family_is_chosen_by_what_the_modem_says_it_is(answers: Answers, family: type[GenericDriver]) -> None:
    channel = Channel(ScriptedStream(answers))
    channel.start()
    assert type(await identify(channel)) is family
    await channel.aclose()


async def test_a_port_that_goes_while_a_socket_is_idle_wakes_its_reader(start_driver: StartDriver) -> None:
    driver, stream = start_driver(
        ChinaMobileDriver, {'AT+MIPOPEN=0,"TCP","h.example",80,60,0': "OK|+MIPOPEN: 0,0", "AT+MIPCLOSE=0": "OK"}
    )
    socket = await driver.open_socket("h.example", 80)
    receiving = asyncio.create_task(socket.receive())
    stream.unplug()
    with pytest.raises(LinkError) as caught:
        await asyncio.wait_for(receiving, 5)
    assert caught.value.code == "port_lost"
    assert socket.readable
    with pytest.raises(LinkError):
        await driver.ask(driver.encoder.run())
    assert driver.channel.is_lost
