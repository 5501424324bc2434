"""Packet data: ml307r.md 3."""

from collections.abc import Callable
from typing import override

from simulator.contexts import Context, Contexts
from simulator.errors import CmeError
from simulator.modem import Modem
from simulator.network import Status
from simulator.parser import Form
from simulator.registry import Area, Call, at


class Packet(Area):
    """AT+MIPCALL; the first context is dialled by the modem itself once registered."""

    def __init__(self, modem: Modem, contexts: Contexts) -> None:
        super().__init__(modem)
        self.contexts = contexts
        self.lost: list[Callable[[int], None]] = []
        contexts.registration.changed.append(self._registration_changed)
        self._started = False

    @override
    def reset(self) -> None:
        self._started = True

    def active(self, cid: int) -> Context | None:
        """A context that is up."""
        context = self.contexts.table.get(cid)
        return context if context and context.active else None

    def _registration_changed(self, status: Status) -> None:
        if status in {Status.HOME, Status.ROAMING}:
            first = self.contexts.get(1)
            if self.modem.switches.flag("autoconn") and self.contexts.accepted(first) and not first.active:
                first.active = True
                if self._started:
                    self.modem.urc(self._state(1))
            self._started = True
            return
        for cid in list(self.contexts.table):
            self.deactivate(cid)

    def _down(self, cid: int) -> None:
        self.deactivate(cid)
        self.modem.faults.reactivated()

    def deactivate(self, cid: int) -> None:
        """Take a context and its sockets down."""
        context = self.active(cid)
        if context is None:
            return
        context.active = False
        for action in self.lost:
            action(cid)
        self.modem.urc(self._state(cid))

    def _activate(self, cid: int) -> None:
        self.contexts.get(cid).active = True
        self.modem.urc(self._state(cid))

    def _state(self, cid: int) -> str:
        context = self.active(cid)
        if context is None:
            return f"+MIPCALL: {cid},0"
        return f"+MIPCALL: {cid},1," + ",".join(f'"{address}"' for address in self.contexts.addresses(context))

    @at("+MIPCALL", test="+MIPCALL: (0,1),(1-15)")
    async def mipcall(self, call: Call) -> None:
        """`=1,cid` up, `=0,cid` down, each OK and a line later; while up OK (manual) or CME 50 (hardware)."""
        call.expect(Form.READ, Form.WRITE)
        if call.form is Form.READ:
            call.info(
                *([self._state(cid) for cid in sorted(self.contexts.table) if self.active(cid)] or [self._state(1)])
            )
            return
        call.at_most(2)
        up, cid = call.number(0, 0, 1), call.number(1, 1, self.contexts.highest)
        if not up:
            call.then.append(lambda: self._down(cid))
        elif self.active(cid):
            if self.modem.switches.text("mipcall_active") == "error50":
                raise CmeError(50)
            call.then.append(lambda: self.modem.urc(self._state(cid)))
        elif not self.contexts.registration.registered or not self.contexts.accepted(self.contexts.get(cid)):
            raise CmeError(571)
        else:
            call.then.append(lambda: self._activate(cid))
