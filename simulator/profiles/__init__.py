"""Firmware profiles: what a build of a modem is reported to do wrong, as data with its source (the TOML files here)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
import functools
from pathlib import Path
import tomllib

_FOLDER = Path(__file__).parent


@dataclass(frozen=True, slots=True)
class FirmwareProfile:
    """One build; the first of a model's file is the one without defects."""

    name: str
    firmware: str
    summary: str
    source: str
    confidence: str
    effects: Mapping[str, str]
    known: bool = True


@functools.cache
def profiles(model: str) -> tuple[FirmwareProfile, ...]:
    """All profiles of a model."""
    path = _FOLDER / f"{model}.toml"
    return tuple(FirmwareProfile(**entry) for entry in tomllib.loads(path.read_text(encoding="utf-8"))["profile"])


def find(model: str, wanted: str | None) -> FirmwareProfile:
    """The profile of this short name or full firmware string; any other string gets the clean one's behaviour."""
    known = profiles(model)
    if wanted is None:
        return known[0]
    for profile in known:
        if wanted.lower() in {profile.name, profile.firmware.lower()}:
            return profile
    return replace(known[0], name="unknown", firmware=wanted, known=False)
