"""Ports, power and settings: bg96.md 6.3."""

from typing import TYPE_CHECKING, cast

from simulator.errors import CommandFailedError
from simulator.modem import Modem
from simulator.parser import Form
from simulator.registry import Area, Call, at

if TYPE_CHECKING:
    from simulator.bg96.modem import Bg96

_URC_PORTS = ("usbat", "usbmodem", "uart1")


class System(Area):
    """What belongs to the module as a whole."""

    def __init__(self, modem: Modem) -> None:
        super().__init__(modem)
        self._settings: dict[str, tuple[str, ...]] = {
            "nwscanseq": ("00",),
            "nwscanmode": ("0",),
            "iotopmode": ("2",),
            "urc/delay": ("0",),
        }

    @at("+QURCCFG", test='+QURCCFG: "urcport",("usbat","usbmodem","uart1")')
    async def urc_port(self, call: Call) -> None:
        """At once, and stored; a UART is not the factory setting (M-HW 3.14)."""
        modem = cast("Bg96", self.modem)
        call.expect(Form.WRITE)
        if call.key() != "urcport":
            raise CommandFailedError
        if call.count == 1:
            call.info(f'+QURCCFG: "urcport","{modem.urc_port}"')
            return
        call.at_most(2)
        if call.key(1) not in _URC_PORTS:
            raise CommandFailedError
        modem.urc_port = call.key(1)

    @at("+QCFG")
    async def qcfg(self, call: Call) -> None:
        """Settings that are kept and have no effect here (M-AT 4.2)."""
        call.expect(Form.WRITE)
        key = call.key()
        if key not in self._settings:
            raise CommandFailedError
        if call.count == 1:
            call.info(f'+QCFG: "{key}",{",".join(self._settings[key])}')
        else:
            self._settings[key] = (call.text(1),)

    @at("+QSCLK")
    async def sleep(self, call: Call) -> None:
        """1: asleep while DTR is high; a pseudo-terminal has none, so the control channel moves it (M-AT 11.5)."""
        call.expect(Form.READ, Form.WRITE)
        if call.form is Form.READ:
            call.info(f"+QSCLK: {int(self.modem.sleep.allowed)}")
        else:
            self.modem.sleep.allow(allowed=bool(call.number(0, 0, 1)))

    @at("+QPOWD", test="+QPOWD: (0,1)")
    async def power_down(self, call: Call) -> None:
        """OK at once, then POWERED DOWN."""
        call.expect(Form.EXEC, Form.WRITE)
        call.number(0, 0, 1, 1)
        switches = self.modem.switches
        text = "NORMAL POWER DOWN" if switches.text("power_down") == "normal" else "POWERED DOWN"
        delay_s = switches.seconds("power_down_s")
        call.then.append(lambda: self.modem.in_this_life(delay_s, lambda: self.modem.power_off(text)))
