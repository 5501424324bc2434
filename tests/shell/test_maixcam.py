"""A MaixCam as the camera, as docs/maixcam.md has it: its script, Home Assistant's generic camera, and an upload."""

from collections.abc import Callable, Iterator
from pathlib import Path
import subprocess
import sys
from typing import Any
from urllib.request import urlopen

from homeassistant.config_entries import SOURCE_USER
from homeassistant.core import HomeAssistant
from homeassistant.data_entry_flow import FlowResultType
from homeassistant.exceptions import HomeAssistantError
from homeassistant.setup import async_setup_component
import pytest

from custom_components.cellular_uplink.const import DOMAIN
from tests.conftest import Simulator
from tests.upload.qiniu_server import QiniuServer

from .conftest import destination_device, jpeg, modem_entry, qiniu_data, set_up

SCRIPT = Path(__file__).parents[2] / "docs" / "examples" / "maixcam_snapshot.py"
FIRMWARE = """
from pathlib import Path
from types import SimpleNamespace

_PICTURE = Path(__file__).with_name("sees.jpg")


class _Image:
    def to_format(self, wanted):
        assert wanted == "JPEG"
        return self

    def to_bytes(self):
        return _PICTURE.read_bytes()


class _Camera:
    def __init__(self, width, height, buff_num=3):
        pass

    def skip_frames(self, number):
        pass

    def read(self):
        return _Image()


camera = SimpleNamespace(Camera=_Camera)
image = SimpleNamespace(Format=SimpleNamespace(FMT_JPEG="JPEG"))
"""


class MaixCam:
    """The script of the documentation in a process of its own, over a stand-in for the camera's own module."""

    def __init__(self, folder: Path) -> None:
        (folder / "maix.py").write_text(FIRMWARE)
        self._picture = folder / "sees.jpg"
        self._process = subprocess.Popen(
            [sys.executable, SCRIPT],
            env={"PYTHONPATH": str(folder), "SNAPSHOT_PORT": "0"},
            stderr=subprocess.PIPE,
            text=True,
        )
        assert self._process.stderr is not None
        ready = self._process.stderr.readline().strip()
        self.url = ready.replace("ADDRESS", "127.0.0.1")
        assert self.url.endswith("/snapshot.jpg"), ready

    def sees(self, content: bytes) -> None:
        self._picture.write_bytes(content)

    def switch_off(self) -> None:
        if self._process.returncode is None:
            self._process.kill()
            self._process.communicate()


@pytest.fixture
def maixcam(tmp_path: Path, socket_enabled: None) -> Iterator[MaixCam]:
    camera = MaixCam(tmp_path)
    yield camera
    camera.switch_off()


async def add_generic_camera(hass: HomeAssistant, url: str) -> str:
    """Go through the flow of Home Assistant's own integration, as a user does."""
    assert await async_setup_component(hass, "homeassistant", {})
    result: Any = await hass.config_entries.flow.async_init("generic", context={"source": SOURCE_USER})
    assert result["type"] is FlowResultType.FORM
    # It asks no more often than this many times a second, two by default: enough for everyone but a test.
    advanced = {"framerate": 1000.0, "verify_ssl": True, "authentication": "basic"}
    answers = {"still_image_url": url, "advanced": advanced}
    result = await hass.config_entries.flow.async_configure(result["flow_id"], answers)
    assert result["step_id"] == "user_confirm", result
    result = await hass.config_entries.flow.async_configure(result["flow_id"], {"confirmed_ok": True})
    assert result["type"] is FlowResultType.CREATE_ENTRY
    await hass.async_block_till_done()
    [entity_id] = hass.states.async_entity_ids("camera")
    return entity_id


async def test_picture_of_a_maixcam_gets_out(
    hass: HomeAssistant, simulator: Simulator, maixcam: MaixCam, qiniu_server: QiniuServer
) -> None:
    first = jpeg()
    maixcam.sees(first)
    entity_id = await add_generic_camera(hass, maixcam.url)
    entry = await set_up(hass, modem_entry(simulator.port, qiniu_data(qiniu_server.url)))

    async def upload() -> None:
        call = {"destination": destination_device(hass, entry), "entity_id": entity_id}
        await hass.services.async_call(DOMAIN, "upload_snapshot", call, blocking=True)

    # Each upload shows what the camera sees then.
    await upload()
    second = jpeg(width=640)
    maixcam.sees(second)
    await upload()
    stored = list(qiniu_server.files.values())
    assert [file.content for file in stored] == [first, second]
    assert {file.content_type for file in stored} == {"image/jpeg"}

    # One that is off: the generic camera gives its last picture again, as the documentation warns.
    maixcam.switch_off()
    await upload()
    assert list(qiniu_server.files.values())[2].content == second


async def test_maixcam_that_was_never_on(
    hass: HomeAssistant, simulator: Simulator, maixcam: MaixCam, qiniu_server: QiniuServer
) -> None:
    maixcam.sees(jpeg())
    entity_id = await add_generic_camera(hass, maixcam.url)
    maixcam.switch_off()
    entry = await set_up(hass, modem_entry(simulator.port, qiniu_data(qiniu_server.url)))
    call = {"destination": destination_device(hass, entry), "entity_id": entity_id}
    with pytest.raises(HomeAssistantError, match="gave no picture"):
        await hass.services.async_call(DOMAIN, "upload_snapshot", call, blocking=True)
    assert not qiniu_server.seen


def test_script_gives_one_picture_a_request(maixcam: MaixCam, socket_enabled: Callable[[], None]) -> None:
    for content in (b"\xff\xd8first", b"\xff\xd8second"):
        maixcam.sees(content)
        with urlopen(maixcam.url) as response:  # noqa: S310 - http on this machine
            assert response.read() == content
            assert response.headers["Content-Type"] == "image/jpeg"
            assert response.headers["Cache-Control"] == "no-store"
