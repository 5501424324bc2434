"""The command line without Home Assistant: a simulated modem, and Flask under gunicorn at the other end."""

from collections.abc import Callable, Iterator
import io
import json
from pathlib import Path
import subprocess
from typing import Any

from PIL import Image
import pytest

from scripts.stage.children import Children
from scripts.stage.receiver import Receiver, start_receiver

ROOT = Path(__file__).resolve().parents[2]
ENGINE_PYTHON = ROOT / ".venv-engine" / "bin" / "python"
"""scripts/setup makes it, with the engine's requirements alone."""


@pytest.fixture(params=["http", "https"])
def receiver(request: pytest.FixtureRequest, tmp_path: Path, socket_enabled: None) -> Iterator[Receiver]:
    with Children(tmp_path) as children:
        yield start_receiver(children, tmp_path, tls=request.param == "https")


def uplink(port: str, *arguments: str | Path) -> tuple[int, dict[str, Any], str]:
    """Run the command line as scripts/uplink does, but where nothing of Home Assistant is installed."""
    done = subprocess.run(
        [ENGINE_PYTHON, "-m", "modem.cli", "--port", port, "--apn", "internet", *arguments, "--json"],
        cwd="/",
        env={"PYTHONPATH": str(ROOT / "custom_components" / "cellular_uplink"), "PATH": ""},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    lines = done.stdout.splitlines()
    return done.returncode, json.loads(lines[-1]) if lines else {}, done.stderr


def picture_of(size: int) -> bytes:
    """Return a JPEG of about so many bytes: noise, which does not compress."""
    side = 8
    content = b""
    while len(content) < size:
        side += 8
        stream = io.BytesIO()
        Image.effect_noise((side, side), 90).save(stream, "JPEG", quality=90)
        content = stream.getvalue()
    return content


def test_there_is_no_home_assistant_where_the_engine_runs() -> None:
    done = subprocess.run([ENGINE_PYTHON, "-c", "import homeassistant"], capture_output=True, text=True, check=False)
    assert "ModuleNotFoundError" in done.stderr


@pytest.mark.parametrize("modem", ["bg96", "ml307r"])
@pytest.mark.parametrize("size", [2_000, 80_000])
def test_a_picture_arrives_whole(
    start_simulator: Callable[..., Any], receiver: Receiver, tmp_path: Path, modem: str, size: int
) -> None:
    picture = picture_of(size)
    (tmp_path / "picture.jpg").write_bytes(picture)
    (tmp_path / "ca.pem").write_text(receiver.ca_pem)
    trust = ("--ca", tmp_path / "ca.pem") if receiver.ca_pem else ()
    status, result, errors = uplink(
        start_simulator(modem).port,
        "upload",
        tmp_path / "picture.jpg",
        *("--url", receiver.url, "--format", "multipart", "--file-field", "photo", "--field", "cabin=north", *trust),
    )
    assert (status, result["ok"], result["state"], result["http_status"]) == (0, True, "delivered", 201), errors
    [arrived] = receiver.received()
    assert arrived.files == {"photo": picture}
    assert arrived.form == {"cabin": "north"}
    assert ("Idempotency-Key", result["upload_id"]) in arrived.headers
    assert result["body_bytes"] == len(arrived.body)
    assert result["request_bytes"] > result["body_bytes"]
    assert [attempt["route"] for attempt in result["attempts"]] == ["socket"]


@pytest.mark.parametrize("modem", ["bg96", "ml307r"])
def test_a_certificate_nobody_knows_is_refused(
    start_simulator: Callable[..., Any], tmp_path: Path, socket_enabled: None, modem: str
) -> None:
    (tmp_path / "picture.jpg").write_bytes(b"picture")
    with Children(tmp_path) as children:
        server = start_receiver(children, tmp_path)
        status, result, _ = uplink(start_simulator(modem).port, "upload", tmp_path / "picture.jpg", "--url", server.url)
        assert (status, result["ok"], result["error"]["class"]) == (3, False, "tls")
        assert "not trusted" in result["error"]["message"]
        assert server.received() == []


@pytest.mark.parametrize("modem", ["bg96", "ml307r"])
def test_probe(start_simulator: Callable[..., Any], modem: str) -> None:
    status, told, _ = uplink(start_simulator(modem, "--imei", "490154203237518").port, "probe")
    assert status == 0
    assert set(told) == {
        *("vendor", "model", "firmware", "imei", "signal", "registration", "operator", "access_technology"),
    }
    assert set(told["signal"]) == {"rssi_dbm", "rsrp_dbm", "rsrq_db", "sinr_db"}
    assert (told["imei"], told["registration"]) == ("490154203237518", "home")
