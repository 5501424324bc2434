"""Carries uploads out through one modem and tells who listens how they ended."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
import ssl

from homeassistant.config_entries import ConfigSubentry
from homeassistant.core import HomeAssistant, callback
from homeassistant.helpers.storage import Store

from .const import DOMAIN
from .modem.quirks.loader import load_quirks
from .modem.quirks.registry import Quirk
from .modem.routes.plan import RouteName
from .modem.session import ModemSession
from .modem.upload.choices import Choices
from .modem.upload.engine import UploadEngine
from .modem.upload.memory import OutcomeMemory
from .modem.upload.request import Picture, check_destination, check_picture
from .modem.upload.result import UploadResult
from .settings import destination_settings, destination_ssl_context

STORE_VERSION = 1

SOCKET_ONLY = Choices(route=RouteName.SOCKET)
"""A destination cannot say yet that the modem's own HTTP client may be used."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Upload:
    """One upload that has ended: what was sent, from where, and how it went."""

    file_name: str
    source: str
    result: UploadResult


type UploadListener = Callable[[Upload], None]


class Uploader:
    """Sends pictures to the destinations of one config entry."""

    def __init__(
        self, hass: HomeAssistant, session: ModemSession, on_result: Callable[[UploadResult], None], entry_id: str
    ) -> None:
        self._hass = hass
        self._session = session
        self.quirks: tuple[Quirk, ...] = ()
        self.memory = OutcomeMemory()
        self.engine = UploadEngine(session, memory=self.memory)
        self._store: Store[dict[str, object]] = Store(
            hass, STORE_VERSION, f"{DOMAIN}.outcomes.{entry_id}", private=True
        )
        self._on_result = on_result
        self._listeners: dict[str, list[UploadListener]] = {}
        self._ssl_contexts: dict[str, ssl.SSLContext] = {}

    async def async_load(self) -> None:
        """Load the quirk catalogue, and what was learned before."""
        self.quirks = await self._hass.async_add_executor_job(load_quirks)
        self.memory = OutcomeMemory(await self._store.async_load())
        self.engine = UploadEngine(self._session, quirks=self.quirks, memory=self.memory)

    async def async_store_outcomes(self) -> None:
        """Store what was learned."""
        await self._store.async_save(self.memory.as_dict())

    @callback
    def async_add_listener(self, subentry_id: str, listener: UploadListener) -> Callable[[], None]:
        """Call `listener` after every upload to one destination; returns what ends it."""
        listeners = self._listeners.setdefault(subentry_id, [])
        listeners.append(listener)
        return lambda: listeners.remove(listener)

    async def async_upload(
        self,
        subentry: ConfigSubentry,
        picture: Picture,
        *,
        source: str,
        fields: Mapping[str, str],
        headers: Mapping[str, str],
    ) -> UploadResult:
        """Send one picture; a failed delivery is in the result.

        Raises:
            InputError: the picture, a field or a header cannot be sent; nothing has reached the port.
        """
        destination = destination_settings(subentry.data, fields=fields, headers=headers)
        check_destination(destination)
        check_picture(picture)
        ssl_context = await self._async_ssl_context(subentry) if destination.is_https else None
        result = await self.engine.upload(destination, picture, ssl_context=ssl_context, choices=SOCKET_ONLY)
        self._on_result(result)
        for listener in tuple(self._listeners.get(subentry.subentry_id, ())):
            listener(Upload(file_name=picture.file_name, source=source, result=result))
        return result

    async def async_close(self) -> None:
        """Give the sockets of the modem back."""
        await self.engine.aclose()

    async def _async_ssl_context(self, subentry: ConfigSubentry) -> ssl.SSLContext:
        """A change of the subentry reloads the entry, and this object with it: a context never gets old."""
        if (context := self._ssl_contexts.get(subentry.subentry_id)) is None:
            context = await self._hass.async_add_executor_job(destination_ssl_context, subentry.data)
            self._ssl_contexts[subentry.subentry_id] = context
        return context
