"""What to do after a try: a pure function of what came of it. Only a failure of the route is worth another route."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from enum import StrEnum

from ..errors import HttpError, InputError, LinkError, ModemError, NetworkError, SimError, SocketError, TlsError
from ..routes.plan import PlannedAttempt, RouteName
from .care import Cure, cure_of
from .qiniu import Judgement, Retry

MAX_WAITS = 2
"""How often a server may ask to wait."""
JUDGED_PAUSE_S = 5.0
"""How long a service that has trouble, but names no time, is left alone (assumed)."""


class Step(StrEnum):
    """What comes next."""

    STOP = "stop"
    """Another try would end the same, or do harm."""
    NEXT = "next"
    """The way is at fault: the next one."""
    AGAIN = "again"
    """The server asks for it: the same way again, after a pause."""
    RESET = "reset"
    """Packet data is to be taken down and brought up; then the same way again. Where that was not enough, and there is
    no other way, the modem is restarted."""
    RESTART = "restart"
    """Only a restart of the modem helps; then the same way again."""
    RECONNECT = "reconnect"
    """The modem was gone: bring it up again; then the same way again."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """What comes next. `limit`: how often this step is taken at most; `is_transient`: the same way may do next time."""

    step: Step
    pause_s: float = 0.0
    limit: int = 1
    is_transient: bool = False


_STOP = Verdict(step=Step.STOP)
_NEXT = Verdict(step=Step.NEXT)
_GONE = frozenset({"modem_restarted", "not_responding"})
"""A port that is gone is not one of them: whoever pulled the plug is told at once."""
_UNTRUSTED = frozenset(
    {"certificate_untrusted", "certificate_expired", "host_mismatch", "not_allowed", "certificate_too_long"}
    | {"752", "760", "761", "762"}
)
_NO_PACKET_DATA = frozenset({"570", "571", "572", "561", "707", "708", "709"})
OF_NETWORK_AND_SIM = frozenset({"registration_denied", "not_registered", "operator_refused", "575"})
_UNREACHABLE = frozenset({"716", "552"})
"""Seen to stay so until packet data is taken down and up."""
_CHINA_MOBILE = "china_mobile"
_NO_SERVER = {_CHINA_MOBILE: frozenset({"557", "559", "580"})}
_NO_SERVER_ELSE = frozenset({"565", "566"})
"""On the socket route: there is no such name, or the server refuses; the modem's HTTP client would meet the same."""
_PASSING = frozenset({"response_lost", "closed", "717", "718", "719", "722", "728"})
_PASSING_OF = {_CHINA_MOBILE: frozenset({"552", "560", "561", "657", "5", "6"})}
_PASSING_ELSE = frozenset({"558", "559", "563", "567", "569"})

_OF_THE_MOMENT = frozenset({"no_free_socket", "no_data_route"})

_GAVE_UP = frozenset({"timeout", "702", "722", "727", "728", "6"})
"""Nobody waited any longer, on this side or in the modem: the server may still be at work."""


def is_over(error: ModemError | None) -> bool:
    """Return whether what has not arrived after this failure will not arrive any more."""
    return error is None or error.code not in _GAVE_UP


def tells_of_way(error: ModemError, *, is_hurried: bool) -> bool:
    """Return whether a failure says something of the way as such; `is_hurried`: it had less time than it is allowed.

    What the request holds, the network, other uploads that hold all sockets, and a user in a hurry say nothing of it.
    """
    if isinstance(error, InputError | NetworkError) or error.code in _OF_THE_MOMENT:
        return False
    return not (is_hurried and isinstance(error, HttpError) and error.code == "timeout")


def verdict(error: ModemError, attempt: PlannedAttempt | None, family: str = "") -> Verdict:
    """Return what to do after a try without an answer; `attempt` None: the modem did not even come online.

    `family`: the driver's; vendors use the same numbers for different things.
    """
    code = error.code
    if attempt is not None and (cure := cure_of(attempt, code)) is not None:
        return Verdict(step=Step.RESTART if cure is Cure.MODEM else Step.RESET)
    match error:
        case LinkError():
            return Verdict(step=Step.RECONNECT, limit=2) if code in _GONE else _STOP
        case SimError():
            return _STOP
        case NetworkError():
            if attempt is None or code in OF_NETWORK_AND_SIM:
                return _STOP
            return Verdict(step=Step.RESET, is_transient=True) if code in _NO_PACKET_DATA else _NEXT
        case _ if attempt is None:
            return _STOP
        case TlsError():
            return _STOP if code in _UNTRUSTED else _NEXT
        case SocketError() if code in _UNREACHABLE and family != _CHINA_MOBILE:
            return Verdict(step=Step.RESET)
        case SocketError() if attempt.route is RouteName.SOCKET and (
            code == "flooded" or code in _NO_SERVER.get(family, _NO_SERVER_ELSE)
        ):
            return _STOP
        case HttpError() if attempt.route is RouteName.SOCKET and code == "response_invalid":
            return _STOP
        case _:
            return Verdict(step=Step.NEXT, is_transient=code in _PASSING | _PASSING_OF.get(family, _PASSING_ELSE))


def verdict_of_answer(
    status: int, headers: Mapping[str, str], judgement: Judgement | None = None, now: datetime | None = None
) -> Verdict:
    """Return what to do after an answer that is no delivery. A server that asks to wait is waited for, no other is."""
    pause_s = retry_after_s(headers.get("Retry-After"), now)
    if judgement is not None:
        match judgement.retry:
            case Retry.ONCE:
                return Verdict(step=Step.AGAIN, pause_s=pause_s or 0.0)
            case Retry.LATER:
                return Verdict(step=Step.AGAIN, pause_s=JUDGED_PAUSE_S if pause_s is None else pause_s, limit=MAX_WAITS)
            case _:
                return _STOP
    if status in (429, 503) and pause_s is not None:
        return Verdict(step=Step.AGAIN, pause_s=pause_s, limit=MAX_WAITS)
    return _STOP


def retry_after_s(value: str | None, now: datetime | None = None) -> float | None:
    """Return the seconds that a Retry-After header names, as a number or as a date; None without a readable one."""
    if value is None:
        return None
    text = value.strip()
    if text.isascii() and text.isdigit():
        return float(text[:9])
    try:
        when = parsedate_to_datetime(text)
    except ValueError:
        return None
    when = when if when.tzinfo else when.replace(tzinfo=UTC)
    return max(0.0, (when - (now or datetime.now(UTC))).total_seconds())
