"""What outcomes of a self-test mean, and what the planner makes of findings. No modem anywhere."""

import pytest

from custom_components.cellular_uplink.modem.drivers import driver_class
from custom_components.cellular_uplink.modem.drivers.base import Identity
from custom_components.cellular_uplink.modem.drivers.china_mobile import ChinaMobileDriver
from custom_components.cellular_uplink.modem.explain import identity_of
from custom_components.cellular_uplink.modem.quirks.loader import load_quirks
from custom_components.cellular_uplink.modem.quirks.registry import Finding, match
from custom_components.cellular_uplink.modem.routes.plan import Demand, HttpCommand, RouteName, TlsPlace
from custom_components.cellular_uplink.modem.upload.cases import Agenda, Outcome, Wish, plan_cases
from custom_components.cellular_uplink.modem.upload.memory import OutcomeMemory
from custom_components.cellular_uplink.modem.upload.planner import capabilities_of, plan
from custom_components.cellular_uplink.modem.upload.request import Destination
from custom_components.cellular_uplink.modem.upload.rulings import Ruling, rule

CATALOGUE = load_quirks()
UNKNOWN = identity_of("BG96", "BG96MAR05A01M1G_07.001.01.001", None)
R03 = identity_of("BG96", "BG96MAR03A06M1G_01.005.01.005", None)
ML307R = identity_of("ML307R", "ML307R-DC-MBRH0S01", None)
POSTFILE, POST, CONTENT, _ = HttpCommand
PAD, LATE = "quectel-bg96-719", "quectel-bg96-late-last-packet"
NO_POST, NO_POSTFILE = "quectel-bg96-719-post", "quectel-bg96-719-postfile-old"
DAY = 86_400.0


def _agenda(identity: Identity, *commands: HttpCommand) -> Agenda:
    scheme, tls = ("https", TlsPlace.MODEM) if identity.family == "quectel" else ("http", TlsPlace.HOST)
    wish = Wish(destination=Destination(url=f"{scheme}://server.example/in"), tls=tls, commands=commands)
    return plan_cases(identity, CATALOGUE, wish)


def _ruled(agenda: Agenda, fails: dict[str, set[int]], code: str = "719") -> dict[tuple[str, str], str]:
    outcomes = [
        Outcome(case=case, code=code if case.size in fails.get(case.way, ()) else None) for case in agenda.cases
    ]
    return _states(rule(agenda, outcomes))


def _states(rulings: tuple[Ruling, ...]) -> dict[tuple[str, str], str]:
    assert all(ruling.why for ruling in rulings)
    return {(ruling.quirk.id, ruling.command): ruling.state.value for ruling in rulings if ruling.command}


ALL = {1460, 1461, 2047, 2048, 4095, 4096, 6143, 6144}
HOLDS, NOT, OPEN = "holds", "does_not_hold", "not_testable"


@pytest.mark.parametrize(
    ("fails", "pad", "avoid", "late"),
    [
        (set(), NOT, NOT, NOT),
        ({2048, 4095, 6144}, HOLDS, NOT, OPEN),
        (ALL, OPEN, HOLDS, OPEN),
        ({2048, 4095}, OPEN, NOT, OPEN),
        ({2047, 2048, 4095, 6144}, OPEN, OPEN, OPEN),
        (ALL - {1460}, OPEN, OPEN, HOLDS),
        ({6143}, OPEN, OPEN, OPEN),
    ],
)
def test_rulings_of_a_bg96(fails: set[int], pad: str, avoid: str, late: str) -> None:
    found = _ruled(_agenda(UNKNOWN, POSTFILE), {"postfile": fails})
    assert found == {(PAD, "postfile"): pad, (NO_POSTFILE, "postfile"): avoid, (LATE, "postfile"): late}


def test_without_anything_delivered_it_may_be_the_server() -> None:
    found = _ruled(_agenda(UNKNOWN), dict.fromkeys(("socket", "postfile", "post"), ALL))
    assert set(found.values()) == {OPEN}


@pytest.mark.parametrize(
    ("fails", "single", "whole"),
    [
        (set(), NOT, NOT),
        ({1025, 2793, 4096, 4097}, HOLDS, NOT),
        ({2793, 4096, 4097}, HOLDS, NOT),
        ({2793}, OPEN, NOT),
        ({1024, 1025, 2793, 4096, 4097}, OPEN, HOLDS),
    ],
)
def test_rulings_of_an_ml307r(fails: set[int], single: str, whole: str) -> None:
    found = _ruled(_agenda(ML307R), {"content": fails}, "5")
    assert found == {("ml307r-content-single", "content"): single, ("ml307r-http-content", "content"): whole}


def test_a_way_that_was_cut_short_is_not_ruled() -> None:
    agenda = _agenda(R03)
    outcomes = [Outcome(case=case, code=None) for case in agenda.cases[:-1]]
    found = _states(rule(agenda, outcomes))
    assert (found[PAD, "postfile"], found[PAD, "post"]) == (NOT, OPEN)
    untold = {ruling.quirk.id: ruling.why for ruling in rule(agenda, outcomes) if ruling.command is None}
    assert untold["quectel-bg96-no-ecdsa"] == "lengths do not show it"


def test_cases_and_their_cost() -> None:
    agenda = _agenda(R03)
    assert {case.size for case in agenda.cases} == ALL
    assert [case.way for case in agenda.cases[:3]] == ["socket", "socket", "postfile"]
    assert agenda.cost_bytes > sum(case.size for case in agenda.cases) + 8000 * len(agenda.cases)
    by_socket = Wish(destination=Destination(url="https://server.example/"), route=RouteName.SOCKET)
    cases = plan_cases(R03, CATALOGUE, by_socket).cases
    assert {(case.route, case.tls) for case in cases} == {("socket", "host")}
    assert {case.size for case in cases} == ALL


# --- what is made of findings ----------------------------------------------------------------------------------------


def _why(identity: Identity, *findings: Finding) -> dict[str, str]:
    demand = Demand(scheme="https", request_bytes=2061, body_bytes=1700, tls=TlsPlace.MODEM)
    found = plan(capabilities_of(driver_class(identity.family)), match(identity, CATALOGUE, findings), demand)
    return {str(way.command or way.route): way.why for way in found.attempts}


def _finding(quirk_id: str, command: str, *, holds: bool) -> Finding:
    return Finding(quirk_id=quirk_id, command=command, holds=holds, when=365 * DAY)


def test_a_doubt_is_settled_by_command() -> None:
    assert "2035 bytes of padding" in _why(UNKNOWN)["postfile"]
    refuted = _why(UNKNOWN, _finding(PAD, "postfile", holds=False))
    assert (
        f"{PAD} (reported) is left out of account: your self-test of 1971-01-01 did not meet it"
        in (refuted["postfile"])
    )
    assert "padding" not in refuted["postfile"]
    assert "2035 bytes of padding" in refuted["post"]
    met = _why(UNKNOWN, _finding(PAD, "postfile", holds=True))["postfile"]
    assert f"{PAD} (confirmed; your self-test of 1971-01-01 met it) is worked around" in met
    assert "2035 bytes of padding" in met


def test_a_fault_the_catalogue_does_not_know_of_this_firmware() -> None:
    assert list(_why(UNKNOWN)) == ["socket", "postfile", "post"]
    assert list(_why(UNKNOWN, _finding(NO_POST, "post", holds=True))) == ["socket", "postfile"]
    assert list(_why(UNKNOWN, _finding(NO_POST, "post", holds=False))) == ["socket", "postfile", "post"]


def test_a_finding_says_nothing_of_another_command() -> None:
    old = identity_of("BG96", "BG96MAR02A07M1G_01.016.01.016", None)
    demand = Demand(scheme="http", request_bytes=3000, body_bytes=2700, allows_chunked=True)
    met = [_finding("ml307r-http-content", "content", holds=True)]
    found = plan(capabilities_of(ChinaMobileDriver), match(ML307R, CATALOGUE, met), demand)
    assert [str(way.command or way.route) for way in found.attempts] == ["socket", "chunked"]
    assert "ml307r-http-content (contested)" in found.attempts[1].why
    assert "(contested) is left out of account" in _why(old, _finding(NO_POSTFILE, "postfile", holds=False))["postfile"]


def test_what_is_confirmed_stays() -> None:
    why = _why(R03, _finding(PAD, "postfile", holds=False), _finding(NO_POST, "post", holds=False))
    assert list(why) == ["socket", "postfile"]
    assert f"{PAD} (confirmed; your self-test of 1971-01-01 did not meet it) is worked around" in why["postfile"]


def test_findings_are_kept_until_the_firmware_changes() -> None:
    memory = OutcomeMemory()
    held = _finding(PAD, "postfile", holds=True)
    memory.record_findings(UNKNOWN, [held, _finding(PAD, "post", holds=True)])
    memory.record_findings(UNKNOWN, [_finding(PAD, "post", holds=False)])
    memory.record_findings(ML307R, [])
    stored = memory.as_dict()
    again = OutcomeMemory(stored)
    assert again.as_dict() == stored
    assert again.findings(UNKNOWN) == (held, _finding(PAD, "post", holds=False))
    assert again.findings(R03) == ()
    again.record_findings(R03, [held])
    assert (again.findings(UNKNOWN), again.findings(R03)) == ((), (held,))
    assert OutcomeMemory({"findings": [3, {"modem": "x", "quirk": "y"}, {**_odd(stored), "when": 1e30}]}).as_dict() == {
        "outcomes": []
    }


def _odd(stored: dict[str, object]) -> dict[str, object]:
    findings = stored["findings"]
    assert isinstance(findings, list)
    return dict(findings[0])
