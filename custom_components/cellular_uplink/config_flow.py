"""Set-up of a modem: asks for port and network, talks to the modem, and only then creates the entry."""

from collections.abc import Mapping
import logging
import re
from typing import Any, override

from homeassistant.config_entries import (
    SOURCE_REAUTH,
    SOURCE_RECONFIGURE,
    SOURCE_USER,
    ConfigEntry,
    ConfigFlow,
    ConfigFlowResult,
    ConfigSubentryFlow,
    FlowType,
    SubentryFlowContext,
)
from homeassistant.const import CONF_DEVICE, CONF_PASSWORD, CONF_PIN, CONF_USERNAME
from homeassistant.core import callback
from homeassistant.data_entry_flow import AbortFlow, section
from homeassistant.helpers.selector import (
    SelectSelector,
    SelectSelectorConfig,
    SelectSelectorMode,
    SerialPortSelector,
    TextSelector,
    TextSelectorConfig,
    TextSelectorType,
)
import voluptuous as vol

from .const import (
    CONF_APN,
    CONF_BAUDRATE,
    CONF_IP_TYPE,
    CONF_OPERATOR,
    DOMAIN,
    SUBENTRY_TYPE_DESTINATION,
)
from .coordinator import PIN_CODES
from .destination_flow import DestinationFlow
from .modem.at.encoding import AtEncoder, Text
from .modem.drivers.base import Identity, IpType
from .modem.errors import InputError, ModemError, SimError
from .modem.session import ModemSession
from .modem.upload.request import check_text
from .pin_memory import async_get_pin_memory
from .settings import session_settings

_LOGGER = logging.getLogger(__name__)

BAUDRATE_AUTO = "auto"
BAUDRATES = ["9600", "19200", "38400", "57600", "115200", "230400", "460800", "921600"]
MAX_APN_CHARS = 100
MAX_CREDENTIAL_CHARS = 64

SECTION_NETWORK = "network"

EXPLAINED_CODES = frozenset(
    {
        "no_answer",
        "not_a_modem",
        "not_responding",
        "pin_last_try",
        "port_busy",
        "port_invalid",
        "port_lost",
        "port_missing",
        "puk_required",
        "sim_busy",
        "sim_failure",
        "sim_missing",
    }
)
"""Failures with an error message of their own; any other is shown in the words of the engine."""

_PASSWORD = TextSelector(TextSelectorConfig(type=TextSelectorType.PASSWORD, autocomplete="off"))
_DIGITS = re.compile(r"[0-9]+")

MODEM_SCHEMA = vol.Schema(
    {
        vol.Required(CONF_DEVICE): SerialPortSelector(),
        vol.Required(CONF_BAUDRATE, default=BAUDRATE_AUTO): SelectSelector(
            SelectSelectorConfig(
                options=[BAUDRATE_AUTO, *BAUDRATES],
                mode=SelectSelectorMode.DROPDOWN,
                translation_key=CONF_BAUDRATE,
            )
        ),
        vol.Optional(CONF_APN): TextSelector(),
        vol.Required(SECTION_NETWORK): section(
            vol.Schema(
                {
                    vol.Optional(CONF_USERNAME): TextSelector(TextSelectorConfig(autocomplete="off")),
                    vol.Optional(CONF_PASSWORD): _PASSWORD,
                    vol.Required(CONF_IP_TYPE, default=IpType.IPV4V6.value): SelectSelector(
                        SelectSelectorConfig(
                            options=[ip_type.value for ip_type in IpType],
                            mode=SelectSelectorMode.DROPDOWN,
                            translation_key=CONF_IP_TYPE,
                        )
                    ),
                    vol.Optional(CONF_OPERATOR): TextSelector(),
                }
            ),
            {"collapsed": True},
        ),
    }
)

PIN_SCHEMA = vol.Schema({vol.Required(CONF_PIN): _PASSWORD})


class CellularUplinkConfigFlow(ConfigFlow, domain=DOMAIN):
    """Set a modem up, move it to other settings, or ask for its PIN again."""

    def __init__(self) -> None:
        self._data: dict[str, Any] = {}
        self._placeholders: dict[str, str] = {}

    @classmethod
    @callback
    @override
    def async_get_supported_subentry_types(cls, config_entry: ConfigEntry) -> dict[str, type[ConfigSubentryFlow]]:
        return {SUBENTRY_TYPE_DESTINATION: DestinationFlow}

    @override
    async def async_step_user(self, user_input: dict[str, Any] | None = None) -> ConfigFlowResult:
        """Ask how to reach the modem and its network."""
        return await self._async_step_modem(SOURCE_USER, user_input)

    async def async_step_reconfigure(self, user_input: dict[str, Any] | None = None) -> ConfigFlowResult:
        """Ask again, with what is set."""
        return await self._async_step_modem(SOURCE_RECONFIGURE, user_input)

    async def _async_step_modem(self, step_id: str, user_input: dict[str, Any] | None) -> ConfigFlowResult:
        entry = self._existing_entry()
        errors: dict[str, str] = {}
        if user_input is not None:
            self._data = _entry_data(user_input, entry.data if entry else {})
            errors = self._check()
            if not errors:
                self._abort_if_port_is_taken()
                try:
                    return await self._async_finish(await self._async_probe())
                except ModemError as err:
                    if isinstance(err, SimError) and err.code in PIN_CODES:
                        self._count_tries(err)
                        return await self.async_step_pin()
                    errors = self._explain(err)
        suggested = user_input if user_input is not None else _form_values(entry.data if entry else {})
        return self.async_show_form(
            step_id=step_id,
            data_schema=self.add_suggested_values_to_schema(MODEM_SCHEMA, suggested),
            errors=errors,
            description_placeholders=self._placeholders,
        )

    async def async_step_pin(self, user_input: dict[str, Any] | None = None) -> ConfigFlowResult:
        """Ask for the PIN of the SIM."""
        return await self._async_step_unlock("pin", user_input)

    async def async_step_reauth(self, entry_data: Mapping[str, Any]) -> ConfigFlowResult:
        """The SIM no longer takes the PIN it was given."""
        self._data = dict(entry_data)
        self._placeholders["tries_left"] = "?"
        return await self.async_step_reauth_confirm()

    async def async_step_reauth_confirm(self, user_input: dict[str, Any] | None = None) -> ConfigFlowResult:
        """Ask for the PIN of the SIM again."""
        return await self._async_step_unlock("reauth_confirm", user_input)

    async def _async_step_unlock(self, step_id: str, user_input: dict[str, Any] | None) -> ConfigFlowResult:
        errors: dict[str, str] = {}
        if user_input is not None:
            pin: str = user_input[CONF_PIN].strip()
            if not _DIGITS.fullmatch(pin) or not 4 <= len(pin) <= 8:
                errors[CONF_PIN] = "invalid_pin"
            else:
                self._data[CONF_PIN] = pin
                try:
                    return await self._async_finish(await self._async_probe())
                except ModemError as err:
                    if isinstance(err, SimError) and err.code in PIN_CODES:
                        self._count_tries(err)
                        errors[CONF_PIN] = err.code
                    else:
                        errors = self._explain(err)
        return self.async_show_form(
            step_id=step_id, data_schema=PIN_SCHEMA, errors=errors, description_placeholders=self._placeholders
        )

    async def _async_probe(self) -> Identity:
        """Open the modem with the settings given, and close it again.

        An entry that holds the port is unloaded for it. Unless its own modem answers (the entry is then loaded again
        with the new settings), it is put back to work as it was.
        """
        if (entry := self._existing_entry()) is None:
            return await self._async_identify()
        if not await self.hass.config_entries.async_unload(entry.entry_id):
            raise AbortFlow("unload_failed")
        matches = False
        try:
            identity = await self._async_identify()
            matches = identity.imei == entry.unique_id
        finally:
            if not matches:
                await self.hass.config_entries.async_setup(entry.entry_id)
        return identity

    async def _async_identify(self) -> Identity:
        session = ModemSession(session_settings(self._data), pin_memory=await async_get_pin_memory(self.hass))
        try:
            return await session.open()
        finally:
            await session.close()

    async def _async_finish(self, identity: Identity) -> ConfigFlowResult:
        """Create or update the entry of the modem that answered."""
        if identity.imei is None:
            raise AbortFlow("no_imei")
        await self.async_set_unique_id(identity.imei, raise_on_progress=False)
        if (entry := self._existing_entry()) is not None:
            self._abort_if_unique_id_mismatch(reason="wrong_modem")
            result = self.async_update_and_abort(entry, data=self._data)
            # It was unloaded for the probe, and its update listener with it.
            self.hass.config_entries.async_schedule_reload(entry.entry_id)
            return result
        self._abort_if_unique_id_configured()
        return self.async_create_entry(title=_title(identity), data=self._data)

    @override
    async def async_on_create_entry(self, result: ConfigFlowResult) -> ConfigFlowResult:
        """Go on with the first destination: a modem alone sends nothing anywhere."""
        destination = await self.hass.config_entries.subentries.async_init(
            (result["result"].entry_id, SUBENTRY_TYPE_DESTINATION), context=SubentryFlowContext(source=SOURCE_USER)
        )
        result["next_flow"] = (FlowType.CONFIG_SUBENTRIES_FLOW, destination["flow_id"])
        return result

    def _existing_entry(self) -> ConfigEntry | None:
        if self.source == SOURCE_REAUTH:
            return self._get_reauth_entry()
        return self._get_reconfigure_entry() if self.source == SOURCE_RECONFIGURE else None

    def _abort_if_port_is_taken(self) -> None:
        """Another entry's modem is on this port: probing would only find it busy."""
        entry = self._existing_entry()
        for other in self._async_current_entries(include_ignore=False):
            if other is not entry and other.data[CONF_DEVICE] == self._data[CONF_DEVICE]:
                raise AbortFlow("already_configured")

    def _check(self) -> dict[str, str]:
        """Return errors by field. The frontend shows none inside a section: there they stand at the section's head."""
        data = self._data
        encoder = AtEncoder()
        for name, place, maximum in (
            (CONF_APN, CONF_APN, MAX_APN_CHARS),
            (CONF_USERNAME, SECTION_NETWORK, MAX_CREDENTIAL_CHARS),
            (CONF_PASSWORD, SECTION_NETWORK, MAX_CREDENTIAL_CHARS),
        ):
            try:
                check_text(name, data[name], maximum=maximum)
                encoder.check(Text(name, data[name]))
            except InputError as err:
                self._placeholders["reason"] = err.reason
                return {place: f"invalid_{name}"}
        if " " in data[CONF_APN]:
            self._placeholders["reason"] = "contains a space"
            return {CONF_APN: "invalid_apn"}
        if data[CONF_OPERATOR] and not (_DIGITS.fullmatch(data[CONF_OPERATOR]) and len(data[CONF_OPERATOR]) in (5, 6)):
            return {SECTION_NETWORK: "invalid_operator"}
        return {}

    def _explain(self, error: ModemError) -> dict[str, str]:
        _LOGGER.debug("The modem did not pass the probe: %s", error)
        if isinstance(error, InputError):
            self._placeholders["reason"] = error.reason
            return {CONF_APN if error.field == CONF_APN else SECTION_NETWORK: "invalid_setting"}
        if error.code in EXPLAINED_CODES:
            return {"base": error.code}
        self._placeholders |= {"message": error.message, "error_class": error.kind, "code": error.code}
        return {"base": "modem_error"}

    def _count_tries(self, error: SimError) -> None:
        self._placeholders["tries_left"] = "?" if error.tries_left is None else str(error.tries_left)


def _entry_data(user_input: dict[str, Any], stored: Mapping[str, Any]) -> dict[str, Any]:
    """Return what an entry stores. A password left empty stays as it was, unless the user name has changed."""
    network: dict[str, Any] = user_input[SECTION_NETWORK]
    baudrate: str = user_input[CONF_BAUDRATE]
    username: str = network.get(CONF_USERNAME, "")
    kept = stored.get(CONF_PASSWORD, "") if username == stored.get(CONF_USERNAME) else ""
    data = {
        CONF_DEVICE: user_input[CONF_DEVICE].strip(),
        CONF_BAUDRATE: None if baudrate == BAUDRATE_AUTO else int(baudrate),
        CONF_APN: user_input.get(CONF_APN, "").strip(),
        CONF_USERNAME: username,
        CONF_PASSWORD: network.get(CONF_PASSWORD) or kept,
        CONF_IP_TYPE: network[CONF_IP_TYPE],
        CONF_OPERATOR: network.get(CONF_OPERATOR, "").strip(),
    }
    if CONF_PIN in stored:
        data[CONF_PIN] = stored[CONF_PIN]
    return data


def _form_values(data: Mapping[str, Any]) -> dict[str, Any]:
    """Return what an entry stores as the form shows it; the password is never sent to a browser."""
    if not data:
        return {}
    return {
        CONF_DEVICE: data[CONF_DEVICE],
        CONF_BAUDRATE: BAUDRATE_AUTO if data[CONF_BAUDRATE] is None else str(data[CONF_BAUDRATE]),
        CONF_APN: data[CONF_APN],
        SECTION_NETWORK: {name: data[name] for name in (CONF_USERNAME, CONF_IP_TYPE, CONF_OPERATOR)},
    }


def _title(identity: Identity) -> str:
    return " ".join(part for part in (identity.vendor, identity.model) if part) or "LTE modem"
