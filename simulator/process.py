"""A simulated modem as a thing with a port."""

import asyncio
import contextlib
import os
from pathlib import Path
from types import TracebackType
from typing import Self

from simulator.bg96 import Bg96
from simulator.bridge import Bridge
from simulator.clock import Timers
from simulator.control import Control, ControlServer
from simulator.line import Line
from simulator.ml307r import Ml307r
from simulator.modem import Modem
from simulator.options import Options
from simulator.switches import BG96, ML307R
from simulator.trace import Trace

_MODELS: dict[str, type[Modem]] = {BG96: Bg96, ML307R: Ml307r}


class SimulatedModem:
    """`async with SimulatedModem(options) as modem:` runs it in this process; `modem.port` is the port."""

    def __init__(self, options: Options) -> None:
        self._options = options
        self._task: asyncio.Task[None] | None = None
        self._target: str | None = None

    async def __aenter__(self) -> Self:
        """Open the port and start."""
        options = self._options
        self._timers = Timers(asyncio.get_running_loop())
        self._trace = Trace(options.trace)
        self._line = Line(self._timers, self._trace, options.baud)
        self.modem = _MODELS[options.model](options, self._line, self._timers, self._trace)
        self.port = self._line.port
        self.tcp: int | None = None
        self._line.plugged.append(self._show)
        self._line.unplugged.append(self._unlink)
        self._show()
        self._task = asyncio.create_task(self.modem.run())
        await asyncio.sleep(0)
        self.control = Control(self.modem)
        self._control_server: ControlServer | None = None
        self._bridge: Bridge | None = None
        try:
            if options.tcp is not None:
                self._bridge = Bridge(self._line)
                await self._bridge.start(options.tcp)
                self.tcp = self._bridge.port
            if options.control and options.control != "-":
                self._control_server = ControlServer(self.control, options.control)
                await self._control_server.start()
        except OSError:
            await self.__aexit__(None, None, None)
            raise
        return self

    async def listen_to_input(self) -> None:
        """Take requests from standard input, if that was asked for."""
        if self._options.control == "-":
            self._control_server = ControlServer(self.control, "-")
            await self._control_server.start()

    def _show(self) -> None:
        """Let the link show the port."""
        self.port = self._line.port
        if self._options.link:
            _link(self._options.link, self._line.port)
            self._target = self._line.port
            self.port = str(self._options.link)

    def _unlink(self) -> None:
        link = self._options.link
        if link and self._target and link.is_symlink() and str(link.readlink()) == self._target:
            link.unlink(missing_ok=True)

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close everything; a host that has the port open gets an I/O error."""
        if self._control_server:
            await self._control_server.stop()
        if self._bridge:
            await self._bridge.stop()
        if self._task:
            self._task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._task
        await self.modem.close()
        self._line.close()
        self._timers.close()
        self._trace.close()
        self._unlink()

    async def wait(self) -> None:
        """Wait for the modem to fail; it never ends by itself."""
        if self._task:
            await self._task


def _link(path: Path, target: str) -> None:
    """Make or replace a symbolic link in one step."""
    new = path.with_name(f".{path.name}.{os.getpid()}")
    new.unlink(missing_ok=True)
    new.symlink_to(target)
    new.replace(path)
