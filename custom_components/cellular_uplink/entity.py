"""What the entities of a modem have in common, and the devices they belong to."""

from homeassistant.config_entries import ConfigSubentry
from homeassistant.helpers import device_registry as dr
from homeassistant.helpers.device_registry import DeviceEntryType, DeviceInfo
from homeassistant.helpers.entity import EntityDescription
from homeassistant.helpers.update_coordinator import CoordinatorEntity

from .const import DESTINATION_MODEL, DOMAIN
from .coordinator import ModemCoordinator


def modem_device_info(coordinator: ModemCoordinator) -> DeviceInfo:
    """Return the device of the modem."""
    identity = coordinator.identity
    return DeviceInfo(
        identifiers={(DOMAIN, _imei(coordinator))},
        manufacturer=identity.vendor,
        model=identity.model,
        name=coordinator.config_entry.title,
        serial_number=identity.imei,
        sw_version=identity.firmware,
    )


def destination_device_info(coordinator: ModemCoordinator, subentry: ConfigSubentry) -> DeviceInfo:
    """Return the device of a destination, which stands below that of the modem."""
    entry = coordinator.config_entry
    return DeviceInfo(
        identifiers={(DOMAIN, f"{_imei(coordinator)}_{subentry.subentry_id}")},
        entry_type=DeviceEntryType.SERVICE,
        manufacturer="Cellular Uplink",
        model=DESTINATION_MODEL,
        name=subentry.title,
        via_device_id=dr.async_get_device_id_by_identifier(
            coordinator.hass, (DOMAIN, _imei(coordinator)), config_entry_id=entry.entry_id
        ),
    )


class ModemEntity(CoordinatorEntity[ModemCoordinator]):
    """An entity of the modem's device."""

    _attr_has_entity_name = True

    def __init__(self, coordinator: ModemCoordinator, description: EntityDescription) -> None:
        super().__init__(coordinator)
        self.entity_description = description
        self._attr_unique_id = f"{_imei(coordinator)}_{description.key}"
        self._attr_device_info = modem_device_info(coordinator)


def _imei(coordinator: ModemCoordinator) -> str:
    """The unique id of the entry: entities keep their ids even where a modem does not tell its IMEI again."""
    return str(coordinator.config_entry.unique_id)
