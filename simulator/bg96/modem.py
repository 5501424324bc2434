"""A BG96 on its UART."""

from __future__ import annotations

from typing import override

from simulator.basic import Basic
from simulator.bg96.identity import Identity
from simulator.bg96.packet import Packet
from simulator.bg96.radio import Bg96Registration, Bg96Signal
from simulator.bg96.sockets import Sockets
from simulator.bg96.system import System
from simulator.bg96.tables import BAUD_RATES, SOCKET_ERRORS
from simulator.clock import Timers
from simulator.contexts import Contexts
from simulator.errors import CommandFailedError
from simulator.line import Line
from simulator.modem import Modem
from simulator.options import Options
from simulator.sim import Card, Sim
from simulator.trace import Trace

_ACT = {"cat-m1": 8, "cat-nb1": 9}


class Bg96(Modem):
    """Quectel BG96; unsolicited lines go to the stored URC port, which a UART host must set first."""

    error_texts = SOCKET_ERRORS
    baud_rates = BAUD_RATES

    def __init__(self, options: Options, line: Line, timers: Timers, trace: Trace) -> None:
        super().__init__(options, line, timers, trace)
        self.urc_port = self.switches.text("urc_port")
        self.sim = Sim(self)
        self.registration = Bg96Registration(self, self.sim, _ACT[self.switches.text("radio")])
        self.contexts = Contexts(self, self.registration, highest=16)
        self.packet = Packet(self, self.contexts)
        self.sockets = Sockets(self, self.packet)
        self.packet.lost.append(self.sockets.context_gone)
        self.furnish(
            Basic(self),
            self.sim,
            self.registration,
            Bg96Signal(self, lambda: self.registration.registered),
            Identity(self, self.sim),
            System(self),
            self.contexts,
            self.packet,
            self.sockets,
        )
        self.sim.changed.append(self._card_ready)

    @override
    def bad_parameter(self) -> CommandFailedError:
        return CommandFailedError()

    @override
    def urc(self, text: str) -> None:
        if self.urc_port == "uart1":
            super().urc(text)

    def urc_data(self, data: bytes) -> None:
        """An unsolicited line with payload in it."""
        if self.urc_port == "uart1":
            self.session.urc_data(data)

    def result_urc(self, text: str) -> None:
        """The late result of a command the host gave on this port (M-HW 3.14, bg96.md 6.3)."""
        if self.urc_port == "uart1" or self.switches.text("result_urcs") == "asking":
            self.session.urc(text)

    @override
    def begin(self) -> None:
        self.registration.begin()

    @override
    def boot_lines(self) -> None:
        self.result_urc("RDY")
        if self.switches.flag("app_rdy"):
            self.result_urc("APP RDY")
        self.urc("+CFUN: 1")
        if self.sim.card in {Card.ABSENT, Card.BLOCKED}:
            self.urc("+CPIN: NOT INSERTED")
        else:
            self.urc(f"+CPIN: {self.sim.card.value}")
        if self.sim.card is Card.READY:
            self.urc("+QUSIM: 1")
            self.urc("+QIND: SMS DONE")
            self.urc("+QIND: PB DONE")
        self.registration.search()

    def _card_ready(self) -> None:
        if self.sim.card is Card.READY and self.switches.flag("sim_ready_urcs"):
            self.urc("+CPIN: READY")
            self.urc("+QUSIM: 1")
            self.urc("+QIND: SMS DONE")
