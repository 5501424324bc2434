"""Output that has no length (QHTTPREAD): where it ends, whatever is in it and however it is split."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from custom_components.cellular_uplink.modem.at import channel as channel_module, codec as codec_module
from custom_components.cellular_uplink.modem.at.channel import Channel
from custom_components.cellular_uplink.modem.at.codec import Codec, Event, Line, Raw
from custom_components.cellular_uplink.modem.at.command import Command
from custom_components.cellular_uplink.modem.at.encoding import AtEncoder, Word
from custom_components.cellular_uplink.modem.drivers.quectel import QuectelDriver
from custom_components.cellular_uplink.modem.drivers.quectel_http import response_rule
from custom_components.cellular_uplink.modem.errors import CommandError, CommandTimeoutError, LinkError

HEAD = b"HTTP/1.1 200 OK\r\nServer: OK\r\n\r\n"
END = b"\r\nOK\r\n\r\n+QHTTPREAD: 0\r\n"
NASTY = b"a\r\nOK\r\n\r\n+QHTTPREAD: 0\r\nb\r\n+CME ERROR: 719\r\n\r\nOK\r\nCONNECT\r\n> "
ENDED = [Line(b"OK"), Line(b"+QHTTPREAD: 0")]


def counted_head(length: int) -> bytes:
    return b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n" % length


CASES: dict[str, tuple[int | None, bytes, list[Event]]] = {
    "by the length of the URC": (len(NASTY), HEAD + NASTY + END, [Raw(HEAD + NASTY), *ENDED]),
    "by the head's length": (
        None,
        counted_head(len(NASTY)) + NASTY + END,
        [Raw(counted_head(len(NASTY)) + NASTY), *ENDED],
    ),
    "no length: by the marker": (None, HEAD + b"\r\nOK\r\nb" + END, [Raw(HEAD + b"\r\nOK\r\nb"), *ENDED]),
    "no head, a length": (len(NASTY), NASTY + END, [Raw(NASTY), *ENDED]),
    "no head, no length": (None, b"OK" + END, [Raw(b"OK"), *ENDED]),
    "nothing at all": (None, END, [Raw(b""), *ENDED]),
    "empty body": (0, counted_head(0) + END, [Raw(counted_head(0)), *ENDED]),
    "a length that coding makes useless": (
        900,
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nhello" + END,
        [Raw(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nhello"), *ENDED],
    ),
    "a blank line more": (None, counted_head(1) + b"x\r\n" + END, [Raw(counted_head(1) + b"x\r\n"), *ENDED]),
    "a blank line less": (
        None,
        HEAD + b"x\r\nOK\r\n+QHTTPREAD: 0\r\n",
        [Raw(HEAD + b"x"), *ENDED],
    ),
    "a URC between OK and the end": (
        None,
        HEAD + b"x\r\nOK\r\n\r\n+CEREG: 1\r\n\r\n+QHTTPREAD: 0\r\n",
        [Raw(HEAD + b"x"), Line(b"OK"), Line(b"+CEREG: 1"), Line(b"+QHTTPREAD: 0")],
    ),
    "an error after a part": (None, HEAD + b"x\r\n+CME ERROR: 722\r\n", [Raw(HEAD + b"x"), Line(b"+CME ERROR: 722")]),
    "an error at once": (None, b"", []),
}


def armed(announced: int | None) -> Codec:
    codec = Codec(QuectelDriver.rules)
    codec.raw_rule = response_rule(announced)
    return codec


@pytest.mark.parametrize("step", [1, 2, 3, 7, 64, 10_000])
@pytest.mark.parametrize("name", CASES)
def test_end_of_raw_output(name: str, step: int) -> None:
    announced, output, expected = CASES[name]
    codec = armed(announced)
    data = b"\r\nCONNECT\r\n" + output + b"\r\n+CSQ: 1,2\r\n" if output else b"\r\n+CME ERROR: 705\r\n\r\n+CSQ: 1,2\r\n"
    found = [event for start in range(0, len(data), step) for event in codec.feed(data[start : start + step])]
    head: list[Event] = [Line(b"CONNECT")] if output else [Line(b"+CME ERROR: 705")]
    assert found == [*head, *expected, Line(b"+CSQ: 1,2")]
    assert codec.raw is None


def test_less_than_announced_ends_when_nothing_more_comes() -> None:
    codec = armed(None)
    assert codec.feed(b"\r\nCONNECT\r\n" + counted_head(500) + b"short" + END) == [Line(b"CONNECT")]
    assert codec.raw is not None
    assert codec.raw.looks_ended
    assert codec.give_up_raw() == [Raw(counted_head(500) + b"short"), *ENDED]
    assert codec.give_up_raw() == []


def test_output_in_the_middle_does_not_look_ended() -> None:
    codec = armed(None)
    codec.feed(b"\r\nCONNECT\r\n" + counted_head(500) + END + b"more")
    assert codec.raw is not None
    assert not codec.raw.looks_ended
    assert codec.give_up_raw() == []


@pytest.mark.parametrize("step", [1000, 65_536])
def test_memory_is_bounded(monkeypatch: pytest.MonkeyPatch, step: int) -> None:
    monkeypatch.setattr(codec_module, "MAX_RAW_BYTES", 5000)
    codec = armed(None)
    data = b"\r\nCONNECT\r\n" + HEAD + b"x" * 20_000 + END
    found = [event for start in range(0, len(data), step) for event in codec.feed(data[start : start + step])]
    assert found == [Line(b"CONNECT"), Raw((HEAD + b"x" * 20_000)[:5000]), *ENDED]


def test_only_a_line_connect_starts_it() -> None:
    codec = armed(None)
    assert codec.feed(b"\r\nCONNECT 9600\r\n\r\nOK\r\n") == [Line(b"CONNECT 9600"), Line(b"OK")]
    assert Codec().feed(b"\r\nCONNECT\r\n\r\nOK\r\n") == [Line(b"CONNECT"), Line(b"OK")]


def test_reset_leaves_it() -> None:
    codec = armed(None)
    codec.feed(b"\r\nCONNECT\r\nabc")
    codec.reset()
    assert codec.feed(b"\r\nOK\r\n") == [Line(b"OK")]


def test_words_are_ours() -> None:
    assert AtEncoder().set("+QSSLCFG", Word("0XFFFF")).raw == b"AT+QSSLCFG=0XFFFF"
    with pytest.raises(ValueError, match="not a word"):
        Word("a,b")


class Port:
    """A port that says what it is told to, piece by piece."""

    def __init__(self, *pieces: bytes) -> None:
        self._pieces = list(pieces)
        self._queue: asyncio.Queue[bytes] = asyncio.Queue()

    async def read(self) -> bytes:
        return await self._queue.get()

    async def write(self, data: bytes) -> None:
        if data.startswith(b"AT+QHTTPREAD"):
            for piece in self._pieces:
                self._queue.put_nowait(piece)
        elif data.startswith(b"AT+CSQ"):
            self._queue.put_nowait(b"\r\n+CSQ: 1,2\r\n\r\nOK\r\n")


@pytest.fixture
async def channels() -> AsyncIterator[list[Channel]]:
    opened: list[Channel] = []
    yield opened
    for channel in opened:
        await channel.aclose()


def read_command(timeout_s: float = 5) -> Command:
    return Command(line=AtEncoder().set("+QHTTPREAD", 20), raw=response_rule(None), timeout_s=timeout_s)


def opened(channels: list[Channel], *pieces: bytes) -> Channel:
    channel = Channel(Port(*pieces), QuectelDriver.rules)
    channel.start()
    channels.append(channel)
    return channel


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(channel_module, "RAW_END_S", 0.02)
    monkeypatch.setattr(channel_module, "QUIET_S", 0.01)
    monkeypatch.setattr(channel_module, "SYNC_ANSWER_S", 0.05)


async def test_channel_gives_the_data(channels: list[Channel]) -> None:
    channel = opened(channels, b"\r\nCONN", b"ECT\r\n" + HEAD, NASTY[:4], b"x" + END)
    assert (await channel.execute(read_command())).data == HEAD + NASTY[:4] + b"x"


async def test_channel_takes_a_short_answer_for_one_soon(channels: list[Channel]) -> None:
    channel = opened(channels, b"\r\nCONNECT\r\n" + counted_head(99), b"short" + END)
    async with asyncio.timeout(2):
        assert (await channel.execute(read_command(30))).data == counted_head(99) + b"short"


async def test_channel_reports_a_broken_read(channels: list[Channel]) -> None:
    channel = opened(channels, b"\r\nCONNECT\r\n" + counted_head(99), b"short\r\n+CME ERROR: 717\r\n")
    with pytest.raises(CommandError) as caught:
        await channel.execute(read_command(30))
    assert caught.value.code == "717"


async def test_channel_gives_up_a_read_that_stops_and_goes_on(channels: list[Channel]) -> None:
    channel = opened(channels, b"\r\nCONNECT\r\n" + counted_head(99), b"sho")
    with pytest.raises(CommandTimeoutError):
        await channel.execute(read_command(0.05))
    await channel.execute(Command(line=AtEncoder().run("+CSQ")))


async def test_stray_error_is_no_answer(channels: list[Channel]) -> None:
    """719 as +CME ERROR behind the OK must not end somebody else's exchange."""
    codes: list[str] = []

    def take(code: str) -> bool:
        codes.append(code)
        return code == "719"

    channel = opened(channels, b"\r\n+CME ERROR: 719\r\n\r\nOK\r\n\r\n+CME ERROR: 719\r\n")
    channel.on_stray_error(take)
    await channel.execute(Command(line=AtEncoder().set("+QHTTPREAD", 1)))
    await channel.execute(Command(line=AtEncoder().run("+CSQ")))
    assert codes == ["719", "719"]


async def test_lost_port_ends_a_read(channels: list[Channel]) -> None:
    channel = opened(channels, b"\r\nCONNECT\r\n" + HEAD)
    reading = asyncio.create_task(channel.execute(read_command(30)))
    await asyncio.sleep(0)
    await channel.aclose()
    with pytest.raises(LinkError):
        await reading
