"""The actions: upload a snapshot, upload a file; the self-test has a file of its own."""

import asyncio
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from homeassistant.config_entries import ConfigSubentry
from homeassistant.const import ATTR_ENTITY_ID
from homeassistant.core import (
    HomeAssistant,
    ServiceCall,
    ServiceResponse,
    SupportsResponse,
    callback,
    split_entity_id,
)
from homeassistant.exceptions import HomeAssistantError, ServiceValidationError
from homeassistant.helpers import config_validation as cv, device_registry as dr
from homeassistant.helpers.selector import MediaSelector
from homeassistant.helpers.service import async_get_device_and_config_entry
import voluptuous as vol

from .action_errors import bad_input
from .const import DOMAIN
from .coordinator import CellularUplinkConfigEntry, error_placeholders
from .modem.errors import ModemError
from .modem.upload.request import Picture
from .modem.upload.result import UploadResult, UploadState
from .self_test import async_setup_self_test
from .snapshot import (
    async_fit,
    async_read_allowed_file,
    async_read_media,
    async_take_snapshot,
    check_picture_entity,
)

SERVICE_UPLOAD_FILE = "upload_file"
SERVICE_UPLOAD_SNAPSHOT = "upload_snapshot"

ATTR_DESTINATION = "destination"
ATTR_FIELDS = "fields"
ATTR_FILE_NAME = "file_name"
ATTR_HEADERS = "headers"
ATTR_MAX_KILOBYTES = "max_kilobytes"
ATTR_MAX_WIDTH = "max_width"
ATTR_MEDIA = "media"
ATTR_PATH = "path"

_UPLOAD_FIELDS: dict[Any, Any] = {
    vol.Required(ATTR_DESTINATION): cv.string,
    vol.Optional(ATTR_FILE_NAME): cv.string,
    vol.Optional(ATTR_FIELDS, default=dict): dict,
    vol.Optional(ATTR_HEADERS, default=dict): dict,
}

UPLOAD_SNAPSHOT_SCHEMA = vol.Schema(
    {
        **_UPLOAD_FIELDS,
        vol.Required(ATTR_ENTITY_ID): vol.All(cv.entity_ids, vol.Length(min=1)),
        vol.Optional(ATTR_MAX_WIDTH): vol.All(vol.Coerce(int), vol.Range(min=32, max=20_000)),
        vol.Optional(ATTR_MAX_KILOBYTES): vol.All(vol.Coerce(int), vol.Range(min=1, max=20_000)),
    }
)

UPLOAD_FILE_SCHEMA = vol.Schema(
    {
        **_UPLOAD_FIELDS,
        vol.Exclusive(ATTR_MEDIA, "source"): MediaSelector({"accept": ["image/*"]}),
        vol.Exclusive(ATTR_PATH, "source"): cv.string,
    }
)


@callback
def async_setup_services(hass: HomeAssistant) -> None:
    """Register the actions."""
    hass.services.async_register(
        DOMAIN,
        SERVICE_UPLOAD_SNAPSHOT,
        _async_upload_snapshot,
        schema=UPLOAD_SNAPSHOT_SCHEMA,
        supports_response=SupportsResponse.OPTIONAL,
    )
    hass.services.async_register(
        DOMAIN,
        SERVICE_UPLOAD_FILE,
        _async_upload_file,
        schema=UPLOAD_FILE_SCHEMA,
        supports_response=SupportsResponse.OPTIONAL,
    )
    async_setup_self_test(hass)


async def _async_upload_snapshot(call: ServiceCall) -> ServiceResponse:
    """Take all pictures at once, since they show one moment, and send them one after the other."""
    hass = call.hass
    upload = _Upload(call)
    entity_ids: list[str] = list(dict.fromkeys(call.data[ATTR_ENTITY_ID]))
    for entity_id in entity_ids:
        check_picture_entity(hass, entity_id)
    shots = await asyncio.gather(
        *(async_take_snapshot(hass, entity_id) for entity_id in entity_ids), return_exceptions=True
    )
    uploads: list[dict[str, Any]] = []
    failures: list[HomeAssistantError] = []
    for entity_id, shot in zip(entity_ids, shots, strict=True):
        try:
            if isinstance(shot, BaseException):
                raise shot
            picture = await async_fit(
                hass,
                shot,
                max_width=call.data.get(ATTR_MAX_WIDTH),
                max_kilobytes=call.data.get(ATTR_MAX_KILOBYTES),
            )
            label = split_entity_id(entity_id)[1] if len(entity_ids) > 1 else None
            uploads.append({"entity_id": entity_id, **await upload.async_send(upload.named(picture, label), entity_id)})
        except ServiceValidationError:
            raise  # what the user gave is wrong for every picture
        except HomeAssistantError as err:
            failures.append(err)
    if failures:
        raise failures[0] if len(entity_ids) == 1 else _several_failures(failures, len(entity_ids))
    if not call.return_response:
        return None
    # One picture is the common case: its result can be read without an index. The list is there for any number.
    return {**(uploads[0] if len(uploads) == 1 else {"ok": True}), "uploads": uploads}


async def _async_upload_file(call: ServiceCall) -> ServiceResponse:
    hass = call.hass
    upload = _Upload(call)
    if media := call.data.get(ATTR_MEDIA):
        with bad_input():
            picture = await async_read_media(hass, media["media_content_id"])
        source: str = media["media_content_id"]
    elif source := call.data.get(ATTR_PATH, ""):
        with bad_input():
            picture = await async_read_allowed_file(hass, source)
    else:
        raise ServiceValidationError(
            translation_domain=DOMAIN,
            translation_key="nothing_to_upload",
            translation_placeholders={"field": ATTR_MEDIA, "other_field": ATTR_PATH},
        )
    response = await upload.async_send(upload.named(picture), source)
    return response if call.return_response else None


class _Upload:
    """What the fields both actions have in common ask for, checked."""

    def __init__(self, call: ServiceCall) -> None:
        self._hass = call.hass
        self._device_id: str = call.data[ATTR_DESTINATION]
        self._file_name: str | None = call.data.get(ATTR_FILE_NAME)
        self._fields = _texts(ATTR_FIELDS, call.data[ATTR_FIELDS])
        self._headers = _texts(ATTR_HEADERS, call.data[ATTR_HEADERS])
        self._destination()

    def named(self, picture: Picture, label: str | None = None) -> Picture:
        """Give the picture the file name asked for; `label` keeps the names of several pictures apart."""
        if self._file_name is None:
            return picture
        path = Path(self._file_name)
        return replace(picture, file_name=self._file_name if label is None else f"{path.stem}_{label}{path.suffix}")

    async def async_send(self, picture: Picture, source: str) -> dict[str, Any]:
        """Upload one picture and return its result.

        Raises:
            ServiceValidationError: something the user gave cannot be sent.
            HomeAssistantError: the picture was not delivered.
        """
        entry, subentry = self._destination()  # again for each picture: the entry may have been reloaded meanwhile
        with bad_input():
            result = await entry.runtime_data.uploader.async_upload(
                subentry, picture, source=source, fields=self._fields, headers=self._headers
            )
        if not result.ok:
            raise _failure(result, subentry.title)
        return result.as_dict()

    def _destination(self) -> tuple[CellularUplinkConfigEntry, ConfigSubentry]:
        entry: CellularUplinkConfigEntry
        device, entry = async_get_device_and_config_entry(
            self._hass, DOMAIN, self._device_id, include_child_devices=False
        )
        subentry = entry.subentries.get(device.config_subentry_id or "")
        if subentry is None:
            raise ServiceValidationError(
                translation_domain=DOMAIN,
                translation_key="not_a_destination",
                translation_placeholders={"field": ATTR_DESTINATION, "device": _device_name(device)},
            )
        return entry, subentry


def _device_name(device: dr.DeviceEntry) -> str:
    return device.name_by_user or device.name or device.id


def _texts(field: str, given: Mapping[Any, Any]) -> dict[str, str]:
    """Return fields or headers as text: templates give numbers and booleans where they can."""
    texts: dict[str, str] = {}
    for name, value in given.items():
        match value:
            case bool():
                texts[str(name)] = str(value).lower()
            case str() | int() | float():
                texts[str(name)] = str(value)
            case _:
                raise ServiceValidationError(
                    translation_domain=DOMAIN,
                    translation_key="value_not_text",
                    translation_placeholders={"field": field, "name": str(name)},
                )
    return texts


def _several_failures(failures: list[HomeAssistantError], total: int) -> HomeAssistantError:
    error = HomeAssistantError(
        translation_domain=DOMAIN,
        translation_key="uploads_failed",
        translation_placeholders={"failed": str(len(failures)), "total": str(total), "message": str(failures[0])},
    )
    error.__cause__ = ExceptionGroup("uploads failed", failures)
    return error


def _failure(result: UploadResult, destination: str) -> HomeAssistantError:
    error = result.error or ModemError("unknown", "no reason was given")
    if result.state is UploadState.REJECTED:
        key = "upload_rejected"
    elif result.ambiguous:
        key = "upload_ambiguous"
    else:
        key = "upload_failed"
    failure = HomeAssistantError(
        translation_domain=DOMAIN,
        translation_key=key,
        translation_placeholders={"destination": destination, **error_placeholders(error)},
    )
    failure.__cause__ = error
    return failure
