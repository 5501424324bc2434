"""Bytes on the wire: bg96.md 1.1, 6.3 (M-AT 1.2, 2)."""

import pytest

from .conftest import Open
from .plain_at import Port


@pytest.fixture
def fresh(port: Open) -> Port:
    """A BG96 just powered, echo on."""
    return port("bg96", echo=True)


def test_echo_is_on_and_gives_cr_cr_lf(fresh: Port) -> None:
    """bg96.md 1.1: real log of FDFOTA."""
    fresh.send(b"AT+QGMR\r")
    expected = b"AT+QGMR\r\r\nBG96MAR02A07M1G_01.018.01.018\r\n\r\nOK\r\n"
    assert fresh.exactly(len(expected)) == expected


def test_ati_is_one_block(fresh: Port) -> None:
    """bg96.md 1.1: LQ."""
    expected = b"ATI\r\r\nQuectel\r\nBG96\r\nRevision: BG96MAR02A07M1G\r\n\r\nOK\r\n"
    assert fresh.raw("ATI") == expected


def test_echo_off_and_on(fresh: Port) -> None:
    """M-AT 2: the line that switches it off is still echoed."""
    assert fresh.raw("ATE0") == b"ATE0\r\r\nOK\r\n"
    assert fresh.raw("AT") == b"\r\nOK\r\n"
    assert fresh.raw("ATE1") == b"\r\nOK\r\n"
    assert fresh.raw("AT") == b"AT\r\r\nOK\r\n"


def test_short_results(port: Open) -> None:
    """M-AT 2.15: ATV0 gives text CR LF and digits with CR."""
    at = port("bg96")
    at.send(b"ATV0\r")
    assert at.exactly(2) == b"0\r"
    at.send(b"AT+CGMM\r")
    assert at.exactly(8) == b"BG96\r\n0\r"
    at.send(b"AT+NOSUCH\r")
    assert at.exactly(2) == b"4\r"
    at.send(b"ATV1\r")
    assert at.exactly(6) == b"\r\nOK\r\n"


def test_quiet_results(port: Open) -> None:
    """V.250 ATQ1: no result codes, information text stays."""
    at = port("bg96")
    at.send(b"ATQ1\rAT+CGMM\rATQ0\r")
    assert at.until(b"OK\r\n") == b"\r\nBG96\r\n\r\nOK\r\n"


def test_error_forms(port: Open) -> None:
    """bg96.md 6.2: AT+CMEE 0, 1 and 2."""
    at = port("bg96", arguments=("--sim", "absent"))
    assert at.raw("AT+CMEE=0;+CPIN?") == b"\r\nERROR\r\n"
    assert at.raw("AT+CMEE=1;+CPIN?") == b"\r\n+CME ERROR: 10\r\n"
    assert at.raw("AT+CMEE=2;+CPIN?") == b"\r\n+CME ERROR: SIM not inserted\r\n"
    assert at.ask("AT+CMEE?") == ["+CMEE: 2", "OK"]


def test_commands_in_a_chain(port: Open) -> None:
    """bg96.md 1.1: `;`, and TinyGSM's AT&FZE0; the first error ends the line."""
    at = port("bg96")
    assert at.ask("AT+CMEE=2;+CMEE?;+CGMM") == ["+CMEE: 2", "BG96", "OK"]
    assert at.raw("AT+CGMM;+NOSUCH;+CGMI") == b"\r\nBG96\r\n\r\nERROR\r\n"
    assert at.ask("AT&FZE0") == ["OK"]


def test_case_does_not_matter(port: Open) -> None:
    """bg96.md 1.1: `AT` or `at`; names too, text in quotes keeps its case."""
    at = port("bg96")
    assert at.ask("at+cgmm") == ["BG96", "OK"]
    at.ask('at+qicsgp=1,1,"InterNet"')
    assert at.ask("AT+QICSGP=1") == ['+QICSGP: 1,"InterNet","","",0', "OK"]


def test_repeat(port: Open) -> None:
    """M-AT 2.17: A/ repeats the last line and needs no CR."""
    at = port("bg96")
    first = at.raw("AT+CGMM;+CGMI")
    at.send(b"A/")
    assert at.exactly(len(first)) == first


def test_line_feeds_and_stray_ctrl_z_are_ignored(port: Open) -> None:
    """ZEPH sends Ctrl-Z after a payload, others end lines with CR LF."""
    at = port("ml307r")
    at.send(b"\x1aAT\r\n\nAT+CGMI\r\n")
    assert at.exactly(20) == b"\r\nOK\r\n\r\nCMCC\r\n\r\nOK\r\n"


def test_backspace_edits(port: Open) -> None:
    """V.250 S5: somebody types."""
    at = port("bg96")
    assert at.ask("AT+CGMX\x08M") == ["BG96", "OK"]


def test_unknown_and_broken_lines(port: Open) -> None:
    """bg96.md 1.1: ERROR; ml307r.md 6 row 1: a quote never closed cannot be parsed."""
    at = port("ml307r")
    for line in ("AT+NOSUCH", "AT+NOSUCH=1", "AT+", "AT&", "AT?", 'AT+MIPOPEN=0,"TCP', "AT+CSQ?x", "AT+CNMP?"):
        assert at.raw(line) == b"\r\nERROR\r\n", line


def test_overlong_line(port: Open) -> None:
    """A line beyond any buffer is one ERROR, and the next one works."""
    at = port("bg96")
    assert at.raw("AT+" + "X" * 100_000) == b"\r\nERROR\r\n"
    assert at.raw("AT") == b"\r\nOK\r\n"


def test_commands_sent_together_are_answered_in_turn(port: Open) -> None:
    """docs/simulator.md: input during a command is kept."""
    at = port("bg96")
    at.send(b"AT+CGMM\rAT+CGMI\rAT+CGMR\r")
    answers = b"\r\nBG96\r\n\r\nOK\r\n\r\nQuectel\r\n\r\nOK\r\n\r\nBG96MAR02A07M1G\r\n\r\nOK\r\n"
    assert at.exactly(len(answers)) == answers


def test_profile(port: Open) -> None:
    """M-AT 12.3: AT&W keeps echo and the like, not CMEE; ATZ brings it back, AT&F the factory's."""
    at = port("bg96")
    at.ask("AT+CMEE=2;&W")
    at.ask("ATE1")
    assert at.raw("ATZ") == b"ATZ\r\r\nOK\r\n"
    assert at.raw("AT+CMEE?") == b"\r\n+CMEE: 1\r\n\r\nOK\r\n"
    assert at.raw("AT&F") == b"\r\nOK\r\n"
    assert at.raw("AT") == b"AT\r\r\nOK\r\n"
