"""Boot, power, registration and signal: bg96.md 6, ml307r.md 2 and 3."""

import itertools

import pytest

from .conftest import Open, OpenBench, Start
from .plain_at import Port


def boot_lines(*lines: str) -> bytes:
    return "".join(f"\r\n{line}\r\n" for line in lines).encode()


def test_error_window(bench: OpenBench) -> None:
    """bg96.md 6.4 (PR57110): between RDY and APP RDY commands may be ERROR."""
    arguments = ("boot_s=0.01", "app_rdy_s=0.5", "error_window=yes", "urc_port=uart1", "search_s=0")
    one = bench("bg96", *(item for name in arguments for item in ("--set", name)))
    one.at.ask("ATE0&W")
    one.control.do(reboot=True)
    one.at.until(b"RDY\r\n")
    assert one.at.ask("AT") == ["ERROR"]
    expected = boot_lines("APP RDY", "+CFUN: 1", "+CPIN: READY", "+QUSIM: 1", "+QIND: SMS DONE", "+QIND: PB DONE")
    assert one.at.exactly(len(expected)) == expected
    assert one.at.ask("AT") == ["OK"]


def test_without_app_rdy(bench: OpenBench) -> None:
    """bg96.md 6.4 (I17): older firmware does not say it."""
    one = bench("bg96", "--set", "boot_s=0.01", "--set", "app_rdy=no", "--set", "urc_port=uart1")
    one.control.do(reboot=True)
    expected = boot_lines("RDY", "+CFUN: 1")
    assert one.at.exactly(len(expected)) == expected


@pytest.mark.parametrize(
    ("sim", "line"), [("pin", "+CPIN: SIM PIN"), ("puk", "+CPIN: SIM PUK"), ("absent", "+CPIN: NOT INSERTED")]
)
def test_boot_with_another_card(bench: OpenBench, sim: str, line: str) -> None:
    """bg96.md 6.2 and 6.4: +CPIN: <state>."""
    one = bench("bg96", "--sim", sim, "--set", "boot_s=0.01", "--set", "urc_port=uart1")
    one.control.do(reboot=True)
    expected = boot_lines("RDY", "APP RDY", "+CFUN: 1", line)
    assert one.at.exactly(len(expected)) == expected


def test_busy_card(bench: OpenBench) -> None:
    """bg96.md 6.2: CME 14 while the card is busy; the lines of a ready card come after it."""
    one = bench("bg96", *_set("boot_s=0.01", "sim_busy_s=0.3", "urc_port=uart1", "search_s=0", "result_urcs=urcport"))
    one.at.ask("ATE0&W")
    one.control.do(reboot=True)
    one.at.until(b"+CFUN: 1\r\n")
    assert one.at.ask("AT+CPIN?") == ["+CME ERROR: 14"]
    expected = boot_lines("+CPIN: READY", "+QUSIM: 1", "+QIND: SMS DONE")
    assert one.at.exactly(len(expected)) == expected
    assert one.at.ask("AT+CPIN?") == ["+CPIN: READY", "OK"]
    assert one.at.ask("AT+CEREG?") == ["+CEREG: 0,1", "OK"]


@pytest.mark.parametrize(("sim", "code"), [("failure", 13), ("busy", 14)])
def test_failing_card(port: Open, sim: str, code: int) -> None:
    """bg96.md 6.2, ml307r.md 5.4: 13 SIM failure, 14 SIM busy."""
    for model in ("bg96", "ml307r"):
        at = port(model, arguments=("--sim", sim))
        assert at.ask("AT+CPIN?") == [f"+CME ERROR: {code}"]
        assert at.ask("AT+CIMI") == [f"+CME ERROR: {code}"]
        assert at.ask("AT+CEREG?") == ["+CEREG: 0,0", "OK"]


def test_stray_pdpdeact(port: Open) -> None:
    """bg96.md 6.4 (T157): between POWERED DOWN and RDY."""
    at = port("bg96", "boot_s=0.05", "pdpdeact_at_reboot=yes", "urc_port=uart1")
    at.ask("AT+QIACT=1")
    at.ask("AT+CFUN=1,1")
    expected = boot_lines("POWERED DOWN", '+QIURC: "pdpdeact",1', "RDY")
    assert at.exactly(len(expected)) == expected


@pytest.mark.parametrize(("switch", "text"), [("powered", "POWERED DOWN"), ("normal", "NORMAL POWER DOWN")])
def test_power_down(bench: OpenBench, switch: str, text: str) -> None:
    """bg96.md 6.3: OK at once, the farewell later, then nothing; only power brings it back."""
    one = bench("bg96", *_set(f"power_down={switch}", "power_down_s=0.05", "boot_s=0.01"))
    assert one.at.ask("AT+QPOWD=1") == ["OK"]
    assert one.at.exactly(len(text) + 4) == boot_lines(text)
    one.at.send(b"AT\r")
    one.control.do(power_on=True)
    assert one.at.until(b"RDY\r\n") == boot_lines("RDY")


def test_power_off_of_an_ml307r(bench: OpenBench) -> None:
    """ml307r.md 2 (EXT): OK, POWER OFF."""
    one = bench("ml307r", "--set", "boot_s=0.01")
    assert one.at.ask("AT+MPOF") == ["OK"]
    assert one.at.until(b"OFF\r\n") == boot_lines("POWER OFF")
    one.control.do(power_on=True)
    assert one.at.until(b"READY\r\n") == boot_lines("+MATREADY")


def test_spontaneous_reboot(bench: OpenBench) -> None:
    """No farewell; echo and the URCs are as stored; what is stored comes back (M-AT 12.3)."""
    one = bench("bg96", *_set("boot_s=0.01", "search_s=0", "urc_port=uart1"))
    one.at.ask("ATE0V1+CMEE=2;+CEREG=1;&W")
    one.control.fault("reboot")
    one.at.until(b"RDY\r\n")
    one.at.urc("+CEREG: 1")
    assert one.at.ask("AT+CMEE?") == ["+CMEE: 1", "OK"], "not stored"
    assert one.at.ask("AT+CEREG?") == ["+CEREG: 1,1", "OK"], "stored"


def test_rate_is_kept_by_and_w(start: Start) -> None:
    """M-AT 3.5, 12.3: AT+IPR is lost at a reboot unless AT&W; an ML307R stores it at once (FLOW)."""
    for stored, rate in ((False, 115200), (True, 9600)):
        simulator = start("bg96", "--set", "boot_s=0.01", baud="115200")
        at = Port(simulator.path)
        at.raw("ATE0")
        at.raw("AT+IPR=9600")
        at.speed(9600)
        if stored:
            at.raw("AT&W")
        at.raw("AT+CFUN=1,1")
        simulator.wait_for("RDY\\r\\n")
        simulator.wait_for("APP RDY")
        at.speed(rate)
        assert at.raw("AT+IPR?").endswith(f"+IPR: {rate}\r\n\r\nOK\r\n".encode())
        at.close()
    simulator = start("ml307r", "--set", "boot_s=0.01", baud="115200")
    at = Port(simulator.path)
    at.raw("AT+IPR=230400")
    at.speed(230400)
    at.send(b"AT+MREBOOT\r")
    at.until(b"+MATREADY\r\n")
    assert b"+IPR: 230400" in at.raw("AT+IPR?")
    at.close()


def test_registers(port: Open) -> None:
    """V.250: S registers are kept; &F brings them back."""
    at = port("bg96")
    assert at.ask("ATS0?") == ["000", "OK"]
    assert at.ask("ATS0=3") == ["OK"]
    assert at.ask("ATS0?") == ["003", "OK"]
    at.ask("AT&FE0")
    assert at.ask("ATS0?S3?") == ["000", "013", "OK"]


def test_signal_that_moves(port: Open) -> None:
    """Deterministic: up, down and up again by the switch."""
    at = port("ml307r", "signal_walk_db=4", "rssi_dbm=-91")
    seen = [at.ask("AT+CSQ")[0] for _ in range(17)]
    numbers = [int(line.removeprefix("+CSQ: ").removesuffix(",99")) for line in seen]
    assert numbers[0] == numbers[16] == 11
    assert (min(numbers), max(numbers)) == (9, 13)
    assert max(abs(a - b) for a, b in itertools.pairwise(numbers)) <= 1


@pytest.mark.parametrize(
    ("switches", "line"),
    [
        ((), '+QCSQ: "CAT-M1",-71,-98,145,-11'),
        (("radio=cat-nb1",), '+QCSQ: "CAT-NB1",-71,-98,145,-11'),
        (("qcsq_act=eMTC",), '+QCSQ: "eMTC",-71,-98,145,-11'),
        (("qcsq_act=LTE",), '+QCSQ: "LTE",-71,-98,145,-11'),
        (("radio=gsm",), '+QCSQ: "GSM",-71'),
        (("rsrp_dbm=unknown",), '+QCSQ: "NOSERVICE"'),
    ],
)
def test_spelling_of_the_technology(port: Open, switches: tuple[str, ...], line: str) -> None:
    """bg96.md 6.1: BG95 says eMTC, EC25 LTE."""
    assert port("bg96", *switches).ask("AT+QCSQ") == [line, "OK"]


def test_serving_cell(port: Open) -> None:
    """bg96.md 6.1 (M-CELL): rsrp, rsrq, rssi, sinr here; CAT-M, not CAT-M1; SEARCH without a network."""
    at = port("bg96")
    expected = '"servingcell","NOCONN","CAT-M","FDD",262,01,15B290F,7,6400,20,3,3,2490,-98,-11,-71,9,-'
    assert at.ask('AT+QENG="servingcell"') == [f"+QENG: {expected}", "OK"]
    at = port("bg96", arguments=("--registration", "denied"))
    assert at.ask('AT+QENG="servingcell"') == ['+QENG: "servingcell","SEARCH"', "OK"]


def test_signal_urc(bench: OpenBench) -> None:
    """bg96.md 6.1 (M-AT 4.3): QINDCFG "csq"."""
    one = bench("bg96", "--set", "urc_port=uart1")
    assert one.at.ask('AT+QINDCFG="csq",1') == ["OK"]
    assert one.at.ask('AT+QINDCFG="csq"') == ['+QINDCFG: "csq",1', "OK"]
    one.control.do(signal={"rssi_dbm": -101})
    assert one.at.urc("+QIND:") == '+QIND: "csq",6,99'


def test_gsm_has_cgreg(port: Open) -> None:
    """bg96.md 6.2: CGREG stays 0 on LTE-M alone."""
    assert port("bg96", "radio=gsm").ask("AT+CGREG=2;+CGREG?")[0].startswith("+CGREG: 2,1,")
    assert port("bg96").ask("AT+CGREG?") == ["+CGREG: 0,0", "OK"]


def test_typical_times(start: Start) -> None:
    """bg96.md 8: blocking commands take their time, and the next one waits; queries do not."""
    simulator = start("bg96", "--set", "times=typical")
    at = Port(simulator.path)
    at.raw("ATE0")
    at.send(b"AT+QIDEACT=1\rAT+CSQ\r")
    at.until(b"+CSQ: 21,99\r\n\r\nOK\r\n")
    at.close()
    wire = simulator.wire()
    asked = next(when for when, text in wire if "QIDEACT" in text)
    said = [when for when, text in wire if text.endswith("OK\\r\\n") and when > asked]
    assert said[0] - asked >= 0.5


def _set(*switches: str) -> list[str]:
    return [item for switch in switches for item in ("--set", switch)]
