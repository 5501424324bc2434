"""What every simulated modem has: areas, sessions and a life between resets."""

from __future__ import annotations

from abc import ABC, abstractmethod
import asyncio
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, ClassVar

from simulator.clock import Timers, now
from simulator.errors import CommandFailedError
from simulator.faults import Faults
from simulator.flow import Overrun
from simulator.line import Line
from simulator.options import Options
from simulator.parser import Form, Part
from simulator.registry import Area, Command, collect
from simulator.session import ASKING, Profile, Session
from simulator.sleep import Sleep
from simulator.trace import Trace

if TYPE_CHECKING:
    from simulator.mux import Multiplexer
    from simulator.network import Registration
    from simulator.radio import Signal
    from simulator.sim import Sim


class Modem(ABC):
    """One modem; a family adds its areas, error texts and boot lines."""

    error_texts: ClassVar[Mapping[int, str]] = {}
    baud_rates: ClassVar[tuple[int, ...]] = ()
    autobaud_rates: ClassVar[frozenset[int]] = frozenset()
    # Seconds a command takes, typically and at most; the empty name is any other command.
    command_times: ClassVar[Mapping[str, tuple[float, float]]] = {"": (0.0, 0.3)}
    wakes_by_bytes: ClassVar[bool] = False
    sleeps_by_default: ClassVar[bool] = False
    stores_rate: ClassVar[bool] = False
    sim: Sim
    registration: Registration
    signal: Signal

    def __init__(self, options: Options, line: Line, timers: Timers, trace: Trace) -> None:
        self.options = options
        self.switches = options.switches
        self.line = line
        self.timers = timers
        self.trace = trace
        self.rate = options.baud or 115200
        self.factory_profile = Profile(cmee=int(options.effect("cmee") or 1))
        self.stored_profile = self.factory_profile
        space = " " if self.switches.flag("prompt_space") else ""
        self.prompt = ("\r\n>" if self.switches.flag("prompt_crlf") else ">") + space
        self.areas: list[Area] = []
        self.table: dict[str, Command] = {}
        self.session = Session(self, line, timers, trace, options.latency_s)
        self.data_session: Session | None = None  # the one port that may be in data mode (M-HTTP 4.4)
        self._tasks: set[asyncio.Task[None]] = set()
        self.faults = Faults(self, timers, trace)
        line.spoiler = self.faults.outgoing
        self._primary = self.session
        self._channels: dict[int, Session] = {}
        self._life = 0
        self.mux: Multiplexer | None = None
        self.power = "on"
        self.not_ready = False
        self.stored_rate = self.rate
        self.flow_control = (0, 0)
        self.overrun = Overrun(self)
        self.sleep = Sleep(self)

    def furnish(self, *areas: Area) -> None:
        """Take in the areas and their commands."""
        self.areas.extend(areas)
        self.table = collect(self.areas)

    async def run(self) -> None:
        """Serve until cancelled."""
        self.line.open(self.faults.incoming)
        if self.switches.flag("autobaud") if self.autobaud_rates else False:
            self.line.start_autobaud(self.autobaud_rates)
        if self.switches.flag("boot"):
            self.reboot(None)
        else:
            self.begin()
            self.sleep.reset()
        for name, given in self.options.faults:
            self.faults.set(name, given)
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

    def receive(self, data: bytes, end: float, byte_time: float) -> None:
        """Take what came over the line."""
        if self.power == "off":
            return
        heard = self.overrun.passed(self.sleep.passed(data))
        if not heard:
            return
        if self.mux:
            self.mux.feed(heard, end, byte_time)
        else:
            self._primary.feed(heard, end, byte_time)

    @property
    def busy(self) -> bool:
        """Whether a command is at work."""
        return self._primary.working or any(session.working for session in self._channels.values())

    async def take_time(self, part: Part) -> None:
        """Take as long as the manual says, if that is wanted."""
        times = self.switches.text("times")
        if times == "none":
            return
        typical, longest = self.command_times.get(part.name, self.command_times[""])
        if part.form not in {Form.READ, Form.TEST}:
            await asyncio.sleep(longest if times == "max" else typical)

    # Multiplexer

    def start_mux(self, mux: Multiplexer) -> None:
        """The line carries frames from here on."""
        self.mux = mux
        self._primary.switch_off()

    def end_mux(self) -> None:
        """The line carries AT commands again."""
        self.mux = None
        self._channels = {}
        self.session = self._primary
        self._primary.deaf = False

    def channels_changed(self, sessions: dict[int, Session]) -> None:
        """Unsolicited lines go to the channel that is set, else to the first one."""
        self._channels = sessions
        wanted = self.switches.number("cmux_urc_dlci")
        self.session = sessions.get(wanted) or next(iter(sessions.values()), self._primary)

    @property
    def asking(self) -> Session:
        """Where the host is that gave the command at work here."""
        session = ASKING.get()
        return session if session and not session.deaf else self.session

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

    @abstractmethod
    def lose_context(self, cid: int) -> None:
        """The network ends packet data."""

    @abstractmethod
    def active_contexts(self) -> list[int]:
        """The contexts that are up."""

    def card_gone(self) -> None:  # noqa: B027 - not every family says something
        """Say that the SIM card was taken out."""

    def urc(self, text: str) -> None:
        """Say something nobody asked for."""
        self.session.urc(text)

    # Life

    def reboot(self, farewell: str | None) -> None:
        """Reset: everything that is not stored is forgotten."""
        if farewell:
            self.session.urc(farewell)
        self._silence()
        self.power = "booting"
        self.spawn(self._boot())

    def power_off(self, farewell: str) -> None:
        """Say good-bye and never speak again, until power comes back."""
        self.session.urc(farewell)
        self._silence()
        self.power = "off"
        for area in self.areas:
            area.reset()

    def _silence(self) -> None:
        self._life += 1
        self.data_session = None
        self.not_ready = False
        if self.mux:
            mux, self.mux = self.mux, None
            mux.close()
            self.session = self._primary
        self._primary.switch_off()

    def woke(self) -> None:  # noqa: B027 - not every family says something
        """Say what is said after sleep."""

    def in_this_life(self, delay_s: float, action: Callable[[], None]) -> None:
        """Do something after a while, unless there is a reboot before."""
        life = self._life
        if delay_s <= 0:
            action()
        else:
            self.later(delay_s, lambda: action() if life == self._life else None)

    async def _boot(self) -> None:
        life = self._life
        for area in self.areas:
            area.reset()
        self.sleep.reset()
        if self.rate != self.stored_rate:
            self.rate = self.stored_rate
            self.line.switch_baud(self.rate)
        self.faults.rebooted()
        self.session.profile = self.stored_profile
        await asyncio.sleep(self.switches.seconds("boot_s"))
        if life != self._life:
            return
        self.session.deaf = False
        self.power = "on"
        self.sim.start_slowly()
        self.boot_lines()
