"""A modem's socket as a byte stream: chunks, early answers, ends and errors."""

import asyncio

import anyio
import pytest

from custom_components.cellular_uplink.modem.errors import LinkError, ModemError, SocketError
from custom_components.cellular_uplink.modem.routes.meter import Meter, Phase, metered
from custom_components.cellular_uplink.modem.routes.socket import ModemByteStream

CHUNK = 100


class MemorySocket:
    """A modem socket without a network: what it is given, and what it says."""

    def __init__(self) -> None:
        self.chunks: list[bytes] = []
        self.incoming: list[bytes] = []
        self.refuses: dict[int, ModemError] = {}
        self.receive_error: ModemError | None = None
        self.is_over = False
        self.closes = 0

    @property
    def readable(self) -> bool:
        return bool(self.incoming) or self.is_over

    async def send(self, data: bytes) -> None:
        index = len(self.chunks)
        self.chunks.append(data)
        await asyncio.sleep(0)
        if index in self.refuses:
            raise self.refuses[index]

    async def receive(self) -> bytes:
        if self.incoming:
            return self.incoming.pop(0)
        if self.receive_error is not None:
            raise self.receive_error
        if self.is_over:
            return b""
        await asyncio.Event().wait()
        raise AssertionError

    def close(self) -> None:
        self.closes += 1


@pytest.fixture
def sock() -> MemorySocket:
    return MemorySocket()


@pytest.fixture
def stream(sock: MemorySocket) -> ModemByteStream:
    return ModemByteStream(sock, CHUNK)


@pytest.mark.parametrize(
    "pieces",
    [
        [b"x" * 250],
        [b"", b"x", b"", b"x" * 99, b"", b"x" * 150],
        [b"x"] * 250,
        [b"x" * 100, b"x" * 100, b"x" * 50],
        [b"x" * 99, b"x" * 151],
    ],
)
async def test_pieces_become_full_chunks(sock: MemorySocket, stream: ModemByteStream, pieces: list[bytes]) -> None:
    sock.incoming = [b"answer"]
    for piece in pieces:
        await stream.send(piece)
    assert [len(chunk) for chunk in sock.chunks] == [100, 100]
    assert await stream.receive() == b"answer"
    assert [len(chunk) for chunk in sock.chunks] == [100, 100, 50]


async def test_nothing_is_sent_where_nothing_is_left(sock: MemorySocket, stream: ModemByteStream) -> None:
    sock.incoming = [b"a", b"b"]
    await stream.send(b"x" * 200)
    await stream.receive()
    await stream.send(b"")
    await stream.send_eof()
    await stream.receive()
    assert [len(chunk) for chunk in sock.chunks] == [100, 100]


async def test_send_eof_passes_the_rest_on(sock: MemorySocket, stream: ModemByteStream) -> None:
    await stream.send(b"rest")
    assert sock.chunks == []
    await stream.send_eof()
    assert sock.chunks == [b"rest"]


async def test_more_data_than_asked_for_is_kept(sock: MemorySocket, stream: ModemByteStream) -> None:
    sock.incoming = [b"abcdef"]
    assert await stream.receive(4) == b"abcd"
    assert stream.is_readable
    assert await stream.receive(4) == b"ef"
    assert not stream.is_readable


async def test_end_of_stream(sock: MemorySocket, stream: ModemByteStream) -> None:
    sock.is_over = True
    with pytest.raises(anyio.EndOfStream):
        await stream.receive()
    assert stream.failure is None


async def test_early_answer_is_read_although_the_rest_was_refused(sock: MemorySocket, stream: ModemByteStream) -> None:
    sock.refuses = {1: SocketError("closed", "closed")}
    sock.incoming = [b"HTTP/1.1 413 ", b"Too large"]
    sock.is_over = True
    await stream.send(b"x" * 1000)
    await stream.send(b"x" * 1000)
    assert len(sock.chunks) == 2, "after a refusal nothing more is offered"
    assert await stream.receive() == b"HTTP/1.1 413 "
    assert await stream.receive() == b"Too large"
    with pytest.raises(anyio.EndOfStream):
        await stream.receive()


async def test_refusal_of_the_last_chunk_still_gives_the_answer(sock: MemorySocket, stream: ModemByteStream) -> None:
    sock.refuses = {0: SocketError("closed", "closed")}
    sock.incoming = [b"HTTP/1.1 413 "]
    await stream.send(b"x")
    assert await stream.receive() == b"HTTP/1.1 413 "


@pytest.mark.parametrize("is_over", [True, False], ids=["server closed", "server silent"])
async def test_refusal_without_answer_is_the_error(
    sock: MemorySocket, stream: ModemByteStream, monkeypatch: pytest.MonkeyPatch, is_over: bool
) -> None:
    monkeypatch.setattr("custom_components.cellular_uplink.modem.routes.socket.EARLY_ANSWER_S", 0.01)
    refusal = SocketError("559", "The modem would not send")
    sock.refuses = {0: refusal}
    sock.is_over = is_over
    await stream.send(b"x" * 1000)
    with pytest.raises(anyio.BrokenResourceError) as caught:
        await stream.receive()
    assert caught.value.__cause__ is refusal
    assert stream.failure is refusal


@pytest.mark.parametrize("late", [SocketError("551", "late"), LinkError("port_lost", "gone")])
async def test_error_while_waiting_for_an_early_answer(
    sock: MemorySocket, stream: ModemByteStream, late: ModemError
) -> None:
    refusal = SocketError("559", "The modem would not send")
    sock.refuses = {0: refusal}
    sock.receive_error = late
    await stream.send(b"x" * 1000)
    with pytest.raises(anyio.BrokenResourceError) as caught:
        await stream.receive()
    assert caught.value.__cause__ is (refusal if isinstance(late, SocketError) else late)


async def test_lost_port_breaks_the_stream_at_once(sock: MemorySocket, stream: ModemByteStream) -> None:
    lost = LinkError("port_lost", "gone")
    sock.refuses = {0: lost}
    for action in (lambda: stream.send(b"x" * CHUNK), stream.receive, stream.send_eof):
        with pytest.raises(anyio.BrokenResourceError) as caught:
            await action()
        assert caught.value.__cause__ is lost


async def test_lost_port_while_receiving(sock: MemorySocket, stream: ModemByteStream) -> None:
    sock.receive_error = LinkError("port_lost", "gone")
    with pytest.raises(anyio.BrokenResourceError) as caught:
        await stream.receive()
    assert caught.value.__cause__ is sock.receive_error


async def test_closing_waits_for_nothing_and_happens_once(sock: MemorySocket) -> None:
    released: list[None] = []
    stream = ModemByteStream(sock, CHUNK, lambda: released.append(None))
    await stream.send(b"never sent")
    with anyio.CancelScope() as scope:
        scope.cancel()
        await stream.aclose()
        await stream.aclose()
    assert sock.closes == 1
    assert sock.chunks == []
    assert len(released) == 1
    assert stream.is_readable
    with pytest.raises(anyio.ClosedResourceError):
        await stream.send(b"x")
    with pytest.raises(anyio.ClosedResourceError):
        await stream.receive()


@pytest.mark.parametrize(
    ("sizes", "refused", "expected"),
    [
        ([250], None, True),
        ([250], 1, False),
        ([200], 1, True),
        ([200], 0, False),
        ([250], 2, True),
    ],
)
async def test_meter_knows_when_the_last_byte_may_have_left(
    sock: MemorySocket, stream: ModemByteStream, sizes: list[int], refused: int | None, expected: bool
) -> None:
    sock.is_over = True
    if refused is not None:
        sock.refuses = {refused: SocketError("559", "no")}
    meter = Meter(total_bytes=sum(sizes), phase=Phase.SENDING)
    with metered(meter):
        meter.body_taken()
        for size in sizes:
            await stream.send(b"x" * size)
        with pytest.raises((anyio.EndOfStream, anyio.BrokenResourceError)):
            await stream.receive()
    assert meter.is_last_byte_out is expected


async def test_meter_counts_only_what_the_modem_took(sock: MemorySocket, stream: ModemByteStream) -> None:
    sock.refuses = {2: SocketError("559", "no")}
    sock.incoming = [b"early"]
    steps: list[tuple[int, int]] = []
    meter = Meter(total_bytes=1000, on_progress=lambda sent, total: steps.append((sent, total)))
    with metered(meter):
        await meter.on_event("http11.send_request_headers.started", {})
        await stream.send(b"x" * 1000)
        await stream.receive()
    assert (meter.sent_bytes, meter.received_bytes) == (200, 5)
    assert steps == [(0, 1000), (100, 1000), (200, 1000)]
