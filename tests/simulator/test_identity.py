"""Identity: bg96.md 1.2 and 1.3, ml307r.md 1.2 and 1.3."""

import pytest

from .conftest import Open


@pytest.mark.parametrize(
    ("command", "answer"),
    [
        ("AT+GMI", "Quectel"),
        ("AT+CGMI", "Quectel"),
        ("AT+GMM", "BG96"),
        ("AT+CGMR", "BG96MAR03A06M1G"),
        ("AT+QGMR", "BG96MAR03A06M1G_01.005.01.005"),
        ("AT+GSN", "861234567890123"),
        ("AT+CGSN", "861234567890123"),
        ("AT+CIMI", "262019876543210"),
        ("AT+QCCID", "+QCCID: 8934071400006151466F"),
        ("AT+CCID", "+CCID: 8934071400006151466F"),
    ],
)
def test_bg96(port: Open, command: str, answer: str) -> None:
    """bg96.md 1.2; 19 digits of ICCID show a filler."""
    chosen = ("--firmware", "BG96MAR03A06M1G_01.005.01.005", "--imei", "861234567890123")
    at = port("bg96", arguments=(*chosen, "--imsi", "262019876543210", "--iccid", "8934071400006151466"))
    assert at.ask(command) == [answer, "OK"]


def test_bg96_without_the_sub_version(port: Open) -> None:
    """bg96.md 1.2: FCRC saw the short form."""
    assert port("bg96", "qgmr_suffix=no").ask("AT+QGMR") == ["BG96MAR02A07M1G", "OK"]


@pytest.mark.parametrize(
    ("command", "answer"),
    [
        ("AT+CGMI", "CMCC"),
        ("AT+CGMM", "ML307R"),
        ("AT+CGMR", "ML307R-DC-MBRH0S01"),
        ("AT+MSWVER", "3.1.0.2606231027_release"),
        ("AT+CGSN=1", "+CGSN: 861234567890123"),
        ("AT+ICCID", "+ICCID: 89860499102170308296"),
        ("AT+MCCID", "+MCCID: 89860499102170308296"),
    ],
)
def test_ml307r(port: Open, command: str, answer: str) -> None:
    """ml307r.md 1.2 and 1.3."""
    at = port("ml307r", arguments=("--imei", "861234567890123", "--iccid", "89860499102170308296"))
    assert at.ask(command) == [answer, "OK"]


def test_ml307r_serial_number_is_not_the_imei(port: Open) -> None:
    """ml307r.md 1.2: ZB."""
    serial, result = port("ml307r", arguments=("--imei", "861234567890123")).ask("AT+CGSN")
    assert result == "OK"
    assert "861234567890123" not in serial


def test_ml307r_lacks(port: Open) -> None:
    """ml307r.md 1.2: CREG and CNMP are errors (UUB), CCID too (ZB)."""
    at = port("ml307r")
    for command in ("AT+CREG?", "AT+CREG=1", "AT+CNMP?", "AT+CCID", "AT+QGMR"):
        assert at.ask(command) == ["ERROR"], command
    assert port("ml307r", "ccid=yes", "creg=yes").ask("AT+CREG?;+CCID")[-1] == "OK"
