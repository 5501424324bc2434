"""Registration: bg96.md 6.2, ml307r.md 3."""

from collections.abc import Callable
import enum
from typing import override

from simulator.errors import CmeError, CommandFailedError
from simulator.modem import Modem
from simulator.options import Target
from simulator.parser import Form
from simulator.registry import Area, Call, at
from simulator.sim import Card, Sim

TAC = "2490"
CELL_ID = "015B290F"


class Status(enum.IntEnum):
    """Registration as 27.007 numbers it."""

    IDLE = 0
    HOME = 1
    SEARCHING = 2
    DENIED = 3
    UNKNOWN = 4
    ROAMING = 5


_END_OF_SEARCH = {
    Target.HOME: Status.HOME,
    Target.ROAMING: Status.ROAMING,
    Target.SEARCHING: Status.SEARCHING,
    Target.DENIED: Status.DENIED,
}


class Registration(Area):
    """Radio on or off, choice of network, and what came of it."""

    def __init__(self, modem: Modem, sim: Sim, act: int) -> None:
        super().__init__(modem)
        self._sim = sim
        self.act = act
        self.status = Status.IDLE
        self.function = 1
        self._selection = 0
        self._wanted: str | None = None
        self._format = 0
        self._reports = {"+CREG": 0, "+CGREG": 0, "+CEREG": 0}
        self._stored_reports = dict(self._reports)
        self._search = 0
        self.target = modem.options.registration
        self._gone: Status | None = None
        self.changed: list[Callable[[Status], None]] = []
        sim.changed.append(self.search)

    @property
    def registered(self) -> bool:
        """Whether there is a network to use."""
        return self.status in {Status.HOME, Status.ROAMING}

    @property
    def radio_on(self) -> bool:
        """Whether the receiver is on."""
        return self.function == 1

    @override
    def reset(self) -> None:
        """Start again, unregistered and unreported."""
        self._search += 1
        self.function, self._selection, self._wanted, self._format = 1, 0, None, 0
        self._set(Status.IDLE)
        self.restore_reports(factory=False)

    def store_reports(self) -> None:
        """AT&W."""
        self._stored_reports = dict(self._reports)

    def restore_reports(self, *, factory: bool) -> None:
        """AT&F, ATZ and a reboot."""
        self._reports = dict.fromkeys(self._reports, 0) if factory else dict(self._stored_reports)

    def begin(self) -> None:
        """Be where a search would end."""
        if self._may_search():
            self._set(_END_OF_SEARCH[self.target] if self._gone is None else self._gone)

    def search(self) -> None:
        """Look for a network."""
        self._search += 1
        if not self._may_search():
            self._set(Status.IDLE)
            return
        if self._gone is not None:
            self._set(self._gone)
            return
        self._set(Status.SEARCHING)
        if self._wanted is not None and self._wanted != self.modem.switches.text("plmn"):
            return
        mine = self._search
        end = _END_OF_SEARCH[self.target]
        self.modem.later(self.modem.switches.seconds("search_s"), lambda: self._found(mine, end))

    def lose(self, status: str) -> None:
        """The network is gone, until it is found again."""
        self._search += 1
        self._gone = Status[status.upper()]
        self._set(self._gone)

    def found_again(self) -> None:
        """The network is back; it has to be searched for."""
        self._gone = None
        self.search()

    def aim(self, target: Target) -> None:
        """Another end of the search, now and from now on."""
        self.target = target
        self._search += 1
        self.begin()

    def _found(self, search: int, end: Status) -> None:
        if search == self._search:
            self._set(end)

    def _may_search(self) -> bool:
        return self._sim.card is Card.READY and self.radio_on and self._selection != 2

    def _set(self, status: Status) -> None:
        if status is self.status:
            return
        before = {name: self._value(name) for name in self._reports}
        self.status = status
        for name, report in self._reports.items():
            if report and self._value(name) != before[name]:
                self.modem.urc(f"{name}: {self._place(name, report)}")
        for action in self.changed:
            action(status)

    def value_of_cgreg(self) -> Status:
        """GPRS registration: stays 0 on LTE-M (seen on a BG96, bg96.md 6.2)."""
        return self.status

    def _value(self, name: str) -> Status:
        return self.value_of_cgreg() if name == "+CGREG" else self.status

    def _place(self, name: str, report: int) -> str:
        value = self._value(name)
        if report == 2 and value in {Status.HOME, Status.ROAMING}:
            return f'{value:d},"{TAC}","{CELL_ID}",{self.act}'
        return f"{value:d}"

    @at("+CREG", "+CGREG", "+CEREG", test=None, tests=True)
    async def report(self, call: Call) -> None:
        """`n,stat[,"tac","ci",act]`; the unsolicited form lacks n."""
        name = call.part.name
        if call.form is Form.TEST:
            call.info(f"{name}: (0-2)")
        elif call.form is Form.READ:
            report = self._reports[name]
            call.info(f"{name}: {report},{self._place(name, report)}")
        else:
            call.expect(Form.WRITE)
            self._reports[name] = call.number(0, 0, 2)

    @at("+COPS", tests=True)
    async def cops(self, call: Call) -> None:
        """Operator: read, automatic, by number, off, and the format of the name."""
        self._sim.require()
        if call.form is Form.TEST:
            name, plmn = self.modem.switches.text("operator"), self.modem.switches.text("plmn")
            call.info(f'+COPS: (2,"{name}","{name}","{plmn}",{self.act}),,(0-4),(0-2)')
        elif call.form is Form.READ:
            call.info(self._operator())
        else:
            call.expect(Form.WRITE)
            self._select(call)

    def _operator(self) -> str:
        if not self.registered:
            return f"+COPS: {self._selection}"
        name = self.modem.switches.text("plmn" if self._format == 2 else "operator")
        return f'+COPS: {self._selection},{self._format},"{name}",{self.act}'

    def _select(self, call: Call) -> None:
        mode = call.number(0, 0, 4)
        if mode == 3:
            self._format = call.number(1, 0, 2)
            return
        if mode == 2:
            self._selection, self._wanted = 2, None
        elif mode in {1, 4}:
            plmn = self._number_of(call.number(1, 0, 2), call.text(2))
            call.number(3, 0, 9, self.act)
            known = plmn == self.modem.switches.text("plmn")
            self._selection = 0 if mode == 4 and not known else 1
            self._wanted = plmn if self._selection else None
            if not known and mode == 1:
                self.search()
                raise CmeError(30)
        else:
            changed = self._selection != 0
            self._selection, self._wanted = 0, None
            if self.registered and not changed:
                return
        if mode in {1, 4} and self.registered:
            return
        call.then.append(self.search)

    def _number_of(self, form: int, name: str) -> str:
        if form == 2:
            if not (name.isdigit() and 5 <= len(name) <= 6):
                raise self.modem.bad_parameter()
            return name
        return self.modem.switches.text("plmn") if name == self.modem.switches.text("operator") else ""

    @at("+CFUN", test="+CFUN: (0,1,4),(0,1)")
    async def cfun(self, call: Call) -> None:
        """0 minimum, 1 full, 4 radio off; `,1` resets (M-AT, bg96.md 6.2)."""
        call.expect(Form.READ, Form.WRITE)
        if call.form is Form.READ:
            call.info(f"+CFUN: {self.function}")
            return
        function = call.number(0, 0, 4)
        if function not in {0, 1, 4}:
            raise self.modem.bad_parameter()
        if call.number(1, 0, 1, 0):
            if function != 1:
                raise self.modem.bad_parameter()
            call.then.append(lambda: self.modem.reboot("POWERED DOWN" if self.says_powered_down else None))
            return
        if function != self.function:
            self.function = function
            call.then.append(self.search)

    says_powered_down = False

    @at("+CGATT", test="+CGATT: (0,1)")
    async def cgatt(self, call: Call) -> None:
        """Attached while registered."""
        call.expect(Form.READ, Form.WRITE)
        if call.form is Form.READ:
            call.info(f"+CGATT: {int(self.registered)}")
        elif call.number(0, 0, 1):
            if not self.registered:
                raise CmeError(30)
        else:
            raise CommandFailedError
