"""The ML307R's own HTTP client: ml307r.md 4; HTTP is the vendor's HTTP/HTTPS manual V6.1.4."""

import hashlib
from pathlib import Path
import socket

import pytest

from .conftest import Open
from .plain_at import Peer, Port, free_port, receive, reset
from .web import gunicorn

# The manual's sample answer (HTTP 3.5): 225 bytes of header lines, 145 of content.
SAMPLE_HEAD = (
    b"HTTP/1.1 200 OK\r\nServer: nginx/1.18.0\r\nDate: Fri, 23 Jul 2021 09:59:35 GMT\r\n"
    b"Content-Type: application/json\r\nContent-Length: 145\r\nConnection: keep-alive\r\n"
    b"Access-Control-Allow-Origin: *\r\nAccess-Control-Allow-Credentials: true\r\n"
)
SAMPLE_BODY = bytes(index % 256 for index in range(145))
SAMPLE = SAMPLE_HEAD + b"\r\n" + SAMPLE_BODY
SHORT = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
SHORT_HEADER = b'\r\n+MHTTPURC: "header",0,200,36,HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n'
SHORT_CONTENT = b'\r\n+MHTTPURC: "content",0,2,2,2,ok\r\n'


@pytest.fixture
def at(port: Open) -> Port:
    """An ML307R that behaves as the manuals say."""
    return port("ml307r")


def create(at: Port, peer: Peer, *settings: str) -> None:
    assert at.ask(f'AT+MHTTPCREATE="http://127.0.0.1:{peer.port}"') == ["+MHTTPCREATE: 0", "OK"]
    for setting in settings:
        assert at.ask(f"AT+MHTTPCFG={setting}") == ["OK"]


def head_of(far: socket.socket) -> bytes:
    data = b""
    while not data.endswith(b"\r\n\r\n"):
        data += receive(far, 1)
    return data


def content(at: Port, data: bytes, eof: int = 0) -> bytes:
    """Give content at the prompt; the bytes that answer it."""
    at.send(f"AT+MHTTPCONTENT=0,{eof},{len(data)}\r".encode())
    assert at.exactly(3) == b"\r\n>"
    at.send(data)
    return at.exactly(6)


def short_answer(at: Port, far: socket.socket) -> None:
    far.sendall(SHORT)
    assert at.exactly(len(SHORT_HEADER)) == SHORT_HEADER
    assert at.exactly(len(SHORT_CONTENT)) == SHORT_CONTENT


def test_get_byte_by_byte(at: Port, peer: Peer) -> None:
    """HTTP 3.5: the default headers, also on a GET; header by length without the empty line; content."""
    create(at, peer)
    assert at.raw('AT+MHTTPREQUEST=0,1,0,"/get"') == b"\r\nOK\r\n"
    far = peer.accept()
    assert head_of(far) == f"GET /get HTTP/1.1\r\nHost: 127.0.0.1:{peer.port}\r\nContent-Length: 0\r\n\r\n".encode()
    far.sendall(SAMPLE)
    assert len(SAMPLE_HEAD) == 225
    header = b'\r\n+MHTTPURC: "header",0,200,225,' + SAMPLE_HEAD + b"\r\n"
    assert at.exactly(len(header)) == header
    body = b'\r\n+MHTTPURC: "content",0,145,145,145,' + SAMPLE_BODY + b"\r\n"
    assert at.exactly(len(body)) == body


def test_content_first_byte_by_byte(at: Port, peer: Peer) -> None:
    """ml307r.md 4.2: prompt, exactly len raw bytes, OK alone; several with eof 1, the last with 0."""
    create(at, peer)
    every = bytes(range(256)) * 16
    assert content(at, every, eof=1) == b"\r\nOK\r\n"
    assert content(at, b"\r\nOK\r\n\x1a\x1b") == b"\r\nOK\r\n"
    assert at.ask('AT+MHTTPREQUEST=0,2,5,"/post"') == ["OK"]
    far = peer.accept()
    assert head_of(far).endswith(b"Content-Length: 4104\r\n\r\n")
    assert receive(far, 4104) == every + b"\r\nOK\r\n\x1a\x1b"
    short_answer(at, far)


def test_multipart_of_2793_bytes_arrives(at: Port, socket_enabled: None, tmp_path: Path) -> None:
    """ml307r.md 6, row 5: 2793 bytes are legal at the prompt; a real server gets them with their length."""
    head = b'--b\r\nContent-Disposition: form-data; name="file"; filename="a.jpg"\r\n\r\n'
    body = head + (bytes(range(256)) * 11)[: 2793 - len(head) - 9] + b"\r\n--b--\r\n"
    body = body[:2793]
    with gunicorn(tmp_path) as web:
        assert at.ask(f'AT+MHTTPCREATE="{web.url}"')[-1] == "OK"
        assert at.ask('AT+MHTTPCFG="header",0,"Content-Type: multipart/form-data; boundary=b"') == ["OK"]
        assert content(at, body) == b"\r\nOK\r\n"
        assert at.ask('AT+MHTTPREQUEST=0,2,0,"/post"') == ["OK"]
        assert at.urc('+MHTTPURC: "content"') == '+MHTTPURC: "content",0,8,8,8,got 2793'
        (seen,) = web.seen()
    assert seen["sha256"] == hashlib.sha256(body).hexdigest()
    assert seen["headers"]["Content-Length"] == "2793"


def test_chunked_byte_by_byte(at: Port, peer: Peer) -> None:
    """ml307r.md 4.2: request, "ind", contents; the last one ends the body."""
    create(at, peer, '"chunked",0,1')
    assert at.ask("AT+MHTTPCONTENT=0,0,2,AB") == ["+CME ERROR: 653"]
    assert at.raw('AT+MHTTPREQUEST=0,2,0,"/"') == b"\r\nOK\r\n"
    far = peer.accept()
    ind = b'\r\n+MHTTPURC: "ind",0\r\n'
    assert at.exactly(len(ind)) == ind
    assert head_of(far).endswith(b"\r\nTransfer-Encoding: chunked\r\n\r\n")
    assert content(at, b"\x00" * 20, eof=1) == b"\r\nOK\r\n"
    assert content(at, b"\r\n") == b"\r\nOK\r\n"
    wire = b"14\r\n" + b"\x00" * 20 + b"\r\n2\r\n\r\n\r\n0\r\n\r\n"
    assert receive(far, len(wire)) == wire
    assert at.ask("AT+MHTTPCONTENT=0,0,2,AB") == ["+CME ERROR: 653"]
    short_answer(at, far)


def test_empty_last_block_is_refused(at: Port, peer: Peer) -> None:
    """ml307r.md 4.4 and 9 (esp): an empty final block is not supported; esp sends CR LF in hexadecimal."""
    create(at, peer, '"chunked",0,1', '"encoding",0,1,1')
    at.ask("AT+MHTTPREQUEST=0,2,0,2F78")
    far = peer.accept()
    at.urc('+MHTTPURC: "ind"')
    assert head_of(far).startswith(b"POST /x HTTP/1.1\r\n")
    assert at.ask('AT+MHTTPCONTENT=0,0,0,""') == ["+CME ERROR: 50"]
    assert at.ask('AT+MHTTPCONTENT=0,0,2,"0D0A"') == ["OK"]
    assert receive(far, 12) == b"2\r\n\r\n\r\n0\r\n\r\n"
    far.sendall(SHORT)
    head = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n".hex().upper()
    assert at.urc("+MHTTPURC:") == f'+MHTTPURC: "header",0,200,36,{head}'
    assert at.urc("+MHTTPURC:") == '+MHTTPURC: "content",0,2,2,2,6F6B'


def test_ind_without_line_end_by_switch(port: Open, peer: Peer) -> None:
    """ml307r.md 9 (esp 1c89139)."""
    at = port("ml307r", "ind_crlf=no")
    create(at, peer, '"chunked",0,1')
    at.ask('AT+MHTTPREQUEST=0,2,0,"/"')
    peer.accept()
    ind = b'\r\n+MHTTPURC: "ind",0'
    assert at.exactly(len(ind)) == ind
    assert at.raw("AT") == b"\r\nOK\r\n"


def test_inline_forms(at: Port, peer: Peer) -> None:
    """ml307r.md 4.2: raw and escaped text of the typed length, hexadecimal of twice the length; 0 is unchecked."""
    create(at, peer)
    assert at.ask('AT+MHTTPCONTENT=0,1,4,"a\\rb"') == ["OK"]
    assert at.ask('AT+MHTTPCONTENT=0,1,5,"abcd"') == ["+CME ERROR: 50"]
    assert at.ask('AT+MHTTPCONTENT=0,1,0,"{"a":1}"') == ["+CME ERROR: 50"]
    at.ask('AT+MHTTPCFG="encoding",0,1')
    for command in ("AT+MHTTPCONTENT=0,1,4,0d0a", "AT+MHTTPCONTENT=0,1,0,0d0", "AT+MHTTPCONTENT=0,1,0,0g"):
        assert at.ask(command) == ["+CME ERROR: 50"], command
    assert at.ask("AT+MHTTPCONTENT=0,1,2,0d0A") == ["OK"]
    at.ask('AT+MHTTPCFG="encoding",0,2')
    assert at.ask('AT+MHTTPCONTENT=0,1,7,"\\r\\n\\x00"') == ["+CME ERROR: 50"]
    assert at.ask('AT+MHTTPCONTENT=0,0,8,"\\r\\n\\x00"') == ["OK"]
    assert at.raw("AT+MHTTPCONTENT=0") == b"\r\n+MHTTPCONTENT: 0,9,a\\rb\r\n\r\n\x00\r\n\r\nOK\r\n"
    at.ask('AT+MHTTPREQUEST=0,2,0,"/"')
    far = peer.accept()
    assert head_of(far).endswith(b"Content-Length: 9\r\n\r\n")
    assert receive(far, 9) == b"a\\rb\r\n\r\n\x00"


def test_escapes_stay_at_the_prompt(at: Port, peer: Peer) -> None:
    """ml307r.md 6, row 2: prompt data is raw whatever the encoding."""
    create(at, peer, '"encoding",0,2')
    assert content(at, b"a\\r\\nb") == b"\r\nOK\r\n"
    at.ask('AT+MHTTPREQUEST=0,3,0,"/"')
    far = peer.accept()
    assert head_of(far).startswith(b"PUT / HTTP/1.1\r\n")
    assert receive(far, 6) == b"a\\r\\nb"


def test_quotes_inline_by_switch(port: Open, peer: Peer) -> None:
    """ml307r.md 10.12: the manual's own sample, 70 bytes with two literal backslash-r."""
    at = port("ml307r", "inline_quotes=yes")
    create(at, peer)
    data = '{"id":"speed1"\\r,"tags":["mobile"],"unit":"m/s"\\r,"unit_symbol":"m/s"}'
    assert at.ask(f'AT+MHTTPCONTENT=0,0,0,"{data}"') == ["OK"]
    at.ask('AT+MHTTPREQUEST=0,2,0,"/post"')
    far = peer.accept()
    assert head_of(far).endswith(b"Content-Length: 70\r\n\r\n")
    assert receive(far, 70) == data.encode()


def test_prompt_without_a_length(at: Port, peer: Peer) -> None:
    """ml307r.md 4.2: Ctrl-Z ends, ESC cancels; a length of 0 means the same; eof 2 clears."""
    create(at, peer)
    for start, end in ((b"AT+MHTTPCONTENT=0,1\r", b"\x1a"), (b"AT+MHTTPCONTENT=0,1,0\r", b"\x1b")):
        at.send(start)
        assert at.exactly(3) == b"\r\n>"
        at.send(b"text" + end)
        assert at.exactly(6) == b"\r\nOK\r\n"
    assert at.ask("AT+MHTTPCONTENT=0") == ["+MHTTPCONTENT: 0,4,text", "OK"]
    assert at.ask("AT+MHTTPCONTENT=0,2") == ["OK"]
    assert at.ask("AT+MHTTPCONTENT=0") == ["OK"]


def test_short_input_is_taken_after_its_timeout(at: Port, peer: Peer) -> None:
    """ml307r.md 6: by the manual what came is sent; an HTTP body is silently cut."""
    create(at, peer, '"timeout",0,60,0,1')
    at.send(b"AT+MHTTPCONTENT=0,0,100\r")
    at.exactly(3)
    at.send(b"short")
    assert at.exactly(6) == b"\r\nOK\r\n"
    assert at.ask("AT+MHTTPCONTENT=0") == ["+MHTTPCONTENT: 0,5,short", "OK"]


def test_order_and_limits(at: Port, peer: Peer) -> None:
    """ml307r.md 4.1 to 4.3 and 6, row 4: 652 not created, 653 busy or after the end, 50 beyond 4096."""
    assert at.ask("AT+MHTTPCONTENT=0,0,5") == ["+CME ERROR: 652"]
    create(at, peer)
    assert at.ask("AT+MHTTPCONTENT=0,0,4097") == ["+CME ERROR: 50"]
    assert at.ask("AT+MHTTPCONTENT=0,3,5") == ["+CME ERROR: 50"]
    assert at.ask('AT+MHTTPCONTENT=0,0,0,"all"') == ["OK"]
    assert at.ask('AT+MHTTPCONTENT=0,0,0,"more"') == ["+CME ERROR: 653"]
    at.ask('AT+MHTTPREQUEST=0,2,0,"/"')
    peer.accept()
    for command in (
        "AT+MHTTPCONTENT=0,0,5",
        'AT+MHTTPREQUEST=0,1,0,"/"',
        'AT+MHTTPCFG="chunked",0,1',
        "AT+MHTTPHEADER=0,0,0,A:b",
        "AT+MHTTPCONTENT=0,2",
    ):
        assert at.ask(command) == ["+CME ERROR: 653"], command
    assert at.ask('AT+MHTTPCFG="chunked",0') == ['+MHTTPCFG: "chunked",0,0', "OK"]
    # Stopping keeps the instance and its content (HTTP 3.8).
    assert at.ask("AT+MHTTPTERM=0") == ["OK"]
    assert at.ask("AT+MHTTPCONTENT=0") == ["+MHTTPCONTENT: 0,3,all", "OK"]


def test_instances(at: Port) -> None:
    """ml307r.md 4.1: ids 0 to 3, none free 651, bad URL 654; settings go with the instance."""
    for number in range(4):
        assert at.ask('AT+MHTTPCREATE="http://example.com:8080"') == [f"+MHTTPCREATE: {number}", "OK"]
    assert at.ask('AT+MHTTPCREATE="http://example.com"') == ["+CME ERROR: 651"]
    at.ask('AT+MHTTPCFG="chunked",2,1')
    assert at.ask("AT+MHTTPDEL=2") == ["OK"]
    assert at.ask("AT+MHTTPDEL=2") == ["+CME ERROR: 652"]
    for url in ("example.com", "ftp://example.com", "http://", "http://a:99999", "http://a/path"):
        assert at.ask(f'AT+MHTTPCREATE="{url}"') == ["+CME ERROR: 654"], url
    assert at.ask('AT+MHTTPCREATE="https://example.com/"') == ["+MHTTPCREATE: 2", "OK"]
    assert at.ask('AT+MHTTPCFG="chunked",2') == ['+MHTTPCFG: "chunked",2,0', "OK"]
    assert at.ask('AT+MHTTPREQUEST=2,1,0,"/"') == ["+CME ERROR: 655"]
    assert at.ask('AT+MHTTPREQUEST=1,1,0,"/","file"') == ["+CME ERROR: 658"]
    assert at.ask('AT+MHTTPREQUEST=1,6,0,"/"') == ["+CME ERROR: 50"]
    assert at.ask("AT+MHTTPREAD=1,1") == ["+CME ERROR: 3"]
    at.ask("AT+MIPCALL=0,1")
    at.urc("+MIPCALL:")
    assert at.ask('AT+MHTTPREQUEST=1,1,0,"/"') == ["+CME ERROR: 656"]


def test_settings(at: Port) -> None:
    """ml307r.md 4.1 and HTTP 3.1: defaults, limits, and the length of a header with its line end."""
    at.ask('AT+MHTTPCREATE="http://example.com"')
    assert at.ask("AT+MHTTPCFG?") == [
        '+MHTTPCFG: "chunked",0,0',
        '+MHTTPCFG: "cached",0,0',
        '+MHTTPCFG: "timeout",0,60,0,10',
        '+MHTTPCFG: "encoding",0,0,0',
        '+MHTTPCFG: "ssl",0,0',
        '+MHTTPCFG: "cid",0',
        '+MHTTPCFG: "fragment",0,0,0',
        '+MHTTPCFG: "urlencode",0,0',
        "OK",
    ]
    assert at.ask('AT+MHTTPCFG="header",0,"Connection: close"') == ["OK"]
    assert at.ask('AT+MHTTPCFG="header",0') == ['+MHTTPCFG: "header",0,19,Connection: close', "OK"]
    at.ask('AT+MHTTPCFG="cached",0,1')
    assert at.ask('AT+MHTTPCFG="cached"') == ['+MHTTPCFG: "cached",0,1,4096', "OK"]
    assert at.ask('AT+MHTTPCFG="timeout",0,,60') == ["OK"]
    assert at.ask('AT+MHTTPCFG="timeout",0') == ['+MHTTPCFG: "timeout",0,60,60,10', "OK"]
    for setting in (
        '"timeout",0,181', '"timeout",0,1,61', '"timeout",0,1,1,121', '"cached",0,1,8193', '"encoding",0,3',
        '"encoding",0,0,2', '"fragment",0,1025', '"fragment",0,1,2001', '"ssl",0,1,6', '"nosuch",0,1',
        '"header",0,"no colon"', f'"header",0,"A: {"x" * 1022}"',
    ):  # fmt: skip
        assert at.ask(f"AT+MHTTPCFG={setting}") == ["+CME ERROR: 50"], setting
    assert at.ask('AT+MHTTPCFG="chunked",1,1') == ["+CME ERROR: 652"]


def test_headers(at: Port, peer: Peer) -> None:
    """ml307r.md 4.1: MHTTPHEADER counts for one request and replaces the common header of its name."""
    create(at, peer, '"header",0,"X-One: common"', '"header",0,"X-Two: kept"')
    assert at.ask('AT+MHTTPHEADER=0,1,0,"x-one: special"') == ["OK"]
    at.send(b"AT+MHTTPHEADER=0,0,12\r")
    assert at.exactly(3) == b"\r\n>"
    at.send(b'X-Three: "q"')
    assert at.exactly(6) == b"\r\nOK\r\n"
    for expected in (
        b'x-one: special\r\nX-Two: kept\r\nX-Three: "q"\r\n\r\n',
        b"X-One: common\r\nX-Two: kept\r\n\r\n",
    ):
        assert at.ask('AT+MHTTPREQUEST=0,4,0,"/"') == ["OK"]
        far = peer.accept()
        assert head_of(far).endswith(b"Content-Length: 0\r\n" + expected)
        short_answer(at, far)


def test_urlencode(at: Port, peer: Peer) -> None:
    """HTTP 3.1: everything but letters, digits and -_.!~*'();/?:@&=+$,# is encoded."""
    create(at, peer, '"urlencode",0,1')
    at.ask('AT+MHTTPREQUEST=0,1,0,"/a b?c=d^e&f=(g)"')
    assert head_of(peer.accept()).startswith(b"GET /a%20b?c=d%5Ee&f=(g) HTTP/1.1\r\n")


def test_pieces_of_content(at: Port, peer: Peer) -> None:
    """ml307r.md 4.3: running sums; a chunked answer has length 0 and ends with an empty piece; fragment."""
    create(at, peer, '"fragment",0,4,1')
    at.ask('AT+MHTTPREQUEST=0,1,0,"/"')
    far = peer.accept()
    far.sendall(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n6;x=y\r\nab\r\ncd\r\n0\r\nT: x\r\n\r\n")
    at.urc('+MHTTPURC: "header"')
    expected = (
        b'\r\n+MHTTPURC: "content",0,0,4,4,ab\r\n\r\n'
        b'\r\n+MHTTPURC: "content",0,0,6,2,cd\r\n'
        b'\r\n+MHTTPURC: "content",0,0,6,0,\r\n'
    )
    assert at.until(b",6,0,\r\n").endswith(expected)


def test_cached_mode(at: Port, peer: Peer) -> None:
    """HTTP 3.6 and 4.3: "recv" tells the sizes; MHTTPREAD takes out of the cache."""
    create(at, peer, '"cached",0,1')
    assert at.ask("AT+MHTTPREAD=0,1") == ["+MHTTPREAD: 0,1,0", "OK"]
    at.ask('AT+MHTTPREQUEST=0,1,0,"/get"')
    peer.accept().sendall(SAMPLE)
    assert at.urc("+MHTTPURC:") == '+MHTTPURC: "recv",0,200,225,145'
    assert at.raw("AT+MHTTPREAD=0,0,225") == b"\r\n+MHTTPREAD: 0,0,0,225," + SAMPLE_HEAD + b"\r\n\r\nOK\r\n"
    assert at.ask("AT+MHTTPREAD=0,1") == ["+MHTTPREAD: 0,1,145", "OK"]
    assert at.raw("AT+MHTTPREAD=0,1,45") == b"\r\n+MHTTPREAD: 0,1,100,45," + SAMPLE_BODY[:45] + b"\r\n\r\nOK\r\n"
    assert at.raw("AT+MHTTPREAD=0,1,0") == b"\r\n+MHTTPREAD: 0,1,0,100," + SAMPLE_BODY[45:] + b"\r\n\r\nOK\r\n"


def test_cache_too_small(at: Port, peer: Peer) -> None:
    """ml307r.md 4.3: err 8."""
    create(at, peer, '"cached",0,1,144')
    at.ask('AT+MHTTPREQUEST=0,1,0,"/get"')
    peer.accept().sendall(SAMPLE)
    assert at.urc("+MHTTPURC:") == '+MHTTPURC: "err",0,8'


def test_errors(at: Port, peer: Peer) -> None:
    """ml307r.md 4.3: 1 name, 2 refused, 5 broken off, 6 no answer in time, 7 not HTTP."""
    at.ask('AT+MHTTPCREATE="http://no-such-name.invalid"')
    at.ask(f'AT+MHTTPCREATE="http://127.0.0.1:{free_port()}"')
    for number, code in ((0, 1), (1, 2)):
        assert at.ask(f'AT+MHTTPREQUEST={number},1,0,"/"') == ["OK"]
        assert at.urc("+MHTTPURC:") == f'+MHTTPURC: "err",{number},{code}'
    at.ask("AT+MHTTPDEL=0;+MHTTPDEL=1")
    create(at, peer, '"timeout",0,60,1')
    for answer, code in ((b"", 5), (b"HTTP/1.1 200", 5), (b"SSH-2.0\r\n\r\n", 7), (None, 6)):
        assert at.ask('AT+MHTTPREQUEST=0,1,0,"/"') == ["OK"]
        far = peer.accept()
        head_of(far)
        if answer is not None:
            far.sendall(answer)
            far.close()
        assert at.urc("+MHTTPURC:") == f'+MHTTPURC: "err",0,{code}', answer
    assert at.ask('AT+MHTTPREQUEST=0,1,0,"/"') == ["OK"]
    far = peer.accept()
    head_of(far)
    reset(far)
    assert at.urc("+MHTTPURC:") == '+MHTTPURC: "err",0,5'


def test_answer_before_the_body_ends(at: Port, peer: Peer) -> None:
    """ml307r.md 6, row 5: a server that refuses chunked bodies; header 411, then nothing more to send to."""
    create(at, peer, '"chunked",0,1')
    at.ask('AT+MHTTPREQUEST=0,2,0,"/"')
    far = peer.accept()
    at.urc('+MHTTPURC: "ind"')
    assert content(at, b"first", eof=1) == b"\r\nOK\r\n"
    head_of(far)
    far.sendall(b"HTTP/1.1 411 Length Required\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
    assert at.urc("+MHTTPURC:").startswith('+MHTTPURC: "header",0,411,')
    assert at.ask("AT+MHTTPCONTENT=0,1,5")[-1] == "+CME ERROR: 653"


def test_redirect(at: Port, peer: Peer) -> None:
    """HTTP 3.5, note: redirects are followed; the host sees the last answer."""
    create(at, peer)
    at.ask('AT+MHTTPREQUEST=0,1,0,"/old"')
    far = peer.accept()
    head_of(far)
    far.sendall(b"HTTP/1.1 302 Found\r\nLocation: /new?x=1\r\nContent-Length: 3\r\n\r\nbye")
    again = peer.accept()
    assert head_of(again).startswith(b"GET /new?x=1 HTTP/1.1\r\n")
    short_answer(at, again)


def test_redirect_by_switch(port: Open, peer: Peer) -> None:
    """No source shows a redirect on the wire."""
    at = port("ml307r", "mhttp_redirect=no")
    create(at, peer)
    at.ask('AT+MHTTPREQUEST=0,1,0,"/old"')
    peer.accept().sendall(b"HTTP/1.1 302 Found\r\nLocation: /new\r\nContent-Length: 0\r\n\r\n")
    assert at.urc("+MHTTPURC:").startswith('+MHTTPURC: "header",0,302,')


def test_head_and_no_content(at: Port, peer: Peer) -> None:
    """RFC 9110: no content follows; so there is no "content" line, either."""
    create(at, peer)
    ok, nothing = b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n", b"HTTP/1.1 204 No Content\r\n\r\n"
    for method, answer in ((5, ok), (2, nothing)):
        at.ask(f'AT+MHTTPREQUEST=0,{method},0,"/"')
        peer.accept().sendall(answer)
        at.until(b"\r\n\r\n")
        assert at.raw("AT") == b"\r\nOK\r\n"


def test_deleting_too_fast_by_switch(port: Open) -> None:
    """ml307r.md 4.1 (OCPU): 100 ms between two deletes."""
    at = port("ml307r", "delete_needs_100ms=yes")
    at.ask('AT+MHTTPCREATE="http://a";+MHTTPCREATE="http://b"')
    assert at.ask("AT+MHTTPDEL=0;+MHTTPDEL=1") == ["+CME ERROR: 653"]
