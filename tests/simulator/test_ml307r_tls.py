"""TLS of the ML307R: ml307r.md 5.5; SSL is the vendor's SSL manual V5.4.5. Real handshakes with real servers."""

from collections.abc import Callable, Iterator
import contextlib
import hashlib
from pathlib import Path
import socket
import ssl
import threading

import pytest
import trustme

from .conftest import Open
from .plain_at import PATIENCE_S, Peer, Port, receive
from .web import Authority, gunicorn


class TlsPeer:
    """A server that echoes over TLS, in a thread."""

    def __init__(self, identity: bytes, folder: Path, minimum: ssl.TLSVersion | None = None) -> None:
        self._context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        path = folder / "server.pem"
        path.write_bytes(identity)
        self._context.load_cert_chain(path)
        if minimum:
            self._context.minimum_version = minimum
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self._thread = threading.Thread(target=self._serve)
        self._thread.start()

    def close(self) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)  # wakes the thread
        self._thread.join()
        self._listener.close()

    def _serve(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            connection.settimeout(PATIENCE_S)
            with contextlib.suppress(OSError), self._context.wrap_socket(connection, server_side=True) as secure:
                while data := secure.recv(4096):
                    secure.sendall(data)


type Serve = Callable[..., TlsPeer]


@pytest.fixture(scope="module")
def authority() -> Authority:
    return Authority()


@pytest.fixture
def serve(socket_enabled: None, tmp_path: Path) -> Iterator[Serve]:
    """Start servers that are ended after the test."""
    running: list[TlsPeer] = []

    def begin(identity: bytes, minimum: ssl.TLSVersion | None = None) -> TlsPeer:
        running.append(TlsPeer(identity, tmp_path, minimum))
        return running[-1]

    yield begin
    for server in running:
        server.close()


def opened(at: Port, port_number: int, number: int = 0) -> str:
    assert at.ask(f'AT+MIPOPEN={number},"TCP","127.0.0.1",{port_number},,0') == ["OK"]
    return at.urc("+MIPOPEN:")


def write(at: Port, command: str, data: bytes) -> bytes:
    at.send(f"AT+{command},{len(data)}\r".encode())
    assert at.exactly(3) == b"\r\n>"
    at.send(data)
    return at.until(b"\r\nOK\r\n")


def test_socket_without_verification(serve: Serve, port: Open, authority: Authority) -> None:
    """SSL 4.1: auth 0, MIPCFG "ssl", MIPOPEN; nothing is verified; bytes go both ways."""
    server, at = serve(authority.issue("127.0.0.1")), port("ml307r")
    assert at.ask('AT+MSSLCFG="auth",0,0;+MIPCFG="ssl",0,1,0') == ["OK"]
    assert opened(at, server.port) == "+MIPOPEN: 0,0"
    at.send(b"AT+MIPSEND=0,5\r")
    at.exactly(3)
    at.send(b"a\r\n\x00\xff")
    pushed = b'\r\n+MIPURC: "rtcp",0,5,a\r\n\x00\xff\r\n'
    assert at.until(pushed).endswith(pushed)


def test_verification(serve: Serve, port: Open, authority: Authority) -> None:
    """ml307r.md 5.5: 762 without the certificate, 752 with another's, 0 with the right one."""
    server, at = serve(authority.issue("127.0.0.1")), port("ml307r")
    at.ask('AT+MSSLCFG="auth",1,1;+MIPCFG="ssl",0,1,1')
    assert opened(at, server.port) == "+MIPOPEN: 0,762"
    write(at, 'MSSLCERTWR="other.cer",0', Authority().pem)
    write(at, 'MSSLCERTWR="ca.cer",0', authority.pem)
    assert at.ask('AT+MSSLCFG="cert",1,"other.cer"') == ["OK"]
    assert opened(at, server.port) == "+MIPOPEN: 0,752"
    assert at.ask('AT+MSSLCFG="ignoreverify",1,1') == ["OK"]
    assert opened(at, server.port) == "+MIPOPEN: 0,0"
    at.ask("AT+MIPCLOSE=0")
    at.urc("+MIPCLOSE:")
    assert at.ask('AT+MSSLCFG="ignoreverify",1,0;+MSSLCFG="cert",1,"ca.cer"') == ["OK"]
    assert opened(at, server.port) == "+MIPOPEN: 0,0"


def test_ecdsa_only(serve: Serve, port: Open) -> None:
    """ml307r.md 5.5 (ZB): a server with an ECDSA certificate alone ends in 753; 754 by switch; HTTP says err 4."""
    identity = trustme.CA(key_type=trustme.KeyType.ECDSA).issue_cert("127.0.0.1", key_type=trustme.KeyType.ECDSA)
    server = serve(identity.private_key_and_cert_chain_pem.bytes())
    for switches, code in (((), 753), (("tls_no_common=754",), 754)):
        at = port("ml307r", *switches)
        at.ask('AT+MIPCFG="ssl",0,1,0')
        assert opened(at, server.port) == f"+MIPOPEN: 0,{code}"
    at.ask(f'AT+MHTTPCREATE="https://127.0.0.1:{server.port}";+MHTTPCFG="ssl",0,1,0')
    assert at.ask('AT+MHTTPREQUEST=0,1,0,"/"') == ["OK"]
    assert at.urc("+MHTTPURC:") == '+MHTTPURC: "err",0,4'


def test_tls_1_3_only(serve: Serve, port: Open, authority: Authority) -> None:
    """ml307r.md 5.5: there is no TLS 1.3."""
    server = serve(authority.issue("127.0.0.1"), ssl.TLSVersion.TLSv1_3)
    at = port("ml307r")
    at.ask('AT+MIPCFG="ssl",0,1,0')
    assert opened(at, server.port) == "+MIPOPEN: 0,753"


def test_not_tls_at_all(port: Open, peer: Peer) -> None:
    """ml307r.md 5.5: 754 negotiation failed."""
    at = port("ml307r")
    at.ask('AT+MIPCFG="ssl",0,1,0')
    assert at.ask(f'AT+MIPOPEN=0,"TCP","127.0.0.1",{peer.port}') == ["OK"]
    far = peer.accept()
    assert receive(far, 1) == b"\x16"
    far.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n")
    assert at.urc("+MIPOPEN:") == "+MIPOPEN: 0,754"


def test_https_post(port: Open, socket_enabled: None, authority: Authority, tmp_path: Path) -> None:
    """HTTP 4.2: MSSLCERTWR, MSSLCFG, MHTTPCFG "ssl"; verified, and a body arrives whole."""
    at = port("ml307r")
    write(at, 'MSSLCERTWR="ca.cer",0', authority.pem)
    at.ask('AT+MSSLCFG="cert",1,"ca.cer";+MSSLCFG="auth",1,1')
    body = bytes(range(256)) * 10
    with gunicorn(tmp_path, authority.issue("127.0.0.1")) as web:
        at.ask(f'AT+MHTTPCREATE="{web.url}";+MHTTPCFG="ssl",0,1,1')
        assert at.ask('AT+MHTTPCFG="ssl",0') == ['+MHTTPCFG: "ssl",0,1,1', "OK"]
        at.send(b"AT+MHTTPCONTENT=0,0,2560\r")
        at.exactly(3)
        at.send(body)
        assert at.exactly(6) == b"\r\nOK\r\n"
        assert at.ask('AT+MHTTPREQUEST=0,2,0,"/post"') == ["OK"]
        assert at.urc('+MHTTPURC: "content"') == '+MHTTPURC: "content",0,8,8,8,got 2560'
        (seen,) = web.seen()
    assert seen["sha256"] == hashlib.sha256(body).hexdigest()


def test_settings_of_a_context(port: Open) -> None:
    """SSL 3.1: defaults and limits; a query of one context or of all."""
    at = port("ml307r")
    for key, value in (
        ("auth", "0"), ("cert", '"","",""'), ("negotime", "300"), ("version", "255"), ("ciphersuite", "0x00"),
        ("session", "1"), ("ignorestamp", "1"), ("ignoreverify", "0"), ("encoding", "2"),
    ):  # fmt: skip
        assert at.ask(f'AT+MSSLCFG="{key}",5') == [f'+MSSLCFG: "{key}",5,{value}', "OK"]
    assert len(at.ask('AT+MSSLCFG="auth"')) == 7
    for setting in ('"auth",0,3', '"auth",6,0', '"negotime",0,9', '"version",0,4', '"encoding",0,1', '"psk",0,"a"'):
        assert at.ask(f"AT+MSSLCFG={setting}") == ["+CME ERROR: 50"], setting
    at.ask('AT+MSSLCFG="ciphersuite",0,C02F')
    assert at.ask('AT+MSSLCFG="ciphersuite",0') == ['+MSSLCFG: "ciphersuite",0,0xC02F', "OK"]


def test_files(port: Open, authority: Authority) -> None:
    """SSL 3.2 to 3.8: written in parts or inline, listed, read, checked, removed; 761, 762, 768."""
    at = port("ml307r")
    pem = authority.pem
    assert at.ask("AT+MSSLLIST=1") == ["OK"]
    write(at, f'MSSLCERTWR="ca.cer",{len(pem) - 100}', pem[:100])
    write(at, 'MSSLCERTWR="ca.cer",0', pem[100:])
    assert at.ask("AT+MSSLLIST=1") == [f'+MSSLLIST: "ca.cer",{len(pem)}', "OK"]
    read = b"\r\n+MSSLCERTRD: " + str(len(pem)).encode() + b"," + pem + b"\r\n\r\nOK\r\n"
    at.send(b'AT+MSSLCERTRD="ca.cer"\r')
    assert at.exactly(len(read)) == read
    digest = hashlib.md5(pem, usedforsecurity=False).hexdigest()
    assert at.ask('AT+MSSLCHECK="ca.cer"') == [f"+MSSLCHECK: {digest}", "OK"]
    typed = pem.decode().replace("\n", "\\r\\n")
    assert at.ask(f'AT+MSSLCERTWR="in.cer",0,{len(typed)},"{typed}"') == ["OK"]
    assert at.ask('AT+MSSLKEYWR="bad.key",0,0,"nonsense"') == ["+CME ERROR: 761"]
    assert at.ask('AT+MSSLRM="ca.cer"') == ["OK"]
    for command in ('AT+MSSLRM="ca.cer"', 'AT+MSSLCERTRD="ca.cer"', 'AT+MSSLCHECK="ca.cer"'):
        assert at.ask(command) == ["+CME ERROR: 762"], command
