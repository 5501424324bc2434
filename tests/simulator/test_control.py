"""The control channel, --list, --tcp, and several simulators at once: issue 3 scope 7 and 8."""

import json
from pathlib import Path
import signal
import socket
import subprocess
import sys
import tempfile

from hypothesis import HealthCheck, given, settings, strategies as st
import pytest

from .conftest import ROOT, Open, OpenBench, Start
from .controlled import Bench
from .plain_at import PATIENCE_S, Port

# Unix sockets are not for the tests' own process, so this client is one of its own.
_CLIENT = """
import socket, sys
client = socket.socket(socket.AF_UNIX)
client.connect(sys.argv[1])
client.sendall(b'{"state": true}\\n{"fault": "drop", "at": 1}\\n')
lines = client.makefile("rb")
sys.stdout.buffer.write(lines.readline() + lines.readline())
"""


def test_unix_socket(start: Start) -> None:
    """--control PATH: several requests on one connection; the file goes with the process."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "control"
        simulator = start("bg96", "--control", str(path))
        command = [sys.executable, "-c", _CLIENT, str(path)]
        for _ in range(2):
            answer = subprocess.run(command, capture_output=True, timeout=30, check=True).stdout.splitlines()
            state, done = map(json.loads, answer)
            assert state["ok"] is True
            assert (state["model"], state["power"], state["registration"]) == ("bg96", "on", "home")
            assert done == {"ok": True}
        simulator.process.send_signal(signal.SIGTERM)
        assert simulator.process.wait(timeout=30) == 0
        assert not path.exists()


@pytest.mark.parametrize(
    ("request_line", "error"),
    [
        (b"nonsense", "not a line of JSON"),
        (b"[1]", "a request is a JSON object"),
        (b"{}", "a request has one of"),
        (b'{"fault": "gremlins"}', "no fault 'gremlins'; there are drop"),
        (b'{"fault": ["x"]}', "no fault ['x']"),
        (b'{"fault": "drop", "nth": 1}', "fault drop has no nth"),
        (b'{"fault": "drop", "at": "x"}', "drop.at takes a number, not 'x'"),
        (b'{"fault": "drop", "at": true}', "drop.at takes a number"),
        (b'{"fault": "drop", "direction": "up"}', "drop.direction takes out|in|both"),
        (b'{"fault": "delay", "seconds": NaN}', "out of range"),
        (b'{"fault": "inject"}', "inject needs a text"),
        (b'{"clear": 5}', "no fault 5"),
        (b'{"sim": "gone"}', "sim takes ready|"),
        (b'{"registration": 7}', "registration takes home|"),
        (b'{"signal": {"rssi": -70}}', "signal takes an object with rssi_dbm"),
        (b'{"signal": {"rssi_dbm": "x"}}', "a whole number or null"),
        (b'{"dtr": 1}', "dtr takes low|high"),
        (b'{"power_on": true}', "the modem is on"),
    ],
)
def test_bad_requests(shared: Bench, request_line: bytes, error: str) -> None:
    """{"ok": false, "error": ...}, and everything goes on."""
    answer = shared.control.line(request_line)
    assert answer["ok"] is False
    assert error in answer["error"]
    assert shared.at.ask("AT") == ["OK"]


_SHARED: dict[str, Bench] = {}


@pytest.fixture
def shared(bench: OpenBench) -> Bench:
    """One for each test is enough here."""
    return bench("bg96")


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(line=st.binary(max_size=300).filter(lambda data: b"\n" not in data and data.strip()))
def test_hostile_requests(bench: OpenBench, line: bytes) -> None:
    """Anything is answered."""
    if "hostile" not in _SHARED:
        _SHARED["hostile"] = bench("bg96")
    one = _SHARED["hostile"]
    answer = one.control.line(line)
    assert answer["ok"] is False
    assert one.at.ask("AT") == ["OK"]


def test_actions(bench: OpenBench) -> None:
    """registration, signal, sim, urc, reboot and power_on."""
    one = bench("bg96", "--set", "boot_s=0.01", "--set", "search_s=0", "--set", "urc_port=uart1")
    one.at.ask("AT+CEREG=1")
    one.control.do(registration="roaming")
    assert one.at.urc("+CEREG:") == "+CEREG: 5"
    one.control.do(registration="denied")
    assert one.at.urc("+CEREG:") == "+CEREG: 3"
    one.control.do(registration="home")
    assert one.at.urc("+CEREG:") == "+CEREG: 1"
    one.control.do(signal={"rssi_dbm": -113, "rsrp_dbm": None})
    assert one.at.ask("AT+CSQ;+QCSQ") == ["+CSQ: 0,99", '+QCSQ: "NOSERVICE"', "OK"]
    one.control.do(sim="failure")
    one.at.until(b"CEREG: 0\r\n")
    assert one.at.ask("AT+CPIN?") == ["+CME ERROR: 13"]
    one.control.do(sim="busy")
    assert one.at.ask("AT+CPIN?") == ["+CME ERROR: 14"]
    one.control.do(sim="ready")
    one.at.urc("+CEREG: 1")
    one.control.do(urc='+QIND: "FOTA"')
    assert one.at.urc('+QIND: "FOTA') == '+QIND: "FOTA"'
    one.at.ask("AT+QPOWD")
    assert one.at.urc("POWERED") == "POWERED DOWN"
    assert one.control.do(state=True)["power"] == "off"
    one.control.do(power_on=True)
    assert one.at.urc("RDY") == "RDY"


def test_list() -> None:
    """Issue 3 scope 8: models, firmware profiles, faults and switches, one line each."""
    command = [sys.executable, "-m", "simulator", "--list"]
    text = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=30, check=True).stdout
    for word in ("  bg96 ", "  ml307r ", "BG96MAR03A06M1G_01.005.01.005", "  stack_degraded  ", "  cmux_n1_max="):
        assert word in text, word


@pytest.mark.parametrize(
    "arguments", [("--fault", "gremlins"), ("--fault", "drop=at:x"), ("--fault", "inject"), ("--tcp", "70000")]
)
def test_bad_arguments(arguments: tuple[str, str]) -> None:
    """Status 2 and a message."""
    command = [sys.executable, "-m", "simulator", "--modem", "bg96", *arguments]
    ended = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=30, check=False)
    assert ended.returncode == 2
    assert arguments[0].removeprefix("--") in ended.stderr


def test_faults_at_the_start(start: Start) -> None:
    """NAME, NAME=VALUE, NAME=key:value and NAME={json}, several of them."""
    simulator = start("bg96", "--fault", 'inject={"text": "+A: 1,2"}', "--fault", "send_fail=3", "--fault", "split")
    at = Port(simulator.path)
    assert at.raw("AT") == b"AT\r\r\n+A: 1,2\r\n\r\nOK\r\n"
    at.close()


def test_tcp(socket_enabled: None, start: Start) -> None:
    """--tcp: socket://127.0.0.1:PORT, one client at a time, again after it left; a reset modem says so there."""
    simulator = start("bg96", "--tcp", "0", "--set", "boot_s=0.01")
    port = simulator.ready["tcp"]
    assert isinstance(port, int)
    for _ in range(2):
        with socket.create_connection(("127.0.0.1", port), PATIENCE_S) as client:
            client.sendall(b"ATI\r")
            assert _until(client, b"OK\r\n").endswith(b"Revision: BG96MAR02A07M1G\r\n\r\nOK\r\n")
            with socket.create_connection(("127.0.0.1", port), PATIENCE_S) as second:
                assert second.recv(10) == b""
    at = Port(simulator.path)
    assert at.ask("AT")[-1] == "OK"
    at.close()
    with socket.create_connection(("127.0.0.1", port), PATIENCE_S) as client:
        client.sendall(b"AT+CFUN=1,1\r")
        assert _until(client, b"RDY\r\n")


def test_tcp_follows_the_rate(socket_enabled: None, start: Start) -> None:
    """A TCP client has no rate of its own, so it always has the modem's; the pace stays."""
    simulator = start("bg96", "--tcp", "0", baud="9600")
    with socket.create_connection(("127.0.0.1", int(simulator.ready["tcp"])), PATIENCE_S) as client:
        client.sendall(b"AT+IPR=115200\r")
        assert _until(client, b"OK\r\n") == b"AT+IPR=115200\r\r\nOK\r\n"
        client.sendall(b"AT+IPR?\r")
        assert b"+IPR: 115200" in _until(client, b"OK\r\n")


def test_unplugged_tcp(socket_enabled: None, bench: OpenBench) -> None:
    """Unplugging ends the connection; after replugging a new one works."""
    one = bench("bg96", "--tcp", "0")
    port = int(one.simulator.ready["tcp"])
    one.at.close()
    with socket.create_connection(("127.0.0.1", port), PATIENCE_S) as client:
        client.sendall(b"AT\r")
        _until(client, b"OK\r\n")
        one.control.do(unplug=True)
        assert client.recv(10) == b""
    answer = one.control.do(replug=True)
    with socket.create_connection(("127.0.0.1", port), PATIENCE_S) as client:
        client.sendall(b"AT\r")
        _until(client, b"OK\r\n")
    one.at = Port(answer["port"])


def _until(client: socket.socket, token: bytes) -> bytes:
    data = b""
    while token not in data:
        piece = client.recv(4096)
        assert piece, data
        data += piece
    return data


def test_several_at_once(port: Open) -> None:
    """Each has a port and a state of its own."""
    clients = [port(model, f"plmn=2620{index}") for index, model in enumerate(("bg96", "ml307r", "bg96"))]
    for client in clients:
        client.send(b"AT+COPS=3,2;+COPS?\r")
    for index, client in enumerate(clients):
        assert f'"2620{index}"'.encode() in client.until(b"OK\r\n")
