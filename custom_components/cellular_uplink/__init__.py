"""Cellular Uplink: sends camera pictures through an LTE modem on a serial port."""

from homeassistant.const import EVENT_HOMEASSISTANT_STOP, Platform
from homeassistant.core import Event, HomeAssistant
from homeassistant.helpers import config_validation as cv, device_registry as dr
from homeassistant.helpers.typing import ConfigType

from .const import DOMAIN
from .coordinator import CellularUplinkConfigEntry, ModemCoordinator
from .entity import modem_device_info
from .outcome_memory import async_load_outcomes, async_remove_outcomes
from .pin_memory import async_get_pin_memory
from .quirk_catalogue import async_get_quirk_catalogue
from .services import async_setup_services

PLATFORMS = [Platform.EVENT, Platform.SENSOR]

CONFIG_SCHEMA = cv.config_entry_only_config_schema(DOMAIN)


async def async_setup(hass: HomeAssistant, config: ConfigType) -> bool:
    """Register the actions."""
    async_setup_services(hass)
    return True


async def async_setup_entry(hass: HomeAssistant, entry: CellularUplinkConfigEntry) -> bool:
    """Open the modem and set its entities and destinations up."""
    coordinator = ModemCoordinator(
        hass,
        entry,
        pin_memory=await async_get_pin_memory(hass),
        catalogue=await async_get_quirk_catalogue(hass),
        memory=await async_load_outcomes(hass, entry.entry_id),
    )

    async def async_stop(_: Event) -> None:
        await coordinator.async_close()

    # Run however this setup, the entry or Home Assistant ends; closing a closed port is no harm.
    entry.async_on_unload(coordinator.async_close)
    entry.async_on_unload(hass.bus.async_listen_once(EVENT_HOMEASSISTANT_STOP, async_stop))
    await coordinator.async_config_entry_first_refresh()
    entry.runtime_data = coordinator

    # The devices of destinations point to that of the modem: it comes first.
    dr.async_get(hass).async_get_or_create(config_entry_id=entry.entry_id, **modem_device_info(coordinator))
    await hass.config_entries.async_forward_entry_setups(entry, PLATFORMS)
    entry.async_on_unload(entry.add_update_listener(_async_entry_updated))
    return True


async def async_unload_entry(hass: HomeAssistant, entry: CellularUplinkConfigEntry) -> bool:
    """Take the entities down; the port is closed with them."""
    return await hass.config_entries.async_unload_platforms(entry, PLATFORMS)


async def async_remove_entry(hass: HomeAssistant, entry: CellularUplinkConfigEntry) -> None:
    """Forget what was learned with this modem."""
    await async_remove_outcomes(hass, entry.entry_id)


async def _async_entry_updated(hass: HomeAssistant, entry: CellularUplinkConfigEntry) -> None:
    """A setting or a destination was added, changed or removed."""
    hass.config_entries.async_schedule_reload(entry.entry_id)
