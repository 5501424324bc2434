"""Names, pings and the time: ml307r.md 3 (TCP 3.16 to 3.18 and 3.21)."""

from __future__ import annotations

from typing import TYPE_CHECKING, override

from simulator.errors import CmeError
from simulator.ml307r.packet import Packet
from simulator.parser import Form
from simulator.ping import ping
from simulator.registry import Area, Call, at
from simulator.sntp import ask_time
from simulator.tcp import OpenFailedError, resolve

if TYPE_CHECKING:
    from simulator.ml307r.modem import Ml307r

_NAME_LIMIT = 255
_ADDRESS_LIMIT = 4


class Names(Area):
    """AT+MDNSGIP, AT+MDNSCFG, AT+MPING and AT+MNTP."""

    modem: Ml307r

    def __init__(self, modem: Ml307r, packet: Packet) -> None:
        super().__init__(modem)
        self._packet = packet
        self._priority = 1
        self._looking = False
        self._pinging = False

    @override
    def reset(self) -> None:
        self._priority = 1

    def _host(self, call: Call) -> str:
        host = call.text(0)
        if not 0 < len(host) <= _NAME_LIMIT:
            raise CmeError(50)
        return host

    def _require_context(self, cid: int) -> None:
        if self._packet.active(cid) is None:
            raise CmeError(570)

    @at("+MDNSGIP", test="+MDNSGIP: ,(1-15)")
    async def mdnsgip(self, call: Call) -> None:
        """OK, then at most four addresses; on failure the name alone. 581 while another is looked for."""
        call.expect(Form.WRITE)
        call.at_most(2)
        host = self._host(call)
        self._require_context(call.number(1, 1, 15, 1))
        if self._looking:
            raise CmeError(581)
        self._looking = True
        call.then.append(lambda: self.modem.spawn(self._look_up(host)))

    async def _look_up(self, host: str) -> None:
        try:
            addresses = await resolve(host)
        except OpenFailedError:
            addresses = []
        finally:
            self._looking = False
        found = (f'"{address}"' for address in addresses[:_ADDRESS_LIMIT])
        self.modem.urc(",".join([f'+MDNSGIP: "{host}"', *found]))

    @at("+MDNSCFG", test='+MDNSCFG: "priority",(0,1)')
    async def mdnscfg(self, call: Call) -> None:
        """Only "priority" on an ML307R; kept, without effect on the computer's resolver."""
        call.expect(Form.WRITE)
        call.at_most(2)
        if call.key() != "priority":
            raise CmeError(50)
        if call.has(1):
            self._priority = call.number(1, 0, 1)
        else:
            call.info(f'+MDNSCFG: "priority",{self._priority}')

    @at("+MPING", test="+MPING: ,(1-60),(1-65535),(1-1400),(1-15)")
    async def mping(self, call: Call) -> None:
        """OK, then a line for each packet and the statistics; 582 while another is under way."""
        call.expect(Form.WRITE)
        call.at_most(5)
        host, timeout_s, count = self._host(call), call.number(1, 1, 60, 10), call.number(2, 1, 65535, 4)
        size = call.number(3, 1, 1400, 16)
        self._require_context(call.number(4, 1, 15, 1))
        if self._pinging:
            raise CmeError(582)
        self._pinging = True
        call.then.append(lambda: self.modem.spawn(self._ping(host, timeout_s, count, size)))

    async def _ping(self, host: str, timeout_s: int, count: int, size: int) -> None:
        try:
            await self._send_pings(host, timeout_s, count, size)
        finally:
            self._pinging = False

    async def _send_pings(self, host: str, timeout_s: int, count: int, size: int) -> None:
        try:
            address = (await resolve(host))[0]
        except OpenFailedError:
            self.modem.urc("+MPING: 1")
            return
        times: list[int] = []
        for _ in range(count):
            answer = await ping(address, size, timeout_s)
            if answer is None:
                self.modem.urc("+MPING: 4")
            else:
                milliseconds = round(answer.seconds * 1000)
                times.append(milliseconds)
                self.modem.urc(f'+MPING: 0,"{address}",{size},{milliseconds},{answer.ttl}')
        if count > 1:
            low, high, mean = (min(times), max(times), sum(times) // len(times)) if times else (0, 0, 0)
            self.modem.urc(f'+MPING: "statistics",{count},{count - len(times)},{low},{high},{mean}')

    @at("+MNTP")
    async def mntp(self, call: Call) -> None:
        """OK, then `+MNTP: 0,"yy/MM/dd,hh:mm:ss+zz"`, or 3 (TCP 3.21)."""
        call.expect(Form.EXEC, Form.WRITE)
        call.at_most(4)
        host = call.text(0, self.modem.switches.text("ntp_server"))
        port, timeout_s = call.number(1, 0, 65535, 123), call.number(3, 1, 300, 30)
        call.number(2, 0, 1, 1)
        self._require_context(1)
        call.then.append(lambda: self.modem.spawn(self._ask(host, port, timeout_s)))

    async def _ask(self, host: str, port: int, timeout_s: int) -> None:
        time = await ask_time(host, port, timeout_s)
        self.modem.urc("+MNTP: 3" if time is None else f'+MNTP: 0,"{time:%y/%m/%d,%H:%M:%S}+00"')
