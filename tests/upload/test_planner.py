"""The planner: which ways, in which order, and why. No modem anywhere."""

from dataclasses import replace
from itertools import product

from hypothesis import given, strategies as st
import pytest

from custom_components.cellular_uplink.modem.drivers.china_mobile import ChinaMobileDriver
from custom_components.cellular_uplink.modem.drivers.quectel import QuectelDriver
from custom_components.cellular_uplink.modem.explain import identity_of
from custom_components.cellular_uplink.modem.quirks.loader import load_quirks
from custom_components.cellular_uplink.modem.quirks.registry import Applies, Confidence, MatchedQuirk, match
from custom_components.cellular_uplink.modem.routes.plan import (
    Capabilities,
    Demand,
    HttpCommand,
    LearnedOutcome,
    Plan,
    RouteName,
    TlsPlace,
)
from custom_components.cellular_uplink.modem.upload.planner import capabilities_of, plan

CATALOGUE = load_quirks()
BG96 = capabilities_of(QuectelDriver)
ML307R = capabilities_of(ChinaMobileDriver)
HTTP = Demand(scheme="http", request_bytes=2000, body_bytes=1700)
HTTPS = Demand(scheme="https", request_bytes=2000, body_bytes=1700)
MODEM_TLS = replace(HTTPS, tls=TlsPlace.MODEM)
SOCKET = "socket"
POSTFILE, POST, CONTENT, CHUNKED = HttpCommand


def _quirks(firmware: str | None, model: str = "BG96") -> tuple[MatchedQuirk, ...]:
    return match(identity_of(model, firmware, None), CATALOGUE)


R02 = _quirks("BG96MAR02A07M1G_01.016.01.016")
R02_011 = _quirks("BG96MAR02A07M1G_01.011.01.011")
R03 = _quirks("BG96MAR03A06M1G_01.005.01.005")
R04 = _quirks("BG96MAR04A02M1G_02.002.01.002")
UNKNOWN = _quirks("BG96MAR05A01M1G_01.001.01.001")
ML = _quirks("ML307R-DL-MBRH0S01", "ML307R")


def _ways(found: Plan) -> list[str]:
    return [str(attempt.command or attempt.route) for attempt in found.attempts]


def _why_not(found: Plan, way: str) -> str:
    return next(left.why for left in found.rejected if str(left.command or left.route) == way)


def _avoid(confidence: Confidence, **params: object) -> MatchedQuirk:
    effect = "avoid_route" if "route" in params else "avoid_command"
    applies = Applies(route=str(params.get("route", "modem-http")))
    return MatchedQuirk(
        id="x-avoid", title="T", confidence=confidence, why="", effect=effect, params=params, applies=applies
    )


def _learned(way: str, tls: TlsPlace, *, worked: bool, weight: float = 0.5) -> LearnedOutcome:
    if way == SOCKET:
        return LearnedOutcome(route=RouteName.SOCKET, command=None, tls=tls, worked=worked, weight=weight)
    command = HttpCommand(way)
    return LearnedOutcome(route=RouteName.MODEM_HTTP, command=command, tls=tls, worked=worked, weight=weight)


# --- order, wishes, capabilities -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("capabilities", "quirks", "demand", "ways"),
    [
        (BG96, (), HTTP, [SOCKET, POSTFILE, POST]),
        (BG96, (), HTTPS, [SOCKET]),
        (BG96, (), MODEM_TLS, [SOCKET, POSTFILE, POST]),
        (BG96, R02, HTTP, [SOCKET, POSTFILE, POST]),
        (BG96, R02, MODEM_TLS, [SOCKET, POST, POSTFILE]),
        (BG96, R02_011, MODEM_TLS, [SOCKET, POST, POSTFILE]),
        (BG96, R03, MODEM_TLS, [SOCKET, POSTFILE]),
        (BG96, R04, MODEM_TLS, [SOCKET, POSTFILE]),
        (BG96, R04, replace(MODEM_TLS, request_bytes=1460), [SOCKET, POSTFILE, POST]),
        (BG96, UNKNOWN, MODEM_TLS, [SOCKET, POSTFILE, POST]),
        (ML307R, ML, HTTP, [SOCKET, CONTENT]),
        (ML307R, ML, HTTPS, [SOCKET]),
        (ML307R, ML, MODEM_TLS, [SOCKET, CONTENT]),
        (ML307R, (), replace(HTTP, allows_chunked=True), [SOCKET, CONTENT, CHUNKED]),
        (BG96, R03, replace(MODEM_TLS, route=RouteName.SOCKET), [SOCKET]),
        (BG96, R03, replace(MODEM_TLS, route=RouteName.MODEM_HTTP), [POSTFILE]),
        (BG96, R03, replace(MODEM_TLS, route=RouteName.MODEM_HTTP, command=POST), [POST]),
        (BG96, R03, replace(MODEM_TLS, command=POST), [POST]),
        (BG96, R04, replace(MODEM_TLS, route=RouteName.MODEM_HTTP), [POSTFILE, POST]),
        (ML307R, ML, replace(HTTP, route=RouteName.MODEM_HTTP), [CONTENT]),
        (ML307R, ML, replace(HTTP, command=CHUNKED), [CHUNKED]),
        (BG96, (), replace(HTTP, command=CONTENT), []),
        (BG96, (), replace(HTTPS, route=RouteName.MODEM_HTTP), []),
        (Capabilities(), (), HTTP, []),
        (Capabilities(has_sockets=True), (), HTTP, [SOCKET]),
        (replace(BG96, has_modem_tls=False), (), MODEM_TLS, [SOCKET]),
    ],
)
def test_ways(capabilities: Capabilities, quirks: tuple[MatchedQuirk, ...], demand: Demand, ways: list[str]) -> None:
    found = plan(capabilities, quirks, demand)
    assert _ways(found) == ways
    assert all(attempt.why for attempt in found.attempts)
    assert all(left.why for left in found.rejected)
    if not ways:
        assert found.rejected


@pytest.mark.parametrize(
    ("capabilities", "quirks", "demand", "way", "words"),
    [
        (BG96, (), HTTPS, POSTFILE, "the destination does not allow that"),
        (BG96, R03, MODEM_TLS, POST, "quectel-bg96-719-post (confirmed)"),
        (BG96, R04, MODEM_TLS, POST, "another command does not either"),
        (BG96, (), replace(HTTP, route=RouteName.SOCKET), POST, "socket is asked for"),
        (BG96, (), replace(HTTP, command=POST), SOCKET, "modem-http is asked for"),
        (BG96, (), replace(HTTP, command=POST), POSTFILE, "post is asked for"),
        (BG96, (), replace(HTTP, command=CONTENT), CONTENT, "has no such command"),
        (Capabilities(), (), HTTP, SOCKET, "no driver for this model's sockets"),
        (Capabilities(), (), HTTP, "modem-http", "no driver for this model's HTTP client"),
        (replace(BG96, has_modem_tls=False), (), MODEM_TLS, POST, "has no TLS"),
        (ML307R, (), HTTP, CHUNKED, "not every server takes a chunked body"),
        (BG96, (), replace(HTTP, request_bytes=1_024_001), POST, "1024000 bytes at most, not 1024001"),
        (ML307R, (), replace(HTTP, body_bytes=300_000), CONTENT, "a body of 262144 bytes at most"),
    ],
)
def test_why_not(
    capabilities: Capabilities, quirks: tuple[MatchedQuirk, ...], demand: Demand, way: str, words: str
) -> None:
    assert words in _why_not(plan(capabilities, quirks, demand), way)


def test_padding_counts_at_the_limit() -> None:
    found = plan(BG96, R03, replace(MODEM_TLS, request_bytes=1_024_000 - 512))
    assert "512 bytes of padding in a header make it 1024000" in found.attempts[1].why
    limited = replace(BG96, max_request_bytes=4095)
    assert POSTFILE not in _ways(plan(limited, R03, replace(MODEM_TLS, request_bytes=2061)))
    assert POSTFILE in _ways(plan(limited, (), replace(MODEM_TLS, request_bytes=2061)))


# --- quirks --------------------------------------------------------------------------------------------------------


def test_confirmed_takes_out_and_others_put_last() -> None:
    assert _ways(plan(BG96, [_avoid(Confidence.CONFIRMED, command="+QHTTPPOSTFILE")], HTTP)) == [SOCKET, POST]
    for confidence in (Confidence.REPORTED, Confidence.CONTESTED):
        found = plan(BG96, [_avoid(confidence, command="+QHTTPPOSTFILE")], HTTP)
        assert _ways(found) == [SOCKET, POST, POSTFILE]
        assert f"because of x-avoid ({confidence})" in found.attempts[-1].why
    assert _ways(plan(BG96, [_avoid(Confidence.CONTESTED, route="socket")], HTTP)) == [POSTFILE, POST, SOCKET]


def test_what_the_user_names_is_tried_in_spite_of_a_quirk() -> None:
    found = plan(BG96, R03, replace(MODEM_TLS, command=POST))
    assert "asked for, in spite of quectel-bg96-719-post (confirmed)" in found.attempts[0].why


def test_last_way_left_is_tried_in_spite_of_a_quirk() -> None:
    found = plan(Capabilities(has_sockets=True), [_avoid(Confidence.CONFIRMED, route="socket")], HTTP)
    assert _ways(found) == [SOCKET]
    assert "but no other way is left" in found.attempts[0].why


@pytest.mark.parametrize(("size", "padding"), [(2047, 0), (2048, 2048), (2061, 2035), (4095, 13), (4096, 0)])
def test_padding_is_told(size: int, padding: int) -> None:
    attempt = plan(BG96, R03, replace(MODEM_TLS, request_bytes=size)).attempts[1]
    effects = {workaround.effect: workaround for workaround in attempt.workarounds}
    assert effects["pad_total_length"].quirk_id == "quectel-bg96-719"
    assert effects["pad_total_length"].params == {"mask": 2048, "header": "X-PADDING"}
    assert (f"{padding} bytes of padding" if padding else "needs no padding") in attempt.why


def test_workarounds_go_where_they_apply() -> None:
    for attempt in plan(BG96, R03, HTTP).attempts:
        assert "pad_total_length" not in {workaround.effect for workaround in attempt.workarounds}
    socket, postfile = plan(BG96, R03, MODEM_TLS).attempts
    assert {workaround.effect for workaround in socket.workarounds} == {"confirm_delivery"}
    assert {"need_flow_control", "no_ecdsa"} <= {workaround.effect for workaround in postfile.workarounds}


def test_tightest_limit_wins() -> None:
    attempt = plan(ML307R, ML, HTTP).attempts[1]
    limits = [
        w.params for w in attempt.workarounds if w.params.get("command") == "+MHTTPCONTENT" and "max_bytes" in w.params
    ]
    assert limits == [{"command": "+MHTTPCONTENT", "max_bytes": 1024, "direction": "send"}]


def test_late_last_packet_leaves_the_route_when_padding_failed() -> None:
    failed = [_learned(POSTFILE, TlsPlace.MODEM, worked=False)]
    assert _ways(plan(BG96, R04, MODEM_TLS, failed)) == [SOCKET]
    assert "late-last-packet" in _why_not(plan(BG96, R04, MODEM_TLS, failed), POSTFILE)
    assert _ways(plan(BG96, R03, MODEM_TLS, failed)) == [SOCKET, POSTFILE]


# --- TLS and what was learned --------------------------------------------------------------------------------------


def test_unverified_is_said() -> None:
    socket, postfile, _ = plan(BG96, (), MODEM_TLS).attempts
    assert (socket.tls, socket.is_verified) == (TlsPlace.HOST, True)
    assert (postfile.tls, postfile.is_verified) == (TlsPlace.MODEM, False)
    assert "UNVERIFIED since it has no CA" in postfile.why
    assert plan(BG96, (), replace(MODEM_TLS, has_ca=True)).attempts[1].is_verified
    insecure = plan(BG96, (), replace(MODEM_TLS, has_ca=True, verify=False)).attempts
    assert not any(attempt.is_verified for attempt in insecure)
    assert all("UNVERIFIED as asked" in attempt.why for attempt in insecure)


def test_learning_reorders_where_trust_is_the_same() -> None:
    assert _ways(plan(BG96, (), HTTP, [_learned(POST, TlsPlace.NONE, worked=True)])) == [POST, SOCKET, POSTFILE]
    assert _ways(plan(BG96, (), HTTP, [_learned(SOCKET, TlsPlace.NONE, worked=False)])) == [POSTFILE, POST, SOCKET]
    latest = [_learned(POST, TlsPlace.NONE, worked=True, weight=0.1), _learned(SOCKET, TlsPlace.NONE, worked=True)]
    assert _ways(plan(BG96, (), HTTP, latest)) == [POST, SOCKET, POSTFILE]
    insecure = replace(MODEM_TLS, verify=False)
    assert _ways(plan(BG96, (), insecure, [_learned(POST, TlsPlace.MODEM, worked=True)]))[0] == POST
    other = [_learned(POST, TlsPlace.MODEM, worked=True), _learned(POST, TlsPlace.NONE, worked=True, weight=0.0)]
    assert _ways(plan(BG96, (), HTTP, other)) == [SOCKET, POSTFILE, POST]


OUTCOMES = st.lists(
    st.builds(
        _learned,
        st.sampled_from([SOCKET, *HttpCommand]),
        st.sampled_from(TlsPlace),
        worked=st.booleans(),
        weight=st.floats(0, 1),
    ),
    max_size=6,
)
DEMANDS = st.builds(
    Demand,
    scheme=st.sampled_from(["http", "https"]),
    request_bytes=st.integers(200, 2_000_000),
    body_bytes=st.integers(1, 2_000_000),
    route=st.sampled_from([None, *RouteName]),
    command=st.sampled_from([None, *HttpCommand]),
    tls=st.sampled_from(TlsPlace),
    has_ca=st.booleans(),
    verify=st.booleans(),
    use_workarounds=st.booleans(),
    allows_chunked=st.booleans(),
    line_bps=st.sampled_from([None, 9600, 115_200, 921_600]),
)


def test_what_is_tried_first_is_not_said_to_be_last() -> None:
    doubted = _avoid(Confidence.REPORTED, command="+QHTTPPOSTFILE")
    last = plan(BG96, [doubted], HTTP).attempts[-1]
    assert (last.command, "tried after the others because of x-avoid (reported)" in last.why) == (POSTFILE, True)
    alone = plan(BG96, [_avoid(Confidence.REPORTED, route="socket")], HTTPS).attempts
    assert len(alone) == 1
    assert "tried in spite of x-avoid (reported): T" in alone[0].why
    first = plan(BG96, [doubted], HTTP, [_learned(POSTFILE, TlsPlace.NONE, worked=True)]).attempts[0]
    assert (first.command, "tried in spite of x-avoid (reported): T" in first.why) == (POSTFILE, True)


@given(st.sampled_from([BG96, ML307R, Capabilities()]), st.sampled_from([(), R02, R03, R04, ML]), DEMANDS, OUTCOMES)
def test_whatever_is_asked(
    capabilities: Capabilities, quirks: tuple[MatchedQuirk, ...], demand: Demand, learned: list[LearnedOutcome]
) -> None:
    found = plan(capabilities, quirks, demand, learned)
    assert found == plan(capabilities, quirks, demand, learned)
    ways = [(way.route, way.command) for way in found.attempts] + [
        (left.route, left.command) for left in found.rejected
    ]
    assert len(ways) == len(set(ways)), "every way is either tried or not"
    trust = [0 if not way.is_verified else 2 if way.tls is TlsPlace.HOST else 1 for way in found.attempts]
    assert trust == sorted(trust, reverse=True), "what was learned never puts lower trust first"
    for attempt in found.attempts:
        assert (attempt.tls is TlsPlace.NONE) is (demand.scheme == "http")
        assert attempt.tls is not TlsPlace.MODEM or demand.tls is TlsPlace.MODEM
        assert demand.route in (None, attempt.route)
        assert demand.command is None or attempt.command is demand.command or demand.route is RouteName.SOCKET
        assert attempt.is_verified <= demand.verify
        assert not attempt.workarounds or demand.use_workarounds
        assert attempt.command is None or attempt.command in capabilities.http_commands
    if not demand.use_workarounds:
        assert len(found.attempts) <= 1


# --- without workarounds, and how long the port is held ------------------------------------------------------------


@pytest.mark.parametrize(
    ("capabilities", "demand", "way"),
    [
        (BG96, HTTP, POSTFILE),
        (BG96, MODEM_TLS, POSTFILE),
        (BG96, HTTPS, SOCKET),
        (BG96, replace(MODEM_TLS, command=POST), POST),
        (BG96, replace(MODEM_TLS, route=RouteName.SOCKET), SOCKET),
        (ML307R, HTTP, CONTENT),
        (Capabilities(has_sockets=True), HTTP, SOCKET),
    ],
)
def test_without_workarounds(capabilities: Capabilities, demand: Demand, way: str) -> None:
    learned = [_learned(SOCKET, TlsPlace.NONE, worked=True), _learned(POST, TlsPlace.MODEM, worked=True)]
    found = plan(capabilities, (*R03, *ML), replace(demand, use_workarounds=False), learned)
    assert _ways(found) == [way]
    assert not found.attempts[0].workarounds


@pytest.mark.parametrize(
    ("size", "bps", "held_s", "in_chunks"),
    [
        (23_040, 115_200, 2.0, False),
        (23_041, 115_200, 0.89, True),
        (80_000, 115_200, 0.89, True),
        (80_000, 921_600, 0.87, False),
        (80_000, 9_600, 0.9, True),
        (80_000, None, 0.89, True),
    ],
)
def test_file_is_written_in_chunks_above_two_seconds(
    size: int, bps: int | None, held_s: float, in_chunks: bool
) -> None:
    _, postfile, post = plan(BG96, (), replace(HTTP, request_bytes=size, line_bps=bps)).attempts
    assert (postfile.port_held_s, postfile.in_chunks) == (held_s, in_chunks)
    assert ("QFOPEN and QFWRITE in chunks" in postfile.why) is in_chunks
    assert post.port_held_s == pytest.approx(size * 10 / (bps or 115_200), abs=0.01)
    assert "QHTTPPOST holds the port" in post.why
    assert ("assumed" in post.why) is (bps is None)


def test_sockets_hold_the_port_for_a_chunk_only() -> None:
    for capabilities, quirks in product((BG96, ML307R), ((), R03)):
        assert plan(capabilities, quirks, replace(HTTP, request_bytes=900_000)).attempts[0].port_held_s == 0
