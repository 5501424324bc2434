"""The action that finds out which known faults a modem has. It costs data and writes to a server: admins only."""

from typing import Any

from homeassistant.const import CONF_URL, CONF_VERIFY_SSL
from homeassistant.core import HomeAssistant, ServiceCall, ServiceResponse, SupportsResponse, callback
from homeassistant.exceptions import HomeAssistantError, ServiceValidationError
from homeassistant.helpers import config_validation as cv
from homeassistant.helpers.service import async_get_device_and_config_entry, async_register_admin_service
from homeassistant.util.hass_dict import HassKey
import voluptuous as vol

from .action_errors import bad_input
from .const import CONF_CA, DOMAIN
from .coordinator import CellularUplinkConfigEntry, error_placeholders
from .modem.errors import InputError, ModemError
from .modem.routes.plan import HttpCommand, RouteName, TlsPlace
from .modem.routes.tls import build_ssl_context
from .modem.upload.cases import Agenda, Wish, plan_cases
from .modem.upload.request import Destination, check_destination
from .modem.upload.selftest import run_selftest
from .settings import checked_ca

SERVICE_RUN_SELF_TEST = "run_self_test"

ATTR_COMMANDS = "commands"
ATTR_LIMIT_KILOBYTES = "limit_kilobytes"
ATTR_MODEM = "modem"
ATTR_ROUTE = "route"
ATTR_TLS = "tls"

SELF_TEST_SCHEMA = vol.Schema(
    {
        vol.Required(ATTR_MODEM): cv.string,
        vol.Required(CONF_URL): cv.string,
        vol.Optional(ATTR_LIMIT_KILOBYTES): vol.All(vol.Coerce(int), vol.Range(min=1, max=100_000)),
        vol.Optional(ATTR_TLS, default=TlsPlace.HOST.value): vol.In([TlsPlace.HOST.value, TlsPlace.MODEM.value]),
        vol.Optional(CONF_VERIFY_SSL, default=True): cv.boolean,
        vol.Optional(CONF_CA, default=""): cv.string,
        vol.Optional(ATTR_ROUTE): vol.In([route.value for route in RouteName]),
        vol.Optional(ATTR_COMMANDS, default=list): vol.All(
            cv.ensure_list, [vol.In([command.value for command in HttpCommand])]
        ),
    }
)

_RUNNING: HassKey[set[str]] = HassKey(f"{DOMAIN}_self_tests")
"""Config entries with a self-test under way."""


@callback
def async_setup_self_test(hass: HomeAssistant) -> None:
    """Register the action."""
    async_register_admin_service(
        hass,
        DOMAIN,
        SERVICE_RUN_SELF_TEST,
        _async_run_self_test,
        schema=SELF_TEST_SCHEMA,
        supports_response=SupportsResponse.ONLY,
    )


async def _async_run_self_test(call: ServiceCall) -> ServiceResponse:
    """Test the modem and keep what was found. One that was stopped says so in its response.

    Raises:
        ServiceValidationError: something the user gave cannot be, or the test costs more than the limit.
        HomeAssistantError: the modem cannot be tested.
    """
    entry = _entry_of(call)
    with bad_input():
        wish = await _async_wish(call)
    running = call.hass.data.setdefault(_RUNNING, set())
    if entry.entry_id in running:
        raise HomeAssistantError(translation_domain=DOMAIN, translation_key="self_test_running")
    running.add(entry.entry_id)
    try:
        return await _async_test(entry, wish, call.data.get(ATTR_LIMIT_KILOBYTES))
    finally:
        running.discard(entry.entry_id)


async def _async_test(entry: CellularUplinkConfigEntry, wish: Wish, limit_kilobytes: int | None) -> ServiceResponse:
    """Run it on the engine that uploads use, too: what they share it locks."""
    uploader = entry.runtime_data.uploader
    try:
        with bad_input():
            agenda = plan_cases(await entry.runtime_data.session.open(), uploader.quirks, wish)
            result = await run_selftest(uploader.engine, agenda, _limit_bytes(agenda, limit_kilobytes))
    except ModemError as err:
        raise HomeAssistantError(
            translation_domain=DOMAIN,
            translation_key="modem_unavailable",
            translation_placeholders=error_placeholders(err),
        ) from err
    if result.findings:
        uploader.memory.record_findings(agenda.identity, result.findings)
        await uploader.async_store_outcomes()
        entry.runtime_data.async_match_quirks()
    response: dict[str, Any] = {**result.as_dict(), "summary": "\n".join(result.lines())}
    return response


def _limit_bytes(agenda: Agenda, limit_kilobytes: int | None) -> int:
    """Return the limit in bytes; raises InputError with the kilobytes needed, in the action's own words."""
    needed = -(-agenda.cost_bytes // 1000)
    need = f"{len(agenda.cases)} requests take about {needed} kilobytes over the air, and they are not sent unasked"
    if limit_kilobytes is None:
        raise InputError(ATTR_LIMIT_KILOBYTES, f"is missing: {need}")
    if limit_kilobytes < needed:
        raise InputError(ATTR_LIMIT_KILOBYTES, f"is {limit_kilobytes}, but {need}")
    return limit_kilobytes * 1000


def _entry_of(call: ServiceCall) -> CellularUplinkConfigEntry:
    entry: CellularUplinkConfigEntry
    device, entry = async_get_device_and_config_entry(
        call.hass, DOMAIN, call.data[ATTR_MODEM], include_child_devices=False
    )
    if device.config_subentry_id is not None:
        raise ServiceValidationError(
            translation_domain=DOMAIN,
            translation_key="not_a_modem",
            translation_placeholders={"field": ATTR_MODEM, "device": device.name_by_user or device.name or device.id},
        )
    return entry


async def _async_wish(call: ServiceCall) -> Wish:
    destination = Destination(url=call.data[CONF_URL].strip())
    check_destination(destination)
    ca_pem = checked_ca(call.data[CONF_CA].strip()) or None
    context = None
    if destination.is_https:
        verify: bool = call.data[CONF_VERIFY_SSL]
        context = await call.hass.async_add_executor_job(lambda: build_ssl_context(ca_pem=ca_pem, verify=verify))
    return Wish(
        destination=destination,
        tls=TlsPlace(call.data[ATTR_TLS]),
        route=RouteName(call.data[ATTR_ROUTE]) if ATTR_ROUTE in call.data else None,
        commands=tuple(HttpCommand(command) for command in dict.fromkeys(call.data[ATTR_COMMANDS])),
        ssl_context=context,
        modem_ca_pem=ca_pem,
    )
