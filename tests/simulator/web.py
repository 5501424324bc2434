"""Real web servers for the tests: Flask under gunicorn in child processes, and a server driven by hand."""

from collections.abc import Iterator
import contextlib
import json
import os
from pathlib import Path
import re
import subprocess
import sys
from typing import IO, Any

import trustme

from .plain_at import PATIENCE_S

HERE = Path(__file__).parent


class Authority:
    """A certificate authority with RSA keys, as a BG96 wants them."""

    def __init__(self) -> None:
        self._ca = trustme.CA(key_type=trustme.KeyType.RSA)
        self.pem: bytes = self._ca.cert_pem.bytes()

    def issue(self, *names: str, **more: Any) -> bytes:
        """A server's private key and chain."""
        more.setdefault("key_type", trustme.KeyType.RSA)
        return self._ca.issue_cert(*names, **more).private_key_and_cert_chain_pem.bytes()


class Web:
    """A gunicorn that runs the upload application."""

    def __init__(self, scheme: str, port: int, notes: Path) -> None:
        self.url = f"{scheme}://127.0.0.1:{port}"
        self.host = f"127.0.0.1:{port}"
        self._notes = notes

    def seen(self) -> list[dict[str, Any]]:
        """What the application was sent so far."""
        if not self._notes.exists():
            return []
        return [json.loads(row) for row in self._notes.read_text(encoding="utf-8").splitlines()]


@contextlib.contextmanager
def gunicorn(folder: Path, identity: bytes | None = None) -> Iterator[Web]:
    """Run the application on a free port of loopback; with TLS if there is a key and a certificate."""
    notes = folder / "notes.jsonl"
    command = [sys.executable, "-m", "gunicorn", "--bind", "127.0.0.1:0", "--chdir", str(HERE)]
    command += ["--worker-class", "gthread", "--threads", "8", "--no-control-socket", "upload_app:app"]
    if identity:
        path = folder / "server.pem"
        path.write_bytes(identity)
        command += ["--certfile", str(path), "--keyfile", str(path)]
    environment = os.environ | {"UPLOAD_NOTES": str(notes)}
    process = subprocess.Popen(command, env=environment, stderr=subprocess.PIPE)
    assert process.stderr is not None
    try:
        yield Web("https" if identity else "http", _listening(process.stderr), notes)
    finally:
        process.terminate()
        process.communicate(timeout=PATIENCE_S)


def _listening(log: IO[bytes]) -> int:
    """The port gunicorn says it has taken."""
    for line in log:
        if match := re.search(rb"Listening at: https?://127\.0\.0\.1:(\d+)", line):
            return int(match[1])
    raise AssertionError("gunicorn did not start")
