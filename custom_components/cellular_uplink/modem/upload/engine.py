"""Carries an upload out and says what happened.

The engine asks for the modem to be online, plans, and tries the planned ways in turn, all with the same upload id, for
as long as `verdict` says that another try is worth it. Whatever came of it becomes an `UploadResult`.
"""

import asyncio
from collections.abc import AsyncGenerator, Callable, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from datetime import datetime
import ssl
import time
from typing import Protocol
import uuid

import httpx

from ..drivers.base import (
    Identity,
    ModemTls,
    SupportsChinaMobileHttp,
    SupportsQuectelHttp,
    SupportsSockets,
    TakesCare,
)
from ..errors import HttpError, InputError, LinkError, ModemError, SocketError, TlsError
from ..quirks.registry import Quirk, match
from ..routes.china_mobile_http import ChinaMobileHttpTransport
from ..routes.meter import Meter, Phase, metered
from ..routes.plan import Capabilities, Demand, HttpCommand, PlannedAttempt, RouteName, TlsPlace
from ..routes.quectel_http import QuectelHttpTransport
from ..routes.socket import ModemNetworkBackend, SocketTransport
from ..routes.tls import build_ssl_context
from ..routes.wire import serialise, with_longer_body
from . import planner
from .attempts import AS_EVER, MAX_PAUSE_S, MAX_TRIES, Course, Patience, Run, Try
from .care import Wear, care_of
from .choices import AS_PLANNED, UPLOAD_ID, Choices, check_choices, shaped
from .exchange import MAX_RESPONSE_BYTES, Answer, deadline_of, explained, meter_for
from .formats import build_request, judge_of
from .memory import OutcomeMemory, kind_of
from .repair import Repair
from .request import Destination, Picture, UploadFormat, check_destination, check_header_value, check_picture
from .result import Progress, UploadResult, UploadState
from .verdict import Step, Verdict, verdict, verdict_of_answer

__all__ = ["MAX_RESPONSE_BYTES", "Choices", "Modem", "Patience", "UploadEngine", "check_timeout"]

ASSUMED_BAUD = 9600
TLS_OVERHEAD_BYTES = 8_192
LEAST_TRY_S = 1.0
"""With less time left than this, nothing is tried any more."""


class Modem(Protocol):
    """What the engine needs of a modem; `session.ModemSession` is one."""

    @property
    def baud(self) -> int | None:
        """Bits per second on the line, None where unknown."""

    @property
    def identity(self) -> Identity:
        """Who the modem is."""

    async def ensure_online(self) -> object:
        """Bring packet data up and return the driver, which is asked for what it can do; raises ModemError."""


class UploadEngine:
    """Sends pictures through one modem. Uploads may run side by side; their chunks interleave on the port.

    `quirks` is the catalogue (quirks.loader.load_quirks, which blocks); `memory` is kept by its owner.
    """

    def __init__(
        self,
        session: Modem,
        *,
        quirks: Sequence[Quirk] = (),
        memory: OutcomeMemory | None = None,
        patience: Patience = AS_EVER,
    ) -> None:
        self._session = session
        self._patience = patience
        self._quirks = tuple(quirks)
        self._memory = memory
        self._backend: ModemNetworkBackend | None = None
        self._transports: dict[ssl.SSLContext | None, SocketTransport] = {}
        self._users: dict[SocketTransport, int] = {}
        self._default_ssl_context: ssl.SSLContext | None = None
        self._outstanding_bytes = 0
        self._exchanges = 0
        self._wear = Wear()
        self._settling = asyncio.Lock()
        """Held from bringing the modem online to counting the exchange, so that no reset comes between them."""
        self._repair = Repair(session.ensure_online, self._patience.link_pause_s)

    async def upload(
        self,
        destination: Destination,
        picture: Picture,
        *,
        choices: Choices = AS_PLANNED,
        ssl_context: ssl.SSLContext | None = None,
        upload_id: str | None = None,
        timeout_s: float | None = None,
        on_progress: Callable[[Progress], None] | None = None,
    ) -> UploadResult:
        """Send one picture. Failures of delivery are in the result; only bad input raises (InputError).

        `ssl_context` says whom https trusts (see routes.tls.build_ssl_context; building one blocks); None is this
        host's trust store. `timeout_s` counts from the call and is for all tries; without it, each is allowed time by
        bytes and line rate, from the moment the modem is online. `on_progress` is called in the event loop after every
        chunk.
        """
        upload_id = uuid.uuid4().hex if upload_id is None else upload_id
        check_destination(destination)
        check_picture(picture)
        check_header_value("upload_id", upload_id)
        check_timeout(timeout_s)
        check_choices(choices)
        began = datetime.now().astimezone()
        until = None if timeout_s is None else time.monotonic() + timeout_s

        def build() -> httpx.Request:
            """Build the request, for every try anew: some carry a token that gets old."""
            request = build_request(
                destination, picture, upload_id, started=began, line_bps=self._session.baud, timeout_s=timeout_s
            )
            return shaped(request, choices)

        run = Run(upload_id=upload_id, is_keyed=destination.format is UploadFormat.QINIU, on_progress=on_progress)
        request = build()
        while True:
            left_s = None if until is None else max(0.001, until - time.monotonic())
            done = await self._try(run, request, choices, ssl_context, left_s, timeout_s)
            outcome = self._judged(done, request)
            run.add(done, request)
            if done.state is UploadState.DELIVERED or (
                done.may_have_arrived and await self._has_arrived(run, choices, ssl_context, until)
            ):
                self._learn(run, request, choices)
                return run.result()
            run.blame(outcome)
            if done.may_have_arrived and not choices.retry_ambiguous:
                done.note = done.note or "Not sent again, as asked: the server may have the picture already"
                return run.result()
            if not await _go_on(run, outcome, until, self._patience.link_pause_s):
                if (refusal := run.refusal()) is not None:
                    raise refusal
                return run.result()
            if destination.format is UploadFormat.QINIU:
                request = build()

    async def request(
        self,
        request: httpx.Request,
        *,
        ssl_context: ssl.SSLContext | None = None,
        timeout_s: float | None = None,
    ) -> httpx.Response:
        """Send another request through the same modem's sockets, beside uploads; its body must be in memory.

        Returns the response whatever its status, with at most `MAX_RESPONSE_BYTES` of its body.

        Raises:
            ModemError: no whole response came.
        """
        check_timeout(timeout_s)
        return await self._ask(request, ssl_context, timeout_s, meter_for(request, None))

    async def aclose(self) -> None:
        """Give all sockets back. The engine can be used again afterwards."""
        await self._forget_routes()

    # -- one try ------------------------------------------------------------------------------------------------------

    async def _ask(
        self, request: httpx.Request, ssl_context: ssl.SSLContext | None, timeout_s: float | None, meter: Meter
    ) -> httpx.Response:
        """Send what is no upload; as `request`."""
        answer = Answer()
        async with deadline_of(timeout_s, request, meter) as deadline:
            async with self._settling:
                driver = await self._session.ensure_online()
            if timeout_s is None:
                deadline.allow(self._time_for(meter.total_bytes))
            await self._exchange(driver, request, ssl_context, meter, answer, None)
        if answer.status is None:  # pragma: no cover: an exchange without error has a status
            raise HttpError("response_lost", "No answer came")
        return answer.response(request)

    async def _try(
        self,
        run: Run,
        request: httpx.Request,
        choices: Choices,
        ssl_context: ssl.SSLContext | None,
        left_s: float | None,
        timeout_s: float | None,
    ) -> Try:
        """Bring the modem online, plan if that is not done yet, and try the way whose turn it is."""
        done = Try(meter=meter_for(request, run.report))
        try:
            async with deadline_of(left_s, request, done.meter, total_s=timeout_s) as deadline:
                async with self._settling:
                    driver = await self._session.ensure_online()
                    if run.course is None:
                        run.course = self._plan(run, request, choices, ssl_context, driver)
                    done.way = way = run.course.attempt
                    if isinstance(driver, TakesCare) and choices.use_workarounds:  # else what others need stays
                        driver.mind(care_of(run.quirks))
                    if (cure := run.course.cure or self._wear.due(way)) is not None:
                        run.course.cure = None
                        if not self._exchanges:  # others would be cut off
                            driver = await self._repair.carry_out(driver, cure)
                time_s = self._time_for(done.meter.total_bytes)
                time_s += self._patience.modem_http_s if way.route is RouteName.MODEM_HTTP else 0.0
                if left_s is None:
                    deadline.allow(time_s)
                done.is_hurried = not deadline.leaves(time_s)
                done.started = time.monotonic()
                modem_tls = ModemTls(ca_pem=choices.modem_ca_pem if way.is_verified else None)
                transport = None if way.route is RouteName.SOCKET else _modem_http(driver, way, modem_tls)
                await self._exchange(driver, request, ssl_context, done.meter, done.answer, transport)
        except InputError as err:
            if done.started is None and not run.attempts:
                raise
            done.error = err  # another way may carry it, and what was tried before is not to be lost for it
        except ModemError as err:
            if done.answer.status is None:  # else the answer is what counts, though its body may be incomplete
                done.error = err
        return done

    def _judged(self, done: Try, request: httpx.Request) -> Verdict:
        """Say what a try came to, and return what to do next."""
        if done.answer.status is None:
            assert done.error is not None
            done.may_have_arrived = done.meter.is_last_byte_out
            way = done.way if done.started is not None else None
            return verdict(done.error, way, self._session.identity.family if way else "")
        status = done.answer.status
        judge = judge_of(request)
        if judge is None:
            done.state = UploadState.DELIVERED if 200 <= status < 300 else UploadState.REJECTED
            done.error = done.answer.rejection() if done.state is UploadState.REJECTED else None
            return verdict_of_answer(status, done.answer.headers)
        judgement = judge(status, done.answer.headers, bytes(done.answer.body))
        done.state, done.error, done.note = judgement.state, judgement.error, judgement.note
        done.may_have_arrived = judgement.may_be_stored
        return verdict_of_answer(status, done.answer.headers, judgement)

    async def _exchange(
        self,
        driver: object,
        request: httpx.Request,
        ssl_context: ssl.SSLContext | None,
        meter: Meter,
        answer: Answer,
        transport: httpx.AsyncBaseTransport | None,
    ) -> None:
        """Fill `answer` from what the server says to `request`; `transport` None: over the modem's sockets."""
        with self._counted(meter.total_bytes), explained(request.url.host), metered(meter):
            meter.phase = Phase.QUEUED
            if transport is not None:
                await answer.take(await transport.handle_async_request(request))
                return
            if not isinstance(driver, SupportsSockets):
                raise self._no_route()
            if request.url.scheme != "https":
                ssl_context = None
            elif ssl_context is None:
                ssl_context = await self._default_trust()
            async with self._transport(driver, ssl_context) as sockets:
                await answer.take(await sockets.handle_async_request(request))

    async def _has_arrived(
        self, run: Run, choices: Choices, ssl_context: ssl.SSLContext | None, until: float | None
    ) -> bool:
        """Ask the destination whether it has the picture, where it can be asked."""
        if choices.check_url is None:
            return False
        url = choices.check_url.replace(UPLOAD_ID, run.upload_id)
        question = httpx.Request(choices.check_method, url, headers={**choices.check_headers, "Connection": "close"})
        left_s = self._patience.check_s if until is None else min(self._patience.check_s, until - time.monotonic())
        if left_s < LEAST_TRY_S:
            return False
        meter = meter_for(question, None)
        try:
            response = await self._ask(question, ssl_context, left_s, meter)
        except ModemError:
            return False  # nobody knows, as before
        finally:
            run.sent_bytes += meter.sent_bytes
            run.received_bytes += meter.received_bytes
        return run.settle(response.status_code)

    # -- plan and memory ----------------------------------------------------------------------------------------------

    def _plan(
        self,
        run: Run,
        request: httpx.Request,
        choices: Choices,
        ssl_context: ssl.SSLContext | None,
        driver: object,
    ) -> Course:
        """Return the ways to try; raises SocketError when there is none."""
        identity = self._session.identity
        capabilities = planner.capabilities_of(driver)
        demand = Demand(
            scheme=request.url.scheme,
            request_bytes=len(serialise(request)),
            body_bytes=len(request.content),
            route=choices.route,
            command=choices.command,
            tls=choices.tls,
            has_ca=choices.modem_ca_pem is not None,
            verify=ssl_context is None or ssl_context.verify_mode is not ssl.CERT_NONE,
            use_workarounds=choices.use_workarounds,
            allows_chunked=choices.allows_chunked,
            line_bps=self._session.baud,
            pads_body=choices.pads_body and with_longer_body(request, 1) is not None,
        )
        findings = () if self._memory is None else self._memory.findings(identity)
        run.quirks = match(identity, self._quirks, findings)
        learned = () if self._memory is None else self._memory.recall(identity, _kind(request, choices))
        found = planner.plan(capabilities, run.quirks, demand, learned)
        if found.attempts:
            return Course(plan=found, is_one_shot=not choices.use_workarounds)
        if capabilities == Capabilities():
            raise self._no_route()
        reasons = "; ".join(f"{left.command or left.route}: {left.why}" for left in found.rejected)
        raise SocketError("no_data_route", f"There is no way to send this ({reasons})")

    def _learn(self, run: Run, request: httpx.Request, choices: Choices) -> None:
        """Remember the way that delivered and those at fault before it. Where none delivers, it may be the server."""
        assert run.last is not None
        way = run.last.way
        if self._memory is None or way is None or choices.is_forced:
            return
        kind = _kind(request, choices)
        for failed in run.blamed:
            if failed is not way:
                self._memory.record(self._session.identity, kind, failed, worked=False)
        self._memory.record(self._session.identity, kind, way, worked=True)

    def _no_route(self) -> SocketError:
        return SocketError("no_data_route", f"No data route for this model yet ({self._model()})")

    # -- time and sockets ---------------------------------------------------------------------------------------------

    def _time_for(self, request_bytes: int) -> float:
        """Return seconds for a request of this length, given what else is on the line now."""
        line_bytes = request_bytes + self._outstanding_bytes + TLS_OVERHEAD_BYTES
        line_s = line_bytes * 10 / (self._session.baud or ASSUMED_BAUD)
        return self._patience.base_s + self._patience.line_factor * line_s

    @contextmanager
    def _counted(self, request_bytes: int) -> Iterator[None]:
        self._outstanding_bytes += request_bytes
        self._exchanges += 1
        try:
            yield
        finally:
            self._outstanding_bytes -= request_bytes
            self._exchanges -= 1

    @asynccontextmanager
    async def _transport(
        self, driver: SupportsSockets, ssl_context: ssl.SSLContext | None
    ) -> AsyncGenerator[SocketTransport]:
        """Lend the transport for this driver and this trust; the ones nobody needs any more go."""
        if self._backend is None or self._backend.driver is not driver:  # the modem was opened again
            stale = self._take_routes()
            self._backend = ModemNetworkBackend(driver)
            await _close_all(stale)
        for key, idle in list(self._transports.items()):
            is_there = self._transports.get(key) is idle  # somebody else may have taken it while another was closed
            if is_there and key is not ssl_context and idle.is_unused and not self._users.get(idle):
                del self._transports[key]
                await idle.aclose()
        transport = self._transports.get(ssl_context)
        if transport is None:
            transport = self._transports[ssl_context] = SocketTransport(self._backend, ssl_context)
        self._users[transport] = self._users.get(transport, 0) + 1
        try:
            yield transport
        finally:
            self._users[transport] -= 1
            if not self._users[transport]:
                del self._users[transport]

    async def _forget_routes(self) -> None:
        await _close_all(self._take_routes())

    def _take_routes(self) -> list[SocketTransport]:
        stale = list(self._transports.values())
        self._transports.clear()
        self._backend = None
        return stale

    async def _default_trust(self) -> ssl.SSLContext:
        if self._default_ssl_context is None:
            self._default_ssl_context = await asyncio.to_thread(build_ssl_context)
        return self._default_ssl_context

    def _model(self) -> str:
        identity = self._session.identity
        return " ".join(part for part in (identity.vendor, identity.model) if part) or "unknown modem"


def check_timeout(timeout_s: float | None) -> None:
    """Raise InputError unless this is a number of seconds from 1 to a day, or None."""
    if timeout_s is not None and not 1 <= timeout_s <= 86_400:
        raise InputError("timeout", "must be between 1 and 86400 seconds")


async def _go_on(run: Run, outcome: Verdict, until: float | None, link_pause_s: float) -> bool:
    """Wait as long as the verdict says and return True, or False when there is nothing left to try, or no time."""
    assert run.last is not None
    left_s = float("inf") if until is None else until - time.monotonic()
    pause_s = outcome.pause_s
    if run.last.started is None:  # the modem did not come online, or there is no plan
        error = run.last.error
        is_back_soon = isinstance(error, LinkError) and (outcome.step is Step.RECONNECT or run.link_failures > 1)
        if not is_back_soon or run.link_failures >= MAX_TRIES or (run.course is not None and run.course.is_one_shot):
            return False
        pause_s = link_pause_s
    else:
        assert run.course is not None
        is_handshake = isinstance(run.last.error, TlsError) or run.last.meter.phase is Phase.TLS
        if not run.course.advance(outcome, is_handshake=is_handshake):
            return False
    if pause_s > min(MAX_PAUSE_S if until is None else left_s, left_s - LEAST_TRY_S):
        return False
    await asyncio.sleep(pause_s)
    return True


def _modem_http(driver: object, way: PlannedAttempt, tls: ModemTls) -> httpx.AsyncBaseTransport:
    """Return the transport over the modem's own HTTP client; it does TLS only where the plan says so."""
    allowed = tls if way.tls is TlsPlace.MODEM else None
    command = way.command or HttpCommand.POSTFILE
    if isinstance(driver, SupportsQuectelHttp):
        return QuectelHttpTransport(driver, command=command, tls=allowed, workarounds=way.workarounds)
    if not isinstance(driver, SupportsChinaMobileHttp):  # the plan was made for another modem
        raise SocketError("no_data_route", "The modem that came back is not the one that was planned for")
    return ChinaMobileHttpTransport(driver, command=command, tls=allowed, workarounds=way.workarounds)


def _kind(request: httpx.Request, choices: Choices) -> str:
    """Return the kind of destination for which outcomes are alike."""
    return kind_of(request.url.scheme, choices.tls)


async def _close_all(transports: list[SocketTransport]) -> None:
    for transport in transports:
        await transport.aclose()
