"""Names of entities, and that the checker the other tests lean on does check."""

from typing import Any

from homeassistant.core import HomeAssistant
from homeassistant.exceptions import HomeAssistantError
from homeassistant.helpers import entity_registry as er
from homeassistant.helpers.service import async_get_all_descriptions
from pytest_homeassistant_custom_component.common import MockConfigEntry

from custom_components.cellular_uplink.const import DOMAIN

from .translation_check import EN, TranslationChecker


async def test_entities_have_names(hass: HomeAssistant, entry: MockConfigEntry) -> None:
    entities = er.async_entries_for_config_entry(er.async_get(hass), entry.entry_id)
    assert len(entities) == 14
    for entity in entities:
        assert entity.unique_id.startswith("861536030196001_")
        texts: dict[str, Any] = EN["entity"][entity.domain].get(entity.translation_key or "", {})
        if entity.domain == "sensor":
            assert texts.get("name") == entity.original_name or entity.original_device_class == "signal_strength"
        # The last error is free text, but for the word that there was none.
        options = ["none"] if entity.translation_key == "last_error" else (entity.capabilities or {}).get("options", [])
        assert set(options) == set(texts.get("state", {}))


async def test_actions_are_described(hass: HomeAssistant, entry: MockConfigEntry) -> None:
    descriptions = (await async_get_all_descriptions(hass))[DOMAIN]
    for service, schema in (
        (service, hass.services.async_services_internal()[DOMAIN][service].schema) for service in descriptions
    ):
        described: set[str] = set()
        for name, field in descriptions[service]["fields"].items():
            described |= set(field["fields"]) if "fields" in field else {name}
        assert described == {str(key) for key in getattr(schema, "schema", ())}
    assert set(descriptions) == {"upload_snapshot", "upload_file", "run_self_test"}
    (device_filter,) = descriptions["upload_snapshot"]["fields"]["destination"]["selector"]["device"]["filter"]
    assert device_filter == {"integration": DOMAIN, "model": "Destination"}


def test_the_checker_finds_what_is_missing() -> None:
    checker = TranslationChecker()
    checker.check("exceptions", "no_such_key", "message", None)
    checker.check("exceptions", "upload_failed", "message", {"destination": "Cloud"})
    assert checker.problems[0] == "exceptions.no_such_key.message is not translated"
    assert len(checker.problems) == 4


async def test_the_checker_watches_exceptions(hass: HomeAssistant, translations: TranslationChecker) -> None:
    HomeAssistantError(translation_domain=DOMAIN, translation_key="no_such_key")
    assert translations.problems == ["exceptions.no_such_key.message is not translated"]
    translations.problems.clear()
