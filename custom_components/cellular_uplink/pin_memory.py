"""Remembers which PIN was entered into which SIM, so that a refused one never costs a second try."""

import hashlib
import hmac
import secrets
from typing import TypedDict, override

from homeassistant.core import HomeAssistant
from homeassistant.helpers.singleton import singleton
from homeassistant.helpers.storage import Store

from .const import DOMAIN
from .modem.drivers.base import PinMemory

STORAGE_KEY = f"{DOMAIN}.pins"
STORAGE_VERSION = 1


class _Stored(TypedDict):
    key: str
    outcomes: dict[str, bool]


class StoredPinMemory(PinMemory):
    """Keeps outcomes over restarts, under a keyed hash of SIM and PIN: neither stands there in clear.

    A PIN is short: who can read the key beside it can try all of them. The hash keeps PINs out of sight, not safe from
    somebody who owns the disk (where the config entry holds the PIN in use anyway).
    """

    def __init__(self, hass: HomeAssistant) -> None:
        """Start empty; `async_load` fills it."""
        self._hass = hass
        self._store: Store[_Stored] = Store(hass, STORAGE_VERSION, STORAGE_KEY, private=True, atomic_writes=True)
        self._key = secrets.token_bytes(32)
        self._outcomes: dict[str, bool] = {}

    async def async_load(self) -> None:
        """Read what earlier runs stored."""
        if (stored := await self._store.async_load()) is not None:
            self._key = bytes.fromhex(stored["key"])
            self._outcomes = dict(stored["outcomes"])

    @override
    def was_refused(self, iccid: str | None, pin: str) -> bool:
        return self._outcomes.get(self._name(iccid, pin)) is True

    @override
    def was_entered(self, iccid: str | None, pin: str) -> bool:
        return self._name(iccid, pin) in self._outcomes

    @override
    def remember(self, iccid: str | None, pin: str, *, refused: bool) -> None:
        self._outcomes[self._name(iccid, pin)] = refused
        self._save()

    @override
    def forget(self, iccid: str | None, pin: str) -> None:
        if self._outcomes.pop(self._name(iccid, pin), None) is not None:
            self._save()

    def _save(self) -> None:
        # The interface is synchronous (the modem must not wait for a disk); the task starts, and writes, at once.
        self._hass.async_create_task(self._store.async_save(self._stored()), f"{DOMAIN} remember PIN outcome")

    def _stored(self) -> _Stored:
        return {"key": self._key.hex(), "outcomes": dict(self._outcomes)}

    def _name(self, iccid: str | None, pin: str) -> str:
        return hmac.digest(self._key, f"{iccid or ''}\0{pin}".encode(), hashlib.sha256).hex()


@singleton(f"{DOMAIN}_pin_memory")
async def async_get_pin_memory(hass: HomeAssistant) -> StoredPinMemory:
    """Return the one memory of this Home Assistant, loaded."""
    memory = StoredPinMemory(hass)
    await memory.async_load()
    return memory
