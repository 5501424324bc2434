"""TLS of the BG96: bg96.md 5 (M-SSL), 2.4 and 10 (12); real handshakes with real servers."""

from collections.abc import Callable, Iterator
import datetime as dt
from pathlib import Path
import ssl
import threading

import pytest
import trustme

from .bg96_at import ready, set_url, upload
from .conftest import Open
from .plain_at import Peer, Port
from .web import Authority

type Serve = Callable[..., int]
DAY = dt.timedelta(days=1)
NOW = dt.datetime.now(dt.UTC)


@pytest.fixture(scope="module")
def authority() -> Authority:
    return Authority()


@pytest.fixture
def serve(peer: Peer, tmp_path: Path) -> Iterator[Serve]:
    """A TLS server that greets, echoes, and notes the server names its clients asked for."""
    threads: list[threading.Thread] = []

    def begin(identity: bytes, names: list[str | None] | None = None, times: int = 1) -> int:
        path = tmp_path / "server.pem"
        path.write_bytes(identity)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(path)

        def note(_: ssl.SSLObject, name: str | None, __: ssl.SSLContext) -> None:
            if names is not None:
                names.append(name)

        context.sni_callback = note

        def run() -> None:
            for _ in range(times):
                raw = peer.accept()
                try:
                    with context.wrap_socket(raw, server_side=True) as connection:
                        data = connection.recv(65536)
                        while data:
                            if data.startswith(b"GET"):
                                connection.sendall(b"HTTP/1.1 204 No Content\r\n\r\n")
                                break
                            connection.sendall(data)
                            data = connection.recv(65536)
                except OSError:
                    pass

        threads.append(threading.Thread(target=run))
        threads[-1].start()
        return peer.port

    yield begin
    for thread in threads:
        thread.join(30)


def start(port: Open, *switches: str) -> Port:
    at = ready(port("bg96", *switches))
    at.ask('AT+QURCCFG="urcport","uart1"')
    return at


def trust(at: Port, authority: Authority) -> None:
    upload(at, "ca.pem", authority.pem)
    configure(at, cacert='"ca.pem"')


def configure(at: Port, **values: str) -> None:
    for key, value in values.items():
        assert at.ask(f'AT+QSSLCFG="{key}",1,{value}') == ["OK"], key


def open_socket(at: Port, host: str, port: int, number: int = 0) -> str:
    assert at.ask(f'AT+QSSLOPEN=1,1,{number},"{host}",{port},0') == ["OK"]
    return at.urc("+QSSLOPEN:")


def get(at: Port, host: str, port: int) -> str:
    set_url(at, f"https://{host}:{port}/")
    assert at.ask("AT+QHTTPGET=30") == ["OK"]
    return at.urc("+QHTTPGET:")


def outcomes(at: Port, host: str, port: int) -> tuple[str, str]:
    """By socket, then by HTTP."""
    found = open_socket(at, host, port)
    at.ask("AT+QSSLCLOSE=0")
    return found, get(at, host, port)


GOOD = ("+QSSLOPEN: 0,0", "+QHTTPGET: 0,204")
REFUSED = ("+QSSLOPEN: 0,566", "+QHTTPGET: 701")


def test_factory_settings_verify_nothing(port: Open, serve: Serve, authority: Authority) -> None:
    """EG8a: seclevel 0, ignorelocaltime 1; a certificate of nobody's passes."""
    at = start(port)
    expected = {
        "sslversion": "4",
        "ciphersuite": "0XFFFF",
        "seclevel": "0",
        "ignorelocaltime": "1",
        "negotiatetime": "300",
    }
    for key, value in expected.items():
        assert at.ask(f'AT+QSSLCFG="{key}",1') == [f'+QSSLCFG: "{key}",1,{value}', "OK"]
    assert outcomes(at, "127.0.0.1", serve(Authority().issue("elsewhere.example"), times=2)) == GOOD


@pytest.mark.parametrize(
    ("case", "expected"),
    [
        ("right", GOOD),
        ("other authority", REFUSED),
        ("no file set", REFUSED),
        ("file is missing", REFUSED),
        ("expired", REFUSED),
        ("expired, dates ignored", GOOD),
        ("right, clock of 1980", REFUSED),
    ],
)
def test_level_1(port: Open, serve: Serve, authority: Authority, case: str, expected: tuple[str, str]) -> None:
    """M-SSL: seclevel 1 verifies the server; every refusal is 566 on sockets and 701 with HTTP (EG8a, SIXW7)."""
    at = start(port, *(("clock=1980",) if "1980" in case else ()))
    issuer = Authority() if case == "other authority" else authority
    dates = {"not_before": NOW - 30 * DAY, "not_after": NOW - DAY} if "expired" in case else {}
    if case != "no file set":
        trust(at, authority)
    configure(at, seclevel="1", ignorelocaltime="1" if "ignored" in case else "0")
    if case == "file is missing":
        at.ask('AT+QFDEL="ca.pem"')
    number = serve(issuer.issue("127.0.0.1", **dates), times=0 if "file" in case else 2)
    assert outcomes(at, "127.0.0.1", number) == expected


def test_the_same_bad_certificate_passes_at_level_0(port: Open, serve: Serve, authority: Authority) -> None:
    """The issue: passes at level 0, fails at level 1, passes again."""
    at = start(port)
    number = serve(Authority().issue("127.0.0.1"), times=6)
    trust(at, authority)
    configure(at, seclevel="0")
    assert outcomes(at, "127.0.0.1", number) == GOOD
    configure(at, seclevel="1")
    assert outcomes(at, "127.0.0.1", number) == REFUSED
    configure(at, seclevel="0")
    assert outcomes(at, "127.0.0.1", number) == GOOD


def test_rsa_only(port: Open, serve: Serve) -> None:
    """M-SSL's list of suites holds none for ECDSA certificates, and there is no TLS 1.3."""
    identity = trustme.CA().issue_cert("127.0.0.1").private_key_and_cert_chain_pem.bytes()
    assert outcomes(start(port), "127.0.0.1", serve(identity, times=2)) == REFUSED


@pytest.mark.parametrize(("key", "value", "good"), [
    ("sslversion", "3", True), ("sslversion", "1", False), ("sslversion", "0", False),
    ("ciphersuite", "0XC02F", True), ("ciphersuite", "0X0005", False),
])  # fmt: skip
def test_versions_and_suites(port: Open, serve: Serve, authority: Authority, key: str, value: str, good: bool) -> None:
    """M-SSL: what is set is what is offered; a server of today takes TLS 1.2 and AEAD suites."""
    at = start(port)
    configure(at, **{key: value})
    number = serve(authority.issue("127.0.0.1"), times=2 if good or value == "1" else 0)
    assert outcomes(at, "127.0.0.1", number) == (GOOD if good else REFUSED)


def test_sni(port: Open, serve: Serve, authority: Authority) -> None:
    """bg96.md 5: absent from the V1.0 manual, so ERROR by default; with it, hosts that need it answer (SIXW7)."""
    assert start(port).ask('AT+QSSLCFG="sni",1') == ["ERROR"]
    at = start(port, "sni=yes", "sni_hosts=localhost,shared.example")
    names: list[str | None] = []
    number = serve(authority.issue("localhost"), names, times=2)
    assert at.ask('AT+QSSLCFG="sni",1') == ['+QSSLCFG: "sni",1,0', "OK"]
    assert outcomes(at, "localhost", number) == REFUSED
    configure(at, sni="1")
    assert outcomes(at, "localhost", number) == GOOD
    assert names == ["localhost", "localhost"]


def test_bad_settings(port: Open) -> None:
    """M-SSL: errors of QSSLCFG are plain; keywords are lower case (TGSM)."""
    at = start(port)
    for bad in (
        '"seclevel",6,0',
        '"seclevel",1,3',
        '"negotiatetime",1,9',
        '"ciphersuite",1,0X1301',
        '"x",1',
        '"SSLVERSION",1,4',
    ):
        assert at.ask(f"AT+QSSLCFG={bad}") == ["ERROR"], bad


def test_lost_at_reboot(port: Open) -> None:
    """EG8a: settings of TLS and HTTP do not outlive a reboot."""
    at = start(port, "boot_s=0.1")
    at.ask('AT+QSSLCFG="seclevel",1,1;+QHTTPCFG="requestheader",1')
    at.ask("AT+CFUN=1,1")
    at.until(b"APP RDY\r\n")
    at.raw("ATE0")
    assert at.ask('AT+QSSLCFG="seclevel",1') == ['+QSSLCFG: "seclevel",1,0', "OK"]
    assert at.ask('AT+QHTTPCFG="requestheader"') == ['+QHTTPCFG: "requestheader",0', "OK"]


def test_socket_both_ways(port: Open, serve: Serve, authority: Authority) -> None:
    """M-SSL 2: QSSLSEND, the recv line, QSSLRECV, QSSLSTATE, QSSLCLOSE."""
    at = start(port)
    number = serve(authority.issue("127.0.0.1"))
    assert open_socket(at, "127.0.0.1", number, 3) == "+QSSLOPEN: 3,0"
    data = bytes(range(256)) * 5
    at.send(b"AT+QSSLSEND=3,%d\r" % len(data))
    assert at.exactly(4) == b"\r\n> "
    at.send(data)
    assert at.exactly(11) == b"\r\nSEND OK\r\n"
    assert at.urc("+QSSLURC:") == '+QSSLURC: "recv",3'
    head, tail = b"\r\n+QSSLRECV: 1280\r\n", b"\r\nOK\r\n"
    at.send(b"AT+QSSLRECV=3,1500\r")
    assert at.exactly(len(head + data + tail)) == head + data + tail
    assert at.raw("AT+QSSLRECV=3,1500") == b"\r\n+QSSLRECV: 0\r\n\r\nOK\r\n"
    state = at.ask("AT+QSSLSTATE=3")[0]
    assert state.startswith(f'+QSSLSTATE: 3,"SSLClient","127.0.0.1",{number},')
    assert state.endswith(',2,1,0,0,"uart1",1')
    assert open_socket(at, "127.0.0.1", number, 3) == "+QSSLOPEN: 3,563"
    assert at.ask("AT+QIGETERROR") == ["+QIGETERROR: 563,socket identity has been used", "OK"]
    assert at.ask("AT+QSSLRECV=3,0") == ["ERROR"]
    assert at.ask("AT+QSSLSEND=3,1461") == ["ERROR"]
    assert at.ask("AT+QSSLSEND=4,5") == ["ERROR"]
    assert at.ask("AT+QSSLCLOSE=3") == ["OK"]
    assert at.ask("AT+QSSLSTATE") == ["OK"]


def test_closed_by_peer(port: Open, serve: Serve, authority: Authority) -> None:
    """M-SSL: after the closed line the id is held until QSSLCLOSE."""
    at = start(port)
    number = serve(authority.issue("127.0.0.1"))
    open_socket(at, "127.0.0.1", number)
    at.send(b"AT+QSSLSEND=0,3\r")
    at.until(b"> ")
    at.send(b"GET")
    assert at.urc('+QSSLURC: "closed"') == '+QSSLURC: "closed",0'
    assert ",4,1,0,0," in at.ask("AT+QSSLSTATE=1,0")[0]
    assert at.ask("AT+QSSLSEND=0,3") == ["ERROR"]
    assert at.ask("AT+QSSLCLOSE=0") == ["OK"]


def test_transparent(port: Open, serve: Serve, authority: Authority) -> None:
    """M-SSL: mode 2 gives CONNECT, or ERROR."""
    at = start(port)
    number = serve(authority.issue("127.0.0.1"))
    at.send(f'AT+QSSLOPEN=1,1,0,"127.0.0.1",{number},2\r'.encode())
    assert at.exactly(11) == b"\r\nCONNECT\r\n"
    at.send(b"hello")
    assert at.exactly(5) == b"hello"
    at.send(b"GET")
    assert at.until(b"NO CARRIER\r\n") == b"HTTP/1.1 204 No Content\r\n\r\n\r\nNO CARRIER\r\n"
    configure(at, seclevel="1", cacert='"no.pem"')
    at.ask("AT+QSSLCLOSE=0")
    assert at.ask(f'AT+QSSLOPEN=1,1,0,"127.0.0.1",{number},2') == ["ERROR"]
