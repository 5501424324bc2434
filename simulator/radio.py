"""Signal values: bg96.md 6.1, ml307r.md 3."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

from simulator.errors import CmeError, CommandFailedError
from simulator.modem import Modem
from simulator.parser import Form
from simulator.registry import Area, Call, at


@dataclass(slots=True)
class Levels:
    """What the radio measures; None is unknown."""

    rssi_dbm: int | None
    rsrp_dbm: int | None
    rsrq_db: int | None
    sinr_db: int | None


class Signal(Area):
    """The commands every modem has; families add their own spelling."""

    def __init__(self, modem: Modem, heard: Callable[[], bool]) -> None:
        super().__init__(modem)
        self._heard = heard
        level = modem.switches.level
        self._base = Levels(level("rssi_dbm"), level("rsrp_dbm"), level("rsrq_db"), level("sinr_db"))
        self._walk = modem.switches.number("signal_walk_db")
        self._steps = 0

    @property
    def levels(self) -> Levels:
        """What is measured now; each look moves a moving signal on by one dB."""
        if not self._walk:
            return self._base
        phase = self._steps % (4 * self._walk)
        self._steps += 1
        # Up, down through the middle, and up again.
        offset = self._walk - abs((phase + self._walk) % (4 * self._walk) - 2 * self._walk)
        values = (getattr(self._base, name) for name in ("rssi_dbm", "rsrp_dbm", "rsrq_db", "sinr_db"))
        return Levels(*(None if value is None else value + offset for value in values))

    def change(self, values: Mapping[str, int | None]) -> None:
        """Other levels from now on."""
        self._base = replace(self._base, **values)

    @property
    def heard(self) -> bool:
        """Whether the radio is on and hears a network."""
        return self._heard()

    @at("+CSQ", test="+CSQ: (0-31,99),(0-7,99)")
    async def csq(self, call: Call) -> None:
        """0 is -113 dBm or less, 31 is -51 dBm or more, 99 unknown; the read form is CME 3 (bg96.md 6.1)."""
        if call.form is Form.READ:
            raise CmeError(3)
        call.expect(Form.EXEC)
        call.info(f"+CSQ: {self.strength()},99")

    def strength(self) -> int:
        """Signal strength as AT+CSQ counts it."""
        rssi = self.levels.rssi_dbm if self.heard else None
        return 99 if rssi is None else min(31, max(0, (rssi + 113) // 2))

    def extended(self, *, with_rxlev: bool) -> str:
        """+CESQ by the tables of 27.007 (lower edges, bg96.md 6.1)."""
        levels = self.levels if self.heard else Levels(None, None, None, None)
        rxlev = 99
        if with_rxlev and levels.rssi_dbm is not None:
            rxlev = min(63, max(0, levels.rssi_dbm + 111))
        rsrq = 255 if levels.rsrq_db is None else min(34, max(0, round((levels.rsrq_db + 20) * 2)))
        rsrp = 255 if levels.rsrp_dbm is None else min(97, max(0, levels.rsrp_dbm + 141))
        return f"+CESQ: {rxlev},99,255,255,{rsrq},{rsrp}"

    def exec_only(self, call: Call) -> None:
        """Refuse any form but the plain one."""
        if call.form is not Form.EXEC:
            raise CommandFailedError
