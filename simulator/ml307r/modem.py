"""An ML307R on its UART."""

from __future__ import annotations

from typing import override

from simulator.basic import Basic
from simulator.clock import Timers
from simulator.contexts import Contexts
from simulator.errors import CmeError, CommandFailedError
from simulator.line import Line
from simulator.ml307r.http import Http
from simulator.ml307r.identity import Identity
from simulator.ml307r.names import Names
from simulator.ml307r.packet import Packet
from simulator.ml307r.radio import MlRegistration, MlSignal
from simulator.ml307r.sockets import Sockets
from simulator.ml307r.system import System
from simulator.ml307r.tables import AUTOBAUD_RATES, BAUD_RATES, ERRORS
from simulator.ml307r.times import COMMAND_TIMES
from simulator.ml307r.tls import Tls
from simulator.modem import Modem
from simulator.mux.commands import Cmux
from simulator.options import Options
from simulator.sim import Sim
from simulator.trace import Trace

_E_UTRAN = 7


class Ml307r(Modem):
    """China Mobile IoT ML307R; answers as the manuals say, unless a switch says otherwise."""

    error_texts = ERRORS
    baud_rates = BAUD_RATES
    autobaud_rates = AUTOBAUD_RATES
    command_times = COMMAND_TIMES
    wakes_by_bytes = True
    sleeps_by_default = True  # ml307r.md 2 (FLOW, ZEPH)
    stores_rate = True

    def __init__(self, options: Options, line: Line, timers: Timers, trace: Trace) -> None:
        super().__init__(options, line, timers, trace)
        self.sim = Sim(self)
        self.registration = MlRegistration(self, self.sim, _E_UTRAN)
        self.signal = MlSignal(self, lambda: self.registration.registered)
        self.contexts = Contexts(self, self.registration, highest=15)
        self.packet = Packet(self, self.contexts)
        self.tls = Tls(self)
        self.sockets = Sockets(self, self.packet, self.tls)
        self.http = Http(self, self.packet, self.tls)
        self.packet.lost.append(self.sockets.context_gone)
        self.furnish(
            Basic(self),
            self.sim,
            self.registration,
            self.signal,
            Identity(self, self.sim),
            System(self),
            Cmux(self),
            self.contexts,
            self.packet,
            self.sockets,
            self.tls,
            self.http,
            Names(self, self.packet),
        )

    @override
    def bad_parameter(self) -> CommandFailedError:
        return CmeError(50)

    @override
    def lose_context(self, cid: int) -> None:
        self.packet.deactivate(cid)

    @override
    def active_contexts(self) -> list[int]:
        return [cid for cid, context in sorted(self.contexts.table.items()) if context.active]

    @override
    def woke(self) -> None:
        if self.switches.flag("wake_matready"):
            self.urc("+MATREADY")

    @override
    def begin(self) -> None:
        self.registration.begin()

    @override
    def boot_lines(self) -> None:
        if self.switches.flag("autobaud"):
            self.line.start_autobaud(self.autobaud_rates)
        else:
            self.urc("+MATREADY")
        self.registration.search()
