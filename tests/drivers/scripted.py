"""A modem made of a table, for what the simulator cannot show: messages that never come, answers no manual allows."""

import asyncio
from collections.abc import Mapping
import os
import re

from custom_components.cellular_uplink.modem.errors import LinkError

type Answers = Mapping[str, str | list[str]]

BG96: Answers = {
    "AT": "OK",
    "ATE0": "OK",
    "AT+CSQ": "+CSQ: 20,99|OK",
    "AT+CGMI": "Quectel|OK",
    "AT+CGMM": "BG96|OK",
    "AT+CGMR": "BG96MAR02A07M1G|OK",
    "AT+CGSN": "490154203237518|OK",
    "AT+QCCID": "+QCCID: 8934071400006151466|OK",
    "AT+CPIN?": "+CPIN: READY|OK",
    "AT+COPS?": '+COPS: 0,2,"26201",8|OK',
    "AT+CEREG?": "+CEREG: 2,1|OK",
}
"""Enough for a session to bring a Quectel up."""


class ScriptedModem:
    """Answers from a table, without echo; what is not in it is ERROR.

    An answer is its lines, joined by `|`, and may go on with what the modem says by itself; `""` is silence. A list
    is used up one by one, its last answer stays. One that starts with `>` asks for the payload first.
    """

    def __init__(self, answers: Answers) -> None:
        self.answers = {command: [reply] if isinstance(reply, str) else [*reply] for command, reply in answers.items()}
        self.heard: list[str] = []
        self.payloads: list[bytes] = []
        self._buffer = b""
        self._missing = 0
        self._after_payload = ""

    def take(self, data: bytes) -> bytes:
        """Return what the modem says to these bytes."""
        self._buffer += data
        said = b""
        while self._buffer:
            if self._missing:
                if len(self._buffer) < self._missing:
                    break
                self.payloads.append(self._buffer[: self._missing])
                self._buffer, self._missing = self._buffer[self._missing :], 0
                said += framed(self._after_payload)
                continue
            line, end, rest = self._buffer.partition(b"\r")
            if not end:
                break
            self._buffer = rest
            if line:
                said += self._reply(line.decode("latin-1"))
        return said

    def _reply(self, line: str) -> bytes:
        self.heard.append(line)
        replies = self.answers.get(line, ["ERROR"])
        reply = replies.pop(0) if len(replies) > 1 else replies[0]
        if not reply.startswith(">"):
            return framed(reply)
        count = re.search(r"=\d+(?:,\d+)*,(\d+)$", line)
        assert count is not None
        self._missing, self._after_payload = int(count[1]), reply[2:]
        return b"\r\n> "


def framed(reply: str) -> bytes:
    """Return lines as a modem frames them."""
    return b"".join(b"\r\n%s\r\n" % line.encode("latin-1") for line in reply.split("|") if reply)


class ScriptedStream:
    """The scripted modem behind a channel's byte stream."""

    def __init__(self, answers: Answers) -> None:
        self.modem = ScriptedModem(answers)
        self._incoming: asyncio.Queue[bytes | None] = asyncio.Queue()

    def say(self, *lines: str) -> None:
        """Let the modem speak unasked."""
        for line in lines:
            self._incoming.put_nowait(framed(line))

    def unplug(self) -> None:
        """Take the port away."""
        self._incoming.put_nowait(None)

    async def read(self) -> bytes:
        data = await self._incoming.get()
        if data is None:
            raise LinkError("port_lost", "gone")
        return data

    async def write(self, data: bytes) -> None:
        if said := self.modem.take(data):
            self._incoming.put_nowait(said)

    async def heard(self, line: str, times: int = 1) -> None:
        """Wait until the modem was asked this so often."""
        while self.modem.heard.count(line) < times:
            await asyncio.sleep(0)


class ScriptedPort:
    """The scripted modem, or any other device, behind a serial port of the system; used inside the event loop."""

    def __init__(self, answers: Answers) -> None:
        self.modem = ScriptedModem(answers)
        self._ours, self._theirs = os.openpty()
        self.path = os.ttyname(self._theirs)
        asyncio.get_running_loop().add_reader(self._ours, self._read)

    def _read(self) -> None:
        if said := self.hear(os.read(self._ours, 65536)):
            self.say(said)

    def hear(self, data: bytes) -> bytes:
        """Return what the device says to these bytes."""
        return self.modem.take(data)

    def say(self, data: bytes) -> None:
        """Let the device speak unasked."""
        os.write(self._ours, data)

    def unplug(self) -> None:
        """Take the port away."""
        if self._ours >= 0:
            asyncio.get_running_loop().remove_reader(self._ours)
            os.close(self._ours)
            os.close(self._theirs)
            self._ours = -1
