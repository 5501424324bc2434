"""Running the project's own scripts, as a user does."""

from collections.abc import Callable, Iterator
import os
from pathlib import Path
import signal
import subprocess
import sys

import pytest

ROOT = Path(__file__).resolve().parents[2]

type Run = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def run_script() -> Run:
    """Run a script of scripts/ to its end, from another folder."""

    def run(name: str, *arguments: str, timeout: float = 110) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, ROOT / "scripts" / name, *arguments],
            cwd="/",
            env=_environment(),
            capture_output=True,
            text=True,
            timeout=timeout,
            check=False,
        )

    return run


@pytest.fixture
def start_demo(tmp_path: Path) -> Iterator[Callable[..., subprocess.Popen[str]]]:
    """Start scripts/demo and leave it running; what is left at the end is killed."""
    started: list[subprocess.Popen[str]] = []

    def start(*arguments: str) -> subprocess.Popen[str]:
        process = subprocess.Popen(
            [ROOT / "scripts" / "demo", *arguments],
            cwd="/",
            env=_environment() | {"TMPDIR": str(tmp_path)},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )
        started.append(process)
        return process

    yield start
    for process in started:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
        process.communicate()


def _environment() -> dict[str, str]:
    """Tests run in parallel: what belongs to pytest must not reach a Home Assistant that knows nothing of it."""
    return {key: value for key, value in os.environ.items() if not key.startswith(("PYTEST", "COV_"))}
