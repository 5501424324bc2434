"""How ways out have fared, kept per model, firmware and kind of destination: what worked last is tried first.

Pure data: whoever owns it stores `as_dict` where he keeps such things (Home Assistant's storage, a JSON file).
"""

from collections.abc import Mapping
from dataclasses import dataclass
import time

from ..drivers.base import Identity
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


class OutcomeMemory:
    """Outcomes of attempts; the latest for each way counts, with how often it was the same."""

    def __init__(self, stored: Mapping[str, object] | None = None) -> None:
        self._entries: dict[tuple[str, str, str, str, str], _Entry] = {}
        for item in _list((stored or {}).get("outcomes")):
            if (entry := _from_dict(item)) is not None:
                self._entries[_key(entry)] = entry

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
        model = modem.partition("|")[0]
        for key, entry in list(self._entries.items()):
            if entry.modem.partition("|")[0] == model and entry.modem != modem:
                del self._entries[key]
        new = _Entry(modem, kind, attempt.route, attempt.command, attempt.tls, worked, 1, now)
        old = self._entries.get(_key(new))
        if old is not None and old.worked == worked:
            new = _Entry(modem, kind, attempt.route, attempt.command, attempt.tls, worked, old.count + 1, now)
        self._entries[_key(new)] = new
        if len(self._entries) > MAX_ENTRIES:
            oldest = min(self._entries.values(), key=lambda entry: entry.when)
            del self._entries[_key(oldest)]

    def as_dict(self) -> dict[str, object]:
        """Return plain values for storage."""
        return {
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
        return _Entry(
            modem=str(item["modem"]),
            kind=str(item["kind"]),
            route=RouteName(item["route"]),
            command=HttpCommand(item["command"]) if item["command"] else None,
            tls=TlsPlace(item["tls"]),
            worked=bool(item["worked"]),
            count=int(item["count"]),
            when=float(item["when"]),
        )
    except KeyError, TypeError, ValueError:
        return None
