"""`explain` on the command line: words, JSON, mistakes. No modem but where one is asked."""

from collections.abc import Callable
import json
from pathlib import Path
from typing import Any

import pytest

from custom_components.cellular_uplink.modem import cli
from tests.conftest import Simulator

R03 = ("--model", "BG96", "--firmware", "BG96MAR03A06M1G_01.005.01.005")


def _json(capsys: pytest.CaptureFixture[str], *arguments: str) -> dict[str, Any]:
    assert cli.main(["explain", *arguments, "--json"]) == 0
    found = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert isinstance(found, dict)
    return found


def test_json(capsys: pytest.CaptureFixture[str]) -> None:
    found = _json(capsys, *R03, "--scheme", "https", "--size", "2061", "--tls", "modem")
    quirks = {quirk["id"]: quirk for quirk in found["quirks"]}
    assert quirks["quectel-bg96-719"]["confidence"] == "confirmed"
    assert "R03A06/01.005.01.005" in quirks["quectel-bg96-719"]["why"]
    assert [(way["route"], way["command"]) for way in found["plan"]] == [("socket", None), ("modem-http", "postfile")]
    assert found["plan"][0]["tls"] == {"where": "host", "verified": True}
    assert found["plan"][1]["tls"] == {"where": "modem", "verified": False}
    assert "quectel-bg96-719" in {workaround["id"] for workaround in found["plan"][1]["workarounds"]}
    assert "2035 bytes of padding" in found["plan"][1]["why"]
    assert [(way["command"], "719-post" in way["why"]) for way in found["rejected"]] == [("post", True)]


def test_words(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["explain", *R03, "--tls", "modem"]) == 0
    text = capsys.readouterr().out
    assert "BG96, firmware BG96MAR03A06M1G_01.005.01.005 (read as R03A06/01.005.01.005)" in text
    assert "quectel-bg96-719 [confirmed]: HTTPS POST by the modem fails with 719" in text
    assert "  1. socket: HTTP by this host over a TCP socket" in text
    assert "  2. modem-http by postfile:" in text
    assert "Not tried:\n  modem-http by post: quectel-bg96-719-post" in text
    assert (
        text.index("Plan:") < text.index("Faults that shape this plan:") < text.index("Dealt with whatever the plan:")
    )
    assert (
        "(quectel-qfupl-truncation, reported: taken to be true of every BG96)" in text.partition("  2. modem-http")[2]
    )
    assert "quectel-bg96-qfcrc-missing" in text.partition("Of no concern here:")[2]
    # What this upload does not meet is no more than a name.
    assert cli.main(["explain", *R03]) == 0
    text = capsys.readouterr().out
    assert "X-PADDING" not in text
    assert "modem-http by postfile or post: the modem would do TLS, and the destination does not allow that" in text


def test_release_and_its_quirk(capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ("--model", "ML307R", "--firmware", "ML307R-DC-MBRH0S01", "--release", "3.1.0.2606221536")
    found = _json(capsys, *arguments, "--scheme", "http")
    assert "ml307r-mipmode-crash" in {quirk["id"] for quirk in found["quirks"]}
    assert found["parsed"] == "MBRH0S01/3.1.0.2606221536"


def test_unknown_model(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["explain", "--model", "SIM7600G-H", "--firmware", "LE20B04\x1b[2J"]) == cli.EXIT_INPUT
    capsys.readouterr()
    assert cli.main(["explain", "--model", "SIM7600G-H", "--firmware", "LE20B04SIM7600G22"]) == 0
    text = capsys.readouterr().out
    assert "No fault is known of this modem." in text
    assert "Plan: there is no way to send this." in text
    assert "no driver for this model's sockets" in text


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ([], "port: is missing"),
        (["--firmware", "BG96MAR03A06M1G"], "model: is missing"),
        (["--model", "BG96", "--size", "0"], "size: must be between"),
        (["--model", ""], "model: is missing"),
        (["--model", "BG96", "--quirks", "/nowhere"], "quirks: '/nowhere' is no folder"),
    ],
)
def test_mistakes(capsys: pytest.CaptureFixture[str], arguments: list[str], words: str) -> None:
    assert cli.main(["explain", *arguments]) == cli.EXIT_INPUT
    assert words in capsys.readouterr().err


def test_folder_of_ones_own(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    (tmp_path / "mine.toml").write_text('[[quirk]]\nid = "x"\n')
    assert cli.main(["explain", *R03, "--quirks", str(tmp_path)]) == cli.EXIT_INPUT
    assert "mine.toml:1: confidence must be one of" in capsys.readouterr().err


def test_live_modem(start_simulator: Callable[..., Simulator], capsys: pytest.CaptureFixture[str]) -> None:
    found = _json(capsys, "--port", start_simulator("bg96").port, "--tls", "modem")
    assert found["model"] == "BG96"
    assert "quectel-bg96-719" in {quirk["id"] for quirk in found["quirks"]}
    assert "assumed" not in found["plan"][1]["why"]
