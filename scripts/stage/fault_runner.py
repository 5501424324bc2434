"""Performs fault schedules: the real engine, a simulated modem and a real server, and a judge at the end of each."""

import asyncio
from collections import defaultdict
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
import json
from pathlib import Path
from random import Random
import ssl
import tempfile
import time

from modem.drivers.base import ApnSettings
from modem.errors import ModemError
from modem.quirks.loader import load_quirks
from modem.quirks.registry import Quirk
from modem.routes.plan import RouteName, TlsPlace
from modem.routes.tls import build_ssl_context
from modem.session import ModemSession, SessionSettings
from modem.upload.choices import Choices
from modem.upload.engine import Patience, UploadEngine
from modem.upload.memory import OutcomeMemory
from modem.upload.request import Destination, Picture
from modem.upload.result import UploadResult
import trustme

from .children import Children, StageError
from .fault_judge import violations
from .fault_schedules import BY_MODEM, Machine, Schedule
from .fault_server import PATH, FaultyServer
from .virtual_modem import VirtualModem, start_modem

SIDE_BY_SIDE = 6
"""Simulators at once: most of a schedule is waiting."""
PATIENCE = Patience(base_s=4, modem_http_s=4, line_factor=0.3, check_s=3, link_pause_s=0.3)
"""The simulated network has no latency."""
SLACK_S = 8.0
"""Beyond its deadline an upload may take this long on a busy machine before it counts as hung ..."""
BOUND_S = 150.0
"""... and this long without a deadline: so many tries, each with a modem that has to be found again."""
_SIMULATOR = ("--set", "boot_s=0.3", "--set", "search_s=0.1")


@dataclass(slots=True)
class Run:
    """What came of one schedule. `violations` must be empty."""

    schedule: Schedule
    results: list[UploadResult] = field(default_factory=list)
    violations: list[str] = field(default_factory=list)
    events: list[str] = field(default_factory=list)
    """What the server saw, in its order."""
    copies: list[int] = field(default_factory=list)
    """How often each picture is stored."""
    seconds: float = 0.0

    def story(self) -> str:
        """Return everything that is known of it, for whoever has to find out what went wrong."""
        lines = [f"seed {self.schedule.seed}: {self.schedule}"]
        lines += [f"  VIOLATION: {text}" for text in self.violations]
        lines += [f"  server: {event}" for event in self.events]
        for result in self.results:
            told = result.as_dict()
            keys = (
                "state",
                "upload_id",
                "http_status",
                "ambiguous",
                "may_be_stored_twice",
                "note",
                "error",
                "attempts",
            )
            lines += [f"  result: {json.dumps({key: told[key] for key in keys})}"]
        return "\n".join(lines)


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What all schedules share: quirks, and who may be trusted."""

    quirks: tuple[Quirk, ...]
    ca_pem: str
    trust: ssl.SSLContext
    server_context: ssl.SSLContext
    traces: Path | None


async def perform(
    seeds: Iterable[Schedule], *, on_run: Callable[[Run], None] = lambda _: None, traces: Path | None = None
) -> list[Run]:
    """Perform schedules, those of each kind of modem in turn on one simulator; return them in the order of their seeds.

    `traces`: a folder for the wire of each schedule.
    """
    by_machine: defaultdict[Machine, list[Schedule]] = defaultdict(list)
    for schedule in seeds:
        by_machine[schedule.machine].append(schedule)
    shares = _shares(by_machine)
    surroundings = await asyncio.to_thread(_surroundings, traces)
    runs: list[Run] = []
    free = asyncio.Semaphore(SIDE_BY_SIDE)

    async def take(machine: Machine, share: list[Schedule]) -> None:
        async with free, _stage(machine, surroundings) as stage:
            for schedule in share:
                run = await stage.perform(schedule)
                runs.append(run)
                on_run(run)

    try:
        async with asyncio.TaskGroup() as group:
            for machine, share in shares:
                group.create_task(take(machine, share))
    except* StageError as errors:
        raise errors.exceptions[0] from None
    return sorted(runs, key=lambda run: run.schedule.seed)


def _shares(by_machine: dict[Machine, list[Schedule]]) -> list[tuple[Machine, list[Schedule]]]:
    """Return the work of each simulator, the longest first: no machine has so much that others wait for it."""
    most = max(1, sum(map(len, by_machine.values())) // (2 * SIDE_BY_SIDE))
    shares = []
    for machine, schedules in by_machine.items():
        count = -(-len(schedules) // most)
        shares += [(machine, schedules[number::count]) for number in range(count)]
    return sorted(shares, key=lambda share: len(share[1]), reverse=True)


def _surroundings(traces: Path | None) -> Surroundings:
    # These modems know no ECDSA.
    authority = trustme.CA(organization_name="Cellular Uplink bench", key_type=trustme.KeyType.RSA)
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.issue_cert("localhost", key_type=trustme.KeyType.RSA).configure_cert(context)
    ca_pem = authority.cert_pem.bytes().decode()
    if traces is not None:
        traces.mkdir(parents=True, exist_ok=True)
    return Surroundings(load_quirks(), ca_pem, build_ssl_context(ca_pem=ca_pem), context, traces)


class Control:
    """A simulator's control channel."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer

    async def ask(self, **request: object) -> dict[str, object]:
        """Have a request carried out; raises StageError when it is refused."""
        self._writer.write(json.dumps(request).encode() + b"\n")
        answer: dict[str, object] = json.loads(await self._reader.readline())
        if not answer["ok"]:
            raise StageError(f"The simulator refuses {request}: {answer['error']}")
        return answer

    def close(self) -> None:
        """Leave the channel."""
        self._writer.close()


@asynccontextmanager
async def _stage(machine: Machine, surroundings: Surroundings) -> AsyncIterator[_Stage]:
    with tempfile.TemporaryDirectory(prefix="cellular-uplink-faults-") as name, Children(Path(name)) as children:
        folder = Path(name)
        arguments: list[str | Path] = [*_SIMULATOR, "--control", folder / "control"]
        for switch in machine.switches:
            arguments += ["--set", switch]
        modem = await asyncio.to_thread(
            start_modem,
            children,
            folder,
            modem=machine.model,
            firmware=machine.firmware,
            baud="unpaced",
            latency_ms=0,
            arguments=arguments,
        )
        control = Control(*await asyncio.open_unix_connection(folder / "control"))
        server = await FaultyServer().start(surroundings.server_context)
        try:
            yield _Stage(modem, control, server, surroundings)
        finally:
            await server.aclose()
            control.close()


class _Stage:
    """One simulator and one server, for one schedule after the other."""

    def __init__(self, modem: VirtualModem, control: Control, server: FaultyServer, surroundings: Surroundings) -> None:
        self._modem = modem
        self._control = control
        self._server = server
        self._surroundings = surroundings

    async def perform(self, schedule: Schedule) -> Run:
        """Perform one schedule on a modem that has just booted, and have it judged."""
        run = Run(schedule)
        started = time.monotonic()
        trace_bytes = self._modem.trace.stat().st_size
        self._server.begin([fault for fault in schedule.faults if not fault.request], honours_ids=schedule.honours_ids)
        session = ModemSession(SessionSettings(port=str(self._modem.port), apn=ApnSettings(apn="internet")))
        engine = UploadEngine(session, quirks=self._surroundings.quirks, memory=OutcomeMemory(), patience=PATIENCE)
        pictures = [Random(f"{schedule.seed} {n}").randbytes(size) for n, size in enumerate(schedule.sizes)]  # noqa: S311
        outcomes: list[UploadResult | None] = []
        try:
            if not schedule.is_cold:
                await session.ensure_online()
            for fault in schedule.faults:
                if fault.request:
                    await self._control.ask(**fault.request)
            if schedule.are_at_once:
                outcomes = list(await asyncio.gather(*(self._upload(engine, run, content) for content in pictures)))
            else:
                outcomes = [await self._upload(engine, run, content) for content in pictures]
        except ModemError as err:
            run.violations.append(f"the modem could not be brought up before the faults: {err.code}: {err}")
        finally:
            await engine.aclose()
            await session.close()
            await self._clear()
        await self._server.finish()
        sent = [(content, outcome) for content, outcome in zip(pictures, outcomes, strict=False) if outcome is not None]
        run.results = [outcome for _, outcome in sent]
        run.violations += violations(self._server.stored, sent, honours_ids=schedule.honours_ids)
        run.copies = [sum(item.body == content for item in self._server.stored) for content, _ in sent]
        run.events = self._server.events
        run.seconds = time.monotonic() - started
        if self._surroundings.traces is not None:
            await asyncio.to_thread(self._keep_trace, run, trace_bytes)
        return run

    async def _upload(self, engine: UploadEngine, run: Run, content: bytes) -> UploadResult | None:
        """Upload one picture; None, and a violation, where no result comes of it."""
        schedule = run.schedule
        is_https = schedule.scheme == "https"
        port = self._server.tls_port if is_https else self._server.plain_port
        url = f"{schedule.scheme}://localhost:{port}{PATH}"
        choices = Choices(
            route={"socket": RouteName.SOCKET, "modem-http": RouteName.MODEM_HTTP}.get(schedule.way),
            tls=TlsPlace.MODEM if schedule.way in BY_MODEM else TlsPlace.HOST,
            modem_ca_pem=self._surroundings.ca_pem,
            retry_ambiguous=schedule.retry_ambiguous,
            check_url=f"{url}/{{upload_id}}" if schedule.offers_check else None,
        )
        limit_s = BOUND_S if schedule.timeout_s is None else schedule.timeout_s + SLACK_S
        timeout = asyncio.timeout(limit_s)
        try:
            async with timeout:
                return await engine.upload(
                    Destination(url=url),
                    Picture(content=content),
                    choices=choices,
                    ssl_context=self._surroundings.trust,
                    timeout_s=schedule.timeout_s,
                )
        except Exception as err:  # noqa: BLE001 - whatever it is, there should have been a result
            what = f"no result within {limit_s:g} s" if timeout.expired() else f"an exception: {err!r}"
            run.violations.append(what)
            return None

    async def _clear(self) -> None:
        """End all faults and restart the modem, so that the next schedule finds nothing of this one."""
        await self._control.ask(clear=True)
        if not (await self._control.ask(state=True))["plugged"]:
            await self._control.ask(replug=True)
        await self._control.ask(registration="home")
        await self._control.ask(sim="ready")
        await self._control.ask(reboot=True)
        for _ in range(200):
            state = await self._control.ask(state=True)
            if state["power"] == "on" and state["registration"] == "home":
                return
            await asyncio.sleep(0.05)
        raise StageError(f"The simulator does not come back: {state}", self._modem.child.log)

    def _keep_trace(self, run: Run, start: int) -> None:
        assert self._surroundings.traces is not None
        with self._modem.trace.open("rb") as trace:
            trace.seek(start)
            wire = trace.read()
        path = self._surroundings.traces / f"{run.schedule.seed}.txt"
        path.write_bytes(run.story().encode() + b"\n\n" + wire)
