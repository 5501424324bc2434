"""The strict loader: what is wrong is said with file and line; a user's folder overrides and adds."""

from pathlib import Path

import pytest

from custom_components.cellular_uplink.modem.errors import InputError
from custom_components.cellular_uplink.modem.quirks.loader import (
    COMMANDS,
    DATA,
    ROUTES,
    TLS_PLACES,
    QuirkFileError,
    load_file,
    load_quirks,
)
from custom_components.cellular_uplink.modem.quirks.registry import Confidence
from custom_components.cellular_uplink.modem.routes.plan import HttpCommand, RouteName, TlsPlace

GOOD = """\
[[quirk]]
id = "a-pad"
title = "Something fails"
effect = "pad_total_length"
params = { mask = 2048 }
confidence = "confirmed"
applies = { route = "modem-http" }
vector = [{ total = 2048, outcome = "719" }, { total = 1, outcome = "ok" }]
[quirk.match]
vendor = "quectel"
models = ["BG96*"]
affected = ["R03A06"]
[[quirk.evidence]]
kind = "report"
source = "somebody"
firmware = ["BG96MAR03A06M1G"]
says = "so"
"""


def _write(folder: Path, text: str, name: str = "mine.toml") -> Path:
    path = folder / name
    path.write_text(text, encoding="utf-8")
    return path


def test_good_file(tmp_path: Path) -> None:
    (quirk,) = load_file(_write(tmp_path, GOOD))
    assert quirk.id == "a-pad"
    assert quirk.where == "mine.toml:1"
    assert quirk.effect.params() == {"mask": 2048, "header": "X-PADDING"}


@pytest.mark.parametrize(
    ("old", "new", "line", "words"),
    [
        ('title = "Some', 'titel = "Some', 3, "unknown key 'titel'"),
        ("models =", "model =", 11, "unknown key 'model'"),
        ("says =", "said =", 17, "unknown key 'said'"),
        ('route = "modem-http"', 'rout = "modem-http"', 7, "unknown key 'rout'"),
        ('"modem-http"', '"modem"', 7, "route must be one of socket, modem-http"),
        ('applies = { route = "modem-http" }', 'applies = { commands = ["put"] }', 7, "unknown command 'put'"),
        ('applies = { route = "modem-http" }', "applies = { }", 7, "pad_total_length needs applies"),
        ('"pad_total_length"', '"pad_it"', 4, "no effect is called 'pad_it'"),
        ("mask = 2048 }", "mask = 2048, bits = 1 }", 5, "has no parameter 'bits'"),
        ("{ mask = 2048 }", "{ }", 5, "lacks a parameter"),
        ("mask = 2048 }", 'mask = "2048" }', 5, "must be a whole number"),
        ("mask = 2048 }", "mask = true }", 5, "must be a whole number"),
        ("mask = 2048 }", "mask = 2049 }", 5, "must be one bit"),
        ("mask = 2048 }", 'mask = 2048, header = "X\\r\\nY" }', 5, "printable ASCII"),
        ("mask = 2048 }", 'mask = 2048, header = "X Y" }', 5, "must be a header name"),
        ('"confirmed"', '"certain"', 6, "confidence must be one of"),
        ('firmware = ["BG96MAR03A06M1G"]\n', "", 6, "confirmed takes evidence that names a firmware"),
        ('"confirmed"', '"contested"', 6, "contested takes evidence with against = true"),
        ('says = "so"', 'says = "so"\nagainst = true', 1, "nothing says so"),
        (', { total = 1, outcome = "ok" }', "", 1, "a vector on both sides"),
        ('{ total = 2048, outcome = "719" }, ', "", 1, "a vector on both sides"),
        ("total = 1,", "total = 2049,", 8, "the fault strikes here"),
        ("total = 1,", "size = 1,", 8, "has no 'size'"),
        ("total = 2048,", "total = 2048, remedy = 1,", 8, "the remedy is 2048"),
        ("total = 2048,", "total = 2048, remedy = 2048.0,", 8, "the remedy is 2048"),
        ("mask = 2048", f"mask = {'9' * 5000}", 1, "no TOML that can be used"),
        ('"R03A06"', '"R3A6"', 12, "'R3A6' is no firmware"),
        ('affected = ["R03A06"]\n', "", 9, "neither affected nor reported"),
        ('id = "a-pad"', 'id = "A_Pad"', 2, "is no id"),
        ('id = "a-pad"', "id = 1", 2, "id must be a text"),
        ('kind = "report"', 'kind = "rumour"', 14, "kind must be one of"),
        ("[[quirk]]\nid", "[[fault]]\nid", 1, "unknown key 'fault'"),
        ('id = "a-pad"', 'id = "a-pad', 2, "this is no TOML"),
    ],
)
def test_mistake_is_found(tmp_path: Path, old: str, new: str, line: int, words: str) -> None:
    text = GOOD.replace(old, new, 1).replace("[quirk.", "[fault.") if "fault" in new else GOOD.replace(old, new, 1)
    text = text.replace("[[quirk.", "[[fault.") if "fault" in new else text
    assert text != GOOD
    with pytest.raises(QuirkFileError) as caught:
        load_file(_write(tmp_path, text))
    assert words in caught.value.reason
    assert (caught.value.file.name, caught.value.line) == ("mine.toml", line)
    assert f"mine.toml:{line}:" in str(caught.value)
    assert isinstance(caught.value, InputError)


@pytest.mark.parametrize("second", ["a-pad", "a-one"])
def test_ids_are_unique_and_in_order(tmp_path: Path, second: str) -> None:
    with pytest.raises(QuirkFileError, match="unique and in order") as caught:
        load_file(_write(tmp_path, GOOD + GOOD.replace("a-pad", second)))
    assert caught.value.line == 19


def test_line_in_a_later_entry(tmp_path: Path) -> None:
    with pytest.raises(QuirkFileError, match="unknown key 'said'") as caught:
        load_file(_write(tmp_path, GOOD + "\n" + GOOD.replace("a-pad", "b-pad").replace("says", "said")))
    assert caught.value.line == 35


def test_same_id_in_two_files(tmp_path: Path) -> None:
    _write(tmp_path, GOOD, "one.toml")
    _write(tmp_path, GOOD, "two.toml")
    with pytest.raises(QuirkFileError, match=r"two.toml:1: 'a-pad' is also in one.toml:1"):
        load_quirks(folder=tmp_path)


def test_user_folder_overrides_and_adds(tmp_path: Path) -> None:
    built_in = {quirk.id: quirk for quirk in load_quirks()}
    override = GOOD.replace("a-pad", "quectel-bg96-719").replace('"confirmed"', '"refuted"')
    override += '[[quirk.evidence]]\nkind = "self-test"\nsource = "mine"\nsays = "not here"\nagainst = true\n'
    _write(tmp_path, GOOD + override)
    found = {quirk.id: quirk for quirk in load_quirks(tmp_path)}
    assert len(found) == len(built_in) + 1
    assert built_in["quectel-bg96-719"].confidence is Confidence.CONFIRMED
    assert found["quectel-bg96-719"].confidence is Confidence.REFUTED
    assert list(found) == sorted(found)


def test_no_user_folder(tmp_path: Path) -> None:
    assert load_quirks(tmp_path / "none") == load_quirks()


def test_unreadable_files(tmp_path: Path) -> None:
    (tmp_path / "a.toml").write_bytes(b"\xff")
    with pytest.raises(QuirkFileError, match="no UTF-8"):
        load_quirks(folder=tmp_path)
    with pytest.raises(QuirkFileError, match="cannot be read"):
        load_file(tmp_path / "none.toml")


def test_words_are_those_of_the_planner() -> None:
    assert tuple(RouteName) == ROUTES
    assert tuple(TlsPlace) == TLS_PLACES
    assert tuple(HttpCommand) == COMMANDS


def test_every_file_is_short() -> None:
    for path in DATA.glob("*.toml"):
        assert len(path.read_text(encoding="utf-8").splitlines()) < 500
