"""Polls one modem, notices when it goes and comes back, and holds what the integration knows about it."""

from dataclasses import dataclass, replace
from datetime import datetime
import logging
from typing import override

from homeassistant.config_entries import ConfigEntry
from homeassistant.core import HomeAssistant, callback
from homeassistant.exceptions import ConfigEntryAuthFailed
from homeassistant.helpers import device_registry as dr
from homeassistant.helpers.debounce import Debouncer
from homeassistant.helpers.update_coordinator import DataUpdateCoordinator, UpdateFailed
from homeassistant.util import dt as dt_util

from .const import DOMAIN, POLL_INTERVAL, RETRY_INTERVAL
from .modem.drivers.base import Identity, ModemStatus, PinMemory, Traffic
from .modem.errors import LinkError, ModemError, SimError
from .modem.quirks.registry import MatchedQuirk, match
from .modem.session import ModemSession
from .modem.upload.result import UploadResult
from .outcome_memory import StoredOutcomeMemory
from .quirk_catalogue import QuirkCatalogue
from .settings import session_settings
from .uploader import Uploader

_LOGGER = logging.getLogger(__name__)

PIN_CODES = frozenset({"pin_required", "pin_wrong", "pin_refused"})
"""SIM errors a new PIN helps against."""

URC_COOLDOWN_S = 2.0
"""URCs come in bursts, such as those of a registration: one poll answers for all of them."""

type CellularUplinkConfigEntry = ConfigEntry[ModemCoordinator]


@dataclass(frozen=True, slots=True)
class LastError:
    """The latest failure of the modem or of an upload, and when it was."""

    error: ModemError
    when: datetime


class TrafficMeter:
    """Adds the traffic of one opening of the modem to that of the ones before."""

    def __init__(self) -> None:
        self._current = Traffic()
        self._earlier = Traffic()

    def follow(self, current: Traffic) -> None:
        """Count `current` from now on; what the one before it counted is kept."""
        if current is not self._current:
            self._earlier = Traffic(self.sent_bytes, self.received_bytes)
            self._current = current

    @property
    def sent_bytes(self) -> int:
        """Bytes sent since the config entry was loaded."""
        return self._earlier.sent_bytes + self._current.sent_bytes

    @property
    def received_bytes(self) -> int:
        """Bytes received since the config entry was loaded."""
        return self._earlier.received_bytes + self._current.received_bytes


class ModemCoordinator(DataUpdateCoordinator[ModemStatus]):
    """Asks the modem for its status every minute, more often while it is gone, and at once when a URC says so."""

    config_entry: CellularUplinkConfigEntry

    def __init__(
        self,
        hass: HomeAssistant,
        entry: CellularUplinkConfigEntry,
        *,
        pin_memory: PinMemory,
        catalogue: QuirkCatalogue,
        memory: StoredOutcomeMemory,
    ) -> None:
        super().__init__(
            hass,
            _LOGGER,
            config_entry=entry,
            name=entry.title,
            update_interval=POLL_INTERVAL,
            request_refresh_debouncer=Debouncer(
                hass, _LOGGER, cooldown=URC_COOLDOWN_S, immediate=True, background=True
            ),
            always_update=False,
        )
        settings = replace(session_settings(entry.data), imei=entry.unique_id)
        self.session = ModemSession(settings, pin_memory=pin_memory, on_lost=self._async_modem_lost)
        self.catalogue = catalogue
        self.uploader = Uploader(
            hass, self.session, quirks=catalogue.quirks, memory=memory, on_result=self._async_upload_ended
        )
        self.matched_quirks: tuple[MatchedQuirk, ...] = ()
        """Known faults of this modem's firmware; filled once the first refresh has succeeded."""
        self._matched_for: Identity | None = None
        self.traffic = TrafficMeter()
        self.last_error: LastError | None = None

    @property
    def identity(self) -> Identity:
        """Who the modem is; known once the first refresh has succeeded."""
        return self.session.identity

    async def async_close(self) -> None:
        """Let go of the modem and of its port."""
        await self.uploader.async_close()
        await self.session.close()

    @override
    async def _async_setup(self) -> None:
        self.config_entry.async_on_unload(self.session.subscribe(self._async_status_changed))

    @override
    async def _async_update_data(self) -> ModemStatus:
        try:
            status = await self.session.read_status()
        except ModemError as err:
            self.update_interval = RETRY_INTERVAL
            # While the modem stays away the same way, the last error keeps the time it went.
            if self.last_update_success or self.last_error is None or self.last_error.error.code != err.code:
                self._async_note_error(err)
            if isinstance(err, SimError) and err.code in PIN_CODES:
                raise ConfigEntryAuthFailed(
                    translation_domain=DOMAIN,
                    translation_key="pin_needed",
                    translation_placeholders=error_placeholders(err),
                ) from err
            raise _unavailable(err) from err
        # Where URCs go to another port of the modem, nobody else tells when the network is found.
        self.update_interval = POLL_INTERVAL if status.registration.is_registered else RETRY_INTERVAL
        self._async_follow_traffic()
        self._async_follow_identity()
        return status

    @callback
    def _async_modem_lost(self, error: LinkError) -> None:
        """The port is gone: entities say so at once, and the modem is looked for sooner than at the next poll."""
        self._async_note_error(error)
        self.async_set_update_error(_unavailable(error))
        self.update_interval = RETRY_INTERVAL
        if self._listeners:
            self._schedule_refresh()

    @callback
    def _async_status_changed(self) -> None:
        self.config_entry.async_create_background_task(
            self.hass, self.async_request_refresh(), f"{DOMAIN} refresh", eager_start=True
        )

    @callback
    def _async_upload_ended(self, result: UploadResult) -> None:
        self._async_follow_traffic()
        if result.error is not None:
            self._async_note_error(result.error)
        else:
            self.async_update_listeners()
        if result.ok and not self.last_update_success:
            self._async_status_changed()  # the upload has found the modem again before the next look

    @callback
    def _async_follow_traffic(self) -> None:
        if self.session.is_open:
            self.traffic.follow(self.session.driver.traffic)

    @callback
    def _async_follow_identity(self) -> None:
        """Another firmware has other faults."""
        identity = self.identity
        if identity == self._matched_for:
            return
        self._matched_for = identity
        self.async_match_quirks()
        registry = dr.async_get(self.hass)
        entry = self.config_entry
        device = registry.async_get_device_by_identifier((DOMAIN, str(entry.unique_id)), config_entry_id=entry.entry_id)
        if device is not None:  # at set-up there is none yet
            registry.async_update_device(device.id, sw_version=identity.firmware)

    @callback
    def async_match_quirks(self) -> None:
        """Tell anew which faults are known of this firmware; a self-test may have found something."""
        findings = self.uploader.memory.findings(self.identity)
        self.matched_quirks = match(self.identity, self.catalogue.quirks, findings)
        self.async_update_listeners()

    @callback
    def _async_note_error(self, error: ModemError) -> None:
        self.last_error = LastError(error, dt_util.utcnow())
        self.async_update_listeners()


def error_placeholders(error: ModemError) -> dict[str, str]:
    """Return class, code and sentence of an error as translated messages take them."""
    return {"error_class": error.kind, "code": error.code, "message": error.message}


def _unavailable(error: ModemError) -> UpdateFailed:
    return UpdateFailed(
        translation_domain=DOMAIN,
        translation_key="modem_unavailable",
        translation_placeholders=error_placeholders(error),
    )
