"""What an upload did: said in one frozen object, the same for actions, events, diagnostics and the command line."""

from dataclasses import dataclass, field
from enum import StrEnum

from ..errors import ModemError


class UploadState(StrEnum):
    """How an upload ended."""

    DELIVERED = "delivered"
    """The server answered with a 2xx status."""
    REJECTED = "rejected"
    """The server answered with any other status."""
    FAILED = "failed"
    """No answer was received."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Progress:
    """Bytes of the request handed to the modem so far, of how many."""

    sent_bytes: int
    total_bytes: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Attempt:
    """One try of an upload on one route.

    `acknowledged_bytes`: of what crossed the modem's socket, what the server's system had acknowledged when the answer
    came, by the modem's own count; None where it has none, or there was no answer.
    """

    route: str
    outcome: UploadState
    http_status: int | None
    duration_s: float
    error: ModemError | None = None
    command: str | None = None
    acknowledged_bytes: int | None = None

    def as_dict(self) -> dict[str, object]:
        """Return plain values, as JSON and action responses carry them."""
        return {
            "route": self.route,
            "command": self.command,
            "outcome": self.outcome.value,
            "http_status": self.http_status,
            "duration_s": round(self.duration_s, 3),
            "acknowledged_bytes": self.acknowledged_bytes,
            "error": self.error.as_dict() if self.error else None,
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class UploadResult:
    """The outcome of one upload.

    `request_bytes`: the whole HTTP request, head and body; `body_bytes`: its body; `sent_bytes` and `received_bytes`:
    what crossed the modem's socket (with TLS), of all attempts and of asking for the picture. `ambiguous`: not
    delivered as far as anyone knows, but the server may have the whole request. `padding_bytes`: all bytes of the
    request that a workaround added. `plan`, `quirks`: as planned, and why. `tls_where`: none, host or modem, of the
    last attempt. `may_be_stored_twice`: an attempt before the one that delivered may have arrived, too. `note`: what
    is to be known of a delivery.
    """

    state: UploadState
    upload_id: str
    http_status: int | None
    response: str
    route: str | None
    attempts: tuple[Attempt, ...]
    request_bytes: int
    body_bytes: int
    sent_bytes: int
    received_bytes: int
    duration_s: float
    ambiguous: bool
    error: ModemError | None
    padding_bytes: int = 0
    plan: tuple[dict[str, object], ...] = ()
    quirks: tuple[dict[str, object], ...] = field(default=(), repr=False)
    tls_where: str = "none"
    is_tls_verified: bool = False
    may_be_stored_twice: bool = False
    note: str = ""

    @property
    def ok(self) -> bool:
        """Return True when the server took the picture."""
        return self.state is UploadState.DELIVERED

    @property
    def average_bytes_per_s(self) -> float:
        """Return sent bytes of the request per second over the whole upload, connecting included."""
        return min(self.request_bytes, self.sent_bytes) / self.duration_s if self.duration_s > 0 else 0.0

    def as_dict(self) -> dict[str, object]:
        """Return plain values, as JSON and action responses carry them."""
        return {
            "ok": self.ok,
            "state": self.state.value,
            "http_status": self.http_status,
            "route": self.route,
            "attempts": [attempt.as_dict() for attempt in self.attempts],
            "request_bytes": self.request_bytes,
            "body_bytes": self.body_bytes,
            "sent_bytes": self.sent_bytes,
            "received_bytes": self.received_bytes,
            "duration_s": round(self.duration_s, 3),
            "average_bytes_per_s": round(self.average_bytes_per_s, 1),
            "upload_id": self.upload_id,
            "ambiguous": self.ambiguous,
            "error": self.error.as_dict() if self.error else None,
            "response": self.response,
            "padding_bytes": self.padding_bytes,
            "plan": list(self.plan),
            "quirks": list(self.quirks),
            "tls": {"where": self.tls_where, "verified": self.is_tls_verified},
            "may_be_stored_twice": self.may_be_stored_twice,
            "note": self.note,
        }
