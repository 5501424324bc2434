"""One modem, opened: port, channel and driver brought up in order, and taken down as one."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
import logging

from .at.channel import Channel
from .drivers import identify
from .drivers.base import (
    ApnSettings,
    Driver,
    Identity,
    ModemStatus,
    PinMemory,
    Registration,
    RegistrationState,
    SimState,
    SupportsPacketData,
)
from .errors import LinkError, ModemError, NetworkError, SimError
from .serial_port import DEFAULT_BAUD, SerialPort

_LOGGER = logging.getLogger(__name__)

BAUD_RATES = (DEFAULT_BAUD, 921600, 460800, 230400, 57600, 38400, 19200, 9600)
"""Tried in this order when the rate is not told: as set by the makers first, then as public drivers leave it."""
ANSWER_S = (0.25, 1.0)
"""How long a modem may take to answer AT while its rate is searched: a quick round (public drivers wait 20 ms), then
a patient one (assumed)."""
MAX_OWED_BYTES = 8192
"""Most payload bytes a modem may still wait for after its former host died in the middle of a send."""
DRAIN_S = 1.0
"""How long closing waits for sockets to be given back."""
SIM_READY_S = 20.0
"""A SIM that is not ready after this long will not be (flow chart in M-TCP)."""
REGISTRATION_S = 60.0
"""PS registration takes up to this long (flow chart in M-TCP)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionSettings:
    """How to reach a modem and its network.

    `port` is a path or a serialx URL (socket://, rfc2217://, esphome-hass://...). `baud` None finds the rate out.
    `operator` is five or six digits, None for automatic. `apn` None uses what the modem has stored.
    With an `imei` any other modem is refused.
    """

    port: str
    baud: int | None = None
    apn: ApnSettings | None = None
    operator: str | None = None
    imei: str | None = field(default=None, repr=False)
    pin: str | None = field(default=None, repr=False)


class VolatilePinMemory:
    """Remembers PINs for as long as the process runs, for those who keep nothing on disk."""

    def __init__(self) -> None:
        self._entered: dict[tuple[str | None, str], bool] = {}

    def was_refused(self, iccid: str | None, pin: str) -> bool:
        """Return whether this SIM refused this PIN."""
        return self._entered.get((iccid, pin), False)

    def was_entered(self, iccid: str | None, pin: str) -> bool:
        """Return whether the PIN was entered without a known good end."""
        return (iccid, pin) in self._entered

    def remember(self, iccid: str | None, pin: str, *, refused: bool) -> None:
        """Store an entry or a refusal."""
        self._entered[iccid, pin] = refused

    def forget(self, iccid: str | None, pin: str) -> None:
        """The SIM took the PIN."""
        self._entered.pop((iccid, pin), None)


class ModemSession:
    """Owns a modem's port from open to close. All coroutines are safe to call concurrently."""

    def __init__(
        self,
        settings: SessionSettings,
        *,
        pin_memory: PinMemory | None = None,
        on_lost: Callable[[LinkError], None] | None = None,
    ) -> None:
        self.settings = settings
        self._pin_memory = pin_memory or VolatilePinMemory()
        self._on_lost = on_lost
        self._listeners: list[Callable[[], None]] = []
        self._bring_up = asyncio.Lock()
        self._port: SerialPort | None = None
        self._channel: Channel | None = None
        self._driver: Driver | None = None
        self._identity: Identity | None = None
        self._baud: int | None = None
        self._closing: set[asyncio.Task[None]] = set()
        self._is_closed = False

    @property
    def is_open(self) -> bool:
        """Return True while the port is open and the modem was brought up."""
        return self._driver is not None

    @property
    def baud(self) -> int | None:
        """The line rate in use (bits per second), None before the port was opened or where it has no meaning."""
        return self._baud

    @property
    def identity(self) -> Identity:
        """Who the modem is; raises LinkError port_closed before the first successful `open`."""
        if self._identity is None:
            raise LinkError("port_closed", "The modem was never reached")
        return self._identity

    @property
    def driver(self) -> Driver:
        """The driver of the open modem; raises LinkError port_closed when there is none."""
        if self._driver is None:
            raise LinkError("port_closed", "The modem is not connected")
        return self._driver

    async def open(self) -> Identity:
        """Open the port, find the rate, identify the modem, configure it, unlock the SIM. Nothing when open.

        Raises:
            LinkError: the port, or nothing that answers like a modem behind it.
            SimError: the SIM is missing or locked. The port stays closed after either.
            ModemProtocolError: the modem answers, but not as one does.
        """
        if self._driver is None or self._driver.needs_prepare:
            async with self._bring_up:
                await self._bring_up_once()
        return self.identity

    async def ensure_online(self) -> Driver:
        """Open if needed, wait for registration, bring packet data up; return the driver.

        Raises:
            LinkError, SimError: as `open`.
            NetworkError: not_registered, registration_denied, or the modem's own number.
        """
        async with self._bring_up:
            await self._bring_up_once()
            driver = self.driver
            await self._wait_registered(driver)
            if isinstance(driver, SupportsPacketData):
                await driver.activate_packet_data(self.settings.apn)
            return driver

    async def read_status(self) -> ModemStatus:
        """One poll; opens the modem if it is not open. Raises what `open` raises."""
        await self.open()
        return await self.driver.read_status()

    def subscribe(self, callback: Callable[[], None]) -> Callable[[], None]:
        """Call back (synchronously) when a URC says the status has changed; survives reopening."""
        self._listeners.append(callback)
        return lambda: self._listeners.remove(callback)

    async def close(self) -> None:
        """Give sockets back and close the port, for good: who waits for it fails with LinkError port_closed."""
        self._is_closed = True
        if self._channel is not None:
            await self._channel.drain(DRAIN_S)
        await self._take_down()
        if self._closing:
            await asyncio.gather(*self._closing)

    # -- bringing up --------------------------------------------------------------------------------------------------

    async def _bring_up_once(self) -> None:
        """Open, or configure again after a restart, unless another caller has just done it."""
        if self._is_closed:
            raise LinkError("port_closed", "The modem is not in use any more")
        if self._driver is None:
            try:
                await self._open()
            except BaseException:
                await self._take_down()
                raise
        elif self._driver.needs_prepare:
            _LOGGER.info("The modem restarted by itself; configuring it again")
            self._identity = await self._prepare(self._driver)  # an update of its firmware ends in a restart, too

    async def _open(self) -> None:
        if self._closing:
            await asyncio.gather(*self._closing)
        port = self._port = await SerialPort.open(self.settings.port, baud=self.settings.baud or DEFAULT_BAUD)
        if self._is_closed:
            raise LinkError("port_closed", "The modem is not in use any more")
        has_rate = "://" not in port.url or port.url.startswith(("rfc2217", "esphome", "device"))
        self._baud = await self._find_rate(port, has_rate=has_rate)
        channel = self._channel = Channel(port, line_bps=self._baud, in_step=False, on_lost=self._lost)
        channel.start()
        driver = await identify(channel)
        driver.subscribe(self._changed)
        identity = await self._prepare(driver)
        if identity.model is None and identity.vendor is None:
            raise LinkError("not_a_modem", "Something answers AT on this port, but it is not a modem")
        if self.settings.imei is not None and identity.imei != self.settings.imei:
            raise LinkError("wrong_modem", "Another modem answers on this port")
        self._identity, self._driver = identity, driver
        _LOGGER.debug("%s %s, firmware %s, at %s baud", identity.vendor, identity.model, identity.firmware, self._baud)

    async def _prepare(self, driver: Driver) -> Identity:
        try:
            await driver.prepare()
            await self._unlock(driver)
            await driver.release_sockets()
            await driver.select_operator(self.settings.operator)
            return await driver.read_identity()
        except BaseException:
            driver.needs_prepare = True  # the modem may still be starting: the next caller tries again
            raise

    async def _find_rate(self, port: SerialPort, *, has_rate: bool) -> int | None:
        """Return the rate at which the modem answers AT; an auto-baud modem takes the first one it hears."""
        rates = (self.settings.baud,) if self.settings.baud else BAUD_RATES if has_rate else (DEFAULT_BAUD,)
        heard = bytearray()
        for answer_s in ANSWER_S:
            for rate in rates:
                if has_rate:
                    await port.set_baud(rate)
                for _ in range(2):
                    if await self._answers(port, b"AT\r", answer_s, heard):
                        return rate if has_rate else self.settings.baud
            if answer_s == ANSWER_S[0]:
                # A host that died in the middle of a send leaves a modem that waits for the rest; to any other, these
                # are empty command lines.
                if has_rate:
                    await port.set_baud(rates[0])
                await self._answers(port, b"\r" * MAX_OWED_BYTES, answer_s, heard)
        if heard:
            sentence = "Something sends on this port, but it does not answer AT; is the baud rate right?"
            raise LinkError("not_a_modem", sentence)
        raise LinkError(
            "no_answer", "Nothing answers on this port; is the modem switched on, and is the baud rate right?"
        )

    async def _answers(self, port: SerialPort, question: bytes, answer_s: float, heard: bytearray) -> bool:
        answer = bytearray()
        try:
            async with asyncio.timeout(answer_s + len(question) * 10 / (self.settings.baud or DEFAULT_BAUD)):
                await port.write(question)
                while b"\r\nOK\r\n" not in answer:
                    answer += await port.read()
        except TimeoutError:
            heard += answer
            return False
        return True

    async def _unlock(self, driver: Driver) -> None:
        """See that the SIM is ready; enter the PIN where that is safe.

        Never with one try left; where the modem has no counter, once per SIM, and a refused PIN never again.
        """
        state = await self._settled_sim_state(driver)
        if state is SimState.PIN:
            await self._enter_pin(driver)
            state = await self._settled_sim_state(driver, busy=(SimState.BUSY, SimState.PIN, SimState.UNKNOWN))
        match state:
            case SimState.MISSING:
                raise SimError("sim_missing", "There is no SIM in the modem")
            case SimState.PUK:
                raise SimError("puk_required", "The SIM asks for its PUK; unlock it in a phone", tries_left=0)
            case SimState.FAILURE:
                raise SimError("sim_failure", "The modem cannot read the SIM")
            case SimState.BUSY | SimState.PIN:
                raise SimError("sim_busy", f"The SIM was not ready within {SIM_READY_S:.0f} s")
            case _:
                return

    async def _settled_sim_state(self, driver: Driver, busy: tuple[SimState, ...] = (SimState.BUSY,)) -> SimState:
        deadline = asyncio.get_running_loop().time() + SIM_READY_S
        pause_s = 0.05
        while True:
            state = await driver.read_sim_state()
            if state not in busy or asyncio.get_running_loop().time() > deadline:
                return state
            await asyncio.sleep(pause_s)
            pause_s = min(pause_s * 2, 1.0)

    async def _enter_pin(self, driver: Driver) -> None:
        pin = self.settings.pin
        tries = await driver.read_pin_tries()
        if not pin:
            raise SimError("pin_required", "The SIM asks for its PIN", tries_left=tries)
        iccid = await driver.read_iccid()
        if self._pin_memory.was_refused(iccid, pin):
            raise SimError("pin_refused", "This SIM refused this PIN before; it is not entered again", tries_left=tries)
        if tries is not None and tries <= 1:
            sentence = "The SIM has one PIN try left, which is not risked; unlock it in a phone"
            raise SimError("pin_last_try", sentence, tries_left=tries)
        if tries is None and self._pin_memory.was_entered(iccid, pin):
            sentence = "This PIN was entered before without a known outcome, and this modem has no counter of tries"
            raise SimError("pin_refused", sentence)
        self._pin_memory.remember(iccid, pin, refused=False)
        try:
            await driver.enter_pin(pin)
        except SimError as err:
            if err.code in ("pin_wrong", "puk_required"):
                self._pin_memory.remember(iccid, pin, refused=True)
            raise
        self._pin_memory.forget(iccid, pin)

    async def _wait_registered(self, driver: Driver) -> None:
        registration = await driver.read_registration()
        changed = asyncio.Event()
        unsubscribe = driver.subscribe(changed.set)
        try:
            async with asyncio.timeout(REGISTRATION_S):
                while not registration.is_registered:
                    if registration.state is RegistrationState.DENIED:
                        raise NetworkError("registration_denied", "The network refuses this SIM")
                    changed.clear()
                    await self._pause(changed)
                    registration = await driver.read_registration()
        except TimeoutError as err:
            raise _not_registered(registration) from err
        finally:
            unsubscribe()

    async def _pause(self, changed: asyncio.Event) -> None:
        """Wait for a URC, or a second: they may go to another port."""
        try:
            async with asyncio.timeout(1.0):
                await changed.wait()
        except TimeoutError:
            return

    # -- taking down --------------------------------------------------------------------------------------------------

    async def _take_down(self) -> None:
        channel, self._channel = self._channel, None
        port, self._port = self._port, None
        self._driver = None
        if channel is not None:
            await channel.aclose()
        if port is not None:
            await port.aclose()

    def _lost(self, error: LinkError) -> None:
        """The port vanished: free it at once, so that it can be opened again when it returns."""
        was_open = self.is_open
        self._driver = None
        task = asyncio.get_running_loop().create_task(self._take_down())
        self._closing.add(task)
        task.add_done_callback(self._closing.discard)
        if was_open and self._on_lost is not None:
            self._on_lost(error)

    def _changed(self) -> None:
        for callback in tuple(self._listeners):
            callback()


def _not_registered(registration: Registration) -> ModemError:
    words = {RegistrationState.SEARCHING: "it is still searching", RegistrationState.IDLE: "it is not even searching"}
    reason = words.get(registration.state, f"its state is {registration.state}")
    return NetworkError("not_registered", f"The modem found no network within {REGISTRATION_S:.0f} s: {reason}")
