"""TCP sockets of the ML307R: ml307r.md 5 and 6."""

import socket

import pytest

from .conftest import Open
from .plain_at import Peer, Port, free_port, receive, reset

EVERY_BYTE = bytes(range(256))


@pytest.fixture
def at(port: Open) -> Port:
    """An ML307R, dialled by itself."""
    return port("ml307r")


def connect(at: Port, peer: Peer, number: int = 0, tail: str = "") -> socket.socket:
    assert at.ask(f'AT+MIPOPEN={number},"TCP","127.0.0.1",{peer.port}{tail}') == ["OK"]
    assert at.urc("+MIPOPEN:") == f"+MIPOPEN: {number},0"
    return peer.accept()


def test_every_byte_both_ways(at: Port, peer: Peer) -> None:
    """ml307r.md 5.2 and 6 (last row): prompt, raw bytes, +MIPSEND and OK; rtcp by length."""
    far = connect(at, peer, 3)
    data = EVERY_BYTE * 31 + b"\r\nOK\r\n\x1a\x1bAT\r+++\x00"
    at.send(f"AT+MIPSEND=3,{len(data)}\r".encode())
    assert at.exactly(3) == b"\r\n>"
    at.send(data)
    result = f"\r\n+MIPSEND: 3,{len(data)}\r\n\r\nOK\r\n".encode()
    assert at.exactly(len(result)) == result
    assert receive(far, len(data)) == data
    far.sendall(EVERY_BYTE)
    pushed = b'\r\n+MIPURC: "rtcp",3,256,' + EVERY_BYTE + b"\r\n"
    assert at.exactly(len(pushed)) == pushed


def test_result_is_ok_alone_by_switch(port: Open, peer: Peer) -> None:
    """ml307r.md 10.6: the syntax table and the report show OK only."""
    at = port("ml307r", "mipsend_urc=no", "prompt_space=yes")
    connect(at, peer)
    at.send(b"AT+MIPSEND=0,2\r")
    assert at.exactly(4) == b"\r\n> "
    at.send(b"ab")
    assert at.exactly(6) == b"\r\nOK\r\n"


def test_bare_prompt_by_switch(port: Open, peer: Peer) -> None:
    """ml307r.md 6.1: the framing is not documented."""
    at = port("ml307r", "prompt_crlf=no")
    connect(at, peer)
    at.send(b"AT+MIPSEND=0,1\r")
    assert at.exactly(1) == b">"


def test_limits(at: Port, peer: Peer) -> None:
    """ml307r.md 5.1 and 5.2: 1 to 8192 at the prompt, 4096 to read, ids 0 to 5; 50 is a bad parameter."""
    connect(at, peer)
    for command in (
        "AT+MIPSEND=0,8193",
        "AT+MIPSEND=0,0",
        "AT+MIPSEND=6,5",
        "AT+MIPSTATE=6",
        'AT+MIPOPEN=1,"SSL","127.0.0.1",443',
        'AT+MIPOPEN=1,"TCP","127.0.0.1",80,181',
        'AT+MIPOPEN=1,"TCP","127.0.0.1",80,60,4',
        'AT+MIPOPEN=1,0,"127.0.0.1",80,0',
    ):
        assert at.ask(command) == ["+CME ERROR: 50"], command


def test_codes_of_ids(at: Port, peer: Peer) -> None:
    """ml307r.md 5.4: 551 unused, 552 in use."""
    for command in ("AT+MIPCLOSE=2", "AT+MIPSEND=2,5", "AT+MIPRD=2", "AT+MIPSACK=2"):
        assert at.ask(command) == ["+CME ERROR: 551"], command
    connect(at, peer, 2)
    assert at.ask(f'AT+MIPOPEN=2,"TCP","127.0.0.1",{peer.port}') == ["+CME ERROR: 552"]


def test_state_and_close(at: Port, peer: Peer) -> None:
    """ml307r.md 5.1: MIPSTATE; OK, then +MIPCLOSE once what was sent is out."""
    assert at.ask("AT+MIPSTATE=0") == ['+MIPSTATE: 0,,,,"INITIAL"', "OK"]
    far = connect(at, peer)
    assert at.ask("AT+MIPSTATE=0") == [f'+MIPSTATE: 0,"TCP","127.0.0.1",{peer.port},"CONNECTED"', "OK"]
    assert at.ask('AT+MIPSEND=0,4,"last"') == ["+MIPSEND: 0,4", "OK"]
    assert at.ask("AT+MIPCLOSE=0") == ["OK"]
    assert at.urc("+MIPCLOSE:") == "+MIPCLOSE: 0"
    assert receive(far, 4) == b"last"
    assert far.recv(1) == b""
    assert at.ask("AT+MIPCLOSE=0") == ["+CME ERROR: 551"]


def test_failures_to_open(at: Port, peer: Peer) -> None:
    """ml307r.md 5.4: the same numbers stand in +MIPOPEN; the id is free again."""
    for host, port_number, code in (("127.0.0.1", free_port(), 557), ("no such name", 80, 580)):
        assert at.ask(f'AT+MIPOPEN=0,"TCP","{host}",{port_number}') == ["OK"]
        assert at.urc("+MIPOPEN:") == f"+MIPOPEN: 0,{code}"
    at.ask("AT+MIPCALL=0,1")
    at.urc("+MIPCALL:")
    assert at.ask(f'AT+MIPOPEN=0,"TCP","127.0.0.1",{peer.port}') == ["OK"]
    assert at.urc("+MIPOPEN:") == "+MIPOPEN: 0,571"
    assert at.ask("AT+MIPSTATE=0") == ['+MIPSTATE: 0,,,,"INITIAL"', "OK"]


def test_inline_encodings(at: Port, peer: Peer) -> None:
    """ml307r.md 5.2: raw, hexadecimal (typed length twice the count) and escapes (typed length declared)."""
    far = connect(at, peer)
    assert at.ask('AT+MIPSEND=0,4,"a\\rb"') == ["+MIPSEND: 0,4", "OK"]
    assert receive(far, 4) == b"a\\rb"
    assert at.ask('AT+MIPSEND=0,5,"abcd"') == ["+CME ERROR: 50"]
    assert at.ask('AT+MIPCFG="encoding",0,1') == ["OK"]
    assert at.ask('AT+MIPCFG="encoding",0') == ['+MIPCFG: "encoding",0,1,0', "OK"]
    assert at.ask("AT+MIPSEND=0,3,0d0aFF") == ["+MIPSEND: 0,3", "OK"]
    assert receive(far, 3) == b"\r\n\xff"
    for command in ("AT+MIPSEND=0,6,0d0aFF", "AT+MIPSEND=0,0,0d0", "AT+MIPSEND=0,0,0g"):
        assert at.ask(command) == ["+CME ERROR: 50"], command
    assert at.ask("AT+MIPSEND=0,730," + "ab" * 730) == ["+MIPSEND: 0,730", "OK"]
    assert receive(far, 730) == b"\xab" * 730
    assert at.ask("AT+MIPSEND=0,731," + "ab" * 731) == ["+CME ERROR: 50"]
    at.ask('AT+MIPCFG="encoding",0,2')
    assert at.ask('AT+MIPSEND=0,6,"a\\r\\nb"') == ["+MIPSEND: 0,4", "OK"]
    assert receive(far, 4) == b"a\r\nb"


def test_prompt_ignores_the_encoding(at: Port, peer: Peer) -> None:
    """ml307r.md 5.2: prompt data is always raw."""
    far = connect(at, peer)
    at.ask('AT+MIPCFG="encoding",0,1')
    at.send(b"AT+MIPSEND=0,4\r")
    at.exactly(3)
    at.send(b"0d0a")
    at.until(b"\r\nOK\r\n")
    assert receive(far, 4) == b"0d0a"


def test_text_input(at: Port, peer: Peer) -> None:
    """ml307r.md 5.2: without a length Ctrl-Z sends, ESC cancels."""
    far = connect(at, peer)
    at.send(b"AT+MIPSEND=0\r")
    at.exactly(3)
    at.send(b"to the end\x1a")
    assert at.until(b"OK\r\n") == b"\r\n+MIPSEND: 0,10\r\n\r\nOK\r\n"
    assert receive(far, 10) == b"to the end"
    at.send(b"AT+MIPSEND=0\r")
    at.exactly(3)
    at.send(b"never\x1b")
    assert at.exactly(6) == b"\r\nOK\r\n"


def test_short_input_is_sent_after_its_timeout(at: Port, peer: Peer) -> None:
    """ml307r.md 6: by the manual, what came is sent."""
    far = connect(at, peer)
    assert at.ask('AT+MIPCFG="timeout",0') == ['+MIPCFG: "timeout",0,10', "OK"]
    at.ask('AT+MIPCFG="timeout",0,1')
    at.send(b"AT+MIPSEND=0,100\r")
    at.exactly(3)
    at.send(b"short")
    assert at.until(b"OK\r\n") == b"\r\n+MIPSEND: 0,5\r\n\r\nOK\r\n"
    assert receive(far, 5) == b"short"


def test_cached_mode(at: Port, peer: Peer) -> None:
    """ml307r.md 5.1 and 5.3: rtcp tells length and total; MIPRD reads."""
    far = connect(at, peer, tail=",,2")
    far.sendall(b"a\r\nbc")
    assert at.urc("+MIPURC:") == '+MIPURC: "rtcp",0,5,5'
    far.sendall(b"de")
    assert at.urc("+MIPURC:") == '+MIPURC: "rtcp",0,2,7'
    assert at.ask("AT+MIPRD=0") == ["+MIPRD: 0,7", "OK"]
    assert at.raw("AT+MIPRD=0,4") == b"\r\n+MIPRD: 0,3,4,a\r\nb\r\n\r\nOK\r\n"
    at.ask('AT+MIPCFG="encoding",0,0,1')
    assert at.raw("AT+MIPRD=0,4096") == b"\r\n+MIPRD: 0,0,3,636465\r\n\r\nOK\r\n"
    far.sendall(b"rest")
    assert at.urc("+MIPURC:") == '+MIPURC: "rtcp",0,4,4'
    far.close()
    assert at.urc("+MIPURC:") == '+MIPURC: "disconn",0,1'
    assert at.ask("AT+MIPRD=0,10") == ["+MIPRD: 0,0,4,72657374", "OK"]
    assert at.ask("AT+MIPRD=0,10") == ["+CME ERROR: 551"]


def test_pushed_in_hexadecimal(at: Port, peer: Peer) -> None:
    """ml307r.md 5.3: unquoted."""
    at.ask('AT+MIPCFG="encoding",0,0,1')
    far = connect(at, peer)
    far.sendall(b"\x00\xff")
    assert at.urc("+MIPURC:") == '+MIPURC: "rtcp",0,2,00FF'


def test_peer_closes_or_resets(at: Port, peer: Peer) -> None:
    """ml307r.md 5.3: disconn 1 and 2; the id is free, with autofree 1 only after MIPCLOSE."""
    connect(at, peer).close()
    assert at.urc("+MIPURC:") == '+MIPURC: "disconn",0,1'
    assert at.ask("AT+MIPSEND=0,5") == ["+CME ERROR: 551"]
    reset(connect(at, peer))
    assert at.urc("+MIPURC:") == '+MIPURC: "disconn",0,2'
    at.ask('AT+MIPCFG="autofree",0,1')
    connect(at, peer).close()
    assert at.urc("+MIPURC:") == '+MIPURC: "disconn",0,1'
    assert at.ask("AT+MIPSEND=0,5") == ["+CME ERROR: 553"]
    assert at.ask("AT+MIPSTATE=0")[0].endswith('"CLOSED"')
    assert at.ask("AT+MIPCLOSE=0") == ["OK"]


def test_context_lost(at: Port, peer: Peer) -> None:
    """ml307r.md 5.3: disconn 3."""
    connect(at, peer)
    at.ask("AT+MIPCALL=0,1")
    assert at.urc("+MIPURC:") == '+MIPURC: "disconn",0,3'


def test_counters_and_acknowledgement(at: Port, peer: Peer) -> None:
    """ml307r.md 5.1: MIPSACK, and ackmode's URC."""
    at.ask('AT+MIPCFG="ackmode",0,1')
    far = connect(at, peer)
    at.ask('AT+MIPSEND=0,5,"hello"')
    assert at.urc("+MIPURC:") == '+MIPURC: "ack",0,5'
    far.sendall(b"abc")
    at.until(b"abc\r\n")
    assert at.ask("AT+MIPSACK=0") == ["+MIPSACK: 5,5,0,3", "OK"]


def test_full_buffer_stalls(port: Open, socket_enabled: None) -> None:
    """ml307r.md 6.1: MIPSEND waits until the peer reads."""
    at = port("ml307r", "send_buffer_bytes=8192")
    server = Peer(receive_buffer=2048)
    try:
        far = connect(at, server)
        for _ in range(6):
            at.send(b"AT+MIPSEND=0,8192\r")
            at.until(b"\r\n>")
            at.send(b"q" * 8192)
            at.send(b"AT+CGMI\r")
            receive(far, 8192)
            assert at.until(b"CMCC\r\n\r\nOK\r\n").startswith(b"\r\n+MIPSEND: 0,8192\r\n\r\nOK\r\n")
        impatient = port("ml307r", "send_buffer_bytes=100", "send_stall_s=0")
        connect(impatient, server)
        impatient.send(b"AT+MIPSEND=0,101\r")
        impatient.until(b"\r\n>")
        impatient.send(b"q" * 101)
        assert impatient.until(b"560\r\n") == b"\r\n+CME ERROR: 560\r\n"
    finally:
        server.close()


def test_open_before_ok(port: Open, peer: Peer) -> None:
    """ml307r.md 5.3: +MIPOPEN can precede the OK (ZB)."""
    at = port("ml307r", "open_before_ok=yes")
    assert at.raw(f'AT+MIPOPEN=0,"TCP","127.0.0.1",{peer.port}') == b"\r\n+MIPOPEN: 0,0\r\n\r\nOK\r\n"


def test_names(at: Port) -> None:
    """ml307r.md 3: on failure the name alone."""
    assert at.ask('AT+MDNSGIP="localhost"') == ["OK"]
    assert '"127.0.0.1"' in at.urc("+MDNSGIP:")
    assert at.ask('AT+MDNSGIP="no such name"') == ["OK"]
    assert at.urc("+MDNSGIP:") == '+MDNSGIP: "no such name"'


def test_settings(at: Port) -> None:
    """ml307r.md 5.1: kept for each id until a reboot."""
    assert at.ask('AT+MIPCFG="ssl",1,1,2') == ["OK"]
    assert at.ask('AT+MIPCFG="ssl",1') == ['+MIPCFG: "ssl",1,1,2', "OK"]
    assert at.ask('AT+MIPCFG="ssl",0') == ['+MIPCFG: "ssl",0,0,0', "OK"]
    for command in ('AT+MIPCFG="nosuch",0,1', 'AT+MIPCFG="timeout",0,121', 'AT+MIPCFG="autofree",0,2'):
        assert at.ask(command) == ["+CME ERROR: 50"], command


def test_keep_alive(at: Port) -> None:
    """TCP 3.2: defaults 90, 75 and 3; switched off only the 0 is shown."""
    assert at.ask("AT+MIPTKA=1") == ["+MIPTKA: 1,0", "OK"]
    assert at.ask("AT+MIPTKA=1,1,120") == ["OK"]
    assert at.ask("AT+MIPTKA?")[:3] == ["+MIPTKA: 0,0", "+MIPTKA: 1,1,120,75,3", "+MIPTKA: 2,0"]
    assert at.ask("AT+MIPTKA=1,1,29") == ["+CME ERROR: 50"]
