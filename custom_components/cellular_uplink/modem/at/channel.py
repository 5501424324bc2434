"""The actor that owns one channel to a modem: everybody else enqueues a command and waits for its response."""

import asyncio
from collections.abc import Awaitable, Callable, Collection
from dataclasses import dataclass, field
import heapq
import itertools
import logging
import re
from typing import Protocol

from ..errors import CommandError, CommandTimeoutError, LinkError, ModemError
from .codec import Codec, CodecRules, Counted, Event, Line, Overlong, PromptSeen, Raw, error_code, is_final
from .command import Command, Prompt, Response
from .encoding import AtEncoder, CommandLine

_LOGGER = logging.getLogger(__name__)

RESTART_GRACE_S = 2.0
"""How long an exchange may still be answered after a banner that says the modem restarted (assumed)."""
SYNC_ANSWER_S = 2.0
"""How long a modem may take to answer the question that brings both sides back into step (queries: 300 ms)."""
SYNC_ROUNDS = 6
"""Together longer than the 10 s after which an ML307R sends a payload that came short (ml307r.md 5.1)."""
RAW_END_S = 2.0
"""Silence behind what looks like the end of raw output, though more was announced (assumed)."""
QUIET_S = 0.15
"""A line this long without a byte is taken as quiet (assumed)."""


class ByteStream(Protocol):
    """What a channel needs of a port."""

    async def read(self) -> bytes:
        """Wait for bytes; raises LinkError when the port is gone. Never returns b""."""

    async def write(self, data: bytes) -> None:
        """Hand bytes over; raises LinkError when the port is gone."""


@dataclass(slots=True)
class _Exchange:
    """One command on its way; `done` is what the caller waits for, `prompted` what the actor waits for in between."""

    command: Command
    done: asyncio.Future[Response]
    prompted: asyncio.Event = field(default_factory=asyncio.Event)
    finished: asyncio.Event = field(default_factory=asyncio.Event)
    lines: list[bytes] = field(default_factory=list)
    data: bytearray = field(default_factory=bytearray)
    echo_seen: bool = False
    is_started: bool = False
    is_paid: bool = False
    saw_restart: bool = False
    scope: asyncio.Timeout | None = None

    def succeed(self, final: bytes) -> None:
        """End with a response."""
        if not self.done.done():
            lines = tuple(line.decode("utf-8", "replace") for line in self.lines)
            self.done.set_result(Response(lines=lines, data=bytes(self.data), final=final.decode("ascii", "replace")))
        self.finished.set()
        self.prompted.set()

    def fail(self, error: ModemError) -> None:
        """End with an error."""
        if not self.done.done():
            self.done.set_exception(error)
        self.finished.set()
        self.prompted.set()


class Channel:
    """Exchanges with a modem over one byte stream, one at a time, most urgent first.

    URC handlers are called synchronously from the reader; they may set state and enqueue, never wait. A caller that is
    cancelled only stops waiting: the exchange is finished, so that nothing of it can answer the next command.
    """

    def __init__(
        self,
        stream: ByteStream,
        rules: CodecRules | None = None,
        *,
        line_bps: int | None = None,
        in_step: bool = True,
        on_lost: Callable[[LinkError], None] | None = None,
    ) -> None:
        self._stream = stream
        self._codec = Codec(rules)
        self.line_bps = line_bps
        self._on_lost = on_lost
        self._lost_handlers: list[Callable[[LinkError], None]] = []
        self._queue: list[tuple[int, int, _Exchange]] = []
        self._wake = asyncio.Event()
        self._idle = asyncio.Event()
        self._idle.set()
        self._order = itertools.count()
        self._active: _Exchange | None = None
        self._sync: _Sync | None = None
        # Whoever looked for the modem may have left answers on their way: the first exchange is preceded by a question.
        self._out_of_step: Command | None = None if in_step else Command(line=AtEncoder().run())
        self._owed = b""
        self._heard = asyncio.Event()
        self._urc_handlers: list[tuple[re.Pattern[bytes], Callable[[bytes, bytes], None]]] = []
        self._stray_errors: Callable[[str], bool] | None = None
        self._banners: frozenset[bytes] = frozenset()
        self._on_banner: Callable[[], None] | None = None
        self._lost: LinkError | None = None
        self._tasks: list[asyncio.Task[None]] = []

    # -- life ---------------------------------------------------------------------------------------------------------

    def start(self) -> None:
        """Start reading and answering; to be called once, inside the event loop."""
        self._tasks = [
            asyncio.create_task(self._read_forever(), name="cellular_uplink reader"),
            asyncio.create_task(self._work_forever(), name="cellular_uplink actor"),
        ]

    async def drain(self, timeout_s: float) -> None:
        """Wait until nothing is queued or under way, at most so long: sockets are given back by enqueuing."""
        try:
            async with asyncio.timeout(timeout_s):
                await self._idle.wait()
        except TimeoutError:
            _LOGGER.debug("closing with exchanges still under way")

    async def aclose(self) -> None:
        """Stop; what is under way or waiting fails with LinkError port_closed."""
        self._lose(LinkError("port_closed", "The modem's port was closed"), tell=False)
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    @property
    def is_lost(self) -> bool:
        """Return True once the port is gone or closed."""
        return self._lost is not None

    def configure(
        self, rules: CodecRules, *, banners: Collection[bytes] = (), on_banner: Callable[[], None] | None = None
    ) -> None:
        """Take a family's codec rules and restart banners and drop all handlers; between exchanges only."""
        self._codec = Codec(rules)
        self._urc_handlers.clear()
        self._lost_handlers.clear()
        self._stray_errors = None
        self._banners = frozenset(banners)
        self._on_banner = on_banner

    def on_urc(self, pattern: re.Pattern[bytes], handler: Callable[[bytes, bytes], None]) -> None:
        """Call `handler(line, counted data)` for URCs whose start matches; all that match are called."""
        self._urc_handlers.append((pattern, handler))

    def on_stray_error(self, handler: Callable[[str], bool]) -> None:
        """Call back with the code of every +CME ERROR; True means that it ends no exchange: it came by itself."""
        self._stray_errors = handler

    def on_lost(self, handler: Callable[[LinkError], None]) -> None:
        """Call back when the port is gone or closed, so that what waits for URCs need not wait for ever."""
        self._lost_handlers.append(handler)

    # -- for callers --------------------------------------------------------------------------------------------------

    async def execute(self, command: Command) -> Response:
        """Do one exchange and return the response.

        Raises:
            CommandError: the modem refused.
            CommandTimeoutError: no final result in time; the channel resynchronises before the next exchange.
            LinkError: the port is gone, or the modem does not answer any more.
        """
        exchange = self._submit(command)
        try:
            # Not shield: it reports what fails after its caller has gone, as if that were a bug.
            await asyncio.wait((exchange.done,))
        except asyncio.CancelledError:
            if not exchange.is_started:
                exchange.done.cancel()  # nothing of it is on the wire yet: it never will be
            raise
        return exchange.done.result()

    def enqueue(self, command: Command) -> asyncio.Future[Response]:
        """Queue a command without waiting; URC handlers and closers use this. The future may be left alone."""
        return self._submit(command).done

    def _submit(self, command: Command) -> _Exchange:
        exchange = _Exchange(command, asyncio.get_running_loop().create_future())
        exchange.done.add_done_callback(_retrieve)
        if self._lost is not None:
            exchange.fail(self._lost)
        else:
            heapq.heappush(self._queue, (command.priority, next(self._order), exchange))
            self._idle.clear()
            self._wake.set()
        return exchange

    # -- the actor ----------------------------------------------------------------------------------------------------

    async def _work_forever(self) -> None:
        while True:
            while not self._queue:
                self._idle.set()
                self._wake.clear()
                await self._wake.wait()
            exchange = heapq.heappop(self._queue)[2]
            if exchange.done.cancelled():
                continue
            try:
                if self._out_of_step is not None:
                    await self._resynchronise()
                if exchange.done.cancelled():  # meanwhile
                    continue
                exchange.is_started = True
                if self._lost is None:
                    await self._perform(exchange)
                else:
                    exchange.fail(self._lost)
            except ModemError as err:
                exchange.fail(err)
            except Exception:  # a bug must not leave callers waiting for ever
                _LOGGER.exception("The modem's channel failed")
                failure = LinkError("port_lost", "An internal error ended the connection to the modem")
                exchange.fail(failure)
                self._lose(failure, tell=True)
            except asyncio.CancelledError:
                # Closed in the middle of getting back into step, where it was not the active exchange yet.
                exchange.fail(self._lost or LinkError("port_closed", "The modem's port was closed"))
                raise

    async def _perform(self, exchange: _Exchange) -> None:
        command = exchange.command
        self._active = exchange
        self._codec.expects_prompt = command.prompt is Prompt.ANGLE
        self._codec.raw_rule = command.raw
        if command.on_start is not None:
            command.on_start()
        _LOGGER.debug("> %s", command.line.shown)
        try:
            await self._stream.write(command.line.raw + b"\r")
            await self._until(
                exchange, exchange.prompted if command.payload else exchange.finished, len(command.line.raw) + 1
            )
            if command.payload and not exchange.finished.is_set():
                await self._pay(exchange)
                await self._until(exchange, exchange.finished, len(command.payload))
        except TimeoutError:
            for event in self._codec.give_up_raw():
                self._handle(event)
            if exchange.finished.is_set():
                return
            self._out_of_step = command
            # A payload whose prompt has not come yet is still owed: the prompt may come late.
            self._owed = b"" if exchange.is_paid else command.payload
            if exchange.saw_restart:
                exchange.fail(LinkError("modem_restarted", f"The modem restarted during {command.line.name}"))
            else:
                sentence = f"The modem did not finish {command.line.name} within {command.timeout_s:g} s"
                exchange.fail(CommandTimeoutError("timeout", sentence))
        finally:
            self._active = None
            self._codec.raw_rule = None
            if self._out_of_step is None:
                self._codec.expects_prompt = False

    async def _pay(self, exchange: _Exchange) -> None:
        exchange.is_paid = True
        if exchange.command.on_prompt is not None:
            exchange.command.on_prompt()
        _LOGGER.debug("> <%d bytes>", len(exchange.command.payload))
        await self._stream.write(exchange.command.payload)

    async def _until(self, exchange: _Exchange, event: asyncio.Event, sent_bytes: int) -> None:
        async with asyncio.timeout(exchange.command.timeout_s + self.line_time_s(sent_bytes)) as scope:
            exchange.scope = scope
            await event.wait()
        if self._lost is not None:
            raise self._lost

    def line_time_s(self, count: int) -> float:
        """Seconds that `count` bytes take on the line (8N1), 0 where the rate has no meaning."""
        return count * 10 / self.line_bps if self.line_bps else 0.0

    # -- back into step after a time-out ------------------------------------------------------------------------------

    async def _resynchronise(self) -> None:
        """Bring both sides back into step: no late result, and no owed payload, may meet the next command.

        Asks a question whose answer cannot be mistaken for a late result, and repeats it until it is answered.
        Where the modem may be waiting for payload bytes it never got, carriage returns fill it up: as bytes they
        complete the count, behind it they are empty command lines.
        """
        stale = self._out_of_step
        assert stale is not None
        _LOGGER.debug("resynchronising after %s", stale.line.name)
        filler = len(stale.payload)
        bare_finals = 0
        for round_number in range(SYNC_ROUNDS):
            await self._wait_quiet()
            self._codec.reset()
            sync = self._sync = _Sync(stale.line)
            try:
                await self._stream.write(sync.line.raw + b"\r")
                async with asyncio.timeout(SYNC_ANSWER_S + self.line_time_s(64)):
                    await sync.answered.wait()
            except TimeoutError:
                # Some modems refuse the question: two rounds with nothing but one final result each will do as well.
                bare_finals = bare_finals + 1 if sync.finals == 1 else 0
                if bare_finals < 2:
                    if filler and not sync.finals and round_number:
                        await self._stream.write(b"\r" * filler)
                        filler = 0
                    continue
            finally:
                self._sync = None
            self._out_of_step = None
            self._owed = b""
            self._codec.expects_prompt = False
            return
        # Given up, so that whoever owns the port opens it anew: the modem may have come back at another rate.
        error = LinkError("not_responding", f"The modem stopped answering during {stale.line.name}")
        self._lose(error, tell=True)
        raise error

    async def _wait_quiet(self) -> None:
        try:
            async with asyncio.timeout(SYNC_ANSWER_S):
                while True:
                    self._heard.clear()
                    async with asyncio.timeout(QUIET_S):
                        await self._heard.wait()
        except TimeoutError:
            return

    # -- the reader ---------------------------------------------------------------------------------------------------

    async def _read_forever(self) -> None:
        try:
            while True:
                data = await self._stream.read()
                self._heard.set()
                for event in self._codec.feed(data):
                    self._handle(event)
                if self._codec.raw is not None:
                    self._wait_longer(RAW_END_S if self._codec.raw.looks_ended else None)
        except LinkError as err:
            self._lose(err, tell=True)
        except Exception:  # a bug must not leave callers waiting for ever
            _LOGGER.exception("Reading from the modem failed")
            self._lose(LinkError("port_lost", "An internal error ended the connection to the modem"), tell=True)

    def _wait_longer(self, seconds: float | None) -> None:
        """Raw output is coming in: the exchange may take this long, or its own time, from now on."""
        active = self._active
        if active is not None and active.scope is not None and not active.scope.expired():
            allowed_s = active.command.timeout_s if seconds is None else seconds
            active.scope.reschedule(asyncio.get_running_loop().time() + allowed_s)

    def _handle(self, event: Event) -> None:
        match event:
            case PromptSeen():
                self._prompt_seen()
            case Counted(header, data):
                self._counted(header, data)
            case Raw(data):
                _LOGGER.debug("< <%d bytes>", len(data))
                if self._active is not None:
                    self._active.data += data
            case Overlong(dropped_bytes):
                _LOGGER.debug("< <%d bytes without a line end, dropped>", dropped_bytes)
            case Line(text):
                self._line(text)

    def _prompt_seen(self) -> None:
        active = self._active
        if active is not None:
            active.prompted.set()
        elif self._owed:
            # The prompt came after we gave up: the modem takes the next bytes as payload, so it gets exactly those.
            owed, self._owed = self._owed, b""
            self._spawn(self._stream.write(owed))

    def _spawn(self, work: Awaitable[None]) -> None:
        async def run() -> None:
            try:
                await work
            except LinkError as err:
                self._lose(err, tell=True)

        task = asyncio.create_task(run())
        self._tasks.append(task)
        task.add_done_callback(self._tasks.remove)

    def _counted(self, header: bytes, data: bytes) -> None:
        _LOGGER.debug("< %s <%d bytes>", header.decode("latin-1"), len(data))
        active = self._active
        if active is not None and active.command.info is not None and active.command.info.match(header):
            active.lines.append(header)
            active.data += data
        else:
            self._urc(header, data)

    def _line(self, text: bytes) -> None:
        if text in self._banners:
            self._banner(text)
        if self._sync is not None and self._sync.takes(text):
            return
        if self._stray_errors is not None and (code := error_code(text)) is not None and self._stray_errors(code):
            _LOGGER.debug("< %s (by itself)", text.decode("latin-1"))
            return
        active = self._active
        if active is None:
            if is_final(text):
                _LOGGER.debug("< %s (late, ignored)", text.decode("latin-1"))
            else:
                self._urc(text, b"")
            return
        self._answer(active, text)

    def _answer(self, active: _Exchange, text: bytes) -> None:
        command = active.command
        if not active.echo_seen and _is_echo(command.line.raw, text):
            active.echo_seen = command.line.raw.endswith(text)
        elif text in command.success and (active.is_paid or command.prompt is not Prompt.ANGLE):
            # Before its prompt, `>` or nothing: CONNECT may stay away, and the reason follow as a URC (bg96.md 11).
            _LOGGER.debug("< %s", text.decode("latin-1"))
            active.succeed(text)
        elif command.prompt is Prompt.CONNECT and not active.is_paid and re.fullmatch(rb"CONNECT( .*)?", text):
            active.prompted.set()
        elif command.raw is not None and text == b"CONNECT":
            pass  # the codec knows
        elif (code := error_code(text)) is not None:
            _LOGGER.debug("< %s", text.decode("latin-1"))
            active.fail(CommandError(command.line.name, code, f"The modem answered {command.line.name} with {code}"))
        elif command.info is not None and command.info.match(text):
            _LOGGER.debug("< %s", f"<{len(text)} bytes, private>" if command.is_private else text.decode("latin-1"))
            active.lines.append(text)
        else:
            self._urc(text, b"")

    def _urc(self, text: bytes, data: bytes) -> None:
        taken = False
        for pattern, handler in self._urc_handlers:
            if pattern.match(text):
                taken = True
                try:
                    handler(text, data)
                except Exception:  # one listener's bug must not end the reading for all
                    _LOGGER.exception("A handler of the modem's messages failed")
        # Lines nobody knows may carry anything, a number, a PIN or a message among it: only their name is shown.
        if taken:
            _LOGGER.debug("< %s", text.decode("latin-1"))
            return
        name = re.match(rb"\+[A-Z]{2,12}(?=:)", text)
        _LOGGER.debug("< %s <%d bytes, not understood>", name[0].decode("ascii") if name else "", len(text))

    def _banner(self, text: bytes) -> None:
        _LOGGER.debug("the modem restarted (%s)", text.decode("latin-1"))
        active = self._active
        if active is not None and active.scope is not None and not active.finished.is_set():
            active.saw_restart = True
            deadline = asyncio.get_running_loop().time() + RESTART_GRACE_S
            when = active.scope.when()
            if when is not None and when > deadline:
                active.scope.reschedule(deadline)
        if self._on_banner is not None:
            self._on_banner()

    def _lose(self, error: LinkError, *, tell: bool) -> None:
        if self._lost is not None:
            return
        self._lost = error
        if self._active is not None:
            self._active.fail(error)
        if self._sync is not None:
            self._sync.answered.set()
        for _, _, exchange in self._queue:
            exchange.fail(error)
        self._queue.clear()
        self._idle.set()
        for handler in self._lost_handlers:
            handler(error)
        if tell and self._on_lost is not None:
            self._on_lost(error)


class _Sync:
    """A question whose answer is told apart from any late result by its information line."""

    def __init__(self, stale: CommandLine) -> None:
        encoder = AtEncoder()
        # The stale command's own late answer must not look like the answer to the question.
        self.line = encoder.read("+CMEE") if stale.raw.startswith(b"AT+CSQ") else encoder.run("+CSQ")
        self._head = b"+CMEE:" if stale.raw.startswith(b"AT+CSQ") else b"+CSQ:"
        self._head_seen = False
        self.finals = 0
        self.answered = asyncio.Event()

    def takes(self, text: bytes) -> bool:
        """Consume what belongs to the question or is a late result; anything else is a URC."""
        if text.startswith(self._head):
            self._head_seen = True
            return True
        if is_final(text):
            self.finals += 1
            if self._head_seen and text == b"OK":
                self.answered.set()
            return True
        return text == self.line.raw


def _is_echo(sent: bytes, text: bytes) -> bool:
    """Return whether a line is the command's echo, whole or what is left of it; ERROR is no end of AT+QIGETERROR."""
    return len(text) >= 2 and not is_final(text) and (sent.endswith(text) or sent.startswith(text))


def _retrieve(future: asyncio.Future[Response]) -> None:
    """Mark a failure as seen: a caller that gave up never looks."""
    if not future.cancelled():
        future.exception()
