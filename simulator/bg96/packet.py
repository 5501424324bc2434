"""Packet data: bg96.md 4 (M-TCP 2.1)."""

from collections.abc import Callable

from simulator.contexts import Context, Contexts
from simulator.errors import CommandFailedError
from simulator.modem import Modem
from simulator.network import Status
from simulator.parser import Form
from simulator.registry import Area, Call, at

MAX_ACTIVE = 3
_KINDS = {1: "IP", 2: "IPV6"}


class TcpError(CommandFailedError):
    """Plain ERROR; AT+QIGETERROR tells why."""

    def __init__(self, code: int) -> None:
        super().__init__(code)
        self.code = code


class Packet(Area):
    """Contexts and their activation."""

    def __init__(self, modem: Modem, contexts: Contexts) -> None:
        super().__init__(modem)
        self.contexts = contexts
        self.last_error = 0
        self.lost: list[Callable[[int], None]] = []
        contexts.registration.changed.append(self._registration_changed)

    def fail(self, code: int) -> TcpError:
        """Note an error for AT+QIGETERROR."""
        self.last_error = code
        return TcpError(code)

    def active(self, cid: int) -> Context | None:
        """A context that is up."""
        context = self.contexts.table.get(cid)
        return context if context and context.active else None

    def deactivate(self, cid: int, *, tell: bool) -> None:
        """Take a context and its sockets down."""
        context = self.active(cid)
        if context is None:
            return
        context.active = False
        for action in self.lost:
            action(cid)
        if tell:
            self.modem.urc(f'+QIURC: "pdpdeact",{cid}')

    def _registration_changed(self, status: Status) -> None:
        if status not in {Status.HOME, Status.ROAMING}:
            for cid in list(self.contexts.table):
                self.deactivate(cid, tell=True)

    @at("+QICSGP", test="+QICSGP: (1-16),(1,2),<apn>,<username>,<password>,(0-3)")
    async def qicsgp(self, call: Call) -> None:
        """Configure a context; the query's first field is the type, not the id."""
        call.expect(Form.WRITE)
        call.at_most(6)
        cid = call.number(0, 1, 16)
        if call.count == 1:
            context = self.contexts.table.get(cid) or Context(cid, kind="IP")
            kind = 2 if context.kind == "IPV6" else 1
            call.info(f'+QICSGP: {kind},"{context.apn}","{context.user}","{context.password}",{context.auth}')
            return
        kind = call.number(1, 1, 2)
        apn, user, password, auth = call.text(2), call.text(3, ""), call.text(4, ""), call.number(5, 0, 3, 0)
        context = self.contexts.get(cid)
        context.kind, context.apn = _KINDS[kind], apn
        context.user, context.password, context.auth = user, password, auth

    @at("+QIACT", test="+QIACT: (1-16)")
    async def qiact(self, call: Call) -> None:
        """Activate; an error if it is active, or if three are."""
        call.expect(Form.READ, Form.WRITE)
        table = self.contexts.table
        if call.form is Form.READ:
            for cid, context in sorted(table.items()):
                if context.active:
                    kind = 2 if context.kind == "IPV6" else 1
                    call.info(f'+QIACT: {cid},1,{kind},"{self.contexts.addresses(context)[0]}"')
            return
        cid = call.number(0, 1, 16)
        self.last_error = 0
        if self.active(cid):
            raise self.fail(572)
        if sum(context.active for context in table.values()) >= MAX_ACTIVE:
            raise self.fail(572)
        if cid not in table:
            raise self.fail(573)
        if not self.contexts.registration.registered or not self.contexts.accepted(table[cid]):
            raise self.fail(561)
        table[cid].active = True

    @at("+QIDEACT", test="+QIDEACT: (1-16)")
    async def qideact(self, call: Call) -> None:
        """Deactivate; closes the sockets of the context."""
        call.expect(Form.WRITE)
        cid = call.number(0, 1, 16)
        self.last_error = 0
        self.deactivate(cid, tell=False)
        self.modem.faults.reactivated()
