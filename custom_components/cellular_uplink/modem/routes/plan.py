"""The words in which the planner, the engine, the routes and `explain` talk about ways to send one request."""

from dataclasses import dataclass, field
from enum import StrEnum


class RouteName(StrEnum):
    """Ways out."""

    SOCKET = "socket"
    """HTTP by the host over a modem's TCP socket; TLS, if any, on the host."""
    MODEM_HTTP = "modem-http"
    """The modem's own HTTP client; TLS, if any, in the modem."""


class HttpCommand(StrEnum):
    """How a modem's own HTTP client is given the request."""

    POSTFILE = "postfile"
    """Quectel: the whole request as a file, then QHTTPPOSTFILE."""
    POST = "post"
    """Quectel: the whole request through QHTTPPOST."""
    CONTENT = "content"
    """China Mobile IoT: MHTTPCONTENT before MHTTPREQUEST, with a Content-Length."""
    CHUNKED = "chunked"
    """China Mobile IoT: MHTTPREQUEST first, MHTTPCONTENT after "ind", with chunked transfer coding."""


class TlsPlace(StrEnum):
    """Who encrypts."""

    NONE = "none"
    HOST = "host"
    MODEM = "modem"


@dataclass(frozen=True, slots=True, kw_only=True)
class Workaround:
    """What one quirk makes a route do. `effect` and `params` are the quirk's; `sentence` says it to a user."""

    quirk_id: str
    effect: str
    params: dict[str, object] = field(default_factory=dict)
    sentence: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class PlannedAttempt:
    """One way to send the request: in which order they are tried is the plan.

    `port_held_s`: how long one command holds the port, where that is for more than a socket's chunk. `in_chunks`: the
    request is written into the modem's file piece by piece (QFOPEN, QFWRITE), so that others get the port in between.
    """

    route: RouteName
    command: HttpCommand | None = None
    tls: TlsPlace = TlsPlace.NONE
    is_verified: bool = False
    workarounds: tuple[Workaround, ...] = ()
    why: str = ""
    port_held_s: float = 0.0
    in_chunks: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Rejected:
    """A way that is not taken, and why."""

    route: RouteName
    command: HttpCommand | None = None
    why: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """Ordered attempts and what was left out."""

    attempts: tuple[PlannedAttempt, ...]
    rejected: tuple[Rejected, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Demand:
    """What is to be sent, and what the user wants or allows. `*_bytes` are those of the HTTP request without padding.

    `route`, `command` None: as the planner thinks best. `tls`: where the destination allows TLS (host, or modem by
    name). `has_ca`: a CA is given that the modem could be told. `line_bps` None: unknown. `pads_body`: padding goes
    behind the body, whose type has room there.
    """

    scheme: str
    request_bytes: int
    body_bytes: int
    route: RouteName | None = None
    command: HttpCommand | None = None
    tls: TlsPlace = TlsPlace.HOST
    has_ca: bool = False
    verify: bool = True
    use_workarounds: bool = True
    allows_chunked: bool = False
    line_bps: int | None = None
    pads_body: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class LearnedOutcome:
    """How a way has fared for this firmware and kind of destination; `weight` decays with time."""

    route: RouteName
    command: HttpCommand | None
    tls: TlsPlace
    worked: bool
    weight: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Capabilities:
    """What the planner needs to know of a modem."""

    has_sockets: bool = False
    http_commands: tuple[HttpCommand, ...] = ()
    max_request_bytes: int = 0
    """Most the modem's HTTP client takes (for China Mobile IoT: of body); 0 where it has none, or names no limit."""
    has_modem_tls: bool = False
