"""The closed set of effects, continued: what a driver does about a modem's way of speaking."""

from dataclasses import dataclass
from typing import ClassVar, Literal, override

from .effect_base import Effect


@dataclass(frozen=True, slots=True, kw_only=True)
class UrcWithoutLineEnd(Effect):
    """A URC that comes without its line end."""

    name: ClassVar[str] = "urc_without_line_end"
    urc: str

    @override
    def strikes(self, *, line: str) -> bool:
        return line.startswith(self.urc)

    @override
    def sentence(self) -> str:
        return f"{self.urc} is recognised without its line end"


@dataclass(frozen=True, slots=True, kw_only=True)
class UrcForms(Effect):
    """A URC that comes in more than one form, or in pieces: it is read by its counts."""

    name: ClassVar[str] = "urc_forms"
    urc: str

    @override
    def strikes(self, *, line: str) -> bool:
        return line.startswith(self.urc)

    @override
    def sentence(self) -> str:
        return f"{self.urc} is read in all its forms, by the lengths it gives"


@dataclass(frozen=True, slots=True, kw_only=True)
class IgnoreReading(Effect):
    """A reading that says nothing: another command is asked."""

    name: ClassVar[str] = "ignore_reading"
    command: str
    instead: str

    @override
    def strikes(self, *, command: str) -> bool:
        return command == self.command

    @override
    def remedy(self, *, command: str) -> str:
        return self.instead if self.strikes(command=command) else command

    @override
    def sentence(self) -> str:
        return f"AT{self.instead} is what counts"


@dataclass(frozen=True, slots=True, kw_only=True)
class NegatePositive(Effect):
    """A level in dBm that comes without its sign."""

    name: ClassVar[str] = "negate_positive"
    command: str
    field: str

    @override
    def strikes(self, *, value: int) -> bool:
        return value > 0

    @override
    def remedy(self, *, value: int) -> int:
        return -value if self.strikes(value=value) else value

    @override
    def sentence(self) -> str:
        return f"a positive {self.field} from AT{self.command} is read as negative"


@dataclass(frozen=True, slots=True, kw_only=True)
class AvoidSetting(Effect):
    """A setting that is missing or does harm: it is not set."""

    name: ClassVar[str] = "avoid_setting"
    command: str
    key: str

    @override
    def strikes(self, *, key: str) -> bool:
        return key == self.key

    @override
    def sentence(self) -> str:
        return f'AT{self.command}="{self.key}" is never set'


@dataclass(frozen=True, slots=True, kw_only=True)
class SetAndReadBack(Effect):
    """Settings whose defaults are unsafe: set and read back every time."""

    name: ClassVar[str] = "set_and_read_back"
    command: str
    keys: tuple[str, ...]

    @override
    def strikes(self, *, key: str) -> bool:
        return key in self.keys

    @override
    def sentence(self) -> str:
        verb = "is" if len(self.keys) == 1 else "are"
        return f"{', '.join(self.keys)} of AT{self.command} {verb} set and read back every time"


@dataclass(frozen=True, slots=True, kw_only=True)
class SetSetting(Effect):
    """Settings that get lost, or are wrong by default: set by the host, `when` it is."""

    name: ClassVar[str] = "set_setting"
    command: str
    keys: tuple[str, ...]
    when: Literal["before every request", "at every start of the modem", "with the first connection, if it is wrong"]

    @override
    def strikes(self, *, key: str) -> bool:
        return key in self.keys

    @override
    def sentence(self) -> str:
        verb = "is" if len(self.keys) == 1 else "are"
        return f"{', '.join(self.keys)} of AT{self.command} {verb} set {self.when}"


@dataclass(frozen=True, slots=True, kw_only=True)
class BoundUnread(Effect):
    """What comes unasked is kept up to a limit; a server that sends more is cut off."""

    name: ClassVar[str] = "bound_unread"
    max_bytes: int

    @override
    def check(self) -> str | None:
        return None if self.max_bytes > 0 else "max_bytes must be positive"

    @override
    def strikes(self, *, unread_bytes: int) -> bool:
        return unread_bytes > self.max_bytes

    @override
    def sentence(self) -> str:
        return f"a server that sends {self.max_bytes} bytes before they can be read is cut off"


@dataclass(frozen=True, slots=True, kw_only=True)
class ConfirmDelivery(Effect):
    """What the modem took is not yet what the server has: its own count of acknowledged bytes is asked."""

    name: ClassVar[str] = "confirm_delivery"
    by: str

    @override
    def strikes(self, *, sent: int, acked: int) -> bool:
        return acked < sent

    @override
    def remedy(self, *, sent: int, acked: int) -> int:
        return sent - acked

    @override
    def sentence(self) -> str:
        return f"an answer of the server is the proof; AT{self.by} tells how much it had acknowledged by then"


@dataclass(frozen=True, slots=True, kw_only=True)
class VerifyContent(Effect):
    """Stored data may differ from what was sent though its length is right: compare, from this byte on."""

    name: ClassVar[str] = "verify_content"
    command: str
    from_byte: int

    @override
    def strikes(self, *, size: int) -> bool:
        return size >= self.from_byte

    @override
    def sentence(self) -> str:
        return f"what AT{self.command} gives is compared by content, not by length"


@dataclass(frozen=True, slots=True, kw_only=True)
class ReadBeforeSend(Effect):
    """Data that came is lost when more is sent: it is taken in before, and is the answer."""

    name: ClassVar[str] = "read_before_send"

    @override
    def strikes(self, *, pending_bytes: int) -> bool:
        return pending_bytes > 0

    @override
    def sentence(self) -> str:
        return "what the server says is taken in as it comes; where the modem then refuses data, it is the answer"


@dataclass(frozen=True, slots=True, kw_only=True)
class PayOwedBytes(Effect):
    """Data that stops short of what was announced is sent on as it is: an abandoned request must never be finished."""

    name: ClassVar[str] = "pay_owed_bytes"
    command: str

    @override
    def strikes(self, *, declared: int, given: int) -> bool:
        return given < declared

    @override
    def remedy(self, *, declared: int, given: int) -> int:
        return max(0, declared - given)

    @override
    def sentence(self) -> str:
        return f"what AT{self.command} announced is always given in full; a request given up is deleted"


@dataclass(frozen=True, slots=True, kw_only=True)
class NeverEmpty(Effect):
    """An empty block is refused: the last one carries data."""

    name: ClassVar[str] = "never_empty"
    command: str

    @override
    def strikes(self, *, size: int) -> bool:
        return size == 0

    @override
    def sentence(self) -> str:
        return f"the last AT{self.command} of a body carries its last bytes, so that none is empty"


@dataclass(frozen=True, slots=True, kw_only=True)
class NoRedirect(Effect):
    """The modem follows redirects in a way that is not wanted: a URL that redirects is not given to it."""

    name: ClassVar[str] = "no_redirect"
    statuses: tuple[int, ...] = (301, 302, 303, 307, 308)

    @override
    def strikes(self, *, status: int) -> bool:
        return status in self.statuses

    @override
    def sentence(self) -> str:
        return "none; the modem follows by itself, so give the URL a redirect leads to, or use the socket route"
