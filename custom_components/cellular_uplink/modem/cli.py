"""The engine on the command line: `scripts/uplink --port PORT probe` and `... upload FILE --url URL`.

Exit status: 0 delivered, 2 bad input, 3 not delivered (modem, network, TLS), 4 the server answered with an error.
"""

import argparse
import asyncio
from collections.abc import Callable, Sequence
import hashlib
import json
import logging
import mimetypes
import os
from pathlib import Path
import re
import secrets
import ssl
import sys
import time
import traceback
from typing import NoReturn, TextIO, override

from .drivers.base import ApnSettings, Identity, IpType, ModemStatus
from .errors import InputError, ModemError, SimError
from .routes.tls import build_ssl_context
from .session import ModemSession, SessionSettings
from .upload.engine import UploadEngine, check_timeout
from .upload.request import (
    MAX_BODY_BYTES,
    Destination,
    Picture,
    UploadFormat,
    check_destination,
    check_picture,
    check_text,
)
from .upload.result import Progress, UploadResult, UploadState

EXIT_DELIVERED = 0
EXIT_INPUT = 2
EXIT_FAILED = 3
EXIT_REJECTED = 4
EXIT_INTERRUPTED = 130

_APN = re.compile(r"[0-9A-Za-z._-]{1,100}")
_EXIT_OF = {
    UploadState.DELIVERED: EXIT_DELIVERED,
    UploadState.FAILED: EXIT_FAILED,
    UploadState.REJECTED: EXIT_REJECTED,
}
_GLOBAL_DEFAULTS = {
    "port": None,
    "baud": None,
    "apn": None,
    "apn_user": "",
    "apn_password": "",
    "ip_type": IpType.IPV4V6.value,
    "operator": None,
    "pin": None,
    "json": False,
    "verbose": False,
}


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command and return the exit status; never raises."""
    arguments = list(sys.argv[1:] if argv is None else argv)
    as_json = "--json" in arguments
    is_upload = "upload" in arguments
    try:
        options = _parse(arguments)
        _log_to_stderr(verbose=options.verbose)
        if options.command == "probe":
            return asyncio.run(_probe(_settings(options), as_json=as_json))
        destination, picture, context = _what_to_send(options)
        return asyncio.run(_upload(_settings(options), destination, picture, context, options.timeout, as_json=as_json))
    except SystemExit as err:  # argparse, after --help
        return _finish(err.code if isinstance(err.code, int) else EXIT_INPUT)
    except KeyboardInterrupt:
        sys.stderr.write("\ninterrupted\n")
        return EXIT_INTERRUPTED
    except ModemError as err:
        status = EXIT_INPUT if isinstance(err, InputError) else EXIT_FAILED
        return _report_error(err.as_dict(), status, as_json=as_json, is_upload=is_upload)
    except Exception as err:  # noqa: BLE001 - people at a command line are owed a sentence, not a traceback
        where = traceback.extract_tb(err.__traceback__)[-1]
        message = f"Unexpected error in {Path(where.filename).name}, line {where.lineno}: please report it"
        described = {"class": "internal", "code": type(err).__name__, "message": message}
        return _report_error(described, EXIT_FAILED, as_json=as_json, is_upload=is_upload)


# --- what the user asked for -------------------------------------------------------------------------------------


class _Parser(argparse.ArgumentParser):
    """An argparse that raises, so that a mistake is reported as everything else is."""

    @override
    def error(self, message: str) -> NoReturn:
        raise InputError("arguments", f"{message} (--help shows what there is)")


def _parse(arguments: list[str]) -> argparse.Namespace:
    everywhere = _Parser(add_help=False, argument_default=argparse.SUPPRESS)
    modem = everywhere.add_argument_group("modem")
    modem.add_argument("--port", help="serial port, or a socket:// or rfc2217:// URL")
    modem.add_argument("--baud", type=int, help="line rate; found out by default")
    modem.add_argument("--apn", help="access point name of the SIM's operator; as stored in the modem by default")
    modem.add_argument("--apn-user", metavar="USER")
    modem.add_argument("--apn-password", metavar="PASSWORD")
    modem.add_argument("--ip-type", choices=[kind.value for kind in IpType])
    modem.add_argument("--operator", metavar="DIGITS", help="five or six digits; automatic by default")
    modem.add_argument("--pin", help="PIN of the SIM")
    output = everywhere.add_argument_group("output")
    output.add_argument("--json", action="store_true", help="one JSON object on the last line of standard output")
    output.add_argument("--verbose", action="store_true", help="what crosses the port, on standard error")

    parser = _Parser(
        prog="uplink",
        description="Reads and uses an LTE modem on a serial port.",
        epilog="Exit status: 0 delivered, 2 bad input, 3 not delivered, 4 the server answered with an error.",
        parents=[everywhere],
        allow_abbrev=False,
    )
    commands = parser.add_subparsers(dest="command", required=True, metavar="probe|upload")
    commands.add_parser(
        "probe", parents=[everywhere], help="say what the modem is and how it is connected", allow_abbrev=False
    )
    upload = commands.add_parser("upload", parents=[everywhere], help="send a picture to a server", allow_abbrev=False)
    upload.add_argument("file", metavar="FILE")
    upload.add_argument("--url", required=True)
    upload.add_argument("--method", default="POST", help="POST (default) or PUT")
    upload.add_argument("--format", default=UploadFormat.RAW.value, choices=[kind.value for kind in UploadFormat])
    upload.add_argument("--file-field", default="file", metavar="NAME", help="part or member with the picture (file)")
    upload.add_argument("--field", action="append", default=[], metavar="K=V", help="form field or JSON member")
    upload.add_argument("--header", action="append", default=[], metavar="'K: V'")
    trust = upload.add_mutually_exclusive_group()
    trust.add_argument("--ca", metavar="PEM", help="trust only the certificates in this file")
    trust.add_argument("--insecure", action="store_true", help="check no certificate")
    upload.add_argument("--timeout", type=float, metavar="S", help="seconds in all; by size and line rate by default")

    options = parser.parse_args(arguments)
    for name, default in _GLOBAL_DEFAULTS.items():
        if not hasattr(options, name):
            setattr(options, name, default)
    return options


def _settings(options: argparse.Namespace) -> SessionSettings:
    if not options.port:
        raise InputError("port", "is missing (--port)")
    check_text("port", options.port, maximum=500)
    if options.baud is not None and not 300 <= options.baud <= 4_000_000:
        raise InputError("baud", "must be between 300 and 4000000")
    apn: ApnSettings | None = None
    if options.apn is not None:
        check_text("apn", options.apn, maximum=100, required=True)
        if not _APN.fullmatch(options.apn):
            raise InputError("apn", "may hold letters, digits, dots, hyphens and underscores only")
        check_text("apn_user", options.apn_user, maximum=127)
        check_text("apn_password", options.apn_password, maximum=127)
        apn = ApnSettings(
            apn=options.apn,
            user=options.apn_user,
            password=options.apn_password,
            ip_type=IpType(options.ip_type),
        )
    elif options.apn_user or options.apn_password:
        raise InputError("apn", "is missing, but a user or a password for it was given")
    if options.operator is not None and not re.fullmatch(r"[0-9]{5,6}", options.operator):
        raise InputError("operator", "must be five or six digits")
    if options.pin is not None and not re.fullmatch(r"[0-9]{4,8}", options.pin):
        raise InputError("pin", "must be four to eight digits")
    return SessionSettings(port=options.port, baud=options.baud, apn=apn, operator=options.operator, pin=options.pin)


def _what_to_send(options: argparse.Namespace) -> tuple[Destination, Picture, ssl.SSLContext | None]:
    check_timeout(options.timeout)
    destination = Destination(
        url=options.url,
        method=options.method.upper(),
        format=UploadFormat(options.format),
        file_field=options.file_field,
        fields=_pairs("field", options.field, "=", "name=value"),
        headers=_pairs("header", options.header, ":", "'Name: value'"),
    )
    check_destination(destination)
    path = Path(options.file)
    picture = Picture(
        content=_read("file", path, MAX_BODY_BYTES),
        file_name=path.name,
        content_type=mimetypes.guess_type(path.name)[0] or "application/octet-stream",
    )
    check_picture(picture)
    context: ssl.SSLContext | None = None
    if destination.is_https:
        pem = None if options.ca is None else _read("ca", Path(options.ca), 1_000_000).decode("ascii", errors="replace")
        context = build_ssl_context(ca_pem=pem, verify=not options.insecure)
    return destination, picture, context


def _pairs(field: str, texts: list[str], separator: str, shape: str) -> dict[str, str]:
    pairs: dict[str, str] = {}
    for text in texts:
        name, found, value = text.partition(separator)
        if not found or not name:
            raise InputError(field, f"{text[:40]!r} is not of the form {shape}")
        if name in pairs:
            raise InputError(field, f"{name[:40]!r} is given twice")
        pairs[name] = value.strip(" \t") if separator == ":" else value
    return pairs


def _read(field: str, path: Path, maximum_bytes: int) -> bytes:
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


# --- commands ----------------------------------------------------------------------------------------------------


async def _probe(settings: SessionSettings, *, as_json: bool) -> int:
    session = ModemSession(settings, pin_memory=FilePinMemory())
    try:
        identity = await session.open()
        status = await session.read_status()
    finally:
        await session.close()
    found = _probed(identity, status)
    if as_json:
        return _finish(EXIT_DELIVERED, json.dumps(found))
    return _finish(EXIT_DELIVERED, *_lines(found))


def _probed(identity: Identity, status: ModemStatus) -> dict[str, object]:
    access = status.access_technology or status.registration.access_technology
    return {
        "vendor": identity.vendor,
        "model": identity.model,
        "firmware": identity.firmware,
        "imei": identity.imei,
        "signal": {
            "rssi_dbm": status.signal.rssi_dbm,
            "rsrp_dbm": status.signal.rsrp_dbm,
            "rsrq_db": status.signal.rsrq_db,
            "sinr_db": status.signal.sinr_db,
        },
        "registration": status.registration.state.value,
        "operator": status.operator,
        "access_technology": access.value if access else None,
    }


async def _upload(
    settings: SessionSettings,
    destination: Destination,
    picture: Picture,
    context: ssl.SSLContext | None,
    timeout_s: float | None,
    *,
    as_json: bool,
) -> int:
    session = ModemSession(settings, pin_memory=FilePinMemory())
    engine = UploadEngine(session)
    show = _progress_line(sys.stderr) if sys.stderr.isatty() else None
    try:
        result = await engine.upload(destination, picture, ssl_context=context, timeout_s=timeout_s, on_progress=show)
    finally:
        if show is not None:
            sys.stderr.write("\n")
        await engine.aclose()
        await session.close()
    if as_json:
        return _finish(_EXIT_OF[result.state], json.dumps(result.as_dict()))
    return _finish(_EXIT_OF[result.state], *_sentences(result))


def _progress_line(stream: TextIO) -> Callable[[Progress], None]:
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


def _sentences(result: UploadResult) -> list[str]:
    status = "" if result.http_status is None else f" (HTTP {result.http_status})"
    lines = [f"{result.state.value}{status} in {result.duration_s:.1f} s"]
    if result.error is not None:
        lines.append(f"{result.error.message} [{result.error.kind}/{result.error.code}]")
    if result.ambiguous:
        lines.append("The server may have the picture nevertheless.")
    lines.append(
        f"{result.request_bytes} bytes of request ({result.body_bytes} of body), "
        f"{result.sent_bytes} sent and {result.received_bytes} received over the air, "
        f"{result.average_bytes_per_s:.0f} bytes/s, route {result.route or 'none'}, upload id {result.upload_id}"
    )
    if result.response:
        lines.append(result.response)
    return [_printable(line) for line in lines]


# --- output ------------------------------------------------------------------------------------------------------


def _lines(values: dict[str, object], indent: str = "") -> list[str]:
    lines: list[str] = []
    for name, value in values.items():
        if isinstance(value, dict):
            lines += [f"{indent}{name}:", *_lines(value, indent + "  ")]
        else:
            lines.append(_printable(f"{indent}{name}: {'unknown' if value is None else value}"))
    return lines


def _printable(text: str) -> str:
    """Return text that cannot play tricks on a terminal: what a server or a modem said is shown, not obeyed."""
    return "".join(char if char.isprintable() or char in "\n\t" else "\N{REPLACEMENT CHARACTER}" for char in text)


def _report_error(error: dict[str, str], status: int, *, as_json: bool, is_upload: bool) -> int:
    if not as_json:
        sys.stderr.write(_printable(f"{error['message']} [{error['class']}/{error['code']}]") + "\n")
        return _finish(status)
    answer: dict[str, object] = {"ok": False, "error": error}
    if is_upload:
        answer = _not_tried(error)
    return _finish(status, json.dumps(answer))


def _not_tried(error: dict[str, str]) -> dict[str, object]:
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
    }


def _finish(status: int, *lines: str) -> int:
    """Write to standard output, whether or not anyone still reads it, and return the exit status."""
    out: TextIO | None = sys.stdout  # None when the caller closed it
    if out is None:
        return status
    try:
        for line in lines:
            out.write(line.encode(out.encoding, errors="replace").decode(out.encoding) + "\n")
        out.flush()
    except OSError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), out.fileno())  # else Python complains when it ends
    return status


def _log_to_stderr(*, verbose: bool) -> None:
    """Log the engine alone: httpcore and others might log what is not theirs to show."""
    logger = logging.getLogger(__package__)
    logger.propagate = False
    handler = logging.StreamHandler()
    handler.setFormatter(logging.Formatter("%(asctime)s.%(msecs)03d %(name)s: %(message)s", "%H:%M:%S"))
    logger.handlers[:] = [handler]
    logger.setLevel(logging.DEBUG if verbose else logging.ERROR)


class FilePinMemory:
    """Remembers entered and refused PINs in a file of this user; it holds salted digests, never a PIN.

    A file that cannot be read or written refuses the entry (SimError): a locked SIM costs more than a message.
    """

    def __init__(self, path: Path | None = None) -> None:
        state = Path(os.environ.get("XDG_STATE_HOME") or Path.home() / ".local" / "state")
        self._path = path or state / "cellular-uplink" / "pins.json"

    def was_refused(self, iccid: str | None, pin: str) -> bool:
        """Return whether this SIM refused this PIN."""
        return self._known(iccid, pin) == "refused"

    def was_entered(self, iccid: str | None, pin: str) -> bool:
        """Return whether this PIN was entered into this SIM and its end is not known to be good."""
        return self._known(iccid, pin) is not None

    def remember(self, iccid: str | None, pin: str, *, refused: bool) -> None:
        """Store that this PIN is about to be entered, or was refused."""
        salt, entries = self._load()
        entries[_digest(salt, iccid, pin)] = "refused" if refused else "entered"
        self._save(salt, entries)

    def forget(self, iccid: str | None, pin: str) -> None:
        """The SIM took the PIN: it may be entered again."""
        salt, entries = self._load()
        if entries.pop(_digest(salt, iccid, pin), None) is not None:
            self._save(salt, entries)

    def _save(self, salt: str, entries: dict[str, str]) -> None:
        unfinished = self._path.with_suffix(".tmp")
        try:
            self._path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            unfinished.write_text(json.dumps({"salt": salt, "entries": entries}), encoding="utf-8")
            unfinished.chmod(0o600)
            unfinished.replace(self._path)
        except OSError as err:
            raise SimError("pin_refused", f"The PIN is not entered, since {self._path} cannot be written") from err

    def _known(self, iccid: str | None, pin: str) -> str | None:
        salt, entries = self._load()
        return entries.get(_digest(salt, iccid, pin))

    def _load(self) -> tuple[str, dict[str, str]]:
        try:
            stored = json.loads(self._path.read_text(encoding="utf-8"))
            return str(stored["salt"]), dict(stored["entries"])
        except FileNotFoundError:
            return secrets.token_hex(16), {}
        except (OSError, ValueError, KeyError, TypeError) as err:
            raise SimError("pin_refused", f"The PIN is not entered, since {self._path} cannot be read") from err


def _digest(salt: str, iccid: str | None, pin: str) -> str:
    return hashlib.pbkdf2_hmac("sha256", f"{iccid or ''}:{pin}".encode(), salt.encode(), 100_000).hex()


if __name__ == "__main__":
    sys.exit(main())
