"""Sensors of a modem: signal, network, data used, last error, known faults; and of its destinations: encryption."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, override

from homeassistant.components.sensor import SensorDeviceClass, SensorEntity, SensorEntityDescription, SensorStateClass
from homeassistant.config_entries import ConfigSubentry
from homeassistant.const import (
    SIGNAL_STRENGTH_DECIBELS,
    SIGNAL_STRENGTH_DECIBELS_MILLIWATT,
    EntityCategory,
    UnitOfInformation,
)
from homeassistant.core import HomeAssistant, callback
from homeassistant.helpers.entity_platform import AddConfigEntryEntitiesCallback
from homeassistant.helpers.typing import StateType

from .const import SUBENTRY_TYPE_DESTINATION
from .coordinator import CellularUplinkConfigEntry, ModemCoordinator
from .encryption import Encryption, used_encryption
from .entity import ModemEntity, destination_device_info
from .modem.drivers.base import AccessTechnology, ModemStatus, RegistrationState
from .settings import destination_encryption
from .uploader import Upload

PARALLEL_UPDATES = 0


@dataclass(frozen=True, kw_only=True)
class StatusSensorDescription(SensorEntityDescription):
    """A sensor whose value is read from the modem."""

    value_fn: Callable[[ModemStatus], StateType]


@dataclass(frozen=True, kw_only=True)
class RecordSensorDescription(SensorEntityDescription):
    """A sensor whose value the integration keeps itself."""

    is_always_available: bool = False
    value_fn: Callable[[ModemCoordinator], StateType]
    attributes_fn: Callable[[ModemCoordinator], Mapping[str, Any] | None] = lambda _: None


def _known(state: RegistrationState) -> str | None:
    return None if state is RegistrationState.UNKNOWN else state.value


def _last_error_text(coordinator: ModemCoordinator) -> str:
    if (last := coordinator.last_error) is None:
        return "none"
    return f"{last.error.kind}: {last.error.code}"


def _last_error_attributes(coordinator: ModemCoordinator) -> Mapping[str, Any] | None:
    if (last := coordinator.last_error) is None:
        return None
    return {
        "class": last.error.kind,
        "code": last.error.code,
        "sentence": last.error.message,
        "when": last.when.isoformat(),
    }


STATUS_SENSORS = (
    StatusSensorDescription(
        key="rssi",
        device_class=SensorDeviceClass.SIGNAL_STRENGTH,
        state_class=SensorStateClass.MEASUREMENT,
        native_unit_of_measurement=SIGNAL_STRENGTH_DECIBELS_MILLIWATT,
        entity_category=EntityCategory.DIAGNOSTIC,
        value_fn=lambda status: status.signal.rssi_dbm,
    ),
    StatusSensorDescription(
        key="rsrp",
        translation_key="rsrp",
        device_class=SensorDeviceClass.SIGNAL_STRENGTH,
        state_class=SensorStateClass.MEASUREMENT,
        native_unit_of_measurement=SIGNAL_STRENGTH_DECIBELS_MILLIWATT,
        entity_category=EntityCategory.DIAGNOSTIC,
        value_fn=lambda status: status.signal.rsrp_dbm,
    ),
    StatusSensorDescription(
        key="rsrq",
        translation_key="rsrq",
        device_class=SensorDeviceClass.SIGNAL_STRENGTH,
        state_class=SensorStateClass.MEASUREMENT,
        native_unit_of_measurement=SIGNAL_STRENGTH_DECIBELS,
        entity_category=EntityCategory.DIAGNOSTIC,
        value_fn=lambda status: status.signal.rsrq_db,
    ),
    StatusSensorDescription(
        key="sinr",
        translation_key="sinr",
        device_class=SensorDeviceClass.SIGNAL_STRENGTH,
        state_class=SensorStateClass.MEASUREMENT,
        native_unit_of_measurement=SIGNAL_STRENGTH_DECIBELS,
        entity_category=EntityCategory.DIAGNOSTIC,
        value_fn=lambda status: status.signal.sinr_db,
    ),
    StatusSensorDescription(
        key="operator",
        translation_key="operator",
        entity_category=EntityCategory.DIAGNOSTIC,
        value_fn=lambda status: status.operator,
    ),
    StatusSensorDescription(
        key="access_technology",
        translation_key="access_technology",
        device_class=SensorDeviceClass.ENUM,
        options=[technology.value for technology in AccessTechnology],
        entity_category=EntityCategory.DIAGNOSTIC,
        value_fn=lambda status: status.access_technology,
    ),
    StatusSensorDescription(
        key="registration",
        translation_key="registration",
        device_class=SensorDeviceClass.ENUM,
        options=[state.value for state in RegistrationState if state is not RegistrationState.UNKNOWN],
        entity_category=EntityCategory.DIAGNOSTIC,
        value_fn=lambda status: _known(status.registration.state),
    ),
)

FIRMWARE_SENSOR = SensorEntityDescription(
    key="firmware",
    translation_key="firmware",
    entity_category=EntityCategory.DIAGNOSTIC,
)

QUIRKS_SENSOR = SensorEntityDescription(
    key="quirks",
    translation_key="quirks",
    entity_category=EntityCategory.DIAGNOSTIC,
)

ENCRYPTION_SENSOR = SensorEntityDescription(
    key="encryption",
    translation_key="encryption",
    device_class=SensorDeviceClass.ENUM,
    options=[encryption.value for encryption in Encryption],
    entity_category=EntityCategory.DIAGNOSTIC,
)

RECORD_SENSORS = (
    RecordSensorDescription(
        key="last_error",
        translation_key="last_error",
        is_always_available=True,
        entity_category=EntityCategory.DIAGNOSTIC,
        value_fn=_last_error_text,
        attributes_fn=_last_error_attributes,
    ),
    RecordSensorDescription(
        key="sent_bytes",
        translation_key="sent_bytes",
        device_class=SensorDeviceClass.DATA_SIZE,
        state_class=SensorStateClass.TOTAL_INCREASING,
        native_unit_of_measurement=UnitOfInformation.BYTES,
        value_fn=lambda coordinator: coordinator.traffic.sent_bytes,
    ),
    RecordSensorDescription(
        key="received_bytes",
        translation_key="received_bytes",
        device_class=SensorDeviceClass.DATA_SIZE,
        state_class=SensorStateClass.TOTAL_INCREASING,
        native_unit_of_measurement=UnitOfInformation.BYTES,
        value_fn=lambda coordinator: coordinator.traffic.received_bytes,
    ),
)


async def async_setup_entry(
    hass: HomeAssistant,
    entry: CellularUplinkConfigEntry,
    async_add_entities: AddConfigEntryEntitiesCallback,
) -> None:
    """Add the sensors of the modem and of its destinations."""
    coordinator = entry.runtime_data
    async_add_entities(StatusSensor(coordinator, description) for description in STATUS_SENSORS)
    async_add_entities([FirmwareSensor(coordinator, FIRMWARE_SENSOR), MatchedQuirksSensor(coordinator, QUIRKS_SENSOR)])
    async_add_entities(RecordSensor(coordinator, description) for description in RECORD_SENSORS)
    for subentry in entry.get_subentries_of_type(SUBENTRY_TYPE_DESTINATION):
        async_add_entities([EncryptionSensor(coordinator, subentry)], config_subentry_id=subentry.subentry_id)


class StatusSensor(ModemEntity, SensorEntity):
    """Something the modem was asked for at the last poll."""

    entity_description: StatusSensorDescription

    @property
    @override
    def native_value(self) -> StateType:
        return self.entity_description.value_fn(self.coordinator.data)


class FirmwareSensor(ModemEntity, SensorEntity):
    """The firmware: the reason for most of what a modem cannot do, so it has a history."""

    @property
    @override
    def native_value(self) -> StateType:
        return self.coordinator.identity.firmware


class MatchedQuirksSensor(ModemEntity, SensorEntity):
    """How many known faults concern this modem, and which; they explain what an upload does."""

    _unrecorded_attributes = frozenset({"quirks"})

    @property
    @override
    def native_value(self) -> StateType:
        return len(self.coordinator.matched_quirks)

    @property
    @override
    def extra_state_attributes(self) -> Mapping[str, Any]:
        told = ("id", "title", "confidence", "why", "sentence")
        quirks = [quirk.as_dict() for quirk in self.coordinator.matched_quirks]
        return {"quirks": [{name: quirk[name] for name in told} for quirk in quirks]}


class EncryptionSensor(SensorEntity):
    """The least encryption that an upload to a destination may get, known before the first; and that of the latest.

    It says what is set, so it stays available while the modem is gone.
    """

    _attr_has_entity_name = True
    _attr_should_poll = False

    def __init__(self, coordinator: ModemCoordinator, subentry: ConfigSubentry) -> None:
        self.entity_description = ENCRYPTION_SENSOR
        self._uploader = coordinator.uploader
        self._subentry_id = subentry.subentry_id
        self._attr_unique_id = f"{coordinator.config_entry.unique_id}_{subentry.subentry_id}_encryption"
        self._attr_device_info = destination_device_info(coordinator, subentry)
        self._attr_native_value = destination_encryption(subentry.data)

    @property
    @override
    def extra_state_attributes(self) -> Mapping[str, Any]:
        last = self._uploader.last_upload(self._subentry_id)
        return {"last_upload": None if last is None else used_encryption(last.result)}

    @override
    async def async_added_to_hass(self) -> None:
        self.async_on_remove(self._uploader.async_add_listener(self._subentry_id, self._async_upload_ended))

    @callback
    def _async_upload_ended(self, upload: Upload) -> None:
        self.async_write_ha_state()


class RecordSensor(ModemEntity, SensorEntity):
    """Something the integration counts or notes itself."""

    entity_description: RecordSensorDescription

    @property
    @override
    def available(self) -> bool:
        """The last error is needed most while the modem is gone."""
        return self.entity_description.is_always_available or super().available

    @property
    @override
    def native_value(self) -> StateType:
        return self.entity_description.value_fn(self.coordinator)

    @property
    @override
    def extra_state_attributes(self) -> Mapping[str, Any] | None:
        return self.entity_description.attributes_fn(self.coordinator)
