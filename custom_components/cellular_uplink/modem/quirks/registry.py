"""What is known to be broken, and whether it concerns the modem at hand."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from enum import StrEnum
from fnmatch import fnmatchcase
from typing import Literal, Protocol

from .effects import Effect
from .firmware import Firmware, Fit, Selector, Vendor, parse_firmware, vendor_of


class Confidence(StrEnum):
    """How sure a fault is. A refuted entry matches nothing; it stays so that nobody adds it again."""

    CONFIRMED = "confirmed"
    REPORTED = "reported"
    CONTESTED = "contested"
    REFUTED = "refuted"


class EvidenceKind(StrEnum):
    """Where a piece of evidence comes from."""

    MANUAL = "manual"
    REPORT = "report"
    LOG = "log"
    CODE = "code"
    SELF_TEST = "self-test"


@dataclass(frozen=True, slots=True, kw_only=True)
class Evidence:
    """Who says so, or (`against`) who says otherwise."""

    kind: EvidenceKind
    source: str
    says: str
    url: str = ""
    firmware: tuple[str, ...] = ()
    against: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Vector:
    """One case on one side of the fault's boundary; `outcome` "ok" is the good side."""

    case: dict[str, object]
    outcome: str
    remedy: int | str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Applies:
    """The ways out a quirk concerns; one without any is the driver's own business, whatever the way."""

    route: str | None = None
    tls: str | None = None
    commands: tuple[str, ...] = ()

    @property
    def is_for_routes(self) -> bool:
        """Return False where only the driver is concerned."""
        return bool(self.route or self.tls or self.commands)

    def fits(self, route: str, tls: str, command: str | None) -> bool:
        """Return whether this way out is concerned."""
        return (
            self.is_for_routes
            and self.route in (None, route)
            and self.tls in (None, tls)
            and (not self.commands or command in self.commands)
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Match:
    """The modems a quirk concerns: vendor, model patterns, and firmware by three lists of selectors.

    affected: seen there; reported: said of it, not proven; good: known not to have it, which outweighs the others.
    """

    vendor: Vendor
    models: tuple[str, ...]
    affected: tuple[Selector, ...] = ()
    reported: tuple[Selector, ...] = ()
    good: tuple[Selector, ...] = ()

    def is_model(self, model: str | None) -> bool:
        """Return whether the model is meant; case doesn't count."""
        return model is not None and any(fnmatchcase(model.upper(), pattern.upper()) for pattern in self.models)


@dataclass(frozen=True, slots=True, kw_only=True)
class Quirk:
    """One entry of the catalogue."""

    id: str
    title: str
    effect: Effect
    confidence: Confidence
    match: Match
    unknown_firmware: Literal["apply", "skip"] = "skip"
    applies: Applies = field(default_factory=Applies)
    evidence: tuple[Evidence, ...] = ()
    vectors: tuple[Vector, ...] = ()
    retire: str = ""
    never_used: str = ""
    """What the fault needs to strike, where nothing here ever uses it."""
    where: str = ""
    """File and line."""

    @property
    def sentence(self) -> str:
        """Say what is done about the fault."""
        return f"{self.never_used} is never used here" if self.never_used else self.effect.sentence()


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """What the user's own self-test found of a quirk, on his firmware, with one command of the modem's HTTP client.

    `when` in unix seconds. It says nothing of other commands.
    """

    quirk_id: str
    command: str
    holds: bool
    when: float

    @property
    def words(self) -> str:
        """Say it to a user."""
        date = datetime.fromtimestamp(self.when, UTC).date().isoformat()
        return f"your self-test of {date} {'met it' if self.holds else 'did not meet it'}"


@dataclass(frozen=True, slots=True, kw_only=True)
class MatchedQuirk:
    """A quirk that concerns the modem at hand. `confidence` is that of this match, `why` the rule it matched by.

    `findings`: what the user's own self-test found of it.
    """

    id: str
    title: str
    confidence: Confidence
    why: str
    effect: str
    params: dict[str, object] = field(default_factory=dict)
    applies: Applies = field(default_factory=Applies)
    sentence: str = ""
    """What is done about it."""
    is_idle: bool = False
    """Nothing here uses what the fault needs to strike."""
    findings: tuple[Finding, ...] = ()

    def settled(self, command: str | None) -> tuple[MatchedQuirk | None, Finding | None]:
        """Return the quirk as it stands for one command, and the finding that says so, if there is one.

        A fault the self-test met is confirmed. One it did not meet is None, unless it is confirmed for this firmware:
        one server and one modem are no proof against that, and the self-test is there to settle doubts.
        """
        finding = next((finding for finding in self.findings if finding.command == command), None)
        if finding is None:
            return (replace(self, findings=()) if self.findings else self), None
        if finding.holds:
            return replace(self, confidence=Confidence.CONFIRMED, findings=(finding,)), finding
        return (replace(self, findings=(finding,)) if self.confidence is Confidence.CONFIRMED else None), finding

    def as_dict(self) -> dict[str, object]:
        """Return plain values, as results, diagnostics and the command line show them."""
        return {
            "id": self.id,
            "title": self.title,
            "confidence": self.confidence.value,
            "why": self.why,
            "effect": self.effect,
            "params": {name: list(value) if isinstance(value, tuple) else value for name, value in self.params.items()},
            "sentence": self.sentence,
        }


class ModemIdentity(Protocol):
    """What of a modem's identity counts here; `drivers.base.Identity` is one."""

    @property
    def family(self) -> str:
        """The driver's family."""

    @property
    def vendor(self) -> str | None:
        """The maker, as the modem says."""

    @property
    def model(self) -> str | None:
        """The model, as the modem says."""

    @property
    def firmware(self) -> str | None:
        """The revision."""

    @property
    def release(self) -> str | None:
        """The release, where the revision doesn't tell."""


def firmware_of(identity: ModemIdentity) -> Firmware | None:
    """Return the modem's firmware, None when it did not say or nobody knows the vendor's grammar."""
    vendor = vendor_of(identity.family, identity.vendor, identity.model)
    return None if vendor is None else parse_firmware(vendor, identity.firmware, identity.release)


def of_model(identity: ModemIdentity, quirks: Iterable[Quirk]) -> tuple[Quirk, ...]:
    """Return the quirks of this model, whatever its firmware, in the order of the catalogue; refuted ones are none."""
    vendor = vendor_of(identity.family, identity.vendor, identity.model)
    model = _model_of(identity)
    return tuple(
        quirk
        for quirk in quirks
        if quirk.confidence is not Confidence.REFUTED and quirk.match.vendor is vendor and quirk.match.is_model(model)
    )


def match(
    identity: ModemIdentity, quirks: Iterable[Quirk], findings: Sequence[Finding] = ()
) -> tuple[MatchedQuirk, ...]:
    """Return the quirks that concern this modem, in the order of the catalogue.

    `findings` of the user's own self-test, on this firmware: a fault it met concerns the modem, whatever the catalogue
    says of the firmware; what each means for a command, `MatchedQuirk.settled` says.
    """
    firmware = firmware_of(identity)
    matched = []
    for quirk in of_model(identity, quirks):
        found = _by_firmware(quirk, firmware, _model_of(identity) or "")
        own = tuple(finding for finding in findings if finding.quirk_id == quirk.id)
        applies = quirk.applies
        if found is None and (held := tuple(finding for finding in own if finding.holds)):
            found, own = (Confidence.CONFIRMED, "no firmware list names this one"), held
            applies = replace(applies, commands=tuple(finding.command for finding in held))
        if found is not None:
            confidence, why = found
            why = "; ".join([why, *(f"with {finding.command} {finding.words}" for finding in own)])
            matched.append(
                MatchedQuirk(
                    id=quirk.id,
                    title=quirk.title,
                    confidence=confidence,
                    why=why,
                    effect=quirk.effect.name,
                    params=quirk.effect.params(),
                    applies=applies,
                    sentence=quirk.sentence,
                    is_idle=bool(quirk.never_used),
                    findings=own,
                )
            )
    return tuple(matched)


def _model_of(identity: ModemIdentity) -> str | None:
    """ML307R units were seen without a model line; their revision starts with the model."""
    return identity.model or (identity.firmware or "").partition("-")[0] or None


def _by_firmware(quirk: Quirk, firmware: Firmware | None, model: str) -> tuple[Confidence, str] | None:
    rules = quirk.match
    if firmware is not None and any(selector.fit(firmware) is Fit.YES for selector in rules.good):
        return None
    for selector in rules.affected:
        if selector.fit(firmware) is Fit.YES:
            said = _SEEN if selector.bounds else _SAID_OF_ALL
            return quirk.confidence, said[quirk.confidence].format(_named(selector, firmware, model))
    for selector in rules.reported:
        if selector.fit(firmware) is Fit.YES:
            return _weaker(quirk.confidence), f"reported of {_named(selector, firmware, model)}, not proven there"
    if quirk.unknown_firmware == "skip":
        return None
    return _weaker(quirk.confidence), f"{_doubt(quirk, firmware)}; worked around to be safe"


_SEEN = {
    Confidence.CONFIRMED: "seen on {}",
    Confidence.REPORTED: "reported of {}",
    Confidence.CONTESTED: "said of {}, and contradicted by others",
}


_SAID_OF_ALL = {
    Confidence.CONFIRMED: "true of {}",
    Confidence.REPORTED: "taken to be true of {}",
    Confidence.CONTESTED: "said of {}, and contradicted by others",
}


def _named(selector: Selector, firmware: Firmware | None, model: str) -> str:
    if not selector.bounds:
        return f"every {model}"
    rule = "" if selector.text == str(firmware) else f" (rule {selector.text})"
    return f"firmware {firmware}{rule}"


def _doubt(quirk: Quirk, firmware: Firmware | None) -> str:
    if firmware is None:
        return "the modem does not tell its firmware"
    listed = (*quirk.match.affected, *quirk.match.reported, *quirk.match.good)
    if firmware.remark and any(selector.fit(firmware) is Fit.MAYBE for selector in listed):
        return f"firmware {firmware} may be one with the fault: {firmware.remark}"
    return f"nobody says whether firmware {firmware} has it"


def _weaker(confidence: Confidence) -> Confidence:
    """Return how sure an entry is for firmware on which it was not proven."""
    return Confidence.REPORTED if confidence is Confidence.CONFIRMED else confidence
