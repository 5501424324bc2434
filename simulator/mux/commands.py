"""AT+CMUX (27.007 5.7)."""

from __future__ import annotations

from simulator.errors import CommandFailedError
from simulator.modem import Modem
from simulator.mux.multiplexer import Multiplexer
from simulator.parser import Form
from simulator.registry import Area, Call, at

# subset, port_speed, N1, T1, N2, T2, T3, k: limits and defaults of 27.007.
_LIMITS = ((0, 2, 0), (1, 8, 5), (1, 32767, 31), (1, 255, 10), (0, 100, 3), (2, 255, 30), (1, 255, 10), (1, 7, 2))


class Cmux(Area):
    """Enters the multiplexer."""

    def __init__(self, modem: Modem) -> None:
        super().__init__(modem)
        self._values: tuple[int, ...] = tuple(default for _, _, default in _LIMITS)

    @at("+CMUX", tests=True)
    async def cmux(self, call: Call) -> None:
        """Mode 0 alone; the OK still comes as plain text (27.010 5.7)."""
        if not self.modem.switches.flag("cmux"):
            raise CommandFailedError
        longest = self.modem.switches.number("cmux_n1_max")
        if call.form is Form.TEST:
            call.info(f"+CMUX: (0),(0),(1-8),(1-{longest}),(1-255),(0-100),(2-255),(1-255),(1-7)")
            return
        if call.form is Form.READ:
            call.info(f"+CMUX: 0,{','.join(map(str, self._values))}")
            return
        call.expect(Form.WRITE)
        call.at_most(9)
        call.number(0, 0, 0)
        values = [call.number(index, low, high, default) for index, (low, high, default) in enumerate(_LIMITS, 1)]
        if values[0] != 0 or values[2] > longest:
            raise self.modem.bad_parameter()
        if self.modem.mux:
            raise CommandFailedError
        self._values = tuple(values)
        call.then.append(lambda: self.modem.start_mux(Multiplexer(self.modem, values[2])))
