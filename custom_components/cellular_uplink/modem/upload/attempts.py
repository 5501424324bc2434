"""The course of one upload: its plan, its tries, what they cost, and the result they add up to."""

from collections.abc import Callable
from dataclasses import dataclass, field
import time

import httpx

from ..errors import InputError, LinkError, ModemError
from ..quirks.registry import MatchedQuirk
from ..routes.meter import Meter
from ..routes.plan import Plan, PlannedAttempt, TlsPlace
from .care import Cure
from .exchange import Answer
from .planner import attempt_as_dict
from .result import Attempt, Progress, UploadResult, UploadState
from .verdict import Step, Verdict, is_over, tells_of_way

MAX_TRIES = 6
MAX_PAUSE_S = 120.0
"""Longest a server is waited for where the user named no time."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Patience:
    """How long an engine waits for what it cannot hurry; other values are for networks that are known to be faster."""

    base_s: float = 90.0
    """For what doesn't grow with the picture: name look-up, connecting, TLS, the server's own work."""
    modem_http_s: float = 150.0
    """On top where the modem is the HTTP client: given up before its own time-outs are over, it stays busy."""
    line_factor: float = 4.0
    """Times the line time: the line is shared with other uploads and polls, and the network may be slower than it."""
    check_s: float = 60.0
    """For asking a destination whether it has the picture."""
    link_pause_s: float = 2.0
    """Before a modem that was gone, and isn't back, is looked for again."""


AS_EVER = Patience()


@dataclass(slots=True)
class Course:
    """Where an upload is in its plan. It knows no clock: pauses are for whoever walks it."""

    plan: Plan
    is_one_shot: bool = False
    index: int = 0
    tries: int = 0
    cure: Cure | None = None
    """What the modem needs before the next try."""
    _taken: dict[Step, int] = field(default_factory=dict)
    _was_repeated: bool = False

    @property
    def attempt(self) -> PlannedAttempt:
        """The way to try now."""
        return self.plan.attempts[self.index]

    def advance(self, verdict: Verdict, *, is_handshake: bool = False) -> bool:
        """Go on as the verdict says; return False where that is nowhere. `is_handshake`: TLS did not come about."""
        self.tries += 1
        if self.is_one_shot or self.tries >= MAX_TRIES or verdict.step is Step.STOP:
            return False
        if verdict.step is not Step.NEXT:
            taken = self._taken[verdict.step] = self._taken.get(verdict.step, 0) + 1
            if taken <= verdict.limit:
                self.cure = _CURES.get(verdict.step)
                return True
            if verdict.step is Step.AGAIN:
                return False
        following = self.plan.attempts[self.index + 1 : self.index + 2]
        # Whoever can break a handshake must not thereby get the picture with less of a check.
        is_barred = is_handshake and self.attempt.is_verified and any(not way.is_verified for way in following)
        if following and not is_barred:
            self.index += 1
            return True
        if (is_barred or len(self.plan.attempts) == 1) and verdict.is_transient and not self._was_repeated:
            self._was_repeated = True
            return True
        if verdict.step is Step.RESET and Step.RESTART not in self._taken:
            self._taken[Step.RESTART] = 1
            self.cure = Cure.MODEM
            return True
        return False


_CURES = {Step.RESET: Cure.CONTEXT, Step.RESTART: Cure.MODEM}


@dataclass(slots=True)
class Try:
    """One try: the way (None before there is one), and what came of it."""

    meter: Meter
    answer: Answer = field(default_factory=Answer)
    way: PlannedAttempt | None = None
    started: float | None = None
    is_hurried: bool = False
    """It had less time than such a request is allowed."""
    error: ModemError | None = None
    may_have_arrived: bool = False
    note: str = ""
    state: UploadState = UploadState.FAILED


@dataclass(slots=True)
class Run:
    """Everything one upload has come to so far."""

    upload_id: str
    is_keyed: bool
    """The server keeps one picture under the name that all tries give it."""
    on_progress: Callable[[Progress], None] | None
    started: float = field(default_factory=time.monotonic)
    course: Course | None = None
    quirks: tuple[MatchedQuirk, ...] = ()
    attempts: list[Attempt] = field(default_factory=list)
    last: Try | None = None
    body_bytes: int = 0
    sent_bytes: int = 0
    received_bytes: int = 0
    doubts: int = 0
    link_failures: int = 0
    check_status: int | None = None
    blamed: list[PlannedAttempt] = field(default_factory=list)
    _told_bytes: int = -1

    def report(self, progress: Progress) -> None:
        """Tell progress onwards; another try starts anew, and is told once it is further than the one before."""
        if self.on_progress is not None and progress.sent_bytes > self._told_bytes:
            self._told_bytes = progress.sent_bytes
            self.on_progress(progress)

    def add(self, done: Try, request: httpx.Request) -> None:
        """Add a try that has ended."""
        self.last = done
        self.body_bytes = len(request.content)
        self.sent_bytes += done.meter.sent_bytes
        self.received_bytes += done.meter.received_bytes
        self.doubts += done.may_have_arrived
        self.link_failures += isinstance(done.error, LinkError)
        if done.started is None or done.way is None:
            return
        self.attempts.append(
            Attempt(
                route=done.way.route.value,
                command=done.way.command.value if done.way.command else None,
                outcome=done.state,
                http_status=done.answer.status,
                duration_s=time.monotonic() - done.started,
                acknowledged_bytes=done.meter.acknowledged_bytes,
                error=done.error,
            )
        )

    def blame(self, outcome: Verdict) -> None:
        """Note the way of the last try as the one at fault, where its failure says so."""
        last = self.last
        if last is None or last.way is None or last.started is None or last.error is None:
            return
        if outcome.step is Step.NEXT and tells_of_way(last.error, is_hurried=last.is_hurried):
            self.blamed.append(last.way)

    def settle(self, status: int) -> bool:
        """Take what the server said when it was asked for the last try's picture; return whether it has it."""
        assert self.last is not None
        if 200 <= status < 300:
            self.check_status = status
            self.last.state, self.last.error = UploadState.DELIVERED, None
            self.last.note = "The answer was lost, but the server was asked and has the picture"
            return True
        if status in (404, 410) and is_over(self.last.error):
            self.doubts -= 1
            self.last.may_have_arrived = False
        return False

    def refusal(self) -> InputError | None:
        """Return why no way carries this, None where anything else came of a try."""
        errors = [attempt.error for attempt in self.attempts]
        if all(isinstance(error, InputError) for error in errors):
            return next((error for error in errors if isinstance(error, InputError)), None)
        return None

    def result(self) -> UploadResult:
        """Return what it all adds up to."""
        last = self.last
        assert last is not None
        way = last.way if last.started is not None else None
        tried = [attempt.route for attempt in self.attempts]
        is_delivered = last.state is UploadState.DELIVERED
        others = self.doubts - (1 if last.may_have_arrived else 0)
        return UploadResult(
            state=last.state,
            upload_id=self.upload_id,
            http_status=last.answer.status or self.check_status,
            response=last.answer.text(),
            route=tried[-1] if tried else None,
            attempts=tuple(self.attempts),
            request_bytes=last.meter.total_bytes,
            body_bytes=self.body_bytes,
            sent_bytes=self.sent_bytes,
            received_bytes=self.received_bytes,
            duration_s=time.monotonic() - self.started,
            ambiguous=not is_delivered and self.doubts > 0,
            error=last.error,
            padding_bytes=last.meter.padding_bytes,
            plan=tuple(attempt_as_dict(planned) for planned in self.course.plan.attempts) if self.course else (),
            quirks=tuple(quirk.as_dict() for quirk in self.quirks),
            tls_where=TlsPlace.NONE.value if way is None else way.tls.value,
            is_tls_verified=way is not None and way.is_verified,
            may_be_stored_twice=is_delivered and others > 0 and not self.is_keyed,
            note=last.note,
        )
