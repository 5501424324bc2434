"""Commands of the serial line itself: V.250, M-AT 2 and 3 (bg96.md 1.1, 6.3)."""

from simulator.errors import CommandFailedError
from simulator.modem import Modem
from simulator.parser import Form
from simulator.registry import Area, Call, at

# V.250 and M-AT 2; S0 is 0 in bg96.md's table of what AT&W stores.
_REGISTERS = {"S0": 0, "S3": 13, "S4": 10, "S5": 8, "S7": 0, "S10": 15}


class Basic(Area):
    """Echo, result codes, rates and profiles."""

    def __init__(self, modem: Modem) -> None:
        super().__init__(modem)
        self._registers: dict[str, int] = {}

    @at("E")
    async def echo(self, call: Call) -> None:
        """ATE0, ATE1."""
        call.session.set_profile(echo=bool(call.number(0, 0, 1, 0)))

    @at("Q")
    async def quiet(self, call: Call) -> None:
        """ATQ0, ATQ1: no result codes with 1."""
        call.session.set_profile(quiet=bool(call.number(0, 0, 1, 0)))

    @at("V")
    async def verbose(self, call: Call) -> None:
        """ATV0: digits, ATV1: words (M-AT 2.15)."""
        call.session.set_profile(verbose=bool(call.number(0, 0, 1, 0)))
        call.reply.verbose = call.session.profile.verbose

    @at("+CMEE", test="+CMEE: (0-2)")
    async def error_form(self, call: Call) -> None:
        """0 plain ERROR, 1 numbers, 2 words (M-AT, bg96.md 6.2)."""
        call.expect(Form.READ, Form.WRITE)
        if call.form is Form.READ:
            call.info(f"+CMEE: {call.session.profile.cmee}")
        else:
            call.session.set_profile(cmee=call.number(0, 0, 2, 0))

    @at("&F", "Z")
    async def restore(self, call: Call) -> None:
        """Factory values, or the stored ones; the rate is not touched (M-AT 3.5)."""
        call.number(0, 0, 0, 0)
        factory = call.part.name == "&F"
        call.session.profile = self.modem.factory_profile if factory else self.modem.stored_profile
        self.modem.registration.restore_reports(factory=factory)
        if factory:
            self._registers.clear()
        call.reply.verbose = call.session.profile.verbose

    @at("&W")
    async def store(self, call: Call) -> None:
        """Store echo, quiet, verbose, the rate and the registration reports (M-AT 12.3: not CMEE, not IFC)."""
        call.number(0, 0, 0, 0)
        profile = call.session.profile
        stored = self.modem.stored_profile
        self.modem.stored_profile = type(profile)(profile.echo, profile.quiet, profile.verbose, stored.cmee)
        self.modem.stored_rate = self.modem.rate
        self.modem.registration.store_reports()

    @at("&D", "&C", "X", "L", "M")
    async def accepted(self, call: Call) -> None:
        """Settings of a line that has no control wires here."""
        call.number(0, 0, 4, 0)

    @at("S0", "S3", "S4", "S5", "S7", "S10")
    async def registers(self, call: Call) -> None:
        """S registers: kept, without effect."""
        name = call.part.name
        if call.form is Form.READ:
            call.info(f"{self._registers.get(name, _REGISTERS[name]):03d}")
        else:
            self._registers[name] = call.number(0, 0, 255)

    @at("O")
    async def online(self, call: Call) -> None:
        """ATO without a transparent link (bg96.md 4)."""
        call.final = "NO CARRIER"

    @at("H")
    async def hang_up(self, call: Call) -> None:
        """No call to end."""
        call.number(0, 0, 1, 0)

    @at("+IPR", tests=True)
    async def rate(self, call: Call) -> None:
        """The rate changes once the OK has gone (M-AT 3.5, ml307r.md 2)."""
        rates = self.modem.baud_rates
        if call.form is Form.TEST:
            call.info(f"+IPR: (),({','.join(map(str, rates))})")
        elif call.form is Form.READ:
            call.info(f"+IPR: {self.modem.rate}")
        else:
            call.expect(Form.WRITE)
            wanted = call.number(0, 0, 4_000_000)
            if wanted not in rates:
                raise self.modem.bad_parameter()
            if self.modem.mux and self.modem.switches.text("cmux_ipr") == "error":
                raise CommandFailedError  # field.md B2 entry 10
            call.then.append(lambda: self._switch(wanted))

    def _switch(self, baud: int) -> None:
        self.modem.rate = baud
        if self.modem.stores_rate:
            self.modem.stored_rate = baud
        self.modem.line.switch_baud(baud)

    @at("+IFC", test="+IFC: (0,2),(0,2)")
    async def flow_control(self, call: Call) -> None:
        """What the modem does with CTS and RTS (M-AT 3.3); see the switch overrun."""
        call.expect(Form.READ, Form.WRITE)
        if call.form is Form.READ:
            call.info("+IFC: {},{}".format(*self.modem.flow_control))
            return
        values = call.number(0, 0, 2), call.number(1, 0, 2, 0)
        if 1 in values:
            raise CommandFailedError
        self.modem.flow_control = values
