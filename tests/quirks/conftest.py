"""Fixtures of quirks: the catalogue, read once; no modem anywhere."""

import pytest

from custom_components.cellular_uplink.modem.quirks.loader import load_quirks
from custom_components.cellular_uplink.modem.quirks.registry import Quirk


@pytest.fixture(scope="session")
def catalogue() -> tuple[Quirk, ...]:
    return load_quirks()
