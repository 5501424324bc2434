"""What faults of a firmware make of a modem beside the plan: what its driver minds, and when a restart is due."""

from collections.abc import Iterable
from enum import StrEnum

from ..drivers.base import Care
from ..quirks.registry import MatchedQuirk
from ..routes.plan import PlannedAttempt, Workaround


class Cure(StrEnum):
    """What a modem may need before it works again, the least first."""

    CONTEXT = "context"
    """Packet data is taken down and brought up."""
    MODEM = "modem"
    """The modem is restarted."""


def care_of(quirks: Iterable[MatchedQuirk]) -> Care:
    """Return what a driver has to mind."""
    quarantine_s, avoids_close = 0.0, False
    for quirk in quirks:
        if quirk.effect == "quarantine_id":
            quarantine_s = max(quarantine_s, float(_number(quirk.params["for_s"])))
        elif quirk.effect == "avoid_command" and quirk.params["command"] in _CLOSE_COMMANDS:
            avoids_close = True
    return Care(quarantine_s=quarantine_s, avoids_close=avoids_close)


_CLOSE_COMMANDS = frozenset({"+MIPCLOSE", "+QICLOSE"})


def cure_of(way: PlannedAttempt, code: str) -> Cure | None:
    """Return what cures this error on this way, as a quirk knows; None where none does, or only switching power."""
    for workaround in way.workarounds:
        codes = workaround.params.get("codes")
        if workaround.effect == "reset_on_error" and isinstance(codes, tuple | list) and code in codes:
            return _cure(workaround)
    return None


class Wear:
    """Counts tries on ways that wear the modem out, so that it is restarted in time; a try makes one connection."""

    def __init__(self) -> None:
        self._tries: dict[str, int] = {}

    def due(self, way: PlannedAttempt) -> Cure | None:
        """Return what is due before another try on this way, and count from the start where something is."""
        due: Cure | None = None
        for workaround in way.workarounds:
            if workaround.effect != "restart_context" or (cure := _cure(workaround)) is None:
                continue
            tries = self._tries.get(workaround.quirk_id, 0)
            if tries >= _number(workaround.params["after_opens"]):
                tries, due = 0, max(cure, due or cure, key=list(Cure).index)
            self._tries[workaround.quirk_id] = tries + 1
        return due


def _cure(workaround: Workaround) -> Cure | None:
    what = workaround.params.get("what")
    return next((cure for cure in Cure if cure == what), None)


def _number(value: object) -> int:
    assert isinstance(value, int), "typed by the effect"
    return value
