"""Network and signal as an ML307R tells them: ml307r.md 1.2 and 3."""

from typing import override

from simulator.errors import CommandFailedError
from simulator.network import CELL_ID, Registration
from simulator.radio import Signal
from simulator.registry import Call, at


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

    @at("+MUESTATS", test='+MUESTATS: ("radio")')
    async def muestats(self, call: Call) -> None:
        """Radio values in 0.1 dBm; the type is mandatory (EXT 4.5).

        The order of the fields is an assumption: rsrp, rssi, tx power, cell id, snr in 0.1 dB,
        earfcn, pci, rsrq in 0.1 dB.
        """
        if call.key() != "radio":
            raise self.modem.bad_parameter()
        call.at_most(1)
        levels = self.levels
        if not self.heard or levels.rsrp_dbm is None:
            call.info('+MUESTATS: "radio"')
            return
        rssi = "" if levels.rssi_dbm is None else levels.rssi_dbm * 10
        sinr = "" if levels.sinr_db is None else levels.sinr_db * 10
        rsrq = "" if levels.rsrq_db is None else levels.rsrq_db * 10
        call.info(f'+MUESTATS: "radio",{levels.rsrp_dbm * 10},{rssi},100,{int(CELL_ID, 16)},{sinr},1650,7,{rsrq}')
