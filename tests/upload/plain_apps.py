"""Flask as beginners write it, kept small: answers 200 and says what arrived. Runs under gunicorn or by itself."""

from hashlib import sha256
import sys
from typing import Any

from flask import Flask, request

app = Flask(__name__)


@app.post("/upload")
def upload() -> dict[str, Any]:
    """Say length and digest of the file, or of the body where there is none."""
    file = request.files.get("file")
    content = file.read() if file else request.get_data()
    return {
        "bytes": len(content),
        "sha256": sha256(content).hexdigest(),
        "form": request.form.to_dict(),
        "name": file.filename if file else None,
        "sent_bytes": request.content_length,
    }


if __name__ == "__main__":
    app.run("127.0.0.1", int(sys.argv[1]))
