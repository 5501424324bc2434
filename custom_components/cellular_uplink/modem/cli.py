"""The engine on the command line: `scripts/uplink --port PORT probe`, `upload FILE --url URL`, `explain`, `selftest`.

Exit status: 0 delivered, 2 bad input, 3 not delivered (modem, network, TLS), 4 the server answered with an error.
"""

import argparse
import asyncio
from collections.abc import Sequence
import hashlib
import json
import logging
import os
from pathlib import Path
import re
import secrets
import sys
import traceback
from typing import NoReturn, TextIO, override

from . import cli_selftest, cli_upload, explain
from .cli_upload import Order, not_tried, printable, sentences
from .drivers.base import ApnSettings, Identity, IpType, ModemStatus
from .errors import InputError, ModemError, SimError
from .session import ModemSession, SessionSettings
from .upload.cases import Agenda
from .upload.request import check_text
from .upload.result import UploadState

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
        if options.command == "explain":
            return asyncio.run(_explain(options, as_json=as_json))
        if options.command == "selftest":
            test = cli_selftest.order_from(options)
            return asyncio.run(_selftest(_settings(options), test, as_json=as_json))
        order = cli_upload.order_from(options)
        return asyncio.run(_upload(_settings(options), order, as_json=as_json))
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
    commands = parser.add_subparsers(dest="command", required=True, metavar="probe|upload|explain|selftest")
    commands.add_parser(
        "probe", parents=[everywhere], help="say what the modem is and how it is connected", allow_abbrev=False
    )
    explain.add_options(
        commands.add_parser(
            "explain",
            parents=[everywhere],
            help="say what is known to be broken and what is done about it",
            allow_abbrev=False,
        )
    )
    upload = commands.add_parser("upload", parents=[everywhere], help="send a picture to a server", allow_abbrev=False)
    cli_upload.add_options(upload)
    cli_selftest.add_options(
        commands.add_parser(
            "selftest",
            parents=[everywhere],
            help="find out which known faults this modem has, on a server of yours",
            allow_abbrev=False,
        )
    )
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


async def _explain(options: argparse.Namespace, *, as_json: bool) -> int:
    async def ask_modem() -> tuple[Identity, int | None]:
        session = ModemSession(_settings(options), pin_memory=FilePinMemory())
        try:
            return await session.open(), session.baud
        finally:
            await session.close()

    found = await explain.answer(options, ask_modem)
    if as_json:
        return _finish(EXIT_DELIVERED, json.dumps(found.as_dict()))
    return _finish(EXIT_DELIVERED, *(printable(line) for line in found.lines()))


async def _upload(settings: SessionSettings, order: Order, *, as_json: bool) -> int:
    session = ModemSession(settings, pin_memory=FilePinMemory())
    try:
        result = await cli_upload.send(session, order)
    finally:
        await session.close()
    if as_json:
        return _finish(_EXIT_OF[result.state], json.dumps(result.as_dict()))
    return _finish(_EXIT_OF[result.state], *sentences(result))


async def _selftest(settings: SessionSettings, order: cli_selftest.Order, *, as_json: bool) -> int:
    session = ModemSession(settings, pin_memory=FilePinMemory())
    try:
        found = await cli_selftest.run(session, order)
    finally:
        await session.close()
    status = EXIT_DELIVERED
    if not isinstance(found, Agenda) and found.stopped is not None:
        status = EXIT_REJECTED if found.is_rejected else EXIT_FAILED
    if as_json:
        return _finish(status, cli_selftest.as_json(found))
    return _finish(status, *cli_selftest.sentences(found))


# --- output ------------------------------------------------------------------------------------------------------


def _lines(values: dict[str, object], indent: str = "") -> list[str]:
    lines: list[str] = []
    for name, value in values.items():
        if isinstance(value, dict):
            lines += [f"{indent}{name}:", *_lines(value, indent + "  ")]
        else:
            lines.append(printable(f"{indent}{name}: {'unknown' if value is None else value}"))
    return lines


def _report_error(error: dict[str, str], status: int, *, as_json: bool, is_upload: bool) -> int:
    if not as_json:
        sys.stderr.write(printable(f"{error['message']} [{error['class']}/{error['code']}]") + "\n")
        return _finish(status)
    answer: dict[str, object] = {"ok": False, "error": error}
    if is_upload:
        answer = not_tried(error)
    return _finish(status, json.dumps(answer))


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
