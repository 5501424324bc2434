"""The faults of one modem: which are on, and what sets them off."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from simulator.clock import Timers
from simulator.faults.bytes import KINDS, Entrance, Spoiler
from simulator.faults.catalogue import Value
from simulator.faults.sockets import SocketFaults
from simulator.trace import Trace

if TYPE_CHECKING:
    from simulator.modem import Modem

_SOCKETS = ("send_fail", "close_after", "response_lost", "id_stuck", "stack_degraded")


@dataclass(slots=True)
class Injection:
    """A line that waits for its place."""

    framed: bytes
    where: str
    times: int


class Faults:
    """Begins and ends faults; the parts of the modem ask it, or are told by it."""

    def __init__(self, modem: Modem, timers: Timers, trace: Trace) -> None:
        self._modem = modem
        self._trace = trace
        self.sockets = SocketFaults()
        self.outgoing = Spoiler()
        self._entrance = Entrance(timers, modem.receive)
        self.active: dict[str, dict[str, Value]] = {}
        self._injections: list[Injection] = []
        self._after_in: dict[str, int] = {}
        self._round: dict[str, int] = {}
        self._frozen = False
        self._kept: list[tuple[bytes, float, float]] = []
        self.bytes_in = 0

    # Told

    def set(self, name: str, given: Mapping[str, Value]) -> None:
        """Begin a fault, or the wait for what sets it off; a second one of the name replaces the first."""
        self.clear(name)
        self.active[name] = dict(given)
        self._trace.remark(f"fault {name}")
        if name in KINDS:
            if given["direction"] != "in":
                self.outgoing.set(name, given)
            if given["direction"] != "out":
                self._entrance.spoiler.set(name, given)
        elif name == "split":
            self._modem.line.split_s = max(1e-6, float(given["ms"]) / 1000)
        elif name == "inject":
            self._inject(given)
        elif name in _SOCKETS:
            self.sockets.set(name, given)
        else:
            self._arm(name, given)

    def clear(self, name: str) -> None:
        """End a fault and mend what it broke."""
        if self.active.pop(name, None) is None:
            return
        self._trace.remark(f"fault {name} is over")
        self._round[name] = self._round.get(name, 0) + 1
        self._after_in.pop(name, None)
        if name in KINDS:
            self.outgoing.clear(name)
            self._entrance.spoiler.clear(name)
        elif name == "split":
            self._modem.line.split_s = 0.0
        elif name == "inject":
            self._injections.clear()
        elif name in _SOCKETS:
            self.sockets.clear(name)
        else:
            self._modem.line.after_out(0, None)
            self._mend(name)

    def clear_all(self) -> None:
        """End all faults."""
        for name in list(self.active):
            self.clear(name)

    def rebooted(self) -> None:
        """Forget what a reboot mends."""
        self.sockets.reset()
        for name in ("id_stuck", "stack_degraded", "context_dead"):
            if name in self.active and name not in self._after_in:
                self.active.pop(name)

    def reactivated(self) -> None:
        """A context went down on the host's wish: a dead one is alive again (bg96.md 9.2)."""
        if self.sockets.dead and self.sockets.cure == "reactivate":
            self.clear("context_dead")

    # What sets events off

    def _arm(self, name: str, given: Mapping[str, Value]) -> None:
        this = self._round[name] = self._round.get(name, 0) + 1

        def begin() -> None:
            if self._round[name] == this:
                self._round[name] += 1
                self._begin(name, given)

        after_in, after_out, after_s = int(given["after_in"]), int(given["after_out"]), float(given["after_s"])
        if after_in > 0:
            self._after_in[name] = self.bytes_in + after_in
        if after_out > 0:
            self._modem.line.after_out(after_out, begin)
        if after_s > 0:
            self._modem.later(after_s, begin)
        if not (after_in > 0 or after_out > 0 or after_s > 0):
            begin()

    def _begin(self, name: str, given: Mapping[str, Value]) -> None:
        modem = self._modem
        self._trace.remark(f"fault {name} begins")
        over = float(given.get("seconds", 0))
        if name == "context_lost":
            self.active.pop(name, None)
            modem.lose_context(int(given["cid"]))
        elif name == "reboot":
            self.active.pop(name, None)
            modem.line.purge()
            modem.reboot(None)
        elif name == "context_dead":
            self.sockets.kill(str(given["cure"]))
        elif name == "registration_lost":
            modem.registration.lose(str(given["as"]))
        elif name == "sim_removed":
            modem.sim.remove()
        elif name == "freeze":
            self._frozen = True
            modem.line.hold()
        elif name == "unplug":
            modem.line.unplug()
        if over > 0:
            this = self._round[name] = self._round.get(name, 0) + 1
            modem.later(over, lambda: self.clear(name) if self._round[name] == this else None)

    def _mend(self, name: str) -> None:
        modem = self._modem
        if name == "context_dead":
            self.sockets.revive()
        elif name == "registration_lost":
            modem.registration.found_again()
        elif name == "sim_removed":
            modem.sim.insert()
        elif name == "freeze" and self._frozen:
            self._frozen = False
            modem.line.release()
            kept, self._kept = self._kept, []
            for data, end, byte_time in kept:
                self._entrance.feed(data, end, byte_time)
        elif name == "unplug":
            modem.line.plug()

    # Bytes from the host

    def incoming(self, data: bytes, end: float, byte_time: float) -> None:
        """Take bytes from the line; an event that waits for a byte happens right after it."""
        while data:
            due = min(self._after_in.items(), key=lambda item: item[1], default=None)
            size = len(data) if due is None else min(len(data), max(0, due[1] - self.bytes_in))
            if size:
                self.bytes_in += size
                self._pass(data[:size], end - (len(data) - size) * byte_time, byte_time)
                data = data[size:]
            if due and self.bytes_in >= due[1]:
                self._after_in.pop(due[0], None)
                self._round[due[0]] += 1
                self._begin(due[0], self.active.get(due[0]) or {})

    def _pass(self, data: bytes, end: float, byte_time: float) -> None:
        if not self._frozen:
            self._entrance.feed(data, end, byte_time)
        elif self.active.get("freeze", {}).get("input") == "kept":
            self._kept.append((data, end, byte_time))

    # Injected lines

    def _inject(self, given: Mapping[str, Value]) -> None:
        crlf = given["crlf"]
        framed = str(given["text"]).encode("latin-1", "replace")
        if crlf in {"both", "before"}:
            framed = b"\r\n" + framed
        if crlf in {"both", "after"}:
            framed += b"\r\n"
        injection = Injection(framed, str(given["where"]), max(1, int(given["times"])))
        if injection.where == "now":
            self.active.pop("inject", None)
            for _ in range(injection.times):
                self._modem.session.link.write(framed)
        else:
            self._injections.append(injection)

    def take_injections(self, where: str) -> bytes:
        """What has to be said at this place."""
        if not self._injections:
            return b""
        said = bytearray()
        for injection in self._injections:
            if injection.where == where and injection.times > 0:
                injection.times -= 1
                said += injection.framed
        self._injections = [injection for injection in self._injections if injection.times > 0]
        if not self._injections:
            self.active.pop("inject", None)
        return bytes(said)
