"""The SIM card: bg96.md 6.2, ml307r.md 3."""

from .conftest import Open


def test_absent(port: Open) -> None:
    """CME 10 (bg96.md 6.2, ml307r.md 3)."""
    for model, iccid in (("bg96", "AT+QCCID"), ("ml307r", "AT+ICCID")):
        at = port(model, arguments=("--sim", "absent"))
        for command in ("AT+CPIN?", "AT+CIMI", iccid, 'AT+CPIN="1234"'):
            assert at.ask(command) == ["+CME ERROR: 10"], command
        assert at.ask("AT+CEREG?") == ["+CEREG: 0,0", "OK"]


def test_pin_on_a_bg96(port: Open) -> None:
    """bg96.md 6.2: CPIN, the URCs after it, and QPINC's two counters."""
    at = port("bg96", "search_s=0", arguments=("--sim", "pin", "--pin", "4711"))
    at.ask('AT+QURCCFG="urcport","uart1"')
    assert at.ask("AT+CPIN?") == ["+CPIN: SIM PIN", "OK"]
    assert at.ask("AT+CIMI") == ["+CME ERROR: 11"]
    assert at.ask("AT+CEREG?") == ["+CEREG: 0,0", "OK"]
    assert at.ask("AT+QCCID")[0].startswith("+QCCID: 89"), "readable while locked"
    assert at.ask('AT+QPINC="SC"') == ['+QPINC: "SC",3,10', "OK"]
    assert at.ask('AT+CPIN="0000"') == ["+CME ERROR: 16"]
    assert at.ask('AT+QPINC="SC"') == ['+QPINC: "SC",2,10', "OK"]

    assert at.ask('AT+CPIN="4711"') == ["OK"]
    assert at.until(b"DONE\r\n") == b"\r\n+CPIN: READY\r\n\r\n+QUSIM: 1\r\n\r\n+QIND: SMS DONE\r\n"
    assert at.ask("AT+CPIN?")[-2:] == ["+CPIN: READY", "OK"]
    assert at.ask('AT+QPINC="SC"')[-2:] == ['+QPINC: "SC",3,10', "OK"]
    assert at.ask('AT+CPIN="4711"') == ["+CME ERROR: 3"]


def test_pin_on_an_ml307r(port: Open) -> None:
    """AT+CPINR as in 27.007."""
    at = port("ml307r", "search_s=0", arguments=("--sim", "pin", "--pin-tries", "2"))
    assert at.ask('AT+CPINR="SIM PIN"') == ["+CPINR: SIM PIN,2,3", "OK"]
    assert at.ask("AT+ICCID")[-1] == "OK"
    assert at.ask("AT+CPIN=1234") == ["OK"]
    assert at.ask('AT+CPINR="SIM PIN"') == ["+CPINR: SIM PIN,3,3", "OK"]


def test_puk(port: Open) -> None:
    """The last wrong PIN asks for the PUK; the PUK sets a new PIN."""
    at = port("bg96", "search_s=0", arguments=("--sim", "pin", "--pin-tries", "1", "--puk", "87654321"))
    assert at.ask('AT+CPIN="0000"') == ["+CME ERROR: 12"]
    assert at.ask("AT+CPIN?") == ["+CPIN: SIM PUK", "OK"]
    assert at.ask("AT+CIMI") == ["+CME ERROR: 12"]
    assert at.ask('AT+CPIN="1234"') == ["+CME ERROR: 12"]
    assert at.ask('AT+CPIN="11111111","5555"') == ["+CME ERROR: 16"]
    assert at.ask('AT+QPINC="SC"') == ['+QPINC: "SC",0,9', "OK"]
    assert at.ask('AT+CPIN="87654321","5555"') == ["OK"]
    assert at.ask("AT+CPIN?") == ["+CPIN: READY", "OK"]


def test_no_counter(port: Open) -> None:
    """Switch pin_counter."""
    assert port("bg96", "pin_counter=no").ask('AT+QPINC="SC"') == ["ERROR"]
    assert port("ml307r", "pin_counter=no").ask('AT+CPINR="SIM PIN"') == ["ERROR"]
