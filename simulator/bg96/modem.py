"""A BG96 on its UART."""

from __future__ import annotations

from typing import override

from simulator.basic import Basic
from simulator.bg96.files import Files
from simulator.bg96.http import Http
from simulator.bg96.identity import Identity
from simulator.bg96.packet import Packet
from simulator.bg96.radio import Bg96Registration, Bg96Signal
from simulator.bg96.sockets import Sockets
from simulator.bg96.system import System
from simulator.bg96.tables import BAUD_RATES, FILE_ERRORS, HTTP_ERRORS, SOCKET_ERRORS
from simulator.bg96.times import COMMAND_TIMES
from simulator.bg96.tls_settings import TlsSettings
from simulator.bg96.tls_sockets import TlsSockets
from simulator.bg96.tools import Tools
from simulator.clock import Timers
from simulator.contexts import Contexts
from simulator.errors import CommandFailedError
from simulator.line import Line
from simulator.modem import Modem
from simulator.mux.commands import Cmux
from simulator.options import Options
from simulator.sim import Card, Sim
from simulator.trace import Trace

_ACT = {"cat-m1": 8, "cat-nb1": 9, "gsm": 0}


class Bg96(Modem):
    """Quectel BG96; unsolicited lines go to the stored URC port, which a UART host must set first."""

    error_texts = SOCKET_ERRORS | FILE_ERRORS | HTTP_ERRORS
    baud_rates = BAUD_RATES
    command_times = COMMAND_TIMES

    def __init__(self, options: Options, line: Line, timers: Timers, trace: Trace) -> None:
        super().__init__(options, line, timers, trace)
        self.urc_port = self.switches.text("urc_port")
        self.sim = Sim(self)
        self.registration = Bg96Registration(self, self.sim, _ACT[self.switches.text("radio")])
        self.signal = Bg96Signal(self, lambda: self.registration.registered)
        self.contexts = Contexts(self, self.registration, highest=16)
        self.packet = Packet(self, self.contexts)
        self.sockets = Sockets(self, self.packet)
        self.packet.lost.append(self.sockets.context_gone)
        self.files = Files(self)
        self.tls = TlsSettings(self, self.files)
        self.http = Http(self, self.packet, self.files, self.tls)
        self.packet.lost.append(self.http.context_gone)
        self.tls_sockets = TlsSockets(self, self.packet, self.tls)
        self.packet.lost.append(self.tls_sockets.context_gone)
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
            Tools(self, self.packet),
            self.files,
            self.tls,
            self.http,
            self.tls_sockets,
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
            self.asking.urc(text)

    @override
    def lose_context(self, cid: int) -> None:
        self.packet.deactivate(cid, tell=True)

    @override
    def active_contexts(self) -> list[int]:
        return [cid for cid, context in sorted(self.contexts.table.items()) if context.active]

    @override
    def reboot(self, farewell: str | None) -> None:
        stray = bool(farewell) and self.switches.flag("pdpdeact_at_reboot") and 1 in self.active_contexts()
        if farewell and stray:
            self.session.urc(farewell)
            self.urc('+QIURC: "pdpdeact",1')
        super().reboot(None if stray else farewell)

    @override
    def card_gone(self) -> None:
        self.urc("+CPIN: NOT INSERTED")

    @override
    def begin(self) -> None:
        self.registration.begin()

    @override
    def boot_lines(self) -> None:
        self.result_urc("RDY")
        self.not_ready = self.switches.flag("error_window")
        self.in_this_life(self.switches.seconds("app_rdy_s"), self._application_ready)

    def _application_ready(self) -> None:
        self.not_ready = False
        if self.switches.flag("app_rdy"):
            self.result_urc("APP RDY")
        self.urc("+CFUN: 1")
        if self.sim.card in {Card.ABSENT, Card.BLOCKED, Card.FAILED}:
            self.urc("+CPIN: NOT INSERTED")
        elif self.sim.card is not Card.BUSY:
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
