"""What every simulated modem has: areas, sessions and a life between resets."""

from __future__ import annotations

from abc import ABC, abstractmethod
import asyncio
from collections.abc import Callable, Mapping
from typing import ClassVar

from simulator.clock import Timers, now
from simulator.errors import CommandFailedError
from simulator.line import Line
from simulator.options import Options
from simulator.registry import Area, Command, collect
from simulator.session import Profile, Session
from simulator.trace import Trace


class Modem(ABC):
    """One modem; a family adds its areas, error texts and boot lines."""

    error_texts: ClassVar[Mapping[int, str]] = {}
    baud_rates: ClassVar[tuple[int, ...]] = ()
    autobaud_rates: ClassVar[frozenset[int]] = frozenset()

    def __init__(self, options: Options, line: Line, timers: Timers, trace: Trace) -> None:
        self.options = options
        self.switches = options.switches
        self.line = line
        self.timers = timers
        self.trace = trace
        self.rate = options.baud or 115200
        self.factory_profile = Profile(cmee=int(self.switches.text("cmee")))
        self.stored_profile = self.factory_profile
        space = " " if self.switches.flag("prompt_space") else ""
        self.prompt = ("\r\n>" if self.switches.flag("prompt_crlf") else ">") + space
        self.areas: list[Area] = []
        self.table: dict[str, Command] = {}
        self.session = Session(self, line, timers, trace, options.latency_s)
        self._tasks: set[asyncio.Task[None]] = set()

    def furnish(self, *areas: Area) -> None:
        """Take in the areas and their commands."""
        self.areas.extend(areas)
        self.table = collect(self.areas)

    async def run(self) -> None:
        """Serve until cancelled."""
        self.line.open(self.session.feed)
        if self.switches.flag("autobaud") if self.autobaud_rates else False:
            self.line.start_autobaud(self.autobaud_rates)
        if self.switches.flag("boot"):
            self.session.switch_off()
            self.spawn(self._boot())
        else:
            self.begin()
        await self.session.run()

    async def close(self) -> None:
        """Let go of sockets and tasks."""
        for task in list(self._tasks):
            task.cancel()
        for area in self.areas:
            await area.close()

    def spawn(self, work: asyncio._CoroutineLike[None]) -> asyncio.Task[None]:
        """Run something beside the session, for as long as the modem is there."""
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    def later(self, delay_s: float, action: Callable[[], None]) -> None:
        """Do something after a while."""
        self.timers.at(now() + delay_s, action)

    # What families differ in

    @abstractmethod
    def bad_parameter(self) -> CommandFailedError:
        """How this family refuses a value."""

    @abstractmethod
    def begin(self) -> None:
        """Be up and registered, without having booted."""

    @abstractmethod
    def boot_lines(self) -> None:
        """Say what this family says at power-on."""

    def urc(self, text: str) -> None:
        """Say something nobody asked for."""
        self.session.urc(text)

    # Life

    def reboot(self, farewell: str | None) -> None:
        """Reset: everything that is not stored is forgotten."""
        if farewell:
            self.session.urc(farewell)
        self.session.switch_off()
        self.spawn(self._boot())

    def power_off(self, farewell: str) -> None:
        """Say good-bye and never speak again."""
        self.session.urc(farewell)
        self.session.switch_off()
        for area in self.areas:
            area.reset()

    async def _boot(self) -> None:
        for area in self.areas:
            area.reset()
        self.session.profile = self.stored_profile
        await asyncio.sleep(self.switches.seconds("boot_s"))
        self.session.deaf = False
        self.boot_lines()
