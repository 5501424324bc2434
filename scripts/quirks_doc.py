"""Writes docs/quirks.md from the quirk files; --check says whether it is current. Started by scripts/quirks_doc.

Loading is strict, so this is also the check of the files themselves.
"""

import argparse
from collections.abc import Sequence
from pathlib import Path
import sys

from modem.quirks.loader import DATA, QuirkFileError, load_file, load_quirks
from modem.quirks.registry import Evidence, Quirk

ROOT = Path(__file__).resolve().parents[1]
PAGE = ROOT / "docs" / "quirks.md"

_HEAD = """# Known faults

<!-- Made by scripts/quirks_doc from custom_components/cellular_uplink/modem/quirks/data; edit the files there. -->

What is known to be broken in which firmware, who says so, and the remedy. `scripts/uplink explain --model BG96
--firmware BG96MAR03A06M1G_01.005.01.005` tells what of this concerns a modem and which plan it leads to.

**Confidence.** confirmed: evidence names the firmware, or the maker's manual says so. reported: said by some,
proven by nobody. contested: others say otherwise, both sides are named. refuted: it was something else; kept so
that it stays known. On firmware on which a fault was not seen, confirmed counts as reported. A confirmed fault
takes a way out of the plan, any other puts it last.

**Firmware.** `R03A06/01.005.01.005` is release and build of a Quectel, `MBRH0S01` and `3.1.0.2606221536` edition
and release of a China Mobile IoT; `*` is any. Ranges are written `>=R02A07/01.008,<R03A00`. What is compared are
numbers. A build may be missing, and one that ends in `00.000` is no reading: such firmware counts as unknown where
the build matters.

**A folder of your own** with files of the same form overrides entries by id, or adds some: `scripts/uplink explain
--quirks FOLDER`, and in Home Assistant `<config>/cellular_uplink/quirks` (see
[destinations](destinations.md#known-faults-of-your-own)). A mistake in a file is an error with its line. A file is a
list of `[[quirk]]` with `id`, `title`, `effect`, `params`, `confidence`, `unknown_firmware` (apply or skip),
`applies` (`route`, `tls`, `commands`; without it the driver alone is concerned), `vector` (cases on both sides of the
fault, run against the code), `never_used` (what the fault needs to strike, where nothing here uses it),
`[quirk.match]` (`vendor`, `models`, `affected`, `reported`, `good`),
`[[quirk.evidence]]` (`kind`, `source`, `says`, `url`, `firmware`, `against`) and `retire`.
"""
_TITLES = {
    "bg95": "Quectel BG95 and BG77",
    "bg96": "Quectel BG96",
    "ec25": "Quectel EC25 and EC21",
    "ml307r": "China Mobile IoT ML307R",
    "ml307r_line": "China Mobile IoT ML307R: line, delivery, TLS",
    "quectel": "Quectel, several models",
}


def main() -> int:
    """Write or check the page; return 1 when it is not current, 2 when a quirk file is wrong."""
    parser = argparse.ArgumentParser(prog="scripts/quirks_doc", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--check", action="store_true", help="write nothing")
    args = parser.parse_args()
    try:
        quirks = load_quirks()
        text = page()
    except QuirkFileError as err:
        print(err.reason, file=sys.stderr)
        return 2
    if args.check and (not PAGE.is_file() or PAGE.read_text(encoding="utf-8") != text):
        print("docs/quirks.md is not current: run scripts/quirks_doc", file=sys.stderr)
        return 1
    if not args.check:
        PAGE.write_text(text, encoding="utf-8")
    vectors = sum(len(quirk.vectors) for quirk in quirks)
    print(f"{len(quirks)} quirks, {vectors} vectors")
    return 0


def page() -> str:
    """Return the page."""
    parts = [_HEAD]
    for path in sorted(DATA.glob("*.toml")):
        quirks = load_file(path)
        parts.append(f"\n## {_TITLES.get(path.stem, path.stem)}\n\n{_overview(quirks)}")
        parts += [_section(quirk) for quirk in quirks]
    return "".join(parts)


def _overview(quirks: Sequence[Quirk]) -> str:
    rows = [f"| [{quirk.id}](#{quirk.id}) | {quirk.confidence} | {_cell(quirk.title)} |\n" for quirk in quirks]
    return "| Id | Confidence | Fault |\n|---|---|---|\n" + "".join(rows)


def _section(quirk: Quirk) -> str:
    rules = quirk.match
    firmware = [
        f"{name} {', '.join(f'`{selector.text}`' for selector in selectors)}"
        for name, selectors in (("affected", rules.affected), ("reported", rules.reported), ("good", rules.good))
        if selectors
    ]
    if any(selector.bounds for selector in (*rules.affected, *rules.reported)):
        firmware.append("unknown: applied to be safe" if quirk.unknown_firmware == "apply" else "unknown: not applied")
    lines = [
        f"\n### {quirk.id}\n",
        f"{quirk.title}. **{quirk.confidence.value.capitalize()}.**\n",
        f"- Models: {', '.join(f'`{model}`' for model in rules.models)}. Firmware: {'; '.join(firmware)}.",
        f"- Where: {_where(quirk)}.",
        f"- Remedy (`{quirk.effect.name}`): {quirk.sentence}.",
        *(_said(evidence) for evidence in quirk.evidence),
    ]
    if quirk.retire:
        lines.append(f"- Retired when {quirk.retire}.")
    return "\n".join(lines) + "\n"


def _where(quirk: Quirk) -> str:
    applies = quirk.applies
    if not applies.is_for_routes:
        return "the driver, whatever the way out"
    parts = [f"route {applies.route}" if applies.route else "", f"TLS by the {applies.tls}" if applies.tls else ""]
    parts.append(f"command {', '.join(applies.commands)}" if applies.commands else "")
    return "; ".join(part for part in parts if part)


def _said(evidence: Evidence) -> str:
    source = f"[{evidence.source}]({evidence.url})" if evidence.url else evidence.source
    firmware = f" ({', '.join(evidence.firmware)})" if evidence.firmware else ""
    side = "Against" if evidence.against else "Evidence"
    return f"- {side}, {evidence.kind}: {source}{firmware}: {evidence.says}."


def _cell(text: str) -> str:
    return text.replace("|", "\\|")


if __name__ == "__main__":
    sys.exit(main())
