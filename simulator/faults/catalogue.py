"""Which faults there are, and what each one can be told."""

from collections.abc import Mapping
from dataclasses import dataclass, field
import json
import math

type Value = str | int | float
type Kind = type[int | float | str] | tuple[str, ...]


class FaultError(ValueError):
    """A fault, or a parameter of one, that does not exist."""


@dataclass(frozen=True, slots=True)
class Parameter:
    """One thing a fault can be told."""

    kind: Kind
    default: Value
    meaning: str

    def read(self, name: str, given: object) -> Value:
        """The value given, checked."""
        if isinstance(self.kind, tuple):
            if isinstance(given, str) and given in self.kind:
                return given
            raise FaultError(f"{name} takes {'|'.join(self.kind)}, not {given!r}")
        if self.kind is str:
            if isinstance(given, str) and len(given) <= 4096:
                return given
            raise FaultError(f"{name} takes text, not {given!r}")
        if isinstance(given, bool) or not isinstance(given, (str, int, float)):
            raise FaultError(f"{name} takes a number, not {given!r}")
        try:
            value = self.kind(given)
        except ValueError, OverflowError:
            raise FaultError(f"{name} takes a number, not {given!r}") from None
        if isinstance(value, str) or not (math.isfinite(value) and -1 <= value <= 1e12):
            raise FaultError(f"{name} is out of range: {given!r}")
        return value


@dataclass(frozen=True, slots=True)
class Fault:
    """One fault; `main` is the parameter that a bare value means."""

    name: str
    meaning: str
    main: str
    parameters: Mapping[str, Parameter] = field(default_factory=dict)

    def read(self, given: Mapping[str, object]) -> dict[str, Value]:
        """All parameters, checked, with defaults."""
        unknown = given.keys() - self.parameters.keys()
        if unknown:
            raise FaultError(f"fault {self.name} has no {', '.join(sorted(unknown))}")
        return {
            name: parameter.read(f"{self.name}.{name}", given[name]) if name in given else parameter.default
            for name, parameter in self.parameters.items()
        }


_BYTES = {
    "direction": Parameter(("out", "in", "both"), "out", "out: modem to host; in: host to modem"),
    "at": Parameter(int, 0, "the nth byte from now"),
    "every": Parameter(int, 0, "every nth byte"),
    "rate": Parameter(float, 0.0, "share of all bytes, by a seeded random source"),
    "seed": Parameter(int, 1, "seed of the random source"),
    "times": Parameter(int, 0, "how often at most (0: no limit)"),
}
_TRIGGERS = {
    "after_in": Parameter(int, 0, "once this many bytes have come from the host"),
    "after_out": Parameter(int, 0, "once this many bytes have gone to the host"),
    "after_s": Parameter(float, 0.0, "after this many seconds"),
}
_BACK = {"seconds": Parameter(float, 0.0, "until it is over (0: until cleared)")}

_ALL = (
    Fault("drop", "bytes are lost on the line", "at", _BYTES),
    Fault("duplicate", "bytes come twice", "at", _BYTES),
    Fault("corrupt", "one bit of a byte is flipped", "at", _BYTES),
    Fault(
        "delay",
        "the line stands still before a byte",
        "at",
        _BYTES | {"seconds": Parameter(float, 0.1, "for how long")},
    ),
    Fault(
        "split",
        "every byte to the host is a write of its own",
        "ms",
        {"ms": Parameter(float, 0.2, "pause between two bytes")},
    ),
    Fault(
        "inject",
        "an unsolicited line at an awkward place",
        "text",
        {
            "text": Parameter(str, "", "the line, without CR LF"),
            "where": Parameter(
                ("now", "after_command", "before_result", "after_result", "after_prompt"),
                "before_result",
                "between command and reply, information and OK, two replies, prompt and payload",
            ),
            "crlf": Parameter(("both", "before", "after", "none"), "both", "line ends; none: glued to what is there"),
            "times": Parameter(int, 1, "how often"),
        },
    ),
    Fault(
        "send_fail",
        "the modem's send buffer is full: SEND FAIL, or CME 560",
        "times",
        {"times": Parameter(int, 1, "how often")},
    ),
    Fault(
        "close_after",
        "a connection ends in the middle",
        "bytes",
        {
            "bytes": Parameter(int, 0, "bytes of that connection before it ends"),
            "direction": Parameter(("out", "in"), "out", "out: sent to the server; in: received from it"),
            "how": Parameter(("close", "reset"), "close", "FIN or RST"),
            "times": Parameter(int, 1, "how many connections"),
        },
    ),
    Fault(
        "response_lost",
        "the server gets the request, its answer is lost",
        "how",
        {
            "how": Parameter(("close", "reset", "silence"), "reset", "what the modem sees instead"),
            "times": Parameter(int, 1, "how many connections"),
        },
    ),
    Fault(
        "context_lost",
        "packet data goes down",
        "after_in",
        {"cid": Parameter(int, 1, "which context")} | _TRIGGERS,
    ),
    Fault(
        "context_dead",
        "packet data looks up and nothing passes (bg96.md 9.2, EG8b)",
        "after_in",
        {"cure": Parameter(("reactivate", "never"), "reactivate", "what ends it, besides a reboot")} | _TRIGGERS,
    ),
    Fault(
        "registration_lost",
        "the network is gone",
        "seconds",
        {"as": Parameter(("searching", "denied", "idle", "unknown"), "searching", "status meanwhile")}
        | _BACK
        | _TRIGGERS,
    ),
    Fault("sim_removed", "the SIM card is taken out", "seconds", _BACK | _TRIGGERS),
    Fault("reboot", "the modem restarts without a word", "after_in", _TRIGGERS),
    Fault(
        "freeze",
        "the modem takes nothing and says nothing",
        "seconds",
        {"input": Parameter(("lost", "kept"), "lost", "what the host sends meanwhile")} | _BACK | _TRIGGERS,
    ),
    Fault("unplug", "the port goes away; --link shows the new one", "seconds", _BACK | _TRIGGERS),
    Fault(
        "id_stuck",
        "a socket id stays taken: 563 on the BG96, CME 552 on the ML307R",
        "id",
        {"id": Parameter(int, -1, "which one (-1: every id that is used once)")},
    ),
    Fault(
        "stack_degraded",
        "after some TLS opens every open fails with 552 until a reboot (bg96.md 1.4, EG8a)",
        "opens",
        {"opens": Parameter(int, 20, "TLS opens that still work")},
    ),
)
CATALOGUE: dict[str, Fault] = {fault.name: fault for fault in _ALL}


def read(name: object, given: Mapping[str, object]) -> tuple[str, dict[str, Value]]:
    """A fault by its name, with all its parameters."""
    fault = CATALOGUE.get(name) if isinstance(name, str) else None
    if fault is None:
        raise FaultError(f"no fault {name!r}; there are {', '.join(CATALOGUE)}")
    values = fault.read(given)
    if fault.name == "inject" and not values["text"]:
        raise FaultError("inject needs a text")
    return fault.name, values


def parse(text: str) -> tuple[str, dict[str, Value]]:
    """`NAME`, `NAME=VALUE`, `NAME=key:value,key:value` or `NAME={"key": value}`."""
    name, _, value = text.partition("=")
    fault = CATALOGUE.get(name)
    if fault is None or not value:
        return read(name, {})
    if value.startswith("{"):
        try:
            given = json.loads(value)
        except ValueError:
            raise FaultError(f"{value!r} is not a JSON object") from None
        return read(name, given)
    pairs = [item.partition(":") for item in value.split(",")]
    if all(colon and key in fault.parameters for key, colon, _ in pairs):
        return read(name, {key: item for key, _, item in pairs})
    return read(name, {fault.main: value})


def describe() -> list[str]:
    """One line for each fault."""
    width = max(map(len, CATALOGUE))
    return [f"{f.name:<{width}}  {f.meaning} ({', '.join(f.parameters)})" for f in _ALL]
