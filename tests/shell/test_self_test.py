"""The self-test as an action: who may run it, what it asks for first, and that uploads go by what it found."""

import asyncio
from collections.abc import Callable
from pathlib import Path
import threading
import tomllib
from typing import Any

from homeassistant.config_entries import ConfigEntryState
from homeassistant.core import Context, HomeAssistant
from homeassistant.exceptions import HomeAssistantError, ServiceValidationError, Unauthorized
from homeassistant.helpers import device_registry as dr
import pytest
from pytest_homeassistant_custom_component.common import MockConfigEntry, MockUser
import trustme

from custom_components.cellular_uplink.const import DOMAIN
from tests.conftest import PictureServer, Simulator

from .conftest import destination_data, destination_device, expect_state, jpeg, modem_entry, set_up
from .translation_check import TranslationChecker


@pytest.fixture(scope="module")
def certificate_key_type() -> trustme.KeyType:
    """As a modem that does TLS by itself needs it."""
    return trustme.KeyType.RSA


@pytest.fixture(scope="module")
def certificate_authority(rsa_authority: trustme.CA) -> trustme.CA:
    return rsa_authority


@pytest.fixture
async def ml307r(
    hass: HomeAssistant, start_simulator: Callable[..., Simulator], picture_server: PictureServer
) -> MockConfigEntry:
    entry = await set_up(hass, modem_entry(start_simulator("ml307r").port, destination_data(picture_server.url)))
    expect_state(entry, ConfigEntryState.LOADED)
    return entry


def _modem(hass: HomeAssistant, entry: MockConfigEntry) -> str:
    devices = dr.async_entries_for_config_entry(dr.async_get(hass), entry.entry_id)
    return next(device.id for device in devices if device.config_subentry_id is None)


async def _run(hass: HomeAssistant, modem: str, url: str, context: Context | None = None, /, **data: Any) -> Any:
    fields = {"modem": modem, "url": url, **data}
    return await hass.services.async_call(
        DOMAIN, "run_self_test", fields, blocking=True, return_response=True, context=context
    )


async def test_it_finds_and_keeps(
    hass: HomeAssistant,
    ml307r: MockConfigEntry,
    picture_server: PictureServer,
    hass_storage: dict[str, Any],
    tmp_path: Path,
) -> None:
    modem = _modem(hass, ml307r)
    picture = tmp_path / "door.jpg"
    picture.write_bytes(jpeg())
    hass.config.allowlist_external_dirs = {str(tmp_path)}
    uploading = hass.services.async_call(
        DOMAIN,
        "upload_file",
        {"destination": destination_device(hass, ml307r), "path": str(picture)},
        blocking=True,
        return_response=True,
    )
    # An upload at the same time disturbs neither.
    found, upload = await asyncio.gather(_run(hass, modem, picture_server.url, limit_kilobytes=100), uploading)
    assert upload is not None
    assert upload["ok"] is True
    assert (found["ok"], found["stopped"]) == (True, None)
    assert {(quirk["id"], quirk["state"]) for quirk in found["quirks"] if quirk["command"]} == {
        ("ml307r-content-single", "does_not_hold"),
        ("ml307r-http-content", "does_not_hold"),
    }
    assert "Here it does not hold: ok at 1024, 1025, 2793, 4096, 4097 bytes of body." in found["summary"]
    evidence = tomllib.loads(found["evidence"])
    assert evidence["selftest"]["model"] == "ML307R"
    assert picture_server.url not in found["evidence"]
    assert len(picture_server.received) == 8
    uploader = ml307r.runtime_data.uploader
    identity = ml307r.runtime_data.identity
    assert {finding.holds for finding in uploader.memory.findings(identity)} == {False}
    assert any("findings" in str(stored) for key, stored in hass_storage.items() if key.startswith(DOMAIN))


async def test_what_it_asks_for_first(
    hass: HomeAssistant, ml307r: MockConfigEntry, entry: MockConfigEntry, picture_server: PictureServer
) -> None:
    modem = _modem(hass, ml307r)
    for limit, words in (({}, "is missing: 7 requests take about 32 kilobytes"), ({"limit_kilobytes": 2}, "is 2, but")):
        with pytest.raises(ServiceValidationError, match=f"limit_kilobytes: {words}"):
            await _run(hass, modem, picture_server.url, **limit)
    with pytest.raises(ServiceValidationError, match="tls: must be modem"):
        await _run(hass, _modem(hass, entry), "https://server.example/", limit_kilobytes=900)
    with pytest.raises(ServiceValidationError, match="url: must start with"):
        await _run(hass, modem, "server.example")
    with pytest.raises(ServiceValidationError, match="Choose the device of the modem"):
        await _run(hass, destination_device(hass, entry), picture_server.url)
    assert picture_server.received == []


async def test_admins_only(
    hass: HomeAssistant,
    ml307r: MockConfigEntry,
    picture_server: PictureServer,
    hass_read_only_user: MockUser,
    translations: TranslationChecker,
) -> None:
    with pytest.raises(Unauthorized):
        await _run(
            *(hass, _modem(hass, ml307r), picture_server.url),
            Context(user_id=hass_read_only_user.id),
            limit_kilobytes=100,
        )
    translations.problems.clear()  # Home Assistant's own refusal has no words
    assert picture_server.received == []


async def test_a_server_that_is_ill_and_a_second_test(
    hass: HomeAssistant, ml307r: MockConfigEntry, picture_server: PictureServer
) -> None:
    modem = _modem(hass, ml307r)
    arrived, release = asyncio.Event(), threading.Event()

    def hold() -> None:
        hass.loop.call_soon_threadsafe(arrived.set)
        release.wait(30)

    picture_server.on_head, picture_server.status = hold, 500
    first = asyncio.create_task(_run(hass, modem, picture_server.url, limit_kilobytes=100))
    await arrived.wait()
    with pytest.raises(HomeAssistantError, match="is running already"):
        await _run(hass, modem, picture_server.url, limit_kilobytes=100)
    release.set()
    found = await first
    assert (found["ok"], found["stopped"]["code"]) == (False, "500")
    assert (found["quirks"], found["evidence"]) == ([], "")
    assert "nothing was learnt" in found["summary"]
    assert ml307r.runtime_data.uploader.memory.as_dict() == {"outcomes": []}


async def test_a_modem_that_is_gone(hass: HomeAssistant, start_simulator: Callable[..., Simulator]) -> None:
    simulator = start_simulator("ml307r")
    entry = await set_up(hass, modem_entry(simulator.port))
    simulator.unplug()
    while entry.runtime_data.session.is_open:
        await asyncio.sleep(0)
    with pytest.raises(HomeAssistantError) as caught:
        await _run(hass, _modem(hass, entry), "http://127.0.0.1:9/", limit_kilobytes=100)
    assert caught.value.translation_key == "modem_unavailable"


async def test_the_modem_checks_with_a_ca(
    hass: HomeAssistant, entry: MockConfigEntry, picture_server: PictureServer
) -> None:
    """An answer that ends the test after its first request is enough to see who was checked."""
    modem, picture_server.status = _modem(hass, entry), 500
    only = {"tls": "modem", "route": "modem-http", "commands": ["postfile"], "limit_kilobytes": 900}
    for ca, is_verified in (("", False), (f"\n{picture_server.ca_pem}\n", True)):
        found = await _run(hass, modem, picture_server.https_url, **only, ca=ca)
        assert (found["stopped"]["code"], found["tls"]) == ("500", {"where": "modem", "verified": is_verified})
    assert len(picture_server.received) == 2
    # This host trusts it alone, too.
    found = await _run(hass, modem, picture_server.https_url, **{**only, "route": "socket", "commands": []}, ca=ca)
    assert found["stopped"]["code"] == "500"
    for ca, words in (("nonsense", "holds no certificate"), ("-----BEGIN PRIVATE KEY-----", "holds a private key")):
        with pytest.raises(ServiceValidationError, match=f"ca: {words}"):
            await _run(hass, modem, picture_server.https_url, **only, ca=ca)
    assert len(picture_server.received) == 3


async def test_the_entry_goes_meanwhile(
    hass: HomeAssistant, ml307r: MockConfigEntry, picture_server: PictureServer
) -> None:
    """A change of settings reloads the entry: the test ends there, says so, and leaves the port to its successor."""
    modem = _modem(hass, ml307r)
    arrived, release = asyncio.Event(), threading.Event()

    def hold() -> None:
        hass.loop.call_soon_threadsafe(arrived.set)
        release.wait(30)

    picture_server.on_head = hold
    testing = asyncio.create_task(_run(hass, modem, picture_server.url, limit_kilobytes=100))
    await arrived.wait()
    await hass.config_entries.async_reload(ml307r.entry_id)
    release.set()
    expect_state(ml307r, ConfigEntryState.LOADED)
    found = await testing
    assert (found["ok"], found["quirks"]) == (False, [])
    assert "nothing was learnt" in found["summary"]
    picture_server.on_head = None
    assert (await _run(hass, modem, picture_server.url, limit_kilobytes=100))["ok"] is True
