"""What a modem can do, as Protocol classes, and the values drivers give back.

Drivers hold no policy: they say what the modem is, do one thing when asked, and translate its error numbers.
Which capability a modem has is asked with `isinstance(driver, SupportsSockets)`.
"""

from collections.abc import Callable, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Protocol, runtime_checkable


@dataclass(frozen=True, slots=True, kw_only=True)
class Identity:
    """Who the modem is. Unknown parts are None. `firmware` is the most telling revision string the modem gives."""

    family: str
    vendor: str | None = None
    model: str | None = None
    firmware: str | None = None
    release: str | None = None
    imei: str | None = None
    imsi: str | None = None
    iccid: str | None = None


class SimState(StrEnum):
    """State of the SIM as AT+CPIN? tells it."""

    READY = "ready"
    PIN = "pin"
    PUK = "puk"
    MISSING = "missing"
    BUSY = "busy"
    FAILURE = "failure"
    UNKNOWN = "unknown"


class RegistrationState(StrEnum):
    """3GPP 27.007 registration status, in words."""

    IDLE = "idle"
    HOME = "home"
    SEARCHING = "searching"
    DENIED = "denied"
    UNKNOWN = "unknown"
    ROAMING = "roaming"


class AccessTechnology(StrEnum):
    """Radio access technology; names as users know them."""

    GSM = "gsm"
    UMTS = "umts"
    LTE = "lte"
    LTE_M = "lte_m"
    NB_IOT = "nb_iot"
    NR = "nr"


@dataclass(frozen=True, slots=True, kw_only=True)
class Registration:
    """Where the modem is registered. `access_technology` is None where the modem does not say."""

    state: RegistrationState = RegistrationState.UNKNOWN
    access_technology: AccessTechnology | None = None

    @property
    def is_registered(self) -> bool:
        """Return True at home or roaming."""
        return self.state in (RegistrationState.HOME, RegistrationState.ROAMING)


@dataclass(frozen=True, slots=True, kw_only=True)
class Signal:
    """Signal readings; an unknown value is None, never a number that means unknown."""

    rssi_dbm: int | None = None
    rsrp_dbm: int | None = None
    rsrq_db: float | None = None
    sinr_db: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ModemStatus:
    """One poll: everything that changes while the modem runs."""

    registration: Registration = field(default_factory=Registration)
    signal: Signal = field(default_factory=Signal)
    operator: str | None = None
    access_technology: AccessTechnology | None = None


class IpType(StrEnum):
    """IP versions asked of the network for packet data."""

    IPV4 = "ipv4"
    IPV6 = "ipv6"
    IPV4V6 = "ipv4v6"


@dataclass(frozen=True, slots=True, kw_only=True)
class ApnSettings:
    """Access point of the SIM's operator. `user` and `password` are empty where none is needed."""

    apn: str
    user: str = field(default="", repr=False)
    password: str = field(default="", repr=False)
    ip_type: IpType = IpType.IPV4V6


@dataclass(slots=True)
class Traffic:
    """Bytes that crossed modem sockets since the modem was opened; TCP/IP headers come on top."""

    sent_bytes: int = 0
    received_bytes: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Care:
    """What a driver has to mind with the firmware at hand, of what is known to be broken in it (quirks).

    `quarantine_s`: how long the id of a failed connection is left unused while others are free. `avoids_close`: the
    close command is dangerous, so it is not given where the server has closed, which frees the id as well.
    """

    quarantine_s: float = 0.0
    avoids_close: bool = False


@runtime_checkable
class TakesCare(Protocol):
    """Drivers that can work around faults of a firmware."""

    def mind(self, care: Care) -> None:
        """Mind this from now on."""


@runtime_checkable
class SupportsRestart(Protocol):
    """Modems that can be told to restart."""

    async def restart(self) -> None:
        """Restart the modem and wait until it says that it is back, at most a minute. Raises ModemError."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SocketLimits:
    """What a family's TCP sockets allow. `chunk_bytes` is the most one send command takes."""

    count: int
    chunk_bytes: int


class ModemSocket(Protocol):
    """One TCP connection through the modem."""

    @property
    def readable(self) -> bool:
        """True when `receive` would not wait: data is pending, or the peer or the network has closed."""

    async def send(self, data: bytes) -> None:
        """Hand 1 to `SocketLimits.chunk_bytes` bytes to the modem; raises SocketError or LinkError."""

    async def receive(self) -> bytes:
        """Wait for data and return it, b"" once the peer has closed and all data was read."""

    def close(self) -> None:
        """Give the socket back: enqueued, never waited for, safe to call twice and inside a cancelled task."""


@runtime_checkable
class CountsAcknowledged(Protocol):
    """Sockets whose modem counts what the server's system has acknowledged."""

    async def read_unacknowledged_bytes(self) -> int | None:
        """Return how many bytes are on their way, None where the modem does not tell (any more)."""


@runtime_checkable
class SupportsSockets(Protocol):
    """Modems whose TCP sockets this driver can use."""

    @property
    def socket_limits(self) -> SocketLimits:
        """What the sockets of this family allow."""

    async def open_socket(self, host: str, port: int) -> ModemSocket:
        """Open a TCP connection; the modem resolves the name. Raises SocketError, NetworkError or LinkError."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Storage:
    """A modem's file storage."""

    free_bytes: int
    total_bytes: int


@runtime_checkable
class SupportsFiles(Protocol):
    """Modems that keep files."""

    async def read_storage(self) -> Storage:
        """Read how much room there is. Raises HttpError."""

    async def list_files(self) -> dict[str, int]:
        """Return names and sizes."""

    async def write_file(self, name: str, data: bytes, on_written: Callable[[int], None] | None = None) -> None:
        """Write a file that was not there and prove that it arrived whole; `on_written` is told the bytes of each step.

        The port is never held for longer than 2 s. Raises HttpError, LinkError.
        """

    async def delete_file(self, name: str) -> None:
        """Delete a file; one that is not there is fine."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ModemTls:
    """How the modem is to do TLS. Without `ca_pem` the server is not verified: encrypted, to whom is unknown.

    `checks_dates` lets an expired certificate fail, and a modem whose clock is wrong (they start in 1980).
    """

    ca_pem: str | None = None
    checks_dates: bool = False

    @property
    def is_verified(self) -> bool:
        """Return True when the server has to prove who it is."""
        return self.ca_pem is not None


@dataclass(frozen=True, slots=True, kw_only=True)
class HttpOutcome:
    """What a modem's HTTP client says of a request that was answered: status, and the body's length where it knows."""

    status: int
    body_bytes: int | None = None


@dataclass(slots=True, kw_only=True)
class HttpSteps:
    """Called (in the event loop) as a request makes its way through a modem's own HTTP client."""

    on_loaded: Callable[[int], None] = lambda _count: None
    """So many more bytes are in the modem; none of them need have left it."""
    on_told: Callable[[], None] = lambda: None
    """The modem has, or is about to get, the last it needs to send everything: from here on it may have arrived."""
    on_not_sent: Callable[[], None] = lambda: None
    """After `on_told`: the modem said that it sent nothing after all."""
    on_answered: Callable[[], None] = lambda: None
    """The server has answered."""


@runtime_checkable
class SupportsQuectelHttp(SupportsFiles, Protocol):
    """Modems with Quectel's HTTP client, which is given a whole request. One request at a time."""

    http_max_bytes: int
    """Most bytes of one request."""

    def http_session(self) -> AbstractAsyncContextManager[None]:
        """Have the client to oneself, once a request that was given up has come to its end, or had the time to."""

    async def configure_http(self, url: str, tls: ModemTls | None) -> None:
        """Set everything a request depends on, TLS included, and the URL. Raises ModemError."""

    async def http_post_file(self, data: bytes, steps: HttpSteps) -> HttpOutcome:
        """Send a request by way of a file. Raises ModemError with the modem's number and words."""

    async def http_post(self, data: bytes, steps: HttpSteps) -> HttpOutcome:
        """Send a request directly. Raises as `http_post_file`."""

    async def http_get(self, data: bytes, steps: HttpSteps) -> HttpOutcome:
        """Send a request without body. Raises as `http_post_file`."""

    async def read_http_response(self, outcome: HttpOutcome) -> bytes:
        """Read the response, head and body, as the modem gives it. Raises ModemError."""


@dataclass(frozen=True, slots=True, kw_only=True)
class HttpAnswer:
    """A response as China Mobile IoT's client gives it: `head` as the server wrote it, `body` without its coding."""

    status: int
    head: bytes
    body: bytes


@runtime_checkable
class SupportsChinaMobileHttp(Protocol):
    """Modems with China Mobile IoT's HTTP client, which writes request line, Host and length itself."""

    http_max_bytes: int
    """Most bytes of one request's body."""

    async def mhttp_send(
        self,
        method: str,
        url: MhttpUrl,
        headers: Sequence[tuple[str, str]],
        body: bytes,
        *,
        is_chunked: bool,
        piece_bytes: int,
        tls: ModemTls | None,
        steps: HttpSteps,
    ) -> HttpAnswer:
        """Send one request, at most `piece_bytes` of its body at a time; raises ModemError with the modem's number."""


@dataclass(frozen=True, slots=True, kw_only=True)
class MhttpUrl:
    """A URL in the parts in which MHTTP takes it: `origin` is scheme, host and port, `path` begins with a slash."""

    origin: str
    path: str
    host: str


@runtime_checkable
class SupportsPacketData(Protocol):
    """Modems whose packet data this driver can bring up."""

    async def activate_packet_data(self, apn: ApnSettings | None) -> None:
        """Bring packet data up with this APN (None: as stored in the modem), or leave it if it already is."""

    async def deactivate_packet_data(self) -> None:
        """Take packet data down."""


class PinMemory(Protocol):
    """Remembers PINs a SIM refused, over restarts, so that none is ever entered twice."""

    def was_refused(self, iccid: str | None, pin: str) -> bool:
        """Return whether this PIN was refused by this SIM (None: ICCID not readable)."""

    def was_entered(self, iccid: str | None, pin: str) -> bool:
        """Return whether this PIN was already entered into this SIM without a known good end."""

    def remember(self, iccid: str | None, pin: str, *, refused: bool) -> None:
        """Store that a PIN is about to be entered, or was refused, before anything else happens."""

    def forget(self, iccid: str | None, pin: str) -> None:
        """The SIM took the PIN: after a restart of the modem it may be entered again."""


type Unsubscribe = Callable[[], None]


@runtime_checkable
class Driver(Protocol):
    """What every driver gives: identity, SIM, registration, signal."""

    family: str
    traffic: Traffic
    needs_prepare: bool
    """True until `prepare` has run, and again after the modem restarted by itself."""

    async def prepare(self) -> None:
        """Configure what a host must at start-up (echo, error format, registration URCs)."""

    async def read_identity(self) -> Identity:
        """Read who the modem and its SIM are."""

    async def read_iccid(self) -> str | None:
        """Read the SIM's number, which most SIMs tell while they are locked; None if not."""

    async def read_sim_state(self) -> SimState:
        """Read AT+CPIN?."""

    async def read_pin_tries(self) -> int | None:
        """Return the PIN tries left, None where the modem has no counter."""

    async def enter_pin(self, pin: str) -> None:
        """Enter the PIN once, unconditionally; policy is the session's. Raises SimError."""

    async def select_operator(self, operator: str | None) -> None:
        """Choose an operator by its five or six digits, None for automatic; nothing is sent when it is so already."""

    async def read_registration(self) -> Registration:
        """Read where the modem is registered (LTE first)."""

    async def read_status(self) -> ModemStatus:
        """Read registration, operator, access technology and signal: one poll."""

    async def release_sockets(self) -> None:
        """Close what a former owner of the port left open."""

    def subscribe(self, callback: Callable[[], None]) -> Unsubscribe:
        """Call back (synchronously) whenever a URC says that what `read_status` reads has changed."""
