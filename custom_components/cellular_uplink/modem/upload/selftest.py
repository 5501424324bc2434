"""Runs a self-test on the user's own modem, and says which known faults are there.

Nothing is worked around, so that a fault shows. What fails for another reason than the way it was sent (the server, the
network, the modem) ends the test, and then nothing was learnt.
"""

from collections.abc import Callable
from dataclasses import dataclass
import time

from ..errors import HttpError, ModemError, ModemProtocolError, SocketError
from ..quirks.registry import Finding
from ..routes.plan import RouteName, TlsPlace
from .cases import RESPONSE_BYTES, TLS_BYTES, Agenda, Case, Outcome, case_as_dict
from .engine import UploadEngine
from .evidence import evidence
from .result import UploadResult
from .rulings import Ruling, State, rule

LIMIT_REACHED = "limit_reached"


@dataclass(frozen=True, slots=True, kw_only=True)
class SelfTestResult:
    """What a self-test found. `*_bytes` over the air: `counted_bytes` with an estimate of what cannot be measured.

    `stopped`: why it ended before its last case, None when it did not; unless the limit was reached, nothing is found
    then. `when` in unix seconds.
    """

    agenda: Agenda
    outcomes: tuple[Outcome, ...]
    rulings: tuple[Ruling, ...]
    stopped: ModemError | None
    limit_bytes: int
    sent_bytes: int
    received_bytes: int
    counted_bytes: int
    when: float
    is_tls_verified: bool = False
    is_rejected: bool = False
    """What stopped it is an answer of the server."""

    @property
    def findings(self) -> tuple[Finding, ...]:
        """Return what is settled, for OutcomeMemory.record_findings."""
        return tuple(
            Finding(
                quirk_id=ruling.quirk.id,
                command=ruling.command.value,
                holds=ruling.state is State.HOLDS,
                when=self.when,
            )
            for ruling in self.rulings
            if ruling.command is not None and ruling.state is not State.NOT_TESTABLE
        )

    @property
    def evidence(self) -> str:
        """Return the block for the project, "" when nothing was settled."""
        if not self.findings:
            return ""
        return evidence(self.agenda, self.outcomes, self.rulings, self.when, is_tls_verified=self.is_tls_verified)

    def as_dict(self) -> dict[str, object]:
        """Return plain values, as JSON and action responses carry them."""
        return {
            "ok": self.stopped is None,
            "model": self.agenda.identity.model,
            "firmware": self.agenda.identity.firmware,
            "release": self.agenda.identity.release,
            "tls": {"where": self.agenda.tls.value, "verified": self.is_tls_verified},
            "limit_bytes": self.limit_bytes,
            "cost_bytes": self.agenda.cost_bytes,
            "counted_bytes": self.counted_bytes,
            "sent_bytes": self.sent_bytes,
            "received_bytes": self.received_bytes,
            "cases": [
                {
                    **case_as_dict(outcome.case),
                    "outcome": outcome.code or "ok",
                    "duration_s": round(outcome.duration_s, 3),
                }
                for outcome in self.outcomes
            ],
            "quirks": [ruling.as_dict() for ruling in self.rulings],
            "stopped": None if self.stopped is None else self.stopped.as_dict(),
            "evidence": self.evidence,
        }

    def lines(self) -> list[str]:
        """Return it in words."""
        words = {
            State.HOLDS: "Here it holds",
            State.DOES_NOT_HOLD: "Here it does not hold",
            State.NOT_TESTABLE: "Not settled",
        }
        lines = []
        for ruling in self.rulings:
            if ruling.command is None:
                continue
            lines += [f"{ruling.quirk.id}, with {ruling.command}: {ruling.quirk.title}."]
            lines += [f"  {words[ruling.state]}: {ruling.why}."]
        untested: dict[str, list[str]] = {}
        for ruling in self.rulings:
            if ruling.command is None:
                untested.setdefault(ruling.why, []).append(ruling.quirk.id)
        lines += [f"Not testable, {why}: {', '.join(ids)}." for why, ids in untested.items()]
        if self.stopped is not None:
            lines.append(f"Stopped after {len(self.outcomes)} of {len(self.agenda.cases)}: {self.stopped.message}.")
            if self.stopped.code != LIMIT_REACHED:
                lines.append("That is not for the modem's HTTP client to answer for, so nothing was learnt.")
        if self.agenda.tls is TlsPlace.MODEM and not self.is_tls_verified:
            lines.append("The modem encrypted it UNVERIFIED: nobody knows to whom.")
        lines.append(
            f"{self.sent_bytes} bytes sent and {self.received_bytes} received over the air as far as is measured, "
            f"{self.counted_bytes} with what is not, of {self.limit_bytes} allowed"
        )
        return lines


async def run_selftest(
    engine: UploadEngine,
    agenda: Agenda,
    limit_bytes: int | None,
    *,
    on_case: Callable[[Outcome], None] | None = None,
) -> SelfTestResult:
    """Send the agenda's cases and rule. Other uploads of this engine may go on beside it: it locks what is shared.

    Answers may be longer than they were counted with: it ends before a request that would pass the limit then.

    Raises:
        InputError: the limit is missing or too small, or something cannot be sent; nothing has reached the port.
    """
    limit_bytes = agenda.check_limit(limit_bytes)
    outcomes: list[Outcome] = []
    counted = sent = received = 0
    longest = RESPONSE_BYTES
    stopped: ModemError | None = None
    is_verified = is_rejected = False
    for case in agenda.cases:
        if counted + case.cost_bytes(agenda.head_bytes, longest) > limit_bytes:
            stopped = ModemError(LIMIT_REACHED, "The answers were longer than counted, and the limit is reached")
            break
        wish = agenda.wish
        result = await engine.upload(
            wish.destination,
            case.picture(agenda.head_bytes),
            choices=case.choices(wish),
            ssl_context=wish.ssl_context,
        )
        sent, received = sent + result.sent_bytes, received + result.received_bytes
        counted += _counted(case, result, agenda.head_bytes)
        longest = max(longest, _response_bytes(case, result))
        is_verified = is_verified or (case.command is not None and result.is_tls_verified)
        if (stopped := _foreign(case, result)) is not None:
            is_rejected = result.http_status is not None
            break
        error = result.error
        outcome = Outcome(case=case, code=None if error is None else error.code, duration_s=result.duration_s)
        outcomes.append(outcome)
        if on_case is not None:
            on_case(outcome)
    counts = stopped is None or stopped.code == LIMIT_REACHED
    return SelfTestResult(
        agenda=agenda,
        outcomes=tuple(outcomes),
        rulings=rule(agenda, outcomes) if counts else (),
        stopped=stopped,
        limit_bytes=limit_bytes,
        sent_bytes=sent,
        received_bytes=received,
        counted_bytes=counted,
        when=time.time(),
        is_tls_verified=is_verified,
        is_rejected=is_rejected,
    )


def _counted(case: Case, result: UploadResult, head_bytes: int) -> int:
    """Return what a case has cost: as estimated, or more where more is measured; modem TLS cannot be measured."""
    if not result.attempts:
        return 0
    return case.cost_bytes(head_bytes, max(RESPONSE_BYTES, _response_bytes(case, result)))


def _response_bytes(case: Case, result: UploadResult) -> int:
    """Return the length of the answer; over host TLS what is received is the handshake, too."""
    return max(0, result.received_bytes - (TLS_BYTES if case.tls is TlsPlace.HOST else 0))


def _foreign(case: Case, result: UploadResult) -> ModemError | None:
    """Return a failure that says nothing of the way a case was sent; None for a delivery or a failure that does.

    A Quectel takes the whole request and then sends it: only what breaks behind that tells something. A China Mobile
    IoT modem may refuse the content itself, by a number of its own.
    """
    error = result.error
    if error is None or case.route is RouteName.SOCKET or not result.attempts or result.http_status is not None:
        return error
    is_of_client = isinstance(error, HttpError | ModemProtocolError) or (
        isinstance(error, SocketError) and result.ambiguous
    )
    return None if is_of_client and (result.ambiguous or (case.is_body and error.code.isdigit())) else error
