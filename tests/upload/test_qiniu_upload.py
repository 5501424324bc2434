"""Pictures on their way to Qiniu: the command line, a simulated modem, and the stand-in at the other end."""

from collections.abc import Callable
import json
from pathlib import Path
import re
from typing import Any

import pytest
import trustme

from custom_components.cellular_uplink.modem import cli, cli_upload

from .qiniu_server import ACCESS_KEY, BUCKET, SECRET_KEY, QiniuServer, etag
from .test_cli import Run, run  # noqa: F401 - a fixture


@pytest.fixture(autouse=True)
def _environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    monkeypatch.delenv("QINIU_ACCESS_KEY", raising=False)
    monkeypatch.delenv("QINIU_SECRET_KEY", raising=False)


@pytest.fixture
def picture(tmp_path: Path) -> Path:
    path = tmp_path / "door.jpg"
    path.write_bytes(content_of(2793))
    return path


def content_of(size: int) -> bytes:
    """Return bytes of all values, line ends and escapes among them."""
    return (b"\xff\xd8\r\n\x00\x1a\x1b+++\r\n--" + bytes(range(256)) * (size // 256 + 1))[:size]


KEYS = ["--qiniu-access-key", ACCESS_KEY, "--qiniu-secret-key", SECRET_KEY]
FORM = ["--format", "qiniu", "--qiniu-bucket", BUCKET]


@pytest.mark.parametrize("scheme", ["http", "https"])
@pytest.mark.parametrize("size", [2793, 80_000])
@pytest.mark.parametrize("modem", ["bg96", "ml307r"])
def test_arrives(
    run: Run,  # noqa: F811
    start_simulator: Callable[..., Any],
    qiniu_server: QiniuServer,
    certificate_authority: trustme.CA,
    tmp_path: Path,
    modem: str,
    size: int,
    scheme: str,
) -> None:
    picture, ca = tmp_path / "door.jpg", tmp_path / "ca.pem"
    picture.write_bytes(content_of(size))
    certificate_authority.cert_pem.write_to_path(str(ca))
    url = qiniu_server.url if scheme == "http" else qiniu_server.https_url
    port = start_simulator(modem).port
    status, out, _ = run(
        "--port", port, "upload", picture, "--url", url, "--ca", ca, *FORM, *KEYS, "--field", "x:camera=door", "--json"
    )
    result = json.loads(out)
    assert (status, result["state"], result["http_status"]) == (0, "delivered", 200)
    [(key, stored)] = qiniu_server.files.items()
    assert stored.content == picture.read_bytes()
    assert (stored.file_name, stored.content_type, stored.custom) == ("door.jpg", "image/jpeg", {"x:camera": "door"})
    assert re.fullmatch(rf"\d{{4}}-\d\d-\d\d/\d{{6}}-{result['upload_id']}\.jpg", key)
    assert json.loads(result["response"]) == {"hash": etag(stored.content), "key": key}
    [seen] = qiniu_server.seen
    assert seen.fields == ("token", "key", "x:camera", "crc32")
    assert seen.headers["Content-Length"] == str(result["body_bytes"])
    assert seen.policy.keys() == {"scope", "deadline", "insertOnly"}


def test_keys_from_the_environment(
    run: Run,  # noqa: F811
    start_simulator: Callable[..., Any],
    qiniu_server: QiniuServer,
    picture: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("QINIU_ACCESS_KEY", ACCESS_KEY)
    monkeypatch.setenv("QINIU_SECRET_KEY", SECRET_KEY)
    command = ["--port", start_simulator("ml307r").port, "upload", picture, "--url", qiniu_server.url, *FORM]
    latest = [*command, "--qiniu-key", "latest{extension}", "--qiniu-overwrite"]
    assert run(*latest)[0] == 0
    picture.write_bytes(b"newer")
    assert run(*latest)[0] == 0
    assert qiniu_server.files["latest.jpg"].content == b"newer"
    status, out, _ = run(*command, "--qiniu-secret-key", "an0ther-key", "--json")
    assert status == 4
    assert json.loads(out)["http_status"] == 401
    assert "an0ther" not in out


def test_verbose_shows_no_keys_and_no_token(
    run: Run,  # noqa: F811
    start_simulator: Callable[..., Any],
    qiniu_server: QiniuServer,
    picture: Path,
) -> None:
    port = start_simulator("ml307r").port
    status, _, err = run("--verbose", "--port", port, "upload", picture, "--url", qiniu_server.url, *FORM, *KEYS)
    assert (status, "AT+MIPSEND" in err) == (0, True)
    [seen] = qiniu_server.seen
    token = next(part for part in seen.body.split(b"\r\n") if part.startswith(ACCESS_KEY.encode())).decode()
    assert not any(secret in err for secret in (ACCESS_KEY, SECRET_KEY, *token.split(":")))


def test_slow_line_with_a_short_clock(
    run: Run,  # noqa: F811
    start_simulator: Callable[..., Any],
    qiniu_server: QiniuServer,
    picture: Path,
) -> None:
    """The server looks at the deadline when the upload ends: an hour later by its clock, and the token still holds."""
    clock = qiniu_server.clock
    qiniu_server.clock = lambda: clock() + 3590
    port = start_simulator("ml307r").port
    assert run("--port", port, "upload", picture, "--url", qiniu_server.url, *FORM, *KEYS)[0] == 0
    assert len(qiniu_server.files) == 1


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        ([*FORM], "qiniu_access_key: is missing"),
        ([*FORM, *KEYS[:2]], "qiniu_secret_key: is missing"),
        ([*FORM[:2], *KEYS], "qiniu_bucket: is missing"),
        ([*FORM, *KEYS, "--qiniu-key", ""], "qiniu_key: is missing"),
        ([*FORM, *KEYS, "--qiniu-key", "{camera}"], "qiniu_key: has an unknown placeholder {camera}"),
        ([*FORM, *KEYS, "--qiniu-region", "Z 0"], "qiniu_region: must be"),
        ([*FORM, *KEYS, "--qiniu-region", "z1", "--url", "http://a.example/"], "qiniu_region: is for the addresses"),
        ([*FORM, *KEYS, "--method", "PUT"], "method: must be POST"),
        ([*FORM, *KEYS, "--field", "camera=door"], "fields: 'camera' must begin with x:"),
        (["--format", "multipart", "--qiniu-bucket", "a"], "qiniu_bucket: is for --format qiniu only"),
        (["--format", "multipart"], "url: is missing (--url)"),
    ],
)
def test_bad_input_is_named(
    run: Run,  # noqa: F811
    picture: Path,
    monkeypatch: pytest.MonkeyPatch,
    arguments: list[str],
    named: str,
) -> None:
    monkeypatch.setattr(cli, "ModemSession", None)  # any use of it would fail
    status, out, err = run("--port", "none", "upload", picture, *arguments)
    assert (status, out) == (2, "")
    assert named in err
    assert SECRET_KEY not in err


def test_region_makes_the_address(picture: Path) -> None:
    options = cli._parse(["upload", str(picture), *FORM, *KEYS])
    assert cli_upload.order_from(options).destination.url == "https://upload.qiniup.com/"
    options = cli._parse(["upload", str(picture), *FORM, *KEYS, "--qiniu-region", "as0"])
    assert cli_upload.order_from(options).destination.url == "https://upload-as0.qiniup.com/"
