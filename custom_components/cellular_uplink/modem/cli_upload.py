"""`upload` on the command line: its options, what they mean, and its result in words."""

import argparse
import asyncio
from collections.abc import Callable
from dataclasses import dataclass
import mimetypes
from pathlib import Path
import ssl
import sys
import time
from typing import TextIO

from . import cli_qiniu, explain
from .cli_state import read_memory, write_memory
from .errors import InputError
from .quirks.loader import load_quirks
from .routes.plan import HttpCommand, RouteName, TlsPlace
from .routes.tls import build_ssl_context
from .upload.choices import Choices, check_choices
from .upload.engine import Modem, UploadEngine, check_timeout
from .upload.request import (
    MAX_BODY_BYTES,
    Destination,
    Picture,
    UploadFormat,
    check_destination,
    check_picture,
)
from .upload.result import Progress, UploadResult, UploadState


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """One upload as it was asked for."""

    destination: Destination
    picture: Picture
    choices: Choices
    ssl_context: ssl.SSLContext | None = None
    timeout_s: float | None = None
    state: Path | None = None
    quirks: Path | None = None


# --- what the user asked for -------------------------------------------------------------------------------------


def add_options(upload: argparse.ArgumentParser) -> None:
    """Declare the options of `upload`."""
    upload.add_argument("file", metavar="FILE")
    upload.add_argument("--url", help="address of the server; --format qiniu knows its own")
    upload.add_argument("--method", default="POST", help="POST (default) or PUT")
    upload.add_argument("--format", default=UploadFormat.RAW.value, choices=[kind.value for kind in UploadFormat])
    upload.add_argument("--file-field", default="file", metavar="NAME", help="part or member with the picture (file)")
    upload.add_argument("--field", action="append", default=[], metavar="K=V", help="form field or JSON member")
    upload.add_argument("--header", action="append", default=[], metavar="'K: V'")
    trust = upload.add_mutually_exclusive_group()
    trust.add_argument("--ca", metavar="PEM", help="trust only the certificates in this file")
    trust.add_argument("--insecure", action="store_true", help="check no certificate")
    upload.add_argument("--timeout", type=float, metavar="S", help="seconds in all; by size and line rate by default")

    way = upload.add_argument_group("ways out")
    way.add_argument("--route", choices=["auto", *(route.value for route in RouteName)], default="auto")
    way.add_argument(
        "--command",
        dest="http_command",
        choices=[command.value for command in HttpCommand],
        help="of the modem's HTTP client: postfile or post (Quectel), content or chunked (China Mobile IoT)",
    )
    way.add_argument(
        "--tls",
        choices=[TlsPlace.HOST.value, TlsPlace.MODEM.value],
        default=TlsPlace.HOST.value,
        help="who may do TLS (host); the modem verifies with --ca, else nothing",
    )
    way.add_argument("--no-workarounds", action="store_true", help="one attempt, as the modem is; postfile unless told")
    way.add_argument(
        "--padding",
        choices=["header", "body"],
        default="header",
        help="where a workaround lengthens a request: by a header, or behind JSON, JPEG or form",
    )
    way.add_argument("--pad-to", type=int, metavar="N", help="make the request N bytes long before workarounds")
    way.add_argument("--state", metavar="FILE", help="what is learned of the ways: read before, written after")

    explain.add_quirks_option(upload)
    cli_qiniu.add_options(upload)


def order_from(options: argparse.Namespace) -> Order:
    """Return what the options ask for; files are read, nothing is sent.

    Raises:
        InputError: an option, by its field.
    """
    check_timeout(options.timeout)
    qiniu = cli_qiniu.settings_from(options)
    if options.url is None and qiniu is None:
        raise InputError("url", "is missing (--url)")
    destination = Destination(
        url=options.url if qiniu is None or options.url is not None else qiniu.url,
        method=options.method.upper(),
        format=UploadFormat(options.format),
        file_field=options.file_field,
        fields=pairs_of("field", options.field, "=", "name=value"),
        headers=pairs_of("header", options.header, ":", "'Name: value'"),
        qiniu=qiniu,
    )
    check_destination(destination)
    path = Path(options.file)
    picture = Picture(
        content=read_file("file", path, MAX_BODY_BYTES),
        file_name=path.name,
        content_type=mimetypes.guess_type(path.name)[0] or "application/octet-stream",
    )
    check_picture(picture)
    context: ssl.SSLContext | None = None
    pem: str | None = None
    if destination.is_https:
        pem = (
            None
            if options.ca is None
            else read_file("ca", Path(options.ca), 1_000_000).decode("ascii", errors="replace")
        )
        context = build_ssl_context(ca_pem=pem, verify=not options.insecure)
    choices = Choices(
        route=None if options.route == "auto" else RouteName(options.route),
        command=None if options.http_command is None else HttpCommand(options.http_command),
        tls=TlsPlace(options.tls),
        use_workarounds=not options.no_workarounds,
        pad_to=options.pad_to,
        modem_ca_pem=pem,
        pads_body=options.padding == "body",
    )
    check_choices(choices)
    return Order(
        destination=destination,
        picture=picture,
        choices=choices,
        ssl_context=context,
        timeout_s=options.timeout,
        state=None if options.state is None else Path(options.state),
        quirks=explain.quirks_folder(options),
    )


def pairs_of(field: str, texts: list[str], separator: str, shape: str) -> dict[str, str]:
    """Return texts such as "name=value" taken apart; raises InputError for one that is not of that shape, or twice."""
    pairs: dict[str, str] = {}
    for text in texts:
        name, found, value = text.partition(separator)
        if not found or not name:
            raise InputError(field, f"{text[:40]!r} is not of the form {shape}")
        if name in pairs:
            raise InputError(field, f"{name[:40]!r} is given twice")
        pairs[name] = value.strip(" \t") if separator == ":" else value
    return pairs


def read_file(field: str, path: Path, maximum_bytes: int) -> bytes:
    """Return a file's content; what is too large is not read to the end."""
    try:
        with path.open("rb") as file:
            content = file.read(maximum_bytes + 1)
    except (OSError, ValueError) as err:
        reason = err.strerror if isinstance(err, OSError) and err.strerror else "not a file name"
        raise InputError(field, f"{str(path)!r} cannot be read: {reason}") from err
    if not content:
        raise InputError(field, f"{str(path)!r} is empty")
    if len(content) > maximum_bytes:
        raise InputError(field, f"{str(path)!r} is larger than {maximum_bytes} bytes")
    return content


# --- sending -----------------------------------------------------------------------------------------------------


async def send(session: Modem, order: Order) -> UploadResult:
    """Carry an order out; progress goes to standard error where that is a terminal.

    Raises:
        InputError: the order cannot be carried out.
    """
    memory = None if order.state is None else await asyncio.to_thread(read_memory, order.state)
    engine = UploadEngine(session, quirks=await asyncio.to_thread(load_quirks, order.quirks), memory=memory)
    show = progress_line(sys.stderr) if sys.stderr.isatty() else None
    try:
        result = await engine.upload(
            order.destination,
            order.picture,
            choices=order.choices,
            ssl_context=order.ssl_context,
            timeout_s=order.timeout_s,
            on_progress=show,
        )
    finally:
        if show is not None:
            sys.stderr.write("\n")
        await engine.aclose()
    if order.state is not None and memory is not None and not order.choices.is_forced:
        await asyncio.to_thread(write_memory, order.state, memory)
    return result


def progress_line(stream: TextIO) -> Callable[[Progress], None]:
    """Return what draws progress as one line."""
    started = time.monotonic()
    drawn = float("-inf")

    def show(progress: Progress) -> None:
        nonlocal drawn
        now = time.monotonic()
        if now - drawn < 0.1 and progress.sent_bytes < progress.total_bytes:
            return
        drawn = now
        share = 100 * progress.sent_bytes // max(1, progress.total_bytes)
        rate = progress.sent_bytes / max(0.001, now - started)
        stream.write(f"\r{share:3d} %  {progress.sent_bytes} of {progress.total_bytes} bytes  {rate:.0f} bytes/s ")
        stream.flush()

    return show


# --- words -------------------------------------------------------------------------------------------------------


def sentences(result: UploadResult) -> list[str]:
    """Return the result in words."""
    status = "" if result.http_status is None else f" (HTTP {result.http_status})"
    lines = [f"{result.state.value}{status} in {result.duration_s:.1f} s"]
    if result.error is not None:
        lines.append(f"{result.error.message} [{result.error.kind}/{result.error.code}]")
    if result.ambiguous:
        lines.append("The server may have the picture nevertheless.")
    if result.may_be_stored_twice:
        lines.append("The server may have stored it twice, unless it goes by the Idempotency-Key.")
    if result.note:
        lines.append(result.note + ".")
    if result.tls_where == TlsPlace.MODEM.value and not result.is_tls_verified:
        lines.append("The modem encrypted it UNVERIFIED: nobody knows to whom.")
    lines += [
        f"  attempt {number}: {attempt.command or attempt.route} {attempt.outcome.value} in {attempt.duration_s:.1f} s"
        + (f": {attempt.error.message}" if attempt.error else "")
        for number, attempt in enumerate(result.attempts, 1)
        if len(result.attempts) > 1
    ]
    padding = f", {result.padding_bytes} of padding" if result.padding_bytes else ""
    lines.append(
        f"{result.request_bytes} bytes of request ({result.body_bytes} of body{padding}), "
        f"{result.sent_bytes} sent and {result.received_bytes} received over the air, "
        f"{result.average_bytes_per_s:.0f} bytes/s, route {result.route or 'none'}, upload id {result.upload_id}"
    )
    if result.response:
        lines.append(result.response)
    return [printable(line) for line in lines]


def printable(text: str) -> str:
    """Return text that cannot play tricks on a terminal: what a server or a modem said is shown, not obeyed."""
    return "".join(char if char.isprintable() or char in "\n\t" else "\N{REPLACEMENT CHARACTER}" for char in text)


def not_tried(error: dict[str, str]) -> dict[str, object]:
    """Return an upload's JSON where no upload was tried: the same keys as always."""
    return {
        "ok": False,
        "state": UploadState.FAILED.value,
        "http_status": None,
        "route": None,
        "attempts": [],
        "request_bytes": 0,
        "body_bytes": 0,
        "sent_bytes": 0,
        "received_bytes": 0,
        "duration_s": 0.0,
        "average_bytes_per_s": 0.0,
        "upload_id": None,
        "ambiguous": False,
        "error": error,
        "response": "",
        "padding_bytes": 0,
        "plan": [],
        "quirks": [],
        "tls": {"where": TlsPlace.NONE.value, "verified": False},
        "may_be_stored_twice": False,
        "note": "",
    }
