"""Commands as the channel takes them, and what they give back."""

from collections.abc import Callable
from dataclasses import dataclass, field
from enum import Enum, IntEnum
import re

from .codec import RawRule
from .encoding import CommandLine


class Priority(IntEnum):
    """Order on the port when several exchanges wait; equal ones go in the order they came."""

    URGENT = 0
    """Giving sockets back, start-up."""
    STATUS = 1
    """Short questions: signal, registration, received data."""
    BULK = 2
    """Chunks of uploads."""


class Prompt(Enum):
    """What a modem says when it wants a command's payload."""

    NONE = "none"
    ANGLE = ">"
    CONNECT = "CONNECT"


@dataclass(frozen=True, slots=True, kw_only=True)
class Command:
    """One exchange: a line, an optional prompt and payload, and a final result.

    `info` matches (from the start) the lines that belong to the answer; all others are URCs. `timeout_s` is counted
    from the last byte sent; the line time of what is sent comes on top. `success` are the final results that mean done.
    `is_private` keeps the answer out of transcripts. `raw` says where output without a length ends, which follows a
    line CONNECT; while it comes in, `timeout_s` counts from its last byte. `on_start` and `on_prompt` are called, in
    the event loop, just before the line and the payload leave.
    """

    line: CommandLine
    info: re.Pattern[bytes] | None = None
    timeout_s: float = 5.0
    priority: Priority = Priority.STATUS
    prompt: Prompt = Prompt.NONE
    payload: bytes = field(default=b"", repr=False)
    success: frozenset[bytes] = frozenset({b"OK"})
    is_private: bool = False
    raw: RawRule | None = None
    on_start: Callable[[], None] | None = None
    on_prompt: Callable[[], None] | None = None

    def __post_init__(self) -> None:
        if (self.prompt is Prompt.NONE) != (not self.payload):
            raise ValueError("a payload needs a prompt, and a prompt a payload")


@dataclass(frozen=True, slots=True, kw_only=True)
class Response:
    """A command's answer: its information lines as text, its counted binary data, its final result."""

    lines: tuple[str, ...] = ()
    data: bytes = b""
    final: str = "OK"
