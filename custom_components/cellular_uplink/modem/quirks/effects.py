"""The closed set of things a quirk can make us do: quirk files choose among them and give parameters.

Here are those of requests, routes and TLS; what a driver does about a modem's way of speaking is in effects_dialect.
"""

from dataclasses import dataclass
import re
from typing import ClassVar, Literal, override

from . import effects_dialect
from .effect_base import EFFECTS, Effect, EffectError, build_effect, run_vector

__all__ = ["EFFECTS", "Effect", "EffectError", "build_effect", "effects_dialect", "least_padding", "run_vector"]


@dataclass(frozen=True, slots=True, kw_only=True)
class PadTotalLength(Effect):
    """A request is lengthened until the bits of `mask` are clear in its total length."""

    name: ClassVar[str] = "pad_total_length"
    is_for_routes: ClassVar[bool] = True
    mask: int
    header: str = "X-PADDING"

    @override
    def check(self) -> str | None:
        if self.mask <= 0 or self.mask & (self.mask - 1):
            return "mask must be one bit"
        if not re.fullmatch(r"[A-Za-z0-9-]+", self.header):
            return "header must be a header name"
        return "mask must be larger than the header" if self.mask < empty_header_bytes(self.header) else None

    @override
    def strikes(self, *, total: int) -> bool:
        return bool(total & self.mask)

    @override
    def remedy(self, *, total: int) -> int:
        return least_padding(total, self.mask, empty_header_bytes(self.header))

    @override
    def sentence(self) -> str:
        return (
            f"a header {self.header} lengthens the request where needed, so that bit "
            f"{self.mask.bit_length() - 1} of its length is clear"
        )


def empty_header_bytes(name: str) -> int:
    """Return what a header without a value takes: name, colon, blank, line end."""
    return len(name) + len(": \r\n")


def least_padding(total: int, mask: int, minimum: int = 1) -> int:
    """Return the fewest bytes, none or at least `minimum`, that clear the one bit `mask` of `total`."""
    if not total & mask:
        return 0
    # From the next multiple of the mask on, the bit is clear for `mask` bytes.
    return max(mask - total % mask, minimum)


@dataclass(frozen=True, slots=True, kw_only=True)
class AvoidCommand(Effect):
    """An AT command is not used where another one does."""

    name: ClassVar[str] = "avoid_command"
    command: str
    instead: str = ""

    @override
    def strikes(self, *, command: str) -> bool:
        return command == self.command

    @override
    def remedy(self, *, command: str) -> str | None:
        return self.instead or None if self.strikes(command=command) else None

    @override
    def sentence(self) -> str:
        return f"AT{self.command} is avoided" + (f": {self.instead}" if self.instead else "")


@dataclass(frozen=True, slots=True, kw_only=True)
class AvoidRoute(Effect):
    """A way out is taken last, or not at all where the fault is confirmed."""

    name: ClassVar[str] = "avoid_route"
    is_for_routes: ClassVar[bool] = True
    route: Literal["socket", "modem-http"]

    @override
    def strikes(self, *, route: str) -> bool:
        return route == self.route

    @override
    def sentence(self) -> str:
        return f"other ways are tried before {self.route}"


@dataclass(frozen=True, slots=True, kw_only=True)
class LimitChunk(Effect):
    """One command carries no more than so many bytes."""

    name: ClassVar[str] = "limit_chunk"
    command: str
    max_bytes: int
    direction: Literal["send", "receive"] = "send"

    @override
    def check(self) -> str | None:
        return None if self.max_bytes > 0 else "max_bytes must be positive"

    @override
    def strikes(self, *, size: int) -> bool:
        return size > self.max_bytes

    @override
    def remedy(self, *, size: int) -> int:
        return -(-size // self.max_bytes)

    @override
    def sentence(self) -> str:
        if self.direction == "receive":
            return f"{self.command} is made to bring at most {self.max_bytes} bytes at a time"
        return f"AT{self.command} is given at most {self.max_bytes} bytes at a time"


@dataclass(frozen=True, slots=True, kw_only=True)
class UsePrompt(Effect):
    """Data goes behind the prompt, not into the command line, when it is long or holds certain characters."""

    name: ClassVar[str] = "use_prompt"
    command: str
    above_bytes: int = 0
    characters: str = ""

    @override
    def strikes(self, *, size: int, text: str = "") -> bool:
        if any(char in text for char in self.characters):
            return True
        return size > self.above_bytes if self.above_bytes or not self.characters else False

    @override
    def remedy(self, *, size: int, text: str = "") -> str:
        return "prompt" if self.strikes(size=size, text=text) else "inline"

    @override
    def sentence(self) -> str:
        return f"data of AT{self.command} goes behind its prompt, never into the command line"


@dataclass(frozen=True, slots=True, kw_only=True)
class NeedFlowControl(Effect):
    """Above a size bytes get lost unless the line is braked: RTS/CTS, or an answer back every so many bytes."""

    name: ClassVar[str] = "need_flow_control"
    modes: tuple[Literal["rts_cts", "ack"], ...]
    above_bytes: int

    @override
    def check(self) -> str | None:
        return None if self.modes else "modes must name one at least"

    @override
    def strikes(self, *, size: int, mode: str) -> bool:
        return size > self.above_bytes and mode not in self.modes

    @override
    def remedy(self, *, size: int, mode: str) -> str:
        return self.modes[0] if self.strikes(size=size, mode=mode) else mode

    @override
    def sentence(self) -> str:
        return (
            f"sizes are compared; a file that came out short is written again {self.above_bytes} bytes at a time, each "
            "time acknowledged by the modem"
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class SettleDelay(Effect):
    """After something the modem is left alone for a moment (a prompt's delay is one: after = ">")."""

    name: ClassVar[str] = "settle_delay"
    after: str
    delay_ms: int

    @override
    def check(self) -> str | None:
        return None if self.delay_ms > 0 else "delay_ms must be positive"

    @override
    def strikes(self, *, gap_ms: int) -> bool:
        return gap_ms < self.delay_ms

    @override
    def remedy(self, *, gap_ms: int) -> int:
        return max(0, self.delay_ms - gap_ms)

    @override
    def sentence(self) -> str:
        return f"after {self.after} the modem is left alone for {self.delay_ms} ms"


@dataclass(frozen=True, slots=True, kw_only=True)
class WaitFor(Effect):
    """Nothing is begun before the modem is so far; `what` completes "until it ..."."""

    name: ClassVar[str] = "wait_for"
    what: str
    timeout_ms: int

    @override
    def strikes(self, *, has_it: bool, waited_ms: int = 0) -> bool:
        return not has_it and waited_ms < self.timeout_ms

    @override
    def sentence(self) -> str:
        return f"the modem is asked until it {self.what}, for up to {self.timeout_ms / 1000:g} s"


@dataclass(frozen=True, slots=True, kw_only=True)
class NeedSni(Effect):
    """The modem must be told to name the host in its TLS hello."""

    name: ClassVar[str] = "need_sni"
    command: str

    @override
    def strikes(self, *, sni: bool) -> bool:
        return not sni

    @override
    def sentence(self) -> str:
        return f"AT{self.command} is told to name the host (SNI), where the firmware has that"


@dataclass(frozen=True, slots=True, kw_only=True)
class NoEcdsa(Effect):
    """The modem's TLS cannot talk to a server that has an ECDSA certificate only."""

    name: ClassVar[str] = "no_ecdsa"

    @override
    def strikes(self, *, certificate: str) -> bool:
        return certificate == "ecdsa"

    @override
    def sentence(self) -> str:
        return "none in the modem; such a server needs TLS by this host"


@dataclass(frozen=True, slots=True, kw_only=True)
class LimitTls(Effect):
    """The modem's TLS knows no later version."""

    name: ClassVar[str] = "limit_tls"
    max_version: Literal["1.0", "1.1", "1.2"]

    @override
    def strikes(self, *, version: str) -> bool:
        return version > self.max_version

    @override
    def sentence(self) -> str:
        return f"none in the modem; a server that wants more than TLS {self.max_version} needs TLS by this host"


@dataclass(frozen=True, slots=True, kw_only=True)
class QuarantineId(Effect):
    """A socket's id is not used again for a while after its connection failed."""

    name: ClassVar[str] = "quarantine_id"
    for_s: int

    @override
    def strikes(self, *, age_s: int) -> bool:
        return age_s < self.for_s

    @override
    def sentence(self) -> str:
        return f"the id of a failed connection is left unused for {self.for_s} s, while others are free"


@dataclass(frozen=True, slots=True, kw_only=True)
class CloseStale(Effect):
    """What a former host left open is closed at the start."""

    name: ClassVar[str] = "close_stale"
    command: str
    count: int

    @override
    def strikes(self, *, socket_id: int) -> bool:
        return 0 <= socket_id < self.count

    @override
    def sentence(self) -> str:
        return f"before the modem first does TLS, AT{self.command} closes what is open"


@dataclass(frozen=True, slots=True, kw_only=True)
class RestartContext(Effect):
    """After so many connections something has to be restarted; `what` is the least that helps."""

    name: ClassVar[str] = "restart_context"
    after_opens: int
    what: Literal["context", "modem", "power"] = "context"

    @override
    def check(self) -> str | None:
        return None if self.after_opens > 0 else "after_opens must be positive"

    @override
    def strikes(self, *, opens: int) -> bool:
        return opens >= self.after_opens

    @override
    def remedy(self, *, opens: int) -> str | None:
        return self.what if self.strikes(opens=opens) else None

    @override
    def sentence(self) -> str:
        if self.what == "power":
            return _RESTARTED[self.what]
        return f"{_RESTARTED[self.what]} once {self.after_opens} tries were made, unless another upload is under way"


@dataclass(frozen=True, slots=True, kw_only=True)
class ResetOnError(Effect):
    """An error that only a restart cures; `what` is the least that helps."""

    name: ClassVar[str] = "reset_on_error"
    codes: tuple[str, ...]
    what: Literal["context", "modem", "power"]

    @override
    def strikes(self, *, code: str) -> bool:
        return code in self.codes

    @override
    def remedy(self, *, code: str) -> str | None:
        return self.what if self.strikes(code=code) else None

    @override
    def sentence(self) -> str:
        if self.what == "power":
            return _RESTARTED[self.what]
        return f"{_RESTARTED[self.what]} when the modem says {' or '.join(self.codes)}"


_RESTARTED = {
    "context": "packet data is taken down and up again",
    "modem": "the modem is restarted",
    "power": "none from here; the modem's power has to be switched by hand",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class TolerateError(Effect):
    """An error that is none: what was asked for is so already."""

    name: ClassVar[str] = "tolerate_error"
    command: str
    codes: tuple[str, ...]
    means: str

    @override
    def strikes(self, *, code: str) -> bool:
        return code in self.codes

    @override
    def sentence(self) -> str:
        return f"{' or '.join(self.codes)} from AT{self.command} is taken as: {self.means}"


@dataclass(frozen=True, slots=True, kw_only=True)
class LateLastPacket(Effect):
    """The last packet of a body leaves after the server's answer: padding first; where that fails, off this route."""

    name: ClassVar[str] = "late_last_packet"
    is_for_routes: ClassVar[bool] = True
    packet_bytes: int
    then: Literal["avoid_route"] = "avoid_route"

    @override
    def strikes(self, *, total: int, failures: int = 0) -> bool:
        del failures
        return total > self.packet_bytes

    @override
    def remedy(self, *, total: int, failures: int = 0) -> str | None:
        if not self.strikes(total=total):
            return None
        return self.then if failures else "pad"

    @override
    def sentence(self) -> str:
        return "a length that needs padding gets it; where that fails, the modem's HTTP client is not used any more"


@dataclass(frozen=True, slots=True, kw_only=True)
class NeverEndWith(Effect):
    """A piece of data must not end with a sequence the modem takes as an order."""

    name: ClassVar[str] = "never_end_with"
    sequence: str = "+++"

    @override
    def check(self) -> str | None:
        return None if self.sequence else "sequence must not be empty"

    @override
    def strikes(self, *, text: str) -> bool:
        return text.endswith(self.sequence)

    @override
    def remedy(self, *, text: str) -> int:
        """Return how many bytes to send now; the rest opens the next piece. 0: this data cannot be cut."""
        size = len(text)
        while size and text[:size].endswith(self.sequence):
            size -= 1
        # What is held back must not end with the sequence either, or be it alone.
        return size if size == len(text) or not text[size:].endswith(self.sequence) else 0

    @override
    def sentence(self) -> str:
        return (
            f"data goes without a pause, and no piece of it but the last ends with {self.sequence}, or is nothing else"
        )
