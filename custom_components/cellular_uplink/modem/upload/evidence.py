"""A self-test as evidence: TOML for the quirk catalogue. It names firmware and lengths, and nothing that is private."""

from collections.abc import Sequence
from datetime import UTC, datetime
import re

from ..quirks.registry import match
from .cases import Agenda, Outcome, case_as_dict
from .formats import USER_AGENT
from .rulings import Ruling, State, said_of

ENGINE = USER_AGENT.partition("/")[2]


def evidence(
    agenda: Agenda, outcomes: Sequence[Outcome], rulings: Sequence[Ruling], when: float, *, is_tls_verified: bool
) -> str:
    """Return the block; `when` in unix seconds. Below each `[[quirk]]` with its id is a `[[quirk.evidence]]`.

    A number as long as an IMEI, a phone number or that of a SIM does not get in, whatever the modem calls firmware.
    """
    identity = agenda.identity
    date = datetime.fromtimestamp(when, UTC).date().isoformat()
    told = [text for text in (identity.firmware, identity.release) if text]
    lines = [
        f"# A self-test by Cellular Uplink {ENGINE}. It names no server, no SIM and no owner.",
        "[selftest]",
        f"engine = {_quoted(ENGINE)}",
        f"date = {date}",
        f"family = {_quoted(identity.family)}",
        f"model = {_quoted(identity.model or '')}",
        f"firmware = {_quoted(identity.firmware or '')}",
        f"release = {_quoted(identity.release or '')}",
        f"tls = {_quoted(agenda.tls)}",
        f"tls_verified = {str(is_tls_verified).lower()}",
        "cases = [",
        *(f"  {_inline({**case_as_dict(outcome.case), 'outcome': outcome.code or 'ok'})}," for outcome in outcomes),
        "]",
    ]
    last_id = ""
    for ruling in rulings:
        if ruling.state is State.NOT_TESTABLE or not (ruling.state is State.HOLDS or match(identity, [ruling.quirk])):
            continue  # a fault that nobody says this firmware has is not contradicted by its absence
        if ruling.quirk.id != last_id:
            last_id = ruling.quirk.id
            lines += ["", "[[quirk]]", f"id = {_quoted(last_id)}"]
        tls = f", TLS by the {agenda.tls}" if ruling.outcomes and agenda.tls != "none" else ""
        lines += [
            "[[quirk.evidence]]",
            'kind = "self-test"',
            f"source = {_quoted(f'self-test of a user, engine {ENGINE}, {date}')}",
            f"firmware = [{', '.join(_quoted(text) for text in told)}]",
            f"says = {_quoted(f'{ruling.command}{tls}: {said_of(ruling.outcomes)}')}",
        ]
        if ruling.state is State.DOES_NOT_HOLD:
            lines.append("against = true")
    return "\n".join(lines) + "\n"


def _inline(values: dict[str, object]) -> str:
    shown = (
        f"{name} = {value if isinstance(value, int) else _quoted(str(value))}"
        for name, value in values.items()
        if value is not None
    )
    return "{ " + ", ".join(shown) + " }"


def _quoted(text: str) -> str:
    """Return a TOML string: what a modem says can hold anything."""
    plain = "".join(char if char.isascii() and char.isprintable() else "?" for char in text)
    plain = re.sub(r"\d{11,}", "#", plain)
    return '"' + plain.replace("\\", "\\\\").replace('"', '\\"') + '"'
