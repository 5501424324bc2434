"""A client of the tests' own: bytes on a port, deadlines, nothing of the project."""

import os
from pathlib import Path
import re
import select
import socket
import subprocess
import termios
import time
import tty

PATIENCE_S = 30.0
FINAL = re.compile(rb"\r\n(?:OK|ERROR|SEND OK|SEND FAIL|NO CARRIER|\+CM[ES] ERROR: [^\r\n]*)\r\n")


class Port:
    """An open serial port."""

    def __init__(self, path: str, baud: int = 115200) -> None:
        self.fd = os.open(path, os.O_RDWR | os.O_NOCTTY | os.O_NONBLOCK)
        tty.setraw(self.fd)
        self.speed(baud)
        self._buffer = b""

    def close(self) -> None:
        os.close(self.fd)

    def speed(self, baud: int) -> None:
        """Set the line speed."""
        attributes = termios.tcgetattr(self.fd)
        attributes[4] = attributes[5] = getattr(termios, f"B{baud}")
        termios.tcsetattr(self.fd, termios.TCSANOW, attributes)

    def send(self, data: bytes) -> None:
        end = time.monotonic() + PATIENCE_S
        while data:
            assert select.select([], [self.fd], [], end - time.monotonic())[1], "the port takes nothing"
            data = data[os.write(self.fd, data) :]

    def _more(self, end: float) -> None:
        ready, _, _ = select.select([self.fd], [], [], max(0.0, end - time.monotonic()))
        assert ready, f"no answer; so far {self._buffer!r}"
        self._buffer += os.read(self.fd, 65536)

    def until(self, token: bytes | re.Pattern[bytes]) -> bytes:
        """Everything up to and with this token."""
        pattern = re.compile(re.escape(token)) if isinstance(token, bytes) else token
        end = time.monotonic() + PATIENCE_S
        while not (match := pattern.search(self._buffer)):
            self._more(end)
        data, self._buffer = self._buffer[: match.end()], self._buffer[match.end() :]
        return data

    def exactly(self, count: int) -> bytes:
        """That many bytes."""
        end = time.monotonic() + PATIENCE_S
        while len(self._buffer) < count:
            self._more(end)
        data, self._buffer = self._buffer[:count], self._buffer[count:]
        return data

    def raw(self, command: str) -> bytes:
        """The bytes that answer a command, up to its final result."""
        self.send(command.encode() + b"\r")
        return self.until(FINAL)

    def ask(self, command: str) -> list[str]:
        """The lines that answer a command, the result last."""
        return [line for line in self.raw(command).decode().split("\r\n") if line]

    def urc(self, start: str) -> str:
        """The next line that starts like this."""
        line = self.until(re.compile(rb"\r\n" + re.escape(start.encode()) + rb"[^\r\n]*\r\n"))
        return line.decode().strip().rsplit("\r\n", 1)[-1]


class SimulatorProcess:
    """A running simulator and its port."""

    def __init__(self, process: subprocess.Popen[bytes], ready: dict[str, str | int], trace: Path) -> None:
        self.process = process
        self.ready = ready
        self.path = str(ready["port"])
        self.trace = trace

    def wire(self) -> list[tuple[float, str]]:
        """The trace so far: time and text."""
        rows = self.trace.read_text(encoding="ascii").splitlines()
        return [(float(row[:12]), row[13:]) for row in rows if len(row) > 12]

    def wait_for(self, text: str) -> None:
        """Wait until the trace holds this text."""
        end = time.monotonic() + PATIENCE_S
        poll = select.poll()
        while text not in self.trace.read_text(encoding="ascii"):
            assert time.monotonic() < end, f"{text!r} never came into the trace"
            poll.poll(5)


class Peer:
    """A server on loopback, for one test."""

    def __init__(self, receive_buffer: int | None = None) -> None:
        self._listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        if receive_buffer:
            self._listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        self._listener.bind(("127.0.0.1", 0))
        self._listener.listen(8)
        self._listener.settimeout(PATIENCE_S)
        self.port: int = self._listener.getsockname()[1]
        self._accepted: list[socket.socket] = []

    def accept(self) -> socket.socket:
        connection, _ = self._listener.accept()
        connection.settimeout(PATIENCE_S)
        self._accepted.append(connection)
        return connection

    def close(self) -> None:
        for connection in self._accepted:
            connection.close()
        self._listener.close()


def receive(connection: socket.socket, count: int) -> bytes:
    """That many bytes from a peer's connection."""
    data = b""
    while len(data) < count:
        piece = connection.recv(count - len(data))
        assert piece, f"ended after {len(data)} bytes"
        data += piece
    return data


def reset(connection: socket.socket) -> None:
    """End a connection with RST."""
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
    connection.close()


def free_port() -> int:
    """A port where nothing listens."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
