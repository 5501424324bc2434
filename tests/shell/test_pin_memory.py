"""PINs are remembered over restarts, and not in clear."""

import json
from typing import Any

from homeassistant.core import HomeAssistant
import pytest

from custom_components.cellular_uplink.pin_memory import STORAGE_KEY, StoredPinMemory, async_get_pin_memory

ICCID = "89490200001234567890"
PIN = "471100"


@pytest.mark.parametrize("iccid", [ICCID, None])
async def test_remembers_over_restarts(hass: HomeAssistant, hass_storage: dict[str, Any], iccid: str | None) -> None:
    memory = await async_get_pin_memory(hass)
    assert not memory.was_entered(iccid, PIN)
    memory.remember(iccid, PIN, refused=False)
    await hass.async_block_till_done()

    after = StoredPinMemory(hass)
    await after.async_load()
    assert after.was_entered(iccid, PIN)
    assert not after.was_refused(iccid, PIN)
    assert not after.was_entered("another SIM", PIN)
    after.remember(iccid, PIN, refused=True)
    await hass.async_block_till_done()

    later = StoredPinMemory(hass)
    await later.async_load()
    assert later.was_refused(iccid, PIN)
    assert not later.was_refused(iccid, "0000")
    stored = json.dumps(hass_storage[STORAGE_KEY])
    assert PIN not in stored
    assert ICCID not in stored


async def test_forgets_a_pin_that_was_right(hass: HomeAssistant, hass_storage: dict[str, Any]) -> None:
    memory = await async_get_pin_memory(hass)
    memory.forget(ICCID, PIN)
    assert STORAGE_KEY not in hass_storage
    memory.remember(ICCID, PIN, refused=False)
    memory.forget(ICCID, PIN)
    await hass.async_block_till_done()
    assert not memory.was_entered(ICCID, PIN)
    assert hass_storage[STORAGE_KEY]["data"]["outcomes"] == {}


async def test_there_is_one_memory(hass: HomeAssistant) -> None:
    assert await async_get_pin_memory(hass) is await async_get_pin_memory(hass)
