"""Counts what one request costs, and knows how far it has come.

The meter of a request lives in a context variable: connections outlive requests, and httpcore does all input and
output of a request in that request's own task, so the stream finds the meter of whoever is using it right now.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from enum import StrEnum


class Phase(StrEnum):
    """What a request is doing; the values complete the sentence "it was ..."."""

    ONLINE = "waiting for the modem to be online"
    QUEUED = "waiting for a free modem socket"
    PREPARING = "setting up the modem's HTTP client"
    CONNECTING = "connecting"
    TLS = "agreeing on TLS"
    SENDING = "sending"
    WAITING = "waiting for the answer"
    READING = "reading the answer"


_PHASES = {
    "connection.connect_tcp.started": Phase.CONNECTING,
    "connection.start_tls.started": Phase.TLS,
    "http11.send_request_headers.started": Phase.SENDING,
    "http11.receive_response_headers.started": Phase.WAITING,
    "http11.receive_response_headers.complete": Phase.READING,
}


@dataclass(slots=True)
class Meter:
    """One request's bytes.

    `total_bytes` is the length of the HTTP request, head and body. `sent_bytes` and `received_bytes` are what crossed
    the modem's socket, TLS included. `is_last_byte_out` turns true when the chunk that ends the request is handed to
    the modem, whether or not the modem takes it: from there on the server may have all of it. `padding_bytes` of the
    total were added by a workaround. `acknowledged_bytes` of what was sent had been acknowledged by the server's system
    when the answer came; None where the modem does not count.

    Where the modem is the HTTP client, nothing is known of what crosses its socket: the request counts as sent once the
    modem was told to send it, progress is what the modem has been given.
    """

    total_bytes: int = 0
    on_progress: Callable[[int, int], None] | None = None
    phase: Phase = Phase.ONLINE
    sent_bytes: int = 0
    received_bytes: int = 0
    is_last_byte_out: bool = False
    padding_bytes: int = 0
    acknowledged_bytes: int | None = None
    _loaded_bytes: int = 0
    _was_out_before: bool = False
    _is_body_taken: bool = False
    _before_request_bytes: int = 0
    _reported_bytes: int = -1

    @property
    def request_sent_bytes(self) -> int:
        """Bytes of the request the modem has taken; over TLS an estimate, at most `total_bytes`."""
        return max(0, min(self.total_bytes, max(self._loaded_bytes, self.sent_bytes - self._before_request_bytes)))

    async def on_event(self, name: str, info: dict[str, object]) -> None:
        """Follow httpcore's `trace` extension."""
        del info
        phase = _PHASES.get(name)
        if phase is None:
            return
        self.phase = phase
        if phase is Phase.SENDING:
            self._before_request_bytes = self.sent_bytes
            self._report(0)
        elif phase is Phase.READING and self.is_last_byte_out:
            self._report(self.total_bytes)

    def body_taken(self) -> None:
        """The HTTP layer holds the last piece of the body."""
        self._is_body_taken = True

    def chunk_leaving(self, *, is_last: bool) -> None:
        """A chunk is about to be handed to the modem; `is_last` when nothing is buffered behind it."""
        if is_last and self._is_body_taken and self.phase in (Phase.SENDING, Phase.WAITING):
            self.is_last_byte_out = True

    def chunk_sent(self, count: int) -> None:
        """The modem took `count` bytes."""
        self.sent_bytes += count
        if self.phase in (Phase.SENDING, Phase.WAITING):
            self._report(self.request_sent_bytes)

    def received(self, count: int) -> None:
        """The modem gave `count` bytes."""
        self.received_bytes += count

    def unacknowledged(self, count: int) -> None:
        """Of all the modem took, `count` bytes are still on their way."""
        self.acknowledged_bytes = max(0, self.sent_bytes - count)

    # -- where the modem is the HTTP client ---------------------------------------------------------------------------

    def begin(self, total_bytes: int, padding_bytes: int = 0) -> None:
        """Another try starts, with a request of this length."""
        self.total_bytes, self.padding_bytes, self._loaded_bytes = total_bytes, padding_bytes, 0
        self._before_request_bytes = self.sent_bytes
        self._was_out_before = self.is_last_byte_out

    def loaded(self, count: int) -> None:
        """The modem has `count` more bytes of the request; it need not have sent any."""
        self.phase = Phase.SENDING if self.phase is Phase.PREPARING else self.phase
        self._loaded_bytes += count
        self._report(self.request_sent_bytes)

    def told_to_send(self) -> None:
        """The modem gets the last it needs to send all of the request."""
        self.phase = Phase.WAITING
        self.is_last_byte_out = True
        self.sent_bytes += self.total_bytes

    def not_sent(self) -> None:
        """Undo `told_to_send`, if it was: the modem says that it never had a connection."""
        if self.is_last_byte_out and not self._was_out_before:
            self.is_last_byte_out = False
        self.sent_bytes = self._before_request_bytes

    def answered(self) -> None:
        """The server has answered."""
        self.phase = Phase.READING
        self._report(self.total_bytes)

    def _report(self, sent_bytes: int) -> None:
        if self.on_progress is not None and sent_bytes > self._reported_bytes:
            self._reported_bytes = sent_bytes
            self.on_progress(sent_bytes, self.total_bytes)


_current: ContextVar[Meter | None] = ContextVar("cellular_uplink_meter", default=None)


def current_meter() -> Meter:
    """Return the meter of the request this task carries out; outside of one a meter nobody reads."""
    return _current.get() or Meter()


@contextmanager
def metered(meter: Meter) -> Iterator[Meter]:
    """Make `meter` the one that requests of this task report to."""
    token = _current.set(meter)
    try:
        yield meter
    finally:
        _current.reset(token)
