"""`selftest` on the command line: which known faults the modem at hand has, settled on the user's own server."""

import argparse
import asyncio
from dataclasses import dataclass
import json
from pathlib import Path
import sys

from .cli_state import read_memory, write_memory
from .cli_upload import pairs_of, printable, read_file
from .errors import InputError
from .explain import add_quirks_option, quirks_folder
from .quirks.loader import load_quirks
from .routes.plan import HttpCommand, RouteName, TlsPlace
from .routes.tls import build_ssl_context
from .session import ModemSession
from .upload.cases import Agenda, Outcome, Wish, plan_cases
from .upload.engine import UploadEngine
from .upload.memory import OutcomeMemory
from .upload.request import Destination, check_destination
from .upload.selftest import SelfTestResult, run_selftest

MAX_LIMIT_BYTES = 100_000_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """One self-test as it was asked for."""

    wish: Wish
    limit_bytes: int | None = None
    state: Path | None = None
    quirks: Path | None = None
    is_dry_run: bool = False
    as_json: bool = False


def add_options(parser: argparse.ArgumentParser) -> None:
    """Declare the options of `selftest`."""
    parser.add_argument("--url", help="address of a server of yours that takes posts of raw bytes")
    parser.add_argument("--header", action="append", default=[], metavar="'K: V'", help="such as a token of the server")
    trust = parser.add_mutually_exclusive_group()
    trust.add_argument("--ca", metavar="PEM", help="trust only the certificates in this file")
    trust.add_argument("--insecure", action="store_true", help="check no certificate")
    parser.add_argument(
        "--tls",
        choices=[TlsPlace.HOST.value, TlsPlace.MODEM.value],
        default=TlsPlace.HOST.value,
        help="who may do TLS (host); over https most faults are those of the modem's, which it needs leave for",
    )
    parser.add_argument("--route", choices=["auto", *(route.value for route in RouteName)], default="auto")
    parser.add_argument(
        "--command",
        dest="http_commands",
        action="append",
        default=[],
        choices=[command.value for command in HttpCommand],
        help="of the modem's HTTP client, repeated for several; all but chunked by default",
    )
    parser.add_argument("--limit-bytes", type=int, metavar="N", help="most it may cost over the air, both ways")
    parser.add_argument("--dry-run", action="store_true", help="say what would be sent and what it costs, send nothing")
    parser.add_argument("--state", metavar="FILE", help="where findings are kept for uploads with the same --state")
    add_quirks_option(parser)


def order_from(options: argparse.Namespace) -> Order:
    """Return what the options ask for; files are read, nothing is sent.

    Raises:
        InputError: an option, by its field.
    """
    if options.url is None:
        raise InputError("url", "is missing (--url)")
    if options.limit_bytes is not None and not 1 <= options.limit_bytes <= MAX_LIMIT_BYTES:
        raise InputError("limit_bytes", f"must be between 1 and {MAX_LIMIT_BYTES}")
    destination = Destination(url=options.url, headers=pairs_of("header", options.header, ":", "'Name: value'"))
    check_destination(destination)
    pem = None if options.ca is None else read_file("ca", Path(options.ca), 1_000_000).decode("ascii", errors="replace")
    return Order(
        wish=Wish(
            destination=destination,
            tls=TlsPlace(options.tls),
            route=None if options.route == "auto" else RouteName(options.route),
            commands=tuple(HttpCommand(command) for command in dict.fromkeys(options.http_commands)),
            ssl_context=build_ssl_context(ca_pem=pem, verify=not options.insecure) if destination.is_https else None,
            modem_ca_pem=pem,
        ),
        limit_bytes=options.limit_bytes,
        state=None if options.state is None else Path(options.state),
        quirks=quirks_folder(options),
        is_dry_run=options.dry_run,
        as_json=options.json,
    )


async def run(session: ModemSession, order: Order) -> SelfTestResult | Agenda:
    """Carry an order out; return the agenda alone for a dry run.

    Without a limit, whoever sits at a terminal is asked; others are refused.

    Raises:
        InputError: the order cannot be carried out, or costs more than the limit.
        ModemError: the modem was not reached.
    """
    memory = OutcomeMemory() if order.state is None else await asyncio.to_thread(read_memory, order.state)
    catalogue = await asyncio.to_thread(load_quirks, order.quirks)
    agenda = plan_cases(await session.open(), catalogue, order.wish)
    if order.is_dry_run:
        return agenda
    limit_bytes = order.limit_bytes
    if limit_bytes is None and not order.as_json and sys.stdin.isatty() and await _is_agreed(agenda):
        limit_bytes = agenda.cost_bytes
    engine = UploadEngine(session, quirks=catalogue, memory=memory)
    try:
        result = await run_selftest(engine, agenda, limit_bytes, on_case=_show if sys.stderr.isatty() else None)
    finally:
        await engine.aclose()
    if order.state is not None and result.findings:
        memory.record_findings(agenda.identity, result.findings)
        await asyncio.to_thread(write_memory, order.state, memory)
    return result


def sentences(found: SelfTestResult | Agenda) -> list[str]:
    """Return what was found, or would be sent, in words; the evidence block comes last."""
    lines = found.lines()
    if isinstance(found, SelfTestResult) and found.evidence:
        lines += ["", "You can send this to the project; it names no server, no SIM and no owner:", ""]
        lines += found.evidence.splitlines()
    return [printable(line) for line in lines]


def as_json(found: SelfTestResult | Agenda) -> str:
    """Return it as one JSON object."""
    if isinstance(found, Agenda):
        return json.dumps({"ok": True, "dry_run": True, **found.as_dict()})
    return json.dumps({**found.as_dict(), "dry_run": False})


async def _is_agreed(agenda: Agenda) -> bool:
    """Ask at the terminal. Waiting leaves the loop alone, so that Ctrl-C ends it."""
    sys.stderr.write(printable("\n".join(agenda.lines())) + "\nSend them? [y/N] ")
    sys.stderr.flush()
    loop = asyncio.get_running_loop()
    typed = asyncio.Event()
    loop.add_reader(sys.stdin.fileno(), typed.set)
    try:
        await typed.wait()
    finally:
        loop.remove_reader(sys.stdin.fileno())
    return sys.stdin.readline().strip().lower() in ("y", "yes")


def _show(outcome: Outcome) -> None:
    sys.stderr.write(f"{outcome.case.way}, {outcome.case.size} bytes: {printable(outcome.code or 'ok')}\n")
