"""Diagnostics help, and nothing personal gets out: not there, not into the log, states, exceptions or transcripts."""

from collections.abc import Awaitable, Callable
import json
import logging
from pathlib import Path
from typing import Any

from homeassistant.config_entries import ConfigEntryState
from homeassistant.core import HomeAssistant
from homeassistant.exceptions import HomeAssistantError
from homeassistant.helpers import device_registry as dr
import pytest
from pytest_homeassistant_custom_component.common import MockConfigEntry

from custom_components import cellular_uplink
from custom_components.cellular_uplink.const import DOMAIN
from custom_components.cellular_uplink.diagnostics import async_get_config_entry_diagnostics
from tests.conftest import PictureServer, Simulator
from tests.upload.qiniu_server import QiniuServer

from .conftest import (
    delivery_data,
    destination_data,
    destination_device,
    expect_state,
    jpeg,
    modem_entry,
    qiniu_data,
    set_up,
)

type AddCamera = Callable[[str, bytes], Awaitable[str]]

REDACTED = "**REDACTED**"
IMEI = "860000123454321"
IMSI = "262019876543210"
ICCID = "89490200009876543210"
PIN = "73194628"


async def diagnostics(hass: HomeAssistant, entry: MockConfigEntry) -> dict[str, Any]:
    result = await async_get_config_entry_diagnostics(hass, entry)
    return dict(json.loads(json.dumps(result)))


async def test_diagnostics(hass: HomeAssistant, entry: MockConfigEntry, picture_server: PictureServer) -> None:
    result = await diagnostics(hass, entry)
    port = result["destinations"][0].pop("url").removeprefix(f"https://{REDACTED}:")
    assert picture_server.https_url.split(":")[2].startswith(port)
    assert result["entry"].pop("device").endswith(f"/{REDACTED}")
    assert result == {
        "entry": {
            "baudrate": 115200,
            "ip_type": "ipv4v6",
            "operator": "",
            "apn": REDACTED,
            "username": None,
            "password": None,
            "pin": None,
        },
        "modem": {
            "open": True,
            "baud": 115200,
            "family": "quectel",
            "vendor": "Quectel",
            "model": "BG96",
            "firmware": "BG96MAR02A07M1G_01.018.01.018",
            "release": result["modem"]["release"],
            "imei": REDACTED,
            "imsi": REDACTED,
            "iccid": REDACTED,
            "sent_bytes": 0,
            "received_bytes": 0,
        },
        "status": {
            "up_to_date": True,
            "registration": "home",
            "operator": "Simulated Mobile",
            "access_technology": "lte_m",
            "rssi_dbm": -71,
            "rsrp_dbm": -98,
            "rsrq_db": -11.0,
            "sinr_db": 9.0,
        },
        "last_error": None,
        "quirks": {"known": result["quirks"]["known"], "problem": None, "matched": result["quirks"]["matched"]},
        "outcomes": [],
        "destinations": [
            {
                "method": "POST",
                "format": "multipart",
                "file_field": "file",
                "fields": 0,
                "headers": 0,
                "auth": "none",
                "verify_ssl": True,
                "username": None,
                "password": None,
                "token": None,
                "ca": REDACTED,
                "delivery": {**delivery_data(), "check_url": None},
                "encryption": "host_verified",
                "last_upload": None,
            }
        ],
    }
    assert all(quirk.keys() == {"id", "confidence", "why"} for quirk in result["quirks"]["matched"])


@pytest.mark.parametrize(
    ("port", "shown"),
    [
        ("/dev/ttyUSB2", "/dev/ttyUSB2"),
        ("/dev/serial/by-id/usb-Quectel_SECRET-if02", f"/dev/serial/by-id/{REDACTED}"),
        ("socket://me:SECRET@host:5000", f"socket://{REDACTED}"),
    ],
)
async def test_ports_keep_their_kind(hass: HomeAssistant, entry: MockConfigEntry, port: str, shown: str) -> None:
    hass.config_entries.async_update_entry(entry, data={**entry.data, "device": port})
    result = await diagnostics(hass, entry)
    assert result["entry"]["device"] == shown


@pytest.mark.parametrize("scheme", ["http", "https"])
@pytest.mark.parametrize("modem", ["bg96", "ml307r"])
async def test_nothing_personal_gets_out(
    hass: HomeAssistant,
    start_simulator: Callable[..., Simulator],
    add_camera: AddCamera,
    picture_server: PictureServer,
    caplog: pytest.LogCaptureFixture,
    modem: str,
    scheme: str,
) -> None:
    """A sentinel in every field that is secret or personal, then everything that can happen to an upload."""
    # What debug logging switches on for this integration, and what carries requests for it. (Home Assistant itself
    # logs every action with its data at this level.)
    loggers = json.loads((Path(cellular_uplink.__file__).parent / "manifest.json").read_text()).get("loggers", [])
    caplog.set_level(logging.WARNING)
    for name in ("custom_components.cellular_uplink", *loggers, "serialx", "httpx", "httpcore", "h11", "anyio"):
        caplog.set_level(logging.DEBUG, name)
    planted = {
        name: f"SENTINEL{number}"
        for number, name in enumerate(
            (
                "apn",
                "user",
                "apn_password",
                "query",
                "path",
                "field",
                "header",
                "basic_user",
                "basic_password",
                "token",
            ),
            start=100,
        )
    }
    picture_server.answer = "SENTINEL099"
    secrets = [*planted.values(), "SENTINEL099", IMEI, IMSI, ICCID, PIN]
    simulator = start_simulator(modem, "--imei", IMEI, "--imsi", IMSI, "--iccid", ICCID, "--sim", "pin", "--pin", PIN)
    url = picture_server.url if scheme == "http" else picture_server.https_url
    common: dict[str, Any] = {
        "url": f"{url}/{planted['path']}?key={planted['query']}",
        "ca": picture_server.ca_pem,
        "fields": {"note": planted["field"]},
        "headers": {"X-Api-Key": planted["header"]},
        "delivery": delivery_data(check="get", check_url=f"{url}/{planted['path']}/{{upload_id}}"),
    }
    entry = modem_entry(
        simulator.port,
        destination_data(**common, auth="basic", username=planted["basic_user"], password=planted["basic_password"]),
        destination_data(**common, auth="bearer", token=planted["token"]),
        apn=planted["apn"],
        username=planted["user"],
        password=planted["apn_password"],
        pin=PIN,
        imei=IMEI,
    )
    await set_up(hass, entry)
    expect_state(entry, ConfigEntryState.LOADED)
    camera = await add_camera("door", jpeg())

    said: list[str] = []
    for status in (200, 500):
        picture_server.status = status
        for name in ("Cloud", "Cloud 2"):
            data = {"destination": destination_device(hass, entry, name), "entity_id": camera}
            try:
                await hass.services.async_call(DOMAIN, "upload_snapshot", data, blocking=True)
            except HomeAssistantError as err:
                said += [
                    str(err),
                    repr(err),
                    repr(err.translation_placeholders),
                    str(err.__cause__),
                    repr(err.__cause__),
                ]
            said.append(json.dumps(await diagnostics(hass, entry)))
    assert len(picture_server.received) == 4
    assert planted["query"] in picture_server.received[0].path
    simulator.unplug()
    try:
        await hass.services.async_call(DOMAIN, "upload_snapshot", data, blocking=True)
    except HomeAssistantError as err:
        said += [str(err), repr(err.__cause__)]
    said.append(json.dumps(await diagnostics(hass, entry)))
    said += [repr(state.as_dict()) for state in hass.states.async_all()]
    # An APN is no secret to the one who reads a transcript, and often the answer.
    for text in (repr(entry.runtime_data.session.settings), caplog.text):
        said.append(text.replace(planted["apn"], ""))
    assert "custom_components.cellular_uplink" in caplog.text

    for text in said:
        for secret in secrets:
            assert secret not in text, text[max(0, text.index(secret) - 200) : text.index(secret) + 50]

    # The device is where the IMEI belongs: the user sees it there, as the serial number.
    device = dr.async_get(hass).async_get_device_by_identifier((DOMAIN, IMEI), config_entry_id=entry.entry_id)
    assert device is not None
    assert device.serial_number == IMEI


async def test_nothing_of_qiniu_gets_out(
    hass: HomeAssistant,
    simulator: Simulator,
    add_camera: AddCamera,
    qiniu_server: QiniuServer,
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.WARNING)
    for name in ("custom_components.cellular_uplink", "httpx", "httpcore", "h11", "anyio"):
        caplog.set_level(logging.DEBUG, name)
    secrets = ["SENTINELaccess", "SENTINELsecret", "sentinel-bucket", "SENTINELkey", "SENTINELvalue"]
    qiniu_server.keys, qiniu_server.objects = {secrets[0]: secrets[1]}, {secrets[2]: {}}
    section = {
        "access_key": secrets[0],
        "secret_key": secrets[1],
        "bucket": secrets[2],
        "key": "SENTINELkey{upload_id}",
    }
    data = {**qiniu_data(qiniu_server.url, **section), "fields": {"x:note": secrets[4]}}
    entry = await set_up(hass, modem_entry(simulator.port, data))
    expect_state(entry, ConfigEntryState.LOADED)
    call = {"destination": destination_device(hass, entry), "entity_id": await add_camera("door", jpeg())}

    said: list[str] = []
    for faults in ((), (401,), (400,), ("corrupt", "corrupt"), ("lost", "lost", "lost")):
        qiniu_server.faults += faults
        try:
            await hass.services.async_call(DOMAIN, "upload_snapshot", call, blocking=True)
        except HomeAssistantError as err:
            said += [str(err), repr(err.translation_placeholders), repr(err.__cause__)]
        said.append(json.dumps(await diagnostics(hass, entry)))
        said += [repr(state.as_dict()) for state in hass.states.async_all()]
    assert [seen.status for seen in qiniu_server.seen] == [200, 401, 400, 406, 406, 0, 0, 0]
    assert json.loads(said[0])["destinations"][0]["qiniu"] == {
        "region": "z0",
        "overwrite": False,
        "access_key": REDACTED,
        "secret_key": REDACTED,
        "bucket": REDACTED,
        "key": REDACTED,
    }
    token = next(part for part in qiniu_server.seen[0].body.split(b"\r\n") if part.startswith(b"SENTINELaccess:"))
    for text in (*said, caplog.text):
        for secret in (*secrets, token.decode().rpartition(":")[2]):
            assert secret not in text
    assert "custom_components.cellular_uplink" in caplog.text


async def test_address_of_a_region(hass: HomeAssistant, simulator: Simulator) -> None:
    entry = await set_up(hass, modem_entry(simulator.port, qiniu_data("", region="z2")))
    told = (await diagnostics(hass, entry))["destinations"][0]
    assert (told["url"], told["qiniu"]["region"]) == (None, "z2")
