"""Transparent mode: bg96.md 4 (M-TCP 2.2), ml307r.md 5.1 (TCP 3.3, 3.7 and 3.19)."""

import socket

import pytest

from .conftest import Open
from .plain_at import Peer, Port, free_port, receive

GUARD = "guard_s=0.05"
EVERY_BYTE = bytes(range(256))


@pytest.fixture
def bg96(port: Open) -> Port:
    """A BG96 with packet data."""
    at = port("bg96", GUARD, "urc_port=uart1")
    at.ask("AT+QIACT=1")
    return at


@pytest.fixture
def ml307r(port: Open) -> Port:
    return port("ml307r", GUARD)


def connect(at: Port, peer: Peer) -> socket.socket:
    at.send(f'AT+QIOPEN=1,0,"TCP","127.0.0.1",{peer.port},0,2\r'.encode())
    assert at.exactly(11) == b"\r\nCONNECT\r\n"
    return peer.accept()


def both_ways(at: Port, far: socket.socket) -> None:
    data = EVERY_BYTE * 40 + b"AT\r\n"
    at.send(data)
    assert receive(far, len(data)) == data
    far.sendall(data)
    assert at.exactly(len(data)) == data


def leave(at: Port) -> None:
    """Escape; the silence after it is the wait for OK."""
    at.send(b"+++")
    assert at.exactly(6) == b"\r\nOK\r\n"


def quiet(at: Port, far: socket.socket) -> None:
    """Let more than a guard time pass: a lone byte waits 200 ms for company before it is sent."""
    at.send(b"q")
    assert receive(far, 1) == b"q"


def test_bg96_open_in_mode_2(bg96: Port, peer: Peer) -> None:
    """bg96.md 4: CONNECT, then bytes as they are; the other commands wait outside."""
    both_ways(bg96, connect(bg96, peer))


def test_bg96_error_instead_of_connect(bg96: Port, socket_enabled: None) -> None:
    """bg96.md 4: mode 2 answers CONNECT or ERROR."""
    assert bg96.ask(f'AT+QIOPEN=1,0,"TCP","127.0.0.1",{free_port()},0,2') == ["ERROR"]
    assert bg96.ask("AT+QIGETERROR")[0].startswith("+QIGETERROR: 566,")
    assert bg96.ask("AT+QISTATE=1,0") == ["OK"]


def test_bg96_escape_and_back(bg96: Port, peer: Peer) -> None:
    """bg96.md 4: +++ between silences gives OK and buffer mode; ATO and QISWTMD give CONNECT."""
    far = connect(bg96, peer)
    quiet(bg96, far)
    leave(bg96)
    assert bg96.ask("AT+QISTATE=1,0")[0].split(",")[5:9] == ["2", "1", "0", "0"]
    far.sendall(b"buffered")
    assert bg96.urc("+QIURC:") == '+QIURC: "recv",0'
    bg96.send(b"ATO\r")
    assert bg96.exactly(19) == b"\r\nCONNECT\r\nbuffered"
    quiet(bg96, far)
    leave(bg96)
    bg96.send(b"AT+QISWTMD=0,2\r")
    assert bg96.exactly(11) == b"\r\nCONNECT\r\n"
    both_ways(bg96, far)


def test_plus_signs_that_are_data(bg96: Port, peer: Peer) -> None:
    """bg96.md 4: exactly three, alone, between silences."""
    far = connect(bg96, peer)
    for data in (b"a+++", b"+++a", b"++++", b"+++AT\r"):
        bg96.send(data)
        assert receive(far, len(data)) == data


def test_bg96_peer_closes(bg96: Port, peer: Peer) -> None:
    """bg96.md 4: NO CARRIER; the id is held until QICLOSE, and ATO finds no link."""
    far = connect(bg96, peer)
    far.sendall(b"last")
    far.close()
    assert bg96.until(b"CARRIER\r\n") == b"last\r\nNO CARRIER\r\n"
    assert bg96.raw("ATO") == b"\r\nNO CARRIER\r\n"
    assert bg96.ask("AT+QISTATE=1,0")[0].split(",")[5] == "4"
    assert bg96.ask("AT+QICLOSE=0") == ["OK"]


def test_bg96_switching_to_push(bg96: Port, peer: Peer) -> None:
    """bg96.md 4: QISWTMD 1; what waited comes as a direct push."""
    bg96.ask(f'AT+QIOPEN=1,0,"TCP","127.0.0.1",{peer.port}')
    bg96.urc("+QIOPEN:")
    far = peer.accept()
    far.sendall(b"waiting")
    bg96.urc("+QIURC:")
    assert bg96.raw("AT+QISWTMD=0,1") == b"\r\nOK\r\n"
    pushed = b'\r\n+QIURC: "recv",0,7\r\nwaiting\r\n'
    assert bg96.exactly(len(pushed)) == pushed
    assert bg96.ask("AT+QISWTMD=1,2") == ["ERROR"]


def test_ml307r_open_in_mode_1(ml307r: Port, peer: Peer) -> None:
    """TCP 3.3: OK, then CONNECT; +++ gives OK; a switch to mode 1 is OK and CONNECT."""
    ml307r.send(f'AT+MIPOPEN=0,"TCP","127.0.0.1",{peer.port},,1\r'.encode())
    assert ml307r.exactly(17) == b"\r\nOK\r\n\r\nCONNECT\r\n"
    far = peer.accept()
    both_ways(ml307r, far)
    quiet(ml307r, far)
    leave(ml307r)
    assert ml307r.ask("AT+MIPMODE=0") == ["+MIPMODE: 0,0", "OK"]
    ml307r.send(b"AT+MIPMODE=0,1\r")
    assert ml307r.exactly(17) == b"\r\nOK\r\n\r\nCONNECT\r\n"
    both_ways(ml307r, far)


def test_ml307r_failure(ml307r: Port, socket_enabled: None) -> None:
    """TCP 3.3: OK, then +MIPOPEN with the code."""
    assert ml307r.ask(f'AT+MIPOPEN=0,"TCP","127.0.0.1",{free_port()},,1') == ["OK"]
    assert ml307r.urc("+MIPOPEN:") == "+MIPOPEN: 0,557"
    assert ml307r.ask("AT") == ["OK"]


@pytest.mark.parametrize(
    ("switch", "said"), [("disconn", b'\r\n+MIPURC: "disconn",0,1\r\n'), ("no_carrier", b"\r\nNO CARRIER\r\n")]
)
def test_ml307r_peer_closes(port: Open, peer: Peer, switch: str, said: bytes) -> None:
    """No source tells what the peer's close looks like here: the usual line, or by switch NO CARRIER."""
    at = port("ml307r", GUARD, f"transparent_close={switch}")
    at.send(f'AT+MIPOPEN=0,"TCP","127.0.0.1",{peer.port},,1\r'.encode())
    at.until(b"CONNECT\r\n")
    peer.accept().close()
    assert at.exactly(len(said)) == said
    assert at.raw("AT") == b"\r\nOK\r\n"


def test_ml307r_other_modes(ml307r: Port, peer: Peer) -> None:
    """TCP 3.7: cached to normal gives what the cache holds in the form of MIPRD; 3 is for UDP; 553 before CONNECTED."""
    ml307r.ask(f'AT+MIPOPEN=0,"TCP","127.0.0.1",{peer.port},,2')
    ml307r.urc("+MIPOPEN:")
    far = peer.accept()
    far.sendall(b"cached")
    assert ml307r.urc("+MIPURC:") == '+MIPURC: "rtcp",0,6,6'
    assert ml307r.ask("AT+MIPMODE=0,3") == ["+CME ERROR: 50"]
    assert ml307r.ask("AT+MIPMODE=0,1,1024,200") == ["+CME ERROR: 50"]
    assert ml307r.raw("AT+MIPMODE=0,0") == b"\r\n+MIPRD: 0,0,6,cached\r\n\r\nOK\r\n"
    assert ml307r.ask("AT+MIPMODE=1") == ["+CME ERROR: 551"]
