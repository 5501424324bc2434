"""`upload` and its ways out on the command line: routes, commands, workarounds, modem TLS, and what is learned."""

from collections.abc import Callable, Iterator
import json
from pathlib import Path
import ssl
from typing import Any

import pytest
import trustme

from .qiniu_server import BUCKET, QiniuServer
from .test_cli import Run, Shop, _open, run  # noqa: F401 - a fixture
from .test_qiniu_upload import FORM, KEYS

R03 = ("--firmware", "r03a06")
"""Fails over its own TLS with 719 where bit 11 of the length is set."""
MODEM_TLS = ("--tls", "modem", "--route", "modem-http")


@pytest.fixture(autouse=True)
def _state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))


@pytest.fixture
def picture(tmp_path: Path) -> Path:
    path = tmp_path / "door.jpg"
    path.write_bytes(bytes(range(256)) * 5)
    return path


@pytest.fixture
def shop(rsa_context: ssl.SSLContext) -> Iterator[Shop]:
    with _open(rsa_context) as shop:
        yield shop


@pytest.fixture
def ca(rsa_authority: trustme.CA, tmp_path: Path) -> Path:
    path = tmp_path / "ca.pem"
    rsa_authority.cert_pem.write_to_path(str(path))
    return path


def test_719_and_its_cure(
    run: Run,  # noqa: F811
    start_simulator: Callable[..., Any],
    shop: Shop,
    picture: Path,
    ca: Path,
) -> None:
    upload = ["--port", start_simulator("bg96", *R03).port, "upload", picture, "--url", shop.url, "--ca", ca]
    bad = [*upload, *MODEM_TLS, "--pad-to", 2061]
    status, out, _ = run(*bad, "--no-workarounds", "--json")
    bare = json.loads(out)
    assert (status, bare["error"]["code"], bare["ambiguous"]) == (3, "719", True)
    assert (bare["request_bytes"], bare["padding_bytes"]) == (2061, 0)
    assert [(attempt["route"], attempt["command"]) for attempt in bare["attempts"]] == [("modem-http", "postfile")]
    assert len(shop.bodies) == 1, "719 comes after the server has the picture"

    status, out, _ = run(*bad, "--json")
    cured = json.loads(out)
    assert (status, cured["request_bytes"], cured["padding_bytes"]) == (0, 4096, 2035)
    assert cured["tls"] == {"where": "modem", "verified": True}
    assert "quectel-bg96-719" in {quirk["id"] for quirk in cured["quirks"]}
    assert [way["command"] for way in cured["plan"]] == ["postfile"]
    assert len(shop.headers[-1]["X-Padding"]) == 2035 - len("X-PADDING: \r\n")
    assert shop.bodies[-1].startswith(picture.read_bytes())

    form = ["--format", "multipart", "--padding", "body"]
    status, out, _ = run(*upload, *MODEM_TLS, *form, "--pad-to", 2061, "--json")
    grown = json.loads(out)
    assert (status, grown["request_bytes"], grown["padding_bytes"]) == (0, 4096, 2035)
    assert "X-Padding" not in shop.headers[-1]
    assert shop.files[-1] == ("door.jpg", picture.read_bytes())
    assert "behind the body" in grown["plan"][0]["why"]

    status, out, _ = run(*upload[:-2], "--insecure", *MODEM_TLS)
    assert status == 0
    assert "The modem encrypted it UNVERIFIED: nobody knows to whom." in out

    status, out, _ = run(*upload, "--route", "modem-http")
    assert status == 3
    assert "the modem would do TLS, and the destination does not allow that" in out
    assert len(shop.bodies) == 4


def test_what_is_learned_is_used_and_kept(
    run: Run,  # noqa: F811
    start_simulator: Callable[..., Any],
    picture: Path,
    tmp_path: Path,
) -> None:
    state = tmp_path / "learned.json"
    with _open() as plain:
        upload = ["--port", start_simulator("ml307r").port, "upload", picture, "--url", plain.url, "--json"]
        assert run(*upload, "--state", state, "--route", "socket")[0] == 0
        assert not state.exists(), "what is forced teaches nothing"
        for count in (1, 2):
            assert run(*upload, "--state", state)[0] == 0
            [outcome] = json.loads(state.read_text())["outcomes"]
            assert (outcome["route"], outcome["worked"], outcome["count"]) == ("socket", True, count)
        out = run(*upload, "--state", state)[1]
    assert "this worked last with this firmware" in json.loads(out)["plan"][0]["why"]


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        (["--route", "pigeon"], "--route"),
        (["--route", "socket", "--command", "post"], "command: "),
        (["--pad-to", "0"], "pad_to: "),
        (["--pad-to", "20000001"], "pad_to: must be between 1 and 20000000 bytes"),
        (["--pad-to", "100"], "pad_to: "),
        (["--state", "PICTURE"], "state: "),
        (["--quirks", "PICTURE"], "quirks: "),
    ],
)
def test_bad_choices_are_named(
    run: Run,  # noqa: F811
    start_simulator: Callable[..., Any],
    picture: Path,
    arguments: list[str],
    named: str,
) -> None:
    port = start_simulator("bg96").port
    places = [str(picture) if argument == "PICTURE" else argument for argument in arguments]
    with _open() as plain:
        status, out, _ = run("--port", port, "upload", picture, "--url", plain.url, *places, "--json")
        assert plain.methods == []
    answer = json.loads(out)
    assert (status, answer["ok"], answer["error"]["class"]) == (2, False, "input")
    assert named in answer["error"]["message"]


def test_quirks_of_ones_own(
    run: Run,  # noqa: F811
    start_simulator: Callable[..., Any],
    picture: Path,
    tmp_path: Path,
) -> None:
    folder = tmp_path / "quirks"
    folder.mkdir()
    (folder / "mine.toml").write_text(
        """
[[quirk]]
id = "my-sim-blocks-sockets"
title = "My operator blocks what the socket route does"
effect = "avoid_route"
params = { route = "socket" }
applies = { route = "socket" }
confidence = "confirmed"
vector = [{ route = "socket", outcome = "refused" }, { route = "modem-http", outcome = "ok" }]
[quirk.match]
vendor = "quectel"
models = ["BG96"]
affected = ["*"]
[[quirk.evidence]]
kind = "log"
source = "my own modem"
firmware = ["BG96MAR02A07M1G_01.016.01.016"]
says = "every socket is refused, its HTTP client is not"
"""
    )
    port = start_simulator("bg96").port
    with _open() as plain:
        out = run("--port", port, "upload", picture, "--url", plain.url, "--quirks", folder, "--json")[1]
    answer = json.loads(out)
    assert (answer["ok"], answer["route"]) == (True, "modem-http"), answer["error"]
    assert "my-sim-blocks-sockets" in {quirk["id"] for quirk in answer["quirks"]}


@pytest.mark.parametrize(
    ("faults", "statuses", "state"),
    [
        ((406,), [406, 200], "delivered"),
        ((406, 406), [406, 406], "rejected"),
        (("lost",), [0, 200], "delivered"),
    ],
)
def test_qiniu_asks_for_another_try(
    run: Run,  # noqa: F811
    start_simulator: Callable[..., Any],
    qiniu_server: QiniuServer,
    picture: Path,
    faults: tuple[int | str, ...],
    statuses: list[int],
    state: str,
) -> None:
    qiniu_server.faults += faults
    port = start_simulator("bg96").port
    _, out, _ = run("--port", port, "upload", picture, "--url", qiniu_server.url, *FORM, *KEYS, "--json")
    assert json.loads(out)["state"] == state
    assert [seen.status for seen in qiniu_server.seen] == statuses
    assert len(qiniu_server.objects[BUCKET]) == (state == "delivered"), "one name, one picture"
