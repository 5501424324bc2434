"""AT+CMUX: 27.007 5.7 and 27.010 basic mode; quirks from field.md B2 (8-10) and A2."""

from .conftest import Open, OpenBench
from .mux_client import DISC, DM, SABM, UA, UIH, MuxClient, fcs, frame
from .plain_at import Peer, Port, receive


def enter(at: Port, n1: int = 31) -> MuxClient:
    """AT+CMUX and the control channel."""
    command = "AT+CMUX=0" if n1 == 31 else f"AT+CMUX=0,0,5,{n1}"
    assert at.raw(command) == b"\r\nOK\r\n"
    mux = MuxClient(at, n1)
    mux.open(0)
    return mux


def test_frames_byte_by_byte(port: Open) -> None:
    """27.010 5.2: address, control, length and FCS as they stand on the wire; a UA answers a SABM."""
    at = port("bg96")
    assert at.raw("AT+CMUX=0") == b"\r\nOK\r\n"
    at.send(bytes.fromhex("f9033f011cf9"))
    assert at.exactly(6) == bytes.fromhex("f9037301d7f9")
    at.send(bytes.fromhex("f9073f01def9"))
    assert at.exactly(6) == bytes.fromhex("f907730115f9")
    msc = at.exactly(10)
    assert msc[:8] == bytes.fromhex("f901ef09e305078d")
    assert msc[8] == fcs(msc[1:4])
    at.send(bytes.fromhex("f907ef09") + b"ATE0" + bytes([fcs(bytes.fromhex("07ef09")), 0xF9]))
    at.send(frame(1, UIH, b"\r"))
    mux = MuxClient(at)
    assert mux.until(1, b"OK\r\n") == b"ATE0\r\r\nOK\r\n"
    at.send(frame(1, UIH, b"AT\r"))
    assert at.exactly(12) == b"\xf9\x05\xef\x0d\r\nOK\r\n" + bytes([fcs(b"\x05\xef\x0d"), 0xF9])


def test_channels_have_states_of_their_own(port: Open) -> None:
    """Issue 3: DLCIs with their own AT state."""
    mux = enter(port("bg96"))
    mux.open(1)
    mux.open(2)
    assert mux.ask(1, "ATE0V1").endswith(b"OK\r\n")
    assert mux.ask(1, "AT+CGMM") == b"\r\nBG96\r\n\r\nOK\r\n"
    assert mux.ask(2, "AT+CGMM") == b"AT+CGMM\r\r\nBG96\r\n\r\nOK\r\n"
    assert mux.ask(2, "AT+CMEE=0")
    assert mux.ask(1, "AT+CSQ?") == b"\r\n+CME ERROR: 3\r\n"
    assert mux.ask(2, "AT+CSQ?").endswith(b"\r\r\nERROR\r\n")
    assert mux.ask(1, "AT+CFUN?") == b"\r\n+CFUN: 1\r\n\r\nOK\r\n"


def test_msc_is_answered(port: Open) -> None:
    """27.010 5.4.6.3.7: MSC comes back as a response; FC holds the channel until it is cleared."""
    at = port("bg96")
    mux = enter(at)
    mux.open(1)
    mux.ask(1, "ATE0")
    assert mux.messages == [bytes.fromhex("e305078d")]
    at.send(frame(0, UIH, bytes.fromhex("e305078f")))
    while bytes.fromhex("e105078f") not in mux.messages:
        mux.pump()
    mux.command(1, "AT+CGMM")
    mux.open(2)
    mux.ask(2, "AT")
    assert mux.text.get(1, b"") == b""
    at.send(frame(0, UIH, bytes.fromhex("e305078d")))
    assert mux.until(1, b"OK\r\n") == b"\r\nBG96\r\n\r\nOK\r\n"


def test_other_messages(port: Open) -> None:
    """27.010 5.4.6.3: TEST and PN come back, an unknown one is NSC; PN may lower N1 for a channel."""
    at = port("bg96")
    mux = enter(at, 100)
    at.send(frame(0, UIH, b"\x23\x09abcd"))
    mux.pump()
    at.send(frame(0, UIH, bytes.fromhex("83110100000a0a000307")))
    mux.pump()
    at.send(frame(0, UIH, b"\x13\x03\x00"))
    mux.pump()
    assert mux.messages == [b"\x21\x09abcd", bytes.fromhex("81110100000a0a000300"), bytes.fromhex("110313")]
    mux.open(1)
    mux.messages.clear()
    mux.command(1, "AT+CGMM")
    sizes = []
    while b"OK\r\n" not in mux.text.get(1, b""):
        dlci, _, data = mux.read()
        if dlci:
            sizes.append(len(data))
            mux.text[dlci] = mux.text.get(dlci, b"") + data
    assert max(sizes) == 10


def test_n1(port: Open) -> None:
    """27.007: N1 limits what is in a frame; a longer one is not taken."""
    at = port("bg96")
    mux = enter(at, 127)
    mux.open(1)
    mux.ask(1, "ATE0")
    at.send(frame(1, UIH, b"AT" + b" " * 130 + b"+CGMM\r"))
    assert mux.ask(1, "ATI") == b"\r\nQuectel\r\nBG96\r\nRevision: BG96MAR02A07M1G\r\n\r\nOK\r\n"


def test_long_frames(port: Open, peer: Peer) -> None:
    """27.010 5.2.1.5: two length bytes from 128 on; payload holding flags and anything else is counted."""
    at = port("bg96")
    mux = enter(at, 1500)
    mux.open(1)
    mux.ask(1, "ATE0")
    mux.ask(1, 'AT+QICSGP=1,1,"a"')
    mux.ask(1, "AT+QIACT=1")
    mux.ask(1, f'AT+QIOPEN=1,0,"TCP","127.0.0.1",{peer.port},0,1')
    assert mux.until(1, b"0,0\r\n") == b"\r\n+QIOPEN: 0,0\r\n"
    far = peer.accept()
    data = bytes(range(256)) * 5 + b"\xf9" * 100
    mux.command(1, f"AT+QISEND=0,{len(data)}")
    mux.until(1, b"> ")
    mux.send(1, data)
    assert mux.until(1, b"SEND OK\r\n")
    assert receive(far, len(data)) == data


def test_results_go_to_the_asking_channel(port: Open, peer: Peer) -> None:
    """A late result belongs to the channel that asked, an unsolicited line to the first (switch cmux_urc_dlci)."""
    at = port("bg96", "urc_port=uart1")
    mux = enter(at)
    mux.open(1)
    mux.open(2)
    mux.ask(1, "ATE0")
    mux.ask(2, "ATE0")
    mux.ask(2, 'AT+QICSGP=1,1,"a"')
    mux.ask(2, "AT+QIACT=1")
    mux.ask(2, f'AT+QIOPEN=1,0,"TCP","127.0.0.1",{peer.port},0,0')
    assert mux.until(2, b"0,0\r\n") == b"\r\n+QIOPEN: 0,0\r\n"
    peer.accept().sendall(b"x")
    assert mux.until(1, b'recv",0\r\n') == b'\r\n+QIURC: "recv",0\r\n'


def test_payload_here_status_there(port: Open, peer: Peer) -> None:
    """Issue 3: while one channel is in the middle of its payload, another answers."""
    mux = enter(port("ml307r", "cmux=yes"), 512)
    mux.open(1)
    mux.open(2)
    mux.ask(1, "ATE0")
    mux.ask(2, "ATE0")
    mux.ask(1, f'AT+MIPOPEN=0,"TCP","127.0.0.1",{peer.port}')
    mux.until(1, b"0,0\r\n")
    far = peer.accept()
    mux.command(1, "AT+MIPSEND=0,4000")
    mux.until(1, b">")
    mux.send(1, b"a" * 2000)
    assert mux.ask(2, "AT+CSQ") == b"\r\n+CSQ: 21,99\r\n\r\nOK\r\n"
    mux.send(1, b"b" * 2000)
    assert mux.until(1, b"OK\r\n") == b"\r\n+MIPSEND: 0,4000\r\n\r\nOK\r\n"
    assert receive(far, 4000) == b"a" * 2000 + b"b" * 2000


def test_refused_and_closed_channels(port: Open) -> None:
    """27.010 5.4.1 and 5.3.4: DM for a channel that cannot be, or is not, open."""
    at = port("bg96")
    mux = enter(at)
    at.send(frame(60, SABM))
    assert mux.read() == (60, DM, b"")
    at.send(frame(3, DISC))
    assert mux.read() == (3, DM, b"")
    mux.open(1)
    mux.ask(1, "ATE0")
    at.send(frame(1, DISC))
    assert mux.read() == (1, UA, b"")
    at.send(frame(1, UIH, b"AT\r"))
    assert mux.read() == (1, DM, b"")


def test_no_exit_on_a_bg96(port: Open) -> None:
    """field.md B2 entry 9 (esp-protocols #103): after CLD there is no way back to AT; a new start is."""
    at = port("bg96")
    mux = enter(at)
    at.send(frame(0, UIH, b"\xc3\x01"))
    mux.pump()
    assert mux.messages == [b"\xc1\x01"]
    at.send(b"AT\r")
    mux.open(0)
    mux.open(1)
    assert mux.ask(1, "AT").endswith(b"OK\r\n")


def test_exit(port: Open) -> None:
    """27.010 5.4.6.3.3 and 5.8.2: CLD or DISC of DLCI 0 lead back to AT commands (switch cmux_exit)."""
    at = port("bg96", "cmux_exit=yes")
    mux = enter(at)
    at.send(frame(0, UIH, b"\xc3\x01"))
    mux.pump()
    assert at.raw("AT") == b"\r\nOK\r\n"
    mux = enter(at)
    at.send(frame(0, DISC))
    assert mux.read() == (0, UA, b"")
    assert at.raw("AT") == b"\r\nOK\r\n"


def test_no_rate_within(port: Open) -> None:
    """field.md B2 entry 10 (EC2x manual): AT+IPR does not work inside CMUX."""
    mux = enter(port("bg96"))
    mux.open(1)
    assert mux.ask(1, "AT+IPR=9600").endswith(b"\r\nERROR\r\n")


def test_settle_time(bench: OpenBench) -> None:
    """field.md B2 entry 8 (Zephyr #63410): frames right after the OK are lost."""
    one = bench("bg96", "--set", "cmux_settle_s=0.3")
    assert one.at.raw("AT+CMUX=0") == b"\r\nOK\r\n"
    one.at.send(frame(0, SABM))
    one.simulator.wait_for("cmux not ready yet")
    mux = MuxClient(one.at)
    while not (first := one.control.do(state=True))["mux"]:
        pass
    assert first["mux"] is True
    while "[0] SABM" not in one.simulator.trace.read_text(encoding="ascii"):
        one.at.send(frame(0, SABM))
    assert mux.read() == (0, UA, b"")


def test_noise_and_broken_frames(port: Open) -> None:
    """27.010 5.2.3: a frame with a wrong FCS, or noise between frames, is dropped, and the next one is heard."""
    at = port("bg96")
    mux = enter(at)
    mux.open(1)
    mux.ask(1, "ATE0")
    broken = bytearray(frame(1, UIH, b"AT+CGMM\r"))
    broken[-2] ^= 0x55
    at.send(bytes(broken) + b"noise\xf9\xf9\xf9\xff\xff\xff")
    assert mux.ask(1, "ATI").endswith(b"BG96MAR02A07M1G\r\n\r\nOK\r\n")


def test_reboot_ends_it(bench: OpenBench) -> None:
    """A reboot leads back to AT commands."""
    one = bench("bg96", "--set", "boot_s=0.01")
    mux = enter(one.at)
    mux.open(1)
    mux.ask(1, "ATE0")
    one.control.do(reboot=True)
    assert one.at.until(b"APP RDY\r\n") == b"\r\nRDY\r\n\r\nAPP RDY\r\n"
    assert one.at.raw("AT") == b"AT\r\r\nOK\r\n"


def test_limits_of_the_command(port: Open) -> None:
    """Mode 0 alone; N1 within its limits; the ML307R's manuals do not know it (field.md G)."""
    at = port("bg96")
    assert at.ask("AT+CMUX=?")[-1] == "OK"
    assert at.ask("AT+CMUX=1") == ["ERROR"]
    assert at.ask("AT+CMUX=0,0,5,9999") == ["ERROR"]
    assert at.ask("AT+CMUX?") == ["+CMUX: 0,0,5,31,10,3,30,10,2", "OK"]
    assert port("ml307r").ask("AT+CMUX=0") == ["ERROR"]


def test_transparent_here_status_there(port: Open, peer: Peer) -> None:
    """Issue 3, field.md D4 (2): a transparent socket on one DLCI, status on another."""
    for model, n1 in (("bg96", 1024), ("ml307r", 512)):
        switches = ("guard_s=0.1",) if model == "bg96" else ("guard_s=0.1", "cmux=yes")
        mux = enter(port(model, *switches), n1)
        mux.open(1)
        mux.open(2)
        mux.ask(1, "ATE0")
        mux.ask(2, "ATE0")
        if model == "bg96":
            mux.ask(1, 'AT+QICSGP=1,1,"a"')
            mux.ask(1, "AT+QIACT=1")
            mux.command(1, f'AT+QIOPEN=1,0,"TCP","127.0.0.1",{peer.port},0,2')
        else:
            mux.command(1, f'AT+MIPOPEN=0,"TCP","127.0.0.1",{peer.port},,1')
        mux.until(1, b"\r\nCONNECT\r\n")
        far = peer.accept()
        for _ in range(3):
            mux.send(1, b"picture " * 500)
            assert mux.ask(2, "AT+CSQ") == b"\r\n+CSQ: 21,99\r\n\r\nOK\r\n"
        assert receive(far, 12000) == b"picture " * 1500
        far.sendall(b"answer")
        assert mux.until(1, b"answer") == b"answer"
