"""Firmware strings: the grammar of each vendor, order, selectors, and what is not known."""

from hypothesis import given, strategies as st
import pytest

from custom_components.cellular_uplink.modem.quirks.firmware import (
    Fit,
    Vendor,
    parse_firmware,
    parse_selector,
    vendor_of,
)

from . import firmware_seen


@pytest.mark.parametrize(("model", "text", "edition", "build"), firmware_seen.QUECTEL)
def test_quectel_strings(model: str, text: str, edition: tuple[int, ...], build: tuple[int, ...] | None) -> None:
    found = parse_firmware(Vendor.QUECTEL, text)
    assert found is not None
    assert (found.edition, found.build) == (edition, build)
    assert found.is_known
    assert bool(found.remark) is (build is None)


@pytest.mark.parametrize(("model", "text", "edition", "build"), firmware_seen.CHINA_MOBILE)
def test_china_mobile_strings(
    model: str, text: str, edition: tuple[int, ...] | None, build: tuple[int, ...] | None
) -> None:
    found = parse_firmware(Vendor.CHINA_MOBILE, text)
    assert found is not None
    assert (found.edition, found.build) == (edition, build)


def test_china_mobile_revision_and_release_from_two_commands() -> None:
    found = parse_firmware(Vendor.CHINA_MOBILE, "ML307R-DL-MBRH0S01", "3.1.0.2606231027_release")
    assert found is not None
    assert str(found) == "MBRH0S01/3.1.0.2606231027"
    assert found.series == "MBRH"


def test_bogus_reading_is_not_believed() -> None:
    found = parse_firmware(Vendor.QUECTEL, "BG95M5LAR02A03_01.006.00.000")
    assert found is not None
    assert "00.000" in found.remark
    assert str(found) == "R02A03"


def test_order_is_that_of_numbers() -> None:
    """As texts, 01.011 would come before 01.1, and 9 after 10."""
    above = parse_selector(Vendor.QUECTEL, ">R02A07/01.9.01.9")
    assert above.fit(parse_firmware(Vendor.QUECTEL, "BG96MAR02A07M1G_01.011.01.011")) is Fit.YES


@pytest.mark.parametrize(
    ("selector", "firmware", "fit"),
    [
        ("R03A06", "BG96MAR03A06M1G_01.005.01.005", Fit.YES),
        ("R03A06", "BG96MAR03A06M1G", Fit.YES),
        ("R03A06", "BG96MAR04A06M1G", Fit.NO),
        ("R03A06/01.005.01.005", "bg96mar03a06m1g_01.005.01.005", Fit.YES),
        ("R03A06/01.005.01.005", "BG96MAR03A06M1G_01.005.01.006", Fit.NO),
        ("R03A06/01.005", "BG96MAR03A06M1G_01.005.01.006", Fit.YES),
        ("R03A06/01.005.01.005", "BG96MAR03A06M1G", Fit.MAYBE),
        ("R03A06/01.005.01.005", "BG96MAR02A06M1G", Fit.NO),
        ("<R02A07/01.008", "BG96MAR02A07M1G_01.007.01.007", Fit.YES),
        ("<R02A07/01.008", "BG96MAR02A07M1G_01.008.01.008", Fit.NO),
        ("<R02A07/01.008", "BG96MAR02A06M1G", Fit.YES),
        ("<R02A07/01.008", "BG96MAR02A08M1G", Fit.NO),
        ("<R02A07/01.008", "BG96MAR02A07M1G", Fit.MAYBE),
        (">=R02A07/01.008,<R03A00", "BG96MAR02A08M1G_01.012.01.012", Fit.YES),
        (">=R02A07/01.008,<R03A00", "BG96MAR03A06M1G_01.005.01.005", Fit.NO),
        ("<=R02A07", "BG96MAR02A07M1G_01.018.01.018", Fit.YES),
        (">R02A07", "BG96MAR02A07M1G_01.018.01.018", Fit.NO),
        ("R03A06", "hello", Fit.MAYBE),
        ("*", "hello", Fit.YES),
    ],
)
def test_selector(selector: str, firmware: str, fit: Fit) -> None:
    assert parse_selector(Vendor.QUECTEL, selector).fit(parse_firmware(Vendor.QUECTEL, firmware)) is fit


@pytest.mark.parametrize(
    ("selector", "revision", "release", "fit"),
    [
        ("MBRH0S01", "ML307R-DC-MBRH0S01", None, Fit.YES),
        ("MBRH0S01", "ML307R-DC-MBRH0S00", None, Fit.NO),
        ("MBRH0S01", "ML307A-DSLN-MTSH0S01", None, Fit.NO),
        ("3.1.0.2606221536", "ML307R-DC-MBRH0S01", "3.1.0.2606221536", Fit.YES),
        ("3.1.0.2606221536", "ML307R-DC-MBRH0S01", "3.1.0.2606231027_release", Fit.NO),
        ("3.1.0.2606221536", "ML307R-DC-MBRH0S01", None, Fit.MAYBE),
        (">=3.1", "ML307R-DC-MBRH0S01", "3.1.0.2606231027", Fit.YES),
        ("MBRH0S01/<3", "ML307R", None, None),
        ("MBRH0S01/3.1", None, "3.1.0.2606231027", Fit.MAYBE),
    ],
)
def test_selector_of_china_mobile(selector: str, revision: str | None, release: str | None, fit: Fit | None) -> None:
    if fit is None:
        with pytest.raises(ValueError, match="is no firmware"):
            parse_selector(Vendor.CHINA_MOBILE, selector)
        return
    firmware = parse_firmware(Vendor.CHINA_MOBILE, revision, release)
    assert parse_selector(Vendor.CHINA_MOBILE, selector).fit(firmware) is fit


@pytest.mark.parametrize("text", ["", "R3A6", "01.005", "R03A06/", ">", "R03A06/x", "R03A06,,"])
def test_what_is_no_selector(text: str) -> None:
    with pytest.raises(ValueError, match=r"is (no firmware|a build)"):
        parse_selector(Vendor.QUECTEL, text)


def test_nothing_told() -> None:
    assert parse_firmware(Vendor.QUECTEL, None) is None
    assert parse_firmware(Vendor.CHINA_MOBILE, " ", "") is None
    assert parse_selector(Vendor.QUECTEL, "R03A06").fit(None) is Fit.MAYBE
    assert parse_selector(Vendor.QUECTEL, "*").fit(None) is Fit.YES


@given(st.text(max_size=60), st.sampled_from(Vendor))
def test_any_text_is_read_without_failing(text: str, vendor: Vendor) -> None:
    found = parse_firmware(vendor, text)
    if found is not None:
        assert str(found)


@pytest.mark.parametrize(
    ("family", "vendor", "model", "found"),
    [
        ("quectel", None, None, Vendor.QUECTEL),
        ("generic", "Quectel_Ltd", None, Vendor.QUECTEL),
        ("generic", "CMCC", "ML302", Vendor.CHINA_MOBILE),
        ("generic", None, "EG800K", Vendor.QUECTEL),
        ("generic", None, "ML302S", Vendor.CHINA_MOBILE),
        ("generic", "SIMCOM", "SIM7600G-H", None),
    ],
)
def test_vendor(family: str, vendor: str | None, model: str | None, found: Vendor | None) -> None:
    assert vendor_of(family, vendor, model) is found
