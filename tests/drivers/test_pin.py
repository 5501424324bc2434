"""The SIM and its PIN: a picture is never worth a blocked SIM."""

import pytest

from custom_components.cellular_uplink.modem.errors import SimError
from custom_components.cellular_uplink.modem.session import ModemSession, SessionSettings, VolatilePinMemory

from .conftest import StartSession, trace_of

MODEMS = pytest.mark.parametrize("modem", ["bg96", "ml307r"])


def entries(session: ModemSession) -> int:
    """Return how often a PIN crossed the wire."""
    return trace_of(session).count('AT+CPIN="')


@MODEMS
async def test_the_right_pin_unlocks(start_session: StartSession, modem: str) -> None:
    session = start_session(modem, "--sim", "pin", "--pin", "4711", pin="4711")
    await session.open()
    assert entries(session) == 1


@MODEMS
async def test_a_missing_pin_is_asked_for_with_the_tries_left(start_session: StartSession, modem: str) -> None:
    session = start_session(modem, "--sim", "pin", "--pin-tries", "2")
    with pytest.raises(SimError) as caught:
        await session.open()
    assert (caught.value.code, caught.value.tries_left) == ("pin_required", 2)
    assert not session.is_open


@MODEMS
async def test_a_wrong_pin_is_entered_once_and_never_again(start_session: StartSession, modem: str) -> None:
    memory = VolatilePinMemory()
    first = start_session(modem, "--sim", "pin", "--pin", "4711", pin="0000")
    session = ModemSession(first.settings, pin_memory=memory)
    with pytest.raises(SimError) as caught:
        await session.open()
    assert (caught.value.code, caught.value.tries_left) == ("pin_wrong", 2)
    for again in (session, ModemSession(first.settings, pin_memory=memory)):
        with pytest.raises(SimError) as caught:
            await again.open()
        assert (caught.value.code, caught.value.tries_left) == ("pin_refused", 2)
    assert entries(session) == 1
    right = ModemSession(SessionSettings(port=first.settings.port, pin="4711"), pin_memory=memory)
    await right.open()
    await right.close()


@MODEMS
async def test_the_last_try_is_not_risked(start_session: StartSession, modem: str) -> None:
    session = start_session(modem, "--sim", "pin", "--pin", "4711", "--pin-tries", "1", pin="4711")
    with pytest.raises(SimError) as caught:
        await session.open()
    assert (caught.value.code, caught.value.tries_left) == ("pin_last_try", 1)
    assert entries(session) == 0


@MODEMS
async def test_without_a_counter_a_pin_is_entered_once(start_session: StartSession, modem: str) -> None:
    memory = VolatilePinMemory()
    locked = start_session(
        modem, "--sim", "pin", "--pin", "4711", "--set", "pin_counter=no", "--iccid", "8934071400006151466"
    )
    memory.remember("8934071400006151466", "4711", refused=False)
    session = ModemSession(SessionSettings(port=locked.settings.port, pin="4711"), pin_memory=memory)
    with pytest.raises(SimError) as caught:
        await session.open()
    assert (caught.value.code, caught.value.tries_left) == ("pin_refused", None)
    assert entries(session) == 0


@MODEMS
async def test_without_a_counter_the_right_pin_still_unlocks_after_a_restart(
    start_session: StartSession, modem: str
) -> None:
    memory = VolatilePinMemory()
    locked = start_session(modem, "--sim", "pin", "--pin", "4711", "--set", "pin_counter=no")
    session = ModemSession(SessionSettings(port=locked.settings.port, pin="4711"), pin_memory=memory)
    await session.open()
    await session.close()
    assert not memory.was_entered("89490200001234567890", "4711")


@MODEMS
@pytest.mark.parametrize(("sim", "code"), [("absent", "sim_missing"), ("puk", "puk_required")])
async def test_a_sim_that_cannot_be_used(start_session: StartSession, modem: str, sim: str, code: str) -> None:
    session = start_session(modem, "--sim", sim, pin="1234")
    with pytest.raises(SimError) as caught:
        await session.open()
    assert caught.value.code == code
    assert entries(session) == 0
