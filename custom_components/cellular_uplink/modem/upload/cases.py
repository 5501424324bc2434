"""What a self-test sends, and what that costs: a pure function of the modem, the catalogue and the user's wish.

A case is one request without workarounds, of an exact length on one side of a fault's boundary. Faults that lengths do
not show are not tested. Everything is counted before the first byte is sent.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
import math
import ssl

from ..drivers import driver_class
from ..drivers.base import Identity
from ..errors import InputError, SocketError
from ..quirks.effects import AvoidCommand, AvoidRoute, LateLastPacket, LimitChunk, PadTotalLength
from ..quirks.registry import Quirk, of_model
from ..routes.china_mobile_http import PIECE_BYTES
from ..routes.plan import Capabilities, HttpCommand, RouteName, TlsPlace
from ..routes.wire import serialise
from .choices import Choices
from .formats import build_request
from .planner import AT_COMMANDS, capabilities_of
from .request import Destination, Picture, UploadFormat, check_destination

BY_TOTAL = (HttpCommand.POSTFILE, HttpCommand.POST)
"""Of the commands that take the whole request every byte is ours; the others write the head themselves."""
MULTIPLES = 3
"""Boundaries of a length rule that are tried: at 2048 bytes, 4096 and 6144 for bit 11."""
PLAIN_SIZES = (1024, 4096)
"""Where no boundary is known: a small one and a larger one."""
SPARE_BYTES = 24
"""Room for the header that fills a request up to its length."""

RESPONSE_BYTES = 1_000
TLS_BYTES = 8_000
"""A handshake with a chain of four certificates takes 6.8 kB (field.md D5)."""
CONNECT_BYTES = 400
"""A name look-up, and TCP's beginning and end."""
AIR_FACTOR = 1.1
"""Heads of packets, and acknowledgements."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Wish:
    """What the user wants tested, and where his server is.

    `destination` takes raw bodies. `tls`: who may do it, the modem only by name. `route` and `commands` empty: all that
    can settle something, with the socket route as the check that server and network are well; chunked only by name.
    """

    destination: Destination
    tls: TlsPlace = TlsPlace.HOST
    route: RouteName | None = None
    commands: tuple[HttpCommand, ...] = ()
    ssl_context: ssl.SSLContext | None = None
    modem_ca_pem: str | None = field(default=None, repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """One request. `size` in bytes: of the whole request, or (`is_body`) of its body."""

    route: RouteName
    command: HttpCommand | None
    tls: TlsPlace
    size: int
    is_body: bool = False

    @property
    def way(self) -> str:
        """Name the way out."""
        return self.command or self.route

    def choices(self, wish: Wish) -> Choices:
        """Return how the engine is to send it: this way alone, as the modem is."""
        return Choices(
            route=self.route,
            command=self.command,
            tls=wish.tls,
            use_workarounds=False,
            pad_to=None if self.is_body else self.size,
            allows_chunked=self.command is HttpCommand.CHUNKED,
            modem_ca_pem=wish.modem_ca_pem,
        )

    def picture(self, head_bytes: int) -> Picture:
        """Return a body that holds every byte value; the engine fills the request up to its exact length."""
        size = self.size if self.is_body else self.size - head_bytes - SPARE_BYTES
        hard = b"\r\n\x00\x1a\x1b+++\r\nOK\r\n" + bytes(range(256))
        content = (hard * (size // len(hard) + 1))[: size - 1] + b"."
        return Picture(content=content, file_name="selftest.bin", content_type="application/octet-stream")

    def cost_bytes(self, head_bytes: int, response_bytes: int = RESPONSE_BYTES) -> int:
        """Return bytes over the air, both ways, estimated with a new connection."""
        request = self.size + (head_bytes if self.is_body else 0)
        tls = 0 if self.tls is TlsPlace.NONE else TLS_BYTES
        return math.ceil((request + response_bytes + tls) * AIR_FACTOR) + CONNECT_BYTES


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What came of a case; `code` is that of its failure, None when it was delivered."""

    case: Case
    code: str | None
    duration_s: float = 0.0

    @property
    def is_delivered(self) -> bool:
        """Return True when the server took it."""
        return self.code is None


@dataclass(frozen=True, slots=True, kw_only=True)
class Agenda:
    """The cases in their order, the faults they are about, and what they cost over the air (`cost_bytes`, estimated).

    `quirks`: all of this model that concern its HTTP client, whether or not the cases can settle them.
    """

    identity: Identity
    wish: Wish
    cases: tuple[Case, ...]
    quirks: tuple[Quirk, ...]
    head_bytes: int
    cost_bytes: int

    @property
    def tls(self) -> TlsPlace:
        """Return who does TLS on the modem's HTTP client."""
        return TlsPlace.MODEM if self.wish.destination.is_https else TlsPlace.NONE

    @property
    def commands(self) -> tuple[HttpCommand, ...]:
        """Return the commands of the modem's HTTP client that are tried."""
        return tuple(dict.fromkeys(case.command for case in self.cases if case.command is not None))

    def check_limit(self, limit_bytes: int | None) -> int:
        """Return the limit.

        Raises:
            InputError: there is none, or it is too small; the reason says how many bytes are needed.
        """
        need = f"{len(self.cases)} requests take {self.cost_bytes} bytes over the air, as far as can be said before"
        if limit_bytes is None:
            raise InputError("limit_bytes", f"is missing: {need}")
        if limit_bytes < self.cost_bytes:
            raise InputError("limit_bytes", f"is {limit_bytes}, but {need}; raise it, or name fewer commands")
        return limit_bytes

    def lines(self) -> list[str]:
        """Say what would be sent."""
        lines = [f"{len(self.cases)} requests, about {self.cost_bytes} bytes over the air in all:"]
        for way in dict.fromkeys(case.way for case in self.cases):
            cases = [case for case in self.cases if case.way == way]
            what = "of body" if cases[0].is_body else "in all"
            lines.append(f"  {way}: {', '.join(str(case.size) for case in cases)} bytes {what}")
        return lines

    def as_dict(self) -> dict[str, object]:
        """Return plain values: what would be sent."""
        return {
            "model": self.identity.model,
            "firmware": self.identity.firmware,
            "release": self.identity.release,
            "cost_bytes": self.cost_bytes,
            "cases": [case_as_dict(case) for case in self.cases],
        }


def case_as_dict(case: Case) -> dict[str, object]:
    """Return plain values: `total` is the whole request's length, `size` its body's, as in the catalogue's vectors."""
    return {
        "route": case.route.value,
        "command": None if case.command is None else case.command.value,
        "tls": case.tls.value,
        ("size" if case.is_body else "total"): case.size,
    }


def plan_cases(identity: Identity, catalogue: Iterable[Quirk], wish: Wish) -> Agenda:
    """Return what to send to settle what can be settled on this modem.

    Raises:
        InputError: the wish cannot be met, or nothing would be settled by it.
        SocketError: no_data_route, there is no driver that can send with this model.
    """
    destination = wish.destination
    check_destination(destination)
    if destination.format is not UploadFormat.RAW:
        raise InputError("format", "must be raw")
    capabilities = capabilities_of(driver_class(identity.family))
    if not capabilities.has_sockets and not capabilities.http_commands:
        raise SocketError("no_data_route", "No data route for this model yet, so there is nothing to test")
    commands = _commands(capabilities, wish)
    quirks = tuple(
        quirk
        for quirk in of_model(identity, catalogue)
        if quirk.applies.is_for_routes and quirk.applies.route != RouteName.SOCKET
    )
    tls = TlsPlace.MODEM if destination.is_https else TlsPlace.NONE
    cases = [case for command in commands for case in _cases_of(quirks, command, tls)]
    if wish.route is not RouteName.SOCKET and not cases:
        if tls is TlsPlace.NONE:
            raise InputError(
                "url", "must be https, with TLS by the modem: only there do lengths show a fault of this model"
            )
        raise InputError("commands", "are none with which this test could settle a fault of this model")
    cases = [*_socket_cases(quirks, cases, wish), *cases]
    head_bytes = len(serialise(build_request(destination, Picture(content=b"x"), "0" * 32))) - 1
    least = min(case.size for case in cases)
    if head_bytes + SPARE_BYTES >= least:
        raise InputError("url", f"and headers take {head_bytes} bytes, too many for a request of {least}")
    return Agenda(
        identity=identity,
        wish=wish,
        cases=tuple(cases),
        quirks=quirks,
        head_bytes=head_bytes,
        cost_bytes=sum(case.cost_bytes(head_bytes) for case in cases),
    )


def _commands(capabilities: Capabilities, wish: Wish) -> tuple[HttpCommand, ...]:
    for command in wish.commands:
        if command not in capabilities.http_commands:
            known = ", ".join(capabilities.http_commands)
            raise InputError("commands", f"names {command}, which this modem has not; it has {known or 'none'}")
    if wish.route is RouteName.SOCKET:
        if wish.commands:
            raise InputError("commands", "are those of the modem's HTTP client, but the route is socket")
        return ()
    if wish.destination.is_https and wish.tls is not TlsPlace.MODEM:
        raise InputError("tls", "must be modem: over https the faults in doubt are those of the modem's own TLS")
    wanted = wish.commands or tuple(
        command for command in capabilities.http_commands if command is not HttpCommand.CHUNKED
    )
    return tuple(command for command in capabilities.http_commands if command in wanted)


def can_settle(quirk: Quirk, command: HttpCommand, tls: TlsPlace) -> bool:
    """Return whether bodies of chosen lengths, sent by this command, can show the fault."""
    if not quirk.applies.fits(RouteName.MODEM_HTTP, tls, command):
        return False
    match quirk.effect:
        case PadTotalLength() | LateLastPacket():
            return command in BY_TOTAL
        case AvoidCommand() as effect:
            return effect.command in AT_COMMANDS[command]
        case AvoidRoute() as effect:
            return effect.route == RouteName.MODEM_HTTP.value
        case LimitChunk() as effect:
            is_its_command = command not in BY_TOTAL and effect.command in AT_COMMANDS[command]
            return is_its_command and effect.direction == "send" and effect.max_bytes < PIECE_BYTES
    return False


def is_struck(quirk: Quirk, case: Case) -> bool:
    """Return whether a case is on the bad side of the boundary of a fault that goes by length."""
    match quirk.effect:
        case PadTotalLength() | LateLastPacket() as effect:
            return effect.strikes(total=case.size)
        case LimitChunk() as effect:
            return effect.strikes(size=min(case.size, PIECE_BYTES))
    return False


def _cases_of(quirks: Sequence[Quirk], command: HttpCommand, tls: TlsPlace) -> list[Case]:
    concerned = [quirk for quirk in quirks if can_settle(quirk, command, tls)]
    if not concerned:
        return []
    sizes = {size for quirk in concerned for size in _boundaries(quirk)} or set(PLAIN_SIZES)
    return [
        Case(route=RouteName.MODEM_HTTP, command=command, tls=tls, size=size, is_body=command not in BY_TOTAL)
        for size in sorted(sizes)
    ]


def _boundaries(quirk: Quirk) -> set[int]:
    match quirk.effect:
        case PadTotalLength() as effect:
            edges = [number * effect.mask for number in range(1, MULTIPLES + 1)]
            return {*edges, *(edge - 1 for edge in edges)}
        case LateLastPacket() as effect:
            return {effect.packet_bytes, effect.packet_bytes + 1}
        case LimitChunk() as effect:
            told = {size for vector in quirk.vectors if isinstance(size := vector.case.get("size"), int)}
            # Two commands' worth, too, so that a fault between two commands shows.
            return {effect.max_bytes, effect.max_bytes + 1, *(size for size in told if size <= PIECE_BYTES)} | {
                PIECE_BYTES,
                PIECE_BYTES + 1,
            }
    return set()


def _socket_cases(quirks: Sequence[Quirk], others: Sequence[Case], wish: Wish) -> list[Case]:
    """Return the cases by socket: all boundaries where that route is asked for, else the least and the largest.

    A server that takes those is well, and so is the network: what fails behind them is the modem's HTTP client's.
    """
    if wish.route is RouteName.MODEM_HTTP:
        return []
    sizes = {case.size for case in others}
    sizes = {min(sizes), max(sizes)} if sizes else {size for quirk in quirks for size in _boundaries(quirk)}
    tls = TlsPlace.HOST if wish.destination.is_https else TlsPlace.NONE
    return [
        Case(route=RouteName.SOCKET, command=None, tls=tls, size=size) for size in sorted(sizes or set(PLAIN_SIZES))
    ]
