"""The application gunicorn runs (see receiver.py): keeps each request in RECEIVER_FOLDER and says what it counted."""

from hashlib import sha256
import itertools
import json
import os
from pathlib import Path
import threading

from flask import Flask, Response, jsonify, request

app = Flask(__name__)
_folder = Path(os.environ["RECEIVER_FOLDER"])
_numbers = itertools.count(1)
_lock = threading.Lock()


@app.get("/ready")
def ready() -> str:
    """Say that we are up."""
    return "ready\n"


@app.route("/upload", methods=["POST", "PUT"])
def upload() -> tuple[Response, int]:
    """Keep one request: body, headers, form fields and files, the note last, so that a note means it is whole."""
    body = request.get_data(cache=True, parse_form_data=False)
    files = {name: storage.read() for name, storage in request.files.items()}
    with _lock:
        note = _folder / f"{next(_numbers):04}.json"
    note.with_suffix(".body").write_bytes(body)
    for index, content in enumerate(files.values()):
        note.with_suffix(f".file{index}").write_bytes(content)
    told = {
        "method": request.method,
        "path": request.full_path.rstrip("?"),
        "headers": list(request.headers.items()),
        "form": request.form.to_dict(),
        "files": list(files),
    }
    partial = note.with_suffix(".partial")
    partial.write_text(json.dumps(told))
    partial.rename(note)
    picture = next(iter(files.values()), body)
    return jsonify(bytes=len(picture), sha256=sha256(picture).hexdigest()), 201
