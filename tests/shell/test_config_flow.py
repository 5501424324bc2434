"""Setting a modem up: every way in, every error and the way out of it."""

from collections.abc import Callable
import os
from pathlib import Path
import socket
import threading
from typing import Any
from unittest.mock import patch

from homeassistant.config_entries import SOURCE_REAUTH, SOURCE_USER, ConfigEntryState, FlowType
from homeassistant.core import HomeAssistant
from homeassistant.data_entry_flow import FlowResultType
import pytest
from pytest_homeassistant_custom_component.common import MockConfigEntry

from custom_components.cellular_uplink.const import DOMAIN
from custom_components.cellular_uplink.modem.drivers.base import Identity
from custom_components.cellular_uplink.modem.errors import (
    CommandTimeoutError,
    InputError,
    LinkError,
    ModemError,
    SimError,
)
from custom_components.cellular_uplink.modem.session import ModemSession
from tests.conftest import Simulator

from .conftest import IMEI, entry_data, expect_state, modem_entry, set_up, state_of


def form(port: str, *, network: dict[str, Any] | None = None, **changes: Any) -> dict[str, Any]:
    """What a user fills in; other fields have defaults."""
    return {"device": port, "baudrate": "115200", "network": network or {}, **changes}


async def start(hass: HomeAssistant) -> str:
    result = await hass.config_entries.flow.async_init(DOMAIN, context={"source": SOURCE_USER})
    assert result["type"] is FlowResultType.FORM
    assert result["step_id"] == "user"
    assert not result["errors"]
    return result["flow_id"]


async def submit(hass: HomeAssistant, flow_id: str, answer: dict[str, Any]) -> Any:
    result = await hass.config_entries.flow.async_configure(flow_id, answer)
    await hass.async_block_till_done()
    return result


async def finish(hass: HomeAssistant, flow_id: str, answer: dict[str, Any]) -> MockConfigEntry:
    """The way out of an error: the same flow ends well."""
    result = await submit(hass, flow_id, answer)
    assert result["type"] is FlowResultType.CREATE_ENTRY, result
    expect_state(result["result"], ConfigEntryState.LOADED)
    return result["result"]


@pytest.mark.parametrize(("model", "title", "imei"), [("bg96", "Quectel BG96", IMEI), ("ml307r", "CMCC ML307R", IMEI)])
async def test_sets_a_modem_up(
    hass: HomeAssistant, start_simulator: Callable[..., Simulator], model: str, title: str, imei: str
) -> None:
    port = start_simulator(model).port
    result = await submit(hass, await start(hass), {"device": f" {port} ", "network": {}})
    assert result["type"] is FlowResultType.CREATE_ENTRY
    assert result["title"].startswith(title.split(maxsplit=1)[0])
    assert result["result"].unique_id == imei
    assert result["data"] == entry_data(port, baudrate=None, apn="")
    expect_state(result["result"], ConfigEntryState.LOADED)

    # The first destination is asked for next.
    kind, flow_id = result["next_flow"]
    assert kind is FlowType.CONFIG_SUBENTRIES_FLOW
    assert hass.config_entries.subentries.async_get(flow_id)["step_id"] == "user"


async def test_stores_all_settings(hass: HomeAssistant, simulator: Simulator) -> None:
    network = {"username": "me", "password": "secret", "ip_type": "ipv6", "operator": "26201"}
    entry = await finish(hass, await start(hass), form(simulator.port, apn=" internet ", network=network))
    assert entry.data == entry_data(simulator.port, apn="internet", **network)


@pytest.mark.parametrize(
    ("changes", "errors"),
    [
        ({"apn": 'a"b'}, {"apn": "invalid_apn"}),
        ({"apn": "a\r\nAT+CFUN=0"}, {"apn": "invalid_apn"}),
        ({"apn": "two words"}, {"apn": "invalid_apn"}),
        ({"apn": "a" * 101}, {"apn": "invalid_apn"}),
        ({"network": {"username": "a;b"}}, {"network": "invalid_username"}),
        ({"network": {"password": "a\x1ab"}}, {"network": "invalid_password"}),
        ({"network": {"operator": "Telekom"}}, {"network": "invalid_operator"}),
        ({"network": {"operator": "1234567"}}, {"network": "invalid_operator"}),
    ],
)
async def test_refuses_settings_before_touching_the_port(
    hass: HomeAssistant, simulator: Simulator, changes: dict[str, Any], errors: dict[str, str]
) -> None:
    flow_id = await start(hass)
    result = await submit(hass, flow_id, {**form("/dev/none"), **changes})
    assert result["type"] is FlowResultType.FORM
    assert result["errors"] == errors
    await finish(hass, flow_id, form(simulator.port))


@pytest.mark.parametrize(
    ("port", "error"),
    [
        ("/dev/does-not-exist", "port_missing"),
        ("/etc/hostname", "port_invalid"),
        ("nonsense://port", "port_invalid"),
    ],
)
async def test_explains_bad_ports(hass: HomeAssistant, simulator: Simulator, port: str, error: str) -> None:
    flow_id = await start(hass)
    result = await submit(hass, flow_id, form(port))
    assert result["errors"] == {"base": error}
    await finish(hass, flow_id, form(simulator.port))


async def test_explains_a_busy_port(hass: HomeAssistant, simulator: Simulator) -> None:
    import fcntl

    holder = os.open(simulator.port, os.O_RDWR | os.O_NOCTTY)
    fcntl.flock(holder, fcntl.LOCK_EX)
    flow_id = await start(hass)
    result = await submit(hass, flow_id, form(simulator.port))
    assert result["errors"] == {"base": "port_busy"}
    os.close(holder)
    await finish(hass, flow_id, form(simulator.port))


@pytest.fixture
def other_end(tmp_path: Path) -> Any:
    """A pseudo-terminal with something else than a modem at its end: `other_end(b"...")` answers every write so."""
    opened: list[int] = []
    threads: list[threading.Thread] = []

    def make(answer: bytes | None) -> str:
        import tty

        master, slave = os.openpty()
        tty.setraw(slave)
        opened.extend((master, slave))
        name = os.ttyname(slave)
        if answer is not None:

            def serve() -> None:
                while True:
                    try:
                        heard = os.read(master, 4096)
                    except OSError:
                        return
                    if not heard or heard.startswith(b"stop"):
                        return
                    os.write(master, answer)

            thread = threading.Thread(target=serve)
            thread.start()
            threads.append(thread)
        return name

    yield make
    for slave in opened[1::2]:
        os.write(slave, b"stop")
    for thread in threads:
        thread.join()
    for descriptor in opened:
        os.close(descriptor)


async def test_explains_silence_and_strangers(hass: HomeAssistant, simulator: Simulator, other_end: Any) -> None:
    flow_id = await start(hass)
    result = await submit(hass, flow_id, form(other_end(None)))
    assert result["errors"] == {"base": "no_answer"}
    result = await submit(hass, flow_id, form(other_end(b"login: ")))
    assert result["errors"] == {"base": "not_a_modem"}
    await finish(hass, flow_id, form(simulator.port))


@pytest.mark.parametrize(("sim", "error"), [("absent", "sim_missing"), ("puk", "puk_required")])
async def test_explains_an_unusable_sim(
    hass: HomeAssistant, start_simulator: Callable[..., Simulator], sim: str, error: str
) -> None:
    simulator = start_simulator("bg96")
    simulator.stop()
    simulator.start("--sim", sim)
    flow_id = await start(hass)
    result = await submit(hass, flow_id, form(simulator.port))
    assert result["errors"] == {"base": error}
    simulator.stop()
    simulator.start()
    await finish(hass, flow_id, form(simulator.port))


@pytest.mark.parametrize(
    ("failure", "errors"),
    [
        (LinkError("not_responding", "silent"), {"base": "not_responding"}),
        (LinkError("port_lost", "gone"), {"base": "port_lost"}),
        (SimError("sim_busy", "not ready"), {"base": "sim_busy"}),
        (SimError("sim_failure", "broken"), {"base": "sim_failure"}),
        (SimError("pin_last_try", "one left", tries_left=1), {"base": "pin_last_try"}),
        (CommandTimeoutError("timeout", "too slow"), {"base": "modem_error"}),
        (InputError("apn", "is odd"), {"apn": "invalid_setting"}),
        (InputError("operator", "is odd"), {"network": "invalid_setting"}),
    ],
)
async def test_explains_what_a_simulator_cannot_show(
    hass: HomeAssistant, simulator: Simulator, failure: ModemError, errors: dict[str, str]
) -> None:
    flow_id = await start(hass)
    with patch.object(ModemSession, "open", side_effect=failure):
        result = await submit(hass, flow_id, form(simulator.port))
    assert result["errors"] == errors
    await finish(hass, flow_id, form(simulator.port))


async def test_needs_an_imei(hass: HomeAssistant, simulator: Simulator) -> None:
    flow_id = await start(hass)
    with patch.object(ModemSession, "open", return_value=Identity(family="generic")):
        result = await submit(hass, flow_id, form(simulator.port))
    assert result["type"] is FlowResultType.ABORT
    assert result["reason"] == "no_imei"


async def test_names_a_modem_that_does_not_tell_its_model(hass: HomeAssistant, simulator: Simulator) -> None:
    flow_id = await start(hass)
    with patch.object(ModemSession, "open", return_value=Identity(family="generic", imei=IMEI)):
        result = await submit(hass, flow_id, form(simulator.port))
    assert result["title"] == "LTE modem"


async def test_unlocks_the_sim(hass: HomeAssistant, start_simulator: Callable[..., Simulator]) -> None:
    port = start_simulator("bg96", "--sim", "pin", "--pin", "4711").port
    flow_id = await start(hass)
    result = await submit(hass, flow_id, form(port))
    assert result["step_id"] == "pin"
    assert not result["errors"]
    assert result["description_placeholders"]["tries_left"] == "3"

    # What cannot be a PIN costs no try.
    for pin in ("123", "123456789", "12 34", "abcd"):
        result = await submit(hass, flow_id, {"pin": pin})
        assert result["errors"] == {"pin": "invalid_pin"}
    assert result["description_placeholders"]["tries_left"] == "3"

    result = await submit(hass, flow_id, {"pin": "0000"})
    assert result["errors"] == {"pin": "pin_wrong"}
    assert result["description_placeholders"]["tries_left"] == "2"

    # The same again does not reach the SIM.
    result = await submit(hass, flow_id, {"pin": "0000"})
    assert result["errors"] == {"pin": "pin_refused"}
    assert result["description_placeholders"]["tries_left"] == "2"

    entry = await finish(hass, flow_id, {"pin": " 4711 "})
    assert entry.data["pin"] == "4711"


async def test_does_not_risk_the_last_try(hass: HomeAssistant, start_simulator: Callable[..., Simulator]) -> None:
    simulator = start_simulator("bg96")
    simulator.stop()
    simulator.start("--sim", "pin", "--pin-tries", "1")
    flow_id = await start(hass)
    result = await submit(hass, flow_id, form(simulator.port))
    assert result["description_placeholders"]["tries_left"] == "1"
    result = await submit(hass, flow_id, {"pin": "1234"})
    assert result["errors"] == {"base": "pin_last_try"}
    simulator.stop()
    simulator.start("--sim", "pin")
    await finish(hass, flow_id, {"pin": "1234"})


async def test_shows_that_the_tries_are_unknown(hass: HomeAssistant, start_simulator: Callable[..., Simulator]) -> None:
    port = start_simulator("ml307r", "--sim", "pin", "--set", "pin_counter=no").port
    flow_id = await start(hass)
    result = await submit(hass, flow_id, form(port))
    assert result["description_placeholders"]["tries_left"] == "?"
    await finish(hass, flow_id, {"pin": "1234"})


async def test_a_modem_is_set_up_once(hass: HomeAssistant, simulator: Simulator, tmp_path: Path) -> None:
    entry = await set_up(hass, modem_entry(simulator.port))
    result = await submit(hass, await start(hass), form(simulator.port))
    assert result["reason"] == "already_configured"
    expect_state(entry, ConfigEntryState.LOADED)

    # The same modem is known by its IMEI on another port too.
    await hass.config_entries.async_unload(entry.entry_id)
    other = tmp_path / "other"
    other.symlink_to(simulator.port)
    result = await submit(hass, await start(hass), form(str(other)))
    assert result["reason"] == "already_configured"


async def test_over_the_network(hass: HomeAssistant, simulator: Simulator, socket_enabled: None) -> None:
    """An address by hand; nobody listens there."""
    with socket.create_server(("127.0.0.1", 0)) as unused:
        address = unused.getsockname()[1]
    flow_id = await start(hass)
    result = await submit(hass, flow_id, form(f"socket://127.0.0.1:{address}"))
    assert result["errors"]
    await finish(hass, flow_id, form(simulator.port))


async def test_reconfigures(hass: HomeAssistant, simulator: Simulator) -> None:
    entry = await set_up(hass, modem_entry(simulator.port, username="me", password="secret", operator=""))
    result = await entry.start_reconfigure_flow(hass)
    assert result["step_id"] == "reconfigure"
    suggested = {
        str(key): key.description["suggested_value"]
        for key in result["data_schema"].schema
        if key.description and "suggested_value" in key.description
    }
    assert suggested == {"device": simulator.port, "baudrate": "115200", "apn": "internet"}
    network = result["data_schema"].schema["network"].schema.schema
    assert {str(key): (key.description or {}).get("suggested_value") for key in network} == {
        "username": "me",
        "password": None,
        "ip_type": "ipv4v6",
        "operator": "",
    }

    answer = form(simulator.port, apn="other", baudrate="auto", network={"username": "me"})
    result = await submit(hass, result["flow_id"], answer)
    assert result["reason"] == "reconfigure_successful"
    # The password was left empty and stays, as the user name did.
    assert entry.data == entry_data(simulator.port, apn="other", baudrate=None, username="me", password="secret")
    expect_state(entry, ConfigEntryState.LOADED)

    result = await submit(hass, (await entry.start_reconfigure_flow(hass))["flow_id"], form(simulator.port))
    assert entry.data["password"] == ""


async def test_reconfigure_restores_the_modem_on_failure(hass: HomeAssistant, simulator: Simulator) -> None:
    entry = await set_up(hass, modem_entry(simulator.port))
    flow_id = (await entry.start_reconfigure_flow(hass))["flow_id"]
    result = await submit(hass, flow_id, form("/dev/does-not-exist"))
    assert result["errors"] == {"base": "port_missing"}
    expect_state(entry, ConfigEntryState.LOADED)
    assert state_of(hass, "sensor.quectel_bg96_registration").state == "home"
    result = await submit(hass, flow_id, form(simulator.port))
    assert result["reason"] == "reconfigure_successful"
    expect_state(entry, ConfigEntryState.LOADED)


async def test_reconfigure_frees_a_modem_that_waits_for_its_port(hass: HomeAssistant, simulator: Simulator) -> None:
    entry = await set_up(hass, modem_entry("/dev/does-not-exist"))
    expect_state(entry, ConfigEntryState.SETUP_RETRY)
    flow_id = (await entry.start_reconfigure_flow(hass))["flow_id"]
    result = await submit(hass, flow_id, form(simulator.port))
    assert result["reason"] == "reconfigure_successful"
    expect_state(entry, ConfigEntryState.LOADED)


async def test_reconfigure_needs_the_same_modem(
    hass: HomeAssistant, simulator: Simulator, start_simulator: Callable[..., Simulator]
) -> None:
    entry = await set_up(hass, modem_entry(simulator.port))
    stranger = start_simulator("bg96", "--imei", "861536030196002")
    result = await submit(hass, (await entry.start_reconfigure_flow(hass))["flow_id"], form(stranger.port))
    assert result["reason"] == "wrong_modem"
    expect_state(entry, ConfigEntryState.LOADED)
    assert entry.data["device"] == simulator.port


async def test_reconfigure_onto_the_port_of_another_modem(
    hass: HomeAssistant, simulator: Simulator, start_simulator: Callable[..., Simulator]
) -> None:
    entry = await set_up(hass, modem_entry(simulator.port))
    other = MockConfigEntry(domain=DOMAIN, unique_id="861536030196002", data=entry_data("/dev/other"))
    other.add_to_hass(hass)
    result = await submit(hass, (await entry.start_reconfigure_flow(hass))["flow_id"], form("/dev/other"))
    assert result["reason"] == "already_configured"
    expect_state(entry, ConfigEntryState.LOADED)


async def test_reconfigure_gives_up_when_the_port_is_not_freed(hass: HomeAssistant, simulator: Simulator) -> None:
    entry = await set_up(hass, modem_entry(simulator.port))
    flow_id = (await entry.start_reconfigure_flow(hass))["flow_id"]
    with patch.object(hass.config_entries, "async_unload", return_value=False):
        result = await submit(hass, flow_id, form(simulator.port))
    assert result["reason"] == "unload_failed"


async def test_asks_for_the_pin_again(hass: HomeAssistant, start_simulator: Callable[..., Simulator]) -> None:
    simulator = start_simulator("bg96", "--sim", "pin", "--pin", "4711")
    entry = await set_up(hass, modem_entry(simulator.port, pin="0000"))
    expect_state(entry, ConfigEntryState.SETUP_ERROR)
    (flow,) = hass.config_entries.flow.async_progress_by_handler(DOMAIN)
    assert flow["context"]["source"] == SOURCE_REAUTH
    assert flow["step_id"] == "reauth_confirm"

    result = await submit(hass, flow["flow_id"], {"pin": "0000"})
    assert result["errors"] == {"pin": "pin_refused"}
    assert result["description_placeholders"]["tries_left"] == "2"
    expect_state(entry, ConfigEntryState.SETUP_ERROR)

    simulator.stop()
    result = await submit(hass, flow["flow_id"], {"pin": "4711"})
    assert result["errors"] == {"base": "port_missing"}

    simulator.start()
    result = await submit(hass, flow["flow_id"], {"pin": "4711"})
    assert result["reason"] == "reauth_successful"
    assert entry.data["pin"] == "4711"
    expect_state(entry, ConfigEntryState.LOADED)
    assert not hass.config_entries.flow.async_progress_by_handler(DOMAIN)


async def test_reconfigure_asks_for_the_pin_of_a_new_sim(
    hass: HomeAssistant, start_simulator: Callable[..., Simulator]
) -> None:
    simulator = start_simulator("bg96")
    entry = await set_up(hass, modem_entry(simulator.port))
    simulator.stop()
    simulator.start("--sim", "pin")
    result = await submit(hass, (await entry.start_reconfigure_flow(hass))["flow_id"], form(simulator.port))
    assert result["step_id"] == "pin"
    result = await submit(hass, result["flow_id"], {"pin": "1234"})
    assert result["reason"] == "reconfigure_successful"
    assert entry.data["pin"] == "1234"
    expect_state(entry, ConfigEntryState.LOADED)
    # A later change of settings keeps the PIN.
    await submit(hass, (await entry.start_reconfigure_flow(hass))["flow_id"], form(simulator.port))
    assert entry.data["pin"] == "1234"
