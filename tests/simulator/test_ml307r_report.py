"""reports/ml307r-qiniu-upload.txt row by row on the firmware profile `report`; the same on `manual`."""

import socket

import pytest

from .conftest import Open
from .plain_at import Peer, Port, receive

ESCAPED = "a\\r\\nb"


def ready(port: Open, peer: Peer, firmware: str, *settings: str, cmee: int = 1) -> tuple[Port, socket.socket]:
    """A chunked request that may take content."""
    at = port("ml307r", arguments=("--firmware", firmware), cmee=cmee)
    at.ask(f'AT+MHTTPCREATE="http://127.0.0.1:{peer.port}"')
    for setting in ('"chunked",0,1', *settings):
        assert at.ask(f"AT+MHTTPCFG={setting}") == ["OK"]
    path = "2F" if '"encoding",0,1' in settings else '"/"'
    assert at.ask(f"AT+MHTTPREQUEST=0,2,0,{path}") == ["OK"]
    far = peer.accept()
    assert at.urc('+MHTTPURC: "ind"')
    data = b""
    while not data.endswith(b"\r\n\r\n"):
        data += receive(far, 1)
    return at, far


def chunk(far: socket.socket, data: bytes) -> None:
    wire = f"{len(data):x}\r\n".encode() + data + b"\r\n"
    assert receive(far, len(wire)) == wire


def test_profiles_by_name(port: Open) -> None:
    """Issue 3, 6 and 8: short names and full strings; CMEE is 1 on `report`."""
    assert port("ml307r", arguments=("--firmware", "manual")).ask("AT+CGMR") == ["ML307R-DC-MBRH0S01", "OK"]
    at = port("ml307r", arguments=("--firmware", "report"), echo=True)
    assert at.ask("ATE0") == ["ATE0\r", "OK"]
    assert at.ask("AT+CMEE?") == ["+CMEE: 1", "OK"]


def test_row_1(port: Open, peer: Peer) -> None:
    """Raw bytes with a CR typed in the command: the line ends there; a plain ERROR; the rest is no content."""
    at, far = ready(port, peer, "report")
    for typed in (b'"--boundary\r\n\r\nrest"\r', b"--boundary\r\nrest\r"):
        at.send(b"AT+MHTTPCONTENT=0,1,20," + typed)
        assert at.until(b"ERROR\r\n") == b"\r\nERROR\r\n"
        assert at.raw("AT") == b"\r\nOK\r\n"
    at.send(b"AT+MHTTPCONTENT=0,1,5\r")
    assert at.until(b"\r\n+CME ERROR: 50\r\n") == b"\r\n+CME ERROR: 50\r\n"
    far.setblocking(False)
    with pytest.raises(BlockingIOError):
        far.recv(1)


def test_row_1_by_the_manual(port: Open, peer: Peer) -> None:
    """ml307r.md 6: the same bytes at the prompt arrive."""
    at, far = ready(port, peer, "manual")
    at.send(b"AT+MHTTPCONTENT=0,1,20,--boundary\r")
    assert at.until(b"\r\n+CME ERROR: 50\r\n") == b"\r\n+CME ERROR: 50\r\n"
    at.send(b"AT+MHTTPCONTENT=0,1,10\r")
    assert at.exactly(3) == b"\r\n>"
    at.send(b"a\r\nb\r\n\r\n\x00\xff")
    assert at.exactly(6) == b"\r\nOK\r\n"
    chunk(far, b"a\r\nb\r\n\r\n\x00\xff")


@pytest.mark.parametrize(("firmware", "arrives"), [("report", b"a\\r\\nb"), ("manual", b"a\r\nb")])
def test_row_2(port: Open, peer: Peer, firmware: str, arrives: bytes) -> None:
    """Encoding 2 with escapes: OK, and the server gets backslash, r, backslash, n."""
    at, far = ready(port, peer, firmware, '"encoding",0,2')
    assert at.ask(f'AT+MHTTPCONTENT=0,1,{len(ESCAPED)},"{ESCAPED}"') == ["OK"]
    chunk(far, arrives)


def test_row_3(port: Open, peer: Peer) -> None:
    """Encoding 1 with hexadecimal: 650 with the number of bytes, 50 with the typed length."""
    at, _ = ready(port, peer, "report", '"encoding",0,1')
    assert at.ask('AT+MHTTPCONTENT=0,1,3,"0D0A2D"') == ["+CME ERROR: 650"]
    assert at.ask('AT+MHTTPCONTENT=0,1,6,"0D0A2D"') == ["+CME ERROR: 50"]


def test_row_3_by_the_manual(port: Open, peer: Peer) -> None:
    """ml307r.md 4.2: the number of bytes is right, the typed length is not."""
    at, far = ready(port, peer, "manual", '"encoding",0,1')
    assert at.ask('AT+MHTTPCONTENT=0,1,6,"0D0A2D"') == ["+CME ERROR: 50"]
    assert at.ask('AT+MHTTPCONTENT=0,1,3,"0D0A2D"') == ["OK"]
    chunk(far, b"\r\n-")


@pytest.mark.parametrize(("firmware", "result"), [("report", "+CME ERROR: 65"), ("manual", "OK")])
def test_row_4(port: Open, socket_enabled: None, firmware: str, result: str) -> None:
    """Any content without chunked: 65, a code no list knows."""
    at = port("ml307r", arguments=("--firmware", firmware))
    at.ask('AT+MHTTPCREATE="http://127.0.0.1"')
    assert at.ask('AT+MHTTPCONTENT=0,1,2,"ab"') == [result]
    at.send(b"AT+MHTTPCONTENT=0,1,2\r")
    if result == "OK":
        assert at.exactly(3) == b"\r\n>"
        at.send(b"ab")
    assert at.until(b"\r\n" + result.encode() + b"\r\n").startswith(b"\r\n")
    assert at.ask("AT+MHTTPCONTENT=0,2") == [result]


def test_row_5(port: Open, peer: Peer) -> None:
    """After "ind", 2793 bytes in one content: no OK, then "err" 5; 2048 are taken."""
    at, far = ready(port, peer, "report")
    assert at.ask(f'AT+MHTTPCONTENT=0,1,2048,"{"x" * 2048}"') == ["OK"]
    chunk(far, b"x" * 2048)
    at.send(f'AT+MHTTPCONTENT=0,1,2793,"{"x" * 2793}"\r'.encode())
    error = b'\r\n+MHTTPURC: "err",0,5\r\n'
    assert at.until(error) == error
    assert at.raw("AT") == b"\r\nOK\r\n"
    assert far.recv(1) == b""


def test_row_5_by_the_manual(port: Open, peer: Peer) -> None:
    """ml307r.md 4.2: up to 4096 in one command."""
    at, far = ready(port, peer, "manual")
    data = bytes(range(256)) * 16
    at.send(b"AT+MHTTPCONTENT=0,1,4096\r")
    at.exactly(3)
    at.send(data)
    assert at.exactly(6) == b"\r\nOK\r\n"
    chunk(far, data)


def test_row_6(port: Open, peer: Peer) -> None:
    """Every instance is a request of its own."""
    at, far = ready(port, peer, "report")
    at.ask("AT+MHTTPDEL=0")
    assert far.recv(1) == b""
    at.ask(f'AT+MHTTPCREATE="http://127.0.0.1:{peer.port}"')
    assert at.ask('AT+MHTTPCFG="chunked",0') == ['+MHTTPCFG: "chunked",0,0', "OK"]
    at.ask('AT+MHTTPREQUEST=0,2,0,"/"')
    assert receive(peer.accept(), 15) == b"POST / HTTP/1.1"


def test_prompt_works_by_switch(port: Open, peer: Peer) -> None:
    """Issue 3, 6: the report did not try it; every effect of a profile is a switch."""
    at = port("ml307r", "mhttp_prompt=works", "nonchunked_content_error=none", arguments=("--firmware", "report"))
    at.ask(f'AT+MHTTPCREATE="http://127.0.0.1:{peer.port}"')
    at.send(b"AT+MHTTPCONTENT=0,0,4\r")
    assert at.exactly(3) == b"\r\n>"
    at.send(b"\r\n\x00\xff")
    assert at.exactly(6) == b"\r\nOK\r\n"


def test_the_solution(port: Open, peer: Peer) -> None:
    """The report's own: MIPCLOSE of what is not open, MIPOPEN, MIPSEND with raw CR LF."""
    at = port("ml307r", arguments=("--firmware", "report"))
    assert at.ask("AT+MIPCLOSE=3") == ["+CME ERROR: 551"]
    assert at.ask(f'AT+MIPOPEN=3,"TCP","127.0.0.1",{peer.port}') == ["OK"]
    assert at.urc("+MIPOPEN:") == "+MIPOPEN: 3,0"
    far = peer.accept()
    data = b"POST / HTTP/1.1\r\n\r\n".ljust(1024, b"\r")
    at.send(b"AT+MIPSEND=3,1024\r")
    assert at.exactly(3) == b"\r\n>"
    at.send(data)
    assert at.until(b"\r\nOK\r\n")
    assert receive(far, 1024) == data


def test_early_data(port: Open, peer: Peer) -> None:
    """ml307r.md 6, row 1: payload sent before the prompt is kept, or lost by switch."""
    for switch, expected in (("early_data=accept", b"early"), ("early_data=drop", b"later")):
        at = port("ml307r", switch)
        at.ask(f'AT+MHTTPCREATE="http://127.0.0.1:{peer.port}"')
        at.send(b"AT+MHTTPCONTENT=0,0,5\rearly")
        at.exactly(3)
        if switch.endswith("drop"):
            at.send(b"later")
        assert at.exactly(6) == b"\r\nOK\r\n"
        assert at.ask("AT+MHTTPCONTENT=0") == [f"+MHTTPCONTENT: 0,5,{expected.decode()}", "OK"]
