"""The modem's port over TCP, for hosts that open `socket://host:port`."""

from __future__ import annotations

import asyncio
import contextlib
import os
import termios
import tty
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from simulator.line import Line

_READ_BYTES = 4096
_PATIENCE_S = 0.5


class Bridge:
    """A host of its own on the pseudo-terminal that passes everything on to one TCP client at a time.

    A TCP connection has no line speed, so this host always has the modem's; the pace stays.
    A second client is turned away: a serial port has one host.
    """

    def __init__(self, line: Line) -> None:
        self._line = line
        self._server: asyncio.Server | None = None
        self._turn = asyncio.Lock()
        self._writer: asyncio.StreamWriter | None = None
        self._fd = -1
        self.port = 0
        line.unplugged.append(self._hang_up)
        line.rate_changed.append(self._follow)

    async def start(self, port: int) -> None:
        """Listen on 127.0.0.1; port 0 takes a free one."""
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", port)
        self.port = int(self._server.sockets[0].getsockname()[1])

    async def stop(self) -> None:
        """End the connection and listen no more."""
        if self._server:
            self._server.close()
            self._hang_up()
            await self._server.wait_closed()

    def _hang_up(self) -> None:
        if self._writer:
            self._writer.close()

    def _follow(self) -> None:
        if self._fd >= 0 and self._line.baud:
            constant = getattr(termios, f"B{self._line.baud}", None)
            if constant is not None:
                attributes = termios.tcgetattr(self._fd)
                attributes[4] = attributes[5] = constant
                termios.tcsetattr(self._fd, termios.TCSANOW, attributes)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            # The client before may have left just now.
            async with asyncio.timeout(_PATIENCE_S):
                await self._turn.acquire()
        except TimeoutError:
            writer.close()
            return
        try:
            if self._line.is_plugged:
                self._writer = writer
                await self._pass_on(reader, writer)
        finally:
            self._writer = None
            self._turn.release()
            writer.close()

    async def _pass_on(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        fd = os.open(self._line.port, os.O_RDWR | os.O_NOCTTY | os.O_NONBLOCK)
        self._fd = fd
        tty.setraw(fd)
        self._follow()
        tasks = [asyncio.create_task(self._to_client(fd, writer)), asyncio.create_task(self._to_modem(fd, reader))]
        try:
            await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            self._fd = -1
            os.close(fd)

    async def _to_client(self, fd: int, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError):
            while True:
                await self._ready(fd, writing=False)
                with contextlib.suppress(BlockingIOError):
                    data = os.read(fd, _READ_BYTES)
                    if not data:
                        return
                    writer.write(data)
                    await writer.drain()

    async def _to_modem(self, fd: int, reader: asyncio.StreamReader) -> None:
        with contextlib.suppress(OSError):
            while data := await reader.read(_READ_BYTES):
                while data:
                    await self._ready(fd, writing=True)
                    with contextlib.suppress(BlockingIOError):
                        data = data[os.write(fd, data) :]

    async def _ready(self, fd: int, *, writing: bool) -> None:
        loop = asyncio.get_running_loop()
        ready: asyncio.Future[None] = loop.create_future()

        def settle() -> None:
            if not ready.done():
                ready.set_result(None)

        (loop.add_writer if writing else loop.add_reader)(fd, settle)
        try:
            await ready
        finally:
            (loop.remove_writer if writing else loop.remove_reader)(fd)
