"""The command line as its users meet it: words, JSON, exit status; never a traceback."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
import io
import json
import os
from pathlib import Path
import signal
import ssl
import subprocess
import sys
import threading
from typing import Any

import pytest
import trustme
from werkzeug.serving import make_server
from werkzeug.wrappers import Request, Response

from custom_components.cellular_uplink.modem import cli, cli_upload
from custom_components.cellular_uplink.modem.errors import SimError
from custom_components.cellular_uplink.modem.upload.result import Progress

ENGINE = Path(__file__).parents[2] / "custom_components" / "cellular_uplink"
PICTURE = bytes(range(256)) * 40
UPLOAD_KEYS = {
    "ok",
    "state",
    "http_status",
    "route",
    "attempts",
    "request_bytes",
    "body_bytes",
    "duration_s",
    "upload_id",
    "ambiguous",
    "error",
    "response",
}


@dataclass
class Shop:
    """A werkzeug server that keeps what it gets; it runs in a thread, as the command line has a loop of its own."""

    url: str = ""
    status: int = 200
    answer: str = "thanks"
    files: list[tuple[str | None, bytes]] = field(default_factory=list)
    forms: list[dict[str, str]] = field(default_factory=list)
    bodies: list[bytes] = field(default_factory=list)
    headers: list[dict[str, str]] = field(default_factory=list)
    methods: list[str] = field(default_factory=list)

    def __call__(self, environ: Any, start_response: Any) -> Any:
        request = Request(environ)
        self.methods.append(request.method)
        self.headers.append(dict(request.headers))
        self.forms.append(request.form.to_dict())
        for file in request.files.values():
            with file.stream:
                self.files.append((file.filename, file.read()))
        self.bodies.append(request.get_data())
        return Response(self.answer, status=self.status)(environ, start_response)


@contextmanager
def _open(context: ssl.SSLContext | None = None) -> Iterator[Shop]:
    shop = Shop()
    server = make_server("127.0.0.1", 0, shop, threaded=True, ssl_context=context)
    shop.url = f"{'https' if context else 'http'}://localhost:{server.port}/in"
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield shop
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@pytest.fixture
def shop() -> Iterator[Shop]:
    with _open() as shop:
        yield shop


@pytest.fixture
def tls_shop(server_context: ssl.SSLContext) -> Iterator[Shop]:
    with _open(server_context) as shop:
        yield shop


@pytest.fixture
def picture(tmp_path: Path) -> Path:
    path = tmp_path / "door.jpg"
    path.write_bytes(PICTURE)
    return path


@pytest.fixture
def ca_file(tmp_path: Path, ca_pem: str) -> Path:
    path = tmp_path / "ca.pem"
    path.write_text(ca_pem)
    return path


@pytest.fixture(autouse=True)
def _state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))


@pytest.fixture
def port(start_simulator: Callable[..., Any]) -> str:
    return str(start_simulator("bg96").port)


type Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str]) -> Run:
    def run(*arguments: object) -> tuple[int, str, str]:
        status = cli.main([str(argument) for argument in arguments])
        out, err = capsys.readouterr()
        assert "Traceback" not in out + err
        return status, out, err

    return run


# --- bad input: no port is opened --------------------------------------------------------------------------------


UPLOAD = ["--port", "none", "upload", "PICTURE", "--url", "http://example.org/"]


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        ([], "arguments: "),
        (["dance"], "arguments: "),
        (["probe"], "port: is missing"),
        (["--port", "none", "upload"], "arguments: "),
        (["--port", "none", "upload", "PICTURE"], "--url"),
        (["--port", "none", "--baud", "fast", "probe"], "--baud"),
        (["--port", "none", "--baud", "1", "probe"], "baud: "),
        (["--port", "none\n", "probe"], "port: "),
        (["--port", "none", "--apn", "inter\r\nnet", "probe"], "apn: "),
        (["--port", "none", "--apn", 'inter"net', "probe"], "apn: "),
        (["--port", "none", "--apn", "", "probe"], "apn: "),
        (["--port", "none", "--apn", "a", "--apn-user", "a\r", "probe"], "apn_user: "),
        (["--port", "none", "--apn", "a", "--apn-password", "S3CRET\n", "probe"], "apn_password: "),
        (["--port", "none", "--apn-user", "a", "probe"], "apn: "),
        (["--port", "none", "--ip-type", "ipv5", "probe"], "--ip-type"),
        (["--port", "none", "--operator", "Vodafone", "probe"], "operator: "),
        (["--port", "none", "--pin", "12x4", "probe"], "pin: "),
        ([*UPLOAD[:3], "nofile.jpg", *UPLOAD[4:]], "file: 'nofile.jpg' cannot be read: No such file"),
        ([*UPLOAD[:3], "FOLDER", *UPLOAD[4:]], "file: "),
        ([*UPLOAD[:3], "EMPTY", *UPLOAD[4:]], "is empty"),
        ([*UPLOAD[:3], "a\x00b", *UPLOAD[4:]], "file: "),
        ([*UPLOAD[:5], "http://example.org/\r\nX: y"], "url: "),
        ([*UPLOAD[:5], "example.org"], "url: "),
        ([*UPLOAD, "--method", "GET"], "method: "),
        ([*UPLOAD, "--format", "xml"], "--format"),
        ([*UPLOAD, "--field", "camera"], "field: 'camera'"),
        ([*UPLOAD, "--field", "=x"], "field: '=x'"),
        ([*UPLOAD, "--format", "json", "--field", "a=1", "--field", "a=2"], "field: 'a' is given twice"),
        ([*UPLOAD, "--field", "a=b"], "fields: "),
        ([*UPLOAD, "--header", "X-A"], "header: 'X-A'"),
        ([*UPLOAD, "--header", "X-A: b\r\nX-B: c"], "headers: "),
        ([*UPLOAD, "--header", "X A: b"], "headers: "),
        ([*UPLOAD, "--timeout", "0"], "timeout: "),
        ([*UPLOAD, "--timeout", "soon"], "--timeout"),
        ([*UPLOAD, "--ca", "x", "--insecure"], "--insecure"),
        ([*UPLOAD[:5], "https://example.org/", "--ca", "nofile.pem"], "ca: 'nofile.pem'"),
        ([*UPLOAD[:5], "https://example.org/", "--ca", "PICTURE"], "ca: "),
    ],
)
def test_bad_input_is_named(
    run: Run, picture: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, arguments: list[str], named: str
) -> None:
    monkeypatch.setattr(cli, "ModemSession", None)  # any use of it would fail
    (tmp_path / "empty").touch()
    places = {"PICTURE": str(picture), "FOLDER": str(tmp_path), "EMPTY": str(tmp_path / "empty")}
    arguments = [places.get(argument, argument) for argument in arguments]
    status, out, err = run(*arguments)
    assert status == 2
    assert named in err
    assert "[input/invalid_input]" in err
    assert out == ""
    assert "S3CRET" not in err
    status, out, err = run(*arguments, "--json")
    answer = json.loads(out.splitlines()[-1])
    assert status == 2
    assert answer["ok"] is False
    assert answer["error"]["class"] == "input"
    assert named in answer["error"]["message"]
    if "upload" in arguments:
        assert answer.keys() >= UPLOAD_KEYS


def test_files_that_cannot_be_read_and_that_are_too_large(
    run: Run, picture: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cli_upload, "MAX_BODY_BYTES", 100)
    status, _, err = run("--port", "none", "upload", picture, "--url", "http://example.org")
    assert status == 2
    assert "larger than 100 bytes" in err


def test_help_is_not_an_error(run: Run) -> None:
    status, out, _ = run("upload", "--help")
    assert status == 0
    assert "--file-field" in out


# --- with a modem ------------------------------------------------------------------------------------------------


def test_probe(run: Run, port: str) -> None:
    status, out, _ = run("--port", port, "probe", "--json")
    answer = json.loads(out)
    assert status == 0
    assert answer.keys() == {
        "vendor",
        "model",
        "firmware",
        "imei",
        "signal",
        "registration",
        "operator",
        "access_technology",
    }
    assert answer["signal"].keys() == {"rssi_dbm", "rsrp_dbm", "rsrq_db", "sinr_db"}
    assert (answer["vendor"], answer["model"], answer["registration"]) == ("Quectel", "BG96", "home")
    status, out, _ = run("probe", "--port", port)
    assert status == 0
    assert "model: BG96\n" in out
    assert "  rssi_dbm: -" in out


def test_upload_raw(run: Run, port: str, shop: Shop, picture: Path) -> None:
    status, out, _ = run("--json", "upload", picture, "--url", shop.url, "--port", port, "--header", "X-A:  b")
    answer = json.loads(out.splitlines()[-1])
    assert status == 0
    assert answer.keys() >= UPLOAD_KEYS
    assert (answer["ok"], answer["state"], answer["http_status"], answer["route"]) == (True, "delivered", 200, "socket")
    assert (answer["body_bytes"], answer["error"], answer["response"]) == (len(PICTURE), None, "thanks")
    assert shop.bodies == [PICTURE]
    assert shop.headers[0]["Content-Type"] == "image/jpeg"
    assert shop.headers[0]["X-A"] == "b"
    assert shop.headers[0]["Idempotency-Key"] == answer["upload_id"]


def test_upload_multipart_over_https(run: Run, port: str, tls_shop: Shop, picture: Path, ca_file: Path) -> None:
    form = ["--format", "multipart", "--file-field", "photo", "--field", "camera=front=door", "--field", "note="]
    status, out, _ = run(
        "--port", port, "upload", picture, "--url", tls_shop.url, "--method", "put", "--ca", ca_file, *form
    )
    assert status == 0
    assert out.startswith("delivered (HTTP 200) in ")
    assert "thanks\n" in out
    assert tls_shop.methods == ["PUT"]
    assert tls_shop.files == [("door.jpg", PICTURE)]
    assert tls_shop.forms == [{"camera": "front=door", "note": ""}]


def test_unknown_authority_is_refused_unless_told_otherwise(
    run: Run, port: str, tls_shop: Shop, picture: Path, authority: trustme.CA
) -> None:
    command = ["--port", port, "upload", picture, "--url", tls_shop.url, "--json"]
    status, out, _ = run(*command)
    answer = json.loads(out)
    assert status == 3
    assert answer["error"]["class"] == "tls"
    assert answer["error"]["code"] == "certificate_untrusted"
    assert "is not trusted" in answer["error"]["message"]
    assert not tls_shop.methods
    assert run(*command, "--insecure")[0] == 0
    assert len(tls_shop.methods) == 1


def test_server_that_refuses(run: Run, port: str, shop: Shop, picture: Path) -> None:
    shop.status, shop.answer = 503, "later\x1b[31m"
    status, out, _ = run("--port", port, "upload", picture, "--url", shop.url)
    assert status == 4
    assert out.startswith("rejected (HTTP 503)")
    assert "[http/503]" in out
    assert "\x1b" not in out, "a server does not write on our terminal"


def test_server_that_is_not_there(run: Run, port: str, picture: Path) -> None:
    command = ["--port", port, "upload", picture, "--url", "http://127.0.0.1:9/", "--json"]
    status, out, _ = run(*command)
    answer = json.loads(out)
    assert status == 3
    assert (answer["state"], answer["ambiguous"]) == ("failed", False)
    assert answer["error"]["class"] == "socket"
    assert answer["attempts"][0]["outcome"] == "failed"


def test_port_that_is_not_there(run: Run, tmp_path: Path, shop: Shop, picture: Path) -> None:
    nowhere = tmp_path / "nowhere"
    status, out, err = run("--port", nowhere, "probe")
    assert (status, out) == (3, "")
    assert "[link/" in err
    status, out, _ = run("--port", nowhere, "probe", "--json")
    assert status == 3
    assert json.loads(out)["error"]["class"] == "link"
    status, out, _ = run("--port", nowhere, "upload", picture, "--url", shop.url, "--json")
    assert status == 3
    assert json.loads(out)["error"]["class"] == "link"


def test_unexpected_errors_are_sentences(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    def explode(*_: object, **__: object) -> None:
        raise RuntimeError("S3CRET")

    monkeypatch.setattr(cli, "ModemSession", explode)
    status, _, err = run("--port", "none", "probe")
    assert status == 3
    assert "[internal/RuntimeError]" in err
    assert "S3CRET" not in err


def test_progress_and_ambiguity_on_a_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    stream = io.StringIO()
    show = cli_upload.progress_line(stream)
    for sent in (0, 10, 20, 100):
        show(Progress(sent_bytes=sent, total_bytes=100))
    assert stream.getvalue().count("\r") == 2, "drawn ten times a second, and at the end"
    assert "100 %  100 of 100 bytes" in stream.getvalue()


# --- as a process ------------------------------------------------------------------------------------------------


def _process(*arguments: object, **options: Any) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "modem.cli", *map(str, arguments)],
        env={**os.environ, "PYTHONPATH": str(ENGINE)},
        text=True,
        stderr=subprocess.PIPE,
        **options,
    )


def test_verbose_shows_the_wire_and_no_secrets(port: str, shop: Shop, picture: Path) -> None:
    secrets = ["--apn", "a", "--apn-user", "u", "--apn-password", "S3CRET", "--header", "X-Key: S3CRET"]
    process = _process("--verbose", "--port", port, "upload", picture, "--url", shop.url + "?key=S3CRET", *secrets)
    _, err = process.communicate(timeout=60)
    assert process.returncode == 0
    assert "AT+" in err
    assert "S3CRET" not in err


def test_reader_that_left(port: str) -> None:
    read_end, write_end = os.pipe()
    os.close(read_end)
    process = _process("--port", port, "probe", stdout=write_end)
    os.close(write_end)
    _, err = process.communicate(timeout=60)
    assert (process.returncode, err) == (0, "")


def test_closed_standard_output(port: str) -> None:
    command = f"exec {sys.executable} -m modem.cli --port {port} probe >&-"
    ended = subprocess.run(
        ["sh", "-c", command],
        env={**os.environ, "PYTHONPATH": str(ENGINE)},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (ended.returncode, ended.stderr) == (0, "")


def test_interrupted(port: str, picture: Path) -> None:
    arrived = threading.Event()
    release = threading.Event()

    def slow(environ: Any, start_response: Any) -> Any:
        arrived.set()
        release.wait(30)
        return Response("late")(environ, start_response)

    server = make_server("127.0.0.1", 0, slow, threaded=True)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        process = _process(
            *("--port", port, "upload", picture, "--url", f"http://127.0.0.1:{server.port}/"),
            # A suite that runs in the background was started with Ctrl-C ignored, and so would be its children.
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
        )
        assert arrived.wait(30)
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=30)
    finally:
        release.set()
        server.shutdown()
        thread.join()
        server.server_close()
    assert process.returncode == 130
    assert "Traceback" not in err


# --- memory of PINs ----------------------------------------------------------------------------------------------


def test_pin_memory_outlives_the_process(tmp_path: Path) -> None:
    memory = cli.FilePinMemory()
    assert not memory.was_entered("89", "1234")
    memory.forget("89", "1234")
    memory.remember("89", "1234", refused=False)
    file = tmp_path / "state" / "cellular-uplink" / "pins.json"
    assert file.stat().st_mode & 0o777 == 0o600
    assert [len(key) for key in json.loads(file.read_text())["entries"]] == [64], "a digest, not the PIN"
    again = cli.FilePinMemory()
    assert again.was_entered("89", "1234")
    assert not again.was_refused("89", "1234")
    again.remember("89", "1234", refused=True)
    assert memory.was_refused("89", "1234")
    assert not memory.was_entered("90", "1234")
    assert not memory.was_entered(None, "1234")
    memory.forget("89", "1234")
    assert not again.was_entered("89", "1234")


@pytest.mark.parametrize("content", ["not json", "[]", "{}"])
def test_unreadable_pin_memory_enters_nothing(tmp_path: Path, content: str) -> None:
    path = tmp_path / "pins.json"
    path.write_text(content)
    with pytest.raises(SimError):
        cli.FilePinMemory(path).was_entered("89", "1234")


def test_unwritable_pin_memory_enters_nothing(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(SimError):
        cli.FilePinMemory(tmp_path / "file" / "pins.json").remember("89", "1234", refused=False)
