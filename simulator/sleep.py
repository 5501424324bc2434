"""Sleep, in which the UART is deaf: bg96.md 6.3 (M-AT 11.5), ml307r.md 2."""

from __future__ import annotations

from typing import TYPE_CHECKING

from simulator.clock import now

if TYPE_CHECKING:
    from simulator.modem import Modem

WAKE_BYTE = b"\xe0"


class Sleep:
    """Falls asleep after some silence if that is allowed, and loses the bytes that wake it.

    The ML307R wakes up by bytes, the first of which are lost; the BG96 by DTR alone, and a
    pseudo-terminal has no DTR, so the control channel moves it.
    """

    def __init__(self, modem: Modem) -> None:
        switches = modem.switches
        self._modem = modem
        self._after_s = switches.seconds("sleep_after_s")
        self._wake_s = switches.seconds("wake_s") if modem.wakes_by_bytes else 0.0
        self._round = 0
        self._wakes_by_bytes = modem.wakes_by_bytes
        self.dtr_high = False
        self.allowed = False
        self.asleep = False
        self._waking = False
        self.lost = 0

    def allow(self, *, allowed: bool) -> None:
        """AT+QSCLK, AT+MLPMCFG."""
        self.allowed = allowed
        self.stir()

    def set_dtr(self, *, high: bool) -> None:
        """The wire by which the host of a BG96 lets it sleep."""
        self.dtr_high = high
        if high or self._wakes_by_bytes:
            self.stir()
        else:
            self._wake(b"")

    def stir(self) -> None:
        """Something happened: count the silence from here."""
        self._round += 1
        mine = self._round
        if self._after_s > 0 and self.allowed and (self._wakes_by_bytes or self.dtr_high):
            self._modem.later(self._after_s, lambda: self._fall(mine))

    def _fall(self, mine: int) -> None:
        if mine != self._round or self.asleep:
            return
        if self._modem.busy:
            self.stir()
            return
        self.asleep = True
        self._modem.trace.remark("asleep")
        if not self._wakes_by_bytes:
            self._modem.line.hold()

    def passed(self, data: bytes) -> bytes:
        """What of some bytes is heard."""
        if not self.asleep:
            self.stir()
            return data
        self.lost += len(data)
        self._modem.trace.remark(f"asleep: {len(data)} bytes lost")
        if self._wakes_by_bytes and not self._waking:
            self._waking = True
            self._modem.timers.at(now() + self._wake_s, lambda: self._wake(WAKE_BYTE))
        return b""

    def speaks(self) -> None:
        """The modem itself has something to say."""
        if self.asleep and self._wakes_by_bytes:
            self._wake(WAKE_BYTE)

    def _wake(self, said: bytes) -> None:
        if not self.asleep:
            return
        self.asleep = self._waking = False
        self._modem.trace.remark("awake")
        if not self._wakes_by_bytes:
            self._modem.line.release()
        if said and self._modem.switches.flag("wake_byte"):
            self._modem.line.write(said)
        self._modem.woke()
        self.stir()

    def reset(self) -> None:
        """A reboot ends sleep and forgets who may sleep."""
        if self.asleep and not self._wakes_by_bytes:
            self._modem.line.release()
        self.asleep = self._waking = False
        self.allowed = self._modem.sleeps_by_default
        self.stir()
