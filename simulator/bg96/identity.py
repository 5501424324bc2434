"""Who the modem is: bg96.md 1.2."""

from simulator.errors import CommandFailedError
from simulator.modem import Modem
from simulator.parser import Form
from simulator.registry import Area, Call, at
from simulator.sim import Sim


class Identity(Area):
    """Identification commands (M-AT 2 and 5)."""

    def __init__(self, modem: Modem, sim: Sim) -> None:
        super().__init__(modem)
        self._sim = sim
        self._firmware = modem.options.firmware
        self._revision = self._firmware.partition("_")[0]

    @at("I")
    async def ati(self, call: Call) -> None:
        """Three lines in one block, as a real one prints them."""
        call.number(0, 0, 9, 0)
        call.info("Quectel", "BG96", f"Revision: {self._revision}")

    @at("+GMI", "+CGMI")
    async def maker(self, call: Call) -> None:
        """`Quectel`."""
        call.expect(Form.EXEC)
        call.info("Quectel")

    @at("+GMM", "+CGMM")
    async def model(self, call: Call) -> None:
        """`BG96`."""
        call.expect(Form.EXEC)
        call.info("BG96")

    @at("+GMR", "+CGMR")
    async def revision(self, call: Call) -> None:
        """The revision without its sub-version."""
        call.expect(Form.EXEC)
        call.info(self._revision)

    @at("+QGMR")
    async def full_revision(self, call: Call) -> None:
        """The revision with its sub-version; one real BG96 left that out (FCRC)."""
        call.expect(Form.EXEC)
        call.info(self._firmware if self.modem.switches.flag("qgmr_suffix") else self._revision)

    @at("+GSN", "+CGSN")
    async def imei(self, call: Call) -> None:
        """The IMEI, bare."""
        call.expect(Form.EXEC)
        call.info(self.modem.options.imei)

    @at("+QCCID", "+CCID")
    async def iccid(self, call: Call) -> None:
        """The card's number; 19 digits show a filler."""
        call.expect(Form.EXEC, Form.READ)
        if call.part.name == "+CCID" and not self.modem.switches.flag("ccid"):
            raise CommandFailedError
        number = self._sim.iccid()
        call.info(f"{call.part.name}: {number + 'F' if len(number) == 19 else number}")

    @at("+QPINC", test='+QPINC: ("SC","P2")')
    async def pin_counter(self, call: Call) -> None:
        """Tries left for PIN and PUK."""
        if not self.modem.switches.flag("pin_counter"):
            raise CommandFailedError
        call.expect(Form.READ, Form.WRITE)
        self._sim.require_card()
        rows = {
            "SC": f'+QPINC: "SC",{self._sim.pin_tries},{self._sim.puk_tries}',
            "P2": '+QPINC: "P2",3,10',
        }
        if call.form is Form.READ:
            call.info(*rows.values())
        elif call.text(0) in rows:
            call.info(rows[call.text(0)])
        else:
            raise CommandFailedError
