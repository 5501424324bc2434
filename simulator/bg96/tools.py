"""AT+QPING and AT+QNTP: bg96.md 4 (M-TCP 2.1)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from simulator.bg96.packet import Packet
from simulator.parser import Form
from simulator.ping import ping
from simulator.registry import Area, Call, at
from simulator.sntp import ask_time
from simulator.tcp import OpenFailedError, resolve

if TYPE_CHECKING:
    from simulator.bg96.modem import Bg96

_PING_BYTES = 32
_NTP_TIMEOUT_S = 125


class Tools(Area):
    """Reachability and the time; both give OK first."""

    modem: Bg96

    def __init__(self, modem: Bg96, packet: Packet) -> None:
        super().__init__(modem)
        self._packet = packet

    def _host(self, call: Call) -> str:
        if self._packet.active(call.number(0, 0, 16)) is None:
            raise self._packet.fail(561)
        if not call.text(1):
            raise self._packet.fail(552)
        self._packet.last_error = 0
        return call.text(1)

    @at("+QPING", test="+QPING: (1-16),<host>,(1-255),(1-10)")
    async def qping(self, call: Call) -> None:
        """A line for each packet, then sent, received, lost, and the shortest, longest and mean time in ms.

        The fact sheet has the command only; these lines are those of Quectel's other modems.
        """
        call.expect(Form.WRITE)
        call.at_most(4)
        host, timeout_s, count = self._host(call), call.number(2, 1, 255, 4), call.number(3, 1, 10, 4)
        call.then.append(lambda: self.modem.spawn(self._ping(host, timeout_s, count)))

    async def _ping(self, host: str, timeout_s: int, count: int) -> None:
        try:
            address = (await resolve(host))[0]
        except OpenFailedError:
            self._packet.last_error = 565
            self.modem.result_urc("+QPING: 565")
            return
        times: list[int] = []
        for _ in range(count):
            answer = await ping(address, _PING_BYTES, timeout_s)
            if answer is None:
                self.modem.result_urc("+QPING: 569")
            else:
                times.append(round(answer.seconds * 1000))
                self.modem.result_urc(f'+QPING: 0,"{address}",{_PING_BYTES},{times[-1]},{answer.ttl}')
        low, high, mean = (min(times), max(times), sum(times) // len(times)) if times else (0, 0, 0)
        self.modem.result_urc(f"+QPING: 0,{count},{len(times)},{count - len(times)},{low},{high},{mean}")

    @at("+QNTP", test="+QNTP: (1-16),<server>,(1-65535),(0,1)")
    async def qntp(self, call: Call) -> None:
        """`+QNTP: 0,"yyyy/mm/dd,hh:mm:ss+zz"`, or the error; at most 125 s."""
        call.expect(Form.WRITE)
        call.at_most(4)
        host, port = self._host(call), call.number(2, 1, 65535, 123)
        call.number(3, 0, 1, 1)
        call.then.append(lambda: self.modem.spawn(self._ask(host, port)))

    async def _ask(self, host: str, port: int) -> None:
        time = await ask_time(host, port, _NTP_TIMEOUT_S)
        self._packet.last_error = 569 if time is None else 0
        self.modem.result_urc("+QNTP: 569" if time is None else f'+QNTP: 0,"{time:%Y/%m/%d,%H:%M:%S}+00"')
