"""Files of the BG96: bg96.md 3 (M-FILE)."""

import re
import time

import certifi
import pytest

from .bg96_at import data_mode, upload
from .conftest import Open, Start
from .plain_at import Port

OK = b"\r\nOK\r\n"


@pytest.fixture
def at(port: Open) -> Port:
    return port("bg96")


def amazon_root() -> bytes:
    """AmazonRootCA1 as certifi carries it, LF, no final newline."""
    bundle = certifi.contents().replace("\r\n", "\n")
    found = re.search(
        r"# Label: \"Amazon Root CA 1\"\n(?:#[^\n]*\n)*(-----BEGIN.*?-----END CERTIFICATE-----)", bundle, re.DOTALL
    )
    assert found
    return found[1].encode()


def test_checksums(at: Port) -> None:
    """XOR of big-endian words, lower case, no leading zeros: FCK, FQMT, CERT as bg96.md 3 gives them."""
    root = amazon_root()
    crlf = root.replace(b"\n", b"\r\n") + b"\r\n"
    for name, data, line in (
        ("a", root, b"1187,2d19"),
        ("b", root + b"\n", b"1188,2d13"),
        ("c", crlf, b"1208,5769"),
        ("d", b"-----BEGIN CERTIFICATE-----\r", b"28,6c53"),
        ("e", b"0123456789", b"10,3839"),
        ("f", b"\x0d\x35", b"2,d35"),
        ("g", b"aa", b"2,6161"),
        ("h", b"aaaa", b"4,0"),
    ):
        assert upload(at, name, data) == b"\r\n+QFUPL: " + line + b"\r\n" + OK
        head, tail = b"\r\nCONNECT\r\n", b"\r\n+QFDWL: " + line + b"\r\n" + OK
        at.send(f'AT+QFDWL="{name}"\r'.encode())
        assert at.exactly(len(head + data + tail)) == head + data + tail


def test_framing_with_echo(port: Open) -> None:
    """M-AT 1.2, SIXEX: the echoed command ends in CR, so CONNECT comes after CR CR LF; data is not echoed."""
    at = port("bg96", echo=True)
    at.send(b'AT+QFUPL="x",3\r')
    assert at.until(b"CONNECT\r\n") == b'AT+QFUPL="x",3\r\r\nCONNECT\r\n'
    at.send(b"abc")
    assert at.until(OK) == b"\r\n+QFUPL: 3,262\r\n\r\nOK\r\n"
    at.send(b"ATE0V0\r")
    assert at.until(b"0\r0\r") == b"ATE0V0\r0\r"
    at.send(b'AT+QFUPL="y",3\r')
    assert at.exactly(2) == b"1\r"
    at.send(b"abc")
    assert at.until(b"0\r") == b"+QFUPL: 3,262\r\n0\r"


def test_every_byte(at: Port) -> None:
    """M-FILE: the data is raw; `+++` without silence before it is data."""
    data = bytes(range(256)) * 16 + b"+++" + b"\r\nOK\r\nAT\r+++x\x1a"
    assert upload(at, "raw.bin", data).startswith(b"\r\n+QFUPL: %d," % len(data))
    at.send(b'AT+QFDWL="raw.bin"\r')
    assert at.exactly(11) == b"\r\nCONNECT\r\n"
    assert at.exactly(len(data)) == data


@pytest.mark.parametrize(("size", "letters"), [(3000, 2), (1023, 0), (1024, 1), (2049, 2)])
def test_ack_mode(at: Port, size: int, letters: int) -> None:
    """M-FILE 3.1.1.2: the letter A alone after each 1024 bytes; 3000 bytes give two."""
    data = bytes(n % 251 for n in range(size))
    at.send(b'AT+QFUPL="ack",%d,5,1\r' % size)
    assert at.exactly(11) == b"\r\nCONNECT\r\n"
    for start in range(0, size, 1024):
        at.send(data[start : start + 1024])
        if start + 1024 <= size:
            assert at.exactly(1) == b"A"
    assert at.until(OK).startswith(b"\r\n+QFUPL: %d," % size)
    assert size // 1024 == letters


def test_present_missing_and_names(at: Port) -> None:
    """M-FILE table 1: 407, 405, 406; names up to 80 characters; `UFS:` is taken, `RAM:` is not."""
    upload(at, "a.txt", b"12")
    assert at.ask('AT+QFUPL="a.txt",2') == ["+CME ERROR: 407"]
    assert at.ask('AT+QFUPL="UFS:a.txt",2') == ["+CME ERROR: 407"]
    assert at.ask('AT+QFDEL="b.txt"') == ["+CME ERROR: 405"]
    assert at.ask('AT+QFDWL="b.txt"') == ["+CME ERROR: 405"]
    assert at.ask('AT+QFUPL="RAM:a.txt",2') == ["+CME ERROR: 406"]
    assert at.ask(f'AT+QFUPL="{"n" * 81}",2') == ["+CME ERROR: 406"]
    assert upload(at, "n" * 80, b"12").endswith(OK)
    assert at.ask('AT+QFLST="*"') == ['+QFLST: "a.txt",2', f'+QFLST: "{"n" * 80}",2', "OK"]
    assert at.ask('AT+QFLST="a.txt"') == ['+QFLST: "a.txt",2', "OK"]
    assert at.ask('AT+QFDEL="UFS:a.txt"') == ["OK"]
    assert at.ask('AT+QFDEL="*"') == ["OK"]
    assert at.ask("AT+QFLST") == ["OK"]
    assert at.ask('AT+QFCRC="a"') == ["ERROR"]


def test_switches_of_contradictions(port: Open) -> None:
    """bg96.md 11: prefix in QFLST, 418 for a missing file."""
    at = port("bg96", "qflst_prefix=yes", "qfdel_missing=418")
    upload(at, "client.crt", b"x" * 851)
    assert at.ask("AT+QFLST") == ['+QFLST: "UFS:client.crt",851', "OK"]
    assert at.ask('AT+QFDEL="no"') == ["+CME ERROR: 418"]


def test_space(port: Open) -> None:
    """M-FILE: free and total, files and their number; 420 for what does not fit."""
    at = port("bg96")
    assert at.ask('AT+QFLDS="UFS"') == ["+QFLDS: 12987840,14483456", "OK"]
    upload(at, "a", b"x" * 100)
    upload(at, "b", b"x" * 20)
    assert at.ask("AT+QFLDS") == ["+QFLDS: 120,2", "OK"]
    assert at.ask('AT+QFLDS="UFS"') == ["+QFLDS: 12987720,14483456", "OK"]
    assert at.ask('AT+QFUPL="c",12987721') == ["+CME ERROR: 420"]


def test_short_input(port: Open) -> None:
    """M-FILE: data mode ends when nothing came for the time-out; what came is kept (bg96.md 12: the result is open)."""
    at = port("bg96")
    assert data_mode(at, 'AT+QFUPL="short",100,1', b"0123456789") == b"\r\n+QFUPL: 10,3839\r\n" + OK
    at = port("bg96", "file_timeout=cme421")
    at.send(b'AT+QFUPL="short",100,1\r')
    at.until(b"CONNECT\r\n")
    at.send(b"0123456789")
    assert at.until(b"421\r\n") == b"\r\n+CME ERROR: 421\r\n"
    assert at.ask("AT+QFLST") == ['+QFLST: "short",10', "OK"]


@pytest.mark.parametrize(("switch", "whole"), [("idle", True), ("total", False)])
def test_idle_or_total_timeout(start: Start, switch: str, whole: bool) -> None:
    """bg96.md 11: the time-out of QFUPL is the longest silence, or the longest time for all of it."""
    at = Port(start("bg96", "--set", f"qfupl_timeout={switch}", baud="1200").path, 1200)
    at.raw("ATE0")
    at.send(b'AT+QFUPL="slow",160,1\r')
    at.until(b"CONNECT\r\n")
    at.send(b"x" * 160)  # takes 1.33 s
    answer = at.until(OK)
    at.close()
    assert answer.startswith(b"\r\n+QFUPL: 160,") is whole, answer


def test_escape(port: Open) -> None:
    """M-FILE, M-TCP: `+++` between guard times leaves data mode; what was stored stays."""
    at = port("bg96", "guard_s=0.2")
    at.send(b'AT+QFUPL="esc",100,30\r')
    assert at.exactly(11) == b"\r\nCONNECT\r\n"
    at.send(b"kept")
    time.sleep(0.25)
    at.send(b"+++")
    start = time.monotonic()
    assert at.exactly(6) == OK
    assert time.monotonic() - start > 0.15
    assert at.ask("AT+QFLST") == ['+QFLST: "esc",4', "OK"]
    assert at.ask("ATO") == ["NO CARRIER"]


def test_open_files(at: Port) -> None:
    """M-FILE 2.5 to 2.12: the QFOPEN family."""
    assert at.ask('AT+QFOPEN="log",2') == ["+CME ERROR: 405"]
    line, result = at.ask('AT+QFOPEN="log"')
    handle = int(line.removeprefix("+QFOPEN: "))
    assert result == "OK"
    assert at.ask("AT+QFOPEN?") == [f'+QFOPEN: "log",{handle},0', "OK"]
    assert at.ask('AT+QFOPEN="log"') == ["+CME ERROR: 426"]
    assert data_mode(at, f"AT+QFWRITE={handle},10", b"0123456789") == b"\r\n+QFWRITE: 10,10\r\n" + OK
    assert at.ask(f"AT+QFPOSITION={handle}") == ["+QFPOSITION: 10", "OK"]
    assert at.ask(f"AT+QFREAD={handle},5") == ["+CME ERROR: 402"]
    assert at.ask(f"AT+QFSEEK={handle},2") == ["OK"]
    at.send(f"AT+QFREAD={handle},5\r".encode())
    assert at.exactly(24) == b"\r\nCONNECT 5\r\n23456\r\nOK\r\n"
    at.send(f"AT+QFREAD={handle},99\r".encode())
    assert at.exactly(22) == b"\r\nCONNECT 3\r\n789\r\nOK\r\n"
    assert at.ask(f"AT+QFSEEK={handle},11") == ["ERROR"]
    assert at.ask(f"AT+QFSEEK={handle},4,0") == ["OK"]
    assert data_mode(at, f"AT+QFWRITE={handle},2", b"xy") == b"\r\n+QFWRITE: 2,10\r\n" + OK
    assert at.ask(f"AT+QFTUCAT={handle}") == ["OK"]
    assert at.ask('AT+QFDEL="log"') == ["+CME ERROR: 418"]
    assert at.ask(f"AT+QFCLOSE={handle}") == ["OK"]
    assert at.ask(f"AT+QFCLOSE={handle}") == ["+CME ERROR: 416"]
    assert at.ask("AT+QFLST") == ['+QFLST: "log",6', "OK"]
    handle = int(at.ask('AT+QFOPEN="log",2')[0].removeprefix("+QFOPEN: "))
    assert at.ask(f"AT+QFWRITE={handle},2") == ["+CME ERROR: 414"]
    at.ask(f"AT+QFCLOSE={handle}")
    at.ask('AT+QFOPEN="log",1')
    assert at.ask("AT+QFLST") == ['+QFLST: "log",0', "OK"]


def test_files_outlive_a_reboot(port: Open) -> None:
    """M-FILE: UFS is flash; open handles are not."""
    at = port("bg96", "boot_s=0.1")
    upload(at, "keep", b"123")
    at.ask('AT+QFOPEN="keep"')
    at.ask("AT+CFUN=1,1")
    at.urc("RDY")
    at.until(b"APP RDY\r\n")
    at.raw("ATE0")
    assert at.ask("AT+QFLST") == ['+QFLST: "keep",3', "OK"]
    assert at.ask("AT+QFOPEN?") == ["OK"]


def test_error_words(port: Open) -> None:
    """M-AT 2.23: AT+CMEE=2 shows words."""
    at = port("bg96", cmee=2)
    assert at.ask('AT+QFDEL="no"') == ["+CME ERROR: File not found"]
    assert at.ask("AT+QHTTPREAD") == ["+CME ERROR: Http no get/post request"]
