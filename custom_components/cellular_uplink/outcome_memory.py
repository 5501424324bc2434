"""Keeps how ways out have fared, and what self-tests found, in Home Assistant's storage, one file an entry."""

from collections.abc import Iterable, Mapping
from typing import override

from homeassistant.core import HomeAssistant, callback
from homeassistant.helpers.storage import Store

from .const import DOMAIN
from .modem.drivers.base import Identity
from .modem.quirks.registry import Finding
from .modem.routes.plan import PlannedAttempt
from .modem.upload.memory import OutcomeMemory

STORAGE_VERSION = 1
SAVE_DELAY_S = 60.0
"""Uploads often come in a row: what they teach is written once. It is no loss if a power cut takes it."""

type OutcomeStore = Store[dict[str, object]]


class StoredOutcomeMemory(OutcomeMemory):
    """Writes itself to a store a while after something was recorded."""

    def __init__(self, store: OutcomeStore, stored: Mapping[str, object] | None) -> None:
        super().__init__(stored)
        self._store = store
        self._is_changed = False
        self._is_closed = False

    @override
    def record(
        self, identity: Identity, kind: str, attempt: PlannedAttempt, *, worked: bool, now: float | None = None
    ) -> None:
        super().record(identity, kind, attempt, worked=worked, now=now)
        self._async_save_later()

    @override
    def record_findings(self, identity: Identity, findings: Iterable[Finding]) -> None:
        super().record_findings(identity, findings)
        self._async_save_later()

    @callback
    def _async_save_later(self) -> None:
        self._is_changed = True
        if not self._is_closed:  # the entry, and with it the file, may be gone
            self._store.async_delay_save(self.as_dict, SAVE_DELAY_S)

    async def async_save(self) -> None:
        """Write what is not written yet, without waiting for more."""
        if self._is_changed and not self._is_closed:
            self._is_changed = False
            await self._store.async_save(self.as_dict())

    async def async_close(self) -> None:
        """Write what is not written yet; what is recorded from now on is not kept."""
        is_unwritten = self._is_changed and not self._is_closed
        self._is_closed = True  # first: nothing may be written later to a file that may be gone by then
        if is_unwritten:
            await self._store.async_save(self.as_dict())


async def async_load_outcomes(hass: HomeAssistant, entry_id: str) -> StoredOutcomeMemory:
    """Return what was learned with the modem of a config entry."""
    store = _store(hass, entry_id)
    return StoredOutcomeMemory(store, await store.async_load())


async def async_remove_outcomes(hass: HomeAssistant, entry_id: str) -> None:
    """Forget what was learned with the modem of a config entry."""
    await _store(hass, entry_id).async_remove()


def _store(hass: HomeAssistant, entry_id: str) -> OutcomeStore:
    return Store(hass, STORAGE_VERSION, f"{DOMAIN}.outcomes.{entry_id}")
