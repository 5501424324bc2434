"""Files in a BG96: checksums seen on hardware, both ways of writing, and a line that loses bytes."""

from pathlib import Path

import certifi
import pytest

from custom_components.cellular_uplink.modem.drivers import quectel_files as module
from custom_components.cellular_uplink.modem.drivers.base import SupportsFiles, SupportsQuectelHttp
from custom_components.cellular_uplink.modem.drivers.quectel import QuectelDriver
from custom_components.cellular_uplink.modem.drivers.quectel_files import file_checksum, file_error
from custom_components.cellular_uplink.modem.errors import HttpError
from custom_components.cellular_uplink.modem.session import ModemSession

from .conftest import StartSession, online_sockets, trace_of

BODY = bytes(range(256)) * 120 + b"+++\r\nOK\r\n\x1a"


def amazon_root() -> bytes:
    """Amazon's root certificate, whose checksums three owners of modems have published."""
    text = Path(certifi.where()).read_text().split('# Label: "Amazon Root CA 1"', 1)[1]
    start, end = text.index("-----BEGIN"), text.index("-----END CERTIFICATE-----") + len("-----END CERTIFICATE-----")
    return text[start:end].encode()


@pytest.mark.parametrize(
    ("data", "checksum"),
    [
        (amazon_root(), "2d19"),
        (amazon_root() + b"\n", "2d13"),
        (amazon_root().replace(b"\n", b"\r\n") + b"\r\n", "5769"),
        (b"-----BEGIN CERTIFICATE-----\r", "6c53"),
        (b"0123456789", "3839"),
        (b"", "0"),
        (b"\x01", "100"),
        (b"\x00\x01\x00", "1"),
    ],
    ids=["1187", "1188", "1208", "odd line", "manual", "empty", "one byte", "three bytes"],
)
def test_checksums(data: bytes, checksum: str) -> None:
    """bg96.md 3: recomputed against hardware; the first three are 1187, 1188 and 1208 bytes long."""
    assert file_checksum(data) == checksum


async def quectel(session: ModemSession) -> QuectelDriver:
    driver = await online_sockets(session)
    assert isinstance(driver, QuectelDriver)
    assert isinstance(driver, SupportsFiles)
    assert isinstance(driver, SupportsQuectelHttp)
    return driver


@pytest.mark.parametrize("size", [1, 1024, 20_000, len(BODY)])
async def test_files_are_written_listed_and_deleted(start_session: StartSession, size: int) -> None:
    session = start_session()
    driver = await quectel(session)
    before = await driver.read_storage()
    written: list[int] = []
    await driver.write_file("a.req", BODY[:size], written.append)
    assert sum(written) == size
    assert await driver.list_files() == {"a.req": size}
    assert (await driver.read_storage()).free_bytes < before.free_bytes
    assert ("QFWRITE" in trace_of(session)) == (size > 23_040)
    await driver.delete_file("a.req")
    await driver.delete_file("a.req")
    assert await driver.list_files() == {}


async def test_pieces_never_end_in_a_plus(start_session: StartSession, monkeypatch: pytest.MonkeyPatch) -> None:
    session = start_session()
    driver = await quectel(session)
    monkeypatch.setattr(module, "MAX_PORT_HELD_S", 0.0)
    monkeypatch.setattr(module, "MAX_PIECE_BYTES", 256)
    data = (b"x" * 254 + b"+++") * 4 + b"+" * 600
    await driver.write_file("a.req", data)
    assert await driver.list_files() == {"a.req": len(data)}


async def test_a_file_that_is_there_is_replaced(start_session: StartSession, monkeypatch: pytest.MonkeyPatch) -> None:
    driver = await quectel(start_session())
    await driver.write_file("a.req", b"old and longer")
    await driver.write_file("a.req", b"new")
    assert await driver.list_files() == {"a.req": 3}
    monkeypatch.setattr(module, "MAX_PORT_HELD_S", 0.0)
    await driver.write_file("a.req", b"newer")
    assert await driver.list_files() == {"a.req": 5}


@pytest.mark.parametrize("whole", [True, False])
async def test_lost_bytes_are_noticed_and_sent_again(
    start_session: StartSession, monkeypatch: pytest.MonkeyPatch, *, whole: bool
) -> None:
    monkeypatch.setattr(module, "MAX_PORT_HELD_S", 99.0 if whole else 0.0)
    monkeypatch.setattr(module, "INPUT_BASE_S", 0)
    session = start_session("bg96", "--fault", "drop=direction:in,at:12000,times:1")
    driver = await quectel(session)
    await driver.write_file("a.req", BODY[:20_000])
    assert await driver.list_files() == {"a.req": 20_000}


async def test_a_line_without_a_brake_gets_small_pieces(
    start_session: StartSession, monkeypatch: pytest.MonkeyPatch
) -> None:
    """quectel-qfupl-truncation: what is more than the modem's buffer at once is lost, each time."""
    monkeypatch.setattr(module, "INPUT_BASE_S", 0)
    overrun = ("overrun=always", "uart_buffer_bytes=4096", "uart_drain_bytes_s=400000")
    session = start_session("bg96", *(word for switch in overrun for word in ("--set", switch)))
    driver = await quectel(session)
    await driver.write_file("a.req", BODY[:8000])
    assert await driver.list_files() == {"a.req": 8000}
    wire = trace_of(session)
    assert "overrun" in wire
    assert (wire.count("AT+QFUPL="), wire.count("AT+QFWRITE=")) == (1, 8)


def test_no_piece_is_an_order_to_leave() -> None:
    """quectel-qfupl-plusplusplus: none ends in +, but the last, and none is of + alone, where that can be had."""
    for data in (b"abc+++", b"abcdefgh+++", b"+++", b"ab+++++++", b"a+b+++c+++d"):
        for size in range(1, len(data) + 2):
            pieces: list[bytes] = []
            while (position := sum(map(len, pieces))) < len(data):
                pieces.append(module._cut(data, position, size))
            assert b"".join(pieces) == data
            assert max(map(len, pieces)) <= size
            if size > data.count(b"+") + 1 and data.strip(b"+"):
                assert not any(piece.endswith(b"+") for piece in pieces[:-1])
                assert all(piece.strip(b"+") for piece in pieces)


async def test_a_line_that_always_damages_is_given_up(start_session: StartSession) -> None:
    session = start_session("bg96", "--fault", "corrupt=direction:in,every:9001")
    driver = await quectel(session)
    with pytest.raises(HttpError) as caught:
        await driver.write_file("a.req", BODY[:20_000])
    assert caught.value.code == "file_damaged"
    assert await driver.list_files() == {}


async def test_no_room(start_session: StartSession) -> None:
    driver = await quectel(start_session("bg96", "--set", "ufs_free_bytes=30000"))
    with pytest.raises(HttpError) as caught:
        await driver.write_file("a.req", BODY)
    assert caught.value.code == "storage_full"
    with pytest.raises(HttpError) as caught:
        await driver.make_room(len(BODY))
    assert caught.value.code == "storage_full"


async def test_certificates_go_where_room_is_needed(start_session: StartSession) -> None:
    driver = await quectel(start_session("bg96", "--set", "ufs_free_bytes=30000"))
    name = await driver.store_certificate("-----BEGIN CERTIFICATE-----" + "x" * 5000)
    assert await driver.store_certificate("-----BEGIN CERTIFICATE-----" + "x" * 5000) == name
    await driver.make_room(15_000)
    assert list(await driver.list_files()) == [name]
    await driver.make_room(21_000)
    assert await driver.list_files() == {}


@pytest.mark.parametrize(("code", "shown"), [("420", "storage_full"), ("409", "409"), ("ERROR", "ERROR")])
def test_errors(code: str, shown: str) -> None:
    assert file_error(code).code == shown
