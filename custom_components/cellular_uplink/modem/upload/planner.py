"""Which ways to try, in which order, and why: a pure function of what is known.

Default order: the socket route first (TLS, if any, by this host), then the modem's own HTTP client. The user's wish, a
missing capability, a size limit or the TLS policy takes ways out; a quirk takes them out (confirmed) or puts them last;
what worked last comes first, but never before a way of higher TLS trust. Every attempt and every rejection says why.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from ..drivers.base import SupportsChinaMobileHttp, SupportsQuectelHttp, SupportsSockets
from ..drivers.quectel_files import ASSUMED_BPS, MAX_PIECE_BYTES, MAX_PORT_HELD_S, PIECE_S
from ..quirks.effects import build_effect
from ..quirks.registry import Confidence, MatchedQuirk
from ..routes.plan import (
    Capabilities,
    Demand,
    HttpCommand,
    LearnedOutcome,
    Plan,
    PlannedAttempt,
    Rejected,
    RouteName,
    TlsPlace,
    Workaround,
)
from ..routes.wire import body_padding_for, padding_for

AT_COMMANDS = {
    HttpCommand.POSTFILE: ("+QHTTPPOSTFILE", "+QFUPL"),
    HttpCommand.POST: ("+QHTTPPOST",),
    HttpCommand.CONTENT: ("+MHTTPCONTENT", "+MHTTPREQUEST"),
    HttpCommand.CHUNKED: ("+MHTTPCONTENT", "+MHTTPREQUEST"),
}
"""What a way cannot do without; a quirk that avoids one of these avoids the way."""

_CHINA_MOBILE = (HttpCommand.CONTENT, HttpCommand.CHUNKED)
_QUECTEL = (HttpCommand.POSTFILE, HttpCommand.POST)


def capabilities_of(driver: object) -> Capabilities:
    """Return what a driver can do; its class tells the same, where there is no modem."""
    commands: tuple[HttpCommand, ...] = ()
    limit = 0
    if isinstance(driver, SupportsQuectelHttp):
        commands, limit = _QUECTEL, driver.http_max_bytes
    elif isinstance(driver, SupportsChinaMobileHttp):
        commands, limit = _CHINA_MOBILE, driver.http_max_bytes
    return Capabilities(
        has_sockets=isinstance(driver, SupportsSockets),
        http_commands=commands,
        max_request_bytes=limit,
        has_modem_tls=bool(commands),
    )


def plan(
    capabilities: Capabilities,
    quirks: Iterable[MatchedQuirk],
    demand: Demand,
    learned: Sequence[LearnedOutcome] = (),
) -> Plan:
    """Return the attempts in their order, and the ways left out. `learned`: the latest first."""
    quirks = tuple(quirks) if demand.use_workarounds else ()
    rejected: list[Rejected] = []
    possible: list[_Way] = []
    for number, (route, command) in enumerate(_ways(capabilities, demand)):
        way = _Way(route, command, _tls_of(route, demand), number)
        way.take(quirks, demand)
        if obstacle := _obstacle(way, capabilities, demand):
            rejected.append(way.rejected(obstacle))
        else:
            possible.append(way)
    if not demand.use_workarounds:
        # What a report describes is the modem's HTTP client as it is, so that is what is tried where it may be.
        possible.sort(key=lambda way: way.route is RouteName.SOCKET)
        rejected += [way.rejected("without workarounds there is one attempt only") for way in possible[1:]]
        return Plan(attempts=tuple(way.attempt(demand) for way in possible[:1]), rejected=tuple(rejected))
    _remember(possible, learned)
    possible.sort(key=_Way.rank)
    kept, avoided = _without_avoided(possible, demand)
    if not kept and avoided:
        best, reason = avoided.pop(0)
        best.notes.append(f"{reason}; but no other way is left")
        kept = [best]
    rejected += [way.rejected(reason) for way, reason in avoided]
    last_free = max((number for number, way in enumerate(kept) if not way.avoided_by), default=len(kept))
    for number, way in enumerate(kept):
        way.is_put_last = number > last_free
    return Plan(attempts=tuple(way.attempt(demand) for way in kept), rejected=tuple(rejected))


def attempt_as_dict(attempt: PlannedAttempt) -> dict[str, object]:
    """Return plain values, as results, diagnostics and the command line show an attempt."""
    return {
        "route": attempt.route.value,
        "command": None if attempt.command is None else attempt.command.value,
        "tls": {"where": attempt.tls.value, "verified": attempt.is_verified},
        "workarounds": [
            {"id": workaround.quirk_id, "effect": workaround.effect, "sentence": workaround.sentence}
            for workaround in attempt.workarounds
        ],
        "why": attempt.why,
        "port_held_s": attempt.port_held_s,
        "in_chunks": attempt.in_chunks,
    }


def rejected_as_dict(rejected: Rejected) -> dict[str, object]:
    """Return plain values of a way left out."""
    return {
        "route": rejected.route.value,
        "command": None if rejected.command is None else rejected.command.value,
        "why": rejected.why,
    }


@dataclass(slots=True, eq=False)
class _Way:
    """One way out, as it is weighed."""

    route: RouteName
    command: HttpCommand | None
    tls: TlsPlace
    number: int
    is_verified: bool = False
    trust: int = 0
    learned_rank: tuple[int, int] = (1, 0)
    has_failed: bool = False
    workarounds: tuple[Workaround, ...] = ()
    avoided_by: list[MatchedQuirk] = field(default_factory=list)
    is_put_last: bool = False
    is_late: MatchedQuirk | None = None
    padding_bytes: int = 0
    notes: list[str] = field(default_factory=list)

    def take(self, quirks: Sequence[MatchedQuirk], demand: Demand) -> None:
        """Take what the demand and the quirks mean for this way."""
        if self.tls is not TlsPlace.NONE:
            self.is_verified = demand.verify and (self.tls is TlsPlace.HOST or demand.has_ca)
            self.trust = 0 if not self.is_verified else 2 if self.tls is TlsPlace.HOST else 1
        workarounds: list[Workaround] = []
        for quirk in quirks:
            if quirk.is_idle or not quirk.applies.fits(self.route, self.tls, self.command):
                continue
            standing, finding = quirk.settled(self.command)
            if standing is None:
                assert finding is not None
                self.notes.append(f"{quirk.id} ({quirk.confidence}) is left out of account: {finding.words}")
                continue
            quirk = standing  # noqa: PLW2901 - from here on only what the self-test made of it counts
            if finding is not None and not self._is_avoided_by(quirk):
                self.notes.append(f"{_label(quirk)} is worked around")
            if self._is_avoided_by(quirk):
                self.avoided_by.append(quirk)
                continue
            if quirk.effect == "avoid_command":
                continue  # of a command that this way does not need
            if quirk.effect == "late_last_packet" and _strikes(quirk, total=demand.request_bytes):
                self.is_late = quirk
            params = dict(quirk.params)
            if quirk.effect == "pad_total_length" and demand.pads_body:
                params["in_body"] = True
            workarounds.append(
                Workaround(quirk_id=quirk.id, effect=quirk.effect, params=params, sentence=quirk.sentence)
            )
        self.workarounds = _tightest(workarounds)
        for workaround in self.workarounds:
            if workaround.effect == "pad_total_length" and self.command not in _CHINA_MOBILE:
                mask, header = workaround.params["mask"], workaround.params["header"]
                assert isinstance(mask, int)
                self.padding_bytes = (
                    body_padding_for(demand.request_bytes, demand.body_bytes, mask=mask)
                    if demand.pads_body
                    else padding_for(demand.request_bytes, mask=mask, header=str(header))
                )

    def _is_avoided_by(self, quirk: MatchedQuirk) -> bool:
        if quirk.effect == "avoid_route":
            return quirk.params["route"] == self.route
        if quirk.effect != "avoid_command" or self.command is None:
            return False
        return quirk.params["command"] in AT_COMMANDS[self.command]

    def rank(self) -> tuple[int, tuple[int, int], bool, int]:
        """Return what orders ways: trust before all, then what was learned, then quirks, then the default."""
        return -self.trust, self.learned_rank, bool(self.avoided_by), self.number

    def rejected(self, reason: str) -> Rejected:
        """Return it as left out."""
        return Rejected(route=self.route, command=self.command, why=reason)

    def attempt(self, demand: Demand) -> PlannedAttempt:
        """Return it as planned, in words."""
        held_s, in_chunks, holding = self._holding(demand)
        says = [self._what(), self._encryption(demand), *self.notes]
        says += [
            f"tried after the others because of {_label(quirk)}"
            if self.is_put_last
            else f"tried in spite of {_label(quirk)}: {quirk.title}"
            for quirk in self.avoided_by
            if not any(quirk.id in note for note in self.notes)
        ]
        if any(workaround.effect == "pad_total_length" for workaround in self.workarounds):
            total = demand.request_bytes
            says.append(
                f"{total} bytes is a length at which the 719 fault strikes, so {self.padding_bytes} bytes of padding "
                f"{'behind the body' if demand.pads_body else 'in a header'} make it {total + self.padding_bytes}"
                if self.padding_bytes
                else f"{total} bytes is a length that needs no padding"
            )
        return PlannedAttempt(
            route=self.route,
            command=self.command,
            tls=self.tls,
            is_verified=self.is_verified,
            workarounds=self.workarounds,
            why="; ".join(part for part in (*says, holding) if part),
            port_held_s=round(held_s, 2),
            in_chunks=in_chunks,
        )

    def _what(self) -> str:
        return _WHAT[self.command]

    def _encryption(self, demand: Demand) -> str:
        if self.tls is TlsPlace.NONE:
            return "nothing is encrypted"
        who = "this host" if self.tls is TlsPlace.HOST else "the modem"
        if self.is_verified:
            return f"TLS by {who}, which checks the server's certificate"
        reason = "as asked" if not demand.verify else "since it has no CA to check with"
        return f"TLS by {who}, UNVERIFIED {reason}: encrypted, but nobody knows to whom"

    def _holding(self, demand: Demand) -> tuple[float, bool, str]:
        """Return for how long one command holds the port, whether in chunks, and that in words."""
        if self.command not in _QUECTEL:
            return 0.0, False, ""
        bps = demand.line_bps or ASSUMED_BPS
        line_s = (demand.request_bytes + self.padding_bytes) * 10 / bps
        rate = f"at {bps} baud" + ("" if demand.line_bps else ", which is assumed")
        if self.command is HttpCommand.POST:
            waits = ", and status polls wait" if line_s > MAX_PORT_HELD_S else ""
            return line_s, False, f"QHTTPPOST holds the port for {line_s:.1f} s {rate}{waits}"
        if line_s <= MAX_PORT_HELD_S:
            return line_s, False, f"QFUPL holds the port for {line_s:.1f} s {rate}"
        piece_s = min(PIECE_S, MAX_PIECE_BYTES * 10 / bps)
        return (
            piece_s,
            True,
            (
                f"{line_s:.1f} s of line time {rate}: above {MAX_PORT_HELD_S:g} s the file is written by QFOPEN and "
                f"QFWRITE in chunks, which hold the port for {piece_s:.1f} s each"
            ),
        )


_WHAT = {
    None: "HTTP by this host over a TCP socket of the modem, whose own HTTP client is not involved",
    HttpCommand.POSTFILE: "the modem's HTTP client gets the whole request as a file (AT+QHTTPPOSTFILE)",
    HttpCommand.POST: "the modem's HTTP client gets the whole request over the line (AT+QHTTPPOST)",
    HttpCommand.CONTENT: "the modem's HTTP client gets the body first, behind the prompt, and sends its length",
    HttpCommand.CHUNKED: "the modem's HTTP client gets the body while it sends, chunked",
}


def _ways(capabilities: Capabilities, demand: Demand) -> list[tuple[RouteName, HttpCommand | None]]:
    """Return all ways in the default order, one the user asked for in vain included, so that it is explained."""
    commands: list[HttpCommand | None] = [*capabilities.http_commands]
    if not commands or (demand.command is not None and demand.command not in commands):
        commands.append(demand.command)
    return [(RouteName.SOCKET, None), *((RouteName.MODEM_HTTP, command) for command in commands)]


def _tls_of(route: RouteName, demand: Demand) -> TlsPlace:
    if demand.scheme != "https":
        return TlsPlace.NONE
    return TlsPlace.HOST if route is RouteName.SOCKET else TlsPlace.MODEM


def _obstacle(way: _Way, capabilities: Capabilities, demand: Demand) -> str:
    """Return what makes a way impossible or unwanted, "" for nothing."""
    is_socket = way.route is RouteName.SOCKET
    wanted_route = demand.route or (RouteName.MODEM_HTTP if demand.command else None)
    if is_socket:
        if not capabilities.has_sockets:
            return "there is no driver for this model's sockets"
        return f"{wanted_route} is asked for" if wanted_route not in (None, way.route) else ""
    if way.command not in capabilities.http_commands:
        if not capabilities.http_commands:
            return "there is no driver for this model's HTTP client"
        return "this modem's HTTP client has no such command"
    if wanted_route not in (None, way.route):
        return f"{wanted_route} is asked for"
    if demand.command not in (None, way.command):
        return f"{demand.command} is asked for"
    if way.command is HttpCommand.CHUNKED and not demand.allows_chunked and demand.command is not way.command:
        return "not every server takes a chunked body, and of this one nobody says so"
    if way.tls is TlsPlace.MODEM:
        if demand.tls is not TlsPlace.MODEM:
            return "the modem would do TLS, and the destination does not allow that"
        if not capabilities.has_modem_tls:
            return "this modem's HTTP client has no TLS"
    return _too_large(way, capabilities, demand)


def _too_large(way: _Way, capabilities: Capabilities, demand: Demand) -> str:
    is_body = way.command in _CHINA_MOBILE
    size = demand.body_bytes if is_body else demand.request_bytes + way.padding_bytes
    if not capabilities.max_request_bytes or size <= capabilities.max_request_bytes:
        return ""
    what = "a body" if is_body else "a request"
    return f"the modem's HTTP client takes {what} of {capabilities.max_request_bytes} bytes at most, not {size}"


def _remember(ways: Sequence[_Way], learned: Sequence[LearnedOutcome]) -> None:
    """Put what worked first and what failed last, among ways of the same trust."""
    for number, outcome in enumerate(learned):
        for way in ways:
            if (way.route, way.command, way.tls) != (outcome.route, outcome.command, outcome.tls):
                continue
            if outcome.weight <= 0 or way.learned_rank != (1, 0):
                continue
            way.learned_rank = (0, number) if outcome.worked else (2, 0)
            way.has_failed = not outcome.worked
            way.notes.append(
                "this worked last with this firmware" if outcome.worked else "this failed last with this firmware"
            )


def _without_avoided(ways: Sequence[_Way], demand: Demand) -> tuple[list[_Way], list[tuple[_Way, str]]]:
    """Split ways into those to try and those that quirks take out; what the user named himself is tried anyway."""
    kept: list[_Way] = []
    avoided: list[tuple[_Way, str]] = []
    is_route_asked = demand.route is RouteName.MODEM_HTTP
    late_before = any(way.is_late is not None and way.has_failed for way in ways)
    for way in ways:
        reason = ""
        is_asked = way.command is not None and way.command is demand.command
        for quirk in way.avoided_by:
            text = f"{_label(quirk)}: {quirk.title}"
            if is_asked or (quirk.effect == "avoid_route" and demand.route is way.route):
                way.notes.append(f"asked for, in spite of {text}")
            elif quirk.confidence is Confidence.CONFIRMED:
                reason = reason or text
        if way.is_late is not None:
            text = f"{_label(way.is_late)}: {way.is_late.title}"
            if not (is_route_asked or is_asked) and late_before:
                reason = reason or f"{text}; where padding does not help, another command does not either"
            late_before = late_before or not reason
        if reason:
            avoided.append((way, reason))
        else:
            kept.append(way)
    return kept, avoided


def _label(quirk: MatchedQuirk) -> str:
    """Name a quirk, how sure it is, and what the user's own self-test found of it."""
    return f"{quirk.id} ({'; '.join([quirk.confidence, *(finding.words for finding in quirk.findings)])})"


def _strikes(quirk: MatchedQuirk, **case: object) -> bool:
    params = {name: list(value) if isinstance(value, tuple) else value for name, value in quirk.params.items()}
    return build_effect(quirk.effect, params).strikes(**case)


def _tightest(workarounds: Sequence[Workaround]) -> tuple[Workaround, ...]:
    """Return the workarounds without the wider ones of several limits to the same command."""
    limits: dict[object, int] = {}
    for workaround in workarounds:
        limit = workaround.params.get("max_bytes")
        if workaround.effect == "limit_chunk" and isinstance(limit, int):
            command = workaround.params.get("command")
            limits[command] = min(limit, limits.get(command, limit))
    return tuple(
        workaround
        for workaround in workarounds
        if workaround.effect != "limit_chunk"
        or workaround.params.get("max_bytes") == limits[workaround.params.get("command")]
    )
