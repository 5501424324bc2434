"""Counts what came of fault schedules, and says it in a table or as plain values."""

from collections import Counter
from collections.abc import Iterable, Sequence

from .fault_runner import Run

OUTCOMES = ("delivered at the first try", "delivered after more tries", "rejected", "failed", "ambiguous")
DOUBTS = (
    "stored twice where ids are ignored, and said so",
    "said to be perhaps stored twice, stored once",
    "ambiguous, and stored",
    "ambiguous, and not stored",
)


def counts(runs: Sequence[Run]) -> dict[str, object]:
    """Return all counts as plain values; a schedule counts for each kind of fault it has."""
    uploads = [(run, result, copies) for run in runs for result, copies in zip(run.results, run.copies, strict=True)]
    outcomes: Counter[str] = Counter()
    doubts: Counter[str] = Counter()
    tries: Counter[int] = Counter()
    kinds: dict[str, Counter[str]] = {}
    for run, result, copies in uploads:
        outcome = result.state.value
        if result.ok:
            outcome = OUTCOMES[0] if len(result.attempts) == 1 else OUTCOMES[1]
        elif result.ambiguous:
            outcome = "ambiguous"
        outcomes[outcome] += 1
        tries[len(result.attempts)] += 1
        for kind in {fault.kind for fault in run.schedule.faults}:
            kinds.setdefault(kind, Counter())[outcome] += 1
        if result.may_be_stored_twice:
            doubts[DOUBTS[0] if copies > 1 else DOUBTS[1]] += 1
        elif result.ambiguous:
            doubts[DOUBTS[2] if copies else DOUBTS[3]] += 1
    return {
        "schedules": len(runs),
        "seeds": [runs[0].schedule.seed, runs[-1].schedule.seed] if runs else [],
        "uploads": len(uploads),
        "pictures_stored": sum(copies for _, _, copies in uploads),
        "outcomes": {name: outcomes[name] for name in OUTCOMES},
        "doubts": {name: doubts[name] for name in DOUBTS},
        "tries": {str(number): tries[number] for number in sorted(tries)},
        "kinds": {kind: {name: kinds[kind][name] for name in OUTCOMES} for kind in sorted(kinds, key=str.lower)},
        "violations": [{"seed": run.schedule.seed, "what": what} for run in runs for what in run.violations],
    }


def table(runs: Sequence[Run]) -> str:
    """Return the counts as text."""
    found = counts(runs)
    outcomes, doubts, tries, kinds = found["outcomes"], found["doubts"], found["tries"], found["kinds"]
    assert isinstance(outcomes, dict)
    assert isinstance(doubts, dict)
    assert isinstance(tries, dict)
    assert isinstance(kinds, dict)
    lines = [f"{found['schedules']} fault schedules, {found['uploads']} uploads", ""]
    lines += _rows((*outcomes.items(), *doubts.items()))
    lines += _rows([("tries: " + ", ".join(f"{number} ({count})" for number, count in tries.items()), "")])
    lines += ["", f"{'kind of fault':<24}" + "".join(f"{name:>12}" for name in _HEADS)]
    lines += [f"{kind:<24}" + "".join(f"{count:>12}" for count in row.values()) for kind, row in kinds.items()]
    violations = [run for run in runs if run.violations]
    lines += ["", f"violations: {sum(len(run.violations) for run in violations)}"]
    for run in violations:
        lines += ["", run.story(), f"  again: scripts/bench --only schedules --seed {run.schedule.seed} --schedules 1"]
    return "\n".join(lines)


_HEADS = ("first try", "more tries", "rejected", "failed", "ambiguous")


def _rows(items: Iterable[tuple[str, object]]) -> list[str]:
    return [f"{name:<58} {value!s:>6}".rstrip() for name, value in items]
