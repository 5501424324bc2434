"""How ways out have fared, kept per model, firmware and kind of destination: what worked last is tried first.

And what the user's own self-test found of quirks, kept per model and firmware.

Pure data: whoever owns it stores `as_dict` where he keeps such things (Home Assistant's storage, a JSON file).
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
import math
import time

from ..drivers.base import Identity
from ..quirks.registry import Finding
from ..routes.plan import HttpCommand, LearnedOutcome, PlannedAttempt, RouteName, TlsPlace

HALF_LIFE_S = 30 * 86_400.0
"""After a month an outcome counts half: networks, servers and SIMs change too."""
FORGET_BELOW = 0.05
MAX_ENTRIES = 200
"""Far more than one modem's firmware and destinations make; a bound all the same."""


@dataclass(frozen=True, slots=True)
class _Entry:
    modem: str
    kind: str
    route: RouteName
    command: HttpCommand | None
    tls: TlsPlace
    worked: bool
    count: int
    when: float


def kind_of(scheme: str, tls: TlsPlace) -> str:
    """Return the kind of destination for which outcomes are alike; `tls`: who may do it."""
    return f"{scheme}, TLS by {tls}" if scheme == "https" else scheme


class OutcomeMemory:
    """Outcomes of attempts: the latest for each way counts, with how often it was the same. Findings of self-tests."""

    def __init__(self, stored: Mapping[str, object] | None = None) -> None:
        self._entries: dict[tuple[str, str, str, str, str], _Entry] = {}
        for item in _list((stored or {}).get("outcomes")):
            if (entry := _from_dict(item)) is not None:
                self._entries[_key(entry)] = entry
        self._findings: dict[tuple[str, str, str], Finding] = {}
        for item in _list((stored or {}).get("findings")):
            if (known := _finding_from_dict(item)) is not None:
                modem, finding = known
                self._findings[modem, finding.quirk_id, finding.command] = finding

    def recall(self, identity: Identity, kind: str, now: float | None = None) -> tuple[LearnedOutcome, ...]:
        """Return what is known for this firmware and kind of destination, the latest first; `now` in unix seconds."""
        now = time.time() if now is None else now
        found = []
        for entry in sorted(self._entries.values(), key=lambda entry: entry.when, reverse=True):
            weight = min(entry.count, 10) / 10 * 0.5 ** (max(0.0, now - entry.when) / HALF_LIFE_S)
            if entry.modem == _modem(identity) and entry.kind == kind and weight >= FORGET_BELOW:
                found.append(
                    LearnedOutcome(
                        route=entry.route, command=entry.command, tls=entry.tls, worked=entry.worked, weight=weight
                    )
                )
        return tuple(found)

    def record(
        self, identity: Identity, kind: str, attempt: PlannedAttempt, *, worked: bool, now: float | None = None
    ) -> None:
        """Store how an attempt ended. Another firmware of the same modem makes what was known of the old one void."""
        now = time.time() if now is None else now
        modem = _modem(identity)
        self._forget_other_firmware(modem)
        new = _Entry(modem, kind, attempt.route, attempt.command, attempt.tls, worked, 1, now)
        old = self._entries.get(_key(new))
        if old is not None and old.worked == worked:
            new = _Entry(modem, kind, attempt.route, attempt.command, attempt.tls, worked, old.count + 1, now)
        self._entries[_key(new)] = new
        if len(self._entries) > MAX_ENTRIES:
            oldest = min(self._entries.values(), key=lambda entry: entry.when)
            del self._entries[_key(oldest)]

    def findings(self, identity: Identity) -> tuple[Finding, ...]:
        """Return what self-tests found on this firmware. It does not decay: it is the firmware's, not the network's."""
        return tuple(finding for (modem, _, _), finding in self._findings.items() if modem == _modem(identity))

    def record_findings(self, identity: Identity, findings: Iterable[Finding]) -> None:
        """Store what a self-test found; the latest counts. Another firmware's findings are void, as with `record`."""
        modem = _modem(identity)
        self._forget_other_firmware(modem)
        for finding in findings:
            self._findings[modem, finding.quirk_id, finding.command] = finding
        for key in sorted(self._findings, key=lambda key: self._findings[key].when)[:-MAX_ENTRIES]:
            del self._findings[key]

    def _forget_other_firmware(self, modem: str) -> None:
        model = modem.partition("|")[0]
        for key, entry in list(self._entries.items()):
            if entry.modem.partition("|")[0] == model and entry.modem != modem:
                del self._entries[key]
        for known in list(self._findings):
            if known[0].partition("|")[0] == model and known[0] != modem:
                del self._findings[known]

    def as_dict(self) -> dict[str, object]:
        """Return plain values for storage; without findings there is no list of them."""
        stored: dict[str, object] = {
            "outcomes": [
                {
                    "modem": entry.modem,
                    "kind": entry.kind,
                    "route": entry.route.value,
                    "command": entry.command.value if entry.command else None,
                    "tls": entry.tls.value,
                    "worked": entry.worked,
                    "count": entry.count,
                    "when": round(entry.when),
                }
                for entry in self._entries.values()
            ]
        }
        if self._findings:
            stored["findings"] = [
                {
                    "modem": modem,
                    "quirk": quirk_id,
                    "command": command,
                    "holds": finding.holds,
                    "when": round(finding.when),
                }
                for (modem, quirk_id, command), finding in self._findings.items()
            ]
        return stored


def _modem(identity: Identity) -> str:
    return f"{identity.model}|{identity.firmware}|{identity.release}"


def _key(entry: _Entry) -> tuple[str, str, str, str, str]:
    return entry.modem, entry.kind, entry.route.value, entry.command.value if entry.command else "", entry.tls.value


def _list(value: object) -> list[object]:
    return value if isinstance(value, list) else []


def _from_dict(item: object) -> _Entry | None:
    """Return a stored entry, None for one that another version wrote otherwise: it is learned again."""
    if not isinstance(item, dict):
        return None
    try:
        when, count = float(item["when"]), int(item["count"])
        if not math.isfinite(when) or count < 1:
            return None
        return _Entry(
            modem=str(item["modem"]),
            kind=str(item["kind"]),
            route=RouteName(item["route"]),
            command=HttpCommand(item["command"]) if item["command"] else None,
            tls=TlsPlace(item["tls"]),
            worked=bool(item["worked"]),
            count=count,
            when=when,
        )
    except KeyError, TypeError, ValueError, OverflowError:
        return None


def _finding_from_dict(item: object) -> tuple[str, Finding] | None:
    """Return the modem and a stored finding, None for what is none: it can be tested again."""
    if not isinstance(item, dict):
        return None
    try:
        when = float(item["when"])
        datetime.fromtimestamp(when, UTC)  # it is shown as a date
        return str(item["modem"]), Finding(
            quirk_id=str(item["quirk"]), command=str(item["command"]), holds=bool(item["holds"]), when=when
        )
    except KeyError, TypeError, ValueError, OverflowError, OSError:
        return None
