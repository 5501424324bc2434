"""Carries uploads out through one modem and tells who listens how they ended."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
import ssl

from homeassistant.config_entries import ConfigSubentry
from homeassistant.core import HomeAssistant, callback

from .modem.quirks.registry import Quirk
from .modem.session import ModemSession
from .modem.upload.engine import UploadEngine
from .modem.upload.request import Picture, check_destination, check_picture
from .modem.upload.result import UploadResult
from .outcome_memory import StoredOutcomeMemory
from .settings import destination_choices, destination_settings, destination_ssl_context, needs_trust


@dataclass(frozen=True, slots=True, kw_only=True)
class Upload:
    """One upload that has ended: what was sent, from where, and how it went."""

    file_name: str
    source: str
    result: UploadResult


type UploadListener = Callable[[Upload], None]


class Uploader:
    """Sends pictures to the destinations of one config entry.

    `engine`, `quirks` (the catalogue) and `memory` (outcomes, which are stored) are for whoever else sends through this
    modem, such as a self-test.
    """

    def __init__(
        self,
        hass: HomeAssistant,
        session: ModemSession,
        *,
        quirks: tuple[Quirk, ...],
        memory: StoredOutcomeMemory,
        on_result: Callable[[UploadResult], None],
    ) -> None:
        self._hass = hass
        self.quirks = quirks
        self.memory = memory
        self.engine = UploadEngine(session, quirks=quirks, memory=memory)
        self._on_result = on_result
        self._listeners: dict[str, list[UploadListener]] = {}
        self._last: dict[str, Upload] = {}
        self._ssl_contexts: dict[str, ssl.SSLContext] = {}

    @callback
    def async_add_listener(self, subentry_id: str, listener: UploadListener) -> Callable[[], None]:
        """Call `listener` after every upload to one destination; returns what ends it."""
        listeners = self._listeners.setdefault(subentry_id, [])
        listeners.append(listener)
        return lambda: listeners.remove(listener)

    def last_upload(self, subentry_id: str) -> Upload | None:
        """Return the latest upload to a destination since the entry was loaded."""
        return self._last.get(subentry_id)

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
        choices = destination_choices(subentry.data, destination)
        ssl_context = await self._async_ssl_context(subentry) if needs_trust(destination, choices) else None
        result = await self.engine.upload(destination, picture, ssl_context=ssl_context, choices=choices)
        upload = Upload(file_name=picture.file_name, source=source, result=result)
        self._last[subentry.subentry_id] = upload
        self._on_result(result)
        for listener in tuple(self._listeners.get(subentry.subentry_id, ())):
            listener(upload)
        return result

    async def async_store_outcomes(self) -> None:
        """Write what was learned at once; without this, it is written a while later."""
        await self.memory.async_save()

    async def async_close(self) -> None:
        """Give the sockets of the modem back, and store what was learned."""
        await self.engine.aclose()
        await self.memory.async_close()

    async def _async_ssl_context(self, subentry: ConfigSubentry) -> ssl.SSLContext:
        """A change of the subentry reloads the entry, and this object with it: a context never gets old."""
        if (context := self._ssl_contexts.get(subentry.subentry_id)) is None:
            context = await self._hass.async_add_executor_job(destination_ssl_context, subentry.data)
            self._ssl_contexts[subentry.subentry_id] = context
        return context
