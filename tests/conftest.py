"""Fixtures for the whole suite: simulated modems, and a server that keeps what it is sent. All of them are lazy."""

import asyncio
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
import json
import logging
import os
from pathlib import Path
import signal
import ssl
import subprocess
import sys
import threading

from aiohttp import web
import pytest
import trustme

# The camera component complains of a missing libturbojpeg when it is imported; we shrink pictures without it.
logging.getLogger("homeassistant.components.camera.img_util").setLevel(logging.CRITICAL)

# Home Assistant's test plug-in mounts a custom_components package of its own; the first one imported wins.
import custom_components.cellular_uplink  # noqa: E402, F401

from .upload.qiniu_server import QiniuServer, running  # noqa: E402

ROOT = Path(__file__).parent.parent
SIMULATOR_ROOT = Path(os.environ.get("CELLULAR_UPLINK_SIMULATOR_ROOT", ROOT))
"""Where `python -m simulator` is run: another work tree's, while that one is ahead."""


class Simulator:
    """A simulated modem in a process of its own, on a port whose path stays the same when it is started again."""

    def __init__(self, folder: Path, arguments: tuple[str, ...]) -> None:
        self.port = str(folder / "modem")
        self.trace = folder / "trace.txt"
        self._arguments = arguments
        self.start()

    def start(self, *arguments: str) -> None:
        """Plug the modem in; `arguments` are for this time only."""
        command = [sys.executable, "-m", "simulator", "--link", self.port, "--trace", str(self.trace)]
        self.process = subprocess.Popen(
            [*command, *self._arguments, *arguments], cwd=SIMULATOR_ROOT, stdout=subprocess.PIPE
        )
        assert self.process.stdout is not None
        ready = self.process.stdout.readline()
        assert ready, f"the simulator ended with status {self.process.wait()}"
        assert json.loads(ready)["pid"] == self.process.pid

    def unplug(self) -> None:
        """Take port and modem away at once."""
        # The link first: the number of the pseudo-terminal behind it may soon be another simulator's.
        Path(self.port).unlink(missing_ok=True)
        self._end(signal.SIGKILL)

    def stop(self) -> None:
        """End it as a user would."""
        if self.process.poll() is None:
            self._end(signal.SIGTERM)

    def _end(self, number: signal.Signals) -> None:
        self.process.send_signal(number)
        self.process.wait(timeout=10)
        assert self.process.stdout is not None
        self.process.stdout.close()


@pytest.fixture
def start_simulator(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[..., Simulator]]:
    """Return what starts a simulated modem: `start_simulator("bg96", "--sim", "pin")`. It runs unpaced unless told."""
    simulators: list[Simulator] = []

    def start(modem: str = "bg96", *arguments: str) -> Simulator:
        pace = () if "--baud" in arguments else ("--baud", "unpaced", "--latency-ms", "0")
        simulator = Simulator(tmp_path_factory.mktemp("simulator"), ("--modem", modem, *pace, *arguments))
        simulators.append(simulator)
        return simulator

    yield start
    for simulator in simulators:
        simulator.stop()


@dataclass
class Received:
    """A request as the server understood it: a form's fields and file apart, any other body whole."""

    method: str
    path: str
    headers: dict[str, str]
    body: bytes = b""
    fields: dict[str, str] = field(default_factory=dict)
    file_name: str = ""
    file_field: str = ""
    content_type: str = ""


@dataclass
class PictureServer:
    """Takes pictures over HTTP and HTTPS and keeps them."""

    url: str = ""
    https_url: str = ""
    ca_pem: str = ""
    status: int = 200
    answer: str = "thanks"
    received: list[Received] = field(default_factory=list)
    answers_lost: int = 0
    """So many requests are kept, and then cut off instead of answered."""
    on_head: Callable[[], object] | None = None
    """Called, in the thread of the server, when the head of a request has arrived."""
    loop: asyncio.AbstractEventLoop = field(init=False)
    stop: asyncio.Event = field(init=False)

    async def handle(self, request: web.Request) -> web.Response:
        if self.on_head is not None:
            self.on_head()
        received = Received(request.method, request.path_qs, dict(request.headers))
        if request.content_type == "multipart/form-data":
            for name, value in (await request.post()).items():
                if isinstance(value, web.FileField):
                    received.body, received.file_name = value.file.read(), value.filename
                    received.file_field, received.content_type = name, value.content_type
                else:
                    received.fields[name] = str(value)
        else:
            received.body, received.content_type = await request.read(), request.content_type
        self.received.append(received)
        if self.answers_lost:
            self.answers_lost -= 1
            assert request.transport is not None
            request.transport.abort()
        return web.Response(status=self.status, text=self.answer)


@pytest.fixture(scope="session")
def certificate_authority() -> trustme.CA:
    """A throw-away certificate authority."""
    return trustme.CA()


@pytest.fixture(scope="session")
def rsa_authority() -> trustme.CA:
    """For servers that a modem talks TLS with by itself: it knows no ECDSA."""
    return trustme.CA(key_type=trustme.KeyType.RSA)


@pytest.fixture(scope="session")
def rsa_context(rsa_authority: trustme.CA) -> ssl.SSLContext:
    """What such a server on localhost serves with."""
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    rsa_authority.issue_cert("localhost", "127.0.0.1", key_type=trustme.KeyType.RSA).configure_cert(context)
    return context


@pytest.fixture(scope="session")
def certificate_key_type() -> trustme.KeyType:
    """The keys of authority and servers. The quick kind; the BG96's own TLS knows RSA only."""
    return trustme.KeyType.ECDSA


@pytest.fixture
def picture_server(
    socket_enabled: None, certificate_authority: trustme.CA, certificate_key_type: trustme.KeyType
) -> Iterator[PictureServer]:
    """A real server on 127.0.0.1, in plain and with TLS.

    It runs in a thread of its own: a client that breaks a handshake off is its trouble, not the tested loop's.
    """
    server = PictureServer(ca_pem=certificate_authority.cert_pem.bytes().decode())
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    certificate_authority.issue_cert("localhost", "127.0.0.1", key_type=certificate_key_type).configure_cert(context)
    ready = threading.Event()

    async def serve() -> None:
        app = web.Application(client_max_size=50_000_000)
        app.router.add_route("*", "/{tail:.*}", server.handle)
        runner = web.AppRunner(app, shutdown_timeout=1)
        await runner.setup()
        for ssl_context in (None, context):
            await web.TCPSite(runner, "127.0.0.1", 0, ssl_context=ssl_context).start()
        plain, tls = (address[1] for address in runner.addresses)
        server.url, server.https_url = f"http://127.0.0.1:{plain}/pictures", f"https://localhost:{tls}/pictures"
        server.loop, server.stop = asyncio.get_running_loop(), asyncio.Event()
        server.loop.set_exception_handler(lambda *_: None)
        ready.set()
        await server.stop.wait()
        await runner.cleanup()

    thread = threading.Thread(target=asyncio.run, args=(serve(),), kwargs={"loop_factory": asyncio.SelectorEventLoop})
    thread.start()
    assert ready.wait(10)
    yield server
    server.loop.call_soon_threadsafe(server.stop.set)
    thread.join()


@pytest.fixture
def qiniu_server(socket_enabled: None, certificate_authority: trustme.CA) -> Iterator[QiniuServer]:
    """A stand-in for Qiniu on 127.0.0.1, in plain and with TLS (trusted by `certificate_authority`)."""
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    certificate_authority.issue_cert("localhost", "127.0.0.1").configure_cert(context)
    with running(context) as server:
        yield server
