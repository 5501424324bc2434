"""The blueprint is one Home Assistant takes, and it does what it says."""

import asyncio
from pathlib import Path
from unittest.mock import patch

from homeassistant.components.automation.config import AUTOMATION_BLUEPRINT_SCHEMA
from homeassistant.components.blueprint.models import Blueprint, DomainBlueprints
from homeassistant.core import HomeAssistant
from homeassistant.setup import async_setup_component
from homeassistant.util.yaml import load_yaml_dict
from pytest_homeassistant_custom_component.common import async_mock_service

ROOT = Path(__file__).resolve().parents[2]
PATH = "cellular_uplink/snapshot_on_trigger.yaml"


def _load() -> Blueprint:
    data = load_yaml_dict(ROOT / "blueprints" / "automation" / PATH)
    return Blueprint(data, expected_domain="automation", path=PATH, schema=AUTOMATION_BLUEPRINT_SCHEMA)


def test_blueprint_is_valid() -> None:
    blueprint = _load()
    assert blueprint.validate() is None
    assert blueprint.metadata["source_url"].endswith(PATH)


async def test_sensor_sends_a_picture_and_is_then_ignored(hass: HomeAssistant) -> None:
    blueprint = await hass.async_add_executor_job(_load)
    uploads = async_mock_service(hass, "cellular_uplink", "upload_snapshot")
    inputs = {"sensor": "binary_sensor.path", "cameras": ["camera.path"], "destination": "a1b2", "max_width": 640}
    automation = {"use_blueprint": {"path": PATH, "input": inputs}}
    hass.states.async_set("binary_sensor.path", "off")
    with patch.object(DomainBlueprints, "_load_blueprint", return_value=blueprint):
        assert await async_setup_component(hass, "automation", {"automation": automation})

    for state in ("on", "off", "on"):
        hass.states.async_set("binary_sensor.path", state)
        for _ in range(50):  # the pause of a minute would keep async_block_till_done from returning
            await asyncio.sleep(0)

    assert [call.data for call in uploads] == [
        {"destination": "a1b2", "entity_id": ["camera.path"], "max_width": 640, "max_kilobytes": 80}
    ]
    await hass.services.async_call("automation", "turn_off", {"entity_id": "all"}, blocking=True)
