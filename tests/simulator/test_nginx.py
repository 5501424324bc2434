"""Another maker's server: nginx, where Debian's is installed, in front of the Flask application."""

from collections.abc import Iterator
import contextlib
import hashlib
from pathlib import Path
import shutil
import socket
import subprocess
import time

import pytest

from .bg96_at import read, ready, request, set_url, upload
from .conftest import Start
from .plain_at import PATIENCE_S, Port
from .web import Authority, Web, gunicorn

NGINX = shutil.which("nginx", path="/usr/sbin:/usr/local/sbin:/usr/bin")
pytestmark = [
    pytest.mark.skipif(NGINX is None, reason="nginx is not installed"),
    pytest.mark.usefixtures("socket_enabled"),
]

CONFIGURATION = """
daemon off;
master_process off;
pid {folder}/nginx.pid;
error_log {folder}/error.log;
events {{ worker_connections 64; }}
http {{
    access_log off;
    client_body_temp_path {folder}/body;
    proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi;
    scgi_temp_path {folder}/scgi;
    client_max_body_size 1m;
    server {{
        listen 127.0.0.1:{plain};
        listen 127.0.0.1:{tls} ssl;
        ssl_certificate {folder}/nginx.pem;
        ssl_certificate_key {folder}/nginx.pem;
        location / {{ proxy_pass {behind}; proxy_set_header Host $http_host; }}
    }}
}}
"""


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port: int = server.getsockname()[1]
    return port


@contextlib.contextmanager
def nginx(folder: Path, behind: Web) -> Iterator[dict[str, str]]:
    """Run nginx before `behind`; gives host and port for http and for https."""
    ports = {"http": free_port(), "https": free_port()}
    (folder / "nginx.pem").write_bytes(Authority().issue("127.0.0.1"))
    configuration = folder / "nginx.conf"
    configuration.write_text(
        CONFIGURATION.format(folder=folder, plain=ports["http"], tls=ports["https"], behind=behind.url)
    )
    assert NGINX is not None
    process = subprocess.Popen([NGINX, "-e", folder / "error.log", "-c", configuration], cwd=folder)
    try:
        deadline = time.monotonic() + PATIENCE_S
        while True:
            with contextlib.suppress(ConnectionRefusedError), socket.create_connection(("127.0.0.1", ports["https"])):
                break
            assert process.poll() is None, (folder / "error.log").read_text()
            assert time.monotonic() < deadline
        yield {scheme: f"127.0.0.1:{port}" for scheme, port in ports.items()}
    finally:
        process.terminate()
        process.wait(PATIENCE_S)


@pytest.mark.parametrize("scheme", ["http", "https"])
def test_bg96_posts_a_file(start: Start, tmp_path: Path, scheme: str) -> None:
    """bg96.md 2.1: URL, file, QHTTPPOSTFILE, QHTTPREAD; the TLS is the module's and verifies nothing by default."""
    with gunicorn(tmp_path) as web, nginx(tmp_path, web) as hosts:
        at = Port(start("bg96").path)
        at.raw("ATE0")
        ready(at)
        assert at.ask('AT+QHTTPCFG="requestheader",1') == ["OK"]
        set_url(at, f"{scheme}://{hosts[scheme]}/post")
        wire = request(hosts[scheme], 20_000)
        upload(at, "UP.TMP", wire)
        assert at.ask('AT+QHTTPPOSTFILE="UP.TMP",60') == ["OK"]
        assert at.urc("+QHTTPPOSTFILE:").startswith("+QHTTPPOSTFILE: 0,200")
        body = wire.partition(b"\r\n\r\n")[2]
        assert str(len(body)).encode() in read(at)
        (seen,) = web.seen()
        at.close()
    assert seen["sha256"] == hashlib.sha256(body).hexdigest()


@pytest.mark.parametrize("scheme", ["http", "https"])
def test_ml307r_posts_content(start: Start, tmp_path: Path, scheme: str) -> None:
    """ml307r.md 4.2: content at the prompt, in pieces, before the request."""
    with gunicorn(tmp_path) as web, nginx(tmp_path, web) as hosts:
        at = Port(start("ml307r").path)
        at.raw("ATE0")
        assert at.ask(f'AT+MHTTPCREATE="{scheme}://{hosts[scheme]}"')[-1] == "OK"
        if scheme == "https":
            assert at.ask('AT+MHTTPCFG="ssl",0,1,0') == ["OK"]
        body = bytes(range(256)) * 30
        for begin in range(0, len(body), 4096):
            piece = body[begin : begin + 4096]
            at.send(f"AT+MHTTPCONTENT=0,{int(begin + 4096 < len(body))},{len(piece)}\r".encode())
            at.until(b">")
            at.send(piece)
            assert at.until(b"OK\r\n").endswith(b"\r\nOK\r\n")
        assert at.ask('AT+MHTTPREQUEST=0,2,0,"/post"') == ["OK"]
        assert ",200," in at.urc('+MHTTPURC: "header"')
        at.urc('+MHTTPURC: "content"')
        (seen,) = web.seen()
        at.close()
    assert seen["sha256"] == hashlib.sha256(body).hexdigest()


def test_bg96_socket(start: Start, tmp_path: Path) -> None:
    """bg96.md 4: a request by QISEND over a plain socket, its answer by QIRD."""
    with gunicorn(tmp_path) as web, nginx(tmp_path, web) as hosts:
        at = Port(start("bg96", "--set", "urc_port=uart1").path)
        at.raw("ATE0")
        ready(at)
        host, _, port = hosts["http"].partition(":")
        at.ask(f'AT+QIOPEN=1,0,"TCP","{host}",{port},0,0')
        assert at.urc("+QIOPEN:") == "+QIOPEN: 0,0"
        wire = request(hosts["http"], 1400)
        at.send(f"AT+QISEND=0,{len(wire)}\r".encode())
        at.until(b"> ")
        at.send(wire)
        at.until(b"SEND OK\r\n")
        at.urc('+QIURC: "recv",0')
        assert b"200 OK" in at.raw("AT+QIRD=0,1500")
        (seen,) = web.seen()
        at.close()
    assert seen["sha256"] == hashlib.sha256(wire.partition(b"\r\n\r\n")[2]).hexdigest()
