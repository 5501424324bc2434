"""Flow control and sleep: bg96.md 6.3 and 10 (9), ml307r.md 2."""

import termios

import pytest

from .conftest import Open, OpenBench
from .plain_at import Peer, receive


def test_overrun(bench: OpenBench, peer: Peer) -> None:
    """bg96.md 10 (9): without flow control, bytes above the modem's rate are lost."""
    arguments = ("overrun=unflowed", "uart_buffer_bytes=1000", "uart_drain_bytes_s=1000")
    one = bench("ml307r", *(item for name in arguments for item in ("--set", name)))
    one.open_socket(peer.port)
    peer.accept()
    one.at.ask('AT+MIPCFG="timeout",0,1')
    one.at.send(b"AT+MIPSEND=0,8000\r")
    one.at.until(b">")
    one.at.send(b"x" * 8000)
    line = one.at.urc("+MIPSEND:")
    assert int(line.removeprefix("+MIPSEND: 0,")) < 8000
    assert one.control.do(state=True)["bytes_lost"] > 1000


@pytest.mark.parametrize("hardware", [True, False])
def test_flow_control_saves_it(bench: OpenBench, peer: Peer, hardware: bool) -> None:
    """M-AT 3.3: AT+IFC=2,2 and CRTSCTS on the host's side; either alone is not enough."""
    arguments = ("overrun=unflowed", "uart_buffer_bytes=64", "uart_drain_bytes_s=1000")
    one = bench("bg96", *(item for name in arguments for item in ("--set", name)))
    assert one.at.ask("AT+IFC=2,2") == ["OK"]
    assert one.at.ask("AT+IFC?") == ["+IFC: 2,2", "OK"]
    if hardware:
        attributes = termios.tcgetattr(one.at.fd)
        attributes[2] |= termios.CRTSCTS
        termios.tcsetattr(one.at.fd, termios.TCSANOW, attributes)
    one.at.send(b" " * 3000 + b"\rAT\r")
    while (state := one.control.do(state=True))["bytes_in"] < 3000:
        pass
    assert (state["bytes_lost"] == 0) is hardware


def test_no_loss_by_default(port: Open, peer: Peer) -> None:
    """What does not fit is held back, as by RTS."""
    at = port("ml307r")
    at.ask(f'AT+MIPOPEN=0,"TCP","127.0.0.1",{peer.port}')
    at.urc("+MIPOPEN:")
    far = peer.accept()
    at.send(b"AT+MIPSEND=0,8000\r")
    at.until(b">")
    at.send(bytes(8000))
    at.until(b"OK\r\n")
    assert receive(far, 8000) == bytes(8000)


def test_sleep_of_an_ml307r(bench: OpenBench) -> None:
    """ml307r.md 2 (FLOW, ZEPH, esp): deaf while asleep, the first bytes are lost, 0xE0 and +MATREADY on waking."""
    one = bench("ml307r", "--set", "sleep_after_s=0.05", "--set", "wake_matready=yes")
    one.simulator.wait_for("# asleep")
    one.at.send(b"AT+CSQ\r")
    assert one.at.until(b"READY\r\n") == b"\xe0\r\n+MATREADY\r\n"
    state = one.control.do(state=True)
    assert (state["asleep"], state["bytes_lost"]) == (False, 7)
    assert one.at.raw("AT+CGMM").endswith(b"ML307R\r\n\r\nOK\r\n")


def test_sleep_mode_off(bench: OpenBench) -> None:
    """ml307r.md 2: AT+MLPMCFG="sleepmode",0,0 keeps it awake."""
    one = bench("ml307r", "--set", "sleep_after_s=0.2")
    assert one.at.ask('AT+MLPMCFG="sleepmode",0,0') == ["OK"]
    assert one.at.ask('AT+MLPMCFG="sleepmode"') == ['+MLPMCFG: "sleepmode",0', "OK"]
    one.control.fault("inject", text="WAIT", where="now")
    one.at.until(b"WAIT\r\n")
    one.control.fault("freeze", seconds=0.4, input="kept")
    assert one.at.ask("AT") == ["OK"]
    assert one.control.do(state=True)["asleep"] is False


def test_sleep_of_a_bg96(bench: OpenBench) -> None:
    """bg96.md 6.3 (M-AT 11.5): AT+QSCLK=1 and DTR high; the line is quiet until DTR is low."""
    one = bench("bg96", "--set", "sleep_after_s=0.02", "--set", "urc_port=uart1")
    assert one.at.ask("AT+QSCLK=1") == ["OK"]
    assert one.at.ask("AT+QSCLK?") == ["+QSCLK: 1", "OK"]
    one.control.do(dtr="high")
    one.simulator.wait_for("# asleep")
    one.at.send(b"AT+CSQ\r")
    one.simulator.wait_for("asleep: 7 bytes lost")
    one.control.do(urc="RING")
    one.control.do(dtr="low")
    assert one.at.exactly(8) == b"\r\nRING\r\n"
    assert one.at.ask("AT") == ["OK"]
