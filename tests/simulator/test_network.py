"""Registration and signal: bg96.md 6.1 and 6.2, ml307r.md 3."""

import pytest

from .conftest import Open


def test_bg96_registers_on_lte_m(port: Open) -> None:
    """bg96.md 6.2: CGREG stays 0 while CREG and CEREG are 1 (PART)."""
    at = port("bg96")
    assert at.ask("AT+CREG?;+CGREG?;+CEREG?") == ["+CREG: 0,1", "+CGREG: 0,0", "+CEREG: 0,1", "OK"]
    assert at.ask("AT+CEREG=2;+CEREG?") == ['+CEREG: 2,1,"2490","015B290F",8', "OK"]
    assert at.ask("AT+COPS?") == ['+COPS: 0,0,"Simulated Mobile",8', "OK"]
    assert at.ask("AT+COPS=3,2;+COPS?") == ['+COPS: 0,2,"26201",8', "OK"]


def test_ml307r_registers(port: Open) -> None:
    """ml307r.md 3: act 7."""
    at = port("ml307r")
    assert at.ask("AT+CEREG=2;+CEREG?") == ['+CEREG: 2,1,"2490","015B290F",7', "OK"]
    assert at.ask("AT+COPS?") == ['+COPS: 0,0,"Simulated Mobile",7', "OK"]


@pytest.mark.parametrize(("kind", "status"), [("home", 1), ("roaming", 5), ("searching", 2), ("denied", 3)])
def test_where_a_search_ends(port: Open, kind: str, status: int) -> None:
    """bg96.md 6.2: the numbers of stat."""
    at = port("bg96", arguments=("--registration", kind))
    assert at.ask("AT+CEREG?") == [f"+CEREG: 0,{status}", "OK"]
    assert at.ask("AT+CGATT?") == [f"+CGATT: {int(status in {1, 5})}", "OK"]
    if status in {2, 3}:
        assert at.ask("AT+COPS?;+CSQ;+QCSQ;+QNWINFO") == [
            "+COPS: 0",
            "+CSQ: 99,99",
            '+QCSQ: "NOSERVICE"',
            "+QNWINFO: No Service",
            "OK",
        ]


def test_urcs_lack_the_first_number(port: Open) -> None:
    """ml307r.md 3: the URC form; bg96.md 6.2: searching first, then registered (PART)."""
    at = port("ml307r", "search_s=0")
    at.ask("AT+CEREG=2")
    assert at.ask("AT+COPS=2") == ["OK"]
    assert at.urc("+CEREG:") == "+CEREG: 0"
    assert at.urc("+MIPCALL:") == "+MIPCALL: 1,0"
    assert at.ask("AT+COPS?") == ["+COPS: 2", "OK"]
    assert at.ask("AT+COPS=0") == ["OK"]
    assert at.urc("+CEREG:") == "+CEREG: 2"
    assert at.urc("+CEREG:") == '+CEREG: 1,"2490","015B290F",7'


def test_choice_of_network(port: Open) -> None:
    """bg96.md 6.2: COPS."""
    at = port("bg96", "search_s=0")
    assert at.ask('AT+COPS=1,2,"26201"') == ["OK"]
    assert at.ask("AT+COPS?") == ['+COPS: 1,0,"Simulated Mobile",8', "OK"]
    assert at.ask("AT+COPS=?")[0].startswith('+COPS: (2,"Simulated Mobile","Simulated Mobile","26201",8)')
    assert at.ask('AT+COPS=1,2,"99999"') == ["+CME ERROR: 30"]
    assert at.ask("AT+CEREG?") == ["+CEREG: 0,2", "OK"]


def test_radio_off(port: Open) -> None:
    """bg96.md 6.2: CFUN 4; the context goes with the network (M-TCP: pdpdeact)."""
    at = port("bg96", "search_s=0", "urc_port=uart1")
    at.ask('AT+QICSGP=1,1,"x";+QIACT=1;+CEREG=1')
    assert at.ask("AT+CFUN=4") == ["OK"]
    assert at.until(b'pdpdeact",1\r\n') == b'\r\n+CEREG: 0\r\n\r\n+QIURC: "pdpdeact",1\r\n'
    assert at.ask("AT+CFUN?;+QIACT?") == ["+CFUN: 4", "OK"]
    assert at.ask("AT+CFUN=1") == ["OK"]
    assert at.urc("+CEREG:") == "+CEREG: 2"
    assert at.urc("+CEREG:") == "+CEREG: 1"


def test_signal_of_a_bg96(port: Open) -> None:
    """bg96.md 6.1: sample of PART, sinr as (dB + 20) * 5; CSQ? is CME 3 (FDFOTA), CESQ is not in the manual."""
    at = port("bg96", "rssi_dbm=-62", "rsrp_dbm=-101", "sinr_db=-6", "rsrq_db=-20")
    assert at.ask("AT+QCSQ") == ['+QCSQ: "CAT-M1",-62,-101,70,-20', "OK"]
    assert at.ask("AT+CSQ") == ["+CSQ: 25,99", "OK"]
    assert at.ask("AT+CSQ?") == ["+CME ERROR: 3"]
    assert at.ask("AT+CESQ") == ["ERROR"]
    assert at.ask("AT+QNWINFO") == ['+QNWINFO: "CAT-M1","26201","LTE BAND 20",6400', "OK"]


def test_registered_but_no_signal_value(port: Open) -> None:
    """bg96.md 6.1: 99,99 while registered (FIN)."""
    at = port("bg96", "rssi_dbm=unknown", "cesq=yes", "rsrp_dbm=-140", "rsrq_db=unknown")
    assert at.ask("AT+CEREG?;+CSQ;+CESQ") == ["+CEREG: 0,1", "+CSQ: 99,99", "+CESQ: 99,99,255,255,255,1", "OK"]


def test_signal_of_an_ml307r(port: Open) -> None:
    """ml307r.md 3: the samples of FLOW; MUESTATS in 0.1 dBm, type mandatory."""
    at = port("ml307r", "rssi_dbm=-69", "rsrp_dbm=-94", "rsrq_db=-3")
    assert at.ask("AT+CSQ;+CESQ") == ["+CSQ: 22,99", "+CESQ: 42,99,255,255,34,47", "OK"]
    radio = '+MUESTATS: "radio",4,-940,-690,,,,015B290F,,90,1650,7,-30'
    assert at.ask('AT+MUESTATS="radio"') == [radio, "OK"]
    assert at.ask('AT+MUESTATS="cell"') == ['+MUESTATS: "scell",4,262,01,1650,,7,-940,-30,-690,90', "OK"]
    assert at.ask('AT+MUESTATS="sband"') == ['+MUESTATS: "sband",3', "OK"]
    assert at.ask("AT+MUESTATS") == ["+CME ERROR: 50"]
    assert at.ask('AT+MUESTATS="ncell"') == ["+CME ERROR: 50"]
