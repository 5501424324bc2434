"""Loading and unloading; losing the modem and finding it again."""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import timedelta
from functools import partial
import logging

from homeassistant.config_entries import ConfigEntryState
from homeassistant.const import EVENT_HOMEASSISTANT_STOP, EVENT_STATE_CHANGED, STATE_UNAVAILABLE
from homeassistant.core import Event, EventStateChangedData, HomeAssistant, State, callback
from homeassistant.exceptions import HomeAssistantError
from homeassistant.helpers import device_registry as dr
from homeassistant.util import dt as dt_util
import pytest
from pytest_homeassistant_custom_component.common import MockConfigEntry, async_fire_time_changed

from custom_components.cellular_uplink.const import DOMAIN
from custom_components.cellular_uplink.modem.errors import LinkError
from custom_components.cellular_uplink.modem.session import ModemSession
from tests.conftest import PictureServer, Simulator

from .conftest import IMEI, destination_data, destination_device, expect_state, jpeg, modem_entry, set_up, state_of

type AddCamera = Callable[[str, bytes], Awaitable[str]]

REGISTRATION = "sensor.quectel_bg96_registration"
LAST_ERROR = "sensor.quectel_bg96_last_error"


async def wait_for_state(
    hass: HomeAssistant, entity_id: str, expected: Callable[[State], bool], timeout_s: float
) -> None:
    """Wait until an entity's state is as expected."""
    done = asyncio.Event()

    @callback
    def changed(event: Event[EventStateChangedData]) -> None:
        new = event.data["new_state"]
        if event.data["entity_id"] == entity_id and new is not None and expected(new):
            done.set()

    unsubscribe = hass.bus.async_listen(EVENT_STATE_CHANGED, changed)
    state = hass.states.get(entity_id)
    if state is None or not expected(state):
        async with asyncio.timeout(timeout_s):
            await done.wait()
    unsubscribe()


async def unplug(hass: HomeAssistant, simulator: Simulator) -> None:
    simulator.unplug()
    await wait_for_state(hass, REGISTRATION, lambda state: state.state == STATE_UNAVAILABLE, 2)


async def let_it_look(hass: HomeAssistant, seconds: int) -> None:
    async_fire_time_changed(hass, dt_util.utcnow() + timedelta(seconds=seconds))
    await hass.async_block_till_done(wait_background_tasks=True)


async def test_loads_and_unloads(hass: HomeAssistant, entry: MockConfigEntry) -> None:
    device = dr.async_get(hass).async_get_device_by_identifier((DOMAIN, IMEI), config_entry_id=entry.entry_id)
    assert device is not None
    assert (device.manufacturer, device.model, device.serial_number) == ("Quectel", "BG96", IMEI)
    assert device.sw_version == state_of(hass, "sensor.quectel_bg96_firmware").state
    assert await hass.config_entries.async_unload(entry.entry_id)
    expect_state(entry, ConfigEntryState.NOT_LOADED)
    # The port is free again.
    assert await hass.config_entries.async_setup(entry.entry_id)
    expect_state(entry, ConfigEntryState.LOADED)


async def test_frees_the_port_when_home_assistant_stops(
    hass: HomeAssistant, entry: MockConfigEntry, simulator: Simulator
) -> None:
    hass.bus.async_fire(EVENT_HOMEASSISTANT_STOP)
    await hass.async_block_till_done()
    session = ModemSession(entry.runtime_data.session.settings)
    assert (await session.open()).imei == IMEI
    await session.close()


async def test_waits_for_its_port(hass: HomeAssistant, simulator: Simulator) -> None:
    simulator.unplug()
    entry = await set_up(hass, modem_entry(simulator.port))
    expect_state(entry, ConfigEntryState.SETUP_RETRY)
    assert entry.error_reason_translation_key == "modem_unavailable"
    simulator.start()
    await let_it_look(hass, 30)
    expect_state(entry, ConfigEntryState.LOADED)


async def test_does_not_take_another_modem(hass: HomeAssistant, start_simulator: Callable[..., Simulator]) -> None:
    entry = await set_up(hass, modem_entry(start_simulator("bg96", "--imei", "861536030196002").port))
    expect_state(entry, ConfigEntryState.SETUP_RETRY)
    assert entry.error_reason_translation_key == "modem_unavailable"
    assert (entry.error_reason_translation_placeholders or {})["code"] == "wrong_modem"


async def test_a_modem_that_goes_and_returns(
    hass: HomeAssistant,
    entry: MockConfigEntry,
    simulator: Simulator,
    add_camera: AddCamera,
    picture_server: PictureServer,
    caplog: pytest.LogCaptureFixture,
) -> None:
    await unplug(hass, simulator)
    unavailable = {state.entity_id for state in hass.states.async_all() if state.state == STATE_UNAVAILABLE}
    kept = {LAST_ERROR, "event.cloud"}
    ours = {state.entity_id for state in hass.states.async_all() if "quectel" in state.entity_id} | {"event.cloud"}
    assert unavailable == ours - kept
    last_error = state_of(hass, LAST_ERROR)
    assert last_error.state == "link: port_lost"

    # It stays away: nothing more is logged, and the last error keeps its time once it has settled.
    await let_it_look(hass, 15)
    settled = state_of(hass, LAST_ERROR)
    assert settled.state == "link: port_missing"
    await let_it_look(hass, 30)
    assert state_of(hass, LAST_ERROR).attributes["when"] == settled.attributes["when"]
    ours_logged = [record for record in caplog.records if record.name.startswith("custom_components.cellular_uplink")]
    assert [record.levelno for record in ours_logged if record.levelno >= logging.INFO] == [logging.ERROR]

    # It returns by itself.
    simulator.start()
    await let_it_look(hass, 45)
    assert state_of(hass, REGISTRATION).state == "home"
    assert state_of(hass, LAST_ERROR).state == "link: port_missing"
    assert "recovered" in caplog.text
    device = destination_device(hass, entry)
    data = {"destination": device, "entity_id": await add_camera("door", jpeg())}
    await hass.services.async_call(DOMAIN, "upload_snapshot", data, blocking=True)
    assert picture_server.received[0].body == jpeg()


async def test_the_next_upload_finds_it_before_the_next_poll(
    hass: HomeAssistant, entry: MockConfigEntry, simulator: Simulator, add_camera: AddCamera
) -> None:
    data = {"destination": destination_device(hass, entry), "entity_id": await add_camera("door", jpeg())}
    await hass.services.async_call(DOMAIN, "upload_snapshot", data, blocking=True)
    before = int(state_of(hass, "sensor.quectel_bg96_data_sent").state)
    await unplug(hass, simulator)

    # While it is gone an upload fails with a sentence, and the destination's event says so.
    with pytest.raises(HomeAssistantError) as caught:
        await hass.services.async_call(DOMAIN, "upload_snapshot", data, blocking=True)
    assert "(class link, code port_missing)" in str(caught.value)
    assert state_of(hass, "event.cloud").attributes["event_type"] == "failed"
    assert state_of(hass, "event.cloud").attributes["error"]["class"] == "link"

    simulator.start()
    await hass.services.async_call(DOMAIN, "upload_snapshot", data, blocking=True)
    await hass.async_block_till_done(wait_background_tasks=True)
    assert state_of(hass, REGISTRATION).state == "home"
    assert state_of(hass, "event.cloud").attributes["event_type"] == "completed"
    # Bytes are counted on where they were, though the modem was opened anew.
    assert int(state_of(hass, "sensor.quectel_bg96_data_sent").state) >= 2 * before - 1000


async def test_unplugged_in_the_middle_of_an_upload(
    hass: HomeAssistant,
    start_simulator: Callable[..., Simulator],
    add_camera: AddCamera,
    picture_server: PictureServer,
) -> None:
    simulator = start_simulator("bg96", "--baud", "115200")
    entry = await set_up(hass, modem_entry(simulator.port, destination_data(picture_server.url)))
    head_arrived = asyncio.Event()
    picture_server.on_head = partial(hass.loop.call_soon_threadsafe, head_arrived.set)
    content = jpeg(960, 720, quality=95)
    data = {"destination": destination_device(hass, entry), "entity_id": await add_camera("door", content)}
    upload = hass.async_create_task(hass.services.async_call(DOMAIN, "upload_snapshot", data, blocking=True))
    async with asyncio.timeout(20):
        await head_arrived.wait()
    simulator.unplug()
    with pytest.raises(HomeAssistantError) as caught:
        async with asyncio.timeout(20):  # scripts/bench measures how soon
            await upload
    assert "class link, code port_lost" in str(caught.value)
    assert state_of(hass, REGISTRATION).state == STATE_UNAVAILABLE
    assert not picture_server.received

    simulator.start("--baud", "unpaced")
    await hass.services.async_call(DOMAIN, "upload_snapshot", data, blocking=True)
    assert picture_server.received[-1].body == content
    await hass.async_block_till_done(wait_background_tasks=True)
    assert state_of(hass, REGISTRATION).state == "home"


async def test_a_modem_is_asked_every_minute(
    hass: HomeAssistant, entry: MockConfigEntry, simulator: Simulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    polls = 0
    read_status = ModemSession.read_status

    async def counted(self: ModemSession) -> object:
        nonlocal polls
        polls += 1
        return await read_status(self)

    monkeypatch.setattr(ModemSession, "read_status", counted)
    await let_it_look(hass, 30)
    assert polls == 0
    await let_it_look(hass, 61)
    assert polls == 1


async def test_a_urc_is_shown_at_once(hass: HomeAssistant, start_simulator: Callable[..., Simulator]) -> None:
    port = start_simulator("bg96", "--sim", "pin", "--set", "urc_port=uart1").port
    await set_up(hass, modem_entry(port, pin="1234"))
    assert state_of(hass, REGISTRATION).state == "searching"
    await wait_for_state(hass, REGISTRATION, lambda state: state.state == "home", 9)


async def test_a_modem_without_network_is_asked_more_often(
    hass: HomeAssistant, start_simulator: Callable[..., Simulator]
) -> None:
    simulator = start_simulator("bg96")
    simulator.stop()
    simulator.start("--registration", "searching")
    entry = await set_up(hass, modem_entry(simulator.port))
    assert state_of(hass, REGISTRATION).state == "searching"
    assert entry.runtime_data.update_interval == timedelta(seconds=10)


async def test_a_locked_sim_while_running(hass: HomeAssistant, entry: MockConfigEntry, simulator: Simulator) -> None:
    await unplug(hass, simulator)
    simulator.start("--sim", "pin", "--set", "urc_port=uart1")
    await let_it_look(hass, 15)
    assert state_of(hass, LAST_ERROR).state == "sim: pin_required"
    (flow,) = hass.config_entries.flow.async_progress_by_handler(DOMAIN)
    assert flow["step_id"] == "reauth_confirm"
    result = await hass.config_entries.flow.async_configure(flow["flow_id"], {"pin": "1234"})
    await hass.async_block_till_done()
    assert result["reason"] == "reauth_successful"
    # The network takes the SIM a moment later, and a URC says so.
    await wait_for_state(hass, REGISTRATION, lambda state: state.state == "home", 15)


async def test_an_error_of_the_port_before_the_modem_was_lost(hass: HomeAssistant, entry: MockConfigEntry) -> None:
    """The engine may tell of a loss while nobody listens any more."""
    coordinator = entry.runtime_data
    await hass.config_entries.async_unload(entry.entry_id)
    coordinator._async_modem_lost(LinkError("port_lost", "gone"))
    assert coordinator.last_error.error.code == "port_lost"
