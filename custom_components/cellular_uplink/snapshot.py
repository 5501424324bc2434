"""Gets pictures from where Home Assistant has them: cameras, images, media and files the user has allowed."""

import mimetypes
from pathlib import Path

from aiohttp import ClientError
from homeassistant.components import camera, image, media_source
from homeassistant.const import Platform
from homeassistant.core import HomeAssistant, split_entity_id
from homeassistant.exceptions import HomeAssistantError, ServiceValidationError
from homeassistant.util import dt as dt_util

from .const import DOMAIN
from .modem.errors import InputError
from .modem.upload.request import MAX_BODY_BYTES, Picture
from .shrink import PictureError, shrink

PICTURE_DOMAINS = (Platform.CAMERA, Platform.IMAGE)

_CAMERA_MEDIA = "media-source://camera/"
_IMAGE_MEDIA = "media-source://image/"
_UNKNOWN_TYPE = "application/octet-stream"


def check_picture_entity(hass: HomeAssistant, entity_id: str) -> None:
    """Raise ServiceValidationError unless this is a camera or an image entity that exists."""
    if split_entity_id(entity_id)[0] not in PICTURE_DOMAINS:
        raise ServiceValidationError(
            translation_domain=DOMAIN,
            translation_key="not_a_camera",
            translation_placeholders={"field": "entity_id", "entity_id": entity_id},
        )
    if hass.states.get(entity_id) is None:
        raise ServiceValidationError(
            translation_domain=DOMAIN,
            translation_key="entity_not_found",
            translation_placeholders={"field": "entity_id", "entity_id": entity_id},
        )


async def async_take_snapshot(hass: HomeAssistant, entity_id: str) -> Picture:
    """Return the picture a camera or an image entity shows now.

    Raises:
        HomeAssistantError: it gives none: it is off, unavailable, or too slow.
    """
    domain, object_id = split_entity_id(entity_id)
    try:
        if domain == Platform.CAMERA:
            shot: camera.Image | image.Image = await camera.async_get_image(hass, entity_id)
        else:
            shot = await image.async_get_image(hass, entity_id)
    except (HomeAssistantError, TimeoutError, OSError, ClientError) as err:
        # Not every camera integration turns its own troubles into Home Assistant's error.
        message = str(err) or type(err).__name__
        raise HomeAssistantError(
            translation_domain=DOMAIN,
            translation_key="no_picture",
            translation_placeholders={"entity_id": entity_id, "message": message},
        ) from err
    extension = mimetypes.guess_extension(shot.content_type) or ".bin"
    file_name = f"{object_id}_{dt_util.now():%Y%m%d_%H%M%S}{extension}"
    return Picture(content=shot.content, file_name=file_name, content_type=shot.content_type)


async def async_fit(
    hass: HomeAssistant, picture: Picture, *, max_width: int | None, max_kilobytes: int | None
) -> Picture:
    """Return the picture within the limits (1 kilobyte is 1000 bytes), unchanged where it already is.

    Raises:
        HomeAssistantError: it cannot be made to fit.
    """
    if max_width is None and max_kilobytes is None:
        return picture

    def work() -> bytes | None:
        return shrink(picture.content, max_width=max_width, max_bytes=max_kilobytes and max_kilobytes * 1000)

    try:
        content = await hass.async_add_executor_job(work)
    except PictureError as err:
        raise HomeAssistantError(translation_domain=DOMAIN, translation_key=err.key) from err
    if content is None:
        return picture
    return Picture(
        content=content,
        file_name=Path(picture.file_name).with_suffix(".jpg").name,
        content_type="image/jpeg",
    )


async def async_read_media(hass: HomeAssistant, media_content_id: str) -> Picture:
    """Return what a media selector chose: a snapshot, or a local file of a media source.

    Raises:
        ServiceValidationError: it does not exist or is not local.
        HomeAssistantError: the camera or the file cannot be read.
    """
    for prefix in (_CAMERA_MEDIA, _IMAGE_MEDIA):
        if media_content_id.startswith(prefix):
            entity_id = media_content_id.removeprefix(prefix)
            check_picture_entity(hass, entity_id)
            return await async_take_snapshot(hass, entity_id)
    try:
        media = await media_source.async_resolve_media(hass, media_content_id, None)
    except media_source.MediaSourceError as err:
        raise ServiceValidationError(
            translation_domain=DOMAIN,
            translation_key="media_not_found",
            translation_placeholders={"field": "media", "message": str(err)},
        ) from err
    if media.path is None:
        raise ServiceValidationError(
            translation_domain=DOMAIN,
            translation_key="media_not_local",
            translation_placeholders={"field": "media"},
        )
    return await hass.async_add_executor_job(_read, media.path, "media", media.mime_type)


async def async_read_allowed_file(hass: HomeAssistant, path: str) -> Picture:
    """Return a file the user has allowed Home Assistant to read (allowlist_external_dirs or a media folder).

    Raises:
        ServiceValidationError: it is not allowed, does not exist, or is too large.
    """

    def work() -> Picture:
        # Permission first: whether a forbidden file exists is nobody's business.
        if not hass.config.is_allowed_path(path):
            raise ServiceValidationError(
                translation_domain=DOMAIN,
                translation_key="path_not_allowed",
                translation_placeholders={"field": "path", "path": path},
            )
        return _read(Path(path), "path", mimetypes.guess_type(path)[0])

    return await hass.async_add_executor_job(work)


def _read(path: Path, field: str, content_type: str | None) -> Picture:
    try:
        if not path.is_file():
            raise ServiceValidationError(
                translation_domain=DOMAIN,
                translation_key="file_not_found",
                translation_placeholders={"field": field, "path": str(path)},
            )
        if (size := path.stat().st_size) > MAX_BODY_BYTES:
            raise InputError(field, f"has {size} bytes; the limit is {MAX_BODY_BYTES}")
        content = path.read_bytes()
    except OSError as err:
        raise HomeAssistantError(
            translation_domain=DOMAIN,
            translation_key="file_unreadable",
            translation_placeholders={"path": str(path), "message": err.strerror or type(err).__name__},
        ) from err
    return Picture(content=content, file_name=path.name, content_type=content_type or _UNKNOWN_TYPE)
