"""No text a user gave can end a command line, start another, or reach a transcript when it is secret."""

from hypothesis import given, strategies as st
import pytest

from custom_components.cellular_uplink.modem.at.encoding import AtEncoder, Text
from custom_components.cellular_uplink.modem.drivers.china_mobile import ChinaMobileDriver
from custom_components.cellular_uplink.modem.drivers.quectel import QuectelDriver
from custom_components.cellular_uplink.modem.errors import InputError


def test_forms() -> None:
    encoder = AtEncoder()
    assert encoder.run().raw == b"AT"
    assert encoder.run("+CGMM").raw == b"AT+CGMM"
    assert encoder.read("+CPIN").raw == b"AT+CPIN?"
    line = encoder.set("+QIOPEN", 1, 0, Text("type", "TCP"), Text("host", "example.org"), 443, None, 0)
    assert line.raw == b'AT+QIOPEN=1,0,"TCP","example.org",443,,0'
    assert (line.name, line.shown) == ("AT+QIOPEN", line.raw.decode())


@pytest.mark.parametrize("bad", ["\r", "\n", "\0", '"', "\x1a", "\x1b", ";", "\\", "é", "\x7f"])
@pytest.mark.parametrize("encoder", [AtEncoder(), QuectelDriver.encoder, ChinaMobileDriver.encoder])
def test_what_a_string_cannot_carry_is_refused_by_field_name(encoder: AtEncoder, bad: str) -> None:
    with pytest.raises(InputError) as caught:
        encoder.set("+CGDCONT", 1, Text("apn", f"internet{bad}x"))
    assert caught.value.field == "apn"
    assert caught.value.message.startswith("apn: contains ")


def test_a_list_cannot_allow_what_no_family_may() -> None:
    with pytest.raises(InputError):
        AtEncoder('abc"\r\n').set("+X", Text("x", 'a"'))


@given(st.text())
def test_no_text_ever_ends_a_line(text: str) -> None:
    try:
        line = AtEncoder().set("+CGDCONT", 1, Text("apn", text))
    except InputError:
        return
    assert line.raw == f'AT+CGDCONT=1,"{text}"'.encode()
    assert not set(line.raw) & set(b"\r\n\0\x1a\x1b;")
    assert line.raw.count(b'"') == 2


@pytest.mark.parametrize("name", ["+CSQ\r", "+csq", "+X;+Y", "X" * 30])
def test_command_names_are_constants(name: str) -> None:
    with pytest.raises(ValueError, match="not a command name"):
        AtEncoder().run(name)


def test_secrets_are_not_shown() -> None:
    line = AtEncoder().set("+CPIN", Text("pin", "4711", secret=True))
    assert line.raw == b'AT+CPIN="4711"'
    assert "4711" not in line.shown
