"""What the outcomes of a self-test say of each fault: a pure function. A doubt that they leave stays one."""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from ..quirks.effects import AvoidCommand, AvoidRoute, LateLastPacket, LimitChunk, PadTotalLength
from ..quirks.registry import Quirk
from ..routes.china_mobile_http import PIECE_BYTES
from ..routes.plan import HttpCommand, TlsPlace
from .cases import Agenda, Outcome, can_settle, is_struck


class State(StrEnum):
    """Whether a fault is there."""

    HOLDS = "holds"
    DOES_NOT_HOLD = "does_not_hold"
    NOT_TESTABLE = "not_testable"
    """Not by this test, or not by what came of it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Ruling:
    """What was found of one fault with one command (None: with none); `why` in words, `outcomes` it rests on."""

    quirk: Quirk
    command: HttpCommand | None
    state: State
    why: str
    outcomes: tuple[Outcome, ...] = ()

    def as_dict(self) -> dict[str, object]:
        """Return plain values."""
        return {
            "id": self.quirk.id,
            "title": self.quirk.title,
            "command": None if self.command is None else self.command.value,
            "state": self.state.value,
            "why": self.why,
        }


def rule(agenda: Agenda, outcomes: Sequence[Outcome]) -> tuple[Ruling, ...]:
    """Return what `outcomes` (those of the agenda's cases so far, in order) say of the agenda's faults."""
    rulings = []
    for quirk in agenda.quirks:
        commands = [command for command in agenda.commands if can_settle(quirk, command, agenda.tls)]
        rulings += [_ruling(quirk, command, agenda, outcomes) for command in commands]
        if not commands:
            rulings.append(
                Ruling(quirk=quirk, command=None, state=State.NOT_TESTABLE, why=_why_untestable(quirk, agenda))
            )
    return tuple(rulings)


def said_of(outcomes: Sequence[Outcome]) -> str:
    """Return outcomes as a sentence: which lengths went through, which failed and how."""
    told: dict[str, list[str]] = {}
    for outcome in outcomes:
        told.setdefault(outcome.code or "ok", []).append(str(outcome.case.size))
    what = "of body" if outcomes and outcomes[0].case.is_body else "in all"
    return "; ".join(f"{code} at {', '.join(sizes)}" for code, sizes in told.items()) + f" bytes {what}"


def _ruling(quirk: Quirk, command: HttpCommand, agenda: Agenda, outcomes: Sequence[Outcome]) -> Ruling:
    planned = [case for case in agenda.cases if case.command is command]
    mine = tuple(outcome for outcome in outcomes if outcome.case.command is command)
    if len(mine) < len(planned):
        state, why = State.NOT_TESTABLE, "the test ended before all of its requests were sent"
    else:
        state, why = _judged(quirk, agenda, mine, outcomes)
        why = f"{said_of(mine)}{f': {why}' if why else ''}"
    return Ruling(quirk=quirk, command=command, state=state, why=why, outcomes=mine)


def _judged(quirk: Quirk, agenda: Agenda, mine: Sequence[Outcome], outcomes: Sequence[Outcome]) -> tuple[State, str]:
    if all(outcome.is_delivered for outcome in mine):
        return State.DOES_NOT_HOLD, ""
    by_length = [
        other
        for other in agenda.quirks
        if isinstance(other.effect, PadTotalLength | LimitChunk) and other.applies.fits(*_way(mine[0]))
    ]
    free = [outcome for outcome in mine if not any(is_struck(other, outcome.case) for other in by_length)]
    match quirk.effect:
        case PadTotalLength():
            return _by_bit(quirk, mine)
        case LimitChunk():
            return _by_limit(quirk, mine)
        case LateLastPacket():
            return _late(quirk, mine, free)
        case AvoidCommand() | AvoidRoute():
            return _avoided(mine, free, outcomes)
    return State.NOT_TESTABLE, ""  # pragma: no cover: can_settle names no other effect


def _way(outcome: Outcome) -> tuple[str, str, str | None]:
    return outcome.case.route, outcome.case.tls, outcome.case.command


def _by_bit(quirk: Quirk, mine: Sequence[Outcome]) -> tuple[State, str]:
    """All lengths on the one side have to fail, and all on the other to go through."""
    good = [outcome.is_delivered for outcome in mine if not is_struck(quirk, outcome.case)]
    bad = [outcome.is_delivered for outcome in mine if is_struck(quirk, outcome.case)]
    if not any(good):
        return State.NOT_TESTABLE, "good lengths fail, too, so that lengths tell nothing"
    if all(good) and not any(bad):
        return State.HOLDS, ""
    return State.NOT_TESTABLE, "that is not the rule; run it once more, the network may have been in the way"


def _by_limit(quirk: Quirk, mine: Sequence[Outcome]) -> tuple[State, str]:
    """Above some size, which need not be the one the catalogue assumes, all have to fail."""
    through = [min(outcome.case.size, PIECE_BYTES) for outcome in mine if outcome.is_delivered]
    failed = [min(outcome.case.size, PIECE_BYTES) for outcome in mine if not outcome.is_delivered]
    if not through:
        return State.NOT_TESTABLE, "small ones fail, too, so that sizes tell nothing"
    small = [outcome for outcome in mine if not is_struck(quirk, outcome.case)]
    if max(through) < min(failed) and all(outcome.is_delivered for outcome in small):
        return State.HOLDS, ""
    return State.NOT_TESTABLE, "that is no limit; run it once more, the network may have been in the way"


def _late(quirk: Quirk, mine: Sequence[Outcome], free: Sequence[Outcome]) -> tuple[State, str]:
    """Seen from the modem it fails like the length rule, unless good lengths of several packets fail as well."""
    small = [outcome for outcome in mine if not is_struck(quirk, outcome.case)]
    large = [outcome for outcome in free if is_struck(quirk, outcome.case)]
    if all(outcome.is_delivered for outcome in large):
        return State.NOT_TESTABLE, "the length rule explains it; only a trace at the server could tell more"
    if all(outcome.is_delivered for outcome in small) and not any(outcome.is_delivered for outcome in large):
        return State.HOLDS, ""
    return State.NOT_TESTABLE, "that has another reason"


def _avoided(mine: Sequence[Outcome], free: Sequence[Outcome], outcomes: Sequence[Outcome]) -> tuple[State, str]:
    """A command that is to be avoided fails at every length, while another way gets through to the same server."""
    if free and all(outcome.is_delivered for outcome in free):
        return State.DOES_NOT_HOLD, "what failed goes by length"
    if any(outcome.is_delivered for outcome in mine):
        return State.NOT_TESTABLE, "it is not the command as such"
    if any(outcome.is_delivered for outcome in outcomes):
        return State.HOLDS, ""
    return State.NOT_TESTABLE, "nothing got through in any way, so it may be the server"


def _why_untestable(quirk: Quirk, agenda: Agenda) -> str:
    applies, effect = quirk.applies, quirk.effect
    if not agenda.commands:
        return "the modem's HTTP client is not tested"
    if applies.tls == TlsPlace.MODEM and agenda.tls is not TlsPlace.MODEM:
        return "it takes https, with TLS by the modem"
    if isinstance(effect, LimitChunk) and effect.direction == "send" and effect.max_bytes >= PIECE_BYTES:
        return f"the command is never given more than {PIECE_BYTES} bytes"
    if any(can_settle(quirk, command, agenda.tls) for command in HttpCommand):
        return "its command was not asked for"
    return "lengths do not show it"
