"""Simulators in processes of their own."""

from collections.abc import Callable, Iterator
import json
from pathlib import Path
import signal
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from .plain_at import Peer, Port, SimulatorProcess

if TYPE_CHECKING:
    from .controlled import Bench

ROOT = Path(__file__).resolve().parents[2]

type Start = Callable[..., SimulatorProcess]
type Open = Callable[..., Port]
type OpenBench = Callable[..., Bench]


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    """Start a simulator; at the end of the test SIGTERM must end it with status 0."""
    running: list[SimulatorProcess] = []

    def begin(model: str, *arguments: str, baud: str = "unpaced", latency_ms: str = "0") -> SimulatorProcess:
        trace = tmp_path / f"trace{len(running)}.txt"
        command = [sys.executable, "-m", "simulator", "--modem", model, "--baud", baud]
        command += ["--latency-ms", latency_ms, "--trace", str(trace), *arguments]
        process = subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        assert process.stdout is not None
        line = process.stdout.readline()
        assert line, f"the simulator ended with status {process.wait()}"
        ready = json.loads(line)
        assert ready["pid"] == process.pid
        running.append(SimulatorProcess(process, ready, trace))
        return running[-1]

    yield begin
    for simulator in running:
        ended_before = simulator.process.poll() is not None
        simulator.process.send_signal(signal.SIGTERM)
        status = simulator.process.wait(timeout=30)
        for stream in (simulator.process.stdin, simulator.process.stdout):
            if stream:
                stream.close()
        assert ended_before or status == 0


@pytest.fixture
def port(start: Start) -> Iterator[Open]:
    """Start a simulator and open its port; echo is off unless asked for."""
    opened: list[Port] = []

    def open_port(
        model: str, *switches: str, arguments: tuple[str, ...] = (), echo: bool = False, cmee: int = 1
    ) -> Port:
        given = [item for switch in switches for item in ("--set", switch)]
        client = Port(start(model, *arguments, *given).path)
        opened.append(client)
        if not echo:
            assert client.raw(f"ATE0+CMEE={cmee}").endswith(b"\r\nOK\r\n")
        return client

    yield open_port
    for client in opened:
        client.close()


@pytest.fixture
def peer(socket_enabled: None) -> Iterator[Peer]:
    """A server on loopback."""
    server = Peer()
    yield server
    server.close()


@pytest.fixture
def bench(start: Start) -> Iterator[OpenBench]:
    """Start a simulator with its control channel and open its port; echo is off unless asked for."""
    from .controlled import Bench

    opened: list[Bench] = []

    def open_bench(model: str, *arguments: str, echo: bool = False, latency_ms: str = "0") -> Bench:
        opened.append(Bench(start, model, *arguments, echo=echo, latency_ms=latency_ms))
        return opened[-1]

    yield open_bench
    for one in opened:
        one.close()
