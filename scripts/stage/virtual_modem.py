"""The simulated modem in a process of its own."""

from collections.abc import Sequence
from dataclasses import dataclass
import json
from pathlib import Path
import sys

from .children import ROOT, Child, Children, StageError

MODEMS = ("bg96", "ml307r")


@dataclass(frozen=True, slots=True)
class VirtualModem:
    """A simulator that is ready: the port a host opens, and what the wire said so far."""

    child: Child
    port: Path
    trace: Path


def start_modem(
    children: Children,
    folder: Path,
    *,
    modem: str,
    firmware: str | None = None,
    baud: str = "115200",
    latency_ms: float | None = None,
    arguments: Sequence[str | Path] = (),
) -> VirtualModem:
    """Start `python -m simulator`, with `arguments` besides, and wait until its port is there."""
    port, trace = folder / "modem", folder / "modem.trace"
    argv: list[str | Path] = [sys.executable, "-m", "simulator", "--modem", modem, "--baud", baud]
    argv += ["--link", port, "--trace", trace]
    if firmware:
        argv += ["--firmware", firmware]
    if latency_ms is not None:
        argv += ["--latency-ms", f"{latency_ms:g}"]
    argv += arguments
    child = children.start("Simulator", argv, cwd=folder, set_env={"PYTHONPATH": str(ROOT)})
    children.wait_for(child, "opening its port", 15, lambda: _ready(child))
    if not port.exists():
        raise StageError("Simulator: says it is ready, but its port is not there", child.log)
    return VirtualModem(child, port, trace)


def _ready(child: Child) -> bool | None:
    for line in child.log.read_text(errors="replace").splitlines():
        if line.startswith("{") and "port" in json.loads(line):
            return True
    return None
