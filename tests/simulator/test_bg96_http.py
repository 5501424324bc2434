"""The BG96's own HTTP client: bg96.md 2 (M-HTTP), byte by byte, with real servers."""

from collections.abc import Iterator
import hashlib
import re
import socket
import time

import pytest

from .bg96_at import data_mode, read, ready, request, set_url, upload
from .conftest import Open
from .mux_client import MuxClient
from .plain_at import Peer, Port, free_port, receive, reset
from .web import Web, gunicorn

CONNECT = b"\r\nCONNECT\r\n"
OK = b"\r\nOK\r\n"


@pytest.fixture
def at(port: Open) -> Port:
    return ready(port("bg96"))


@pytest.fixture(scope="module")
def web(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Web]:
    with gunicorn(tmp_path_factory.mktemp("http")) as server:
        yield server


def head_of(connection: socket.socket) -> bytes:
    """The request up to its blank line."""
    data = b""
    while not data.endswith(b"\r\n\r\n"):
        data += receive(connection, 1)
    return data


def exchange(at: Port, peer: Peer, answer: bytes, result: str, *, end: bool = True) -> socket.socket:
    """A GET that a server driven by hand answers."""
    set_url(at, f"http://127.0.0.1:{peer.port}/x")
    assert at.ask("AT+QHTTPGET=20") == ["OK"]
    far = peer.accept()
    head_of(far)
    far.sendall(answer)
    if end:
        far.close()
    assert at.urc("+QHTTPGET:") == f"+QHTTPGET: {result}"
    return far


# Settings and the URL


def test_settings(at: Port) -> None:
    """M-HTTP 2.1: test, read, query and write forms; defaults; 730 for what it does not know."""
    assert at.ask("AT+QHTTPCFG=?") == [
        '+QHTTPCFG: "contextid",(1-16)',
        '+QHTTPCFG: "requestheader",(0,1)',
        '+QHTTPCFG: "responseheader",(0,1)',
        '+QHTTPCFG: "sslctxid",(0-5)',
        '+QHTTPCFG: "contenttype",(0-3)',
        "OK",
    ]
    assert at.ask("AT+QHTTPCFG?") == [
        '+QHTTPCFG: "contextid",1',
        '+QHTTPCFG: "requestheader",0',
        '+QHTTPCFG: "responseheader",0',
        '+QHTTPCFG: "sslctxid",1',
        '+QHTTPCFG: "contenttype",0',
        "OK",
    ]
    assert at.ask('AT+QHTTPCFG="sslctxid",5') == ["OK"]
    assert at.ask('AT+QHTTPCFG="sslctxid"') == ['+QHTTPCFG: "sslctxid",5', "OK"]
    for bad in ('"contextid",17', '"contenttype",4', '"rspout/auto",1', '"custom_header","a"', '"requestheader",2'):
        assert at.ask(f"AT+QHTTPCFG={bad}") == ["+CME ERROR: 730"], bad


def test_url(at: Port) -> None:
    """M-HTTP 2.2: exactly that many bytes, 1 to 700, http or https; the read form has no line without one."""
    assert at.ask("AT+QHTTPURL?") == ["OK"]
    url = "https://cell.example.com/api/images/"
    assert data_mode(at, f"AT+QHTTPURL={len(url)},30", url.encode()) == OK
    assert at.ask("AT+QHTTPURL?") == [f"+QHTTPURL: {url}", "OK"]
    longest = "http://a.example/" + "x" * 683
    set_url(at, longest)
    assert at.ask("AT+QHTTPURL?") == [f"+QHTTPURL: {longest}", "OK"]
    assert at.ask("AT+QHTTPURL=701,30") == ["+CME ERROR: 730"]
    assert at.ask("AT+QHTTPURL=0,30") == ["+CME ERROR: 730"]
    for bad in ("ftp://a.example/", "a.example/x", "http://", "http://a b/"):
        at.send(f"AT+QHTTPURL={len(bad)}\r".encode())
        assert at.exactly(11) == CONNECT
        at.send(bad.encode())
        assert at.until(b"711\r\n") == b"\r\n+CME ERROR: 711\r\n"


def test_url_short_input(at: Port) -> None:
    """M-HTTP 2.2: short input ends with a CME error at the time-out: 726."""
    at.send(b"AT+QHTTPURL=20,1\r")
    assert at.exactly(11) == CONNECT
    at.send(b"http://a")
    assert at.until(b"726\r\n") == b"\r\n+CME ERROR: 726\r\n"


def test_order_of_work(at: Port, peer: Peer) -> None:
    """M-HTTP table 1: 712 without a URL, 705 without a request, 703 while one is at work."""
    upload(at, "f", b"1")
    for command in ("AT+QHTTPGET", "AT+QHTTPPOST=1", 'AT+QHTTPPOSTFILE="f"'):
        assert at.ask(command) == ["+CME ERROR: 712"], command
    set_url(at, f"http://127.0.0.1:{peer.port}/")
    for command in ("AT+QHTTPREAD", 'AT+QHTTPREADFILE="g"'):
        assert at.ask(command) == ["+CME ERROR: 705"], command
    assert at.ask("AT+QHTTPGET") == ["OK"]
    far = peer.accept()
    for command in ("AT+QHTTPGET", "AT+QHTTPPOST=1", 'AT+QHTTPPOSTFILE="f"', "AT+QHTTPREAD", "AT+QHTTPURL=20"):
        assert at.ask(command) == ["+CME ERROR: 703"], command
    head_of(far)
    far.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi")
    assert at.urc("+QHTTPGET:") == "+QHTTPGET: 0,200,2"


# What goes out


def test_the_modules_own_header(at: Port, peer: Peer) -> None:
    """M-HTTP 1.2.1, EG8b: QUECTEL_MODULE, */*, Keep-Alive, type and length."""
    assert at.ask('AT+QHTTPCFG="contenttype",2') == ["OK"]
    set_url(at, f"http://127.0.0.1:{peer.port}/a/b?c=d")
    common = f"Host: 127.0.0.1:{peer.port}\r\nAccept: */*\r\nUser-Agent: QUECTEL_MODULE\r\nConnection: Keep-Alive\r\n"
    at.ask("AT+QHTTPGET")
    far = peer.accept()
    assert head_of(far) == f"GET /a/b?c=d HTTP/1.1\r\n{common}\r\n".encode()
    far.sendall(b"HTTP/1.1 200 OK\r\n\r\n")
    assert at.urc("+QHTTPGET:") == "+QHTTPGET: 0,200"
    at.send(b"AT+QHTTPPOST=20,80,80\r")
    far = peer.accept()
    assert at.exactly(11) == CONNECT
    at.send(b"Message=HelloQuectel")
    assert at.exactly(6) == OK
    length = "Content-Type: application/octet-stream\r\nContent-Length: 20\r\n"
    assert head_of(far) == f"POST /a/b?c=d HTTP/1.1\r\n{common}{length}\r\n".encode()
    assert receive(far, 20) == b"Message=HelloQuectel"
    far.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 177\r\n\r\n")
    line = b"\r\n+QHTTPPOST: 0,200,177\r\n"
    assert at.exactly(len(line)) == line


def test_the_hosts_own_header(at: Port, peer: Peer) -> None:
    """M-HTTP 2.3: with requestheader 1 the bytes go out as they are, by each of the three commands."""
    at.ask('AT+QHTTPCFG="requestheader",1')
    set_url(at, f"http://127.0.0.1:{peer.port}/")
    data = b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 260\r\n\r\n" + bytes(range(256)) + b"+++\r"
    upload(at, "whole", data)
    assert at.ask('AT+QHTTPPOSTFILE="UFS:whole",20') == ["OK"]
    far = peer.accept()
    assert receive(far, len(data)) == data
    far.sendall(b"HTTP/1.1 201 Made\r\nContent-Length: 0\r\n\r\n")
    assert at.urc("+QHTTPPOSTFILE:") == "+QHTTPPOSTFILE: 0,201,0"
    for command in (f"AT+QHTTPPOST={len(data)},20,20", f"AT+QHTTPGET=20,{len(data)},20"):
        at.send(command.encode() + b"\r")
        far = peer.accept()
        assert at.exactly(11) == CONNECT
        at.send(data)
        assert at.exactly(6) == OK
        assert receive(far, len(data)) == data
        far.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
        at.urc("+QHTTP")
    assert at.ask("AT+QHTTPGET=20") == ["+CME ERROR: 730"]


def test_limits(at: Port, peer: Peer) -> None:
    """M-HTTP 2.3: 2048 for a GET's header, 1024000 for a post, 80 for a name; 405 for no such file."""
    set_url(at, f"http://127.0.0.1:{peer.port}/")
    assert at.ask("AT+QHTTPPOST=1024001") == ["+CME ERROR: 730"]
    assert at.ask("AT+QHTTPPOST=0") == ["+CME ERROR: 730"]
    assert at.ask(f'AT+QHTTPPOSTFILE="{"n" * 81}"') == ["+CME ERROR: 406"]
    assert at.ask('AT+QHTTPPOSTFILE="n"') == ["+CME ERROR: 405"]
    at.ask('AT+QHTTPCFG="requestheader",1')
    assert at.ask("AT+QHTTPGET=20,2049") == ["+CME ERROR: 730"]


def test_largest_post(at: Port, web: Web) -> None:
    """M-HTTP 2.3: 1024000 bytes."""
    set_url(at, f"{web.url}/post?largest")
    data = bytes(n * n % 251 for n in range(1_024_000))
    assert data_mode(at, "AT+QHTTPPOST=1024000,60,60", data) == OK
    assert at.urc("+QHTTPPOST:") == "+QHTTPPOST: 0,200,11"
    row = next(row for row in web.seen() if row["query"] == "largest")
    assert row["sha256"] == hashlib.sha256(data).hexdigest()
    assert read(at) == b"got 1024000"


def test_picture_by_file(at: Port, web: Web) -> None:
    """REC: upload, URL, POSTFILE, result, delete."""
    data = bytes(n % 256 for n in range(80_000))
    upload(at, "temp.dat", data, 60)
    set_url(at, f"{web.url}/post?picture")
    assert at.ask('AT+QHTTPPOSTFILE="temp.dat",120') == ["OK"]
    assert at.urc("+QHTTPPOSTFILE:") == "+QHTTPPOSTFILE: 0,200,9"
    row = next(row for row in web.seen() if row["query"] == "picture")
    assert row["sha256"] == hashlib.sha256(data).hexdigest()
    assert row["headers"]["User-Agent"] == "QUECTEL_MODULE"
    assert at.ask('AT+QFDEL="temp.dat"') == ["OK"]


# Connections


def test_connect_only_once_connected(port: Open, peer: Peer) -> None:
    """M-HTTP 2.3: POST connects before CONNECT; what fails is a CME error (or a result line by switch)."""
    at = ready(port("bg96"))
    set_url(at, f"http://127.0.0.1:{free_port()}/")
    assert at.ask("AT+QHTTPPOST=5") == ["+CME ERROR: 716"]
    assert at.ask("AT+QHTTPGET") == ["OK"]
    assert at.urc("+QHTTPGET:") == "+QHTTPGET: 716"
    set_url(at, "http://no.such.host.invalid/")
    assert at.ask("AT+QHTTPPOST=5") == ["+CME ERROR: 714"]
    assert at.ask("AT+QHTTPREAD") == ["+CME ERROR: 705"]
    at.ask("AT+QIDEACT=1")
    assert at.ask("AT+QHTTPPOST=5") == ["+CME ERROR: 709"]
    at = ready(port("bg96", "http_dns_error=716", "http_connect_error=urc"))
    set_url(at, "http://no.such.host.invalid/")
    assert at.ask("AT+QHTTPPOST=5") == ["OK"]
    assert at.urc("+QHTTPPOST:") == "+QHTTPPOST: 716"


def test_post_short_input(at: Port, peer: Peer) -> None:
    """M-HTTP table 1: 726; the server has what came."""
    set_url(at, f"http://127.0.0.1:{peer.port}/")
    at.send(b"AT+QHTTPPOST=50,1,20\r")
    far = peer.accept()
    assert at.exactly(11) == CONNECT
    at.send(b"only this")
    assert at.until(b"726\r\n") == b"\r\n+CME ERROR: 726\r\n"
    head_of(far)
    assert receive(far, 9) == b"only this"
    assert far.recv(1) == b""


def test_post_escape(port: Open, peer: Peer) -> None:
    """M-HTTP 1.3: `+++` aborts the command; ATO cannot resume it."""
    at = ready(port("bg96", "guard_s=0.2"))
    set_url(at, f"http://127.0.0.1:{peer.port}/")
    at.send(b"AT+QHTTPPOST=50\r")
    peer.accept()
    assert at.exactly(11) == CONNECT
    time.sleep(0.25)  # the silence is the point
    at.send(b"+++")
    assert at.exactly(6) == OK
    assert at.ask("ATO") == ["NO CARRIER"]
    assert at.ask("AT+QHTTPREAD") == ["+CME ERROR: 705"]


@pytest.mark.parametrize(("switch", "code"), [("702", "702"), ("728", "728")])
def test_no_response(port: Open, peer: Peer, switch: str, code: str) -> None:
    """bg96.md 10 (10): 702 or 728 when the response takes longer than the time given."""
    at = ready(port("bg96", f"http_response_timeout={switch}"))
    set_url(at, f"http://127.0.0.1:{peer.port}/")
    assert at.ask("AT+QHTTPGET=1") == ["OK"]
    peer.accept()
    assert at.urc("+QHTTPGET:") == f"+QHTTPGET: {code}"


def test_server_goes(at: Port, peer: Peer) -> None:
    """M-HTTP table 1: 719 if the server closes without a word, 717 if it resets, 723 for nonsense."""
    exchange(at, peer, b"", "719")
    set_url(at, f"http://127.0.0.1:{peer.port}/x")
    at.ask("AT+QHTTPGET")
    far = peer.accept()
    head_of(far)
    reset(far)
    assert at.urc("+QHTTPGET:") == "+QHTTPGET: 717"
    exchange(at, peer, b"220 ftp.example ready\r\n\r\n", "723")
    assert at.ask("AT+QHTTPREAD") == ["+CME ERROR: 705"]


# Responses


def test_codes_and_lengths(at: Port, peer: Peer) -> None:
    """EG8b: the code only without an error, the length only if the server tells it; 1xx are passed over."""
    exchange(at, peer, b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n", "0,404,0")
    exchange(at, peer, b"HTTP/1.1 302 Found\r\nLocation: /\r\nContent-Length: 3\r\n\r\nabc", "0,302,3")
    exchange(at, peer, b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\n\r\nabc", "0,200")
    assert read(at) == b"abc"


def test_read_framing(at: Port, peer: Peer) -> None:
    """M-HTTP 2.5 and EG8b: no length; `OK` and URCs may stand in the body."""
    body = b'\r\nOK\r\n\r\n+QIURC: "closed",0\r\n' + bytes(range(256))
    exchange(at, peer, b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(body) + body, f"0,200,{len(body)}")
    expected = CONNECT + body + OK + b"\r\n+QHTTPREAD: 0\r\n"
    at.send(b"AT+QHTTPREAD=80\r")
    assert at.exactly(len(expected)) == expected
    assert at.ask("AT+QHTTPREAD") == ["+CME ERROR: 705"]


def test_read_framing_with_a_blank_line(port: Open, peer: Peer) -> None:
    """The other reading of M-HTTP's sample: one more CR LF after the data."""
    at = ready(port("bg96", "qhttpread_blank_line=yes"))
    exchange(at, peer, b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi", "0,200,2")
    at.send(b"AT+QHTTPREAD\r")
    expected = CONNECT + b"hi\r\n" + OK + b"\r\n+QHTTPREAD: 0\r\n"
    assert at.exactly(len(expected)) == expected


def test_response_header(at: Port, peer: Peer) -> None:
    """M-HTTP 2.1: responseheader 1 puts status line and headers before the body."""
    at.ask('AT+QHTTPCFG="responseheader",1')
    answer = b"HTTP/1.1 200 OK\r\nServer: x\r\nContent-Length: 2\r\n\r\nhi"
    exchange(at, peer, answer, "0,200,2")
    assert read(at) == answer


def test_chunked(port: Open, web: Web) -> None:
    """A chunked body has no length; QHTTPREAD gives it decoded, or raw by switch (facts do not tell)."""
    at = ready(port("bg96"))
    set_url(at, f"{web.url}/pieces")
    at.ask("AT+QHTTPGET")
    assert at.urc("+QHTTPGET:") == "+QHTTPGET: 0,200"
    assert read(at) == b"one\r\nOK\r\n+QIURC: \r\nend"
    at = ready(port("bg96", "http_chunked=raw"))
    set_url(at, f"{web.url}/pieces")
    at.ask("AT+QHTTPGET")
    at.urc("+QHTTPGET:")
    assert read(at).startswith(b"5\r\none\r\n\r\n4\r\nOK\r\n\r\n")


def test_cut_short(at: Port, peer: Peer) -> None:
    """M-HTTP 2.3: a read that does not come to its end is a CME error; a pause longer than the wait is 727."""
    exchange(at, peer, b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhalf", "0,200,9")
    at.send(b"AT+QHTTPREAD\r")
    assert at.until(b"719\r\n") == CONNECT + b"half\r\n+CME ERROR: 719\r\n"
    far = exchange(at, peer, b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhalf", "0,200,9", end=False)
    at.send(b"AT+QHTTPREAD=1\r")
    assert at.until(b"727\r\n") == CONNECT + b"half\r\n+CME ERROR: 727\r\n"
    far.close()


def test_read_into_a_file(at: Port, web: Web) -> None:
    """M-HTTP 2.3: QHTTPREADFILE; `UFS:` is taken (FCRC)."""
    set_url(at, f"{web.url}/bytes")
    at.ask("AT+QHTTPGET")
    assert at.urc("+QHTTPGET:") == "+QHTTPGET: 0,200,5120"
    assert at.ask('AT+QHTTPREADFILE="UFS:got.bin",30') == ["OK"]
    assert at.urc("+QHTTPREADFILE:") == "+QHTTPREADFILE: 0"
    assert at.ask("AT+QFLST") == ['+QFLST: "got.bin",5120', "OK"]
    at.send(b'AT+QFDWL="got.bin"\r')
    assert at.exactly(11) == CONNECT
    assert at.exactly(5120) == bytes(range(256)) * 20


def test_no_urc_in_data_mode(at: Port, peer: Peer) -> None:
    """bg96.md 10 (4): unsolicited lines wait while the port carries data."""
    at.ask('AT+QURCCFG="urcport","uart1"')
    at.ask(f'AT+QIOPEN=1,0,"TCP","127.0.0.1",{peer.port},0,0')
    at.urc("+QIOPEN:")
    far = peer.accept()
    at.send(b'AT+QFUPL="f",10\r')
    assert at.exactly(11) == CONNECT
    far.sendall(b"now")
    at.send(b"0123456789")
    assert re.fullmatch(rb"\r\n\+QFUPL: 10,3839\r\n\r\nOK\r\n", at.until(OK))
    assert at.urc("+QIURC:") == '+QIURC: "recv",0'


def test_early_answer(at: Port, peer: Peer) -> None:
    """A server that answers before it has everything: its answer counts."""
    at.ask('AT+QHTTPCFG="requestheader",1')
    set_url(at, f"http://127.0.0.1:{peer.port}/")
    data = request("x", 3000)
    at.send(b"AT+QHTTPPOST=3000,20,20\r")
    far = peer.accept()
    assert at.exactly(11) == CONNECT
    at.send(data[:2000])
    receive(far, 100)
    far.sendall(b"HTTP/1.1 413 Too Large\r\nContent-Length: 0\r\n\r\n")
    at.send(data[2000:])
    assert at.exactly(6) == OK
    assert at.urc("+QHTTPPOST:") == "+QHTTPPOST: 0,413,0"


def test_another_port_in_data_mode(port: Open, peer: Peer) -> None:
    """M-HTTP 4.4: only one port of the module can be in data mode: 704."""
    at = ready(port("bg96"))
    assert at.ask("AT+CMUX=0") == ["OK"]
    mux = MuxClient(at)
    mux.open(0)
    for dlci in (1, 2):
        mux.open(dlci)
        assert mux.ask(dlci, "ATE0").endswith(OK)
    mux.command(1, 'AT+QFUPL="f",3,30')
    mux.until(1, CONNECT)
    assert mux.ask(2, "AT+QHTTPURL=20,30") == b"\r\n+CME ERROR: 704\r\n"
    mux.send(1, b"abc")
    assert mux.until(1, OK).startswith(b"\r\n+QFUPL: 3,")
    assert mux.ask(2, "AT+QHTTPREAD") == b"\r\n+CME ERROR: 705\r\n"


def test_reboot_in_data_mode(port: Open) -> None:
    """A reboot ends data mode: what comes after it is commands again."""
    at = port("bg96", "boot_s=0.1", arguments=("--fault", "reboot=60"))
    at.send(b'AT+QFUPL="f",5000,60\r')
    assert at.exactly(11) == CONNECT
    at.send(b"x" * 100)
    at.until(b"APP RDY\r\n")
    assert at.raw("ATE0").endswith(OK)
    assert at.ask("AT+QFLST") == ["OK"]


def test_response_lost(port: Open, peer: Peer) -> None:
    """The fault response_lost: the server has the request, the modem tells 717 or 719."""
    at = ready(port("bg96", arguments=("--fault", "response_lost=close")))
    exchange(at, peer, b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi", "719")
    exchange(at, peer, b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi", "0,200,2")


def test_dead_context(port: Open) -> None:
    """EG8b: 716 though QIACT? still shows an address."""
    at = ready(port("bg96", "http_connect_timeout_s=0.3", arguments=("--fault", "context_dead=1")))
    set_url(at, "http://127.0.0.1:80/")
    assert at.ask("AT+QHTTPPOST=5") == ["+CME ERROR: 716"]
    assert at.ask("AT+QIACT?") == ['+QIACT: 1,1,1,"10.64.10.190"', "OK"]


def test_context_goes_while_waiting(at: Port, peer: Peer) -> None:
    """M-HTTP table 1: 709, network deactivated."""
    set_url(at, f"http://127.0.0.1:{peer.port}/")
    assert at.ask("AT+QHTTPGET") == ["OK"]
    head_of(peer.accept())
    at.send(b"AT+QIDEACT=1\r")
    assert at.urc("+QHTTPGET:") == "+QHTTPGET: 709"
    assert at.exactly(6) == OK
    assert at.ask("AT+QHTTPREAD") == ["+CME ERROR: 705"]
