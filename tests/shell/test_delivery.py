"""How destinations send: ways out, who encrypts, doubt, what is learned, and which faults are known of the modem."""

from collections.abc import Callable
from pathlib import Path
import random
from typing import Any

from homeassistant.config_entries import ConfigEntryState
from homeassistant.core import HomeAssistant
from homeassistant.exceptions import HomeAssistantError
from homeassistant.helpers import device_registry as dr, issue_registry as ir
import pytest
from pytest_homeassistant_custom_component.common import MockConfigEntry
import trustme

from custom_components.cellular_uplink.const import DOMAIN
from custom_components.cellular_uplink.diagnostics import async_get_config_entry_diagnostics
from custom_components.cellular_uplink.modem.routes.plan import PlannedAttempt, RouteName
from tests.conftest import PictureServer, Simulator

from .conftest import (
    IMEI,
    delivery_data,
    destination_data,
    destination_device,
    expect_state,
    modem_entry,
    set_up,
    state_of,
)
from .test_init import let_it_look, unplug

CONTENT = random.Random(719).randbytes(6144)
"""With a head of less than 2 kB, bit 11 of the request's length is set: where the 719 fault strikes."""
QUIRKS = "sensor.quectel_bg96_matched_quirks"

type Send = Callable[..., Any]


@pytest.fixture(scope="module")
def certificate_key_type() -> trustme.KeyType:
    return trustme.KeyType.RSA


@pytest.fixture(scope="module")
def certificate_authority(rsa_authority: trustme.CA) -> trustme.CA:
    return rsa_authority


@pytest.fixture
def send(hass: HomeAssistant, tmp_path: Path) -> Send:
    """Return what uploads `CONTENT` to a destination of an entry, and gives the action's response."""
    hass.config.allowlist_external_dirs = {str(tmp_path)}
    path = tmp_path / "door.jpg"
    path.write_bytes(CONTENT)

    async def action(entry: MockConfigEntry, name: str = "Cloud") -> Any:
        data = {"destination": destination_device(hass, entry, name), "path": str(path)}
        return await hass.services.async_call(DOMAIN, "upload_file", data, blocking=True, return_response=True)

    return action


async def test_the_modem_encrypts(
    hass: HomeAssistant, start_simulator: Callable[..., Simulator], picture_server: PictureServer, send: Send
) -> None:
    """Without a CA the modem checks nothing, and whoever looks is told so; before anything was sent, too."""
    by_modem = {"format": "raw", "delivery": delivery_data(route="modem-http", tls_by="modem")}
    entry = await set_up(
        hass,
        modem_entry(
            start_simulator("bg96", "--firmware", "r03a06").port,
            destination_data(picture_server.https_url, **by_modem),
            destination_data(picture_server.https_url, **by_modem, ca=picture_server.ca_pem),
            destination_data(
                picture_server.https_url,
                format="raw",
                ca=picture_server.ca_pem,
                delivery=delivery_data(tls_by="modem", content_digest=True),
            ),
        ),
    )
    expect_state(entry, ConfigEntryState.LOADED)
    for name, encryption in (("Cloud", "modem_unverified"), ("Cloud 2", "modem_verified")):
        slug = name.lower().replace(" ", "_")
        sensor = state_of(hass, f"sensor.{slug}_encryption")
        assert (sensor.state, sensor.attributes["last_upload"]) == (encryption, None)
        response = await send(entry, name)
        is_verified = encryption == "modem_verified"
        assert picture_server.received[-1].body == CONTENT
        assert response["tls"] == {"where": "modem", "verified": is_verified}
        assert response["route"] == "modem-http"
        assert [(attempt["command"], attempt["outcome"]) for attempt in response["attempts"]] == [
            ("postfile", "delivered")
        ]
        assert response["padding_bytes"] > 0
        assert not response["request_bytes"] & 0x800
        assert "quectel-bg96-719" in {quirk["id"] for quirk in response["quirks"]}
        assert ("UNVERIFIED" in response["plan"][0]["why"]) is not is_verified
        event = state_of(hass, f"event.{slug}")
        told = ("tls", "plan", "attempts", "quirks", "padding_bytes", "may_be_stored_twice", "note")
        assert {key: event.attributes[key] for key in told} == {key: response[key] for key in told}
        sensor = state_of(hass, f"sensor.{slug}_encryption")
        assert (sensor.state, sensor.attributes["last_upload"]) == (encryption, encryption)

    # Left to the planner, this host is trusted most; that the modem may do it is shown nevertheless.
    response = await send(entry, "Cloud 3")
    assert (response["route"], response["tls"]) == ("socket", {"where": "host", "verified": True})
    assert len(response["plan"]) > 1
    assert picture_server.received[-1].headers["Content-Digest"].startswith("sha-256=:")
    sensor = state_of(hass, "sensor.cloud_3_encryption")
    assert (sensor.state, sensor.attributes["last_upload"]) == ("modem_verified", "host_verified")
    diagnostics = await async_get_config_entry_diagnostics(hass, entry)
    told = diagnostics["destinations"][0]
    assert (told["encryption"], told["last_upload"]["tls"]["verified"]) == ("modem_unverified", False)
    assert told["last_upload"]["attempts"][0]["command"] == "postfile"


async def test_a_picture_that_may_have_arrived(
    hass: HomeAssistant, simulator: Simulator, picture_server: PictureServer, send: Send
) -> None:
    check_url = picture_server.url + "/{upload_id}"
    entry = await set_up(
        hass,
        modem_entry(
            simulator.port,
            destination_data(picture_server.url, verify_ssl=False),
            destination_data(picture_server.url, delivery=delivery_data(in_doubt="stop", route="socket")),
            destination_data(
                picture_server.url,
                auth="bearer",
                token="t0ken",
                delivery=delivery_data(check="get", check_url=check_url),
            ),
        ),
    )
    assert state_of(hass, "sensor.cloud_encryption").state == "none"
    picture_server.answers_lost = 1
    response = await send(entry)
    assert response["may_be_stored_twice"] is True
    assert state_of(hass, "event.cloud").attributes["may_be_stored_twice"] is True
    first, second = picture_server.received
    assert first.headers["Idempotency-Key"] == second.headers["Idempotency-Key"]

    picture_server.received.clear()
    picture_server.answers_lost = 1
    with pytest.raises(HomeAssistantError) as caught:
        await send(entry, "Cloud 2")
    assert caught.value.translation_key == "upload_ambiguous"
    assert len(picture_server.received) == 1
    assert state_of(hass, "event.cloud_2").attributes["ambiguous"] is True
    # Neither was encrypted; the modem's HTTP client is not among the ways of this one.
    assert [attempt["route"] for attempt in state_of(hass, "event.cloud_2").attributes["plan"]] == ["socket"]

    picture_server.received.clear()
    picture_server.answers_lost = 1
    response = await send(entry, "Cloud 3")
    sent, asked = picture_server.received
    assert (asked.method, asked.path) == ("GET", f"/pictures/{response['upload_id']}")
    assert asked.headers["Authorization"] == sent.headers["Authorization"] == "Bearer t0ken"
    assert (response["ok"], response["may_be_stored_twice"]) == (True, False)
    assert "has the picture" in response["note"]


async def test_what_worked_is_remembered(
    hass: HomeAssistant,
    simulator: Simulator,
    picture_server: PictureServer,
    send: Send,
    hass_storage: dict[str, Any],
) -> None:
    entry = await set_up(hass, modem_entry(simulator.port, destination_data(picture_server.url)))
    key = f"{DOMAIN}.outcomes.{entry.entry_id}"
    assert "worked last" not in (await send(entry))["plan"][0]["why"]
    assert key not in hass_storage
    await let_it_look(hass, 70)
    (outcome,) = hass_storage[key]["data"]["outcomes"]
    assert (outcome["route"], outcome["worked"], outcome["count"]) == ("socket", True, 1)

    # What is not written yet is written when the entry is unloaded.
    assert "worked last" in (await send(entry))["plan"][0]["why"]
    await hass.config_entries.async_reload(entry.entry_id)
    await hass.async_block_till_done()
    assert hass_storage[key]["data"]["outcomes"][0]["count"] == 2
    assert "worked last" in (await send(entry))["plan"][0]["why"]
    diagnostics = await async_get_config_entry_diagnostics(hass, entry)
    assert diagnostics["outcomes"][0]["count"] == 3
    uploader = entry.runtime_data.uploader
    await uploader.async_store_outcomes()
    assert hass_storage[key]["data"]["outcomes"][0]["count"] == 3

    # It goes with the entry, and an upload that ends only then does not bring it back.
    identity = entry.runtime_data.identity
    await hass.config_entries.async_remove(entry.entry_id)
    await hass.async_block_till_done()
    uploader.memory.record(identity, "http", PlannedAttempt(route=RouteName.SOCKET), worked=True)
    await uploader.async_store_outcomes()
    assert key not in hass_storage


async def test_known_faults_of_the_firmware(
    hass: HomeAssistant, start_simulator: Callable[..., Simulator], picture_server: PictureServer
) -> None:
    simulator = start_simulator("bg96", "--firmware", "r03a06")
    entry = await set_up(hass, modem_entry(simulator.port, destination_data(picture_server.url)))

    def matched() -> dict[str, dict[str, Any]]:
        state = state_of(hass, QUIRKS)
        quirks = {quirk["id"]: quirk for quirk in state.attributes["quirks"]}
        assert int(state.state) == len(quirks) > 0
        assert state.state_info is not None
        assert "quirks" in state.state_info["unrecorded_attributes"], "the list is long"
        return quirks

    first = matched()
    assert first["quectel-bg96-719"]["confidence"] == "confirmed"
    assert "R03A06" in first["quectel-bg96-719"]["why"]
    assert first["quectel-bg96-719"]["sentence"]
    diagnostics = await async_get_config_entry_diagnostics(hass, entry)
    assert {quirk["id"] for quirk in diagnostics["quirks"]["matched"]} == first.keys()

    # Another firmware, other faults.
    await unplug(hass, simulator)
    simulator.start("--firmware", "r04a02")
    await let_it_look(hass, 15)
    assert "quectel-bg96-late-last-packet" in matched().keys() - first.keys()
    device = dr.async_get(hass).async_get_device_by_identifier((DOMAIN, IMEI), config_entry_id=entry.entry_id)
    assert device is not None
    assert str(device.sw_version).startswith("BG96MAR04A02")


OWN_QUIRK = """\
[[quirk]]
id = "my-own"
title = "Mine fails where others work"
effect = "pad_total_length"
params = { mask = 4096 }
confidence = "reported"
applies = { route = "modem-http" }
vector = [{ total = 4096, outcome = "719" }, { total = 1, outcome = "ok" }]
[quirk.match]
vendor = "quectel"
models = ["BG96*"]
affected = ["*"]
[[quirk.evidence]]
kind = "self-test"
source = "me"
says = "so"
"""


@pytest.fixture
def own_quirks(hass: HomeAssistant, tmp_path: Path) -> Path:
    """The user's own folder."""
    hass.config.config_dir = str(tmp_path)
    folder = tmp_path / DOMAIN / "quirks"
    folder.mkdir(parents=True)
    return folder


async def test_faults_of_the_users_own(hass: HomeAssistant, own_quirks: Path, simulator: Simulator) -> None:
    (own_quirks / "mine.toml").write_text(OWN_QUIRK)
    await set_up(hass, modem_entry(simulator.port))
    quirks = {quirk["id"]: quirk for quirk in state_of(hass, QUIRKS).attributes["quirks"]}
    assert quirks["my-own"]["title"] == "Mine fails where others work"
    assert len(quirks) > 1
    assert not ir.async_get(hass).issues


async def test_a_mistake_in_a_file_of_the_users(
    hass: HomeAssistant, own_quirks: Path, simulator: Simulator, caplog: pytest.LogCaptureFixture
) -> None:
    (own_quirks / "mine.toml").write_text('[[quirk]]\nid = "mine"\ntitel = "a typing error"\n')
    entry = await set_up(hass, modem_entry(simulator.port))
    expect_state(entry, ConfigEntryState.LOADED)
    assert int(state_of(hass, QUIRKS).state) > 0
    (warning,) = [
        record.getMessage()
        for record in caplog.records
        if record.levelname == "WARNING" and record.name.startswith("custom_components.cellular_uplink")
    ]
    assert str(own_quirks) in warning
    assert "mine.toml:3: unknown key 'titel'" in warning
    issue = ir.async_get(hass).async_get_issue(DOMAIN, "quirk_files_unusable")
    assert issue is not None
    assert "mine.toml:3" in (issue.translation_placeholders or {})["problem"]
    diagnostics = await async_get_config_entry_diagnostics(hass, entry)
    assert diagnostics["quirks"]["problem"].startswith("mine.toml:3")
