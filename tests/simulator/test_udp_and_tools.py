"""UDP sockets, names, pings and the time: ml307r.md 3 and 5 (TCP 3), bg96.md 4."""

from collections.abc import Iterator
import socket
import struct
import threading

import pytest

from .conftest import Open
from .plain_at import PATIENCE_S, Port


@pytest.fixture
def far(socket_enabled: None) -> Iterator[socket.socket]:
    """A UDP socket on loopback."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as peer:
        peer.bind(("127.0.0.1", 0))
        peer.settimeout(PATIENCE_S)
        yield peer


def opened(at: Port, far: socket.socket, tail: str = "") -> None:
    assert at.ask(f'AT+MIPOPEN=1,"UDP","127.0.0.1",{far.getsockname()[1]}{tail}') == ["OK"]
    assert at.urc("+MIPOPEN:") == "+MIPOPEN: 1,0"


def sent(at: Port, far: socket.socket) -> tuple[str, int]:
    at.send(b"AT+MIPSEND=1,4\r")
    at.exactly(3)
    at.send(b"a\r\nb")
    assert at.until(b"OK\r\n") == b"\r\n+MIPSEND: 1,4\r\n\r\nOK\r\n"
    data, (host, port) = far.recvfrom(100)
    assert data == b"a\r\nb"
    return host, port


def test_udp_push(port: Open, far: socket.socket) -> None:
    """TCP 3.20: "rudp" by length; nobody confirms UDP (TCP 3.15)."""
    at = port("ml307r")
    opened(at, far)
    far.sendto(b"x\r\n\x00", sent(at, far))
    pushed = b'\r\n+MIPURC: "rudp",1,4,x\r\n\x00\r\n'
    assert at.exactly(len(pushed)) == pushed
    assert at.ask("AT+MIPSACK=1") == ["+MIPSACK: 4,0,4,4", "OK"]
    where = f'"UDP","127.0.0.1",{far.getsockname()[1]},"CONNECTED"'
    assert at.ask("AT+MIPSTATE?") == [
        *(f"+MIPSTATE: 1,{where}" if number == 1 else f'+MIPSTATE: {number},,,,"INITIAL"' for number in range(6)),
        "OK",
    ]
    assert at.ask("AT+MIPCLOSE=1") == ["OK"]
    assert at.urc("+MIPCLOSE:") == "+MIPCLOSE: 1"


def test_udp_packet_cache(port: Open, far: socket.socket) -> None:
    """TCP 3.6: packets are counted and read whole; OK alone when there is none."""
    at = port("ml307r")
    assert at.ask('AT+MIPOPEN=1,"UDP","127.0.0.1",9,,2') == ["+CME ERROR: 50"]
    opened(at, far, ",,3")
    peer = sent(at, far)
    for number, data in enumerate((b"one", b"two", b"three"), 1):
        far.sendto(data, peer)
        assert at.urc("+MIPURC:") == f'+MIPURC: "rudp",1,{number}'
    assert at.ask("AT+MIPRD=1") == ["+MIPRD: 1,3", "OK"]
    assert at.ask("AT+MIPRD=1,1") == ["+MIPRD: 1,2,3,one", "OK"]
    assert at.ask("AT+MIPRD=1,0") == ["+MIPRD: 1,1,3,two", "+MIPRD: 1,0,5,three", "OK"]
    assert at.ask("AT+MIPRD=1,0") == ["OK"]


def test_names(port: Open, socket_enabled: None) -> None:
    """TCP 3.17: OK, then the name and its addresses, or the name alone; 50 without one, 570 without packet data."""
    at = port("ml307r")
    assert at.ask('AT+MDNSGIP="localhost"') == ["OK"]
    assert at.urc("+MDNSGIP:").startswith('+MDNSGIP: "localhost","127.0.0.1"')
    assert at.ask('AT+MDNSGIP="no-such-name.invalid",1') == ["OK"]
    assert at.urc("+MDNSGIP:") == '+MDNSGIP: "no-such-name.invalid"'
    assert at.ask('AT+MDNSGIP=""') == ["+CME ERROR: 50"]
    assert at.ask('AT+MDNSGIP="a",2') == ["+CME ERROR: 570"]
    assert at.ask('AT+MDNSCFG="priority"') == ['+MDNSCFG: "priority",1', "OK"]


def test_time(port: Open, far: socket.socket) -> None:
    """TCP 3.21 and bg96.md 4: each in its own form of the date."""

    def serve() -> None:
        for _ in range(2):
            _, peer = far.recvfrom(100)
            far.sendto(bytes(40) + struct.pack(">II", 3_913_056_000, 0), peer)

    server = threading.Thread(target=serve)
    server.start()
    at = port("ml307r")
    assert at.ask(f'AT+MNTP="127.0.0.1",{far.getsockname()[1]}') == ["OK"]
    assert at.urc("+MNTP:") == '+MNTP: 0,"24/01/01,00:00:00+00"'
    at = port("bg96")
    at.ask("AT+QIACT=1")
    assert at.ask(f'AT+QNTP=1,"127.0.0.1",{far.getsockname()[1]}') == ["OK"]
    assert at.urc("+QNTP:") == '+QNTP: 0,"2024/01/01,00:00:00+00"'
    server.join()


def test_ping(port: Open, socket_enabled: None) -> None:
    """TCP 3.18 and bg96.md 4: a result for each packet, then the statistics; some computers let nobody ping."""
    at = port("ml307r")
    assert at.ask('AT+MPING="127.0.0.1",1,2,32') == ["OK"]
    for _ in range(2):
        assert at.urc("+MPING:").startswith(('+MPING: 0,"127.0.0.1",32,', "+MPING: 4"))
    assert at.urc("+MPING:").startswith('+MPING: "statistics",2,')
    at = port("bg96")
    assert at.ask('AT+QPING=1,"127.0.0.1"') == ["ERROR"]
    at.ask("AT+QIACT=1")
    assert at.ask('AT+QPING=1,"127.0.0.1",1,1') == ["OK"]
    assert at.urc("+QPING:").startswith(('+QPING: 0,"127.0.0.1",32,', "+QPING: 569"))
    assert at.urc("+QPING:").startswith("+QPING: 0,1,")
