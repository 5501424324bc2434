"""TCP sockets of the BG96: bg96.md 4 (M-TCP)."""

import socket

import pytest

from .conftest import Open
from .plain_at import Peer, Port, free_port, receive, reset

EVERY_BYTE = bytes(range(256))


@pytest.fixture
def at(port: Open) -> Port:
    """A BG96 with a context, URCs on this port."""
    client = port("bg96")
    client.ask('AT+QURCCFG="urcport","uart1";+QICSGP=1,1,"iot";+QIACT=1')
    return client


def connect(at: Port, peer: Peer, number: int = 0, mode: int = 0) -> socket.socket:
    assert at.ask(f'AT+QIOPEN=1,{number},"TCP","127.0.0.1",{peer.port},0,{mode}') == ["OK"]
    assert at.urc("+QIOPEN:") == f"+QIOPEN: {number},0"
    return peer.accept()


def send(at: Port, data: bytes, number: int = 0) -> bytes:
    at.send(f"AT+QISEND={number},{len(data)}\r".encode())
    assert at.exactly(4) == b"\r\n> "
    at.send(data)
    return at.until(b"\r\n")  # the first CR LF of the result


def test_every_byte_both_ways(at: Port, peer: Peer) -> None:
    """M-TCP 2.1: a counted payload is never looked into."""
    far = connect(at, peer)
    data = EVERY_BYTE * 5 + b"\r\nOK\r\n\x1a\x1bAT\r+++"
    at.send(f"AT+QISEND=0,{len(data)}\r".encode())
    assert at.exactly(4) == b"\r\n> "
    at.send(data)
    assert at.exactly(11) == b"\r\nSEND OK\r\n"
    assert receive(far, len(data)) == data
    far.sendall(EVERY_BYTE)
    assert at.urc("+QIURC:") == '+QIURC: "recv",0'
    head, tail = b"\r\n+QIRD: 256\r\n", b"\r\nOK\r\n"
    at.send(b"AT+QIRD=0,1500\r")
    assert at.exactly(len(head) + 256 + len(tail)) == head + EVERY_BYTE + tail
    assert at.raw("AT+QIRD=0,1500") == b"\r\n+QIRD: 0\r\n\r\nOK\r\n"
    assert at.ask("AT+QIRD=0,0") == ["+QIRD: 256,256,0", "OK"]


def test_limits(at: Port, peer: Peer) -> None:
    """M-TCP: 1460 out, 1500 in, ids 0 to 11."""
    connect(at, peer)
    for command in ("AT+QISEND=0,1461", "AT+QIRD=0,1501", "AT+QISEND=12,5", "AT+QIRD=1,10", "AT+QISEND=1,5"):
        assert at.ask(command) == ["ERROR"], command
    for refused in (
        'AT+QIOPEN=1,12,"TCP","127.0.0.1",80,0,0',
        'AT+QIOPEN=1,1,"TCP","127.0.0.1",80,0,2',
        'AT+QIOPEN=1,1,"SCTP","127.0.0.1",80,0,0',
        'AT+QIOPEN=1,1,"TCP","127.0.0.1",65536,0,0',
        'AT+QIOPEN=1,1,"TCP","",80,0,0',
    ):
        assert at.ask(refused) == ["ERROR"], refused


def test_twelve_sockets(at: Port, peer: Peer) -> None:
    """M-TCP: twelve ids, each with its own connection."""
    far = [connect(at, peer, number) for number in range(12)]
    for number, connection in enumerate(far):
        send(at, b"%02d" % number, number)
        at.until(b"SEND OK\r\n")
        assert receive(connection, 2) == b"%02d" % number


def test_acknowledged_bytes(at: Port, peer: Peer) -> None:
    """M-TCP: QISEND=id,0 asks and sends nothing."""
    far = connect(at, peer)
    assert at.ask("AT+QISEND=0,0") == ["+QISEND: 0,0,0", "OK"]
    send(at, b"x" * 100)
    at.until(b"SEND OK\r\n")
    assert receive(far, 100) == b"x" * 100
    while at.ask("AT+QISEND=0,0") != ["+QISEND: 100,100,0", "OK"]:
        pass


def test_text_input(at: Port, peer: Peer) -> None:
    """M-TCP: without a length Ctrl-Z sends and ESC cancels."""
    far = connect(at, peer)
    at.send(b"AT+QISEND=0\r")
    assert at.exactly(4) == b"\r\n> "
    at.send(b"first\r\nline\x1a")
    assert at.exactly(11) == b"\r\nSEND OK\r\n"
    assert receive(far, 11) == b"first\r\nline"
    at.send(b"AT+QISEND=0\r")
    assert at.exactly(4) == b"\r\n> "
    at.send(b"never\x1b")
    assert at.exactly(6) == b"\r\nOK\r\n"
    at.send(b"AT+QISEND=0\r")
    assert at.exactly(4) == b"\r\n> "
    at.send(b"z" * 1461 + b"\x1a")
    assert at.exactly(9) == b"\r\nERROR\r\n"
    assert at.ask('AT+QISENDEX=0,"0d0aFF"') == ["SEND OK"]
    assert receive(far, 3) == b"\r\n\xff"
    assert at.ask('AT+QISENDEX=0,"0d0"') == ["ERROR"]


def test_payload_echo_is_off_and_can_be_asked_for(at: Port, peer: Peer) -> None:
    """M-TCP: QISDE."""
    connect(at, peer)
    assert at.ask("AT+QISDE?") == ["+QISDE: 0", "OK"]
    at.ask("AT+QISDE=1")
    at.send(b"AT+QISEND=0,4\r")
    assert at.exactly(4) == b"\r\n> "
    at.send(b"abcd")
    assert at.exactly(15) == b"abcd\r\nSEND OK\r\n"


def test_buffer_full(port: Open, socket_enabled: None) -> None:
    """M-TCP: SEND FAIL while the peer reads nothing; the socket stays usable."""
    at = port("bg96", "send_buffer_bytes=4000", "urc_port=uart1")
    at.ask("AT+QIACT=1")
    server = Peer(receive_buffer=2048)
    try:
        far = connect(at, server)
        sent = 0
        while True:
            send(at, b"q" * 1460)
            if at.until(b"\r\n") == b"SEND FAIL\r\n":
                break
            sent += 1460
            assert sent < 10_000_000
        assert at.ask("AT+QISEND=0,0")[0].startswith(f"+QISEND: {sent},")
        assert receive(far, sent) == b"q" * sent
        while True:
            send(at, b"r" * 1460)
            if at.until(b"\r\n") == b"SEND OK\r\n":
                break
        assert receive(far, 1460) == b"r" * 1460
    finally:
        server.close()


def test_recv_is_not_repeated_until_drained(at: Port, peer: Peer) -> None:
    """M-TCP 2.2: one URC, and another only after the buffer was read empty."""
    far = connect(at, peer)
    far.sendall(b"one")
    assert at.urc("+QIURC:") == '+QIURC: "recv",0'
    far.sendall(b"two")
    while at.ask("AT+QIRD=0,0") != ["+QIRD: 6,0,6", "OK"]:
        pass
    at.send(b"AT+QIRD=0,2\r")
    assert at.exactly(20) == b"\r\n+QIRD: 2\r\non\r\nOK\r\n"
    far.sendall(b"!")
    while at.ask("AT+QIRD=0,0") != ["+QIRD: 7,2,5", "OK"]:
        pass  # had the URC come, it would stand in front of one of these answers
    assert at.raw("AT+QIRD=0").endswith(b"etwo!\r\nOK\r\n")
    far.sendall(b"again")
    assert at.urc("+QIURC:") == '+QIURC: "recv",0'


def test_push_mode(at: Port, peer: Peer) -> None:
    """M-TCP 2.2: mode 1 brings the data with the URC; QIRD has nothing to read."""
    far = connect(at, peer, mode=1)
    far.sendall(b"a\r\nb")
    assert at.exactly(26) == b'\r\n+QIURC: "recv",0,4\r\na\r\nb'
    assert at.exactly(2) == b"\r\n"
    assert at.ask("AT+QIRD=0,10") == ["ERROR"]


def test_peer_closes(at: Port, peer: Peer) -> None:
    """M-TCP: closed, state 4 and the id taken until QICLOSE; what came before can still be read."""
    far = connect(at, peer)
    far.sendall(b"bye")
    far.close()
    assert at.urc("+QIURC:") == '+QIURC: "recv",0'
    assert at.urc("+QIURC:") == '+QIURC: "closed",0'
    state = at.ask("AT+QISTATE=1,0")[0]
    assert state.startswith(f'+QISTATE: 0,"TCP","127.0.0.1",{peer.port},')
    assert state.endswith(',4,1,0,0,"uart1"')
    assert at.raw("AT+QIRD=0,1500") == b"\r\n+QIRD: 3\r\nbye\r\nOK\r\n"
    assert at.ask("AT+QISEND=0,3") == ["ERROR"]
    assert at.ask(f'AT+QIOPEN=1,0,"TCP","127.0.0.1",{peer.port},0,0') == ["OK"]
    assert at.urc("+QIOPEN:") == "+QIOPEN: 0,563"
    assert at.ask("AT+QIGETERROR") == ["+QIGETERROR: 563,socket identity has been used", "OK"]
    assert at.ask("AT+QICLOSE=0") == ["OK"]
    connect(at, peer)


def test_peer_resets(at: Port, peer: Peer) -> None:
    """M-TCP: closed as well."""
    far = connect(at, peer)
    reset(far)
    assert at.urc("+QIURC:") == '+QIURC: "closed",0'


def test_close(at: Port, peer: Peer) -> None:
    """M-TCP: OK after what was sent is out; closing a free id is no error."""
    far = connect(at, peer)
    send(at, b"last")
    at.until(b"SEND OK\r\n")
    assert at.ask("AT+QICLOSE=0,5") == ["OK"]
    assert receive(far, 4) == b"last"
    assert far.recv(1) == b""
    assert at.ask("AT+QISTATE") == ["OK"]
    assert at.ask("AT+QICLOSE=0") == ["OK"]
    assert at.ask("AT+QICLOSE=12") == ["ERROR"]


def test_failures_to_open(at: Port, peer: Peer) -> None:
    """M-TCP error table: 566 refused, 565 name, 561 no context; the id stays taken until QICLOSE."""
    assert at.ask(f'AT+QIOPEN=1,0,"TCP","127.0.0.1",{free_port()},0,0') == ["OK"]
    assert at.urc("+QIOPEN:") == "+QIOPEN: 0,566"
    assert at.ask(f'AT+QIOPEN=1,0,"TCP","127.0.0.1",{peer.port},0,0') == ["OK"]
    assert at.urc("+QIOPEN:") == "+QIOPEN: 0,563"
    assert at.ask("AT+QICLOSE=0") == ["OK"]
    assert at.ask('AT+QIOPEN=1,1,"TCP","no such name",80,0,0') == ["OK"]
    assert at.urc("+QIOPEN:") == "+QIOPEN: 1,565"
    assert at.ask(f'AT+QIOPEN=2,2,"TCP","127.0.0.1",{peer.port},0,0') == ["OK"]
    assert at.urc("+QIOPEN:") == "+QIOPEN: 2,561"


def test_state_forms(at: Port, peer: Peer) -> None:
    """M-TCP: QISTATE, ?, =0,context and =1,id."""
    connect(at, peer, 3, mode=1)
    connect(at, peer, 5)
    rows = at.ask("AT+QISTATE")
    assert [row.split(",")[0] for row in rows] == ["+QISTATE: 3", "+QISTATE: 5", "OK"]
    assert rows[0].endswith(',2,1,0,1,"uart1"')
    assert at.ask("AT+QISTATE?") == rows
    assert at.ask("AT+QISTATE=0,1") == rows
    assert at.ask("AT+QISTATE=0,2") == ["OK"]
    assert at.ask("AT+QISTATE=1,5") == rows[1:]
    assert at.ask("AT+QISTATE=1,4") == ["OK"]


def test_context_down_takes_its_sockets(at: Port, peer: Peer) -> None:
    """M-TCP: QIDEACT closes them."""
    far = connect(at, peer)
    assert at.ask("AT+QIDEACT=1") == ["OK"]
    assert far.recv(1) == b""
    assert at.ask("AT+QISTATE") == ["OK"]


def test_names(at: Port) -> None:
    """M-TCP: count and ttl, then a line for each address; 565 otherwise."""
    assert at.ask('AT+QIDNSGIP=1,"localhost"') == ["OK"]
    head = at.urc("+QIURC:")
    assert head.startswith('+QIURC: "dnsgip",0,')
    addresses = [at.urc("+QIURC:") for _ in range(int(head.split(",")[2]))]
    assert '+QIURC: "dnsgip","127.0.0.1"' in addresses
    assert at.ask('AT+QIDNSGIP=1,"no such name"') == ["OK"]
    assert at.urc("+QIURC:") == '+QIURC: "dnsgip",565'


def test_urcs_need_their_port(port: Open, peer: Peer) -> None:
    """M-HW 3.14: from the factory they go to USB; the late result of QIOPEN comes to who asked."""
    at = port("bg96")
    assert at.ask('AT+QURCCFG="urcport"') == ['+QURCCFG: "urcport","usbat"', "OK"]
    at.ask("AT+QIACT=1")
    far = connect(at, peer)
    far.sendall(b"unseen")
    while at.ask("AT+QIRD=0,0") != ["+QIRD: 6,0,6", "OK"]:
        pass
    assert at.ask('AT+QURCCFG="urcport","uart1"') == ["OK"]
    assert at.raw("AT+QIRD=0").endswith(b"unseen\r\nOK\r\n")
    far.sendall(b"seen")
    assert at.urc("+QIURC:") == '+QIURC: "recv",0'
    assert at.ask('AT+QURCCFG="urcport","uart9"') == ["ERROR"]


def test_late_results_by_the_urc_port(port: Open, peer: Peer) -> None:
    """Switch result_urcs."""
    at = port("bg96", "result_urcs=urcport")
    at.ask("AT+QIACT=1")
    assert at.ask(f'AT+QIOPEN=1,0,"TCP","127.0.0.1",{peer.port},0,0') == ["OK"]
    peer.accept()
    while not at.ask("AT+QISTATE=1,0")[0].endswith(',2,1,0,0,"uart1"'):
        pass  # +QIOPEN would stand in front of one of these answers


def test_urcs_wait_for_the_payload(at: Port, peer: Peer) -> None:
    """bg96.md 10.4: nothing is put between prompt and result."""
    far, other = connect(at, peer), connect(at, peer, 1)
    at.send(b"AT+QISEND=0,6\r")
    assert at.exactly(4) == b"\r\n> "
    other.sendall(b"data")
    at.send(b"abc")
    at.send(b"def")
    assert receive(far, 6) == b"abcdef"
    assert at.until(b'recv",1\r\n') == b'\r\nSEND OK\r\n\r\n+QIURC: "recv",1\r\n'
