"""The servers of the reports: httpbin's /post, Flask, gunicorn, Apache. All answer 200, and the body is intact."""

from base64 import b64decode
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from hashlib import sha256
from itertools import product
import json
import os
from pathlib import Path
import shutil
import socket
import sys
import tempfile
from typing import Any

import pytest

from custom_components.cellular_uplink.modem.drivers.base import ApnSettings
from custom_components.cellular_uplink.modem.routes.plan import HttpCommand
from custom_components.cellular_uplink.modem.session import ModemSession, SessionSettings
from custom_components.cellular_uplink.modem.upload.choices import Choices
from custom_components.cellular_uplink.modem.upload.engine import UploadEngine
from custom_components.cellular_uplink.modem.upload.request import Destination, Picture, UploadFormat
from scripts.stage.children import Children

HERE = Path(__file__).parent
APACHE = shutil.which("apache2", path=f"{os.environ.get('PATH', os.defpath)}:/usr/sbin:/usr/local/sbin")
APACHE_MODULES = Path(os.environ.get("APACHE_MODULES", "/usr/lib/apache2/modules"))
SIZES = (2_793, 80_000)
FIELDS = {"camera": "front door", "note": "ä\r\nline two"}


@dataclass(frozen=True)
class Understood:
    """What a server says it got."""

    digest: str
    form: dict[str, str]


def of_our_app(response: str) -> Understood:
    told = json.loads(response)
    return Understood(told["sha256"], told["form"])


def of_httpbin(response: str) -> Understood:
    """Httpbin sends the file, or a body that is no form, back: as it is or in a data URL."""
    told = json.loads(response)
    content: str = told["files"]["file"] if told["files"] else told["data"]
    assert content.startswith("data:"), content[:80]
    return Understood(sha256(b64decode(content.partition(",")[2])).hexdigest(), told["form"])


type Start = Callable[[Children, Path, int], None]


def flask(children: Children, _: Path, port: int) -> None:
    _started(children, "Flask", [sys.executable, HERE / "plain_apps.py", str(port)], port)


def gunicorn(children: Children, _: Path, port: int, app: str = "plain_apps:app") -> None:
    argv = ["-m", "gunicorn", "--chdir", str(HERE), "--no-control-socket", "--bind", f"127.0.0.1:{port}", app]
    _started(children, "gunicorn", [sys.executable, *argv], port)


def httpbin(children: Children, folder: Path, port: int) -> None:
    gunicorn(children, folder, port, "httpbin:app")


def apache(children: Children, folder: Path, port: int) -> None:
    """In front of gunicorn, as it is mostly used for Python; what reaches the application went through it."""
    if APACHE is None:
        pytest.skip("Apache is not installed (on Debian: apt-get install apache2-bin)")
    behind = _free_port()
    gunicorn(children, folder, behind)
    modules = ["mpm_event", "authz_core", "proxy", "proxy_http"]
    lines = [f"LoadModule {name}_module {APACHE_MODULES}/mod_{name}.so" for name in modules]
    lines += [f"ServerRoot {folder}", f"PidFile {folder}/pid", f"ErrorLog {folder}/error.log", "ServerName localhost"]
    lines += [f"Listen 127.0.0.1:{port}", f"DefaultRuntimeDir {folder}", "StartServers 1"]
    lines += [f"ProxyPass / http://127.0.0.1:{behind}/"]
    if os.getuid() == 0:
        lines += ["User www-data", "Group www-data"]  # Apache refuses to serve as root
    config = folder / "apache.conf"
    config.write_text("\n".join(lines) + "\n")
    _started(children, "Apache", [APACHE, "-f", config, "-DFOREGROUND"], port)


def _started(children: Children, name: str, argv: list[str | Path], port: int) -> None:
    child = children.start(name, argv, cwd=HERE)

    def probe() -> bool | None:
        try:
            with socket.create_connection(("127.0.0.1", port), timeout=1):
                return True
        except OSError:
            return None

    children.wait_for(child, "starting", 30, probe)


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])


@pytest.fixture(params=[flask, gunicorn, httpbin, apache], ids=lambda start: start.__name__)
def plain_server(request: pytest.FixtureRequest, socket_enabled: None) -> Iterator[tuple[str, Any]]:
    start: Start = request.param
    port = _free_port()
    with tempfile.TemporaryDirectory() as name, Children(Path(name)) as children:
        start(children, Path(name), port)
        path, reader = ("post", of_httpbin) if start is httpbin else ("upload", of_our_app)
        yield f"http://127.0.0.1:{port}/{path}", reader


SOCKET = Choices()
WAYS = {
    "bg96": (SOCKET, Choices(command=HttpCommand.POSTFILE), Choices(command=HttpCommand.POST)),
    "ml307r": (SOCKET, Choices(command=HttpCommand.CONTENT), Choices(command=HttpCommand.CHUNKED)),
}
SLOW_ANSWERS = (HttpCommand.CONTENT, HttpCommand.CHUNKED)
"""An answer comes in small pieces, on purpose; httpbin's is longer than the picture."""


@pytest.mark.parametrize("modem", WAYS)
async def test_body_is_intact(
    plain_server: tuple[str, Callable[[str], Understood]], start_simulator: Callable[..., Any], modem: str
) -> None:
    """Two sizes, raw and as forms, on each way out, one after the other over the same modem."""
    url, understood = plain_server
    settings = SessionSettings(port=start_simulator(modem).port, apn=ApnSettings(apn="internet"))
    session = ModemSession(settings)
    engine = UploadEngine(session)
    try:
        for size in SIZES:
            picture = Picture(content=(b"\xff\xd8\r\n\x00\x1a\x1b" + os.urandom(size))[:size])
            raw = Destination(url=url)
            form = Destination(url=url, format=UploadFormat.MULTIPART, fields=FIELDS)
            for destination, choices in product((raw, form), WAYS[modem]):
                if understood is of_httpbin and choices.command in SLOW_ANSWERS and size > SIZES[0]:
                    continue
                result = await engine.upload(destination, picture, choices=choices)
                assert (result.ok, result.http_status, len(result.attempts)) == (True, 200, 1), result
                assert result.attempts[0].command == choices.command
                if len(result.response) < 16_000:  # more of an answer is not kept: httpbin's echo of 80 kB
                    digest = sha256(picture.content).hexdigest()
                    assert understood(result.response) == Understood(digest, dict(destination.fields))
    finally:
        await engine.aclose()
        await session.close()
