"""Says which known faults concern a modem and what that makes of an upload, in words or as JSON: no modem needed."""

import argparse
import asyncio
from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
import textwrap

from .cli_state import read_memory
from .drivers import driver_class, family_of
from .drivers.base import Identity
from .drivers.generic import GenericDriver
from .errors import InputError
from .quirks.firmware import vendor_of
from .quirks.loader import load_quirks
from .quirks.registry import Finding, MatchedQuirk, Quirk, firmware_of, match
from .routes.plan import Capabilities, Demand, LearnedOutcome, Plan, PlannedAttempt, Rejected, TlsPlace
from .upload.memory import OutcomeMemory, kind_of
from .upload.planner import attempt_as_dict, capabilities_of, plan, rejected_as_dict
from .upload.request import check_text

DEFAULT_REQUEST_BYTES = 80_000
ASSUMED_HEAD_BYTES = 300
"""What the head of a request takes, where only its whole length is told; it matters near a body limit only."""

_WHERE_TOLD = "docs/quirks.md tells what each of them is, who says so, and what is done about it."


@dataclass(frozen=True, slots=True, kw_only=True)
class Explanation:
    """What is known, and the plan it leads to."""

    identity: Identity
    demand: Demand
    quirks: tuple[MatchedQuirk, ...]
    plan: Plan

    def as_dict(self) -> dict[str, object]:
        """Return plain values for JSON."""
        firmware = firmware_of(self.identity)
        return {
            "model": self.identity.model,
            "firmware": self.identity.firmware,
            "release": self.identity.release,
            "parsed": None if firmware is None or not firmware.is_known else str(firmware),
            "remark": None if firmware is None else firmware.remark or None,
            "scheme": self.demand.scheme,
            "request_bytes": self.demand.request_bytes,
            "quirks": [quirk.as_dict() for quirk in self.quirks],
            "plan": [attempt_as_dict(attempt) for attempt in self.plan.attempts],
            "rejected": [rejected_as_dict(rejected) for rejected in self.plan.rejected],
        }

    def lines(self) -> list[str]:
        """Return it as an engineer would say it: the plan and what shapes it, then the rest, ever shorter."""
        deciding = self._deciding()
        lines = [self._who(), self._what(), ""]
        lines.append("Plan:" if self.plan.attempts else "Plan: there is no way to send this.")
        told = set(deciding)
        for number, attempt in enumerate(self.plan.attempts, 1):
            lines += self._attempt_lines(number, attempt, told, deciding)
        if self.plan.rejected:
            lines += ["", "Not tried:", *_rejected_lines(self.plan.rejected)]
        if not self.quirks:
            return [*lines, "", "No fault is known of this modem."]
        if deciding:
            lines += ["", "Faults that shape this plan:"]
            lines += [line for quirk in self.quirks if quirk.id in deciding for line in _quirk_lines(quirk)]
        if self.identity.family == GenericDriver.family:
            lines += _ids("Known of it, while there is no driver for it", [quirk.id for quirk in self.quirks])
            return [*lines, "", _WHERE_TOLD]
        others = [quirk for quirk in self.quirks if quirk.id not in told]
        spoken = [quirk.id for quirk in others if not (quirk.applies.is_for_routes or quirk.is_idle)]
        lines += _ids("Dealt with whatever the plan", spoken)
        lines += _ids("Of no concern here", [quirk.id for quirk in others if quirk.id not in spoken])
        return [*lines, "", _WHERE_TOLD]

    def _deciding(self) -> set[str]:
        """Return the quirks that put ways in another order, took one out, or lengthen the request."""
        words = [attempt.why for attempt in self.plan.attempts] + [left.why for left in self.plan.rejected]
        named = {quirk.id for quirk in self.quirks if any(f"{quirk.id} (" in text for text in words)}
        return named | {
            workaround.quirk_id
            for attempt in self.plan.attempts
            for workaround in attempt.workarounds
            if workaround.effect in ("pad_total_length", "late_last_packet")
        }

    def _attempt_lines(self, number: int, attempt: PlannedAttempt, told: set[str], deciding: set[str]) -> list[str]:
        """Return an attempt, and what is worked around on it: at length where `told` doesn't have it yet."""
        lines = [f"  {number}. {_way(attempt.route, attempt.command)}: {attempt.why}."]
        ids = [workaround.quirk_id for workaround in attempt.workarounds]
        lines += [
            f"     - {quirk.title}. Remedy: {quirk.sentence} ({quirk.id}, {quirk.confidence}: {quirk.why})."
            for quirk in self.quirks
            if quirk.id in ids and quirk.id not in told
        ]
        for there, known in (("above", told - deciding), ("below", deciding)):
            if named := [quirk_id for quirk_id in ids if quirk_id in known]:
                lines.append(f"     - {', '.join(named)}: see {there}.")
        told.update(ids)
        return lines

    def _who(self) -> str:
        model = self.identity.model or "A modem of unknown model"
        firmware = firmware_of(self.identity)
        if firmware is None:
            told = " ".join(part for part in (self.identity.firmware, self.identity.release) if part)
            return f"{model}, firmware {told or 'not told'}" + (" (nobody here can read it)" if told else "")
        read = f" (read as {firmware})" if firmware.is_known else ""
        return f"{model}, firmware {firmware.text}{read}" + (f"; {firmware.remark}" if firmware.remark else "")

    def _what(self) -> str:
        told = f"An upload over {self.demand.scheme}, {self.demand.request_bytes} bytes with its head"
        if self.demand.scheme != "https":
            return f"{told}."
        return f"{told}; TLS by " + (
            "the modem is allowed." if self.demand.tls is TlsPlace.MODEM else "this host only."
        )


def explain(
    identity: Identity,
    demand: Demand,
    quirks: Iterable[Quirk],
    *,
    learned: tuple[LearnedOutcome, ...] = (),
    findings: tuple[Finding, ...] = (),
    capabilities: Capabilities | None = None,
) -> Explanation:
    """Return which of the catalogue's quirks match, and the plan they lead to."""
    matched = match(identity, quirks, findings)
    found = capabilities or capabilities_of(driver_class(identity.family))
    return Explanation(identity=identity, demand=demand, quirks=matched, plan=plan(found, matched, demand, learned))


async def answer(
    options: argparse.Namespace, ask_modem: Callable[[], Awaitable[tuple[Identity, int | None]]]
) -> Explanation:
    """Return what these options ask for; `ask_modem` gives identity and line rate of the modem at hand.

    Raises:
        InputError: an option, a quirk file of the user's, or the state file.
        ModemError: the modem, where one is asked.
    """
    folder = quirks_folder(options)
    memory = OutcomeMemory()
    if options.state is not None:
        memory = await asyncio.to_thread(read_memory, Path(options.state))
    line_bps: int | None = None
    demand = demand_of(scheme=options.scheme, request_bytes=options.size, tls=options.tls)
    if options.model is not None:
        check_text("model", options.model, maximum=100, required=True)
        for name in ("firmware", "release"):
            check_text(name, getattr(options, name) or "", maximum=200)
        identity = identity_of(options.model, options.firmware, options.release)
    elif options.firmware is not None or options.release is not None:
        raise InputError("model", "is missing (--model), but a firmware or a release was given")
    else:
        identity, line_bps = await ask_modem()
    return explain(
        identity,
        replace(demand, line_bps=line_bps),
        await asyncio.to_thread(load_quirks, folder),
        learned=memory.recall(identity, kind_of(demand.scheme, demand.tls)),
        findings=memory.findings(identity),
    )


def identity_of(model: str, firmware: str | None, release: str | None) -> Identity:
    """Return the identity of a modem that is not at hand."""
    family = family_of(model)
    vendor = vendor_of(family, None, model)
    return Identity(
        family=family, vendor=None if vendor is None else vendor.value, model=model, firmware=firmware, release=release
    )


def demand_of(*, scheme: str, request_bytes: int | None, tls: str) -> Demand:
    """Return what `explain` is asked about.

    Raises:
        InputError: a request of that length cannot be.
    """
    size = DEFAULT_REQUEST_BYTES if request_bytes is None else request_bytes
    if not 1 <= size <= 100_000_000:
        raise InputError("size", "must be between 1 and 100000000 bytes")
    return Demand(
        scheme=scheme,
        request_bytes=size,
        body_bytes=max(0, size - ASSUMED_HEAD_BYTES),
        tls=TlsPlace(tls),
    )


def add_options(parser: argparse.ArgumentParser) -> None:
    """Declare the options of `explain`."""
    parser.add_argument("--model", help="as AT+CGMM gives it, such as BG96; the modem at --port is asked by default")
    parser.add_argument("--firmware", metavar="TEXT", help="as AT+QGMR or AT+CGMR gives it")
    parser.add_argument("--release", metavar="TEXT", help="as AT+MSWVER gives it (China Mobile IoT)")
    parser.add_argument("--scheme", choices=["http", "https"], default="https")
    parser.add_argument("--size", type=int, metavar="N", help="bytes of the request, head and body (80000)")
    parser.add_argument(
        "--tls", choices=[TlsPlace.HOST.value, TlsPlace.MODEM.value], default=TlsPlace.HOST.value, help="who may do TLS"
    )
    parser.add_argument("--state", metavar="FILE", help="what was learned of the ways, and found by self-tests")
    add_quirks_option(parser)


def add_quirks_option(parser: argparse.ArgumentParser) -> None:
    """Declare where a user's own quirk files are."""
    parser.add_argument("--quirks", metavar="FOLDER", help="quirk files of your own: they override by id, or add")


def quirks_folder(options: argparse.Namespace) -> Path | None:
    """Return the folder of the user's own quirk files, if he named one.

    Raises:
        InputError: there is no such folder.
    """
    folder = None if options.quirks is None else Path(options.quirks)
    if folder is not None and not folder.is_dir():
        raise InputError("quirks", f"{str(folder)!r} is no folder")
    return folder


def _quirk_lines(quirk: MatchedQuirk) -> list[str]:
    why = quirk.why[:1].upper() + quirk.why[1:]
    return [f"  {quirk.id} [{quirk.confidence}]: {quirk.title}.", f"    {why}. Remedy: {quirk.sentence}."]


def _ids(title: str, ids: Sequence[str]) -> list[str]:
    text = f"{title}: {', '.join(ids)}."
    return ["", *textwrap.wrap(text, 118, subsequent_indent="  ", break_on_hyphens=False)] if ids else []


def _rejected_lines(rejected: Iterable[Rejected]) -> list[str]:
    """Return a line for each reason; commands that share one are named together."""
    ways: dict[tuple[str, str], list[str]] = {}
    for left in rejected:
        ways.setdefault((left.route, left.why), []).append(str(left.command or ""))
    return [f"  {_way(route, ' or '.join(commands))}: {why}" for (route, why), commands in ways.items()]


def _way(route: str, command: str | None) -> str:
    return f"{route} by {command}" if command else str(route)
