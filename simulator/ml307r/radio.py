"""Network and signal as an ML307R tells them: ml307r.md 1.2 and 3."""

from typing import override

from simulator.errors import CommandFailedError
from simulator.network import CELL_ID, Registration
from simulator.radio import Signal
from simulator.registry import Call, at

_LTE, _EARFCN, _PCI, _BAND = 4, 1650, 7, 3
_INVALID = -32768


class MlRegistration(Registration):
    """AT+CREG is an error (UUB)."""

    @override
    @at("+CREG", "+CGREG", "+CEREG", tests=True)
    async def report(self, call: Call) -> None:
        """`n,stat[,"tac","ci",act]`; the unsolicited form lacks n."""
        if call.part.name == "+CREG" and not self.modem.switches.flag("creg"):
            raise CommandFailedError
        await super().report(call)


class MlSignal(Signal):
    """CESQ and the vendor's own."""

    @at("+CESQ", test="+CESQ: (0-63,99),(0-7,99),(0-96,255),(0-49,255),(0-34,255),(0-97,255)")
    async def cesq(self, call: Call) -> None:
        """The manual's sample shows rxlev on LTE, too (FLOW)."""
        self.exec_only(call)
        call.info(self.extended(with_rxlev=True))

    @at("+MUESTATS", test='+MUESTATS: ("radio","cell","sband")')
    async def muestats(self, call: Call) -> None:
        """Radio, serving cell or band in 0.1 dBm and 0.1 dB; the type is mandatory (EXT 4.5).

        What an ML307R does not have (power and times of sending, coverage level) is left empty, as in the
        manual's sample of another field.
        """
        call.at_most(1)
        kind = call.key()
        if kind not in {"radio", "cell", "sband"}:
            raise self.modem.bad_parameter()
        rsrp, rssi, sinr, rsrq = self._tenths()
        plmn = self.modem.switches.text("plmn")
        if kind == "radio":
            cell = f"{int(CELL_ID, 16) if self.heard else 0xFFFFFFFF:08X}"
            where = f"{_EARFCN},{_PCI}" if self.heard else "-1,65535"
            call.info(f'+MUESTATS: "radio",{_LTE},{rsrp},{rssi},,,,{cell},,{sinr},{where},{rsrq}')
        elif kind == "cell" and self.heard:
            levels = f"{rsrp},{rsrq},{rssi},{sinr}"
            call.info(f'+MUESTATS: "scell",{_LTE},{plmn[:3]},{plmn[3:]},{_EARFCN},,{_PCI},{levels}')
        elif kind == "sband" and self.heard:
            call.info(f'+MUESTATS: "sband",{_BAND}')

    def _tenths(self) -> tuple[int, int, int, int]:
        levels = self.levels
        values = (levels.rsrp_dbm, levels.rssi_dbm, levels.sinr_db, levels.rsrq_db)
        rsrp, rssi, sinr, rsrq = (_INVALID if value is None or not self.heard else value * 10 for value in values)
        return rsrp, rssi, sinr, rsrq
