"""Events of destinations: an upload completed or failed."""

from typing import override

from homeassistant.components.event import EventEntity
from homeassistant.config_entries import ConfigSubentry
from homeassistant.core import HomeAssistant, callback
from homeassistant.helpers.entity_platform import AddConfigEntryEntitiesCallback

from .const import SUBENTRY_TYPE_DESTINATION
from .coordinator import CellularUplinkConfigEntry, ModemCoordinator
from .entity import destination_device_info
from .uploader import Upload

PARALLEL_UPDATES = 0

EVENT_COMPLETED = "completed"
EVENT_FAILED = "failed"


async def async_setup_entry(
    hass: HomeAssistant,
    entry: CellularUplinkConfigEntry,
    async_add_entities: AddConfigEntryEntitiesCallback,
) -> None:
    """Add one event entity a destination."""
    for subentry in entry.get_subentries_of_type(SUBENTRY_TYPE_DESTINATION):
        async_add_entities([UploadEvent(entry.runtime_data, subentry)], config_subentry_id=subentry.subentry_id)


class UploadEvent(EventEntity):
    """Tells how uploads to one destination ended.

    It stays available while the modem is gone: that an upload failed then is what it is there to say.
    """

    _attr_has_entity_name = True
    _attr_name = None
    _attr_should_poll = False
    _attr_translation_key = "upload"
    _unrecorded_attributes = frozenset({"plan", "quirks"})
    _attr_event_types = [EVENT_COMPLETED, EVENT_FAILED]  # noqa: RUF012 - Home Assistant declares it as a plain list

    def __init__(self, coordinator: ModemCoordinator, subentry: ConfigSubentry) -> None:
        self._uploader = coordinator.uploader
        self._subentry_id = subentry.subentry_id
        self._attr_unique_id = f"{coordinator.config_entry.unique_id}_{subentry.subentry_id}_upload"
        self._attr_device_info = destination_device_info(coordinator, subentry)

    @override
    async def async_added_to_hass(self) -> None:
        self.async_on_remove(self._uploader.async_add_listener(self._subentry_id, self._async_upload_ended))

    @callback
    def _async_upload_ended(self, upload: Upload) -> None:
        """The server's response stays out: states are stored and shown widely, and it may hold anything."""
        result = upload.result.as_dict()
        del result["response"]
        self._trigger_event(
            EVENT_COMPLETED if upload.result.ok else EVENT_FAILED,
            {"source": upload.source, "file_name": upload.file_name, **result},
        )
        self.async_write_ha_state()
