"""An HTTPS server that keeps what it gets, byte for byte: Flask under gunicorn, signed by a throw-away authority."""

from dataclasses import dataclass
from hashlib import sha256
import json
from pathlib import Path
import socket
import ssl
import sys

import trustme

from .children import Child, Children


@dataclass(frozen=True, slots=True)
class Received:
    """One request as it arrived."""

    method: str
    path: str
    headers: list[tuple[str, str]]
    form: dict[str, str]
    body: bytes
    files: dict[str, bytes]

    @property
    def picture(self) -> bytes:
        """Return the first file of a multipart body, else the body itself."""
        return next(iter(self.files.values()), self.body)


@dataclass(frozen=True, slots=True)
class Receiver:
    """A server that is up."""

    child: Child
    url: str
    ca_pem: str
    folder: Path

    def received(self) -> list[Received]:
        """Return every request that has arrived whole, oldest first."""
        return [_read(note) for note in sorted(self.folder.glob("*.json"))]


def start_receiver(children: Children, folder: Path, *, tls: bool = True) -> Receiver:
    """Start the server on a free port of this machine and wait until it answers."""
    store = folder / "received"
    store.mkdir()
    listener = socket.create_server(("127.0.0.1", 0))
    port: int = listener.getsockname()[1]
    argv: list[str | Path] = [sys.executable, "-m", "gunicorn", "--chdir", Path(__file__).parent]
    argv += [
        "--worker-class",
        "gthread",
        "--threads",
        "4",
        "--no-control-socket",
        "--bind",
        f"fd://{listener.fileno()}",
    ]
    ca_pem = ""
    context: ssl.SSLContext | None = None
    if tls:
        ca = trustme.CA(organization_name="Cellular Uplink demo")
        ca_pem = ca.cert_pem.bytes().decode()
        certificate = ca.issue_cert("localhost", "127.0.0.1")
        key, chain = folder / "server.key", folder / "server.pem"
        key.touch(mode=0o600)
        certificate.private_key_pem.write_to_path(str(key))
        chain.write_bytes(b"".join(blob.bytes() for blob in certificate.cert_chain_pems))
        argv += ["--keyfile", key, "--certfile", chain]
        context = ssl.create_default_context(cadata=ca_pem)
    child = children.start(
        "HTTPS server" if tls else "HTTP server",
        [*argv, "receiver_app:app"],
        cwd=folder,
        set_env={"RECEIVER_FOLDER": str(store)},
        pass_fds=[listener.fileno()],
    )
    listener.close()
    children.wait_for(child, "starting", 15, lambda: _answers(port, context))
    return Receiver(child, f"http{'s' if tls else ''}://localhost:{port}/upload", ca_pem, store)


def digest(content: bytes) -> str:
    """Return the SHA-256 of `content` in hexadecimal."""
    return sha256(content).hexdigest()


def _answers(port: int, context: ssl.SSLContext | None) -> bool | None:
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=1) as connection:
            stream = context.wrap_socket(connection, server_hostname="localhost") if context else connection
            with stream:
                stream.sendall(b"GET /ready HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
                return True if stream.recv(12).endswith(b"200") else None
    except OSError:
        return None


def _read(note: Path) -> Received:
    told = json.loads(note.read_text())
    return Received(
        method=told["method"],
        path=told["path"],
        headers=[(name, value) for name, value in told["headers"]],
        form=told["form"],
        body=note.with_suffix(".body").read_bytes(),
        files={name: note.with_suffix(f".file{index}").read_bytes() for index, name in enumerate(told["files"])},
    )
