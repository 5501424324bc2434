"""The ML307R report, turned round: its pictures arrive at a stand-in for Qiniu, and where they cannot it is said."""

from collections.abc import Callable
import json
from pathlib import Path
from typing import Any

import pytest

from .qiniu_server import QiniuServer
from .test_cli import Run, run  # noqa: F401 - a fixture
from .test_qiniu_upload import FORM, KEYS, content_of

REPORT = ("--firmware", "report")
FORCED = ("--route", "modem-http", "--command", "content")
FORMS_TRIED = (*REPORT, "--set", "mhttp_prompt=works", "--set", "nonchunked_content_error=none")
"""As the report, had it used the prompt: only large pieces fail."""

type Upload = Callable[..., tuple[dict[str, Any], str]]


@pytest.fixture
def upload(
    run: Run,  # noqa: F811
    start_simulator: Callable[..., Any],
    qiniu_server: QiniuServer,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> Upload:
    """Send a picture of this size; return the result and what crossed the wire."""
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))

    def send(size: int, modem: tuple[str, ...] = (), *options: str) -> tuple[dict[str, Any], str]:
        picture = tmp_path / "door.jpg"
        picture.write_bytes(content_of(size))
        simulator = start_simulator("ml307r", *modem)
        where = ("--port", simulator.port, "upload", picture, "--url", qiniu_server.url)
        _, out, _ = run(*where, *FORM, *KEYS, *options, "--json")
        return json.loads(out), simulator.trace.read_text()

    return send


@pytest.mark.parametrize("size", [2793, 80_000])
@pytest.mark.parametrize(
    ("modem", "options", "route"),
    [
        (REPORT, (), "socket"),
        ((), FORCED, "modem-http"),
        (FORMS_TRIED, FORCED, "modem-http"),
    ],
    ids=["report", "manual, forced", "report with a prompt, forced"],
)
def test_arrives(
    upload: Upload, qiniu_server: QiniuServer, modem: tuple[str, ...], options: tuple[str, ...], route: str, size: int
) -> None:
    result, wire = upload(size, modem, *options)
    assert (result["state"], result["http_status"], result["route"]) == ("delivered", 200, route), result
    [stored] = qiniu_server.files.values()
    assert stored.content == content_of(size)
    [attempt] = result["attempts"]
    if route == "socket":
        assert attempt["acknowledged_bytes"] == result["sent_bytes"]
        assert "MHTTP" not in wire.partition("AT+MIPOPEN=")[2]
    else:
        assert attempt["acknowledged_bytes"] is None
        workarounds = {workaround["id"] for workaround in result["plan"][0]["workarounds"]}
        assert {"ml307r-content-single", "ml307r-http-inline", "ml307r-rx-loss"} <= workarounds
        assert 'AT+MHTTPCFG="fragment",0,1024,100' in wire
        assert "in spite of ml307r-http-content (contested)" in result["plan"][0]["why"]


def test_forced_on_the_firmware_of_the_report(upload: Upload, qiniu_server: QiniuServer) -> None:
    """Nothing that is worked around helps there; nothing is claimed to have arrived, and no other way is taken."""
    result, _ = upload(2793, REPORT, *FORCED)
    assert (result["state"], result["ambiguous"], result["may_be_stored_twice"]) == ("failed", False, False)
    assert result["error"]["code"] in ("50", "65")
    assert [attempt["route"] for attempt in result["attempts"]] == ["modem-http"]
    assert qiniu_server.seen == []
    chunked, _ = upload(2793, REPORT, "--route", "modem-http", "--command", "chunked")
    assert (chunked["state"], chunked["http_status"], qiniu_server.files) == ("rejected", 411, {})


def test_as_the_report_did(upload: Upload, qiniu_server: QiniuServer) -> None:
    """Without workarounds, by the modem's HTTP client: the firmware of the report fails, that of the manual not."""
    result, _ = upload(2793, REPORT, "--no-workarounds")
    assert (result["state"], result["route"], len(result["attempts"])) == ("failed", "modem-http", 1)
    assert qiniu_server.files == {}
    result, _ = upload(2793, (), "--no-workarounds")
    assert (result["state"], result["route"]) == ("delivered", "modem-http")
