"""Files in the module's flash: bg96.md 3 (M-FILE)."""

from __future__ import annotations

from collections.abc import Iterator
import contextlib
from dataclasses import dataclass
import fnmatch
from typing import override

from simulator.data_mode import Ended, connect, give, take
from simulator.errors import CmeError, CommandFailedError
from simulator.modem import Modem
from simulator.parser import Form
from simulator.registry import Area, Call, at

NAME_LIMIT = 80
_ACK_BYTES = 1024
_DEFAULT_BYTES = 10240
_OPEN_LIMIT = 10
_TOTAL_BYTES = 14483456  # M-FILE's own sample
_MAX_SIZE = 99_999_999


def checksum(data: bytes) -> str:
    """XOR of big-endian 16-bit words, lower case, no leading zeros (recomputed from hardware, bg96.md 3)."""
    high = low = 0
    for byte in data[0::2]:
        high ^= byte
    for byte in data[1::2]:
        low ^= byte
    return f"{high << 8 | low:x}"


@contextlib.contextmanager
def coded(code: int) -> Iterator[None]:
    """Refuse a parameter with this code instead of plain ERROR."""
    try:
        yield
    except CmeError:
        raise
    except CommandFailedError:
        raise CmeError(code) from None


@dataclass(slots=True)
class Handle:
    """A file that QFOPEN has opened."""

    name: str
    mode: int
    position: int = 0


class Files(Area):
    """The UFS: files that outlive a reboot."""

    def __init__(self, modem: Modem) -> None:
        super().__init__(modem)
        self.store: dict[str, bytes] = {}
        self._handles: dict[int, Handle] = {}

    @override
    def reset(self) -> None:
        self._handles.clear()

    # The store

    def name(self, text: str) -> str:
        """A file's name without `UFS:`; the BG96 has no other storage."""
        storage, colon, rest = text.partition(":")
        if colon:
            if storage.upper() != "UFS":
                raise CmeError(406)
            text = rest
        if not text or len(text) > NAME_LIMIT or any(char in '/\\:*?"<>|' for char in text):
            raise CmeError(406)
        return text

    def get(self, text: str) -> bytes:
        """The content of a file, or 405."""
        name = self.name(text)
        if name not in self.store:
            raise CmeError(405)
        return self.store[name]

    @property
    def used(self) -> int:
        """Bytes in files."""
        return sum(map(len, self.store.values()))

    @property
    def free(self) -> int:
        """Bytes left."""
        return max(0, self.modem.switches.number("ufs_free_bytes") - self.used)

    @at("+QFLDS", test='+QFLDS: "UFS"')
    async def qflds(self, call: Call) -> None:
        """`+QFLDS: <free>,<total>`, or without a storage `+QFLDS: <bytes in files>,<number of files>`."""
        call.expect(Form.EXEC, Form.WRITE)
        if call.form is Form.EXEC:
            call.info(f"+QFLDS: {self.used},{len(self.store)}")
            return
        if call.key() not in {"ufs", "ufs:"}:
            raise CmeError(425)
        call.info(f"+QFLDS: {self.free},{max(_TOTAL_BYTES, self.modem.switches.number('ufs_free_bytes'))}")

    @at("+QFLST", test="+QFLST: <pattern>")
    async def qflst(self, call: Call) -> None:
        """Names and sizes; bare names on a BG96, with `UFS:` on its relatives."""
        call.expect(Form.EXEC, Form.WRITE)
        pattern = call.text(0) if call.form is Form.WRITE else "*"
        if pattern.upper().startswith("UFS:"):
            pattern = pattern[4:] or "*"
        found = [name for name in self.store if fnmatch.fnmatchcase(name, pattern)]
        if not found and "*" not in pattern:
            raise CmeError(405)
        prefix = "UFS:" if self.modem.switches.flag("qflst_prefix") else ""
        call.info(*(f'+QFLST: "{prefix}{name}",{len(self.store[name])}' for name in found))

    @at("+QFDEL", test="+QFDEL: <filename>")
    async def qfdel(self, call: Call) -> None:
        """Delete one file, or all with `*`."""
        call.expect(Form.WRITE)
        call.at_most(1)
        text = call.text(0)
        if text.upper() in {"*", "UFS:*"}:
            self.store.clear()
            self._handles.clear()
            return
        name = self.name(text)
        if name not in self.store:
            raise CmeError(int(self.modem.switches.text("qfdel_missing")))
        if any(handle.name == name for handle in self._handles.values()):
            raise CmeError(418)
        del self.store[name]

    # Whole files

    @at("+QFUPL", test="+QFUPL: <filename>[,(1-<freesize>)[,(1-65535)[,(0,1)]]]")
    async def qfupl(self, call: Call) -> None:
        """CONNECT, bytes, then `+QFUPL: <size>,<checksum>`; in ACK mode an `A` after each 1024 bytes."""
        call.expect(Form.WRITE)
        with coded(425):
            call.at_most(4)
            name = self.name(call.text(0))
            size = call.number(1, 1, _MAX_SIZE, _DEFAULT_BYTES)
            timeout_s = call.number(2, 1, 65535, 5)
            ack = call.number(3, 0, 1, 0)
        if name in self.store:
            raise CmeError(407)
        if size > self.free:
            # Without a size the default only limits what is taken.
            if call.has(1):
                raise CmeError(420)
            size = self.free
        data, ended = await self._take(call, size, timeout_s, ack=bool(ack))
        self.store[name] = data
        self._result(call, ended, f"+QFUPL: {len(data)},{checksum(data)}")

    async def _take(self, call: Call, size: int, timeout_s: float, *, ack: bool) -> tuple[bytes, Ended]:
        count = 0

        def acknowledge(data: bytes, arrived: float) -> None:
            nonlocal count
            for _ in range(count // _ACK_BYTES, (count + len(data)) // _ACK_BYTES):
                call.session.link.write(b"A", arrived)
            count += len(data)

        await connect(call)
        total = self.modem.switches.text("qfupl_timeout") == "total"
        return await take(call, size, timeout_s, total=total, on_data=acknowledge if ack else None)

    def _result(self, call: Call, ended: Ended, line: str) -> None:
        """What came is kept in any case; `+++` ends without the line."""
        if ended is Ended.TIMEOUT and self.modem.switches.text("file_timeout") == "cme421":
            raise CmeError(421)
        if ended is not Ended.ESCAPED:
            call.info(line)

    @at("+QFDWL", test="+QFDWL: <filename>")
    async def qfdwl(self, call: Call) -> None:
        """CONNECT, the bytes, then `+QFDWL: <size>,<checksum>`."""
        call.expect(Form.WRITE)
        with coded(425):
            call.at_most(1)
            data = self.get(call.text(0))
        await connect(call)
        if await give(call, data):
            call.info(f"+QFDWL: {len(data)},{checksum(data)}")

    # Open files

    def _handle(self, call: Call) -> Handle:
        with coded(416):
            handle = self._handles.get(call.number(0, 0, 99999))
        if handle is None:
            raise CmeError(416)
        return handle

    @at("+QFOPEN", test="+QFOPEN: <filename>[,(0-2)]")
    async def qfopen(self, call: Call) -> None:
        """0 read and write, made if need be; 1 the same, emptied; 2 read only."""
        call.expect(Form.READ, Form.WRITE)
        if call.form is Form.READ:
            call.info(*(f'+QFOPEN: "{h.name}",{number},{h.mode}' for number, h in sorted(self._handles.items())))
            return
        with coded(425):
            call.at_most(2)
            name, mode = self.name(call.text(0)), call.number(1, 0, 2, 0)
        if any(handle.name == name for handle in self._handles.values()):
            raise CmeError(426)
        if len(self._handles) >= _OPEN_LIMIT:
            raise CmeError(413)
        if mode == 2 and name not in self.store:
            raise CmeError(405)
        if mode == 1 or name not in self.store:
            self.store[name] = b""
        number = next(number for number in range(1, _OPEN_LIMIT + 2) if number not in self._handles)
        self._handles[number] = Handle(name, mode)
        call.info(f"+QFOPEN: {number}")

    @at("+QFWRITE", test="+QFWRITE: <filehandle>[,<length>[,<timeout>]]")
    async def qfwrite(self, call: Call) -> None:
        """CONNECT, bytes at the position, then `+QFWRITE: <written>,<size of the file>`."""
        call.expect(Form.WRITE)
        handle = self._handle(call)
        with coded(425):
            call.at_most(3)
            size, timeout_s = call.number(1, 1, _MAX_SIZE, _DEFAULT_BYTES), call.number(2, 1, 65535, 5)
        if handle.mode == 2:
            raise CmeError(414)
        if size > self.free:
            raise CmeError(420)
        data, ended = await self._take(call, size, timeout_s, ack=False)
        old = self.store.get(handle.name, b"").ljust(handle.position, b"\0")
        new = old[: handle.position] + data + old[handle.position + len(data) :]
        self.store[handle.name] = new
        handle.position += len(data)
        self._result(call, ended, f"+QFWRITE: {len(data)},{len(new)}")

    @at("+QFREAD", test="+QFREAD: <filehandle>[,<length>]")
    async def qfread(self, call: Call) -> None:
        """`CONNECT <n>`, the bytes, OK."""
        call.expect(Form.WRITE)
        handle = self._handle(call)
        with coded(425):
            call.at_most(2)
            size = call.number(1, 1, _MAX_SIZE, _MAX_SIZE)
        data = self.store.get(handle.name, b"")[handle.position :][:size]
        if not data:
            raise CmeError(402)
        await connect(call, f"CONNECT {len(data)}")
        if await give(call, data):
            handle.position += len(data)

    @at("+QFSEEK", test="+QFSEEK: <filehandle>,<offset>[,(0-2)]")
    async def qfseek(self, call: Call) -> None:
        """From the beginning, the position or the end; past the end is plain ERROR."""
        call.expect(Form.WRITE)
        handle = self._handle(call)
        with coded(425):
            call.at_most(3)
            offset, whence = call.number(1, 0, _MAX_SIZE), call.number(2, 0, 2, 0)
        size = len(self.store.get(handle.name, b""))
        position = offset + (0, handle.position, size)[whence]
        if position > size:
            raise CommandFailedError
        handle.position = position

    @at("+QFPOSITION", test="+QFPOSITION: <filehandle>")
    async def qfposition(self, call: Call) -> None:
        """`+QFPOSITION: <offset>`."""
        call.expect(Form.WRITE)
        call.info(f"+QFPOSITION: {self._handle(call).position}")

    @at("+QFTUCAT", test="+QFTUCAT: <filehandle>")
    async def qftucat(self, call: Call) -> None:
        """Cut the file off at the position."""
        call.expect(Form.WRITE)
        handle = self._handle(call)
        if handle.mode == 2:
            raise CmeError(414)
        self.store[handle.name] = self.store.get(handle.name, b"")[: handle.position]

    @at("+QFCLOSE", test="+QFCLOSE: <filehandle>")
    async def qfclose(self, call: Call) -> None:
        """Free the handle."""
        call.expect(Form.WRITE)
        self._handle(call)
        del self._handles[call.number(0, 0, 99999)]
