"""A server that keeps every picture with its id, and fails when a schedule says so. It parses with h11."""

import asyncio
from collections.abc import Sequence
import contextlib
import socket
import ssl
import struct
from typing import Self

import h11

from .fault_judge import Stored
from .fault_schedules import Fault

PATH = "/pictures"
ENDS_WITHIN_S = 3.0
"""How long connections may take to end once nobody uses them any more."""
HOLD_S = 600.0


class FaultyServer:
    """Listens in plain and with TLS. One schedule at a time: `begin`, then `finish`.

    Where ids are honoured, a picture is stored once for each Idempotency-Key and its repeat answered 200; else each is
    stored. A POST is answered 201; GET and HEAD of PATH/{id}: 200 where a picture with this id is stored, else 404.
    """

    def __init__(self) -> None:
        self.plain_port = 0
        self.tls_port = 0
        self.stored: list[Stored] = []
        self.events: list[str] = []
        self._faults: dict[int, Fault] = {}
        self._leaves_checks = False
        self._honours_ids = False
        self._posts = 0
        self._servers: list[asyncio.Server] = []
        self._connections: dict[asyncio.Task[None], asyncio.StreamWriter] = {}
        self._late: set[asyncio.Task[None]] = set()

    async def start(self, context: ssl.SSLContext) -> Self:
        """Listen on free ports of 127.0.0.1."""
        for tls in (None, context):
            self._servers.append(await asyncio.start_server(self._serve, "127.0.0.1", 0, ssl=tls))
        self.plain_port, self.tls_port = (server.sockets[0].getsockname()[1] for server in self._servers)
        return self

    async def aclose(self) -> None:
        """Listen no more."""
        await self._end_connections(0)
        for server in self._servers:
            server.close()
            await server.wait_closed()

    def begin(self, faults: Sequence[Fault], *, honours_ids: bool) -> None:
        """Forget everything and be ready for another schedule."""
        self.stored, self.events, self._posts = [], [], 0
        self._honours_ids = honours_ids
        self._faults = {fault.post: fault for fault in faults if fault.kind != "check unanswered"}
        self._leaves_checks = any(fault.kind == "check unanswered" for fault in faults)

    async def finish(self) -> None:
        """Wait until everything that is under way has arrived or ended; `stored` and `events` are complete then."""
        await self._end_connections(ENDS_WITHIN_S)
        if self._late:
            await asyncio.gather(*self._late)

    async def _end_connections(self, within_s: float) -> None:
        if self._connections:
            await asyncio.wait(self._connections, timeout=within_s)
        for task, writer in list(self._connections.items()):
            task.cancel()
            writer.transport.abort()
        while self._connections:
            await asyncio.wait(self._connections)

    # -- connections --------------------------------------------------------------------------------------------------

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._connections[task] = writer
        try:
            await _Connection(self, reader, writer).run()
        except (OSError, h11.RemoteProtocolError) as err:
            self._note(f"connection ended: {type(err).__name__}")
        except asyncio.CancelledError:
            self._note("connection given up")  # it ends like any other: asyncio's callback would complain
        finally:
            del self._connections[task]
            writer.close()

    def _note(self, text: str) -> None:
        self.events.append(text)

    def next_fault(self) -> Fault | None:
        """Count a POST; return what shall become of it."""
        number, self._posts = self._posts, self._posts + 1
        fault = self._faults.get(number)
        self._note(f"post {number} begins" + (f", {fault.kind}" if fault else ""))
        return fault

    def store(self, upload_id: str, body: bytes) -> int:
        """Keep a picture, unless its id was there before and ids are honoured; return the status."""
        if self._honours_ids and self._has(upload_id):
            self._note(f"{upload_id} again")
            return 200
        self._note(f"{upload_id} stored, {len(body)} bytes")
        self.stored.append(Stored(upload_id, body))
        return 201

    def store_later(self, upload_id: str, body: bytes, seconds: float) -> asyncio.Task[None]:
        """Keep a picture after a while, whether or not somebody still waits."""

        async def keep() -> None:
            await asyncio.sleep(seconds)
            self.store(upload_id, body)

        task = asyncio.get_running_loop().create_task(keep())
        self._late.add(task)
        task.add_done_callback(self._late.discard)
        return task

    def check(self, upload_id: str) -> int | None:
        """Return the status that tells whether a picture is there; None for silence."""
        status = 200 if self._has(upload_id) else 404
        self._note(f"asked for {upload_id}: {'no answer' if self._leaves_checks else status}")
        return None if self._leaves_checks else status

    def _has(self, upload_id: str) -> bool:
        return any(item.upload_id == upload_id for item in self.stored)


class _Connection:
    """One connection, with as many requests as the client cares to send."""

    def __init__(self, server: FaultyServer, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._server = server
        self._reader = reader
        self._writer = writer
        self._http = h11.Connection(h11.SERVER)

    async def run(self) -> None:
        while True:
            request = await self._next()
            if not isinstance(request, h11.Request):
                return
            target = request.target.decode("ascii")
            if request.method == b"POST":
                goes_on = await self._post(request)
            else:
                await self._body(None)
                status = self._server.check(target.rpartition("/")[2])
                if status is None:
                    return
                goes_on = await self._answer(status, is_head=request.method == b"HEAD")
            if not goes_on or self._http.our_state is not h11.DONE or self._http.their_state is not h11.DONE:
                return
            self._http.start_next_cycle()

    async def _post(self, request: h11.Request) -> bool:
        headers = {name.decode("ascii"): value.decode("latin-1") for name, value in request.headers}
        upload_id = headers.get("idempotency-key", "")
        fault = self._server.next_fault()
        kind = fault.kind if fault else ""
        share = None
        if fault and kind in {"reset in mid-body", "closed in mid-body"}:
            share = int(fault.share * int(headers.get("content-length", 0)))
        if kind == "hung up at once":
            return False
        body = await self._body(share)
        if share is not None:
            if kind == "reset in mid-body":
                self._reset()
            return False
        if fault and kind == "stored late":
            await asyncio.shield(self._server.store_later(upload_id, body, fault.seconds))
            return await self._answer(201)
        if kind == "busy":
            return await self._answer(503, ("Retry-After", "1" if fault and fault.share < 0.5 else "0"))
        status = self._server.store(upload_id, body)
        if kind == "answer lost":
            return False
        if kind == "answer reset":
            self._reset()
            return False
        if fault and kind == "answer cut":
            whole = b"HTTP/1.1 %d x\r\nContent-Length: 6\r\nContent-Type: text/plain\r\n\r\nthanks" % status
            self._writer.write(whole[: int(fault.share * len(whole))])
            await self._writer.drain()
            return False
        if kind == "no answer":
            await self._hold(HOLD_S)
            return False
        if fault and kind == "late answer":
            await self._hold(fault.seconds)
        return await self._answer(status)

    async def _hold(self, seconds: float) -> None:
        """Say nothing for a while, or until the client has gone."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                while data := await self._reader.read(65_536):
                    self._http.receive_data(data)

    async def _body(self, limit: int | None) -> bytes:
        """Return the body, or what has come when `limit` bytes of it are there."""
        body = bytearray()
        while limit is None or len(body) <= limit:
            event = await self._next()
            if isinstance(event, h11.Data):
                body += event.data
            elif isinstance(event, h11.EndOfMessage):
                break
            else:
                raise ConnectionResetError
        return bytes(body)

    async def _next(self) -> object:
        while (event := self._http.next_event()) is h11.NEED_DATA:
            self._http.receive_data(await self._reader.read(65_536))
        return event

    async def _answer(self, status: int, *headers: tuple[str, str], is_head: bool = False) -> bool:
        body = b"thanks"
        head = h11.Response(status_code=status, headers=[("Content-Length", str(len(body))), *headers])
        for event in (head, h11.Data(data=b"" if is_head else body), h11.EndOfMessage()):
            self._writer.write(self._http.send(event) or b"")
        await self._writer.drain()
        return True

    def _reset(self) -> None:
        """End the connection with RST."""
        sock = self._writer.get_extra_info("socket")
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self._writer.transport.abort()
