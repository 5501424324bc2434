"""The actions, through a simulated modem to a real server."""

import asyncio
from collections.abc import Awaitable, Callable
from io import BytesIO
from pathlib import Path
from typing import Any, override
from unittest.mock import Mock, patch

from homeassistant.components.image import ImageEntity
from homeassistant.components.media_source import MediaSource, MediaSourceItem, PlayMedia
from homeassistant.config_entries import ConfigEntryState
from homeassistant.core import HomeAssistant
from homeassistant.exceptions import HomeAssistantError, ServiceValidationError
from homeassistant.helpers import device_registry as dr
from homeassistant.setup import async_setup_component
from homeassistant.util import dt as dt_util
from PIL import Image
import pytest
from pytest_homeassistant_custom_component.common import MockConfigEntry, MockModule, mock_integration, mock_platform

from custom_components.cellular_uplink.const import DOMAIN
from tests.conftest import PictureServer, Simulator

from .conftest import destination_data, destination_device, expect_state, jpeg, modem_entry, set_up, state_of

type AddCamera = Callable[[str, bytes], Awaitable[str]]


async def snapshot_action(hass: HomeAssistant, **data: Any) -> Any:
    return await hass.services.async_call(DOMAIN, "upload_snapshot", data, blocking=True, return_response=True)


async def file_action(hass: HomeAssistant, **data: Any) -> Any:
    return await hass.services.async_call(DOMAIN, "upload_file", data, blocking=True, return_response=True)


@pytest.mark.parametrize("modem", ["bg96", "ml307r"])
@pytest.mark.parametrize("scheme", ["http", "https"])
async def test_a_picture_gets_out(
    hass: HomeAssistant,
    start_simulator: Callable[..., Simulator],
    picture_server: PictureServer,
    add_camera: AddCamera,
    modem: str,
    scheme: str,
) -> None:
    url = picture_server.url if scheme == "http" else picture_server.https_url
    entry = await set_up(
        hass,
        modem_entry(
            start_simulator(modem).port,
            destination_data(
                url,
                ca=picture_server.ca_pem,
                fields={"site": "north"},
                headers={"X-A": "1", "X-B": "2"},
                auth="basic",
                username="me",
                password="secret",
            ),
        ),
    )
    content = jpeg(960, 720, quality=95)
    assert len(content) > 80_000
    response = await snapshot_action(
        hass,
        destination=destination_device(hass, entry),
        entity_id=await add_camera("door", content),
        fields={"battery": 81.5, "alarm": True},
        headers={"x-b": "3"},
    )
    (received,) = picture_server.received
    assert received.body == content
    assert received.file_field == "file"
    assert received.content_type == "image/jpeg"
    assert received.file_name.startswith("door_")
    assert received.file_name.endswith(".jpg")
    assert received.fields == {"site": "north", "battery": "81.5", "alarm": "true"}
    assert {name: value for name, value in received.headers.items() if name.upper().startswith("X-")} == {
        "X-A": "1",
        "x-b": "3",
    }
    assert received.headers["Authorization"].startswith("Basic ")

    assert response["ok"] is True
    assert response["state"] == "delivered"
    assert response["http_status"] == 200
    assert response["response"] == "thanks"
    assert response["route"] == "socket"
    assert response["error"] is None
    assert response["entity_id"] == "camera.door"
    (upload,) = response["uploads"]
    assert upload == {key: value for key, value in response.items() if key != "uploads"}

    event = state_of(hass, "event.cloud")
    assert event.attributes["event_type"] == "completed"
    assert event.attributes["source"] == "camera.door"
    assert event.attributes["file_name"] == received.file_name
    assert event.attributes["http_status"] == 200
    assert "response" not in event.attributes
    sent = next(state for state in hass.states.async_all("sensor") if state.entity_id.endswith("_data_sent"))
    assert int(sent.state) > len(content)


async def test_without_response(hass: HomeAssistant, entry: MockConfigEntry, add_camera: AddCamera) -> None:
    data = {"destination": destination_device(hass, entry), "entity_id": await add_camera("door", jpeg())}
    assert await hass.services.async_call(DOMAIN, "upload_snapshot", data, blocking=True) is None
    assert state_of(hass, "event.cloud").attributes["event_type"] == "completed"


async def test_templates_work(
    hass: HomeAssistant, entry: MockConfigEntry, add_camera: AddCamera, picture_server: PictureServer
) -> None:
    hass.states.async_set("sensor.battery", "81")
    assert await async_setup_component(
        hass,
        "script",
        {
            "script": {
                "send": {
                    "sequence": [
                        {
                            "action": "cellular_uplink.upload_snapshot",
                            "data": {
                                "destination": destination_device(hass, entry),
                                "entity_id": await add_camera("door", jpeg()),
                                "file_name": "{{ 'door' ~ 7 }}.jpg",
                                "fields": {"battery": "{{ states('sensor.battery') }}"},
                            },
                            "response_variable": "upload",
                        },
                        {"stop": "done", "response_variable": "upload"},
                    ]
                }
            }
        },
    )
    response: Any = await hass.services.async_call("script", "send", blocking=True, return_response=True)
    assert response["http_status"] == 200
    (received,) = picture_server.received
    assert received.file_name == "door7.jpg"
    assert received.fields == {"battery": "81"}


async def test_several_cameras(
    hass: HomeAssistant, entry: MockConfigEntry, add_camera: AddCamera, picture_server: PictureServer
) -> None:
    pictures = [jpeg(320, 240), jpeg(300, 200)]
    cameras = [await add_camera(name, picture) for name, picture in zip(("door", "yard"), pictures, strict=True)]
    device = destination_device(hass, entry)
    response = await snapshot_action(hass, destination=device, entity_id=[*cameras, cameras[0]], file_name="a.jpg")
    assert response["ok"] is True
    assert [upload["entity_id"] for upload in response["uploads"]] == cameras
    assert [received.body for received in picture_server.received] == pictures
    assert [received.file_name for received in picture_server.received] == ["a_door.jpg", "a_yard.jpg"]


async def test_one_of_several_fails(
    hass: HomeAssistant, entry: MockConfigEntry, add_camera: AddCamera, picture_server: PictureServer, tmp_path: Path
) -> None:
    cameras = [await add_camera("door", jpeg()), await add_camera("yard", jpeg())]
    (tmp_path / "door.jpg").unlink()
    with pytest.raises(HomeAssistantError) as caught:
        await snapshot_action(hass, destination=destination_device(hass, entry), entity_id=cameras)
    assert caught.value.translation_key == "uploads_failed"
    assert str(caught.value).startswith("1 of 2 pictures were not delivered")
    assert "camera.door" in str(caught.value)
    assert len(picture_server.received) == 1


async def test_makes_the_picture_fit(
    hass: HomeAssistant, entry: MockConfigEntry, add_camera: AddCamera, picture_server: PictureServer
) -> None:
    camera = await add_camera("door", jpeg(800, 600, quality=95))
    device = destination_device(hass, entry)
    await snapshot_action(hass, destination=device, entity_id=camera, max_width=400, max_kilobytes=15)
    (received,) = picture_server.received
    assert len(received.body) <= 15_000
    assert Image.open(BytesIO(received.body)).size == (400, 300)
    assert received.file_name.endswith(".jpg")

    # One that fits already is not touched.
    small = await add_camera("yard", jpeg(200, 100))
    await snapshot_action(hass, destination=device, entity_id=small, max_width=400, max_kilobytes=15)
    assert picture_server.received[1].body == jpeg(200, 100)

    broken = await add_camera("attic", b"no picture")
    with pytest.raises(HomeAssistantError) as caught:
        await snapshot_action(hass, destination=device, entity_id=broken, max_width=400)
    assert caught.value.translation_key == "not_a_picture"


async def add_image(hass: HomeAssistant, content: bytes | None) -> str:
    """An image entity of a made-up integration."""

    class Picture(ImageEntity):
        _attr_name = "Chart"
        _attr_content_type = "image/png"
        _attr_image_last_updated = dt_util.utcnow()

        @override
        async def async_image(self) -> bytes | None:
            return content

    async def async_setup_platform(_: Any, __: Any, async_add_entities: Any, ___: Any = None) -> None:
        async_add_entities([Picture(hass)])

    mock_integration(hass, MockModule("test"))
    platform = type("Platform", (), {"async_setup_platform": staticmethod(async_setup_platform)})
    mock_platform(hass, "test.image", platform)
    assert await async_setup_component(hass, "image", {"image": {"platform": "test"}})
    await hass.async_block_till_done()
    assert hass.states.get("image.chart") is not None
    return "image.chart"


async def test_image_entities(hass: HomeAssistant, entry: MockConfigEntry, picture_server: PictureServer) -> None:
    image = await add_image(hass, b"some png")
    device = destination_device(hass, entry)
    await snapshot_action(hass, destination=device, entity_id=image)
    await file_action(hass, destination=device, media=media(f"media-source://image/{image}"))
    assert [received.body for received in picture_server.received] == [b"some png"] * 2
    assert {received.content_type for received in picture_server.received} == {"image/png"}


async def test_an_image_that_gives_nothing(hass: HomeAssistant, entry: MockConfigEntry) -> None:
    image = await add_image(hass, None)
    with pytest.raises(HomeAssistantError) as caught:
        await snapshot_action(hass, destination=destination_device(hass, entry), entity_id=image)
    assert caught.value.translation_key == "no_picture"


def media(media_content_id: str) -> dict[str, str]:
    return {"media_content_id": media_content_id, "media_content_type": "image/jpeg"}


async def test_uploads_files(
    hass: HomeAssistant,
    entry: MockConfigEntry,
    add_camera: AddCamera,
    picture_server: PictureServer,
    tmp_path: Path,
) -> None:
    content = jpeg()
    camera = await add_camera("door", content)
    (tmp_path / "night.png").write_bytes(b"a png")
    (tmp_path / "odd").write_bytes(b"any bytes")
    device = destination_device(hass, entry)

    response = await file_action(hass, destination=device, path=str(tmp_path / "night.png"))
    assert response["http_status"] == 200
    await file_action(hass, destination=device, path=str(tmp_path / "odd"), file_name="even.bin")
    await file_action(hass, destination=device, media=media(f"media-source://camera/{camera}"))
    data = {"destination": device, "path": str(tmp_path / "night.png")}
    assert await hass.services.async_call(DOMAIN, "upload_file", data, blocking=True) is None
    assert [(received.file_name[:8], received.content_type, received.body) for received in picture_server.received] == [
        ("night.png"[:8], "image/png", b"a png"),
        ("even.bin", "application/octet-stream", b"any bytes"),
        (picture_server.received[2].file_name[:8], "image/jpeg", content),
        ("night.png"[:8], "image/png", b"a png"),
    ]


@pytest.fixture
async def media_folder(hass: HomeAssistant, tmp_path: Path) -> Path:
    folder = tmp_path / "media"
    folder.mkdir()
    hass.config.media_dirs = {"local": str(folder)}
    hass.config.allowlist_external_dirs = {str(folder)}
    assert await async_setup_component(hass, "media_source", {})
    await hass.async_block_till_done()
    return folder


async def test_uploads_local_media(
    hass: HomeAssistant, media_folder: Path, entry: MockConfigEntry, picture_server: PictureServer
) -> None:
    (media_folder / "cat.jpg").write_bytes(jpeg())
    device = destination_device(hass, entry)
    await file_action(hass, destination=device, media=media("media-source://media_source/local/cat.jpg"))
    (received,) = picture_server.received
    assert (received.file_name, received.content_type, received.body) == ("cat.jpg", "image/jpeg", jpeg())


class RemoteMedia(MediaSource):
    """Media that lie elsewhere."""

    @override
    async def async_resolve_media(self, item: MediaSourceItem) -> PlayMedia:
        return PlayMedia("https://elsewhere.example/cat.jpg", "image/jpeg")


@pytest.mark.parametrize(
    ("data", "key", "field"),
    [
        ({}, "nothing_to_upload", "media"),
        ({"path": "/etc/hostname"}, "path_not_allowed", "path"),
        ({"path": "/etc/does-not-exist"}, "path_not_allowed", "path"),
        ({"path": "MEDIA/../../../etc/hostname"}, "path_not_allowed", "path"),
        ({"path": "MEDIA/none.jpg"}, "file_not_found", "path"),
        ({"path": "MEDIA"}, "file_not_found", "path"),
        ({"path": "MEDIA/empty.jpg"}, "invalid_field", "file"),
        ({"path": "MEDIA/large.jpg"}, "invalid_field", "path"),
        ({"path": "MEDIA/cat.jpg", "file_name": "a\r\nb"}, "invalid_field", "file_name"),
        ({"path": "MEDIA/cat.jpg", "headers": {"a b": "c"}}, "invalid_field", "headers"),
        ({"path": "MEDIA/cat.jpg", "headers": {"a": ["c"]}}, "value_not_text", "headers"),
        ({"path": "MEDIA/cat.jpg", "fields": {"a": None}}, "value_not_text", "fields"),
        ({"media": media("media-source://media_source/local/none.jpg")}, "file_not_found", "media"),
        ({"media": media("media-source://nowhere/none.jpg")}, "media_not_found", "media"),
        ({"media": media("no media")}, "media_not_found", "media"),
        ({"media": media("media-source://remote/cat.jpg")}, "media_not_local", "media"),
        ({"media": media("media-source://camera/camera.none")}, "entity_not_found", "entity_id"),
    ],
)
async def test_refuses_files(
    hass: HomeAssistant, media_folder: Path, entry: MockConfigEntry, data: dict[str, Any], key: str, field: str
) -> None:
    (media_folder / "cat.jpg").write_bytes(jpeg())
    (media_folder / "empty.jpg").touch()
    with (media_folder / "large.jpg").open("wb") as large:
        large.truncate(20_000_001)
    mock_integration(hass, MockModule("remote"))

    async def async_get_media_source(_: HomeAssistant) -> MediaSource:
        return RemoteMedia("remote")

    mock_platform(hass, "remote.media_source", Mock(async_get_media_source=async_get_media_source))
    await async_setup_component(hass, "remote", {})
    if "path" in data:
        data = {**data, "path": data["path"].replace("MEDIA", str(media_folder))}
    with pytest.raises(ServiceValidationError) as caught:
        await file_action(hass, destination=destination_device(hass, entry), **data)
    assert caught.value.translation_key == key
    assert (caught.value.translation_placeholders or {})["field"] == field
    assert str(caught.value).startswith(f"{field}:")


async def test_a_file_that_cannot_be_read(hass: HomeAssistant, media_folder: Path, entry: MockConfigEntry) -> None:
    (media_folder / "cat.jpg").write_bytes(jpeg())
    with (
        patch.object(Path, "read_bytes", side_effect=PermissionError(13, "Permission denied")),
        pytest.raises(HomeAssistantError) as caught,
    ):
        await file_action(hass, destination=destination_device(hass, entry), path=str(media_folder / "cat.jpg"))
    assert caught.value.translation_key == "file_unreadable"


@pytest.mark.parametrize(
    ("data", "key", "field"),
    [
        ({"entity_id": "light.door"}, "not_a_camera", "entity_id"),
        ({"entity_id": "camera.none"}, "entity_not_found", "entity_id"),
        ({"fields": {"\x00": "x"}}, "invalid_field", "fields"),
        ({"headers": {"X": "a\r\nb"}}, "invalid_field", "headers"),
        ({"headers": {"Content-Length": "1"}}, "invalid_field", "headers"),
        ({"file_name": "x" * 201}, "invalid_field", "file_name"),
    ],
)
async def test_refuses_what_cannot_be_sent(
    hass: HomeAssistant,
    entry: MockConfigEntry,
    add_camera: AddCamera,
    picture_server: PictureServer,
    data: dict[str, Any],
    key: str,
    field: str,
) -> None:
    camera = await add_camera("door", jpeg())
    with pytest.raises(ServiceValidationError) as caught:
        await snapshot_action(hass, **{"destination": destination_device(hass, entry), "entity_id": camera, **data})
    assert caught.value.translation_key == key
    assert (caught.value.translation_placeholders or {})["field"] == field
    assert not picture_server.received
    assert state_of(hass, "event.cloud").state == "unknown"
    assert state_of(hass, "sensor.quectel_bg96_last_error").state == "none"


async def test_refuses_what_is_no_destination(
    hass: HomeAssistant, entry: MockConfigEntry, add_camera: AddCamera
) -> None:
    camera = await add_camera("door", jpeg())
    with pytest.raises(ServiceValidationError) as caught:
        await snapshot_action(hass, destination="no such device", entity_id=camera)
    assert caught.value.translation_key == "service_device_not_found"

    with pytest.raises(ServiceValidationError) as caught:
        await snapshot_action(hass, destination=destination_device(hass, entry, "Quectel BG96"), entity_id=camera)
    assert caught.value.translation_key == "not_a_destination"
    assert "destination: Quectel BG96" in str(caught.value)

    other = MockConfigEntry(domain="test")
    other.add_to_hass(hass)
    stranger = dr.async_get(hass).async_get_or_create(config_entry_id=other.entry_id, identifiers={("test", "x")})
    with pytest.raises(ServiceValidationError) as caught:
        await snapshot_action(hass, destination=stranger.id, entity_id=camera)
    assert caught.value.translation_key == "service_device_wrong_domain"

    device = destination_device(hass, entry)
    await hass.config_entries.async_unload(entry.entry_id)
    expect_state(entry, ConfigEntryState.NOT_LOADED)
    with pytest.raises(ServiceValidationError) as caught:
        await snapshot_action(hass, destination=device, entity_id=camera)
    assert caught.value.translation_key == "service_config_entry_not_loaded"


async def test_a_server_that_refuses(
    hass: HomeAssistant, entry: MockConfigEntry, add_camera: AddCamera, picture_server: PictureServer
) -> None:
    picture_server.status = 503
    with pytest.raises(HomeAssistantError) as caught:
        await snapshot_action(
            hass, destination=destination_device(hass, entry), entity_id=await add_camera("door", jpeg())
        )
    assert caught.value.translation_key == "upload_rejected"
    assert "(class http, code 503)" in str(caught.value)
    event = state_of(hass, "event.cloud")
    assert event.attributes["event_type"] == "failed"
    assert event.attributes["state"] == "rejected"
    assert event.attributes["error"]["code"] == "503"
    last_error = state_of(hass, "sensor.quectel_bg96_last_error")
    assert last_error.state == "http: 503"
    assert last_error.attributes["class"] == "http"
    assert last_error.attributes["code"] == "503"
    assert "503" in last_error.attributes["sentence"]
    assert dt_util.parse_datetime(last_error.attributes["when"]) is not None


async def test_a_server_nobody_vouches_for(
    hass: HomeAssistant, simulator: Simulator, add_camera: AddCamera, picture_server: PictureServer
) -> None:
    entry = await set_up(
        hass,
        modem_entry(
            simulator.port,
            destination_data(picture_server.https_url),
            destination_data(picture_server.https_url, verify_ssl=False),
        ),
    )
    camera = await add_camera("door", jpeg())
    with pytest.raises(HomeAssistantError) as caught:
        await snapshot_action(hass, destination=destination_device(hass, entry), entity_id=camera)
    assert caught.value.translation_key == "upload_failed"
    assert "(class tls, code certificate_untrusted)" in str(caught.value)
    assert state_of(hass, "sensor.quectel_bg96_last_error").state == "tls: certificate_untrusted"
    assert not picture_server.received

    # The check is off for the other one by name.
    await snapshot_action(hass, destination=destination_device(hass, entry, "Cloud 2"), entity_id=camera)
    assert len(picture_server.received) == 1


async def test_an_upload_that_may_have_arrived(
    hass: HomeAssistant, start_simulator: Callable[..., Simulator], add_camera: AddCamera, socket_enabled: None
) -> None:
    """A server that takes everything, and hangs up without an answer."""

    async def swallow(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        length = next(line for line in head.split(b"\r\n") if line.lower().startswith(b"content-length"))
        await reader.readexactly(int(length.partition(b":")[2]))
        writer.close()
        await writer.wait_closed()

    server = await asyncio.start_server(swallow, "127.0.0.1", 0)
    url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/"
    entry = await set_up(hass, modem_entry(start_simulator("bg96").port, destination_data(url)))
    with pytest.raises(HomeAssistantError) as caught:
        await snapshot_action(
            hass, destination=destination_device(hass, entry), entity_id=await add_camera("door", jpeg())
        )
    assert caught.value.translation_key == "upload_ambiguous"
    assert state_of(hass, "event.cloud").attributes["ambiguous"] is True
    server.close()
    await server.wait_closed()
