"""Self-tests on simulated modems: what they find, what they cost, what stops them, and what the planner makes of it."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
import json
import os
from pathlib import Path
import pty
import ssl
import tomllib
from typing import Any

import pytest
import trustme

from custom_components.cellular_uplink.modem import cli
from custom_components.cellular_uplink.modem.quirks.loader import DATA, load_file

from .test_cli import Run, Shop, _open, run  # noqa: F401 - a fixture

LENGTHS = (1460, 1461, 2047, 2048, 4095, 4096, 6143, 6144)
PAD = "quectel-bg96-719"
LIMIT = ("--limit-bytes", "400000")


@pytest.fixture(autouse=True)
def _environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))


@dataclass
class Bench:
    """A command line, a server with an RSA certificate, and a state file."""

    shop: Shop
    run: Run
    ca: Path
    state: Path

    def selftest(self, port: str, *more: str) -> tuple[int, dict[str, Any]]:
        status, out, _ = self.run(
            *("--port", port, "selftest", "--url", self.shop.url, "--ca", self.ca, "--state", self.state, "--json"),
            *more,
        )
        return status, json.loads(out.splitlines()[-1])

    def explain(self, port: str, *more: str) -> dict[str, Any]:
        _, out, _ = self.run("--port", port, "explain", "--json", "--state", self.state, *more)
        return dict(json.loads(out.splitlines()[-1]))


@pytest.fixture
def https(run: Run, tmp_path: Path, rsa_authority: trustme.CA, rsa_context: ssl.SSLContext) -> Iterator[Bench]:  # noqa: F811
    ca = tmp_path / "ca.pem"
    rsa_authority.cert_pem.write_to_path(str(ca))
    with _open(rsa_context) as shop:
        yield Bench(shop, run, ca, tmp_path / "learned.json")


@pytest.fixture
def http(run: Run, tmp_path: Path, rsa_authority: trustme.CA) -> Iterator[Bench]:  # noqa: F811
    ca = tmp_path / "ca.pem"
    rsa_authority.cert_pem.write_to_path(str(ca))
    with _open() as shop:
        yield Bench(shop, run, ca, tmp_path / "learned.json")


def _states(found: dict[str, Any]) -> dict[tuple[str, str], str]:
    return {(quirk["id"], quirk["command"]): quirk["state"] for quirk in found["quirks"] if quirk["command"]}


def test_the_fault_of_the_report_is_found(https: Bench, start_simulator: Callable[..., Any]) -> None:
    # A firmware nobody has reported, with the fault: what was a guess becomes certain.
    odd = ("--firmware", "BG96MAR05A01M1G_07.001.01.001", "--set", "https_postfile=bit11", "--set", "https_post=719")
    port = start_simulator("bg96", *odd).port
    status, found = https.selftest(port, "--tls", "modem", *LIMIT)
    assert status == 0
    assert found["stopped"] is None
    assert found["tls"] == {"where": "modem", "verified": True}
    assert _states(found) == {
        (PAD, "postfile"): "holds",
        (PAD, "post"): "not_testable",
        ("quectel-bg96-719-post", "post"): "holds",
        ("quectel-bg96-719-postfile-old", "postfile"): "does_not_hold",
        ("quectel-bg96-late-last-packet", "postfile"): "not_testable",
        ("quectel-bg96-late-last-packet", "post"): "not_testable",
    }
    (held,) = [quirk for quirk in found["quirks"] if (quirk["id"], quirk["command"]) == (PAD, "postfile")]
    assert held["why"] == "ok at 1460, 1461, 2047, 4096, 6143; 719 at 2048, 4095, 6144 bytes in all"
    sent = [(case["command"], case["total"]) for case in found["cases"]]
    assert sent == [
        (None, 1460),
        (None, 6144),
        *(("postfile", size) for size in LENGTHS),
        *(("post", size) for size in LENGTHS),
    ]
    assert found["sent_bytes"] + found["received_bytes"] < found["counted_bytes"] <= found["cost_bytes"]

    # The planner goes by it, and says so.
    plan = https.explain(port, "--tls", "modem", "--size", "2061")
    postfile = next(attempt for attempt in plan["plan"] if attempt["command"] == "postfile")
    assert "your self-test of 20" in postfile["why"]
    assert f"{PAD} (confirmed; your self-test of " in postfile["why"]
    assert "2035 bytes of padding" in postfile["why"]
    (post,) = [way for way in plan["rejected"] if way["command"] == "post"]
    assert post["why"].startswith("quectel-bg96-719-post (confirmed; your self-test of ")

    _check_evidence(found["evidence"], https)
    https.selftest(port, "--tls", "modem", "--command", "postfile", *LIMIT)
    assert len(json.loads(https.state.read_text())["findings"]) == 3, "the latest counts, nothing is there twice"


def _check_evidence(text: str, bench: Bench) -> None:
    block = tomllib.loads(text)
    assert block["selftest"]["model"] == "BG96"
    assert block["selftest"]["firmware"] == "BG96MAR05A01M1G_07.001.01.001"
    assert {"route": "modem-http", "command": "post", "tls": "modem", "total": 2047, "outcome": "719"} in (
        block["selftest"]["cases"]
    )
    for private in (bench.shop.url, "localhost", "127.0.0.1", "861536030196001", "internet", str(bench.ca)):
        assert private not in text
    # A maintainer can put what is below an id into the catalogue.
    entry = next(quirk for quirk in block["quirk"] if quirk["id"] == PAD)
    assert entry["evidence"][0]["says"].startswith("postfile, TLS by the modem: ok at 1460")
    # What nobody says of this firmware is no news when it is not there.
    assert [quirk["id"] for quirk in block["quirk"]] == [PAD, "quectel-bg96-719-post"]
    table = text[text.index("[[quirk.evidence]]") :].partition("\n\n")[0]
    catalogue = (DATA / "bg96.toml").read_text().split("[[quirk]]")
    place = next(number for number, part in enumerate(catalogue) if f'id = "{PAD}"\n' in part)
    catalogue[place] += table + "\n"
    path = bench.ca.with_name("bg96.toml")
    path.write_text("[[quirk]]".join(catalogue))
    (quirk,) = [quirk for quirk in load_file(path) if quirk.id == PAD]
    assert quirk.evidence[-1].kind == "self-test"


def test_a_modem_without_the_fault_is_not_padded(https: Bench, start_simulator: Callable[..., Any]) -> None:
    port = start_simulator("bg96", "--firmware", "clean").port
    ask = ("--tls", "modem", "--size", "2061")
    before = next(way for way in https.explain(port, *ask)["plan"] if way["command"] == "postfile")
    assert "2035 bytes of padding" in before["why"]
    status, found = https.selftest(port, "--tls", "modem", "--route", "modem-http", "--command", "postfile", *LIMIT)
    assert status == 0
    assert set(_states(found).values()) == {"does_not_hold"}
    evidence = tomllib.loads(found["evidence"])["quirk"]
    assert {quirk["id"]: quirk["evidence"][0]["against"] for quirk in evidence} == {
        PAD: True,
        "quectel-bg96-719-postfile-old": True,
    }
    assert [case["total"] for case in found["cases"]] == list(LENGTHS), "fewer were asked for"
    after = {way["command"]: way for way in https.explain(port, *ask)["plan"]}
    assert "padding" not in after["postfile"]["why"]
    assert f"{PAD} (reported) is left out of account: your self-test of 20" in after["postfile"]["why"]
    assert PAD not in {workaround["id"] for workaround in after["postfile"]["workarounds"]}
    assert "2035 bytes of padding" in after["post"]["why"], "of the other command nothing is known"

    picture = https.ca.with_name("door.jpg")
    picture.write_bytes(bytes(1500))
    upload = ("upload", picture, "--url", https.shop.url, "--ca", https.ca, "--tls", "modem", "--command", "postfile")
    for state, padding in (((), 2048), (("--state", https.state), 0)):
        _, out, _ = https.run("--port", port, *upload, "--pad-to", "2048", "--json", *state)
        assert json.loads(out)["padding_bytes"] == padding


@pytest.mark.parametrize(
    ("firmware", "states"),
    [("manual", ("does_not_hold", "does_not_hold")), ("report", ("not_testable", "holds"))],
)
def test_an_ml307r(http: Bench, start_simulator: Callable[..., Any], firmware: str, states: tuple[str, str]) -> None:
    port = start_simulator("ml307r", "--firmware", firmware).port
    status, found = http.selftest(port, *LIMIT)
    assert status == 0
    assert found["tls"] == {"where": "none", "verified": False}
    assert [case.get("size") for case in found["cases"]] == [None, None, 1024, 1025, 2793, 4096, 4097]
    single, whole = "ml307r-content-single", "ml307r-http-content"
    assert (_states(found)[single, "content"], _states(found)[whole, "content"]) == states, found["quirks"]
    plan = http.explain(port, "--scheme", "http", "--size", "3000")
    (why,) = [way["why"] for way in [*plan["plan"], *plan["rejected"]] if way["command"] == "content"]
    assert ("left out of account: your self-test" in why) is (states == ("does_not_hold", "does_not_hold"))
    assert (f"{whole} (confirmed; your self-test" in why) is (states == ("not_testable", "holds"))


def test_limit(http: Bench, start_simulator: Callable[..., Any], monkeypatch: pytest.MonkeyPatch) -> None:
    port = start_simulator("ml307r").port
    status, out, _ = http.run("--port", port, "selftest", "--url", http.shop.url, "--dry-run")
    assert status == 0
    assert out.splitlines()[1:] == [
        "  socket: 1024, 4097 bytes in all",
        "  content: 1024, 1025, 2793, 4096, 4097 bytes of body",
    ]
    status, planned = http.selftest(port, "--dry-run")
    cost = planned["cost_bytes"]
    assert len(planned["cases"]) == 7
    for limit in ((), ("--limit-bytes", str(cost - 1))):
        status, refused = http.selftest(port, *limit)
        assert status == 2
        assert refused["error"]["message"].startswith("limit_bytes: ")
        assert f"7 requests take {cost} bytes" in refused["error"]["message"]
    assert not http.shop.bodies
    assert not http.state.exists()

    # At a terminal there is somebody to ask.
    master, slave = pty.openpty()
    with os.fdopen(slave) as terminal:
        monkeypatch.setattr("sys.stdin", terminal)
        for said, wanted in ((b"n\n", 2), (b"y\n", 0)):
            os.write(master, said)
            status, out, err = http.run("--port", port, "selftest", "--url", http.shop.url)
            assert status == wanted
            assert f"7 requests, about {cost} bytes over the air in all:" in err
            assert len(http.shop.bodies) == (0 if wanted else 7)
    os.close(master)
    assert "ml307r-http-content, with content" in out
    assert "Here it does not hold: ok at 1024, 1025, 2793, 4096, 4097 bytes of body." in out
    assert tomllib.loads(out[out.index("[selftest]") :])["selftest"]["family"] == "china_mobile"
    sizes = [len(body) for body in http.shop.bodies[2:]]
    assert sizes == [1024, 1025, 2793, 4096, 4097]

    # An answer that is longer than it was counted with must not cost more than was allowed.
    http.shop.answer = "x" * 12_000
    status, found = http.selftest(port, "--limit-bytes", str(cost))
    assert (status, found["stopped"]["code"], len(found["cases"])) == (3, "limit_reached", 1)
    assert found["counted_bytes"] <= cost
    assert set(_states(found).values()) == {"not_testable"}


def test_what_is_not_the_modems_fault_teaches_nothing(http: Bench, start_simulator: Callable[..., Any]) -> None:
    simulator = start_simulator("ml307r")
    http.shop.status = 500
    status, found = http.selftest(simulator.port, *LIMIT)
    assert (status, found["stopped"]["code"], found["ok"]) == (4, "500", False)
    assert len(http.shop.bodies) == 1
    assert (found["quirks"], found["evidence"], http.state.exists()) == ([], "", False)
    status, out, _ = http.run("--port", simulator.port, "selftest", "--url", http.shop.url, *LIMIT)
    assert "Stopped after 0 of 7: The server answered 500" in out
    assert "nothing was learnt" in out

    status, found = http.selftest(simulator.port, *LIMIT, "--url", "http://127.0.0.1:9/")
    assert (status, found["stopped"]["class"]) == (3, "socket")
    status, found = http.selftest(simulator.port, *LIMIT, "--url", "http://127.0.0.1:9/", "--route", "modem-http")
    assert (status, found["stopped"]["class"], found["quirks"]) == (3, "socket", [])
    assert not http.state.exists()


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ((), "url: is missing"),
        (("--url", "ftp://x/"), "url: must start with"),
        (("--url", "http://x/", "--header", "a"), "header: 'a' is not"),
        (("--url", "http://x/", "--limit-bytes", "0"), "limit_bytes: must be between"),
    ],
)
def test_mistakes(run: Run, arguments: tuple[str, ...], words: str) -> None:  # noqa: F811
    status, out, err = run("--port", "none", "selftest", *arguments)
    assert (status, out) == (cli.EXIT_INPUT, "")
    assert words in err


@pytest.mark.parametrize(
    ("url", "arguments", "words"),
    [
        ("https://x/", (), "tls: must be modem"),
        ("http://x/", (), "url: must be https, with TLS by the modem"),
        ("http://x/", ("--command", "content"), "commands: names content, which this modem has not; it has postfile"),
        ("http://x/", ("--route", "socket", "--command", "post"), "commands: are those of the modem's HTTP client"),
        (f"https://x/{'y' * 1500}", ("--tls", "modem"), "url: and headers take"),
    ],
)
def test_what_a_bg96_cannot_be_asked(
    run: Run,  # noqa: F811
    start_simulator: Callable[..., Any],
    url: str,
    arguments: tuple[str, ...],
    words: str,
) -> None:
    port = start_simulator("bg96").port
    status, _, err = run("--port", port, "selftest", "--url", url, *arguments, *LIMIT)
    assert status == cli.EXIT_INPUT
    assert words in err
