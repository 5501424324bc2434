"""The SIM card and its PIN: bg96.md 6.2, ml307r.md 3."""

from collections.abc import Callable
import enum
from typing import override

from simulator.errors import CmeError
from simulator.modem import Modem
from simulator.options import SimStart
from simulator.parser import Form
from simulator.registry import Area, Call, at

_PUK_TRIES = 10


class Card(enum.Enum):
    """What the card wants, as AT+CPIN? prints it."""

    READY = "READY"
    PIN = "SIM PIN"
    PUK = "SIM PUK"
    FAILED = "failure"
    BUSY = "busy"
    ABSENT = "absent"
    BLOCKED = "blocked"


# CME codes for a command that needs the card (M-AT table 10).
_REFUSALS = {Card.PIN: 11, Card.PUK: 12, Card.ABSENT: 10, Card.BLOCKED: 13, Card.FAILED: 13, Card.BUSY: 14}


class Sim(Area):
    """One card, its tries and its owner's numbers."""

    def __init__(self, modem: Modem) -> None:
        super().__init__(modem)
        self.pin = modem.options.pin
        self.pin_tries = modem.options.pin_tries
        self.puk_tries = _PUK_TRIES
        self.changed: list[Callable[[], None]] = []
        self.card = Card.READY
        self.start = modem.options.sim
        self.removed = False
        self.reset()

    @override
    def reset(self) -> None:
        """The card asks for its PIN again."""
        start = self.start
        if self.card is Card.BLOCKED:
            return
        if start is SimStart.ABSENT or self.removed:
            self.card = Card.ABSENT
        elif start in {SimStart.FAILURE, SimStart.BUSY}:
            self.card = Card.FAILED if start is SimStart.FAILURE else Card.BUSY
        elif start is SimStart.PUK or (start is SimStart.PIN and self.pin_tries == 0):
            self.pin_tries = 0
            self.card = Card.PUK
        else:
            self.card = Card.PIN if start is SimStart.PIN else Card.READY

    def start_slowly(self) -> None:
        """After a boot the card answers nothing for a while, if the switch says so."""
        busy_s = self.modem.switches.seconds("sim_busy_s")
        if busy_s <= 0 or self.card not in {Card.READY, Card.PIN, Card.PUK}:
            return
        then, self.card = self.card, Card.BUSY

        def answer() -> None:
            if self.card is Card.BUSY:
                self.card = then
                self._unlocked()

        self.modem.in_this_life(busy_s, answer)

    def remove(self) -> None:
        """The card is taken out."""
        self.removed = True
        self.card = Card.ABSENT
        self.modem.card_gone()
        self._unlocked()

    def insert(self) -> None:
        """The card is put back, and asks for its PIN again if it has one."""
        self.removed = False
        self.reset()
        self._unlocked()

    def put(self, start: SimStart) -> None:
        """Another state of the card, now and after a reboot."""
        self.start, self.removed = start, False
        before = self.card
        self.reset()
        if self.card is Card.ABSENT and before is not Card.ABSENT:
            self.modem.card_gone()
        self._unlocked()

    def require(self) -> None:
        """Refuse what cannot be done before the PIN."""
        if self.card is not Card.READY:
            raise CmeError(_REFUSALS[self.card])

    def require_card(self) -> None:
        """Refuse what cannot be done without a card."""
        if self.card in {Card.ABSENT, Card.BLOCKED, Card.FAILED, Card.BUSY}:
            raise CmeError(_REFUSALS[self.card])

    @at("+CPIN")
    async def cpin(self, call: Call) -> None:
        """State of the card, PIN, or PUK with a new PIN."""
        call.expect(Form.READ, Form.WRITE)
        self.require_card()
        if call.form is Form.READ:
            call.info(f"+CPIN: {self.card.value}")
            return
        call.at_most(2)
        code = call.text(0)
        if self.card is Card.PIN and call.count == 1:
            self._try_pin(code)
        elif self.card is Card.PUK and call.count == 2:
            self._try_puk(code, call.text(1))
        elif self.card is Card.PUK:
            raise CmeError(12)
        else:
            raise CmeError(3)
        call.then.append(self._unlocked)

    def _try_pin(self, code: str) -> None:
        if code == self.pin:
            self.pin_tries = 3
            self.card = Card.READY
            return
        self.pin_tries -= 1
        if self.pin_tries <= 0:
            self.pin_tries = 0
            self.card = Card.PUK
            raise CmeError(12)
        raise CmeError(16)

    def _try_puk(self, code: str, new_pin: str) -> None:
        if not (new_pin.isdigit() and 4 <= len(new_pin) <= 8):
            raise CmeError(16)
        if code == self.modem.options.puk:
            self.pin, self.pin_tries, self.puk_tries = new_pin, 3, _PUK_TRIES
            self.card = Card.READY
            return
        self.puk_tries -= 1
        if self.puk_tries <= 0:
            self.card = Card.BLOCKED
            raise CmeError(13)
        raise CmeError(16)

    def _unlocked(self) -> None:
        for action in self.changed:
            action()

    @at("+CIMI")
    async def imsi(self, call: Call) -> None:
        """The IMSI, bare; not before the PIN."""
        call.expect(Form.EXEC)
        self.require()
        call.info(self.modem.options.imsi)

    def iccid(self) -> str:
        """The card's number; readable while locked."""
        self.require_card()
        return self.modem.options.iccid
