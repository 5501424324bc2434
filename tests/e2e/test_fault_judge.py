"""The judge of fault schedules: what it lets pass, and that it can fail. And the schedules it judges."""

from dataclasses import dataclass

import pytest

from scripts.stage.fault_judge import Stored, violations
from scripts.stage.fault_schedules import KINDS, make_schedule

PICTURE = b"a picture"
ONCE = [Stored("id", PICTURE)]
TWICE = [Stored("id", PICTURE), Stored("id", PICTURE)]


@dataclass
class Told:
    """A result, as far as the judge looks at it."""

    ok: bool = False
    ambiguous: bool = False
    may_be_stored_twice: bool = False
    upload_id: str = "id"


@pytest.mark.parametrize(
    ("stored", "told", "honours_ids"),
    [
        (ONCE, Told(ok=True), True),
        (ONCE, Told(ok=True), False),
        (ONCE, Told(ok=True, may_be_stored_twice=True), False),
        (TWICE, Told(ok=True, may_be_stored_twice=True), False),
        (ONCE, Told(ambiguous=True), True),
        (TWICE, Told(ambiguous=True), False),
        ([], Told(ambiguous=True), True),
        ([], Told(), True),
    ],
)
def test_what_is_true_passes(stored: list[Stored], told: Told, honours_ids: bool) -> None:
    assert violations(stored, [(PICTURE, told)], honours_ids=honours_ids) == []


@pytest.mark.parametrize(
    ("stored", "told", "honours_ids", "found"),
    [
        ([], Told(ok=True), False, "reported delivered, but not stored"),
        ([Stored("id", b"a pict")], Told(ok=True), False, "not as it was sent"),
        ([Stored("id", b"a pict")], Told(ambiguous=True), False, "not as it was sent"),
        (ONCE, Told(), False, "lost silently"),
        (TWICE, Told(ok=True, may_be_stored_twice=True), True, "stored 2 times at a server that honours"),
        (TWICE, Told(ambiguous=True), True, "stored 2 times at a server that honours"),
        (TWICE, Told(ok=True), False, "does not say"),
        ([*ONCE, Stored("other", PICTURE)], Told(ok=True), True, "stored 2 times at a server that honours"),
        ([Stored("other", PICTURE)], Told(ambiguous=True), False, "under an id that no result has"),
        ([Stored("", PICTURE)], Told(ok=True), False, "reported delivered, but not stored"),
    ],
)
def test_what_is_not_true_is_found(stored: list[Stored], told: Told, honours_ids: bool, found: str) -> None:
    assert found in "; ".join(violations(stored, [(PICTURE, told)], honours_ids=honours_ids))


def test_pictures_are_told_apart() -> None:
    sent = [(PICTURE, Told(ok=True, upload_id="a")), (b"another", Told(ok=True, upload_id="b"))]
    assert violations([Stored("b", b"another"), Stored("a", PICTURE)], sent, honours_ids=True) == []
    swapped = violations([Stored("a", b"another"), Stored("b", PICTURE)], sent, honours_ids=True)
    assert swapped.count("reported delivered, but not stored") == 2


def test_a_seed_is_a_schedule() -> None:
    schedules = [make_schedule(seed) for seed in range(500)]
    assert schedules == [make_schedule(seed) for seed in range(500)]
    assert {schedule.kind for schedule in schedules[100 : 100 + len(KINDS)]} == set(KINDS)
    for schedule in schedules:
        assert str(schedule)
        assert all(200 <= size <= 60_000 for size in schedule.sizes)
    assert {schedule.way for schedule in schedules} >= {"auto", "socket", "modem-http"}
    assert {schedule.honours_ids for schedule in schedules} == {True, False}
