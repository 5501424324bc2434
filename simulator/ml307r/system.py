"""Power and settings: ml307r.md 2."""

from typing import override

from simulator.modem import Modem
from simulator.parser import Form
from simulator.registry import Area, Call, at


class System(Area):
    """What belongs to the module as a whole."""

    def __init__(self, modem: Modem) -> None:
        super().__init__(modem)
        self._settings: dict[str, tuple[str, ...]] = {}
        self._stored_sleep_mode: tuple[str, ...] = ("2",)
        self.reset()

    @override
    def reset(self) -> None:
        """Back to the defaults."""
        self._settings = {
            "sleepmode": self._stored_sleep_mode,
            "autoconn": ("1" if self.modem.switches.flag("autoconn") else "0",),
            "mode": ("0",),
        }

    @at("+MLPMCFG", "+MUECONFIG", "+MDIALUPCFG")
    async def setting(self, call: Call) -> None:
        """Kept; sleep mode 0 keeps the modem awake (FLOW)."""
        call.expect(Form.WRITE)
        key = call.key()
        if key not in self._settings:
            raise self.modem.bad_parameter()
        if call.count == 1:
            call.info(f'{call.part.name}: "{key}",{",".join(self._settings[key])}')
        else:
            self._settings[key] = (str(call.number(1, 0, 3)),)
            stored = call.number(2, 0, 1, 0)
            if key == "sleepmode":
                self.modem.sleep.allow(allowed=self._settings[key] != ("0",))
                self._stored_sleep_mode = self._settings[key] if stored else self._stored_sleep_mode

    @at("+MREBOOT")
    async def reboot(self, call: Call) -> None:
        """OK, then REBOOTING (EXT)."""
        call.number(0, 0, 9, 0)
        call.then.append(lambda: self.modem.reboot("REBOOTING"))

    @at("+MPOF")
    async def power_off(self, call: Call) -> None:
        """OK, then POWER OFF (EXT)."""
        call.number(0, 0, 9, 0)
        delay_s = self.modem.switches.seconds("power_down_s")
        call.then.append(lambda: self.modem.in_this_life(delay_s, lambda: self.modem.power_off("POWER OFF")))
