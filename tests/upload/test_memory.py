"""What was learned: kept by firmware, decaying, and forgotten when the firmware changes."""

from custom_components.cellular_uplink.modem.drivers.base import Identity
from custom_components.cellular_uplink.modem.routes.plan import HttpCommand, PlannedAttempt, RouteName, TlsPlace
from custom_components.cellular_uplink.modem.upload.memory import HALF_LIFE_S, OutcomeMemory

OLD = Identity(family="quectel", model="BG96", firmware="BG96MAR02A07M1G_01.011.01.011")
NEW = Identity(family="quectel", model="BG96", firmware="BG96MAR03A06M1G_01.005.01.005")
SOCKET = PlannedAttempt(route=RouteName.SOCKET, tls=TlsPlace.HOST)
POST = PlannedAttempt(route=RouteName.MODEM_HTTP, command=HttpCommand.POST, tls=TlsPlace.MODEM)


def test_the_latest_outcome_of_a_way_comes_first() -> None:
    memory = OutcomeMemory()
    memory.record(OLD, "https", SOCKET, worked=False, now=1000)
    memory.record(OLD, "https", POST, worked=True, now=2000)
    first, second = memory.recall(OLD, "https", now=2000)
    assert (first.route, first.command, first.worked) == (RouteName.MODEM_HTTP, HttpCommand.POST, True)
    assert (second.route, second.worked) == (RouteName.SOCKET, False)
    assert memory.recall(OLD, "http", now=2000) == ()


def test_outcomes_decay_and_are_forgotten() -> None:
    memory = OutcomeMemory()
    for _ in range(10):
        memory.record(OLD, "https", SOCKET, worked=True, now=0)
    assert memory.recall(OLD, "https", now=0)[0].weight == 1.0
    assert memory.recall(OLD, "https", now=HALF_LIFE_S)[0].weight == 0.5
    assert memory.recall(OLD, "https", now=6 * HALF_LIFE_S) == ()


def test_a_change_of_firmware_forgets() -> None:
    memory = OutcomeMemory()
    memory.record(OLD, "https", SOCKET, worked=True, now=0)
    memory.record(NEW, "https", POST, worked=True, now=1)
    assert memory.recall(OLD, "https", now=1) == ()
    assert [outcome.route for outcome in memory.recall(NEW, "https", now=1)] == [RouteName.MODEM_HTTP]


def test_it_survives_storage_and_odd_content() -> None:
    memory = OutcomeMemory()
    memory.record(OLD, "https", POST, worked=True, now=5)
    stored = memory.as_dict()
    assert OutcomeMemory(stored).as_dict() == stored
    for odd in ({}, {"outcomes": None}, {"outcomes": [3, {"route": "balloon"}]}):
        assert OutcomeMemory(odd).recall(OLD, "https") == ()
    outcomes = stored["outcomes"]
    assert isinstance(outcomes, list)
    for wrong in ({"when": float("nan")}, {"when": float("inf")}, {"count": float("inf")}):
        assert OutcomeMemory({"outcomes": [{**outcomes[0], **wrong}]}).as_dict() == {"outcomes": []}


def test_it_is_bounded() -> None:
    memory = OutcomeMemory()
    for number in range(500):
        memory.record(OLD, f"kind {number}", SOCKET, worked=True, now=number)
    outcomes = memory.as_dict()["outcomes"]
    assert isinstance(outcomes, list)
    assert len(outcomes) == 200
