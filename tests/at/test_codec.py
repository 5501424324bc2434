"""The codec against a corpus of what modems send; each case names its source and is replayed in three ways."""

import itertools
import pathlib
import random
import re
import tomllib

from hypothesis import given, settings, strategies as st
import pytest

from custom_components.cellular_uplink.modem.at.codec import (
    Codec,
    CodecRules,
    Counted,
    Event,
    Line,
    Overlong,
    PromptSeen,
    error_code,
    is_final,
    parse_fields,
)
from custom_components.cellular_uplink.modem.drivers.china_mobile import ChinaMobileDriver
from custom_components.cellular_uplink.modem.drivers.quectel import QuectelDriver
from custom_components.cellular_uplink.modem.errors import ModemProtocolError

CORPUS = sorted((pathlib.Path(__file__).parent / "corpus").glob("*.toml"))
RULES = {"quectel": QuectelDriver.rules, "china_mobile": ChinaMobileDriver.rules, "generic": CodecRules()}


def load(path: pathlib.Path) -> tuple[Codec, bytes, list[Event]]:
    case = tomllib.loads(path.read_text())
    assert case["source"], "every case names where it comes from"
    codec = Codec(RULES[case["family"]])
    codec.expects_prompt = case.get("expects_prompt", False)
    text = case["input"]
    text = text[0] * case.get("repeat", 1) + text[1:]
    return codec, text.encode("latin-1"), [event(item) for item in case["events"]]


def event(item: list[str | int]) -> Event:
    match item:
        case ["line", str(text)]:
            return Line(text.encode("latin-1"))
        case ["prompt"]:
            return PromptSeen()
        case ["counted", str(header), str(data)]:
            return Counted(header.encode("latin-1"), data.encode("latin-1"))
        case ["overlong", int(count)]:
            return Overlong(count)
    raise ValueError(f"not an event: {item}")


@pytest.mark.parametrize("path", CORPUS, ids=lambda path: path.stem)
class TestCorpus:
    def test_whole(self, path: pathlib.Path) -> None:
        codec, data, expected = load(path)
        assert codec.feed(data) == expected

    def test_byte_by_byte(self, path: pathlib.Path) -> None:
        codec, data, expected = load(path)
        assert [found for byte in data for found in codec.feed(bytes([byte]))] == expected

    def test_random_splits(self, path: pathlib.Path) -> None:
        generator = random.Random(path.stem)
        for _ in range(50):
            codec, data, expected = load(path)
            cuts = sorted({0, len(data), *(generator.randrange(len(data)) for _ in range(generator.randrange(8)))})
            pieces = [data[start:end] for start, end in itertools.pairwise(cuts)]
            assert [found for piece in pieces for found in codec.feed(piece)] == expected


@settings(deadline=None)
@given(
    st.lists(
        st.one_of(
            st.binary(max_size=40),
            st.sampled_from(
                [
                    b"\r\n",
                    b"> ",
                    b"OK",
                    b"+QIRD: 7\r\n",
                    b'+MIPURC: "rtcp",0,3,',
                    b'+MHTTPURC: "ind",0',
                    b"+QIRD: ",
                    b"9" * 30,
                ]
            ),
        ),
        max_size=30,
    ),
    st.sampled_from(sorted(RULES)),
    st.booleans(),
    st.integers(min_value=1, max_value=9),
)
def test_garbage_gives_the_same_events_for_every_split(
    pieces: list[bytes], family: str, prompt: bool, step: int
) -> None:
    data = b"".join(pieces)
    whole, split = Codec(RULES[family], max_line_bytes=64), Codec(RULES[family], max_line_bytes=64)
    whole.expects_prompt = split.expects_prompt = prompt
    expected = whole.feed(data)
    found = [item for start in range(0, len(data), step) for item in split.feed(data[start : start + step])]
    assert found == expected
    assert all(isinstance(item, Line | PromptSeen | Counted | Overlong) for item in expected)


def test_reset_forgets_what_was_half_received() -> None:
    codec = Codec(QuectelDriver.rules)
    codec.feed(b"\r\n+QIRD: 500\r\nhalf of it")
    codec.reset()
    assert codec.feed(b"\r\nOK\r\n") == [Line(b"OK")]


@pytest.mark.parametrize(
    ("text", "code"),
    [
        (b"+CME ERROR: 553", "553"),
        (b"+CME ERROR:50", "50"),
        (b"+CMS ERROR: 305", "305"),
        (b"+CME ERROR: SIM not inserted", "SIM not inserted"),
        (b"+CME ERROR: ", "ERROR"),
        (b"ERROR", "ERROR"),
        (b"SEND FAIL", "SEND FAIL"),
        (b"OK", None),
        (b"+CSQ: 1,2", None),
    ],
)
def test_error_codes(text: bytes, code: str | None) -> None:
    assert error_code(text) == code
    assert is_final(text) == (code is not None or text == b"OK")


@pytest.mark.parametrize(
    ("line", "prefix", "values"),
    [
        ('+CEREG: 2,1,"2490","015B290F",7', "+CEREG", [2, 1, "2490", "015B290F", 7]),
        ("+MIPCALL:1,0", "+MIPCALL", [1, 0]),
        ('+COPS: 0,0,"CHINA, MOBILE",7', "+COPS", [0, 0, "CHINA, MOBILE", 7]),
        ('+MIPSTATE: 0,,,,"INITIAL"', "+MIPSTATE", [0, None, None, None, "INITIAL"]),
        ("+CPINR: SIM PIN,3,10", "+CPINR", ["SIM PIN", 3, 10]),
        ('+QCSQ: "CAT-M1",-52,-81,195,-10', "+QCSQ", ["CAT-M1", -52, -81, 195, -10]),
        ("+QHTTPGET : 0,200,100412", "+QHTTPGET", [0, 200, 100412]),
        ("+COPS: 0", "+COPS", [0]),
        ("+X: 1,", "+X", [1, None]),
    ],
)
def test_fields(line: str, prefix: str, values: list[str | int | None]) -> None:
    assert parse_fields(line, prefix) == values


def test_fields_of_another_answer_are_refused() -> None:
    with pytest.raises(ModemProtocolError, match=re.escape("does not start with +CSQ")):
        parse_fields("+CESQ: 1", "+CSQ")
