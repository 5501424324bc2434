"""What is lost when the host sends faster than the modem takes: bg96.md 6.3 and 10 (9), field.md A2."""

from __future__ import annotations

from typing import TYPE_CHECKING

from simulator.clock import now

if TYPE_CHECKING:
    from simulator.modem import Modem


class Overrun:
    """A UART's receive buffer that is emptied at a rate; without RTS what does not fit is lost.

    By the switch `overrun`: never, only while hardware flow control is not on at both ends, or always.
    """

    def __init__(self, modem: Modem) -> None:
        switches = modem.switches
        self._modem = modem
        self._when = switches.text("overrun")
        self._size = switches.number("uart_buffer_bytes")
        self._rate = switches.number("uart_drain_bytes_s")
        self._level = 0.0
        self._at = now()
        self.lost = 0

    def passed(self, data: bytes) -> bytes:
        """What of some bytes finds room."""
        if self._when == "never" or (self._when == "unflowed" and self._flow_controlled):
            return data
        moment = now()
        self._level = max(0.0, self._level - (moment - self._at) * self._rate)
        self._at = moment
        held = len(self._modem.session.inbox.buffer)
        room = max(0, int(self._size - max(self._level, held)))
        kept = data[:room]
        if self._rate:
            self._level += len(kept)
        if len(kept) < len(data):
            self.lost += len(data) - len(kept)
            self._modem.trace.remark(f"overrun: {len(data) - len(kept)} bytes lost")
        return kept

    @property
    def _flow_controlled(self) -> bool:
        """RTS stops the host: AT+IFC's second value is 2, and the host has set CRTSCTS."""
        return self._modem.flow_control[1] == 2 and self._modem.line.host_has_flow_control()
