"""Who the modem is: ml307r.md 1.2."""

from simulator.errors import CommandFailedError
from simulator.modem import Modem
from simulator.parser import Form
from simulator.registry import Area, Call, at
from simulator.sim import Card, Sim


class Identity(Area):
    """Identification commands."""

    def __init__(self, modem: Modem, sim: Sim) -> None:
        super().__init__(modem)
        self._sim = sim
        self._revision = modem.options.firmware
        self._model = self._revision.partition("-")[0] or "ML307R"

    @at("I")
    async def ati(self, call: Call) -> None:
        """Maker, model and revision (EXT 4.2)."""
        call.number(0, 0, 9, 0)
        call.info("CMCC", self._model, self._revision)

    @at("+GMI", "+CGMI")
    async def maker(self, call: Call) -> None:
        """`CMCC`."""
        call.expect(Form.EXEC)
        call.info("CMCC")

    @at("+GMM", "+CGMM")
    async def model(self, call: Call) -> None:
        """The first part of the revision (not captured from an ML307R)."""
        call.expect(Form.EXEC)
        call.info(self._model)

    @at("+GMR", "+CGMR")
    async def revision(self, call: Call) -> None:
        """The revision, one bare line (EXT 4.1)."""
        call.expect(Form.EXEC)
        call.info(self._revision)

    @at("+MSWVER")
    async def release(self, call: Call) -> None:
        """The release, which the revision does not tell (ml307r.md 1.3)."""
        call.expect(Form.EXEC, Form.READ)
        prefix = "+MSWVER: " if self.modem.switches.flag("mswver_prefix") else ""
        call.info(prefix + self.modem.switches.text("release"))

    @at("+CGSN", test="+CGSN: (0-1)")
    async def serial(self, call: Call) -> None:
        """Bare: the serial number; with 1: the IMEI (ZB)."""
        call.expect(Form.EXEC, Form.WRITE)
        if call.form is Form.WRITE and call.number(0, 0, 1):
            call.info(f"+CGSN: {self.modem.options.imei}")
        else:
            call.info("SIM0000000000001")

    @at("+ICCID", "+MCCID", "+CCID")
    async def iccid(self, call: Call) -> None:
        """The card's number, also while it is locked; +CCID by switch (ml307r.md 10.13)."""
        call.expect(Form.EXEC, Form.READ)
        if call.part.name == "+CCID" and not self.modem.switches.flag("ccid"):
            raise CommandFailedError
        call.info(f"{call.part.name}: {self._sim.iccid()}")

    @at("+CPINR")
    async def pin_counter(self, call: Call) -> None:
        """Tries left and the usual number (27.007)."""
        if not self.modem.switches.flag("pin_counter"):
            raise CommandFailedError
        call.expect(Form.EXEC, Form.WRITE)
        self._sim.require_card()
        rows = {
            Card.PIN.value: f"+CPINR: SIM PIN,{self._sim.pin_tries},3",
            Card.PUK.value: f"+CPINR: SIM PUK,{self._sim.puk_tries},10",
        }
        if call.form is Form.EXEC:
            call.info(*rows.values())
        elif call.text(0) in rows:
            call.info(rows[call.text(0)])
        else:
            raise self.modem.bad_parameter()
