"""Stands in for Qiniu's upload hosts: checks token, crc32 and multipart strictly, keeps what it stores.

Written from facts/ml307r.md section 7 with werkzeug's form parser; it shares no code with the engine. The official SDK
uploads to it in test_qiniu_server.py.
"""

import asyncio
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from hashlib import sha1
import hmac
from io import BytesIO
import itertools
import json
import re
import ssl
import threading
import time
from typing import Any
from zlib import crc32

from aiohttp import web
from werkzeug.datastructures import FileStorage, MultiDict
from werkzeug.exceptions import HTTPException
from werkzeug.formparser import MultiPartParser

ACCESS_KEY = "MY_ACCESS_KEY"
SECRET_KEY = "MY_SECRET_KEY"
BUCKET = "my-bucket"
MAX_KEY_BYTES = 750


@dataclass(frozen=True)
class Stored:
    """A file in a bucket."""

    content: bytes
    hash: str
    file_name: str
    content_type: str
    custom: dict[str, str]


@dataclass(frozen=True)
class Seen:
    """A request and how it was answered; `status` 0 means that the connection was closed instead."""

    status: int
    why: str
    headers: dict[str, str]
    body: bytes
    fields: tuple[str, ...] = ()
    policy: dict[str, Any] = field(default_factory=dict)


class Refusal(Exception):  # noqa: N818 - an answer, not a fault of the server
    """An answer other than 200."""

    def __init__(self, status: int, why: str) -> None:
        super().__init__(why)
        self.status = status
        self.why = why


@dataclass
class QiniuServer:
    """Buckets, keys, and faults to come.

    `faults` are used up by one upload each: "lost" stores and closes the connection, "callback" stores and answers
    579, "corrupt" finds another crc32 than the form says, "portal" answers in Qiniu's place, and a number is
    answered without storing.
    """

    url: str = ""
    https_url: str = ""
    keys: dict[str, str] = field(default_factory=lambda: {ACCESS_KEY: SECRET_KEY})
    objects: dict[str, dict[str, Stored]] = field(default_factory=lambda: {BUCKET: {}})
    faults: list[str | int] = field(default_factory=list)
    seen: list[Seen] = field(default_factory=list)
    region: str | None = None
    """The upload host to use instead, where the bucket lies in another region."""
    same_content_exists: bool = False
    """Answer 614 also where the same content is there already; the live service takes that for success."""
    clock: Callable[[], float] = time.time
    _numbers: Iterator[int] = field(default_factory=lambda: itertools.count(1))

    @property
    def files(self) -> dict[str, Stored]:
        """Return what the first bucket holds."""
        return next(iter(self.objects.values()))

    async def handle(self, request: web.Request) -> web.StreamResponse:
        """Answer one request."""
        headers = dict(request.headers)
        if request.method != "POST":
            return self._answered(Seen(405, "method", headers, b""))
        if "Content-Length" not in request.headers or "Transfer-Encoding" in request.headers:
            self.seen.append(Seen(411, "chunked", headers, b""))
            text = "<html><head><title>411 Length Required</title></head></html>"
            return web.Response(status=411, text=text, content_type="text/html")
        body = await request.read()
        form = Form()
        fault = self.faults.pop(0) if self.faults else None
        if fault == "portal":
            self.seen.append(Seen(200, "portal", headers, body))
            return web.Response(text="<html>Please log in to your operator</html>", content_type="text/html")
        try:
            _raise_if(fault)
            form = parse(request.headers.get("Content-Type", ""), body)
            key, stored = self._store(form, corrupt=fault == "corrupt")
        except Refusal as refusal:
            return self._answered(Seen(refusal.status, refusal.why, headers, body, tuple(form.fields), form.policy))
        status = {"lost": 0, "callback": 579}.get(str(fault), 200)
        self.seen.append(Seen(status, str(fault or "stored"), headers, body, tuple(form.fields), form.policy))
        if status == 0:
            assert request.transport is not None
            request.transport.abort()
            return web.Response()
        if status == 579:
            return self._reply(579, {"error": "callback failed"})
        return self._reply(200, {"hash": stored.hash, "key": key})

    def _store(self, form: Form, *, corrupt: bool) -> tuple[str, Stored]:
        policy = form.policy = self._checked_policy(form.fields.get("token"))
        bucket, _, scope_key = str(policy["scope"]).partition(":")
        if self.region is not None:
            raise Refusal(400, f"incorrect region, please use {self.region}")
        if bucket not in self.objects:
            raise Refusal(631, "no such bucket")
        found = etag(form.content)
        key = form.fields.get("key", policy.get("saveKey", found))
        if scope_key and key != scope_key:
            raise Refusal(403, "key doesn't match scope")
        if len(key.encode()) > MAX_KEY_BYTES:
            raise Refusal(400, "key too long")
        if len(form.content) > policy.get("fsizeLimit", len(form.content)):
            raise Refusal(413, "request entity too large")
        if "crc32" in form.fields:
            if not form.fields["crc32"].isdecimal():
                raise Refusal(400, "invalid crc32")
            if corrupt or int(form.fields["crc32"]) != crc32(form.content):
                raise Refusal(406, "crc32 not match")
        there = self.objects[bucket].get(key)
        insert_only = policy.get("insertOnly") or not scope_key
        if there is not None and insert_only and (self.same_content_exists or there.hash != found):
            raise Refusal(614, "file exists")
        custom = {name: value for name, value in form.fields.items() if name.startswith(("x:", "x-qn-meta-"))}
        stored = Stored(form.content, found, form.file_name, form.content_type, custom)
        self.objects[bucket][key] = stored
        return key, stored

    def _checked_policy(self, token: str | None) -> dict[str, Any]:
        if not token:
            raise Refusal(401, "token not specified")
        access_key, _, rest = token.partition(":")
        signature, _, encoded = rest.partition(":")
        try:
            given, text = urlsafe_b64decode(signature), urlsafe_b64decode(encoded)
            policy = json.loads(text)
            scope, deadline = policy["scope"], policy["deadline"]
        except (ValueError, KeyError, TypeError) as err:
            raise Refusal(401, "bad token") from err
        if b"\n" in text or re.search(rb'[:,] +["0-9{]', text):
            raise Refusal(401, "bad token")  # stricter than live: the policy is to be compact
        secret = self.keys.get(access_key)
        if secret is None or not hmac.compare_digest(given, hmac.digest(secret.encode(), encoded.encode(), "sha1")):
            raise Refusal(401, "bad token")
        if not isinstance(scope, str) or not scope or not isinstance(deadline, int):
            raise Refusal(401, "bad token")
        if deadline < self.clock():  # now, that is at the end of the upload
            raise Refusal(401, "token out of date")
        return dict(policy)

    def _answered(self, seen: Seen) -> web.Response:
        self.seen.append(seen)
        return self._reply(seen.status, {"error": seen.why})

    def _reply(self, status: int, told: dict[str, str]) -> web.Response:
        headers = {"X-Reqid": f"{next(self._numbers):016x}", "X-Log": "X-Log", "Cache-Control": "no-store"}
        return web.json_response(told, status=status, headers=headers)


@dataclass
class Form:
    """A form as it was sent: fields in their order, and the file."""

    fields: dict[str, str] = field(default_factory=dict)
    content: bytes = b""
    file_name: str = ""
    content_type: str = ""
    policy: dict[str, Any] = field(default_factory=dict)


def parse(content_type: str, body: bytes) -> Form:
    """Read a multipart form with werkzeug, after checks of the raw bytes that werkzeug is lenient about."""
    found = re.fullmatch(r'multipart/form-data; *boundary="?([0-9A-Za-z\'()+_,./:=?-]{1,70})"?', content_type)
    if not found:
        raise Refusal(400, "invalid content type")
    boundary = found[1].encode()
    delimiter = b"\r\n--" + boundary
    first, last = b"--" + boundary + b"\r\n", delimiter + b"--\r\n"
    if not body.startswith(first) or not body.endswith(last):
        raise Refusal(400, "invalid multipart format")
    parts = (b"\r\n" + body.removesuffix(b"--\r\n")).removesuffix(delimiter).split(delimiter)[1:]
    names: list[bytes] = []
    for part in parts:
        head, blank, _ = part.partition(b"\r\n\r\n")
        lines = head.split(b"\r\n")
        if not blank or lines.pop(0) or any(b"\r" in line or b"\n" in line or b":" not in line for line in lines):
            raise Refusal(400, "invalid multipart format")
        name = re.search(rb'(?i)content-disposition: *form-data; *name="([^"]+)"(; *filename="[^"]+")?$', lines[0])
        if not name:
            raise Refusal(400, "invalid multipart format")
        names.append(name[1])
        if (name[1] == b"file") != bool(name[2]):
            raise Refusal(400, "file is not specified" if name[1] == b"file" else "invalid multipart format")
    if len(set(names)) < len(names) or not names or names[-1] != b"file":
        raise Refusal(400, "file is not specified" if b"file" not in names else "invalid multipart format")
    try:
        form, files = MultiPartParser(max_form_memory_size=None).parse(BytesIO(body), boundary, len(body))
    except (ValueError, HTTPException) as err:
        raise Refusal(400, "invalid multipart format") from err
    return _form(form, files)


def _raise_if(fault: str | int | None) -> None:
    if isinstance(fault, int):
        raise Refusal(fault, "as told")


def _form(form: MultiDict[str, str], files: MultiDict[str, FileStorage]) -> Form:
    file = files["file"]
    return Form(form.to_dict(), file.read(), file.filename or "", file.content_type or "")


def etag(content: bytes) -> str:
    """Hash a file as Qiniu does."""
    size = 1 << 22
    if len(content) <= size:
        return urlsafe_b64encode(b"\x16" + sha1(content, usedforsecurity=False).digest()).decode()
    blocks = (content[at : at + size] for at in range(0, len(content), size))
    joined = b"".join(sha1(block, usedforsecurity=False).digest() for block in blocks)
    return urlsafe_b64encode(b"\x96" + sha1(joined, usedforsecurity=False).digest()).decode()


@contextmanager
def running(context: ssl.SSLContext | None = None) -> Iterator[QiniuServer]:
    """Run the stand-in on free ports of 127.0.0.1, in a thread of its own; with a context also over https."""
    server = QiniuServer()
    ready = threading.Event()
    stop = asyncio.Event()
    loop: asyncio.AbstractEventLoop | None = None

    async def serve() -> None:
        nonlocal loop
        loop = asyncio.get_running_loop()
        loop.set_exception_handler(lambda *_: None)
        app = web.Application(client_max_size=50_000_000)
        app.router.add_route("*", "/", server.handle)
        runner = web.AppRunner(app, shutdown_timeout=1)
        await runner.setup()
        for ssl_context in (None, context) if context else (None,):
            await web.TCPSite(runner, "127.0.0.1", 0, ssl_context=ssl_context).start()
        ports = [address[1] for address in runner.addresses]
        server.url = f"http://127.0.0.1:{ports[0]}/"
        server.https_url = f"https://localhost:{ports[1]}/" if context else ""
        ready.set()
        await stop.wait()
        await runner.cleanup()

    thread = threading.Thread(target=asyncio.run, args=(serve(),), kwargs={"loop_factory": asyncio.SelectorEventLoop})
    thread.start()
    try:
        assert ready.wait(10)
        yield server
    finally:
        if loop is not None:
            loop.call_soon_threadsafe(stop.set)
        thread.join()
