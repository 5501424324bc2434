"""Network and signal as a BG96 tells them: bg96.md 6.1 and 6.2."""

from collections.abc import Callable, Mapping
from typing import override

from simulator.errors import CommandFailedError
from simulator.modem import Modem
from simulator.network import CELL_ID, TAC, Registration, Status
from simulator.parser import Form
from simulator.radio import Signal
from simulator.registry import Call, at


class Bg96Registration(Registration):
    """CGREG stays 0 on LTE-M, as on a real one (PART)."""

    says_powered_down = True

    @override
    def value_of_cgreg(self) -> Status:
        lte = self.modem.switches.text("radio") != "gsm"
        return Status.IDLE if lte and self.modem.switches.text("cgreg") == "zero" else self.status


class Bg96Signal(Signal):
    """Quectel's own signal commands."""

    def __init__(self, modem: Modem, heard: Callable[[], bool]) -> None:
        super().__init__(modem, heard)
        self._reported: set[str] = set()

    @override
    def reset(self) -> None:
        self._reported.clear()

    @property
    def _mode(self) -> str:
        return self.modem.switches.text("radio").upper()

    @property
    def _band(self) -> str:
        return '"GSM 900",50' if self._mode == "GSM" else '"LTE BAND 20",6400'

    @at("+QENG", test='+QENG: ("servingcell","neighbourcell")')
    async def qeng(self, call: Call) -> None:
        """The serving cell; here the order is rsrp, rsrq, rssi, sinr (M-CELL, bg96.md 6.1)."""
        call.expect(Form.WRITE)
        if call.key() != "servingcell":
            raise CommandFailedError
        if not self.heard:
            call.info('+QENG: "servingcell","SEARCH"')
            return
        plmn = self.modem.switches.text("plmn")
        levels = self.levels
        shown = ",".join(
            "-" if value is None else str(value)
            for value in (levels.rsrp_dbm, levels.rsrq_db, levels.rssi_dbm, levels.sinr_db)
        )
        if self._mode == "GSM":
            rxlev = "-" if levels.rssi_dbm is None else levels.rssi_dbm + 111
            rest = f"2490,5B29,7,50,-,{rxlev}" + ",-" * 16
            call.info(f'+QENG: "servingcell","NOCONN","GSM",{plmn[:3]},{plmn[3:]},{rest}')
            return
        kind = self._mode[:-1]  # CAT-M and CAT-NB here, CAT-M1 and CAT-NB1 with QCSQ
        call.info(
            f'+QENG: "servingcell","NOCONN","{kind}","FDD",{plmn[:3]},{plmn[3:]},{CELL_ID.lstrip("0")},7,6400,20,'
            f"3,3,{TAC},{shown},-"
        )

    @at("+QINDCFG")
    async def qindcfg(self, call: Call) -> None:
        """`"csq",1`: +QIND: "csq",rssi,ber when the signal changes (M-AT 4.3)."""
        call.expect(Form.WRITE)
        if call.key() not in {"csq", "all", "smsfull", "ring", "smsincoming", "act"}:
            raise CommandFailedError
        if call.count == 1:
            call.info(f'+QINDCFG: "{call.key()}",{int(call.key() in self._reported)}')
        elif call.number(1, 0, 1):
            self._reported.add(call.key())
        else:
            self._reported.discard(call.key())

    @override
    def change(self, values: Mapping[str, int | None]) -> None:
        super().change(values)
        if self._reported & {"csq", "all"}:
            self.modem.urc(f'+QIND: "csq",{self.strength()},99')

    @at("+QCSQ")
    async def qcsq(self, call: Call) -> None:
        """`mode,rssi,rsrp,sinr,rsrq`, sinr as (dB + 20) * 5."""
        self.exec_only(call)
        levels = self.levels
        if not self.heard or levels.rsrp_dbm is None:
            call.info('+QCSQ: "NOSERVICE"')
            return
        mode = self.modem.switches.text("qcsq_act") or self._mode
        if self._mode == "GSM":
            call.info(f'+QCSQ: "{mode}",{-113 if levels.rssi_dbm is None else levels.rssi_dbm}')
            return
        sinr = 0 if levels.sinr_db is None else min(250, max(0, (levels.sinr_db + 20) * 5))
        rssi = -125 if levels.rssi_dbm is None else levels.rssi_dbm
        rsrq = -20 if levels.rsrq_db is None else levels.rsrq_db
        call.info(f'+QCSQ: "{mode}",{rssi},{levels.rsrp_dbm},{sinr},{rsrq}')

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
        call.info(f'+QNWINFO: "{act}","{self.modem.switches.text("plmn")}",{self._band}')
