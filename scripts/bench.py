"""Measures on the simulator how much of a serial line an upload uses, and performs 500 schedules of faults.

Started by scripts/bench. Every figure but the answers' times is counted from the simulator's own trace of the wire. The
schedules are judged by what a server has stored against what the uploads report.
"""

import argparse
import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import asdict, dataclass
import json
import os
from pathlib import Path
import statistics
import sys
import tempfile
import time

from modem.drivers.base import ApnSettings, SupportsSockets
from modem.drivers.generic import GenericDriver
from modem.errors import ModemError
from modem.serial_port import SerialPort
from modem.session import ModemSession, SessionSettings
from modem.upload.engine import UploadEngine
from modem.upload.request import Destination, Picture
from modem.upload.result import Progress
from stage.children import Children, StageError, StoppedError, stop_on_signals
from stage.fault_report import counts, table
from stage.fault_runner import Run, perform
from stage.fault_schedules import make_schedule
from stage.receiver import Receiver, start_receiver
from stage.virtual_modem import MODEMS, VirtualModem, start_modem
from stage.wire_trace import Upload, last_moment_s, read_upload

BAUD = 115_200
LATENCY_MS = 20
PICTURE_BYTES = 80_000
POLL_EVERY_S = 0.2
ANSWER_SLACK_S = 0.1
TARGETS = {"bg96": (0.70, 0.62), "ml307r": (0.90, 0.80)}
"""Least share of the line's limit: an upload alone, and with AT+CSQ asked every 200 ms."""
PACE_TOLERANCE = {115_200: 0.02, 921_600: 0.05}
PACE_BYTES = 80_000
SEVERAL = 3
UNPLUGGED_MS = 2000.0
IDLE_LIMIT = 0.05
IDLE_S = 3.0
SCHEDULES = 500
SAY_EVERY = 50


@dataclass(frozen=True, slots=True)
class Figure:
    """One measured value and what it has to be."""

    subject: str
    what: str
    value: float
    limit: float
    unit: str
    at_least: bool

    @property
    def ok(self) -> bool:
        """Return True when the value is on the right side of its limit."""
        return self.value >= self.limit if self.at_least else self.value <= self.limit

    def row(self) -> str:
        """Return the line of the table."""
        scale, digits = (100.0, 1) if self.unit == "%" else (1.0, 0)
        value = f"{self.value * scale:.{digits}f} {self.unit}"
        limit = f"{'>=' if self.at_least else '<='} {self.limit * scale:.0f} {self.unit}"
        return f"{self.subject:<10} {self.what:<58} {value:>10}  {limit:>10}  {'ok' if self.ok else 'MISSED'}"


def main() -> int:
    """Do everything, or what is asked for, and print it; return 1 when a target is missed or a schedule violated."""
    args = _arguments()
    stop_on_signals()
    try:
        figures = [] if args.only == "schedules" else asyncio.run(_measure(args.modem or list(MODEMS)))
        runs = [] if args.only == "line" else asyncio.run(_schedules(args.seed, args.schedules, args.traces))
    except (StageError, ModemError, ValueError) as err:
        print(f"bench: failed: {err}\n{getattr(err, 'tail', '')}".rstrip(), file=sys.stderr)
        return 1
    except StoppedError as err:
        print(f"bench: stopped ({err})", file=sys.stderr)
        return err.exit_status
    ok = all(figure.ok for figure in figures) and not any(run.violations for run in runs)
    if args.json:
        rows = [asdict(figure) | {"ok": figure.ok} for figure in figures]
        told = {"ok": ok, "baud": BAUD, "latency_ms": LATENCY_MS, "figures": rows}
        print(json.dumps(told | ({"schedules": counts(runs)} if runs else {})))
        return 0 if ok else 1
    if figures:
        print(
            f"{PICTURE_BYTES} bytes at {BAUD} baud with {LATENCY_MS} ms of latency; "
            f"100 % of the line is {BAUD // 10} bytes per second\n"
        )
        print("\n".join(figure.row() for figure in figures), end="\n\n" if runs else "\n")
    if len(runs) == 1:
        print(runs[0].story(), end="\n\n")
    if runs:
        print(table(runs))
    return 0 if ok else 1


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="scripts/bench", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--json", action="store_true", help="print one JSON object instead of the tables")
    parser.add_argument("--only", choices=("line", "schedules"), help="only the line's figures, or only the schedules")
    parser.add_argument("--modem", choices=MODEMS, action="append", help="only this modem's uploads (may be repeated)")
    parser.add_argument("--schedules", type=int, default=SCHEDULES, metavar="N", help=f"how many ({SCHEDULES})")
    parser.add_argument("--seed", type=int, default=0, metavar="N", help="seed of the first schedule (0)")
    parser.add_argument("--traces", type=Path, metavar="DIR", help="keep what crossed the wire in each schedule there")
    args = parser.parse_args()
    if args.schedules < 1 or args.seed < 0:
        parser.error("--schedules must be 1 or more, --seed 0 or more")
    return args


async def _schedules(first: int, count: int, traces: Path | None) -> list[Run]:
    """Perform schedules side by side, saying now and then how far they are."""
    _say(f"{count} fault schedules")
    done = 0

    def note(run: Run) -> None:
        nonlocal done
        done += 1
        if run.violations:
            _say(f"seed {run.schedule.seed}: {'; '.join(run.violations)}")
        if done % SAY_EVERY == 0:
            _say(f"{done} of {count} schedules done")

    return await perform([make_schedule(seed) for seed in range(first, first + count)], on_run=note, traces=traces)


async def _measure(modems: list[str]) -> list[Figure]:
    figures: list[Figure] = []
    for modem in modems:
        figures += await _uploads(modem)
    _say("the simulator itself: idle, and its pace")
    figures.append(await _idle())
    for baud, tolerance in PACE_TOLERANCE.items():
        off = await _pace(baud)
        figures.append(Figure("simulator", f"off {baud} baud, 80 kB both ways", off, tolerance, "%", at_least=False))
    _say(f"{SEVERAL} simulators at once")
    baud, tolerance = next(iter(PACE_TOLERANCE.items()))
    off = max(await asyncio.gather(*(_pace(baud) for _ in range(SEVERAL))))
    figures.append(Figure("simulator", f"off {baud} baud, {SEVERAL} at once", off, tolerance, "%", at_least=False))
    return figures


@asynccontextmanager
async def _stage(
    modem: str, *, baud: int = BAUD, latency_ms: float = LATENCY_MS
) -> AsyncIterator[tuple[VirtualModem, ModemSession, Children, Path]]:
    """A simulator and an open, registered session to it."""
    with tempfile.TemporaryDirectory(prefix="cellular-uplink-bench-") as name, Children(Path(name)) as children:
        folder = Path(name)
        virtual = await asyncio.to_thread(
            start_modem, children, folder, modem=modem, baud=str(baud), latency_ms=latency_ms
        )
        session = ModemSession(SessionSettings(port=str(virtual.port), baud=baud, apn=ApnSettings(apn="internet")))
        try:
            await session.ensure_online()
            yield virtual, session, children, folder
        finally:
            await session.close()


async def _uploads(modem: str) -> list[Figure]:
    alone, polled = TARGETS[modem]
    async with _stage(modem) as (virtual, session, children, folder):
        receiver = await asyncio.to_thread(start_receiver, children, folder, tls=False)
        engine = UploadEngine(session)
        _say(f"{modem}: an upload alone")
        share, _ = await _upload(engine, receiver, virtual.trace)
        figures = [Figure(modem, "share of the line, upload alone", share, alone, "%", at_least=True)]
        _say(f"{modem}: an upload with AT+CSQ asked every {POLL_EVERY_S * 1000:.0f} ms")
        driver = session.driver
        if not isinstance(driver, GenericDriver):
            raise StageError(f"{modem}: its driver cannot be asked for AT+CSQ")
        waits: list[tuple[float, float]] = []
        chunk_times: list[float] = []
        polling = asyncio.create_task(_poll(driver, waits))
        try:
            share, seen = await _upload(engine, receiver, virtual.trace, chunk_times)
        finally:
            polling.cancel()
            await asyncio.gather(polling, return_exceptions=True)
        _say(f"{modem}: unplugging in the middle of an upload")
        unplugged_s = await _unplug(engine, receiver, virtual)
        await engine.aclose()
        allowed_ms = 1000 * (seen.chunk_bytes * 10 / BAUD + ANSWER_SLACK_S)
        slowest_ms = 1000 * max(took for asked, took in waits if chunk_times[0] <= asked <= chunk_times[-1])
        least = int(0.8 * seen.seconds / POLL_EVERY_S)
        figures += [
            Figure(modem, "share of the line, AT+CSQ every 200 ms", share, polled, "%", at_least=True),
            Figure(modem, "slowest answer to AT+CSQ", slowest_ms, round(allowed_ms), "ms", at_least=False),
            Figure(modem, "AT+CSQ answered between two sends", seen.polls_between_sends, least, "", at_least=True),
            Figure(modem, "from unplugging to the error", 1000 * unplugged_s, UNPLUGGED_MS, "ms", at_least=False),
        ]
        return figures


async def _upload(
    engine: UploadEngine, receiver: Receiver, trace: Path, chunk_times: list[float] | None = None
) -> tuple[float, Upload]:
    """Return the share of the line and what the trace shows; note in `chunk_times` when chunks were out."""
    times: list[float] = [] if chunk_times is None else chunk_times
    begin = last_moment_s(trace)
    picture = Picture(content=os.urandom(PICTURE_BYTES))
    result = await engine.upload(
        Destination(url=receiver.url), picture, on_progress=lambda _: times.append(time.monotonic())
    )
    if result.error:
        raise result.error
    if receiver.received()[-1].body != picture.content:
        raise StageError("what arrived is not what was sent")
    seen = read_upload(trace, after_s=begin)
    head_bytes = result.request_bytes - result.body_bytes
    return (seen.sent_bytes - head_bytes) / seen.seconds / (BAUD / 10), seen


async def _unplug(engine: UploadEngine, receiver: Receiver, virtual: VirtualModem) -> float:
    """Return seconds from the end of the port, in the middle of an upload, to the upload's error."""
    when: list[float] = []

    def pull(progress: Progress) -> None:
        if not when and progress.sent_bytes > PICTURE_BYTES // 4:
            when.append(time.monotonic())
            virtual.child.process.kill()

    picture = Picture(content=os.urandom(PICTURE_BYTES))
    result = await engine.upload(Destination(url=receiver.url), picture, on_progress=pull)
    if result.error is None or result.error.code != "port_lost":
        raise StageError(f"unplugging ended in {result.error or 'success'}")
    return time.monotonic() - when[0]


async def _poll(driver: GenericDriver, waits: list[tuple[float, float]]) -> None:
    """Ask every 200 ms, whether or not the one before is answered; note when and how long each answer took."""

    async def ask() -> None:
        started = time.monotonic()
        await driver.read_rssi_dbm()
        waits.append((started, time.monotonic() - started))

    async with asyncio.TaskGroup() as group:
        while True:
            group.create_task(ask())
            await asyncio.sleep(POLL_EVERY_S)


async def _idle() -> Figure:
    async with _stage("ml307r") as (virtual, _, _, _):
        before = _cpu_s(virtual.child.process.pid)
        await asyncio.sleep(IDLE_S)
        share = (_cpu_s(virtual.child.process.pid) - before) / IDLE_S
    return Figure("simulator", "share of a core when idle", share, IDLE_LIMIT, "%", at_least=False)


async def _pace(baud: int) -> float:
    """Return how far the simulator is off `baud`, the worse of both directions, over 80 kB each."""
    return max(abs(await _pace_in(baud) - 1), abs(await _pace_out(baud) - 1))


async def _pace_in(baud: int) -> float:
    """Host to modem, as a share of `baud`: long sends less short ones, so that latency drops out."""
    sink = await asyncio.start_server(_swallow, "127.0.0.1", 0)
    port: int = sink.sockets[0].getsockname()[1]
    async with sink, _stage("ml307r", baud=baud, latency_ms=1) as (_, session, _, _):
        driver = session.driver
        if not isinstance(driver, SupportsSockets):
            raise StageError("the simulated modem offers no sockets")
        limit = driver.socket_limits.chunk_bytes
        connection = await driver.open_socket("127.0.0.1", port)
        times: dict[int, list[float]] = {limit: [], limit // 8: []}
        for _ in range(PACE_BYTES // limit):
            for size, seen in times.items():
                started = time.monotonic()
                await connection.send(bytes(size))
                seen.append(time.monotonic() - started)
        connection.close()
    long, short = (statistics.median(seen) for seen in times.values())
    return (limit - limit // 8) * 10 / baud / (long - short)


async def _pace_out(baud: int) -> float:
    """Modem to host, as a share of `baud`: every byte of the wire counts, whatever it means."""

    async def pour(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(bytes(PACE_BYTES))
        await writer.drain()
        writer.close()

    source = await asyncio.start_server(pour, "127.0.0.1", 0)
    port: int = source.sockets[0].getsockname()[1]
    with tempfile.TemporaryDirectory(prefix="cellular-uplink-bench-") as name, Children(Path(name)) as children:
        virtual = await asyncio.to_thread(start_modem, children, Path(name), modem="ml307r", baud=str(baud))
        line = await SerialPort.open(str(virtual.port), baud=baud)
        try:
            async with source:
                await line.write(f'AT+MIPOPEN=0,"TCP","127.0.0.1",{port}\r'.encode())
                wire = b""
                while b"+MIPURC" not in wire:
                    wire += await line.read()
                begin, count = time.monotonic(), 0
                while b'"disconn"' not in wire:
                    data = await line.read()
                    count += len(data)
                    wire = (wire + data)[-200:]
                seconds = time.monotonic() - begin
        finally:
            await line.aclose()
    return count * 10 / baud / seconds


async def _swallow(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while await reader.read(65_536):
        pass
    writer.close()


def _cpu_s(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def _say(what: str) -> None:
    print(f"bench: {what}", file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
