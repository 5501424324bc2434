"""PDP contexts: bg96.md 4 and 6.2, ml307r.md 3."""

from dataclasses import dataclass
import socket
from typing import override

from simulator.modem import Modem
from simulator.network import Registration
from simulator.parser import Form
from simulator.registry import Area, Call, at

TYPES = {"IP": socket.AF_INET, "IPV6": socket.AF_INET6, "IPV4V6": socket.AF_UNSPEC}


@dataclass(slots=True)
class Context:
    """One PDP context."""

    cid: int
    kind: str = "IPV4V6"
    apn: str = ""
    user: str = ""
    password: str = ""
    auth: int = 0
    active: bool = False

    @property
    def family(self) -> socket.AddressFamily:
        """Which addresses it can reach."""
        return TYPES[self.kind]


class Contexts(Area):
    """The table of contexts and the 3GPP commands on it."""

    def __init__(self, modem: Modem, registration: Registration, highest: int) -> None:
        super().__init__(modem)
        self.registration = registration
        self.highest = highest
        # The first one comes from the network's subscription, so it is there from the start.
        self.table: dict[int, Context] = {1: Context(1)}

    @override
    def reset(self) -> None:
        """Contexts stay defined over a reset, not active."""
        for context in self.table.values():
            context.active = False

    def get(self, cid: int) -> Context:
        """A context, made if need be."""
        return self.table.setdefault(cid, Context(cid))

    def accepted(self, context: Context) -> bool:
        """Whether the network takes this APN."""
        only = self.modem.switches.text("apn")
        return not only or context.apn.lower() == only.lower()

    def addresses(self, context: Context) -> list[str]:
        """The modem's addresses in an active context."""
        switches = self.modem.switches
        found = []
        if context.kind != "IPV6":
            found.append(switches.text("ipv4"))
        if context.kind != "IP":
            found.append(switches.text("ipv6"))
        return found

    @at("+CGDCONT", test='+CGDCONT: (1-16),"IP",,,(0),(0)\n+CGDCONT: (1-16),"IPV6",,,(0),(0)\n'
        '+CGDCONT: (1-16),"IPV4V6",,,(0),(0)')  # fmt: skip
    async def cgdcont(self, call: Call) -> None:
        """Define contexts."""
        call.expect(Form.READ, Form.WRITE)
        if call.form is Form.READ:
            call.info(*(f'+CGDCONT: {c.cid},"{c.kind}","{c.apn}","0.0.0.0",0,0' for _, c in sorted(self.table.items())))
            return
        cid = call.number(0, 1, self.highest)
        if call.count == 1:
            self.table.pop(cid, None)
            return
        kind = call.text(1).upper()
        if kind not in TYPES:
            raise self.modem.bad_parameter()
        context = self.get(cid)
        context.kind, context.apn = kind, call.text(2, "")

    @at("+CGPADDR", test=None)
    async def cgpaddr(self, call: Call) -> None:
        """Addresses of the active contexts."""
        call.expect(Form.EXEC, Form.WRITE)
        wanted = [call.number(0, 1, self.highest)] if call.form is Form.WRITE else sorted(self.table)
        for cid in wanted:
            context = self.table.get(cid)
            # The first context is LTE's default bearer: up whenever there is a network.
            up = context and (context.active or cid == 1) and self.registration.registered
            if context and up:
                call.info(f"+CGPADDR: {cid}," + ",".join(self.addresses(context)))
            else:
                call.info(f"+CGPADDR: {cid},0.0.0.0")

    @at("+CGAUTH")
    async def cgauth(self, call: Call) -> None:
        """User and password of a context."""
        call.expect(Form.READ, Form.WRITE)
        if call.form is Form.READ:
            call.info(*(f'+CGAUTH: {c.cid},{c.auth},"{c.user}","{c.password}"' for c in self.table.values() if c.auth))
            return
        context = self.get(call.number(0, 1, self.highest))
        context.auth = call.number(1, 0, 3)
        context.user, context.password = call.text(2, ""), call.text(3, "")

    @at("+CGACT")
    async def cgact(self, call: Call) -> None:
        """State of the contexts; activation is the vendor's command here."""
        call.expect(Form.READ)
        up = self.registration.registered
        call.info(*(f"+CGACT: {c.cid},{int(up and (c.active or c.cid == 1))}" for _, c in sorted(self.table.items())))
