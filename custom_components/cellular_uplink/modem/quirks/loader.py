"""Reads quirk files, strictly: a mistake is an error with file and line, never a quirk that silently does nothing.

Blocking, so it is called off the event loop.
"""

from collections.abc import Mapping
from pathlib import Path
import re
import tomllib
from typing import Literal, NoReturn

from ..errors import InputError
from .effects import Effect, EffectError, build_effect, run_vector
from .firmware import Selector, Vendor, parse_selector
from .registry import Applies, Confidence, Evidence, EvidenceKind, Match, Quirk, Vector

DATA = Path(__file__).parent / "data"
ROUTES = ("socket", "modem-http")
TLS_PLACES = ("none", "host", "modem")
COMMANDS = ("postfile", "post", "content", "chunked")
"""Values of routes.plan's enumerations, which are above this layer; a test holds them together."""

_ID = re.compile(r"[a-z0-9]+(-[a-z0-9]+)*")
_QUIRK_KEYS = frozenset(
    {"id", "title", "effect", "params", "confidence", "unknown_firmware", "applies", "match", "evidence", "vector"}
    | {"retire", "never_used"}
)
_EVIDENCE_KEYS = frozenset({"kind", "source", "says", "url", "firmware", "against"})
_GOOD = "ok"


class QuirkFileError(InputError):
    """A quirk file cannot be used. `file` and `line` say where."""

    def __init__(self, file: Path, line: int, message: str) -> None:
        super().__init__("quirks", f"{file.name}:{line}: {message}")
        self.file = file
        self.line = line


def load_quirks(user_folder: Path | None = None, folder: Path = DATA) -> tuple[Quirk, ...]:
    """Return the catalogue, by id; a user's own folder overrides entries by id, or adds some.

    Raises:
        QuirkFileError: a file breaks the rules.
    """
    quirks = _load_folder(folder)
    if user_folder is not None and user_folder.is_dir():
        quirks |= _load_folder(user_folder)
    return tuple(quirks[key] for key in sorted(quirks))


def load_file(path: Path) -> tuple[Quirk, ...]:
    """Return the quirks of one file.

    Raises:
        QuirkFileError: the file breaks the rules.
    """
    try:
        text = path.read_text(encoding="utf-8")
        content = tomllib.loads(text)
    except tomllib.TOMLDecodeError as err:
        raise QuirkFileError(path, err.lineno, f"this is no TOML: {err.msg}") from err
    except UnicodeDecodeError as err:
        raise QuirkFileError(path, 1, "this is no UTF-8 text") from err
    except ValueError as err:  # a number of thousands of digits
        raise QuirkFileError(path, 1, f"this is no TOML that can be used: {err}") from err
    except OSError as err:
        raise QuirkFileError(path, 1, f"cannot be read: {err.strerror}") from err
    for key in content:
        if key != "quirk":
            raise QuirkFileError(path, _line_of(text, key), f"unknown key {key!r}; a file is a list of [[quirk]]")
    tables = content.get("quirk", [])
    if not isinstance(tables, list):
        raise QuirkFileError(path, 1, "a quirk begins with [[quirk]]")
    lines = _Lines(text)
    quirks: list[Quirk] = []
    for number, table in enumerate(tables):
        reader = _Reader(path, lines, number, table)
        quirk = reader.quirk()
        if quirks and quirk.id <= quirks[-1].id:
            reader.fail(f"{quirk.id!r} does not come after {quirks[-1].id!r}: ids are unique and in order", "id")
        quirks.append(quirk)
    return tuple(quirks)


def _load_folder(folder: Path) -> dict[str, Quirk]:
    quirks: dict[str, Quirk] = {}
    for path in sorted(folder.glob("*.toml")):
        for quirk in load_file(path):
            if quirk.id in quirks:
                line = int(quirk.where.rpartition(":")[2])
                raise QuirkFileError(path, line, f"{quirk.id!r} is also in {quirks[quirk.id].where}")
            quirks[quirk.id] = quirk
    return quirks


def _line_of(text: str, key: str) -> int:
    found = re.search(rf"^\s*\[*\s*{re.escape(key)}\b", text, re.MULTILINE)
    return 1 if found is None else text.count("\n", 0, found.end()) + 1


class _Lines:
    """Where what is in a file: tomllib does not tell, and a mistake without its line is searched for long."""

    def __init__(self, text: str) -> None:
        self._at: dict[tuple[int, str, int, str], int] = {}
        quirk, section, count = -1, "", 0
        for line, content in enumerate(text.splitlines(), 1):
            if re.match(r"\s*\[\[\s*quirk\s*\]\]", content):
                quirk, section, count = quirk + 1, "", 0
            elif found := re.match(r"\s*\[+\s*quirk\s*\.\s*(\w+)", content):
                count = count + 1 if found[1] == section else 0
                section = found[1]
                self._at.setdefault((quirk, "", 0, section), line)
            elif found := re.match(r"\s*([\w-]+)\s*=", content):
                self._at.setdefault((quirk, section, count, found[1]), line)
                continue
            else:
                continue
            self._at.setdefault((quirk, section, count, ""), line)

    def find(self, quirk: int, key: str = "", section: str = "", count: int = 0) -> int:
        """Return the line of a key, else that of its section or inline table, else that of its quirk."""
        places = (
            (quirk, section, count, key),
            (quirk, section, count, ""),
            (quirk, "", 0, section),
            (quirk, "", 0, ""),
        )
        return next((self._at[place] for place in places if place in self._at), 1)


class _Reader:
    """Reads one [[quirk]]."""

    def __init__(self, path: Path, lines: _Lines, number: int, table: object) -> None:
        self._path = path
        self._lines = lines
        self._number = number
        self._table = self._mapping(table, "a quirk")

    def fail(self, message: str, key: str = "", section: str = "", count: int = 0) -> NoReturn:
        """Raise the error with its place."""
        raise QuirkFileError(self._path, self._lines.find(self._number, key, section, count), message)

    def quirk(self) -> Quirk:
        """Return what the table says."""
        table = self._table
        self._check_keys(table, _QUIRK_KEYS)
        quirk_id = self._text(table, "id")
        if not _ID.fullmatch(quirk_id):
            self.fail(f"{quirk_id!r} is no id: lower-case letters, digits and single hyphens", "id")
        confidence = Confidence(self._one_of(table, "confidence", tuple(Confidence)))
        effect = self._effect()
        quirk = Quirk(
            id=quirk_id,
            title=self._text(table, "title"),
            effect=effect,
            confidence=confidence,
            match=self._match(),
            unknown_firmware=self._policy(),
            applies=self._applies(effect),
            evidence=self._evidence(),
            vectors=self._vectors(effect),
            retire=self._text(table, "retire", default=""),
            never_used=self._text(table, "never_used", default=""),
            where=f"{self._path.name}:{self._lines.find(self._number)}",
        )
        self._check_evidence(quirk)
        return quirk

    def _effect(self) -> Effect:
        params = self._mapping(self._table.get("params", {}), "params", key="params")
        try:
            return build_effect(self._text(self._table, "effect"), dict(params))
        except EffectError as err:
            self.fail(err.message, err.key)

    def _policy(self) -> Literal["apply", "skip"]:
        value = self._one_of(self._table, "unknown_firmware", ("apply", "skip"), default="skip")
        return "apply" if value == "apply" else "skip"

    def _applies(self, effect: Effect) -> Applies:
        table = self._mapping(self._table.get("applies", {}), "applies", key="applies")
        self._check_keys(table, frozenset({"route", "tls", "commands"}), "applies")
        commands = self._texts(table, "commands", "applies")
        for command in commands:
            if command not in COMMANDS:
                self.fail(f"unknown command {command!r}; there are {', '.join(COMMANDS)}", "commands", "applies")
        applies = Applies(
            route=self._one_of(table, "route", ROUTES, "applies") if "route" in table else None,
            tls=self._one_of(table, "tls", TLS_PLACES, "applies") if "tls" in table else None,
            commands=commands,
        )
        if effect.is_for_routes and not applies.is_for_routes:
            self.fail(f"{effect.name} needs applies: the route, TLS place or commands it is for", "applies")
        return applies

    def _match(self) -> Match:
        if "match" not in self._table:
            self.fail("[quirk.match] is missing")
        table = self._mapping(self._table["match"], "match", key="match")
        self._check_keys(table, frozenset({"vendor", "models", "affected", "reported", "good"}), "match")
        vendor = Vendor(self._one_of(table, "vendor", tuple(Vendor), "match"))
        models = self._texts(table, "models", "match")
        if not models:
            self.fail("models is missing: patterns such as BG96*", "models", "match")
        lists = {name: self._selectors(vendor, table, name) for name in ("affected", "reported", "good")}
        if not lists["affected"] and not lists["reported"]:
            self.fail("neither affected nor reported names a firmware (any is *)", "", "match")
        return Match(vendor=vendor, models=models, **lists)

    def _selectors(self, vendor: Vendor, table: Mapping[str, object], name: str) -> tuple[Selector, ...]:
        try:
            return tuple(parse_selector(vendor, text) for text in self._texts(table, name, "match"))
        except ValueError as err:
            self.fail(str(err), name, "match")

    def _evidence(self) -> tuple[Evidence, ...]:
        found = []
        for count, member in enumerate(self._tables("evidence")):
            self._check_keys(member, _EVIDENCE_KEYS, "evidence", count)
            against = member.get("against", False)
            if not isinstance(against, bool):
                self.fail("against must be true or false", "against", "evidence", count)
            found.append(
                Evidence(
                    kind=EvidenceKind(self._one_of(member, "kind", tuple(EvidenceKind), "evidence", count)),
                    source=self._text(member, "source", "evidence", count),
                    says=self._text(member, "says", "evidence", count),
                    url=self._text(member, "url", "evidence", count, default=""),
                    firmware=self._texts(member, "firmware", "evidence", count),
                    against=against,
                )
            )
        return tuple(found)

    def _vectors(self, effect: Effect) -> tuple[Vector, ...]:
        vectors = []
        for count, member in enumerate(self._tables("vector")):
            outcome = self._text(member, "outcome", "vector", count)
            remedy = member.get("remedy")
            case = {key: value for key, value in member.items() if key not in ("outcome", "remedy")}
            try:
                strikes, does = run_vector(effect, case)
            except EffectError as err:
                self.fail(err.message, err.key, "vector", count)
            if strikes is (outcome == _GOOD):
                verdict = "strikes" if strikes else "does not strike"
                self.fail(f"by the code of {effect.name} the fault {verdict} here", "outcome", "vector", count)
            if remedy is not None and (type(remedy), remedy) != (type(does), does):
                self.fail(f"by the code of {effect.name} the remedy is {does!r}", "remedy", "vector", count)
            assert remedy is None or isinstance(remedy, int | str)
            vectors.append(Vector(case=case, outcome=outcome, remedy=remedy))
        sides = {vector.outcome == _GOOD for vector in vectors}
        if len(sides) < 2:
            self.fail(f"{effect.name} needs a vector on both sides of its boundary: one ok, one not")
        return tuple(vectors)

    def _check_evidence(self, quirk: Quirk) -> None:
        pros = [evidence for evidence in quirk.evidence if not evidence.against]
        cons = [evidence for evidence in quirk.evidence if evidence.against]
        if not pros and quirk.confidence is not Confidence.REFUTED:
            self.fail("nothing says so: [[quirk.evidence]] is missing")
        if quirk.confidence is Confidence.CONFIRMED and not any(
            evidence.firmware or evidence.kind is EvidenceKind.MANUAL for evidence in pros
        ):
            self.fail("confirmed takes evidence that names a firmware, or the maker's manual", "confidence")
        if quirk.confidence in (Confidence.CONTESTED, Confidence.REFUTED) and not cons:
            self.fail(f"{quirk.confidence} takes evidence with against = true", "confidence")
        if quirk.confidence is Confidence.CONFIRMED and cons:
            self.fail("confirmed, but some evidence is against it: contested", "confidence")

    # -- values -------------------------------------------------------------------------------------------------------

    def _check_keys(
        self, table: Mapping[str, object], known: frozenset[str], section: str = "", count: int = 0
    ) -> None:
        for key in table:
            if key not in known:
                self.fail(f"unknown key {key!r}; there are {', '.join(sorted(known))}", key, section, count)

    def _mapping(self, value: object, name: str, *, key: str = "") -> Mapping[str, object]:
        if not isinstance(value, dict):
            self.fail(f"{name} must be a table", key)
        return value

    def _tables(self, section: str) -> list[Mapping[str, object]]:
        value = self._table.get(section, [])
        if not isinstance(value, list):
            self.fail(f"{section} begins with [[quirk.{section}]]", section)
        return [self._mapping(member, section, key=section) for member in value]

    def _text(
        self, table: Mapping[str, object], key: str, section: str = "", count: int = 0, *, default: str | None = None
    ) -> str:
        value = table.get(key, default)
        if not isinstance(value, str) or (default is None and not value.strip()) or not value.isprintable():
            self.fail(f"{key} must be a text in one line", key, section, count)
        return value

    def _texts(self, table: Mapping[str, object], key: str, section: str, count: int = 0) -> tuple[str, ...]:
        value = table.get(key, [])
        if not isinstance(value, list) or not all(isinstance(member, str) and member for member in value):
            self.fail(f"{key} must be a list of texts", key, section, count)
        return tuple(value)

    def _one_of(
        self,
        table: Mapping[str, object],
        key: str,
        choices: tuple[str, ...],
        section: str = "",
        count: int = 0,
        *,
        default: str | None = None,
    ) -> str:
        value = table.get(key, default)
        if value not in choices:
            self.fail(f"{key} must be one of {', '.join(choices)}", key, section, count)
        return str(value)
