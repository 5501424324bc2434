"""Faults of the line, as a host sees them: issue 3 scope 7, field.md E2, bg96.md 10 (15)."""

import os
import select

import pytest

from .conftest import OpenBench, Start
from .plain_at import Peer, Port, receive

CSQ = b"\r\n+CSQ: 21,99\r\n\r\nOK\r\n"
SYNC = b"\r\nBG96\r\n\r\nOK\r\n"


def test_drop(bench: OpenBench) -> None:
    """The nth byte from now is missing, once."""
    one = bench("bg96")
    one.control.fault("drop", at=3)
    assert one.at.raw("AT+CSQ") == CSQ[:2] + CSQ[3:]
    assert one.at.raw("AT+CSQ") == CSQ


def test_drop_in(bench: OpenBench) -> None:
    """A command that lost a byte on its way is another command."""
    one = bench("bg96")
    one.control.fault("drop", direction="in", at=5)
    assert one.at.ask("AT+CSQ") == ["ERROR"]
    assert one.at.raw("AT+CSQ") == CSQ


def test_duplicate(bench: OpenBench) -> None:
    """Every nth byte comes twice, as often as was said (Sierra 6993: duplicated bytes, field.md D4)."""
    one = bench("bg96")
    one.control.fault("duplicate", every=4, times=2)
    assert one.at.raw("AT+CSQ") == CSQ[:4] + CSQ[3:8] + CSQ[7:]


def test_corrupt_is_the_same_every_time(bench: OpenBench) -> None:
    """A seeded rate spoils the same bits on every run."""
    seen = []
    for _ in range(2):
        one = bench("bg96")
        one.control.fault("corrupt", rate=0.2, seed=7)
        one.at.send(b"AT+CSQ\r")
        seen.append(one.at.exactly(len(CSQ)))
    assert seen[0] == seen[1] != CSQ
    for spoiled, right in zip(seen[0], CSQ, strict=True):
        assert (spoiled ^ right).bit_count() in {0, 1}


def test_delay(bench: OpenBench) -> None:
    """The line stands still before a byte; nothing is lost."""
    one = bench("bg96")
    one.control.fault("delay", at=6, seconds=0.3)
    assert one.at.raw("AT+CSQ") == CSQ
    one.control.fault("delay", direction="in", at=2, seconds=0.3)
    assert one.at.raw("AT+CSQ") == CSQ


def test_delay_is_as_long_as_told(start: Start) -> None:
    """The trace has the times."""
    simulator = start("bg96", "--fault", "delay=at:3,seconds:0.25")
    at = Port(simulator.path)
    at.raw("AT")
    at.close()
    wire = simulator.wire()
    asked = next(when for when, text in wire if text == "host> AT\\r")
    said = next(when for when, text in wire if "OK" in text)
    assert said - asked >= 0.24


def test_split(bench: OpenBench) -> None:
    """Each byte is a write of its own: a host that reads at once gets them one by one."""
    one = bench("bg96")
    one.control.fault("split", ms=20)
    one.at.send(b"AT\r")
    pieces: list[bytes] = []
    while b"".join(pieces) != b"\r\nOK\r\n":
        assert select.select([one.at.fd], [], [], 30)[0]
        pieces.append(os.read(one.at.fd, 100))
    assert len(pieces) >= 4


@pytest.mark.parametrize(
    ("where", "expected"),
    [
        ("after_command", b'\r\n+QIURC: "recv",0\r\n\r\n+CSQ: 21,99\r\n\r\nOK\r\n'),
        ("before_result", b'\r\n+CSQ: 21,99\r\n\r\n+QIURC: "recv",0\r\n\r\nOK\r\n'),
        ("after_result", b'\r\n+CSQ: 21,99\r\n\r\nOK\r\n\r\n+QIURC: "recv",0\r\n'),
    ],
)
def test_injected_line(bench: OpenBench, where: str, expected: bytes) -> None:
    """A URC between command and reply, information and OK, two replies (field.md E2)."""
    one = bench("bg96")
    one.control.fault("inject", text='+QIURC: "recv",0', where=where)
    one.at.send(b"AT+CSQ\r")
    assert one.at.exactly(len(expected)) == expected
    assert one.at.raw("AT+CSQ") == CSQ


@pytest.mark.parametrize(
    ("crlf", "expected"),
    [
        ("none", b"\r\n+CSQ: 21,99\r\nRING\r\nOK\r\n"),
        ("before", b"\r\n+CSQ: 21,99\r\n\r\nRING\r\nOK\r\n"),
        ("after", b"\r\n+CSQ: 21,99\r\nRING\r\n\r\nOK\r\n"),
    ],
)
def test_glued_line(bench: OpenBench, crlf: str, expected: bytes) -> None:
    """A URC without its line ends, as esp saw one (ml307r.md 9: "ind" without CRLF)."""
    one = bench("bg96")
    one.control.fault("inject", text="RING", crlf=crlf)
    assert one.at.raw("AT+CSQ") == expected


def test_line_between_prompt_and_payload(bench: OpenBench, peer: Peer) -> None:
    """ml307r.md 6.1: URCs may come between > and OK; the payload is whole nevertheless."""
    one = bench("ml307r")
    one.open_socket(peer.port)
    far = peer.accept()
    one.control.fault("inject", text="+CEREG: 2", where="after_prompt")
    one.at.send(b"AT+MIPSEND=0,4\r")
    assert one.at.until(b"2\r\n") == b"\r\n>\r\n+CEREG: 2\r\n"
    one.at.send(b"data")
    assert one.at.until(b"OK\r\n") == b"\r\n+MIPSEND: 0,4\r\n\r\nOK\r\n"
    assert receive(far, 4) == b"data"


def test_injected_at_once_and_often(bench: OpenBench) -> None:
    """`now` needs no command; `times` repeats."""
    one = bench("bg96")
    one.control.fault("inject", text="RING", where="now", times=3)
    assert one.at.exactly(24) == b"\r\nRING\r\n" * 3
    assert one.control.do(state=True)["faults"] == {}


def test_unplug_and_replug(bench: OpenBench, peer: Peer) -> None:
    """The port ends like an adapter that is pulled out; the modem goes on, its connection too."""
    one = bench("bg96")
    one.open_socket(peer.port)
    far = peer.accept()
    one.control.do(unplug=True)
    assert _ended(one.at)
    assert one.control.do(state=True)["plugged"] is False
    again = Port(one.control.do(replug=True)["port"])
    assert again.ask("AT+QISTATE=1,0")[0].startswith('+QISTATE: 0,"TCP","127.0.0.1"')
    again.send(b"AT+QISEND=0,2\r")
    again.until(b"> ")
    again.send(b"hi")
    assert again.until(b"SEND OK\r\n")
    assert receive(far, 2) == b"hi"
    again.close()


def _ended(at: Port) -> bool:
    """Whether the port is gone: end of file, or an I/O error."""
    try:
        while select.select([at.fd], [], [], 30)[0]:
            if not os.read(at.fd, 100):
                return True
    except OSError:
        return True
    return False


def test_link_shows_the_new_port(start: Start, bench: OpenBench, tmp_path_factory: pytest.TempPathFactory) -> None:
    """--link is gone while there is no port, and shows the next one."""
    link = tmp_path_factory.mktemp("link") / "modem"
    one = bench("bg96", "--link", str(link))
    one.control.do(unplug=True)
    assert not link.is_symlink()
    one.control.do(replug=True)
    again = Port(str(link))
    assert again.ask("AT") == ["OK"]
    again.close()


def test_comes_back_by_itself(bench: OpenBench) -> None:
    """`seconds` ends an event."""
    one = bench("bg96")
    one.control.fault("unplug", seconds=0.05)
    while not (state := one.control.do(state=True))["plugged"]:
        pass
    again = Port(state["port"])
    assert again.ask("AT") == ["OK"]
    again.close()


def test_freeze(bench: OpenBench) -> None:
    """Frozen, the modem takes nothing and says nothing; what was sent meanwhile is lost."""
    one = bench("bg96")
    one.control.fault("freeze")
    one.at.send(b"AT+CSQ\r")
    while one.control.do(state=True)["bytes_in"] < len(b"ATE0+CMEE=1\rAT+CSQ\r"):
        pass
    one.control.do(unfreeze=True)
    assert one.at.raw("AT+CGMM") == SYNC


def test_freeze_keeps_input(bench: OpenBench) -> None:
    """Or it is only late."""
    one = bench("bg96")
    one.control.fault("freeze", input="kept", seconds=0.2)
    assert one.at.raw("AT+CGMM") == SYNC


@pytest.mark.parametrize("fault", ["reboot=after_in:8", "reboot=8"])
def test_reboot_after_bytes(start: Start, fault: str) -> None:
    """A reboot in the middle of a command; what the host still sends is lost."""
    simulator = start("ml307r", "--set", "boot_s=0.1", "--fault", fault)
    at = Port(simulator.path)
    at.raw("ATE0")
    at.send(b"AT+CGMM\r")
    assert at.until(b"+MATREADY\r\n") == b"\r\n+MATREADY\r\n"
    assert at.raw("AT+CGMM").startswith(b"AT+CGMM\r\r\nML307R")
    at.close()


def test_reboot_in_the_middle_of_a_reply(bench: OpenBench) -> None:
    """The reply ends after exactly that many bytes."""
    one = bench("bg96", "--set", "boot_s=0.05")
    one.control.fault("reboot", after_out=5)
    one.at.send(b"AT+CSQ\r")
    assert one.at.until(b"RDY\r\n") == CSQ[:5] + b"\r\nRDY\r\n"
