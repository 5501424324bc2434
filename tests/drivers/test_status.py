"""Identity, registration and signal, as the simulated modems and recorded answers tell them."""

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from custom_components.cellular_uplink.modem.at.channel import Channel
from custom_components.cellular_uplink.modem.drivers import identify
from custom_components.cellular_uplink.modem.drivers.base import (
    AccessTechnology,
    RegistrationState,
    Signal,
    SupportsPacketData,
    SupportsSockets,
)
from custom_components.cellular_uplink.modem.drivers.quectel import parse_qcsq
from custom_components.cellular_uplink.modem.errors import LinkError

from .conftest import StartSession, trace_of
from .scripted import ScriptedStream


@pytest.mark.parametrize(
    ("modem", "arguments", "expected"),
    [
        (
            "bg96",
            ("--firmware", "BG96MAR03A06M1G_01.005.01.005"),
            ("Quectel", "BG96", "BG96MAR03A06M1G_01.005.01.005", None),
        ),
        ("bg96", ("--set", "qgmr_suffix=no"), ("Quectel", "BG96", "BG96MAR02A07M1G", None)),
        ("ml307r", (), ("CMCC", "ML307R", "ML307R-DC-MBRH0S01", "3.1.0.2606231027_release")),
        (
            "ml307r",
            ("--set", "mswver_prefix=yes"),
            ("CMCC", "ML307R", "ML307R-DC-MBRH0S01", "3.1.0.2606231027_release"),
        ),
    ],
)
async def test_identity(
    start_session: StartSession, modem: str, arguments: tuple[str, ...], expected: tuple[str, ...]
) -> None:
    arguments = (*arguments, "--imei", "490154203237518", "--iccid", "8934071400006151466", "--imsi", "001010123456789")
    identity = await start_session(modem, *arguments).open()
    assert (identity.vendor, identity.model, identity.firmware, identity.release) == expected
    assert (identity.imei, identity.iccid, identity.imsi) == (
        "490154203237518",
        "8934071400006151466",
        "001010123456789",
    )


@pytest.mark.parametrize("modem", ["bg96", "ml307r"])
async def test_status(start_session: StartSession, modem: str) -> None:
    arguments = (
        "--set",
        "rssi_dbm=-85",
        "--set",
        "rsrp_dbm=-101",
        "--set",
        "rsrq_db=-12",
        "--set",
        "sinr_db=-3",
        "--registration",
        "roaming",
    )
    status = await start_session(modem, *arguments).read_status()
    assert status.registration.state is RegistrationState.ROAMING
    assert status.access_technology is (AccessTechnology.LTE_M if modem == "bg96" else AccessTechnology.LTE)
    assert status.operator == "Simulated Mobile"
    assert (status.signal.rssi_dbm, status.signal.rsrp_dbm, status.signal.rsrq_db) == (-85, -101, -12)
    # ML307R: no document at hand gives the shape of its SINR report, so it stays unknown.
    assert status.signal.sinr_db == (-3 if modem == "bg96" else None)


@pytest.mark.parametrize("modem", ["bg96", "ml307r"])
async def test_unknown_signal_is_none(start_session: StartSession, modem: str) -> None:
    unknown = [item for name in ("rssi_dbm", "rsrp_dbm", "rsrq_db", "sinr_db") for item in ("--set", f"{name}=unknown")]
    assert (await start_session(modem, *unknown).read_status()).signal == Signal()


@pytest.mark.parametrize("modem", ["bg96", "ml307r"])
@pytest.mark.parametrize("state", ["searching", "denied"])
async def test_not_registered_is_said(start_session: StartSession, modem: str, state: str) -> None:
    status = await start_session(modem, "--registration", state).read_status()
    assert status.registration.state == state
    assert status.access_technology is None


async def test_a_zero_of_cgreg_on_lte_m_is_no_failure(start_session: StartSession) -> None:
    """bg96.md 6.2 (PART): on Cat-M1 CGREG stays 0 while CEREG is 1."""
    session = start_session("bg96", "--set", "cgreg=zero")
    assert (await session.read_status()).registration.is_registered
    await session.ensure_online()


@pytest.mark.parametrize(
    ("line", "signal"),
    [
        ('+QCSQ: "CAT-M1",-52,-81,195,-10', Signal(rssi_dbm=-52, rsrp_dbm=-81, sinr_db=19.0, rsrq_db=-10)),
        ('+QCSQ: "CAT-M1",-62,-101,71,-20', Signal(rssi_dbm=-62, rsrp_dbm=-101, sinr_db=71 / 5 - 20, rsrq_db=-20)),
        ('+QCSQ: "eMTC",-56,-78,210,-9', Signal(rssi_dbm=-56, rsrp_dbm=-78, sinr_db=22.0, rsrq_db=-9)),
        ('+QCSQ: "LTE",50,-78,188,-14', Signal(rssi_dbm=-50, rsrp_dbm=-78, sinr_db=188 / 5 - 20, rsrq_db=-14)),
        ('+QCSQ: "GSM",-70', Signal(rssi_dbm=-70)),
        ('+QCSQ: "NOSERVICE"', Signal()),
        ('+QCSQ: "CAT-M1",-52,-255,255,0', Signal(rssi_dbm=-52, rsrq_db=0)),
    ],
)
def test_quectel_signal_spellings(line: str, signal: Signal) -> None:
    """bg96.md 6.1: samples of manuals and logs."""
    assert parse_qcsq(line) == signal


async def test_any_other_modem_gets_identity_signal_and_registration() -> None:
    """ml307r.md 8.4 and bg96.md 6.1: a SIMCom's words, and 27.007's CESQ edges."""
    channel = Channel(
        ScriptedStream(
            {
                "AT+CGMI": "SIMCOM INCORPORATED|OK",
                "AT+CGMM": "SIMCOM_SIM7600G-H|OK",
                "AT+CGMR": "+CGMR: LE20B04SIM7600G22|OK",
                "ATE0": "OK",
                "AT+CGSN": "490154203237518|OK",
                "AT+CSQ": "+CSQ: 31,99|OK",
                "AT+CESQ": "+CESQ: 99,99,255,255,20,46|OK",
                "AT+CEREG?": "+CEREG: 0,2|OK",
                "AT+CGREG?": "+CGREG: 0,5|OK",
                "AT+COPS?": '+COPS: 0,0,"o2 - de",2|OK',
            }
        )
    )
    channel.start()
    driver = await identify(channel)
    await driver.prepare()
    identity = await driver.read_identity()
    status = await driver.read_status()
    await channel.aclose()
    assert (identity.family, identity.model, identity.firmware) == ("generic", "SIMCOM_SIM7600G-H", "LE20B04SIM7600G22")
    assert (identity.imei, identity.iccid) == ("490154203237518", None)
    assert status.registration.state is RegistrationState.ROAMING
    assert (status.operator, status.access_technology) == ("o2 - de", AccessTechnology.UMTS)
    assert status.signal == Signal(rssi_dbm=-51, rsrp_dbm=-95, rsrq_db=-10.0)
    assert not isinstance(driver, SupportsSockets | SupportsPacketData)


@pytest.mark.parametrize("modem", ["bg96", "ml307r"])
async def test_a_registration_urc_is_told_to_subscribers(start_session: StartSession, modem: str) -> None:
    """The modem's search ends a moment after it starts; on BG96 the URC needs the port to be uart1."""
    arguments = ("--set", "urc_port=uart1") if modem == "bg96" else ()
    session = start_session(modem, *arguments, "--set", "search_s=0.05")
    await session.open()
    told = asyncio.Event()
    session.subscribe(told.set)
    driver: Any = session.driver
    await driver.ask(driver.encoder.set("+COPS", 2))
    await driver.ask(driver.encoder.set("+COPS", 0), timeout_s=30)
    await asyncio.wait_for(told.wait(), 10)


@pytest.mark.parametrize("modem", ["bg96", "ml307r"])
@pytest.mark.parametrize(("setting", "sent"), [(None, False), ("26201", True)])
async def test_operator_selection(start_session: StartSession, modem: str, setting: str | None, sent: bool) -> None:
    session = start_session(modem, operator=setting)
    await session.open()
    assert ('AT+COPS=1,2,"26201"' in trace_of(session)) is sent
    assert "AT+COPS=0\\r" not in trace_of(session)
    assert (await session.read_status()).operator == "Simulated Mobile"


@pytest.mark.parametrize("modem", ["bg96", "ml307r"])
@pytest.mark.parametrize("baud", [9600, 115200, 921600])
async def test_the_baud_rate_is_found(start_session: StartSession, modem: str, baud: int) -> None:
    session = start_session(modem, "--baud", str(baud))
    await session.open()
    assert session.baud == baud


async def test_a_modem_that_finds_the_rate_itself(start_session: StartSession) -> None:
    session = start_session("ml307r", "--baud", "115200", "--set", "autobaud=yes")
    await session.open()
    assert session.baud == 115200


async def test_a_wrong_baud_rate_is_said(start_session: StartSession) -> None:
    session = start_session("bg96", "--baud", "115200", baud=921600)
    with pytest.raises(LinkError) as caught:
        await session.open()
    assert caught.value.code in ("no_answer", "not_a_modem")


async def test_a_modem_in_the_middle_of_a_send_is_freed(
    start_session: StartSession, start_simulator: Callable[..., Any], peer: Any
) -> None:
    """Its former host died: the modem takes what comes for payload until the count is complete."""
    session = start_session("bg96")
    driver: Any = await session.ensure_online()
    socket = await driver.open_socket("127.0.0.1", peer.port)
    assert session._channel is not None
    assert session._port is not None
    await session._port.write(b"AT+QISEND=%d,1460\r" % socket.id)
    await session._port.aclose()
    again = type(session)(session.settings)
    try:
        assert (await again.open()).model == "BG96"
    finally:
        await again.close()
