"""The line and the process: pace, speed, latency, boot, trace, end."""

import asyncio
import json
import os
from pathlib import Path
import select
import signal
import subprocess
import sys

from hypothesis import HealthCheck, given, settings, strategies as st
import pytest

from simulator.options import parse
from simulator.process import SimulatedModem

from .conftest import ROOT, Open, Start
from .plain_at import Peer, Port, receive


def test_reply_takes_its_time(start: Start) -> None:
    """bg96.md 6.3: 8N1, ten bits a byte; the reply waits for the latency."""
    simulator = start("bg96", baud="9600", latency_ms="30")
    at = Port(simulator.path, 9600)
    at.raw("ATE0")
    at.raw("ATI")
    at.close()
    simulator.wait_for("Quectel")
    wire = simulator.wire()
    asked = next(when for when, text in wire if text == "host> ATI\\r")
    answered = next(when for when, text in wire if "Quectel" in text)
    answer = len(b"\r\nQuectel\r\nBG96\r\nRevision: BG96MAR02A07M1G\r\n\r\nOK\r\n")
    assert answered - asked >= 0.030 + answer * 10 / 9600 - 0.0005


def test_payload_takes_its_time(start: Start, peer: Peer) -> None:
    """The pace holds over a long payload, whatever the host's buffer took at once."""
    simulator = start("ml307r", baud="115200")
    at = Port(simulator.path)
    at.raw("ATE0")
    at.ask(f'AT+MIPOPEN=0,"TCP","127.0.0.1",{peer.port}')
    at.urc("+MIPOPEN:")
    at.send(b"AT+MIPSEND=0,4000\r")
    at.until(b">")
    at.send(b"x" * 4000)
    at.until(b"OK\r\n")
    at.close()
    simulator.wait_for("<4000 bytes>")
    wire = simulator.wire()
    prompted = next(when for when, text in wire if text == "modem< \\r\\n>")
    paid = next(when for when, text in wire if text == "host> <4000 bytes>")
    assert paid - prompted >= 4000 * 10 / 115200 - 0.001


def test_wrong_speed_is_not_understood(start: Start) -> None:
    """What is sent at another rate arrives as garbage: ATE0 has no effect."""
    simulator = start("bg96", baud="115200")
    at = Port(simulator.path, 9600)
    at.send(b"ATE0\r")
    simulator.wait_for("(ignored)")
    at.speed(115200)
    assert at.raw("AT").endswith(b"AT\r\r\nOK\r\n")
    at.close()


def test_wrong_speed_reads_garbage(start: Start) -> None:
    """What the modem sends at another rate is garbage, too."""
    simulator = start("bg96", baud="115200", latency_ms="300")
    at = Port(simulator.path, 115200)
    at.send(b"AT\r")
    assert at.exactly(3) == b"AT\r"
    at.speed(9600)
    assert b"OK" not in at.exactly(6)
    at.close()


def test_rate_changes_after_the_ok(start: Start) -> None:
    """M-AT 3.5: the OK still comes at the old rate."""
    simulator = start("bg96", baud="115200")
    at = Port(simulator.path, 115200)
    at.raw("ATE0")
    assert at.ask("AT+IPR=921600") == ["OK"]
    at.speed(921600)
    assert at.ask("AT+IPR?") == ["+IPR: 921600", "OK"]
    assert at.ask("AT+IPR=123") == ["ERROR"]
    at.close()


def test_autobaud(start: Start) -> None:
    """ml307r.md 2: silent, no +MATREADY, until it has seen AT."""
    simulator = start("ml307r", "--set", "autobaud=yes", "--set", "boot=yes", "--set", "boot_s=0", baud="115200")
    at = Port(simulator.path, 57600)
    while not select.select([at.fd], [], [], 0.2)[0]:
        at.send(b"AT\r")
    assert at.until(b"OK\r\n").startswith(b"AT\r\r\nOK")
    assert "modem found 57600 baud" in simulator.trace.read_text(encoding="ascii")
    assert "MATREADY" not in simulator.trace.read_text(encoding="ascii")
    at.close()


def test_reboot_of_a_bg96(port: Open) -> None:
    """bg96.md 6.3 and 6.4: CFUN=1,1; boot lines beyond RDY follow the URC port, which is stored."""
    at = port("bg96", "boot_s=0.1", "search_s=0", echo=True)
    at.ask('AT+QURCCFG="urcport","uart1"')
    at.ask("ATE0")
    assert at.ask("AT+CFUN=1,1") == ["OK"]
    lines = ["POWERED DOWN", "RDY", "APP RDY", "+CFUN: 1", "+CPIN: READY", "+QUSIM: 1"]
    lines += ["+QIND: SMS DONE", "+QIND: PB DONE"]
    expected = "".join(f"\r\n{line}\r\n" for line in lines).encode()
    assert at.exactly(len(expected)) == expected
    assert at.raw("AT") == b"AT\r\r\nOK\r\n"


def test_reboot_of_an_ml307r(port: Open) -> None:
    """ml307r.md 2: MREBOOT, +MATREADY; packet data is dialled again."""
    at = port("ml307r", "boot_s=0.1", "search_s=0")
    assert at.ask("AT+MREBOOT=0") == ["OK"]
    assert at.urc("REBOOTING") == "REBOOTING"
    assert at.urc("+MATREADY") == "+MATREADY"
    assert at.urc("+MIPCALL:").startswith("+MIPCALL: 1,1,")


def test_boot_at_the_start(start: Start) -> None:
    """bg96.md 6.4: silence, then RDY and APP RDY; the rest only with the URC port."""
    simulator = start("bg96", "--set", "boot=yes", "--set", "boot_s=0.1", "--set", "search_s=0")
    simulator.wait_for("APP RDY")
    at = Port(simulator.path)
    assert at.raw("AT").endswith(b"AT\r\r\nOK\r\n")
    at.close()
    said = [text for _, text in simulator.wire() if text.startswith("modem<")]
    assert said[:3] == ["modem< \\r\\nRDY\\r\\n", "modem< \\r\\nAPP RDY\\r\\n", "modem< AT\\r"]


@pytest.mark.parametrize(("switch", "got"), [("accept", b"early"), ("drop", b"later")])
def test_payload_before_its_prompt(start: Start, peer: Peer, switch: str, got: bytes) -> None:
    """ml307r.md 6 row 1: early_data."""
    simulator = start("ml307r", "--set", f"early_data={switch}", "--set", "cmee=1", latency_ms="200")
    at = Port(simulator.path)
    at.raw("ATE0")
    at.ask(f'AT+MIPOPEN=0,"TCP","127.0.0.1",{peer.port}')
    at.urc("+MIPOPEN:")
    far = peer.accept()
    at.send(b"AT+MIPSEND=0,5\rearly")
    at.until(b">")
    at.send(b"later")
    at.until(b"OK\r\n")
    assert receive(far, 5) == got
    at.close()


async def test_in_this_process(tmp_path: Path) -> None:
    """SimulatedModem serves tests that have a loop of their own."""
    options = parse(["--modem", "bg96", "--baud", "unpaced", "--link", str(tmp_path / "modem")])
    loop = asyncio.get_running_loop()
    async with SimulatedModem(options) as modem:
        at = Port(modem.port)
        answer = b""
        at.send(b"AT+CGMM\r")
        while not answer.endswith(b"OK\r\n"):
            readable = loop.create_future()
            loop.add_reader(at.fd, readable.set_result, None)
            await readable
            loop.remove_reader(at.fd)
            answer += os.read(at.fd, 1000)
        at.close()
    assert answer == b"AT+CGMM\r\r\nBG96\r\n\r\nOK\r\n"
    assert not (tmp_path / "modem").is_symlink()


def test_port_can_be_opened_again(start: Start) -> None:
    """What nobody took is not kept for the next host."""
    simulator = start("bg96")
    for _ in range(3):
        at = Port(simulator.path)
        assert at.raw("AT").endswith(b"OK\r\n")
        at.send(b"ATI\r")
        at.until(b"BG96")
        at.close()
    at = Port(simulator.path)
    assert at.raw("AT+CGMM") == b"AT+CGMM\r\r\nBG96\r\n\r\nOK\r\n"
    at.close()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_it(start: Start, tmp_path: Path, number: signal.Signals) -> None:
    """Issue 2: status 0, no link left, and a host that has the port open finds it gone."""
    link = tmp_path / "modem"
    link.symlink_to("/nowhere")
    simulator = start("bg96", "--link", str(link))
    assert simulator.path == str(link)
    at = Port(simulator.path)
    at.raw("AT")
    simulator.process.send_signal(number)
    assert simulator.process.wait(timeout=30) == 0
    assert not link.is_symlink()
    while os.read(at.fd, 100):
        pass  # what was still under way; then a port that is gone reads as ended
    with pytest.raises(OSError, match="Input/output"):
        os.write(at.fd, b"AT\r")
    at.close()


def test_trace(start: Start, peer: Peer) -> None:
    """docs/simulator.md: one line a command, a reply or a payload, in order of time."""
    simulator = start("bg96", "--set", "urc_port=uart1")
    at = Port(simulator.path)
    at.raw("ATE0")
    at.raw("AT+QIACT=1")
    at.raw(f'AT+QIOPEN=1,0,"TCP","127.0.0.1",{peer.port},0,0')
    at.urc("+QIOPEN:")
    at.send(b"AT+QISEND=0,4\r")
    at.until(b"> ")
    at.send(b"\x00\x01\r\n")
    at.until(b"SEND OK\r\n")
    at.raw("AT+CSQ")
    at.close()
    simulator.wait_for("+CSQ: ")
    wire = simulator.wire()
    texts = [text for _, text in wire]
    assert texts[0] == "host> ATE0\\r" or texts[1] == "host> ATE0\\r"
    assert texts[texts.index("host> AT+QISEND=0,4\\r") :] == [
        "host> AT+QISEND=0,4\\r",
        "modem< \\r\\n> ",
        "host> <4 bytes>",
        "modem< \\r\\nSEND OK\\r\\n",
        "host> AT+CSQ\\r",
        "modem< \\r\\n+CSQ: 21,99\\r\\n\\r\\nOK\\r\\n",
    ]


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (["--modem", "sim800"], "sim800"),
        (["--modem", "bg96", "--baud", "fast"], "unpaced"),
        (["--modem", "bg96", "--latency-ms", "-1"], "milliseconds"),
        (["--modem", "bg96", "--set", "nosuch=1"], "nosuch"),
        (["--modem", "bg96", "--set", "mipsend_urc=no"], "mipsend_urc"),
        (["--modem", "bg96", "--set", "prompt_space=perhaps"], "yes|no"),
        (["--modem", "bg96", "--imei", "12x"], "digits"),
        (["--modem", "bg96", "--link", "/proc/self/stat"], "in the way"),
        (["--modem", "bg96", "--trace", "/nowhere/at/all"], "folder"),
        ([], "--modem"),
    ],
)
def test_bad_arguments(arguments: list[str], complaint: str) -> None:
    """Issue 2: a clear message and status 2."""
    command = [sys.executable, "-m", "simulator", *arguments]
    ended = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=30, check=False)
    assert ended.returncode == 2
    assert ended.stdout == ""
    assert complaint in ended.stderr
    assert "Traceback" not in ended.stderr


def test_help_lists_the_switches() -> None:
    """docs/simulator.md points here."""
    command = [sys.executable, "-m", "simulator", "--help"]
    text = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=30, check=True).stdout
    assert "urc_port=usbat|usbmodem|uart1" in text


def test_ready_line_is_one_json_object(start: Start) -> None:
    """Issue 2: {"port": ..., "pid": ...} and nothing more."""
    simulator = start("bg96")
    simulator.process.send_signal(signal.SIGTERM)
    assert simulator.process.stdout is not None
    assert simulator.process.stdout.read() == b""
    assert json.dumps({"port": simulator.path})


_PIECES = st.one_of(
    st.binary(max_size=200),
    st.sampled_from(
        [b"AT", b"at+", b"A/", b"\r", b"\n", b'"', b";", b",", b"=", b"?", b"=?", b"\x1a", b"\x1b", b"+++", b"\x00"]
    ),
    st.sampled_from(
        [b"AT+QIOPEN=1,0,", b"AT+QISEND=0,1460", b"AT+MIPSEND=0,", b"AT+MIPOPEN=0,", b"AT+CPIN=", b"ATV0\r", b"ATQ1\r"]
    ),
    st.integers(min_value=1, max_value=30_000).map(lambda count: b"AT+" + b"y" * count),
)


@pytest.mark.parametrize("model", ["bg96", "ml307r"])
@settings(max_examples=25, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(pieces=st.lists(_PIECES, max_size=12))
def test_garbage_leaves_it_answering(port: Open, model: str, pieces: list[bytes]) -> None:
    """Issue 3: hostile input never ends or blocks it."""
    at = _kept(port, model)
    at.send(b"".join(pieces))
    at.send(b"\x1b\x1a\rATQ0V1E0\rAT+CGMM\r")
    at.until({"bg96": b"\r\nBG96\r\n\r\nOK\r\n", "ml307r": b"\r\nML307R\r\n\r\nOK\r\n"}[model])


_KEPT: dict[tuple[int, str], Port] = {}


def _kept(port: Open, model: str) -> Port:
    """One simulator for all examples of a test."""
    key = (id(port), model)
    if key not in _KEPT:
        _KEPT[key] = port(model)
    return _KEPT[key]
