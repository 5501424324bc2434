"""A simulator with its control channel, for the tests' own clients."""

import json
import subprocess
from typing import Any

from .conftest import Start
from .plain_at import Port, SimulatorProcess


class Control:
    """The control channel on standard input and output."""

    def __init__(self, process: subprocess.Popen[bytes]) -> None:
        assert process.stdin
        assert process.stdout
        self._in, self._out = process.stdin, process.stdout

    def line(self, raw: bytes) -> dict[str, Any]:
        """The answer to a line."""
        self._in.write(raw + b"\n")
        self._in.flush()
        answer = json.loads(self._out.readline())
        assert isinstance(answer, dict)
        return answer

    def ask(self, **request: object) -> dict[str, Any]:
        """The answer to a request."""
        return self.line(json.dumps(request).encode())

    def do(self, **request: object) -> dict[str, Any]:
        """The answer to a request that must succeed."""
        answer = self.ask(**request)
        assert answer["ok"] is True, answer
        return answer

    def fault(self, name: str, **given: object) -> None:
        """Begin a fault."""
        self.do(fault=name, **given)


class Bench:
    """A simulator, its port and its control channel."""

    def __init__(self, start: Start, model: str, *arguments: str, echo: bool = False, latency_ms: str = "0") -> None:
        self.simulator: SimulatorProcess = start(model, "--control", "-", *arguments, latency_ms=latency_ms)
        self.control = Control(self.simulator.process)
        self.at = Port(self.simulator.path)
        if not echo:
            assert self.at.raw("ATE0+CMEE=1").endswith(b"\r\nOK\r\n")

    def open_socket(self, port: int, number: int = 0) -> None:
        """A TCP connection with the model's own commands, to loopback."""
        if self.at.ask("AT+CGMM")[0] == "BG96":
            self.at.ask('AT+QICSGP=1,1,"a"')
            self.at.ask("AT+QIACT=1")
            assert self.at.ask(f'AT+QIOPEN=1,{number},"TCP","127.0.0.1",{port},0,0') == ["OK"]
            assert self.at.urc("+QIOPEN:") == f"+QIOPEN: {number},0"
        else:
            assert self.at.ask(f'AT+MIPOPEN={number},"TCP","127.0.0.1",{port},60,0') == ["OK"]
            assert self.at.urc("+MIPOPEN:") == f"+MIPOPEN: {number},0"

    def close(self) -> None:
        self.at.close()
