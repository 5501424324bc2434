"""Firmware strings: one grammar a vendor, compared as numbers and never as text.

Quectel: `BG96MAR03A06M1G_01.005.01.005` is product line, release R03A06, and a build of two pairs (modem, application).
China Mobile IoT: `ML307R-DC-MBRH0S01` is product line and edition; the dotted release (`3.1.0.2606231027`) comes from
another command, and edition alone does not tell releases apart. Sources: bg96.md 1.2 and 1.3, ml307r.md 1.3.
"""

from dataclasses import dataclass
from enum import StrEnum
import re
from typing import override


class Vendor(StrEnum):
    """Whose grammar a string follows. The names are those of the drivers' families."""

    QUECTEL = "quectel"
    CHINA_MOBILE = "china_mobile"


class Fit(StrEnum):
    """Whether a firmware is one of those a selector means. MAYBE: it doesn't say enough of itself to tell."""

    YES = "yes"
    NO = "no"
    MAYBE = "maybe"


@dataclass(frozen=True, slots=True, kw_only=True)
class Firmware:
    """What a string says. `edition`: (R, A) or (H, S); `build`: all dotted numbers; None where it says nothing.

    Only firmware of one product line can be put in order, so whoever compares has matched the model before.
    `remark` is what a user should know about the reading.
    """

    vendor: Vendor
    text: str
    series: str = ""
    edition: tuple[int, ...] | None = None
    build: tuple[int, ...] | None = None
    remark: str = ""

    @property
    def is_known(self) -> bool:
        """Return False for a string that says nothing."""
        return self.edition is not None or self.build is not None

    @override
    def __str__(self) -> str:
        """Return it as a selector would name it."""
        return _name(self.vendor, self.series, self.edition, self.build) if self.is_known else self.text


@dataclass(frozen=True, slots=True)
class _Bound:
    operator: str
    series: str
    edition: tuple[int, ...] | None
    build: tuple[int, ...] | None

    def fit(self, firmware: Firmware) -> Fit:
        if self.series and firmware.series and self.series != firmware.series:
            return Fit.NO
        wanted: tuple[int, ...] = ()
        known: tuple[int, ...] = ()
        for ours, theirs in ((self.edition, firmware.edition), (self.build, firmware.build)):
            if ours is None:
                continue
            wanted += ours
            if theirs is not None and len(known) + len(ours) == len(wanted):
                known += theirs[: len(ours)]
        common = min(len(wanted), len(known))
        if known[:common] == wanted[:common]:
            if len(known) < len(wanted):
                return Fit.MAYBE
            return Fit.YES if "=" in self.operator else Fit.NO
        is_above = known[:common] > wanted[:common]
        return Fit.YES if (">" if is_above else "<") in self.operator else Fit.NO


@dataclass(frozen=True, slots=True)
class Selector:
    """Firmware a quirk speaks of: `*`, one release or build, or a range such as `>=R02A07/01.008,<R03A00`."""

    text: str
    bounds: tuple[_Bound, ...]

    def fit(self, firmware: Firmware | None) -> Fit:
        """Return whether `firmware` (None: the modem didn't say) is meant; `*` means any, readable or not."""
        if not self.bounds:
            return Fit.YES
        if firmware is None or not firmware.is_known:
            return Fit.MAYBE
        fits = {bound.fit(firmware) for bound in self.bounds}
        return next(fit for fit in (Fit.NO, Fit.MAYBE, Fit.YES) if fit in fits)


_QUECTEL = re.compile(r"R(?P<r>\d{2})A(?P<a>\d{2})(?P<rest>.*)", re.IGNORECASE)
_QUECTEL_BUILD = re.compile(r"(?:^|_)(\d+\.\d+\.\d+\.\d+)(?:_|$)")
_EDITION = re.compile(r"(?:^|-)(?P<series>[A-Z]+)(?P<h>\d)S(?P<s>\d{2})(?![0-9A-Z])", re.IGNORECASE)
_RELEASE = re.compile(r"(?:^|_)(\d+(?:\.\d+){2,})(?:_release)?(?:_|$)", re.IGNORECASE)
_BOUND = re.compile(r"(?P<operator>>=|<=|>|<|)(?P<edition>[A-Za-z][0-9A-Za-z]*)?(?:/?(?P<build>\d+(?:\.\d+)*))?")
_QUECTEL_EDITION = re.compile(r"R(\d{2})A(\d{2})", re.IGNORECASE)


def parse_firmware(vendor: Vendor, revision: str | None, release: str | None = None) -> Firmware | None:
    """Return what the modem's strings say, None when it said nothing; never fails on any string."""
    text = " ".join(part.strip() for part in (revision, release) if part and part.strip())
    if not text:
        return None
    if vendor is Vendor.QUECTEL:
        return _parse_quectel((revision or release or "").strip())
    return _parse_china_mobile(text)


def parse_selector(vendor: Vendor, text: str) -> Selector:
    """Return the selector written as `text`.

    Raises:
        ValueError: with a sentence, when it is none.
    """
    if text == "*":
        return Selector(text, ())
    bounds = []
    for part in text.split(","):
        found = _BOUND.fullmatch(part.strip())
        if found is None or (found["edition"] is None and found["build"] is None):
            raise ValueError(f"{part.strip()!r} is no firmware, such as {_EXAMPLES[vendor]}")
        series, edition = _selected_edition(vendor, found["edition"])
        build = None if found["build"] is None else _numbers(found["build"])
        if vendor is Vendor.QUECTEL and edition is None:
            raise ValueError(f"{part.strip()!r} is a build without the release it counts in (R##A##)")
        bounds.append(_Bound(found["operator"] or "=", series, edition, build))
    return Selector(text, tuple(bounds))


def vendor_of(family: str | None, vendor: str | None, model: str | None) -> Vendor | None:
    """Return whose grammar a modem's strings follow; the driver's family counts first, then what the modem says."""
    if family in tuple(Vendor):
        return Vendor(family)
    said = (vendor or "").casefold()
    if "quectel" in said:
        return Vendor.QUECTEL
    if said.startswith(("cmcc", "china mobile")):
        return Vendor.CHINA_MOBILE
    # A model without a driver of its own has no family; relatives of Quectel's are named by two letters.
    if re.match(r"(BG|EC|EG|EP|UC)\d", model or "", re.IGNORECASE):
        return Vendor.QUECTEL
    return Vendor.CHINA_MOBILE if re.match(r"ML30\d", model or "", re.IGNORECASE) else None


_EXAMPLES = {Vendor.QUECTEL: "R03A06/01.005.01.005", Vendor.CHINA_MOBILE: "MBRH0S01 or 3.1.0.2606231027"}


def _parse_quectel(text: str) -> Firmware:
    found = _QUECTEL.search(text)
    if found is None:
        return Firmware(vendor=Vendor.QUECTEL, text=text, remark="this is no firmware string as Quectel writes them")
    build: tuple[int, ...] | None = None
    remark = "it does not tell its build"
    if sub_version := _QUECTEL_BUILD.search(found["rest"]):
        build, remark = _numbers(sub_version[1]), ""
        if build[-2:] == (0, 0):
            # Known from ModemManager, too: the modem says so while it does not know.
            build, remark = None, f"its build reads {sub_version[1]}, and one that ends in 00.000 is no real reading"
    elif "_" in found["rest"]:
        remark = f"its build {found['rest'].partition('_')[2]!r} is outside the usual numbering"
    return Firmware(
        vendor=Vendor.QUECTEL, text=text, edition=(int(found["r"]), int(found["a"])), build=build, remark=remark
    )


def _parse_china_mobile(text: str) -> Firmware:
    series, edition, build = "", None, None
    for word in re.split(r"[\s]+", text):
        head, _, _ = word.partition("_")
        if edition is None and (found := _EDITION.search(head)):
            series, edition = found["series"].upper(), (int(found["h"]), int(found["s"]))
        if build is None and (dotted := _RELEASE.search(word)):
            build = _numbers(dotted[1])
    remark = ""
    if edition is None and build is None:
        remark = "this is no firmware string as China Mobile IoT writes them"
    elif build is None:
        remark = "it does not tell its release (AT+MSWVER)"
    return Firmware(vendor=Vendor.CHINA_MOBILE, text=text, series=series, edition=edition, build=build, remark=remark)


def _selected_edition(vendor: Vendor, text: str | None) -> tuple[str, tuple[int, ...] | None]:
    if text is None:
        return "", None
    if vendor is Vendor.QUECTEL:
        if found := _QUECTEL_EDITION.fullmatch(text):
            return "", (int(found[1]), int(found[2]))
    elif found := _EDITION.fullmatch(text):
        return found["series"].upper(), (int(found["h"]), int(found["s"]))
    raise ValueError(f"{text!r} is no firmware, such as {_EXAMPLES[vendor]}")


def _numbers(dotted: str) -> tuple[int, ...]:
    return tuple(int(number) for number in dotted.split("."))


def _name(vendor: Vendor, series: str, edition: tuple[int, ...] | None, build: tuple[int, ...] | None) -> str:
    parts = []
    if edition is not None:
        first, second = edition
        parts.append(f"R{first:02}A{second:02}" if vendor is Vendor.QUECTEL else f"{series}{first}S{second:02}")
    if build is not None:
        # Quectel pads with zeros: 01.005.01.005.
        widths = (2, 3, 2, 3) if vendor is Vendor.QUECTEL else (1,) * len(build)
        parts.append(".".join(f"{number:0{width}}" for number, width in zip(build, widths, strict=True)))
    return "/".join(parts)
