"""The control channel: JSON lines that tell a running simulator what happens to it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
import contextlib
import json
import os
from pathlib import Path
import stat
import sys
from typing import TYPE_CHECKING

from simulator.faults import FaultError, read
from simulator.options import SimStart, Target

if TYPE_CHECKING:
    from simulator.modem import Modem

_LINE_LIMIT = 65536
_SIGNAL = ("rssi_dbm", "rsrp_dbm", "rsrq_db", "sinr_db")


class ControlError(ValueError):
    """A request that cannot be carried out."""


class Control:
    """Carries out requests, one JSON object each."""

    def __init__(self, modem: Modem) -> None:
        self._modem = modem
        self._requests: dict[str, Callable[[Mapping[str, object]], dict[str, object] | None]] = {
            "fault": self._fault,
            "clear": self._clear,
            "state": self._state,
            "unplug": lambda _: self._modem.line.unplug(),
            "replug": self._replug,
            "reboot": lambda _: self._modem.reboot(None),
            "power_on": self._power_on,
            "unfreeze": lambda _: self._modem.faults.clear("freeze"),
            "registration": self._registration,
            "signal": self._signal,
            "sim": self._sim,
            "urc": self._urc,
            "dtr": self._dtr,
        }

    def answer(self, line: bytes) -> bytes:
        """The line that answers a line."""
        try:
            result = self._carry_out(json.loads(line)) or {}
        except (ControlError, FaultError) as error:
            result = {"ok": False, "error": str(error)}
        except ValueError, RecursionError:
            result = {"ok": False, "error": "not a line of JSON"}
        else:
            result = {"ok": True} | result
        return json.dumps(result).encode() + b"\n"

    def _carry_out(self, request: object) -> dict[str, object] | None:
        if not isinstance(request, dict):
            raise ControlError("a request is a JSON object")
        known = [key for key in request if key in self._requests]
        if len(known) != 1:
            raise ControlError(f"a request has one of {', '.join(self._requests)}")
        return self._requests[known[0]](request)

    def _fault(self, request: Mapping[str, object]) -> None:
        name, given = read(request["fault"], {key: value for key, value in request.items() if key != "fault"})
        self._modem.faults.set(name, given)

    def _clear(self, request: Mapping[str, object]) -> None:
        if request["clear"] is True:
            self._modem.faults.clear_all()
        else:
            name, _ = read(request["clear"], {})
            self._modem.faults.clear(name)

    def _state(self, request: Mapping[str, object]) -> dict[str, object]:
        del request
        modem = self._modem
        return {
            "model": modem.options.model,
            "firmware": modem.options.firmware,
            "port": modem.line.port,
            "plugged": modem.line.is_plugged,
            "baud": modem.line.baud or "unpaced",
            "power": modem.power,
            "mux": modem.mux is not None,
            "asleep": modem.sleep.asleep,
            "sim": modem.sim.card.value,
            "registration": modem.registration.status.name.lower(),
            "contexts": modem.active_contexts(),
            "faults": modem.faults.active,
            "bytes_in": modem.faults.bytes_in,
            "bytes_out": modem.line.bytes_out,
            "bytes_lost": modem.overrun.lost + modem.sleep.lost,
        }

    def _replug(self, request: Mapping[str, object]) -> dict[str, object]:
        del request
        self._modem.faults.clear("unplug")
        self._modem.line.plug()
        return {"port": self._modem.line.port}

    def _power_on(self, request: Mapping[str, object]) -> None:
        del request
        if self._modem.power != "off":
            raise ControlError("the modem is on")
        self._modem.reboot(None)

    def _registration(self, request: Mapping[str, object]) -> None:
        try:
            target = Target(request["registration"])
        except ValueError:
            raise ControlError(f"registration takes {'|'.join(item.value for item in Target)}") from None
        self._modem.registration.aim(target)

    def _sim(self, request: Mapping[str, object]) -> None:
        try:
            start = SimStart(request["sim"])
        except ValueError:
            raise ControlError(f"sim takes {'|'.join(item.value for item in SimStart)}") from None
        self._modem.sim.put(start)

    def _signal(self, request: Mapping[str, object]) -> None:
        values = request["signal"]
        if not isinstance(values, dict) or values.keys() - set(_SIGNAL):
            raise ControlError(f"signal takes an object with {', '.join(_SIGNAL)}")
        for value in values.values():
            if value is not None and (isinstance(value, bool) or not isinstance(value, int) or abs(value) > 1000):
                raise ControlError("a signal value is a whole number or null")
        self._modem.signal.change(values)

    def _urc(self, request: Mapping[str, object]) -> None:
        text = request["urc"]
        if not isinstance(text, str):
            raise ControlError("urc takes text")
        self._modem.urc(text)

    def _dtr(self, request: Mapping[str, object]) -> None:
        if request["dtr"] not in {"low", "high"}:
            raise ControlError("dtr takes low|high")
        self._modem.sleep.set_dtr(high=request["dtr"] == "high")


class ControlServer:
    """Takes requests on a Unix socket, from any number of clients, or on standard input."""

    def __init__(self, control: Control, path: str) -> None:
        self._control = control
        self._path = path
        self._server: asyncio.Server | None = None
        self._clients: set[asyncio.StreamWriter] = set()
        self._reader: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Be ready for requests."""
        if self._path == "-":
            self._reader = asyncio.create_task(self._standard_input())
            return
        _clear_the_way(self._path)
        self._server = await asyncio.start_unix_server(self._client, self._path, limit=_LINE_LIMIT)

    async def stop(self) -> None:
        """Take no more."""
        if self._reader:
            self._reader.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._reader
        if self._server:
            self._server.close()
            for writer in list(self._clients):
                writer.close()
            await self._server.wait_closed()
            _clear_the_way(self._path)

    async def _client(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._clients.add(writer)
        try:
            while True:
                try:
                    line = await reader.readline()
                except ValueError:  # longer than the limit
                    break
                if not line:
                    break
                if line.strip():
                    writer.write(self._control.answer(line))
                    await writer.drain()
        except OSError:
            pass
        finally:
            self._clients.discard(writer)
            writer.close()

    async def _standard_input(self) -> None:
        loop = asyncio.get_running_loop()
        fd = sys.stdin.fileno()
        ended = asyncio.Event()
        held = bytearray()

        def take() -> None:
            data = os.read(fd, _LINE_LIMIT)
            if not data:
                loop.remove_reader(fd)
                ended.set()
            held.extend(data)
            *lines, rest = bytes(held).split(b"\n")
            held[:] = rest[:_LINE_LIMIT]
            for line in lines:
                self._say(line)

        try:
            loop.add_reader(fd, take)
        except OSError:  # a file: epoll does not take it, and it is always readable
            for line in await asyncio.to_thread(sys.stdin.buffer.readlines):
                self._say(line)
            return
        try:
            await ended.wait()
        finally:
            loop.remove_reader(fd)

    def _say(self, line: bytes) -> None:
        if line.strip():
            sys.stdout.buffer.write(self._control.answer(line))
            sys.stdout.buffer.flush()


def _clear_the_way(path: str) -> None:
    """Remove a socket that was left behind."""
    with contextlib.suppress(FileNotFoundError):
        if stat.S_ISSOCK(Path(path).lstat().st_mode):
            Path(path).unlink()
