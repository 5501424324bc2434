"""Processes the stage starts, each with a log, all of them gone when the `with` block ends."""

from collections.abc import Callable, Iterator, Mapping, Sequence
import contextlib
from dataclasses import dataclass
import os
from pathlib import Path
import signal
import subprocess
import sys
import time
from types import FrameType
from typing import Self

ROOT = Path(__file__).resolve().parents[2]
STOP_WITHIN_S = 4.0
# Without its bytecode Home Assistant takes 15 s to start instead of 3.
_NOT_PASSED_ON = ("PYTHONPATH", "PYTHONHOME", "PYTHONDONTWRITEBYTECODE", "PYTHONPYCACHEPREFIX")


class StageError(Exception):
    """Something on the stage failed: one sentence, and the log that tells more where there is one."""

    def __init__(self, message: str, log: Path | None = None) -> None:
        super().__init__(message)
        self.tail = _tail(log) if log else ""
        """Read at once: the log is gone when the stage is cleared."""


class StoppedError(BaseException):
    """The user asked us to stop (SIGTERM, SIGINT, SIGHUP). Not an Exception: nothing but `main` may catch it."""

    def __init__(self, signal_number: int) -> None:
        super().__init__(signal.Signals(signal_number).name)
        self.exit_status = 128 + signal_number


@dataclass(frozen=True, slots=True)
class Child:
    """A running process: its name in messages, its log, and the process."""

    name: str
    log: Path
    process: subprocess.Popen[bytes]


class Children:
    """Starts processes in sessions of their own and ends them together."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._children: list[Child] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def start(
        self,
        name: str,
        argv: Sequence[str | Path],
        *,
        cwd: Path,
        set_env: Mapping[str, str] | None = None,
        pass_fds: Sequence[int] = (),
    ) -> Child:
        """Start a process. It sees our environment without what changes how Python runs, and what `set_env` adds."""
        environment = {key: value for key, value in os.environ.items() if key not in _NOT_PASSED_ON}
        environment["PATH"] = f"{Path(sys.executable).parent}{os.pathsep}{environment.get('PATH', os.defpath)}"
        environment.update(set_env or {})
        log = self._folder / f"{name.lower().replace(' ', '-')}.log"
        with log.open("wb") as output, _signals_held():  # one between start and append would leave the child behind
            process = subprocess.Popen(
                [str(part) for part in argv],
                cwd=cwd,
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                pass_fds=pass_fds,
                start_new_session=True,
            )
            child = Child(name, log, process)
            self._children.append(child)
        return child

    def check(self) -> None:
        """Raise StageError when one of the processes has ended by itself."""
        for child in self._children:
            if (status := child.process.poll()) is not None:
                raise StageError(f"{child.name} ended by itself (exit status {status})", child.log)

    def wait_for[T](self, child: Child, what: str, timeout_s: float, probe: Callable[[], T | None]) -> T:
        """Return what `probe` gives as soon as it is not None; raise StageError when that takes too long."""
        deadline = time.monotonic() + timeout_s
        while (found := probe()) is None:
            self.check()
            if time.monotonic() > deadline:
                raise StageError(f"{child.name}: {what} took longer than {timeout_s:.0f} s", child.log)
            time.sleep(0.05)
        return found

    def stop(self) -> None:
        """End every process: politely, and after STOP_WITHIN_S by force."""
        with _signals_held():
            for child in self._children:
                _signal_group(child, signal.SIGTERM)
            deadline = time.monotonic() + STOP_WITHIN_S
            for child in self._children:
                with contextlib.suppress(subprocess.TimeoutExpired):
                    child.process.wait(max(0.0, deadline - time.monotonic()))
                _signal_group(child, signal.SIGKILL)  # what is left of its session, if anything
                child.process.wait()
            self._children.clear()


_held = False
_waiting: list[int] = []
"""Signals that came while they were held."""


def stop_on_signals() -> None:
    """Turn SIGTERM, SIGINT and SIGHUP into StoppedError, so that every `with` block is left in order."""

    def stop(number: int, _frame: FrameType | None) -> None:
        if _held:
            _waiting.append(number)
        else:
            raise StoppedError(number)

    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, stop)


@contextlib.contextmanager
def _signals_held() -> Iterator[None]:
    """Let a signal wait until the block is left. Blocking it in the kernel instead would block it in children too."""
    global _held  # noqa: PLW0603  signals belong to the process
    _held = True
    try:
        yield
    finally:
        _held = False
    if _waiting:
        raise StoppedError(_waiting.pop())


def _signal_group(child: Child, number: signal.Signals) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(child.process.pid, number)


def _tail(log: Path, lines: int = 25) -> str:
    try:
        text = log.read_text(errors="replace")
    except OSError:
        return ""
    return "\n".join(text.splitlines()[-lines:])
