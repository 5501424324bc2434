"""One modem, opened: port, channel and driver brought up in order, and taken down as one."""

from collections.abc import Callable
from dataclasses import dataclass, field

from .drivers.base import ApnSettings, Driver, Identity, ModemStatus, PinMemory
from .errors import LinkError


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionSettings:
    """How to reach a modem and its network.

    `port` is a path or a serialx URL (socket://, rfc2217://, esphome-hass://...). `baud` None finds the rate out.
    `operator` is five or six digits, None for automatic. `apn` None uses what the modem has stored.
    """

    port: str
    baud: int | None = None
    apn: ApnSettings | None = None
    operator: str | None = None
    pin: str | None = field(default=None, repr=False)


class ModemSession:
    """Owns a modem's port from open to close. All coroutines are safe to call concurrently."""

    def __init__(
        self,
        settings: SessionSettings,
        *,
        pin_memory: PinMemory | None = None,
        on_lost: Callable[[LinkError], None] | None = None,
    ) -> None: ...

    @property
    def is_open(self) -> bool:
        """Return True while the port is open and the modem answers."""

    @property
    def baud(self) -> int | None:
        """The line rate in use (bits per second), None before the port was opened or where it has no meaning."""

    @property
    def identity(self) -> Identity:
        """Who the modem is; raises LinkError before the first successful `open`."""

    @property
    def driver(self) -> Driver:
        """The driver of the open modem; raises LinkError (port_closed) when there is none."""

    async def open(self) -> Identity:
        """Open the port, find the rate, identify the modem, configure it, unlock the SIM. No-op when open.

        Raises LinkError, SimError (the port stays closed after either), ModemProtocolError.
        """

    async def ensure_online(self) -> Driver:
        """Open if needed, wait for registration (bounded), bring packet data up; return the driver.

        Raises LinkError, SimError, NetworkError.
        """

    async def read_status(self) -> ModemStatus:
        """One poll; opens the modem if it is not open."""

    def subscribe(self, callback: Callable[[], None]) -> Callable[[], None]:
        """Call back (synchronously) when a URC says the status has changed; survives reopening."""

    async def close(self) -> None:
        """Close the port. Exchanges under way fail with LinkError port_closed."""
