"""Packet data and TCP sockets of both families against the simulator, in every behaviour the sources report."""

import asyncio
from typing import Any

import pytest

from custom_components.cellular_uplink.modem.drivers.base import ApnSettings, IpType
from custom_components.cellular_uplink.modem.errors import InputError, LinkError, NetworkError, SocketError

from .conftest import Peer, StartSession, online_sockets, trace_of

EVERY_BYTE = bytes(range(256)) * 40 + b"\r\nOK\r\nERROR\r\n> CONNECT\r\n+++\x1a\x1b\0"
BEHAVIOURS = [
    ("bg96", ()),
    ("bg96", ("prompt_space=no",)),
    ("bg96", ("prompt_crlf=no",)),
    ("bg96", ("urc_port=uart1",)),
    ("bg96", ("urc_port=usbmodem", "result_urcs=urcport")),
    ("bg96", ("recv_rearm=zero",)),
    ("bg96", ("qird_blank_line=yes",)),
    ("bg96", ("cmee=2",)),
    ("ml307r", ()),
    ("ml307r", ("prompt_space=yes",)),
    ("ml307r", ("prompt_crlf=no",)),
    ("ml307r", ("mipsend_urc=no",)),
    ("ml307r", ("mipclose_urc=no",)),
    ("ml307r", ("open_before_ok=yes",)),
    ("ml307r", ("mip_ids=5",)),
    ("ml307r", ("autoconn=no",)),
    ("ml307r", ("mipcall_active=error50",)),
]


def switches(names: tuple[str, ...]) -> list[str]:
    return [item for name in names for item in ("--set", name)]


@pytest.mark.parametrize(
    ("modem", "names"), BEHAVIOURS, ids=lambda value: "+".join(value) if isinstance(value, tuple) else value
)
async def test_every_byte_both_ways(
    start_session: StartSession, peer: Peer, modem: str, names: tuple[str, ...]
) -> None:
    driver = await online_sockets(start_session(modem, *switches(names)))
    socket = await driver.open_socket("127.0.0.1", peer.port)
    step = driver.socket_limits.chunk_bytes
    for start in range(0, len(EVERY_BYTE), step):
        await socket.send(EVERY_BYTE[start : start + step])
    assert await peer.wait_for(len(EVERY_BYTE)) == EVERY_BYTE
    assert peer.writer is not None
    peer.writer.write(EVERY_BYTE)
    back = b""
    while len(back) < len(EVERY_BYTE):
        back += await asyncio.wait_for(socket.receive(), 20)
    assert back == EVERY_BYTE
    readable = [socket.readable]
    peer.writer.write(b"bye")
    peer.writer.close()
    rest = b""
    while data := await asyncio.wait_for(socket.receive(), 20):
        rest += data
    assert rest == b"bye"
    assert [*readable, socket.readable] == [False, True]
    assert (driver.traffic.sent_bytes, driver.traffic.received_bytes) == (len(EVERY_BYTE), len(EVERY_BYTE) + 3)
    with pytest.raises(SocketError, match="closed"):
        await socket.send(b"too late")
    socket.close()
    socket.close()


@pytest.mark.parametrize("modem", ["bg96", "ml307r"])
async def test_chunk_limits(start_session: StartSession, peer: Peer, modem: str) -> None:
    """bg96.md 4: 1460; ml307r.md 5.2: 8192. QISEND=id,0 is a question, so nothing empty may be sent."""
    driver = await online_sockets(start_session(modem))
    limit = driver.socket_limits.chunk_bytes
    assert limit == {"bg96": 1460, "ml307r": 8192}[modem]
    socket = await driver.open_socket("127.0.0.1", peer.port)
    for wrong in (b"", b"x" * (limit + 1)):
        with pytest.raises(ValueError, match="a chunk has 1 to"):
            await socket.send(wrong)
    await socket.send(b"x" * limit)
    assert await peer.wait_for(limit) == b"x" * limit


@pytest.mark.parametrize("modem", ["bg96", "ml307r"])
async def test_all_sockets_at_once_then_again(start_session: StartSession, peer: Peer, modem: str) -> None:
    session = start_session(modem)
    driver = await online_sockets(session)
    for _ in range(2):
        sockets = [await driver.open_socket("127.0.0.1", peer.port) for _ in range(driver.socket_limits.count)]
        with pytest.raises(SocketError) as caught:
            await driver.open_socket("127.0.0.1", peer.port)
        assert caught.value.code == "no_free_socket"
        for socket in sockets:
            socket.close()
        # Behind the closes, which were only enqueued, on the same channel.
        await session.read_status()


@pytest.mark.parametrize(("modem", "code"), [("bg96", {"566"}), ("ml307r", {"557", "559"})])
async def test_a_refused_connection_has_the_modems_number_and_words(
    start_session: StartSession, peer: Peer, unused_tcp_port: int, modem: str, code: set[str]
) -> None:
    driver = await online_sockets(start_session(modem))
    with pytest.raises(SocketError) as caught:
        await driver.open_socket("127.0.0.1", unused_tcp_port)
    assert caught.value.code in code
    assert "127.0.0.1" in caught.value.message
    (await driver.open_socket("127.0.0.1", peer.port)).close()


@pytest.mark.parametrize(("modem", "code"), [("bg96", "565"), ("ml307r", "580")])
async def test_a_name_nobody_knows(start_session: StartSession, socket_enabled: None, modem: str, code: str) -> None:
    driver = await online_sockets(start_session(modem))
    with pytest.raises(SocketError) as caught:
        await driver.open_socket("no-such-host.invalid", 80)
    assert (caught.value.code, "could not be resolved" in caught.value.message) == (code, True)


@pytest.mark.parametrize("modem", ["bg96", "ml307r"])
async def test_a_former_owners_sockets_are_freed(start_session: StartSession, peer: Peer, modem: str) -> None:
    session = start_session(modem)
    driver = await online_sockets(session)
    for _ in range(driver.socket_limits.count):
        await driver.open_socket("127.0.0.1", peer.port)
    assert session._port is not None
    await session._port.aclose()  # the host dies without closing any socket
    again = type(session)(session.settings)
    try:
        fresh = await online_sockets(again)
        for _ in range(driver.socket_limits.count):
            (await fresh.open_socket("127.0.0.1", peer.port)).close()
    finally:
        await again.close()


@pytest.mark.parametrize(
    ("stored", "written"), [("usbat", 1), ("usbmodem", 1), ("uart1", 0)], ids=["usbat", "usbmodem", "uart1"]
)
async def test_the_urc_port_is_set_only_when_it_is_another(
    start_session: StartSession, peer: Peer, stored: str, written: int
) -> None:
    """bg96.md 6.3: the setting is stored in the modem; which port we are on stands in QISTATE."""
    session = start_session("bg96", "--set", f"urc_port={stored}")
    driver = await online_sockets(session)
    for _ in range(3):
        (await driver.open_socket("127.0.0.1", peer.port)).close()
    assert trace_of(session).count('AT+QURCCFG="urcport","uart1"') == written


@pytest.mark.parametrize("modem", ["bg96", "ml307r"])
async def test_status_goes_between_chunks_and_a_second_socket_too(
    start_session: StartSession, peer: Peer, modem: str
) -> None:
    session = start_session(modem)
    driver = await online_sockets(session)
    bulk, beat = [await driver.open_socket("127.0.0.1", peer.port) for _ in range(2)]
    limit = driver.socket_limits.chunk_bytes
    sending = asyncio.gather(*(bulk.send(b"x" * limit) for _ in range(20)))
    await asyncio.sleep(0)
    await asyncio.gather(session.read_status(), beat.send(b"beat"))
    await sending
    await peer.wait_for(20 * limit + 4)
    lines = trace_of(session).split("SEND=")
    asked = next(index for index, part in enumerate(lines) if "AT+COPS?" in part)
    assert asked < 20, "the status was answered before the bulk was through"


APN = ApnSettings(apn="internet.example", user="web", password="s3cret", ip_type=IpType.IPV4)


@pytest.mark.parametrize("modem", ["bg96", "ml307r"])
async def test_the_apn_is_set_once_and_a_context_that_is_up_is_left_alone(
    start_session: StartSession, modem: str
) -> None:
    session = start_session(modem, "--set", "apn=internet.example", apn=APN)
    for _ in range(3):
        await session.ensure_online()
    up = {"bg96": "AT+QIACT=1\\r", "ml307r": "AT+MIPCALL=1,1\\r"}[modem]
    configured = {"bg96": "AT+QICSGP=1,1,", "ml307r": "AT+CGDCONT=1,"}[modem]
    assert (trace_of(session).count(up), trace_of(session).count(configured)) == (1, 1)


@pytest.mark.parametrize("modem", ["bg96", "ml307r"])
async def test_a_wrong_apn_is_a_network_error(start_session: StartSession, modem: str) -> None:
    session = start_session(modem, "--set", "apn=other", apn=ApnSettings(apn="wrong"))
    with pytest.raises(NetworkError) as caught:
        await session.ensure_online()
    assert caught.value.code.isdecimal()


@pytest.mark.parametrize("modem", ["bg96", "ml307r"])
@pytest.mark.parametrize("bad", ["a\rAT+CFUN=0", "a\n", 'a"b', "a\x1a"])
async def test_an_apn_with_a_line_end_never_reaches_the_port(start_session: StartSession, modem: str, bad: str) -> None:
    session = start_session(modem, apn=ApnSettings(apn=bad))
    with pytest.raises(InputError) as caught:
        await session.ensure_online()
    assert caught.value.field == "apn"
    assert "CFUN" not in trace_of(session)


@pytest.mark.parametrize("modem", ["bg96", "ml307r"])
async def test_denied_registration_is_said_at_once(start_session: StartSession, modem: str) -> None:
    with pytest.raises(NetworkError) as caught:
        await start_session(modem, "--registration", "denied").ensure_online()
    assert caught.value.code == "registration_denied"


@pytest.mark.parametrize("modem", ["bg96", "ml307r"])
async def test_unplugging_fails_what_waits_and_the_modem_comes_back(
    start_session: StartSession, start_simulator: Any, peer: Peer, modem: str
) -> None:
    simulator = start_simulator(modem)
    session = start_session(modem)
    object.__setattr__(session.settings, "port", simulator.port)
    driver = await online_sockets(session)
    socket = await driver.open_socket("127.0.0.1", peer.port)
    waiting = asyncio.create_task(socket.receive())
    simulator.unplug()
    with pytest.raises(LinkError) as caught:
        await asyncio.wait_for(waiting, 10)
    assert caught.value.code == "port_lost"
    with pytest.raises(LinkError):
        await socket.send(b"x")
    assert not session.is_open
    with pytest.raises(LinkError) as caught:
        await session.ensure_online()
    assert caught.value.code == "port_missing"
    simulator.start()
    again = await online_sockets(session)
    await (await again.open_socket("127.0.0.1", peer.port)).send(b"back")
    assert (await peer.wait_for(4))[-4:] == b"back"
