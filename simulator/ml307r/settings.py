"""AT+MIPCFG: settings of the socket ids, lost at a reboot (ml307r.md 5.1)."""

from typing import override

from simulator.errors import CmeError
from simulator.modem import Modem
from simulator.parser import Form
from simulator.registry import Area, Call, at

RAW, HEX, ESCAPED = 0, 1, 2

type Limits = tuple[tuple[int, int], ...]

# Key: defaults, limits, and how many values may be left out at the end.
_KEYS: dict[str, tuple[tuple[int, ...], Limits, int]] = {
    "encoding": ((0, 0), ((0, 2), (0, 1)), 1),
    "timeout": ((10,), ((1, 120),), 0),
    "autofree": ((0,), ((0, 1),), 0),
    "sndbuf": ((1460,), ((1, 8192),), 0),
    "rcvbuf": ((1460,), ((1, 8192),), 0),
    "ackmode": ((0,), ((0, 1),), 0),
    "ssl": ((0, 0), ((0, 1), (0, 5)), 1),
    "cid": ((1,), ((1, 15),), 0),
}


class SocketSettings(Area):
    """One set of values for each socket id."""

    def __init__(self, modem: Modem) -> None:
        super().__init__(modem)
        self.count = modem.switches.number("mip_ids")
        self._values: dict[tuple[str, int], tuple[int, ...]] = {}
        self._keep_alive: dict[int, tuple[int, ...]] = {}

    @override
    def reset(self) -> None:
        """All defaults."""
        self._values.clear()
        self._keep_alive.clear()

    def get(self, key: str, number: int) -> tuple[int, ...]:
        """The values of a key."""
        return self._values.get((key, number), _KEYS[key][0])

    @at("+MIPCFG")
    async def mipcfg(self, call: Call) -> None:
        """Set, or ask by leaving out the values."""
        call.expect(Form.WRITE)
        key, number = call.key(), call.number(1, 0, self.count - 1)
        if key not in _KEYS:
            raise CmeError(50)
        if call.count == 2:
            call.info(f'+MIPCFG: "{key}",{number},{",".join(map(str, self.get(key, number)))}')
            return
        _, limits, optional = _KEYS[key]
        call.at_most(2 + len(limits))
        old = self.get(key, number)
        values = []
        for index, (low, high) in enumerate(limits):
            default = old[index] if index >= len(limits) - optional else None
            values.append(call.number(2 + index, low, high, default))
        self._values[key, number] = tuple(values)

    @at("+MIPTKA", test="+MIPTKA: (0-5),(0-1),(30-7200),(30-600),(1-9)")
    async def miptka(self, call: Call) -> None:
        """Keep-alive: on, idle time, interval, count; kept, without effect on the computer's sockets (TCP 3.2)."""
        call.expect(Form.READ, Form.WRITE)
        if call.form is Form.WRITE and call.count > 1:
            call.at_most(5)
            values = (call.number(2, 30, 7200, 90), call.number(3, 30, 600, 75), call.number(4, 1, 9, 3))
            self._keep_alive[call.number(0, 0, self.count - 1)] = (call.number(1, 0, 1), *values)
            return
        for number in range(self.count) if call.form is Form.READ else [call.number(0, 0, self.count - 1)]:
            enabled, *rest = self._keep_alive.get(number, (0,))
            call.info(f"+MIPTKA: {number},{enabled}" + "".join(f",{value}" for value in rest if enabled))
