"""Twenty of the fault schedules that scripts/bench performs by the hundred, with every kind of fault among them."""

import json
import os
from pathlib import Path
import subprocess
import sys

import pytest

from scripts.stage.fault_schedules import KINDS, make_schedule

ROOT = Path(__file__).resolve().parents[2]
COUNT = 5
FIRST_SEEDS = (231, 334, 271, 7)


@pytest.mark.parametrize("seed", FIRST_SEEDS)
def test_nothing_is_stored_twice_lost_silently_or_made_up(seed: int) -> None:
    arguments = ["--only", "schedules", "--json", "--seed", str(seed), "--schedules", str(COUNT)]
    done = subprocess.run(
        [sys.executable, str(ROOT / "scripts" / "bench.py"), *arguments],
        env=os.environ | {"PYTHONPATH": str(ROOT / "custom_components" / "cellular_uplink")},
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )
    assert done.stdout, done.stderr
    told = json.loads(done.stdout)["schedules"]
    assert told["violations"] == [], done.stderr
    assert done.returncode == 0, done.stderr
    assert told["schedules"] == COUNT
    schedules = [make_schedule(seed + number) for number in range(COUNT)]
    assert told["uploads"] == sum(len(schedule.sizes) for schedule in schedules)
    assert set(told["kinds"]) == {fault.kind for schedule in schedules for fault in schedule.faults}
    assert told["outcomes"]["delivered at the first try"] + told["outcomes"]["delivered after more tries"] > 0
    assert "exception" not in done.stderr, "nothing is left for the event loop to complain of"


def test_every_kind_of_fault_is_among_them() -> None:
    faults = [fault for seed in FIRST_SEEDS for n in range(COUNT) for fault in make_schedule(seed + n).faults]
    assert {fault.kind for fault in faults} == set(KINDS)
