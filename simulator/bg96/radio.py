"""Network and signal as a BG96 tells them: bg96.md 6.1 and 6.2."""

from typing import override

from simulator.errors import CommandFailedError
from simulator.network import Registration, Status
from simulator.radio import Signal
from simulator.registry import Call, at


class Bg96Registration(Registration):
    """CGREG stays 0 on LTE-M, as on a real one (PART)."""

    says_powered_down = True

    @override
    def value_of_cgreg(self) -> Status:
        return Status.IDLE if self.modem.switches.text("cgreg") == "zero" else self.status


class Bg96Signal(Signal):
    """Quectel's own signal commands."""

    @property
    def _mode(self) -> str:
        return self.modem.switches.text("radio").upper()

    @at("+QCSQ")
    async def qcsq(self, call: Call) -> None:
        """`mode,rssi,rsrp,sinr,rsrq`, sinr as (dB + 20) * 5."""
        self.exec_only(call)
        levels = self.levels
        if not self.heard or levels.rsrp_dbm is None:
            call.info('+QCSQ: "NOSERVICE"')
            return
        sinr = 0 if levels.sinr_db is None else min(250, max(0, (levels.sinr_db + 20) * 5))
        rssi = -125 if levels.rssi_dbm is None else levels.rssi_dbm
        rsrq = -20 if levels.rsrq_db is None else levels.rsrq_db
        call.info(f'+QCSQ: "{self._mode}",{rssi},{levels.rsrp_dbm},{sinr},{rsrq}')

    @at("+CESQ")
    async def cesq(self, call: Call) -> None:
        """Not in the manual; by switch."""
        if not self.modem.switches.flag("cesq"):
            raise CommandFailedError
        self.exec_only(call)
        call.info(self.extended(with_rxlev=False))

    @at("+QNWINFO")
    async def qnwinfo(self, call: Call) -> None:
        """Technology, network, band and channel."""
        self.exec_only(call)
        if not self.heard:
            call.info("+QNWINFO: No Service")
            return
        act = self.modem.switches.text("qnwinfo_act") if self._mode == "CAT-M1" else self._mode
        call.info(f'+QNWINFO: "{act}","{self.modem.switches.text("plmn")}","LTE BAND 20",6400')
