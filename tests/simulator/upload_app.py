"""A small Flask application that notes what it was sent; run by gunicorn in a process of its own."""

import hashlib
import json
import os
from pathlib import Path

from flask import Flask, Response, request

app = Flask(__name__)
NOTES = Path(os.environ["UPLOAD_NOTES"])


@app.route("/post", methods=["POST"])
def post() -> Response:
    body = request.get_data()
    row = {
        "length": len(body),
        "sha256": hashlib.sha256(body).hexdigest(),
        "headers": dict(request.headers),
        "query": request.query_string.decode(),
    }
    with NOTES.open("a", encoding="utf-8") as notes:
        notes.write(json.dumps(row) + "\n")
    return Response(f"got {len(body)}", content_type="text/plain")


@app.route("/pieces")
def pieces() -> Response:
    return Response((piece for piece in ("one\r\n", "OK\r\n", "+QIURC: \r\n", "end")), content_type="text/plain")


@app.route("/bytes")
def all_bytes() -> Response:
    return Response(bytes(range(256)) * 20, content_type="application/octet-stream")
