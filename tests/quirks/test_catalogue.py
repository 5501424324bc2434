"""The catalogue itself: every vector against the code, what matches which firmware, and why."""

from pathlib import Path

import pytest

from custom_components.cellular_uplink.modem.drivers.base import Identity
from custom_components.cellular_uplink.modem.explain import demand_of, explain, identity_of
from custom_components.cellular_uplink.modem.quirks.effects import EFFECTS, run_vector
from custom_components.cellular_uplink.modem.quirks.firmware import Vendor
from custom_components.cellular_uplink.modem.quirks.registry import Confidence, MatchedQuirk, Quirk, match

from .firmware_seen import CHINA_MOBILE, QUECTEL

type Catalogue = tuple[Quirk, ...]


def _match(
    catalogue: Catalogue, model: str, firmware: str | None, release: str | None = None
) -> dict[str, MatchedQuirk]:
    return {quirk.id: quirk for quirk in match(identity_of(model, firmware, release), catalogue)}


def test_every_vector(catalogue: Catalogue) -> None:
    count = 0
    for quirk in catalogue:
        for vector in quirk.vectors:
            strikes, remedy = run_vector(quirk.effect, vector.case)
            assert strikes is (vector.outcome != "ok"), quirk.where
            assert vector.remedy in (None, remedy), quirk.where
            count += 1
    assert count >= 160


def test_every_effect_is_in_use(catalogue: Catalogue) -> None:
    assert {quirk.effect.name for quirk in catalogue} == set(EFFECTS) - {"effect"}


def test_what_is_never_used_is_in_no_driver(catalogue: Catalogue) -> None:
    """Else what `explain` says of it would not be true."""
    drivers = Path(__file__).parents[2] / "custom_components" / "cellular_uplink" / "modem" / "drivers"
    of_vendor = {Vendor.QUECTEL: "quectel*.py", Vendor.CHINA_MOBILE: "china_mobile*.py"}
    idle = [quirk for quirk in catalogue if quirk.never_used]
    assert len(idle) > 10
    for quirk in idle:
        files = [*drivers.glob(of_vendor[quirk.match.vendor]), drivers / "generic.py", drivers / "sockets.py"]
        name = quirk.never_used.removeprefix("AT")
        word = name.partition("=")[2] or f'"{name}"'
        assert not any(word in path.read_text(encoding="utf-8") for path in files), quirk.where


def test_sentences_stand_in_a_line(catalogue: Catalogue) -> None:
    for quirk in catalogue:
        for text in (
            quirk.title,
            quirk.sentence,
            quirk.effect.sentence(),
            *(evidence.says for evidence in quirk.evidence),
        ):
            assert text.isprintable()
            assert not text.endswith("."), quirk.where


@pytest.mark.parametrize(
    ("firmware", "confidence", "why"),
    [
        ("BG96MAR03A06M1G_01.005.01.005", Confidence.CONFIRMED, "seen on firmware R03A06/01.005.01.005"),
        ("bg96mar03a06m1g_01.005.01.005", Confidence.CONFIRMED, "seen on"),
        ("BG96MAR02A07M1G_01.011.01.011", Confidence.CONFIRMED, "seen on"),
        ("BG96MAR04A02M1G_02.002.01.002", Confidence.REPORTED, "reported of firmware R04A02/02.002.01.002"),
        ("BG96MAR02A07M1G_01.016.01.016", Confidence.REPORTED, "nobody says whether"),
        ("BG96MAR02A07M1G", Confidence.REPORTED, "may be one with the fault: it does not tell its build"),
        ("rubbish", Confidence.REPORTED, "no firmware string"),
        (None, Confidence.REPORTED, "does not tell its firmware"),
    ],
)
def test_719(catalogue: Catalogue, firmware: str | None, confidence: Confidence, why: str) -> None:
    found = _match(catalogue, "BG96", firmware)["quectel-bg96-719"]
    assert found.confidence is confidence
    assert why in found.why
    assert found.params == {"mask": 2048, "header": "X-PADDING"}


def test_719_is_of_the_bg96_alone(catalogue: Catalogue) -> None:
    assert "quectel-bg96-719" not in _match(catalogue, "BG95-M3", "BG95M3LAR02A03_01.006.01.006")
    assert not _match(catalogue, "SIM7600G-H", "LE20B04SIM7600G22")


def test_harm_is_not_done_to_unknown_firmware(catalogue: Catalogue) -> None:
    assert "quectel-bg96-719-post" in _match(catalogue, "BG96", "BG96MAR03A06M1G_01.005.01.005")
    for firmware in ("BG96MAR03A06M1G_01.007.01.007", "BG96MAR03A06M1G", "rubbish", None):
        assert "quectel-bg96-719-post" not in _match(catalogue, "BG96", firmware)


def test_range(catalogue: Catalogue) -> None:
    key = "quectel-recvind-capability"
    assert key in _match(catalogue, "BG96", "BG96MAR02A07M1G_01.007.01.007")
    assert key not in _match(catalogue, "BG96", "BG96MAR02A07M1G_01.008.01.008")
    assert key not in _match(catalogue, "BG96", "BG96MAR03A06M1G_01.005.01.005")
    assert key in _match(catalogue, "BG96", "BG96MAR02A07M1G")


def test_release_of_the_ml307r(catalogue: Catalogue) -> None:
    crash = "ml307r-mipmode-crash"
    assert crash in _match(catalogue, "ML307R", "ML307R-DC-MBRH0S01", "3.1.0.2606221536")
    assert crash not in _match(catalogue, "ML307R", "ML307R-DC-MBRH0S01", "3.1.0.2606231027_release")
    assert crash not in _match(catalogue, "ML307R", "ML307R-DC-MBRH0S01")


def test_contested_names_both_sides(catalogue: Catalogue) -> None:
    contested = [quirk for quirk in catalogue if quirk.confidence is Confidence.CONTESTED]
    assert "ml307r-http-content" in {quirk.id for quirk in contested}
    for quirk in contested:
        assert {evidence.against for evidence in quirk.evidence} == {True, False}


def test_refuted_matches_nothing(catalogue: Catalogue) -> None:
    assert any(quirk.confidence is Confidence.REFUTED for quirk in catalogue)
    assert "ml307r-disconnect-10s" not in _match(catalogue, "ML307R", "ML307R-DC-MBRH0S01")


def test_modem_without_model_line(catalogue: Catalogue) -> None:
    identity = Identity(family="china_mobile", firmware="ML307R-DL-MBRH0S01")
    assert "ml307r-http-content" in {quirk.id for quirk in match(identity, catalogue)}


@pytest.mark.parametrize(("model", "firmware"), [seen[:2] for seen in (*QUECTEL, *CHINA_MOBILE)])
@pytest.mark.parametrize(("scheme", "tls"), [("http", "host"), ("https", "host"), ("https", "modem")])
def test_explain_every_firmware_seen(catalogue: Catalogue, model: str, firmware: str, scheme: str, tls: str) -> None:
    demand = demand_of(scheme=scheme, request_bytes=2061, tls=tls)
    found = explain(identity_of(model, firmware, None), demand, catalogue)
    told = found.as_dict()
    quirks, attempts = told["quirks"], told["plan"]
    assert isinstance(quirks, list)
    assert isinstance(attempts, list)
    assert quirks
    assert all(quirk["id"] and quirk["confidence"] and quirk["why"] for quirk in quirks)
    assert all(attempt["why"] for attempt in attempts)
    # EG800K has a row in the catalogue and no driver.
    assert bool(attempts) is (model != "EG800K")
    text = "\n".join(found.lines())
    assert firmware in text
    assert "None" not in text
    assert ".." not in text.replace("...", "")
    if (scheme, tls) == ("https", "host"):
        assert len(text.splitlines()) <= 25, "what concerns nothing in the plan is an id at most"
