"""The command line's memory of what was learned: a JSON file the user names."""

import json
from pathlib import Path
import sys

from .errors import InputError
from .upload.memory import OutcomeMemory

MAX_STATE_BYTES = 1_000_000


def read_memory(path: Path) -> OutcomeMemory:
    """Return what was learned before; a file that is not there yet holds nothing.

    Raises:
        InputError: there is something else in the way.
    """
    try:
        with path.open("rb") as file:
            text = file.read(MAX_STATE_BYTES)
        stored = json.loads(text)
    except FileNotFoundError:
        return OutcomeMemory()
    except (OSError, ValueError) as err:
        reason = err.strerror if isinstance(err, OSError) and err.strerror else "not what was stored there"
        raise InputError("state", f"{str(path)!r} cannot be read: {reason}") from err
    if not isinstance(stored, dict):
        raise InputError("state", f"{str(path)!r} cannot be read: not what was stored there")
    return OutcomeMemory(stored)


def write_memory(path: Path, memory: OutcomeMemory) -> None:
    """Store what was learned, whole or not at all; what was sent counts, whatever comes of this."""
    unfinished = path.with_name(path.name + ".tmp")
    try:
        unfinished.write_text(json.dumps(memory.as_dict(), indent=1) + "\n", encoding="utf-8")
        unfinished.replace(path)
    except OSError as err:
        sys.stderr.write(f"What was learned could not be stored: {err.strerror}\n")
