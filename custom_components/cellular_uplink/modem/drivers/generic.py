"""What 3GPP 27.007 promises of every modem: identity, SIM, registration, operator, signal. No data route."""

import asyncio
from collections.abc import Callable
import re
from typing import ClassVar

from ..at.channel import Channel
from ..at.codec import CodecRules, parse_fields
from ..at.command import Command, Priority, Response
from ..at.encoding import AtEncoder, CommandLine, Text
from ..errors import CommandError, CommandTimeoutError, LinkError, ModemProtocolError, NetworkError, SimError
from .base import (
    AccessTechnology,
    ApnSettings,
    Identity,
    IpType,
    ModemStatus,
    Registration,
    RegistrationState,
    Signal,
    SimState,
    Traffic,
    Unsubscribe,
)

_BARE = (
    rb"(?!(APP )?RDY$|[A-Z]* ?POWER|REBOOTING|RING$|(SMS|PB|Call) (DONE|Ready)$)"
    rb'(%s: ?)?(Revision: ?)?"?[A-Za-z0-9][^:"]*"?$'
)
"""An identity line: bare text, or on some firmware behind the command's own prefix; no URC looks like it."""

_STATES = {
    0: RegistrationState.IDLE,
    1: RegistrationState.HOME,
    2: RegistrationState.SEARCHING,
    3: RegistrationState.DENIED,
    5: RegistrationState.ROAMING,
    9: RegistrationState.HOME,
    10: RegistrationState.ROAMING,
}
"""3GPP 27.007 7.2; 9 and 10 are home and roaming where voice falls back to 2G or 3G."""

_TECHNOLOGIES = {
    0: AccessTechnology.GSM,
    1: AccessTechnology.GSM,
    2: AccessTechnology.UMTS,
    3: AccessTechnology.GSM,
    4: AccessTechnology.UMTS,
    5: AccessTechnology.UMTS,
    6: AccessTechnology.UMTS,
    7: AccessTechnology.LTE,
    8: AccessTechnology.LTE_M,
    9: AccessTechnology.NB_IOT,
    10: AccessTechnology.LTE,
    11: AccessTechnology.NR,
    12: AccessTechnology.NR,
    13: AccessTechnology.NR,
}
"""<AcT>; 8 is Cat-M1 in the field (BG96), though 27.007 calls it EC-GSM-IoT (bg96.md 6.2)."""

_SIM_CODES = {
    "10": SimState.MISSING,
    "11": SimState.PIN,
    "12": SimState.PUK,
    "13": SimState.FAILURE,
    "14": SimState.BUSY,
    "15": SimState.FAILURE,
    "SIM not inserted": SimState.MISSING,
    "SIM PIN required": SimState.PIN,
    "SIM PUK required": SimState.PUK,
    "SIM failure": SimState.FAILURE,
    "SIM busy": SimState.BUSY,
    "SIM wrong": SimState.FAILURE,
}
"""+CME ERROR, numeric and verbose (bg96.md 6.2, ml307r.md 5.4)."""

OPERATOR_TIMEOUT_S = 180.0
"""COPS may take this long (bg96.md 8)."""
START_UP_S = 10.0
"""How long a modem that starts may refuse commands: a public driver waits so long for APP RDY (bg96.md 6.4)."""
START_UP_ANSWER_S = 5.0
START_UP_PAUSE_S = 0.25
RESTART_COMMAND_S = 15.0
RESTART_S = 60.0
"""Longest boot seen is 30 s (bg96.md 6.4); a modem whose messages go to another port is not heard at all."""


class GenericDriver:
    """Any modem that speaks 3GPP 27.007; the families' drivers build on it."""

    family: str = "generic"
    encoder: ClassVar[AtEncoder] = AtEncoder()
    rules: ClassVar[CodecRules] = CodecRules()
    banners: ClassVar[tuple[bytes, ...]] = (
        b"RDY",
        b"APP RDY",
        b"+MATREADY",
        b"POWERED DOWN",
        b"NORMAL POWER DOWN",
        b"REBOOTING",
    )

    def __init__(self, channel: Channel) -> None:
        self.channel = channel
        self.traffic = Traffic()
        self.needs_prepare = True
        self._listeners: list[Callable[[], None]] = []
        self._has_started = asyncio.Event()
        channel.on_lost(lambda _: self._has_started.set())  # no word of a start comes any more
        channel.configure(self.rules, banners=self.banners, on_banner=self._restarted)
        channel.on_urc(re.compile(rb"\+C(E|G)?REG: ?\d(,|$)"), self._status_changed)
        channel.on_urc(re.compile(rb"\+CPIN: "), self._status_changed)
        channel.on_urc(re.compile(rb"(APP )?RDY$|\+MATREADY$"), lambda _line, _data: self._has_started.set())

    # -- start-up -----------------------------------------------------------------------------------------------------

    async def prepare(self) -> None:
        """Configure what a host must: no echo, numbered errors, registration URCs, operator names as text."""
        self.needs_prepare = False
        await self._wait_started()
        for line in (self.encoder.set("+CMEE", 1), self.encoder.set("+CEREG", 2), self.encoder.set("+COPS", 3, 0)):
            await self.try_ask(line, priority=Priority.URGENT)

    async def _wait_started(self) -> None:
        """Switch the echo off, which a modem refuses, or does not hear, until its start is over (BG95: APP RDY)."""
        until = asyncio.get_running_loop().time() + START_UP_S
        while True:
            try:
                await self.ask(self.encoder.run("E0"), timeout_s=START_UP_ANSWER_S, priority=Priority.URGENT)
            except (CommandError, CommandTimeoutError, LinkError) as err:
                is_gone = isinstance(err, LinkError) and err.code != "modem_restarted"
                if is_gone or asyncio.get_running_loop().time() > until:
                    raise
                await asyncio.sleep(START_UP_PAUSE_S)
            else:
                return

    async def _restart_by(self, line: CommandLine) -> None:
        """Restart the modem with this command."""
        self._has_started.clear()
        await self.ask(line, timeout_s=RESTART_COMMAND_S)
        self._restarted()  # its messages may go to another port
        await wait_event(self._has_started, RESTART_S)

    def _restarted(self) -> None:
        """The modem said it restarted: what `prepare` set is gone."""
        self.needs_prepare = True
        self._status_changed(b"", b"")

    # -- identity -----------------------------------------------------------------------------------------------------

    async def read_identity(self) -> Identity:
        """Read vendor, model, revision, IMEI, IMSI and ICCID; parts the modem refuses are None."""
        return Identity(
            family=self.family,
            vendor=await self.read_text("+CGMI"),
            model=await self.read_text("+CGMM"),
            firmware=await self.read_text("+CGMR"),
            imei=await self.read_imei(),
            imsi=await self.read_digits(self.encoder.run("+CIMI")),
            iccid=await self.read_iccid(),
        )

    async def read_text(self, name: str) -> str | None:
        """Ask an identity command and return its first line without prefix and quotes, None if it is refused."""
        response = await self.try_ask(self.encoder.run(name), info=re.compile(_BARE % re.escape(name.encode())))
        if response is None or not response.lines:
            return None
        text = re.sub(rf"^{re.escape(name)}: ?", "", response.lines[0]).removeprefix("Revision:")
        return text.strip().strip('"') or None

    async def read_imei(self) -> str | None:
        """AT+CGSN=1 gives the IMEI by standard; AT+CGSN alone gives it on some and a serial number on others."""
        return await self.read_digits(self.encoder.set("+CGSN", 1)) or await self.read_digits(
            self.encoder.run("+CGSN"), length=15
        )

    async def read_iccid(self) -> str | None:
        """Read the SIM's number; the command's name differs, the answer's shape does not."""
        return await self.read_digits(self.encoder.run("+CCID")) or await self.read_digits(self.encoder.run("+ICCID"))

    async def read_digits(self, line: CommandLine, *, length: int | None = None) -> str | None:
        """Ask for a number of 14 to 22 digits, with or without prefix, quotes and the filler F; None if refused."""
        response = await self.try_ask(line, info=re.compile(rb'(\+\w+: ?)?"?\d{14,22}[Ff]?"? *$'), is_private=True)
        if response is None or not response.lines:
            return None
        digits = re.sub(r'^\+\w+: ?|["Ff ]', "", response.lines[0])
        return digits if length in (None, len(digits)) else None

    # -- SIM ----------------------------------------------------------------------------------------------------------

    async def read_sim_state(self) -> SimState:
        """Read AT+CPIN?; a SIM that is missing or broken shows as an error there."""
        try:
            response = await self.ask(self.encoder.read("+CPIN"), info=re.compile(rb"\+CPIN: "))
        except CommandError as err:
            return _SIM_CODES.get(err.code, SimState.UNKNOWN)
        words = response.lines[-1].partition(":")[2].strip() if response.lines else ""
        if words == "READY":
            return SimState.READY
        if words.startswith("PH-"):
            return SimState.FAILURE  # the device's own lock: the SIM's PIN does not open it
        return {"SIM PIN": SimState.PIN, "SIM PUK": SimState.PUK}.get(words, SimState.UNKNOWN)

    async def read_pin_tries(self) -> int | None:
        """Read AT+CPINR (3GPP 27.007 8.65), None where the modem lacks it."""
        response = await self.try_ask(
            self.encoder.set("+CPINR", Text("code", "SIM PIN")), info=re.compile(rb"\+CPINR: ")
        )
        for line in response.lines if response else ():
            values = parse_fields(line, "+CPINR")
            if values and values[0] == "SIM PIN" and len(values) > 1 and isinstance(values[1], int):
                return values[1]
        return None

    async def enter_pin(self, pin: str) -> None:
        """Enter the PIN, once.

        Raises:
            SimError: pin_wrong or puk_required when it is refused, else what kept the SIM from checking it.
        """
        try:
            await self.ask(self.encoder.set("+CPIN", Text("pin", pin, secret=True)), timeout_s=10)
        except CommandError as err:
            match _SIM_CODES.get(err.code):
                case SimState.PUK:
                    raise SimError("puk_required", "The SIM now asks for its PUK", tries_left=0) from err
                case SimState.BUSY:
                    raise SimError("sim_busy", "The SIM was too busy to check the PIN") from err
                case SimState.MISSING:
                    raise SimError("sim_missing", "There is no SIM in the modem") from err
                case SimState.FAILURE:
                    raise SimError("sim_failure", "The modem cannot read the SIM") from err
            tries = await self.read_pin_tries()
            raise SimError("pin_wrong", "The SIM refused the PIN", tries_left=tries) from err

    # -- network ------------------------------------------------------------------------------------------------------

    async def select_operator(self, operator: str | None) -> None:
        """Choose an operator by its digits, None for automatic; nothing is sent when it is so already.

        Raises:
            NetworkError: operator_refused, with the digits in its sentence.
        """
        await self.try_ask(self.encoder.set("+COPS", 3, 2))
        try:
            response = await self.try_ask(self.encoder.read("+COPS"), info=re.compile(rb"\+COPS: "))
            if response is None and operator is None:
                return  # not every modem can tell, and nobody asked for anything
            values = parse_fields(response.lines[-1], "+COPS") if response and response.lines else []
            mode = values[0] if values else None
            current = values[2] if len(values) > 2 else None
            if operator is None and mode != 0:
                await self.ask(self.encoder.set("+COPS", 0), timeout_s=OPERATOR_TIMEOUT_S)
            elif operator is not None and (mode != 1 or str(current) != operator):
                await self.ask(
                    self.encoder.set("+COPS", 1, 2, Text("operator", operator)), timeout_s=OPERATOR_TIMEOUT_S
                )
        except CommandError as err:
            raise NetworkError(
                "operator_refused", f"The modem could not select operator {operator or 'automatically'}"
            ) from err
        finally:
            await self.try_ask(self.encoder.set("+COPS", 3, 0))

    async def read_registration(self) -> Registration:
        """Read where the modem is registered: LTE first; 2G and 3G only where LTE says no (CGREG stays 0 on LTE-M)."""
        first = await self._read_registration("+CEREG")
        if first is not None and first.is_registered:
            return first
        for name in ("+CGREG", "+CREG"):
            other = await self._read_registration(name)
            if other is not None and other.is_registered:
                return other
        return first or Registration()

    async def _read_registration(self, name: str) -> Registration | None:
        # The answer's second value is a bare digit; a URC has a quoted one there, or none.
        pattern = re.compile(re.escape(name.encode()) + rb": ?\d ?, ?\d+")
        response = await self.try_ask(self.encoder.read(name), info=pattern)
        if response is None or not response.lines:
            return None
        values = parse_fields(response.lines[-1], name)
        technology = values[4] if len(values) > 4 else None
        return Registration(
            state=_STATES.get(field_number(values, 1, name), RegistrationState.UNKNOWN),
            access_technology=_technology(technology),
        )

    async def read_status(self) -> ModemStatus:
        """One poll: registration, operator, access technology, signal."""
        registration = await self.read_registration()
        operator, technology = await self._read_operator()
        return ModemStatus(
            registration=registration,
            signal=await self.read_signal(),
            operator=operator,
            access_technology=(registration.access_technology or technology) if registration.is_registered else None,
        )

    async def _read_operator(self) -> tuple[str | None, AccessTechnology | None]:
        response = await self.try_ask(self.encoder.read("+COPS"), info=re.compile(rb"\+COPS: "))
        if response is None or not response.lines:
            return None, None
        values = parse_fields(response.lines[-1], "+COPS")
        name = values[2] if len(values) > 2 else None
        technology = values[3] if len(values) > 3 else None
        return (str(name).strip() or None) if name is not None else None, _technology(technology)

    async def read_signal(self) -> Signal:
        """Read AT+CSQ and AT+CESQ (3GPP 27.007 8.5, 8.69)."""
        rsrq, rsrp = await self._read_cesq()
        return Signal(rssi_dbm=await self.read_rssi_dbm(), rsrp_dbm=rsrp, rsrq_db=rsrq)

    async def read_rssi_dbm(self) -> int | None:
        """AT+CSQ: 0 to 31 are -113 to -51 dBm in steps of 2, 99 is unknown."""
        response = await self.try_ask(self.encoder.run("+CSQ"), info=re.compile(rb"\+CSQ: "))
        level = _number(parse_fields(response.lines[-1], "+CSQ")[0]) if response and response.lines else None
        return -113 + 2 * level if level is not None and 0 <= level <= 31 else None

    async def _read_cesq(self) -> tuple[float | None, int | None]:
        """AT+CESQ: rsrq and rsrp by the lower edge of each step (bg96.md 6.1, 11: some documents use the upper)."""
        response = await self.try_ask(self.encoder.run("+CESQ"), info=re.compile(rb"\+CESQ: "))
        values = parse_fields(response.lines[-1], "+CESQ") if response and response.lines else []
        if len(values) < 6:
            return None, None
        rsrq, rsrp = _number(values[4]), _number(values[5])
        return (
            rsrq / 2 - 20 if rsrq is not None and 0 <= rsrq <= 34 else None,
            rsrp - 141 if rsrp is not None and 0 <= rsrp <= 97 else None,
        )

    async def read_context(self, context: int) -> tuple[str, str] | None:
        """AT+CGDCONT?: PDP type and APN of a context (3GPP 27.007 10.1.1), None where the modem does not say."""
        response = await self.try_ask(self.encoder.read("+CGDCONT"), info=re.compile(rb"\+CGDCONT: "))
        for line in response.lines if response else ():
            values = parse_fields(line, "+CGDCONT")
            if values[0] == context and len(values) > 2:
                return str(values[1]), str(values[2] or "")
        return None

    async def release_sockets(self) -> None:
        """There are none here."""

    # -- URCs ---------------------------------------------------------------------------------------------------------

    def subscribe(self, callback: Callable[[], None]) -> Unsubscribe:
        """Call back whenever a URC says that registration or SIM changed."""
        self._listeners.append(callback)
        return lambda: self._listeners.remove(callback)

    def _status_changed(self, _line: bytes, _data: bytes) -> None:
        for callback in tuple(self._listeners):
            callback()

    # -- asking -------------------------------------------------------------------------------------------------------

    async def ask(
        self,
        line: CommandLine,
        *,
        info: re.Pattern[bytes] | None = None,
        timeout_s: float = 5.0,
        priority: Priority = Priority.STATUS,
        is_private: bool = False,
    ) -> Response:
        """Do one exchange without payload; raises what Channel.execute raises."""
        return await self.channel.execute(
            Command(line=line, info=info, timeout_s=timeout_s, priority=priority, is_private=is_private)
        )

    async def try_ask(
        self,
        line: CommandLine,
        *,
        info: re.Pattern[bytes] | None = None,
        priority: Priority = Priority.STATUS,
        is_private: bool = False,
    ) -> Response | None:
        """As `ask`, but None when the modem refuses: for what not every firmware has."""
        try:
            return await self.ask(line, info=info, priority=priority, is_private=is_private)
        except CommandError:
            return None


def _number(value: str | int | None) -> int | None:
    """Return a field that should be a number as one; quoted digits count, anything else is None."""
    if isinstance(value, int):
        return value
    return int(value) if value is not None and value.isdecimal() else None


def _technology(value: str | int | None) -> AccessTechnology | None:
    number = _number(value)
    return None if number is None else _TECHNOLOGIES.get(number)


def field_number(values: list[str | int | None], index: int, what: str) -> int:
    """Return a number a driver cannot do without.

    Raises:
        ModemProtocolError: unexpected_reply, when it is missing.
    """
    number = _number(values[index]) if len(values) > index else None
    if number is None:
        raise ModemProtocolError("unexpected_reply", f"The modem's {what} lacks a number")
    return number


def pdp_type(apn: ApnSettings) -> str:
    """Return the PDP type as AT+CGDCONT spells it."""
    return {IpType.IPV4: "IP", IpType.IPV6: "IPV6", IpType.IPV4V6: "IPV4V6"}[apn.ip_type]


async def wait_event(event: asyncio.Event, timeout_s: float) -> bool:
    """Wait for an event at most so long; return whether it came."""
    try:
        async with asyncio.timeout(timeout_s):
            await event.wait()
    except TimeoutError:
        return False
    return True
