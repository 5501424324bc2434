"""A modem whose send buffer is full: a chunk waits, and nothing is lost or sent twice."""

import asyncio
import itertools

import pytest

from custom_components.cellular_uplink.modem.drivers import quectel
from custom_components.cellular_uplink.modem.drivers.quectel import QuectelDriver, QuectelSocket
from custom_components.cellular_uplink.modem.errors import NetworkError, SocketError
from custom_components.cellular_uplink.modem.session import ModemSession

from .conftest import Peer, StartDriver, StartSession, online_sockets, trace_of

CHUNK = 1460
OPEN = 'AT+QIOPEN=1,0,"TCP","h.example",80,0,0'


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """A full buffer is looked at again soon."""
    monkeypatch.setattr(quectel, "FULL_BUFFER_WAIT_S", 0.01)


async def refused(session: ModemSession) -> None:
    """Wait until the modem refused a chunk; other exchanges go on meanwhile."""
    while "SEND FAIL" not in await asyncio.to_thread(trace_of, session):
        await session.read_status()


async def test_every_byte_arrives_exactly_once(start_session: StartSession, small_peer: Peer) -> None:
    """bg96.md 4: SEND FAIL means that nothing was taken, so the same chunk is sent again later."""
    session = start_session("bg96", "--set", "send_buffer_bytes=4000")
    driver = await online_sockets(session)
    socket = await driver.open_socket("127.0.0.1", small_peer.port)
    data = bytes(index * 7 % 251 for index in range(100 * CHUNK + 17))

    async def send_all() -> None:
        for start in range(0, len(data), CHUNK):
            await socket.send(data[start : start + CHUNK])

    sending = asyncio.create_task(send_all())
    await refused(session)
    assert not sending.done()
    assert not small_peer.received
    small_peer.reading.set()
    await asyncio.wait_for(sending, 60)
    await small_peer.wait_for(len(data))
    socket.close()
    await asyncio.wait_for(small_peer.ended.wait(), 20)
    assert bytes(small_peer.received) == data
    assert driver.traffic.sent_bytes == len(data)
    assert trace_of(session).count("SEND OK") == 101


async def test_a_link_that_takes_nothing_any_more_is_given_up(
    start_session: StartSession, small_peer: Peer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The flow chart in M-TCP: without an acknowledgement for so long the link is dead."""
    monkeypatch.setattr(quectel, "FULL_BUFFER_TIMEOUT_S", 1.0)
    session = start_session("bg96", "--set", "send_buffer_bytes=4000")
    driver = await online_sockets(session)
    socket = await driver.open_socket("127.0.0.1", small_peer.port)

    async def send_on() -> None:
        while True:
            await socket.send(b"x" * CHUNK)

    with pytest.raises(SocketError) as caught:
        await asyncio.wait_for(send_on(), 60)
    assert (caught.value.code, caught.value.message) == ("timeout", "The network took no data for 1 s")
    socket.close()
    await session.read_status()


async def opened(driver: QuectelDriver) -> QuectelSocket:
    socket = await driver.open_socket("h.example", 80)
    assert socket.id == 0
    return socket


@pytest.mark.parametrize(
    ("questions", "is_given_up"),
    [
        (["+QISEND: 9000,5000,4000|OK", "+QISEND: 9000,6000,3000|OK", "+QISEND: 9000,6500,2500|OK"], False),
        (["+QISEND: 9000,5000,4000|OK"], True),
        (["ERROR"], True),
        (["+QISEND: 9000|OK"], True),
        (["OK"], True),
    ],
    ids=["acknowledgements come", "none come", "refused", "fields missing", "nothing said"],
)
async def test_only_acknowledgements_extend_the_wait(
    start_driver: StartDriver, monkeypatch: pytest.MonkeyPatch, questions: list[str], *, is_given_up: bool
) -> None:
    monkeypatch.setattr(quectel, "FULL_BUFFER_TIMEOUT_S", 0.0)
    refusals = itertools.repeat(">|SEND FAIL", 4 if is_given_up else 3)
    driver, stream = start_driver(
        QuectelDriver,
        {
            OPEN: "OK|+QIOPEN: 0,0",
            "AT+QISEND=0,5": [*refusals, ">|SEND OK"],
            "AT+QISEND=0,0": questions,
            "AT+QICLOSE=0,1": "OK",
        },
    )
    socket = await opened(driver)
    if is_given_up:
        with pytest.raises(SocketError) as caught:
            await socket.send(b"hello")
        assert caught.value.code == "timeout"
        assert driver.traffic.sent_bytes == 0
    else:
        await socket.send(b"hello")
        assert stream.modem.payloads == [b"hello"] * 4
        assert driver.traffic.sent_bytes == 5


@pytest.mark.parametrize(
    ("urc", "error", "code"),
    [('+QIURC: "closed",0', SocketError, "closed"), ('+QIURC: "pdpdeact",1', NetworkError, "570")],
)
async def test_a_connection_that_ends_while_a_chunk_waits(
    start_driver: StartDriver, urc: str, error: type[Exception], code: str
) -> None:
    driver, _ = start_driver(
        QuectelDriver,
        {
            OPEN: "OK|+QIOPEN: 0,0",
            "AT+QISEND=0,5": ">|SEND FAIL",
            "AT+QISEND=0,0": f"+QISEND: 9000,5000,4000|OK|{urc}",
            "AT+QICLOSE=0,1": "OK",
        },
    )
    socket = await opened(driver)
    with pytest.raises(error) as caught:
        await socket.send(b"hello")
    assert getattr(caught.value, "code", None) == code
