"""Error 719 by firmware: reports/bg96-error-719.txt, bg96.md 9.1, the issue's table; real TLS to a real server."""

from collections.abc import Iterator
import json
from pathlib import Path
import ssl
import subprocess
import sys
import threading

import pytest

from .bg96_at import data_mode, ready, request, set_url, upload
from .conftest import ROOT, Open
from .plain_at import Peer, Port
from .web import Authority, Web, gunicorn

# The report's fourteen totals.
REPORT = {
    2047: True,
    2048: False,
    4095: False,
    4096: True,
    6143: True,
    6144: False,
    8191: False,
    8192: True,
    10239: True,
    10240: False,
    12287: False,
    12288: True,
    14335: True,
    14336: False,
}
# The two files of its first post.
EXAMPLES = {1554: True, 2061: False}
GOOD, BAD = 4096, 2048
LOST = "719"


@pytest.fixture(scope="module")
def authority() -> Authority:
    return Authority()


@pytest.fixture(scope="module")
def web(authority: Authority, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Web]:
    with gunicorn(tmp_path_factory.mktemp("https"), authority.issue("127.0.0.1")) as server:
        yield server


@pytest.fixture(scope="module")
def plain_web(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Web]:
    with gunicorn(tmp_path_factory.mktemp("http")) as server:
        yield server


def start(port: Open, web: Web, firmware: str, *switches: str) -> Port:
    at = ready(port("bg96", *switches, arguments=("--firmware", firmware)))
    assert at.ask('AT+QHTTPCFG="requestheader",1') == ["OK"]
    set_url(at, f"{web.url}/post")
    return at


def post_file(at: Port, data: bytes) -> str:
    at.ask('AT+QFDEL="HTTPPOST.TMP"')
    assert upload(at, "HTTPPOST.TMP", data).startswith(b"\r\n+QFUPL: %d," % len(data))
    assert at.ask('AT+QHTTPPOSTFILE="HTTPPOST.TMP",60') == ["OK"]
    return at.urc("+QHTTPPOSTFILE:").partition(": ")[2]


def post(at: Port, data: bytes) -> str:
    assert data_mode(at, f"AT+QHTTPPOST={len(data)},60,60", data) == b"\r\nOK\r\n"
    return at.urc("+QHTTPPOST:").partition(": ")[2]


def test_the_reports_totals(port: Open, web: Web, socket_enabled: None) -> None:
    """The fourteen totals and the two examples, on an R03A06; the server gets every one of them whole."""
    at = start(port, web, "BG96MAR03A06M1G_01.005.01.005")
    before = len(web.seen())
    totals = REPORT | EXAMPLES
    found = {total: post_file(at, request(web.host, total)) for total in totals}
    assert {total: text != LOST for total, text in found.items()} == totals
    assert all(text.startswith("0,200,") for text in found.values() if text != LOST)
    bodies = [len(request(web.host, total).partition(b"\r\n\r\n")[2]) for total in totals]
    assert [row["length"] for row in web.seen()[before:]] == bodies
    assert at.ask("AT+QHTTPREAD") == ["+CME ERROR: 705"]


@pytest.mark.parametrize(
    ("firmware", "switches", "file_good", "file_bad", "post_good", "post_bad"),
    [
        ("BG96MAR02A07M1G_01.016.01.016", (), False, False, True, True),
        ("r02a07-016", ("https_postfile=bit11",), True, False, True, True),
        ("r02a07-016", ("https_postfile=works",), True, True, True, True),
        ("BG96MAR02A07M1G_01.011.01.011", (), True, False, True, True),
        ("r02a07-011", ("https_post=bit11",), True, False, True, False),
        ("BG96MAR03A06M1G_01.005.01.005", (), True, False, False, False),
        ("r03a06", ("https_post=bit11",), True, False, True, False),
        ("clean", (), True, True, True, True),
        ("BG96MAR09A99M1G_09.009.09.009", (), True, True, True, True),
    ],
)
def test_table(
    port: Open,
    web: Web,
    socket_enabled: None,
    firmware: str,
    switches: tuple[str, ...],
    file_good: bool,
    file_bad: bool,
    post_good: bool,
    post_bad: bool,
) -> None:
    """The issue's table of builds, row by row, with its switches."""
    at = start(port, web, firmware, *switches)
    good, bad = request(web.host, GOOD), request(web.host, BAD)
    assert (post_file(at, good) != LOST) is file_good
    assert (post_file(at, bad) != LOST) is file_bad
    assert (post(at, good) != LOST) is post_good
    assert (post(at, bad) != LOST) is post_bad


def test_plain_http_always_works(port: Open, plain_web: Web, socket_enabled: None) -> None:
    """The report: only https is affected."""
    for firmware in ("r02a07-016", "r03a06", "r04a02"):
        at = start(port, plain_web, firmware, "late_last_packet=every")
        for total in (GOOD, BAD):
            assert post_file(at, request(plain_web.host, total)).startswith("0,200,")
            assert post(at, request(plain_web.host, total)).startswith("0,200,")


def test_as_a_cme_error(port: Open, web: Web, socket_enabled: None) -> None:
    """Not settled in the thread: 719 as a command's result (bg96.md 9.1)."""
    at = start(port, web, "r03a06", "error_719=cme")
    data = request(web.host, BAD)
    upload(at, "a", data)
    assert at.ask('AT+QHTTPPOSTFILE="a"') == ["+CME ERROR: 719"]
    at.send(b"AT+QHTTPPOST=%d\r" % len(data))
    assert at.exactly(11) == b"\r\nCONNECT\r\n"
    at.send(data)
    assert at.until(b"719\r\n") == b"\r\n+CME ERROR: 719\r\n"


class Watcher:
    """A TLS server that answers as soon as nothing more comes, and then takes what still comes."""

    def __init__(self, peer: Peer, identity: Path) -> None:
        self._peer = peer
        self._context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self._context.load_cert_chain(identity)
        self.before = b""
        self.after = b""
        self._thread = threading.Thread(target=self._serve)
        self._thread.start()

    def _serve(self) -> None:
        with self._context.wrap_socket(self._peer.accept(), server_side=True) as connection:
            connection.settimeout(0.3)
            self.before = self._all(connection)
            connection.sendall(b"HTTP/1.1 408 Late\r\nContent-Length: 0\r\n\r\n")
            connection.settimeout(20)
            self.after = self._all(connection)

    def _all(self, connection: ssl.SSLSocket) -> bytes:
        data = b""
        try:
            while piece := connection.recv(65536):
                data += piece
        except OSError:  # nothing for a while, or the modem is gone
            pass
        return data

    def join(self) -> None:
        self._thread.join(30)


@pytest.mark.parametrize(
    ("total", "switches", "late"),
    [(BAD, (), True), (BAD, ("late_last_packet=no",), False), (GOOD, ("late_last_packet=every",), True)],
)
def test_late_last_packet(
    port: Open, peer: Peer, authority: Authority, tmp_path: Path, total: int, switches: tuple[str, ...], late: bool
) -> None:
    """R04A02: the last packet of a big body leaves after the server has answered (the report's last post)."""
    identity = tmp_path / "server.pem"
    identity.write_bytes(authority.issue("127.0.0.1"))
    at = start(port, Web("https", peer.port, tmp_path), "BG96MAR04A02M1G_02.002.01.002", *switches)
    data = request(f"127.0.0.1:{peer.port}", total)
    for send in (post_file, post):
        watcher = Watcher(peer, identity)
        assert send(at, data) == LOST
        watcher.join()
        assert watcher.before + watcher.after == data
        assert len(watcher.after) == (1024 if late else 0)


def test_r04a02_good_lengths(port: Open, web: Web, socket_enabled: None) -> None:
    """R04A02 by default: padding to a good length helps."""
    at = start(port, web, "r04a02")
    assert post_file(at, request(web.host, GOOD)).startswith("0,200,")
    assert post(at, request(web.host, GOOD)).startswith("0,200,")


def test_the_modules_own_header_counts_too(port: Open, web: Web, socket_enabled: None) -> None:
    """bg96.md 9.1 (c): the length is that of the whole request, also when the module writes the header."""
    at = start(port, web, "r03a06")
    at.ask('AT+QHTTPCFG="requestheader",0')
    assert post_file(at, b"x" * 2000) == LOST  # a good length without the header
    assert post_file(at, b"x" * 4000).startswith("0,200,")  # a bad one without it


def test_unknown_firmware_says_so() -> None:
    """The issue: it runs as the clean one, and says so."""
    command = [
        sys.executable,
        "-m",
        "simulator",
        "--modem",
        "bg96",
        "--firmware",
        "BG96MAR09A99M1G",
        "--baud",
        "unpaced",
    ]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdout
        assert process.stderr
        assert b"BG96MAR09A99M1G" in process.stderr.readline()
        port = Port(json.loads(process.stdout.readline())["port"])
        assert port.raw("AT+CGMR").endswith(b"BG96MAR09A99M1G\r\n\r\nOK\r\n")
        port.close()
        process.terminate()
