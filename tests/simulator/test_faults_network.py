"""Faults of the network, the SIM card and the sockets: issue 3 scope 7."""

import pytest

from .conftest import OpenBench
from .controlled import Bench
from .plain_at import Peer, receive


def send(one: Bench, data: bytes, number: int = 0) -> str:
    """Send over a socket with the model's own command; the final result."""
    command = "QISEND" if one.at.ask("AT+CGMM")[0] == "BG96" else "MIPSEND"
    one.at.send(f"AT+{command}={number},{len(data)}\r".encode())
    one.at.until(b">")
    one.at.send(data)
    return _final(one)


def _final(one: Bench) -> str:
    for _ in range(10):
        line = one.at.until(b"\r\n").decode().strip()
        if line in {"OK", "SEND OK", "SEND FAIL", "ERROR"} or line.startswith("+CME"):
            return line
    raise AssertionError("no result")


def test_send_fail(bench: OpenBench, peer: Peer) -> None:
    """bg96.md 4: SEND FAIL is a full buffer; the same send works later."""
    one = bench("bg96")
    one.open_socket(peer.port)
    far = peer.accept()
    one.control.fault("send_fail", times=2)
    assert [send(one, b"x") for _ in range(3)] == ["SEND FAIL", "SEND FAIL", "SEND OK"]
    assert receive(far, 1) == b"x"


def test_send_fail_on_an_ml307r(bench: OpenBench, peer: Peer) -> None:
    """ml307r.md 5.4: 560 is a failed write."""
    one = bench("ml307r")
    one.open_socket(peer.port)
    one.control.fault("send_fail")
    assert [send(one, b"x"), send(one, b"x")] == ["+CME ERROR: 560", "OK"]


@pytest.mark.parametrize("how", ["close", "reset"])
def test_connection_ends_in_the_middle(bench: OpenBench, peer: Peer, how: str) -> None:
    """After n bytes the peer has n bytes, and an end; the modem tells of it (field.md E2)."""
    one = bench("ml307r")
    one.control.fault("close_after", bytes=10, how=how)
    one.open_socket(peer.port)
    far = peer.accept()
    assert send(one, b"0123456789abcdef") == "OK"
    assert one.at.urc('+MIPURC: "disconn"') == f'+MIPURC: "disconn",0,{1 if how == "close" else 2}'
    if how == "close":
        assert receive(far, 10) == b"0123456789"
        assert far.recv(10) == b""
    else:
        with pytest.raises(ConnectionResetError):
            receive(far, 100)


def test_answer_ends_in_the_middle(bench: OpenBench, peer: Peer) -> None:
    """The same for what comes in."""
    one = bench("bg96", "--set", "urc_port=uart1", "--fault", "close_after=direction:in,bytes:6")
    one.open_socket(peer.port)
    peer.accept().sendall(b"0123456789")
    one.at.urc('+QIURC: "closed",0')
    assert one.at.ask("AT+QIRD=0,100") == ["+QIRD: 6", "012345", "OK"]


@pytest.mark.parametrize(("how", "reason"), [("close", 1), ("reset", 2)])
def test_response_lost(bench: OpenBench, peer: Peer, how: str, reason: int) -> None:
    """The server has the whole body and answers; the answer never arrives (bg96.md 9.1)."""
    one = bench("ml307r")
    one.control.fault("response_lost", how=how)
    one.open_socket(peer.port)
    far = peer.accept()
    assert send(one, b"body") == "OK"
    assert receive(far, 4) == b"body"
    far.sendall(b"HTTP/1.1 200 OK\r\n\r\n")
    assert one.at.urc("+MIPURC:") == f'+MIPURC: "disconn",0,{reason}'


def test_response_lost_in_silence(bench: OpenBench, peer: Peer) -> None:
    """Not even the end of the connection shows; the next connection is well."""
    one = bench("ml307r")
    one.control.fault("response_lost", how="silence")
    one.open_socket(peer.port)
    first = peer.accept()
    first.sendall(b"lost")
    one.open_socket(peer.port, 1)
    peer.accept().sendall(b"seen")
    assert one.at.until(b"seen").endswith(b'\r\n+MIPURC: "rtcp",1,4,seen')
    assert one.at.ask("AT+MIPSTATE=0")[-2].endswith('"CONNECTED"')


def test_context_lost(bench: OpenBench, peer: Peer) -> None:
    """bg96.md 4: pdpdeact, and the sockets are gone; QIACT? is empty."""
    one = bench("bg96", "--set", "urc_port=uart1")
    one.open_socket(peer.port)
    one.control.fault("context_lost")
    assert one.at.urc("+QIURC:") == '+QIURC: "pdpdeact",1'
    assert one.at.ask("AT+QIACT?") == ["OK"]


def test_context_lost_on_an_ml307r(bench: OpenBench, peer: Peer) -> None:
    """ml307r.md 5.3: disconn with reason 3, and +MIPCALL."""
    one = bench("ml307r")
    one.open_socket(peer.port)
    one.control.fault("context_lost", after_in=5)
    assert one.at.ask("AT+CSQ")[-1]
    assert one.control.do(state=True)["contexts"] == []


def test_silently_dead_context(bench: OpenBench, peer: Peer) -> None:
    """bg96.md 9.2 (EG8b): QIACT? still shows the address, nothing passes; QIDEACT and QIACT help."""
    one = bench("bg96", "--set", "connect_timeout_s=0.1", "--set", "urc_port=uart1")
    one.open_socket(peer.port)
    far = peer.accept()
    one.control.fault("context_dead")
    assert one.at.ask("AT+QIACT?")[0].startswith("+QIACT: 1,1,1,")
    assert send(one, b"12345") == "SEND OK"
    assert one.at.ask("AT+QISEND=0,0") == ["+QISEND: 5,0,5", "OK"]
    far.sendall(b"unheard")
    one.at.ask(f'AT+QIOPEN=1,1,"TCP","127.0.0.1",{peer.port},0,0')
    assert one.at.urc("+QIOPEN:") == "+QIOPEN: 1,569"
    assert one.at.ask("AT+QIDEACT=1") == ["OK"]
    one.open_socket(peer.port, 2)
    assert send(one, b"alive", 2) == "SEND OK"
    assert one.control.do(state=True)["faults"] == {}


def test_dead_context_comes_alive(bench: OpenBench, peer: Peer) -> None:
    """Cleared, everything that waited passes."""
    one = bench("ml307r", "--fault", "context_dead=cure:never")
    one.control.do(clear="context_dead")
    one.open_socket(peer.port)
    far = peer.accept()
    one.control.fault("context_dead")
    assert send(one, b"late") == "OK"
    one.control.do(clear=True)
    assert receive(far, 4) == b"late"


def test_registration_lost_and_back(bench: OpenBench) -> None:
    """bg96.md 6.2: URCs, and packet data goes along."""
    one = bench("bg96", "--set", "search_s=0", "--set", "urc_port=uart1")
    one.at.ask("AT+CEREG=1;+QIACT=1")
    one.control.fault("registration_lost")
    assert one.at.urc("+CEREG:") == "+CEREG: 2"
    assert one.at.urc("+QIURC:") == '+QIURC: "pdpdeact",1'
    assert one.at.ask("AT+CFUN=0;+CFUN=1")[-1] == "OK", "a search finds nothing"
    assert one.at.ask("AT+CEREG?")[-2] == "+CEREG: 1,2"
    one.control.do(clear="registration_lost")
    assert one.at.urc("+CEREG: 1") == "+CEREG: 1"


def test_registration_denied_for_a_while(bench: OpenBench) -> None:
    """`as` and `seconds`."""
    one = bench("ml307r", "--set", "search_s=0")
    one.at.ask("AT+CEREG=1")
    one.control.fault("registration_lost", seconds=0.05, **{"as": "denied"})
    assert one.at.urc("+CEREG:") == "+CEREG: 3"
    assert one.at.urc("+CEREG: 1") == "+CEREG: 1"


def test_sim_removed(bench: OpenBench) -> None:
    """bg96.md 6.2: CME 10, no network; back in, it asks for its PIN again."""
    one = bench("bg96", "--sim", "pin", "--set", "search_s=0", "--set", "urc_port=uart1")
    one.at.ask('AT+CPIN="1234"')
    one.control.fault("sim_removed")
    assert one.at.urc("+CPIN: NOT") == "+CPIN: NOT INSERTED"
    assert one.at.ask("AT+CPIN?") == ["+CME ERROR: 10"]
    assert one.at.ask("AT+CEREG?") == ["+CEREG: 0,0", "OK"]
    one.control.do(clear="sim_removed")
    assert one.at.ask("AT+CPIN?") == ["+CPIN: SIM PIN", "OK"]


def test_stuck_id(bench: OpenBench, peer: Peer) -> None:
    """bg96.md 10 (13): 563 on an id that looks free; another id works, and a reboot helps."""
    one = bench("bg96", "--set", "boot_s=0.01", "--set", "search_s=0")
    one.control.fault("id_stuck")
    one.open_socket(peer.port)
    one.at.ask("AT+QICLOSE=0")
    one.at.ask(f'AT+QIOPEN=1,0,"TCP","127.0.0.1",{peer.port},0,0')
    assert one.at.urc("+QIOPEN:") == "+QIOPEN: 0,563"
    one.open_socket(peer.port, 1)
    one.control.do(reboot=True)
    one.at.urc("APP RDY")
    one.at.ask("ATE0")
    one.open_socket(peer.port)


def test_stuck_id_on_an_ml307r(bench: OpenBench, peer: Peer) -> None:
    """ml307r.md 9 (ZB): 552 on the id, 551 when it is closed."""
    one = bench("ml307r", "--fault", "id_stuck=3")
    assert one.at.ask(f'AT+MIPOPEN=3,"TCP","127.0.0.1",{peer.port}') == ["+CME ERROR: 552"]
    assert one.at.ask("AT+MIPCLOSE=3") == ["+CME ERROR: 551"]
    one.open_socket(peer.port, 4)


def test_degraded_stack(bench: OpenBench, peer: Peer) -> None:
    """bg96.md 1.4 (EG8a): after so many TLS opens every open ends with 552, while QIACT? has its address."""
    one = bench("bg96", "--set", "boot_s=0.01", "--set", "search_s=0")
    one.control.fault("stack_degraded", opens=0)
    one.at.ask("AT+QIACT=1")
    one.at.ask(f'AT+QIOPEN=1,0,"TCP","127.0.0.1",{peer.port},0,0')
    assert one.at.urc("+QIOPEN:") == "+QIOPEN: 0,552"
    assert one.at.ask("AT+QIACT?")[0].startswith("+QIACT: 1,1,1,")
    one.control.do(reboot=True)
    one.at.urc("APP RDY")
    one.at.ask("ATE0")
    one.open_socket(peer.port)
