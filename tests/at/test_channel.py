"""The actor: exchanges, URCs, time-outs and cancelled callers over a scripted port."""

import asyncio
from collections.abc import AsyncIterator, Callable
import logging
import re

import pytest

from custom_components.cellular_uplink.modem.at import channel as channel_module
from custom_components.cellular_uplink.modem.at.channel import Channel
from custom_components.cellular_uplink.modem.at.command import Command, Priority, Prompt
from custom_components.cellular_uplink.modem.at.encoding import AtEncoder, Text
from custom_components.cellular_uplink.modem.drivers.china_mobile import ChinaMobileDriver
from custom_components.cellular_uplink.modem.drivers.quectel import QuectelDriver
from custom_components.cellular_uplink.modem.errors import CommandError, CommandTimeoutError, LinkError

ENCODER = AtEncoder()
CSQ = Command(line=ENCODER.run("+CSQ"), info=re.compile(rb"\+CSQ: "), timeout_s=0.05)


class ScriptedPort:
    """A port whose other end is a function: bytes written go in, bytes it returns come back."""

    def __init__(self) -> None:
        self.written: list[bytes] = []
        self.answer: Callable[[bytes], bytes] = lambda _data: b""
        self._incoming: asyncio.Queue[bytes | None] = asyncio.Queue()

    def say(self, data: bytes) -> None:
        self._incoming.put_nowait(data)

    def unplug(self) -> None:
        self._incoming.put_nowait(None)

    async def read(self) -> bytes:
        data = await self._incoming.get()
        if data is None:
            raise LinkError("port_lost", "gone")
        return data

    async def write(self, data: bytes) -> None:
        self.written.append(data)
        if answer := self.answer(data):
            self.say(answer)


@pytest.fixture
def port() -> ScriptedPort:
    return ScriptedPort()


@pytest.fixture
async def channel(port: ScriptedPort) -> AsyncIterator[Channel]:
    channel = Channel(port, QuectelDriver.rules)
    channel.start()
    yield channel
    await channel.aclose()


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Time-outs that only have to expire, expire at once."""
    monkeypatch.setattr(channel_module, "QUIET_S", 0.01)
    monkeypatch.setattr(channel_module, "SYNC_ANSWER_S", 0.05)
    monkeypatch.setattr(channel_module, "RESTART_GRACE_S", 0.02)


def answers(**replies: str) -> Callable[[bytes], bytes]:
    """Answer `AT+NAME...` with the reply for NAME, everything else with nothing."""

    def answer(data: bytes) -> bytes:
        name = re.match(rb"AT\+(\w+)", data)
        return replies.get(name.group(1).decode(), "").encode("latin-1") if name else b""

    return answer


def send(payload: bytes = b"\r\nOK\r\n", timeout_s: float = 0.5, priority: Priority = Priority.BULK) -> Command:
    return Command(
        line=ENCODER.set("+QISEND", 0, len(payload)),
        prompt=Prompt.ANGLE,
        payload=payload,
        success=frozenset({b"SEND OK"}),
        timeout_s=timeout_s,
        priority=priority,
    )


@pytest.mark.parametrize(
    "echo", ["", "AT+CSQ\r", "+CSQ\r", "SQ\r", "AT+C\r"], ids=["off", "on", "half", "tail", "head"]
)
async def test_echo_is_never_part_of_the_answer(channel: Channel, port: ScriptedPort, echo: str) -> None:
    port.answer = answers(CSQ=echo + "\r\n+CSQ: 22,99\r\n\r\nOK\r\n")
    assert (await channel.execute(CSQ)).lines == ("+CSQ: 22,99",)


@pytest.mark.parametrize("echo", ["AT+CGSN\r", "+CGSN\r", "GSN\r"])
async def test_echo_is_no_bare_answer_either(channel: Channel, port: ScriptedPort, echo: str) -> None:
    port.answer = answers(CGSN=echo + "\r\n490154203237518\r\n\r\nOK\r\n")
    command = Command(line=ENCODER.run("+CGSN"), info=re.compile(rb".*"), timeout_s=0.5)
    assert (await channel.execute(command)).lines == ("490154203237518",)


async def test_urcs_before_inside_and_after_an_answer_reach_their_handlers(
    channel: Channel, port: ScriptedPort
) -> None:
    seen: list[bytes] = []
    channel.on_urc(re.compile(rb"\+QIURC: "), lambda line, _data: seen.append(line))
    port.answer = answers(
        QIACT='\r\n+QIURC: "recv",1\r\n\r\n+QIACT: 1,1,1,"10.0.0.1"\r\n\r\n+QIURC: "recv",2\r\n'
        '\r\n+QIACT: 2,1,1,"10.0.0.2"\r\n\r\nOK\r\n\r\n+QIURC: "recv",3\r\n'
    )
    response = await channel.execute(
        Command(line=ENCODER.read("+QIACT"), info=re.compile(rb"\+QIACT: "), timeout_s=0.5)
    )
    assert response.lines == ('+QIACT: 1,1,1,"10.0.0.1"', '+QIACT: 2,1,1,"10.0.0.2"')
    assert seen == [b'+QIURC: "recv",1', b'+QIURC: "recv",2', b'+QIURC: "recv",3']


async def test_a_urc_handler_that_issues_a_command_completes(channel: Channel, port: ScriptedPort) -> None:
    """The deadlock of the ML307R report, and of two public libraries (field.md E3)."""
    issued: list[asyncio.Future[object]] = []
    channel.on_urc(re.compile(rb"\+CEREG: "), lambda _line, _data: issued.append(channel.enqueue(CSQ)))  # type: ignore[arg-type]
    port.answer = answers(CGATT="\r\n+CEREG: 2\r\n\r\nOK\r\n", CSQ="\r\n+CSQ: 20,99\r\n\r\nOK\r\n")
    await channel.execute(Command(line=ENCODER.run("+CGATT"), timeout_s=0.5))
    assert len(issued) == 1
    await asyncio.wait_for(issued[0], 1)


@pytest.mark.parametrize("prompt", ["\r\n> ", "\r\n>", "> ", ">"])
async def test_payload_goes_out_raw_behind_any_prompt(channel: Channel, port: ScriptedPort, prompt: str) -> None:
    payload = bytes(range(256)) + b"\r\nOK\r\nERROR\r\n> CONNECT\r\n"

    def answer(data: bytes) -> bytes:
        if data.startswith(b"AT+QISEND"):
            return prompt.encode()
        return b'\r\n+QIURC: "recv",3\r\n\r\nSEND OK\r\n' if data == payload else b""

    port.answer = answer
    assert (await channel.execute(send(payload))).final == "SEND OK"
    assert port.written == [f"AT+QISEND=0,{len(payload)}\r".encode(), payload]


async def test_connect_prompt(channel: Channel, port: ScriptedPort) -> None:
    port.answer = lambda data: b"\r\nCONNECT\r\n" if data.startswith(b"AT") else b"\r\nOK\r\n"
    command = Command(line=ENCODER.set("+QHTTPURL", 4, 5), prompt=Prompt.CONNECT, payload=b"http", timeout_s=0.5)
    assert (await channel.execute(command)).final == "OK"


async def test_counted_data_is_returned_uninterpreted(channel: Channel, port: ScriptedPort) -> None:
    port.answer = answers(QIRD="\r\n+QIRD: 12\r\n\r\nOK\r\n> \xff\x00x\r\n\r\nOK\r\n")
    response = await channel.execute(
        Command(line=ENCODER.set("+QIRD", 0, 1500), info=re.compile(rb"\+QIRD: "), timeout_s=0.5)
    )
    assert response.data == b"\r\nOK\r\n> \xff\x00x\r"[:12]


@pytest.mark.parametrize(
    ("reply", "code"),
    [
        ("\r\n+CME ERROR: 10\r\n", "10"),
        ("\r\n+CME ERROR: SIM not inserted\r\n", "SIM not inserted"),
        ("\r\nERROR\r\n", "ERROR"),
    ],
)
async def test_refusals_carry_the_modems_code(channel: Channel, port: ScriptedPort, reply: str, code: str) -> None:
    port.answer = answers(CPIN=reply)
    with pytest.raises(CommandError) as caught:
        await channel.execute(Command(line=ENCODER.read("+CPIN"), info=re.compile(rb"\+CPIN: "), timeout_s=0.5))
    assert (caught.value.code, caught.value.command) == (code, "AT+CPIN")


async def test_an_error_instead_of_a_prompt_sends_no_payload(channel: Channel, port: ScriptedPort) -> None:
    port.answer = answers(QISEND="\r\nERROR\r\n")
    with pytest.raises(CommandError):
        await channel.execute(send(b"secret picture"))
    assert port.written == [b"AT+QISEND=0,14\r"]


async def test_urgent_exchanges_go_first_and_equal_ones_in_order(channel: Channel, port: ScriptedPort) -> None:
    port.answer = lambda _data: b"\r\nOK\r\n"
    names = [
        ("+A", Priority.BULK),
        ("+B", Priority.BULK),
        ("+C", Priority.STATUS),
        ("+D", Priority.URGENT),
        ("+E", Priority.STATUS),
    ]
    await asyncio.gather(
        *(channel.execute(Command(line=ENCODER.run(name), priority=priority)) for name, priority in names)
    )
    assert port.written == [b"AT+D\r", b"AT+C\r", b"AT+E\r", b"AT+A\r", b"AT+B\r"]


async def test_a_late_result_never_answers_the_next_command(channel: Channel, port: ScriptedPort) -> None:
    port.answer = answers(
        QICLOSE="",
        # The late OK of QICLOSE comes with the answer to the question that brings both back into step.
        CSQ="\r\nOK\r\n\r\n+CSQ: 5,99\r\n\r\nOK\r\n",
        CIMI="\r\n001010123456789\r\n\r\nOK\r\n",
    )
    with pytest.raises(CommandTimeoutError, match=r"AT\+QICLOSE within 0.05 s"):
        await channel.execute(Command(line=ENCODER.set("+QICLOSE", 0), timeout_s=0.05))
    response = await channel.execute(Command(line=ENCODER.run("+CIMI"), info=re.compile(rb"\d{15}"), timeout_s=0.5))
    assert response.lines == ("001010123456789",)


async def test_a_late_answer_of_the_same_shape_does_not_fool_it_either(channel: Channel, port: ScriptedPort) -> None:
    replies = iter([b"", b"\r\n+CSQ: 1,99\r\n\r\nOK\r\n\r\n+CMEE: 1\r\n\r\nOK\r\n", b"\r\n+CSQ: 31,99\r\n\r\nOK\r\n"])
    port.answer = lambda _data: next(replies)
    with pytest.raises(CommandTimeoutError):
        await channel.execute(CSQ)
    assert (await channel.execute(CSQ)).lines == ("+CSQ: 31,99",)
    assert port.written == [b"AT+CSQ\r", b"AT+CMEE?\r", b"AT+CSQ\r"]


async def test_a_command_given_up_while_getting_into_step_is_never_sent(channel: Channel, port: ScriptedPort) -> None:
    with pytest.raises(CommandTimeoutError):
        await channel.execute(CSQ)
    caller = asyncio.create_task(channel.execute(Command(line=ENCODER.run("+QPOWD"))))
    while len(port.written) < 2:
        await asyncio.sleep(0.01)
    caller.cancel()
    with pytest.raises(asyncio.CancelledError):
        await caller
    port.answer = answers(CSQ="\r\n+CSQ: 9,99\r\n\r\nOK\r\n")
    port.say(b"\r\n+CMEE: 1\r\n\r\nOK\r\n")
    assert (await channel.execute(CSQ)).lines == ("+CSQ: 9,99",)
    assert port.written == [b"AT+CSQ\r", b"AT+CMEE?\r", b"AT+CSQ\r"]


async def test_a_late_prompt_gets_the_payload_it_is_owed(channel: Channel, port: ScriptedPort) -> None:
    """Were it not paid, the next command would be taken as payload."""
    payload = b"chunk of a picture"

    def answer(data: bytes) -> bytes:
        if data == payload:
            return b"\r\nSEND OK\r\n"
        return answers(CSQ="\r\n+CSQ: 9,99\r\n\r\nOK\r\n")(data)

    port.answer = answer
    with pytest.raises(CommandTimeoutError):
        await channel.execute(send(payload, timeout_s=0.05))
    port.say(b"\r\n> ")
    response = await channel.execute(Command(line=ENCODER.run("+CSQ"), info=re.compile(rb"\+CSQ: "), timeout_s=0.5))
    assert response.lines == ("+CSQ: 9,99",)
    assert payload in port.written


async def test_a_payload_that_came_short_is_filled_up(channel: Channel, port: ScriptedPort) -> None:
    """Bytes lost on the line: the modem still waits and takes commands for payload until its count is complete."""
    missing = 0

    def answer(data: bytes) -> bytes:
        nonlocal missing
        if missing:
            taken = min(missing, len(data))
            missing -= taken
            return b"\r\nSEND OK\r\n" if not missing else b""
        if data.startswith(b"AT+QISEND"):
            missing = 100 + 30  # thirty bytes get lost
            return b"\r\n> "
        return answers(CSQ="\r\n+CSQ: 9,99\r\n\r\nOK\r\n")(data)

    port.answer = answer
    with pytest.raises(CommandTimeoutError):
        await channel.execute(send(b"x" * 100, timeout_s=0.05))
    response = await channel.execute(Command(line=ENCODER.run("+CSQ"), info=re.compile(rb"\+CSQ: "), timeout_s=0.5))
    assert response.lines == ("+CSQ: 9,99",)


async def test_a_silent_modem_is_given_up_so_that_its_owner_opens_it_anew(channel: Channel) -> None:
    told: list[LinkError] = []
    channel._on_lost = told.append
    with pytest.raises(CommandTimeoutError):
        await channel.execute(CSQ)
    with pytest.raises(LinkError) as caught:
        await channel.execute(CSQ)
    assert caught.value.code == "not_responding"
    assert told == [caught.value]
    assert channel.is_lost


async def test_answers_on_their_way_before_the_start_are_nobodys(port: ScriptedPort) -> None:
    """A slow modem answers AT twice, once after its rate was taken as found: that OK must not answer a command."""
    channel = Channel(port, in_step=False)
    port.say(b"\r\nOK\r\n")
    port.answer = answers(CSQ="\r\nOK\r\n\r\n+CSQ: 5,99\r\n\r\nOK\r\n", CGMM="\r\nBG96\r\n\r\nOK\r\n")
    channel.start()
    response = await channel.execute(Command(line=ENCODER.run("+CGMM"), info=re.compile(rb"BG"), timeout_s=0.5))
    await channel.aclose()
    assert response.lines == ("BG96",)


async def test_a_handlers_bug_harms_nobody_else(
    channel: Channel, port: ScriptedPort, caplog: pytest.LogCaptureFixture
) -> None:
    def broken(_line: bytes, _data: bytes) -> None:
        raise ZeroDivisionError

    seen: list[bytes] = []
    channel.on_urc(re.compile(rb"\+CEREG: "), broken)
    channel.on_urc(re.compile(rb"\+CEREG: "), lambda line, _data: seen.append(line))
    port.answer = answers(CSQ="\r\n+CEREG: 2\r\n\r\n+CSQ: 5,99\r\n\r\nOK\r\n")
    assert (await channel.execute(CSQ)).lines == ("+CSQ: 5,99",)
    assert seen == [b"+CEREG: 2"]
    assert "ZeroDivisionError" in caplog.text


async def test_a_modem_that_refuses_the_question_comes_into_step_too(channel: Channel, port: ScriptedPort) -> None:
    port.answer = answers(CSQ="\r\n+CME ERROR: 10\r\n", CIMI="\r\n001010123456789\r\n\r\nOK\r\n")
    with pytest.raises(CommandTimeoutError):
        await channel.execute(Command(line=ENCODER.run("+QPOWD"), timeout_s=0.05))
    response = await channel.execute(Command(line=ENCODER.run("+CIMI"), info=re.compile(rb"\d{15}"), timeout_s=0.5))
    assert response.lines == ("001010123456789",)


async def test_a_cancelled_exchange_is_finished_and_the_next_is_clean(channel: Channel, port: ScriptedPort) -> None:
    payload = b"half a picture"
    port.answer = lambda data: b"\r\n> " if data.startswith(b"AT+QISEND") else b""
    task = asyncio.create_task(channel.execute(send(payload)))
    while payload not in port.written:
        await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    following = asyncio.create_task(channel.execute(CSQ))
    await asyncio.sleep(0)
    assert port.written[-1] == payload, "the port is still taken by the exchange nobody waits for"
    port.answer = answers(CSQ="\r\n+CSQ: 3,99\r\n\r\nOK\r\n")
    port.say(b"\r\nSEND OK\r\n")
    assert (await following).lines == ("+CSQ: 3,99",)


async def test_a_caller_cancelled_while_waiting_leaves_nothing_behind(channel: Channel, port: ScriptedPort) -> None:
    """Else the chunk of a cancelled upload could go out on the next connection with the same id."""
    first = asyncio.create_task(channel.execute(Command(line=ENCODER.run("+CGATT"), timeout_s=0.5)))
    waiting = asyncio.create_task(channel.execute(send(b"stale chunk")))
    while not port.written:
        await asyncio.sleep(0)
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    port.answer = answers(CSQ="\r\n+CSQ: 3,99\r\n\r\nOK\r\n")
    port.say(b"\r\nOK\r\n")
    await first
    await channel.execute(CSQ)
    assert port.written == [b"AT+CGATT\r", b"AT+CSQ\r"]


@pytest.mark.parametrize("banner", ["RDY", "APP RDY", "POWERED DOWN"])
async def test_a_reset_banner_ends_the_wait_and_is_told(channel: Channel, port: ScriptedPort, banner: str) -> None:
    restarted = asyncio.Event()
    channel.configure(QuectelDriver.rules, banners=QuectelDriver.banners, on_banner=restarted.set)
    port.answer = lambda data: b"\r\n> " if data.startswith(b"AT+QISEND") else f"\r\n{banner}\r\n".encode()
    with pytest.raises(LinkError) as caught:
        await asyncio.wait_for(channel.execute(send(timeout_s=60)), 5)
    assert caught.value.code == "modem_restarted"
    assert restarted.is_set()


async def test_a_lost_port_fails_what_runs_what_waits_and_what_comes(channel: Channel, port: ScriptedPort) -> None:
    told: list[LinkError] = []
    channel._on_lost = told.append
    tasks = [asyncio.create_task(channel.execute(Command(line=ENCODER.run("+CSQ"), timeout_s=60))) for _ in range(3)]
    while not port.written:
        await asyncio.sleep(0)
    port.unplug()
    for task in tasks:
        with pytest.raises(LinkError) as caught:
            await asyncio.wait_for(task, 1)
        assert caught.value.code == "port_lost"
    with pytest.raises(LinkError):
        await channel.execute(CSQ)
    assert [error.code for error in told] == ["port_lost"]


async def test_closing_waits_for_what_is_queued_but_not_for_ever(channel: Channel, port: ScriptedPort) -> None:
    """Sockets are given back by enqueuing: a program that ends must not leave them open in the modem."""
    port.answer = lambda _data: b"\r\nOK\r\n"
    closing = channel.enqueue(Command(line=ENCODER.set("+QICLOSE", 0)))
    await channel.drain(5)
    assert closing.done()
    port.answer = lambda _data: b""
    channel.enqueue(Command(line=ENCODER.set("+QICLOSE", 1)))
    await channel.drain(0.01)
    assert port.written == [b"AT+QICLOSE=0\r", b"AT+QICLOSE=1\r"]


async def test_push_data_during_an_exchange_is_told_apart(port: ScriptedPort) -> None:
    channel = Channel(port, ChinaMobileDriver.rules)
    channel.start()
    pushed: list[bytes] = []
    channel.on_urc(re.compile(rb'\+MIPURC: "rtcp"'), lambda _line, data: pushed.append(data))
    port.answer = answers(CSQ='\r\n+MIPURC: "rtcp",0,12,\r\n+CSQ: 1,1\r\r\n+CSQ: 22,99\r\n\r\nOK\r\n')
    response = await channel.execute(CSQ)
    await channel.aclose()
    assert (response.lines, pushed) == (("+CSQ: 22,99",), [b"\r\n+CSQ: 1,1\r"])


async def test_transcripts_show_no_secret(
    channel: Channel, port: ScriptedPort, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    port.answer = answers(
        CPIN="\r\nOK\r\n", CGSN="\r\n490154203237518\r\n\r\nOK\r\n\r\n+CMT: from 0123456789\r\n", QISEND="\r\n> "
    )
    await channel.execute(Command(line=ENCODER.set("+CPIN", Text("pin", "4711", secret=True)), timeout_s=0.5))
    await channel.execute(Command(line=ENCODER.run("+CGSN"), info=re.compile(rb"\d+"), is_private=True, timeout_s=0.5))
    with pytest.raises(CommandTimeoutError):
        await channel.execute(send(b"picture bytes", timeout_s=0.05))
    for secret in ("4711", "490154203237518", "0123456789", "picture bytes"):
        assert secret not in caplog.text
    assert "AT+CPIN" in caplog.text


async def test_a_refused_question_whose_name_ends_like_its_refusal(channel: Channel, port: ScriptedPort) -> None:
    """ERROR is the end of AT+QIGETERROR, and no echo of it."""
    port.answer = answers(QIGETERROR="\r\nERROR\r\n")
    with pytest.raises(CommandError):
        await channel.execute(
            Command(line=ENCODER.run("+QIGETERROR"), info=re.compile(rb"\+QIGETERROR: "), timeout_s=5)
        )


@pytest.mark.parametrize("ending", ["close", "unplug"])
async def test_what_waits_for_both_sides_to_be_in_step_ends_with_the_port(
    channel: Channel, port: ScriptedPort, monkeypatch: pytest.MonkeyPatch, ending: str
) -> None:
    """A modem that went silent, and then its port is closed: nobody may wait for ever."""
    monkeypatch.setattr(channel_module, "SYNC_ANSWER_S", 1000.0)
    with pytest.raises(CommandTimeoutError):
        await channel.execute(CSQ)
    waiting = [
        asyncio.create_task(channel.execute(Command(line=ENCODER.run("+CIMI"), timeout_s=1000))) for _ in range(2)
    ]
    while b"AT+CMEE?\r" not in port.written:
        await asyncio.sleep(0)
    if ending == "close":
        await channel.aclose()
    else:
        port.unplug()
    for task in waiting:
        with pytest.raises(LinkError) as caught:
            await asyncio.wait_for(task, 5)
        assert caught.value.code == {"close": "port_closed", "unplug": "port_lost"}[ending]
    assert channel.is_lost
    assert b"AT+CIMI\r" not in port.written


async def test_a_payload_owed_to_a_port_that_is_gone(channel: Channel, port: ScriptedPort) -> None:
    """The prompt comes late, and writing fails: the port is lost, and everybody is told once."""
    told: list[LinkError] = []
    channel.on_lost(told.append)
    with pytest.raises(CommandTimeoutError):
        await channel.execute(send(timeout_s=0.02))

    def gone(_data: bytes) -> bytes:
        raise LinkError("port_lost", "gone")

    port.answer = gone
    port.say(b"\r\n> ")
    while not told:
        await asyncio.sleep(0)
    port.unplug()
    with pytest.raises(LinkError):
        await channel.execute(CSQ)
    assert [error.code for error in told] == ["port_lost"]


async def test_a_line_without_end_is_dropped_and_the_answer_behind_it_counts(
    channel: Channel, port: ScriptedPort, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    port.answer = answers(CSQ="\r\n" + "x" * 9000 + "\r\n\r\n+CSQ: 4,99\r\n\r\nOK\r\n")
    assert (await channel.execute(CSQ)).lines == ("+CSQ: 4,99",)
    assert "9000 bytes without a line end" in caplog.text
    assert "xxxx" not in caplog.text


async def test_a_prompt_and_results_nobody_asked_for_change_nothing(channel: Channel, port: ScriptedPort) -> None:
    port.say(b"\r\n> \r\nOK\r\n\r\nERROR\r\n\r\nRDY\r\n")
    port.answer = answers(CSQ="\r\n> \r\n+CSQ: 4,99\r\n\r\nOK\r\n")
    assert (await channel.execute(CSQ)).lines == ("+CSQ: 4,99",)


async def test_a_banner_leaves_a_short_wait_as_it_is(channel: Channel, port: ScriptedPort) -> None:
    """Without a handler, and with less time left than a restart is given."""
    channel.configure(QuectelDriver.rules, banners=QuectelDriver.banners)
    port.answer = answers(CSQ="\r\nRDY\r\n\r\n+CSQ: 4,99\r\n\r\nOK\r\n")
    command = Command(line=ENCODER.run("+CSQ"), info=re.compile(rb"\+CSQ: "), timeout_s=0.01)
    port.say(b"\r\nRDY\r\n")
    assert (await channel.execute(command)).lines == ("+CSQ: 4,99",)


async def test_a_line_that_never_gets_quiet_is_spoken_into_all_the_same(channel: Channel, port: ScriptedPort) -> None:
    """A modem that chatters without end must not keep a command waiting without end."""

    async def chatter() -> None:
        while True:
            port.say(b"\r\n+CEREG: 2\r\n")
            await asyncio.sleep(0.001)

    with pytest.raises(CommandTimeoutError):
        await channel.execute(CSQ)
    port.answer = answers(CMEE="\r\n+CMEE: 1\r\n\r\nOK\r\n", CIMI="\r\nOK\r\n")
    chattering = asyncio.create_task(chatter())
    await asyncio.wait_for(channel.execute(Command(line=ENCODER.run("+CIMI"))), 10)
    chattering.cancel()
