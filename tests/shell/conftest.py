"""Fixtures of the Home Assistant shell."""

from collections.abc import Callable, Iterator
from io import BytesIO
from pathlib import Path
from typing import Any

from homeassistant.config_entries import ConfigEntry, ConfigEntryState, ConfigSubentryData
from homeassistant.core import HomeAssistant, State
from homeassistant.helpers import device_registry as dr
from homeassistant.setup import async_setup_component
from PIL import Image
import pytest
from pytest_homeassistant_custom_component.common import MockConfigEntry

from custom_components.cellular_uplink.const import DOMAIN, SUBENTRY_TYPE_DESTINATION
from tests.conftest import PictureServer, Simulator

from .translation_check import TranslationChecker

IMEI = "861536030196001"


@pytest.fixture(autouse=True)
def _custom_integration(enable_custom_integrations: None) -> None:
    """All tests here load the integration."""


@pytest.fixture(autouse=True)
def translations(hass: HomeAssistant) -> Iterator[TranslationChecker]:
    """Whatever a test makes the integration say must be translated."""
    checker = TranslationChecker()
    with checker.watching():
        yield checker
    assert checker.problems == []


@pytest.fixture
def simulator(start_simulator: Callable[..., Simulator]) -> Simulator:
    """A BG96 on an unpaced line."""
    return start_simulator("bg96")


def entry_data(port: str, **changes: Any) -> dict[str, Any]:
    """What the config flow stores."""
    return {
        "device": port,
        "baudrate": 115200,
        "apn": "internet",
        "username": "",
        "password": "",
        "ip_type": "ipv4v6",
        "operator": "",
        **changes,
    }


def destination_data(url: str, **changes: Any) -> dict[str, Any]:
    """What the destination flow stores."""
    return {
        "url": url,
        "method": "POST",
        "format": "multipart",
        "file_field": "file",
        "fields": {},
        "headers": {},
        "auth": "none",
        "username": "",
        "password": "",
        "token": "",
        "verify_ssl": True,
        "ca": "",
        "delivery": delivery_data(),
        **changes,
    }


def delivery_data(**changes: Any) -> dict[str, Any]:
    """What the destination flow stores of how to send."""
    return {
        "route": "auto",
        "tls_by": "host",
        "in_doubt": "send_again",
        "check": "none",
        "check_url": "",
        "content_digest": False,
        "chunked": False,
        "pads_body": False,
        **changes,
    }


def qiniu_data(url: str, **changes: Any) -> dict[str, Any]:
    """What the destination flow stores for Qiniu, with the keys of the stand-in; `changes` are of Qiniu's section."""
    section = {
        "access_key": "MY_ACCESS_KEY",
        "secret_key": "MY_SECRET_KEY",
        "bucket": "my-bucket",
        "region": "z0",
        "key": "{date}/{time}-{upload_id}{extension}",
        "overwrite": False,
    }
    return destination_data(url, format="qiniu", qiniu={**section, **changes})


def modem_entry(port: str, *destinations: dict[str, Any], imei: str = IMEI, **changes: Any) -> MockConfigEntry:
    """An entry of the simulated BG96 with destinations named Cloud, Cloud 2, ..."""
    return MockConfigEntry(
        domain=DOMAIN,
        title="Quectel BG96",
        unique_id=imei,
        data=entry_data(port, **changes),
        subentries_data=[
            ConfigSubentryData(
                data=data,
                subentry_type=SUBENTRY_TYPE_DESTINATION,
                title="Cloud" if number == 1 else f"Cloud {number}",
                unique_id=None,
            )
            for number, data in enumerate(destinations, start=1)
        ],
    )


async def set_up(hass: HomeAssistant, entry: MockConfigEntry) -> MockConfigEntry:
    """Add an entry and load it."""
    entry.add_to_hass(hass)
    await hass.config_entries.async_setup(entry.entry_id)
    await hass.async_block_till_done()
    return entry


@pytest.fixture
async def entry(hass: HomeAssistant, simulator: Simulator, picture_server: PictureServer) -> MockConfigEntry:
    """A loaded modem with one destination: the server, over HTTPS."""
    entry = modem_entry(simulator.port, destination_data(picture_server.https_url, ca=picture_server.ca_pem))
    await set_up(hass, entry)
    expect_state(entry, ConfigEntryState.LOADED)
    return entry


def expect_state(entry: ConfigEntry, state: ConfigEntryState) -> None:
    """Fail unless the entry is in this state."""
    assert entry.state is state, entry.reason


def state_of(hass: HomeAssistant, entity_id: str) -> State:
    """Return the state of an entity, which there must be."""
    state = hass.states.get(entity_id)
    assert state is not None
    return state


def destination_device(hass: HomeAssistant, entry: MockConfigEntry, name: str = "Cloud") -> str:
    """Return the id of the device of a destination."""
    devices = dr.async_entries_for_config_entry(dr.async_get(hass), entry.entry_id)
    return next(device.id for device in devices if device.name == name)


def jpeg(width: int = 320, height: int = 240, *, quality: int = 90, **save: Any) -> bytes:
    """A picture with detail: noise over a gradient, the same every time."""
    gradient = Image.linear_gradient("L").resize((width, height))
    noise = Image.effect_mandelbrot((width, height), (-2.0, -1.5, 1.0, 1.5), 60)
    buffer = BytesIO()
    Image.merge("RGB", (gradient, noise, gradient.transpose(Image.Transpose.ROTATE_180))).save(
        buffer, "JPEG", quality=quality, **save
    )
    return buffer.getvalue()


@pytest.fixture
async def add_camera(hass: HomeAssistant, tmp_path: Path) -> Callable[..., Any]:
    """Return what adds a camera with a name that shows a picture, and gives its entity id."""
    hass.config.allowlist_external_dirs = {str(tmp_path)}
    assert await async_setup_component(hass, "homeassistant", {})

    async def add(name: str, content: bytes) -> str:
        path = tmp_path / f"{name}.jpg"
        path.write_bytes(content)
        camera = MockConfigEntry(domain="local_file", title=name, options={"name": name, "file_path": str(path)})
        await set_up(hass, camera)
        assert hass.states.get(f"camera.{name}") is not None
        return f"camera.{name}"

    return add
