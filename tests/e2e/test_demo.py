"""The demo: a picture leaves a real Home Assistant and arrives whole."""

from collections.abc import Callable
import json
import os
from pathlib import Path
import subprocess
import time

import pytest

type Run = Callable[..., subprocess.CompletedProcess[str]]

PROCESS_FOLDER = Path("/proc")


@pytest.mark.timeout(120)
def test_picture_arrives_and_everything_goes_when_told(
    start_demo: Callable[..., subprocess.Popen[str]], tmp_path: Path
) -> None:
    """Both acts at once, since each start of Home Assistant takes its time: the report, then SIGTERM."""
    demo = start_demo("--modem", "ml307r", "--baud", "unpaced", "--json", "--stay")
    assert demo.stdout
    told = json.loads(demo.stdout.readline() or "{}")

    assert told, demo.communicate()[1]
    assert told["ok"] is True
    assert told["sha256_received"] == told["sha256_sent"]
    assert told["picture_bytes"] > 30_000
    assert told["modem"] == "ml307r"
    assert told["route"] == "socket"
    assert "sensor.cmcc_ml307r_signal_strength" in told["sensors"]

    assert _processes_in(tmp_path)
    demo.terminate()
    started = time.monotonic()
    assert demo.wait(10) == 0
    assert time.monotonic() - started < 5.5
    assert _processes_in(tmp_path) == []
    assert list(tmp_path.iterdir()) == []


@pytest.mark.timeout(60)
def test_sigterm_during_the_start_leaves_nothing(
    start_demo: Callable[..., subprocess.Popen[str]], tmp_path: Path
) -> None:
    demo = start_demo()
    assert demo.stderr
    while "starting" not in demo.stderr.readline():
        assert demo.poll() is None
    demo.terminate()
    assert demo.wait(10) == 128 + 15
    assert _processes_in(tmp_path) == []
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (["--modem", "nokia"], "invalid choice"),
        (["--baud", "fast"], "--baud"),
        (["--picture", "/nowhere.jpg"], "is not a file"),
        (["--url", "ftp://example.org/"], "http"),
        (["--ca", __file__], "--ca needs --url"),
    ],
)
def test_bad_arguments_are_refused_by_name(run_script: Run, arguments: list[str], complaint: str) -> None:
    done = run_script("demo.py", *arguments)
    assert done.returncode == 2
    assert complaint in done.stderr
    assert done.stdout == ""


@pytest.mark.timeout(60)
def test_failure_is_a_sentence_and_leaves_nothing(
    start_demo: Callable[..., subprocess.Popen[str]], tmp_path: Path
) -> None:
    """A firmware with a quote in it is one the simulator refuses to start with."""
    demo = start_demo("--firmware", "no\nfirmware", "--json")
    output, progress = demo.communicate(timeout=50)
    assert demo.returncode == 1
    assert json.loads(output)["ok"] is False
    assert "demo: failed: Simulator ended by itself" in progress
    assert "Traceback" not in progress
    assert _processes_in(tmp_path) == []
    assert list(tmp_path.iterdir()) == []


def _processes_in(folder: Path) -> list[str]:
    """Return the command lines of processes that were started for this demo."""
    found = []
    for entry in PROCESS_FOLDER.iterdir():
        if entry.name.isdecimal() and int(entry.name) != os.getpid():
            try:
                command = (entry / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
            except OSError:
                continue
            if f"{folder}/cellular-uplink-demo-" in command:
                found.append(command)
    return found
