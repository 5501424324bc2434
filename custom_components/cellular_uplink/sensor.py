"""Sensors of a modem: signal, network, data used, last error."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, override

from homeassistant.components.sensor import SensorDeviceClass, SensorEntity, SensorEntityDescription, SensorStateClass
from homeassistant.const import (
    SIGNAL_STRENGTH_DECIBELS,
    SIGNAL_STRENGTH_DECIBELS_MILLIWATT,
    EntityCategory,
    UnitOfInformation,
)
from homeassistant.core import HomeAssistant
from homeassistant.helpers.entity_platform import AddConfigEntryEntitiesCallback
from homeassistant.helpers.typing import StateType

from .coordinator import CellularUplinkConfigEntry, ModemCoordinator
from .entity import ModemEntity
from .modem.drivers.base import AccessTechnology, ModemStatus, RegistrationState

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
    """Add the sensors of the modem."""
    coordinator = entry.runtime_data
    async_add_entities(StatusSensor(coordinator, description) for description in STATUS_SENSORS)
    async_add_entities([FirmwareSensor(coordinator, FIRMWARE_SENSOR)])
    async_add_entities(RecordSensor(coordinator, description) for description in RECORD_SENSORS)


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
