"""Hostile input: issue 3, proof; nothing ends the simulator or keeps it from answering the next AT."""

import re

from hypothesis import HealthCheck, given, settings, strategies as st
import pytest

from .conftest import Open
from .mux_client import DISC, SABM, UIH, MuxClient, frame
from .plain_at import Port

_COMMANDS: dict[str, str] = {
    "bg96": (
        "+CMEE +CFUN +COPS +CPIN +CREG +CEREG +CGATT +CGDCONT +QICSGP +QIACT +QIDEACT +QIOPEN +QISEND +QISENDEX +QIRD "
        "+QICLOSE +QISTATE +QISWTMD +QICFG +QISDE +QIDNSGIP +QIGETERROR +QCSQ +QENG +QINDCFG +QNWINFO +QURCCFG +QCFG "
        "+QHTTPCFG +QHTTPURL +QHTTPGET +QHTTPPOST +QHTTPPOSTFILE +QHTTPREAD +QHTTPREADFILE +QFLDS +QFLST +QFDEL "
        "+QFUPL +QFDWL +QFOPEN +QFREAD +QFWRITE +QFSEEK +QFPOSITION +QFTUCAT +QFCLOSE +QSSLCFG +QSSLOPEN +QSSLSEND "
        "+QSSLRECV +QSSLCLOSE +QSSLSTATE +QPING +QNTP +QSCLK +IFC E V &F &W S0 O H"
    ),
    "ml307r": (
        "+CMEE +CFUN +COPS +CPIN +CEREG +CGATT +CGDCONT +MIPCALL +MIPCFG +MIPOPEN +MIPSEND +MIPRD +MIPSACK +MIPSTATE "
        "+MIPCLOSE +MIPMODE +MIPTKA +MDNSGIP +MHTTPCREATE +MHTTPCFG +MHTTPHEADER +MHTTPCONTENT +MHTTPREQUEST "
        "+MHTTPREAD +MHTTPDEL +MHTTPTERM +MSSLCFG +MSSLCERTWR +MSSLKEYWR +MSSLLIST +MUESTATS +MLPMCFG "
        "+MUECONFIG +IFC E V &F &W O"
    ),
}
_ARGUMENT = st.one_of(
    st.sampled_from(
        ["", "0", "1", "2", "3", "4", "11", "12", "1500", "65536", "-1", "99999999999", "x", '""', '"', "??"]
    ),
    st.sampled_from(
        ['"TCP"', '"127.0.0.1"', '"contextid"', '"encoding"', '"a.txt"', '"*"', '"http://"', '"sslversion"']
    ),
    st.sampled_from(
        ['"header"', '"ssl"', '"auth"', '"http://127.0.0.1:1"', '"' + "y" * 900 + '"', "0A0D", "\\r\\n", "+++"]
    ),
)
_END = b"\x1b\x1a\r\n"


def _lines(model: str) -> st.SearchStrategy[bytes]:
    return st.builds(
        lambda name, form, arguments: f"AT{name}{form}{','.join(arguments)}\r".encode(),
        st.sampled_from(_COMMANDS[model].split()),
        st.sampled_from(["=", "=", "=", "?", "=?", ""]),
        st.lists(_ARGUMENT, max_size=7),
    )


@pytest.mark.parametrize("model", ["bg96", "ml307r"])
@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_wrong_order(port: Open, model: str, data: st.DataObject) -> None:
    """Known commands with any arguments in any order; payload that is asked for is cut short."""
    at = _kept(port, model)
    for line in data.draw(st.lists(_lines(model), max_size=8)):
        at.send(line)
        answer = at.until(_READY)
        if not answer.endswith(b"\r\n") or answer.endswith(b"CONNECT\r\n"):
            at.send(_PAYLOAD)
    at.send(_END)
    _answers(at, model)


_READY = re.compile(rb"\r\n(?:OK|ERROR|SEND OK|SEND FAIL|NO CARRIER|CONNECT[^\r\n]*|\+CM[ES] ERROR: [^\r\n]*)\r\n|>\ ?")
_PAYLOAD = b"z" * 10_240


def _answers(at: Port, model: str) -> None:
    at.send(b"\rATQ0V1E0\rAT+CGMM\r")
    at.until({"bg96": b"\r\nBG96\r\n\r\nOK\r\n", "ml307r": b"\r\nML307R\r\n\r\nOK\r\n"}[model])


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    pieces=st.lists(
        st.one_of(
            st.binary(max_size=100),
            st.builds(
                frame,
                st.integers(0, 63),
                st.sampled_from([SABM, DISC, UIH, 0x03, 0xFF]),
                st.binary(max_size=60),
                cr=st.booleans(),
            ),
        ),
        max_size=12,
    )
)
def test_hostile_frames(port: Open, pieces: list[bytes]) -> None:
    """In the multiplexer, too: noise, broken frames, any order; a fresh SABM and AT are answered."""
    at = _kept(port, "mux")
    at.send(b"".join(pieces))
    # A frame that noise has opened swallows at most N1 bytes and what belongs to them.
    at.send(b"\xf9" * 200)
    at.send(frame(0, DISC) + frame(0, SABM) + frame(3, DISC) + frame(3, SABM))
    mux = MuxClient(at)
    mux.command(3, "ATQ0V1E0")
    mux.command(3, "AT+CGMM")
    while b"\r\nBG96\r\n\r\nOK\r\n" not in mux.text.get(3, b""):
        dlci, control, said = mux.read()
        if control == UIH:
            mux.text[dlci] = mux.text.get(dlci, b"") + said


_KEPT: dict[tuple[int, str], Port] = {}


def _kept(port: Open, kind: str) -> Port:
    """One simulator for all examples of a test."""
    key = (id(port), kind)
    if key not in _KEPT:
        at = port("bg96" if kind == "mux" else kind, "connect_timeout_s=0.1", "guard_s=0.01", "search_s=0")
        if kind == "mux":
            assert at.raw("AT+CMUX=0") == b"\r\nOK\r\n"
        _KEPT[key] = at
    return _KEPT[key]
