"""Files in a Quectel modem (source: bg96.md 3, the manual M-FILE named there).

QFUPL takes a whole file in one exchange and tells its checksum; where that would hold the port too long, the file is
written in pieces (DESIGN rule 2). Names of ours are recognised, so that what an earlier run left is found.
"""

from collections.abc import Callable
from enum import Enum, auto
from functools import reduce
import hashlib
import math
from operator import xor
import re
import secrets

from ..at.codec import parse_fields
from ..at.command import Command, Priority, Prompt
from ..at.encoding import Parameter, Text
from ..errors import CommandError, HttpError, ModemError, ModemProtocolError
from .base import Storage
from .generic import GenericDriver, field_number

MAX_PORT_HELD_S = 2.0
"""A file that takes longer on the line is written in pieces."""
PIECE_S = 0.9
"""Line time of a piece."""
MAX_PIECE_BYTES = 10_240
"""What QFWRITE takes where it is not told (M-FILE); more was never seen."""
MIN_PIECE_BYTES = 256
CAREFUL_PIECE_BYTES = 1_024
"""Piece of a file that came out wrong: as much as acknowledge mode sends between two letters (M-FILE 2.4). Its answer
is a number of bytes, while the letter's form is nowhere on record."""
ASSUMED_BPS = 115_200
SPARE_BYTES = 8_192
"""Room to leave in the storage: files cost more than their bytes (assumed)."""
INPUT_BASE_S = 5
"""What the modem waits for input in any case: its own default."""
FILE_TIMEOUT_S = 10.0
"""Storage is slow to delete and to open; no maximum is given."""

_OWN = re.compile(r"cu[0-9a-f]{6}\.(req|pem)", re.IGNORECASE)
_EXISTS = "407"
_NOT_FOUND, _TIMED_OUT = "405", "421"
_FULL = frozenset({"403", "420"})

FILE_ERRORS = {
    "400": "invalid input", "401": "larger than the file", "402": "nothing to read", "403": "the storage is full",
    "405": "there is no such file", "406": "bad file name", "407": "the file exists already", "409": "writing failed",
    "410": "the file could not be opened", "411": "reading failed", "413": "too many open files",
    "414": "the file is read-only", "416": "bad file handle", "417": "listing failed", "418": "deleting failed",
    "419": "the storage could not be read", "420": "there is no room left", "421": "time-out",
    "423": "the file is too large", "425": "bad parameter", "426": "the file is already open",
}  # fmt: skip
"""+CME ERROR of file commands (bg96.md 3, M-FILE table 1)."""


def file_checksum(data: bytes) -> str:
    """XOR of big-endian 16-bit words, an odd last byte as the high one; hexadecimal without leading zeros."""
    return f"{reduce(xor, data[0::2], 0) << 8 | reduce(xor, data[1::2], 0):x}"


class _Stored(Enum):
    """What became of a file that was written."""

    WHOLE = auto()
    SHORT = auto()
    DAMAGED = auto()


class QuectelFiles(GenericDriver):
    """Mixin: the UFS of a Quectel modem."""

    def own_file_name(self, kind: str = "req") -> str:
        """Return a name that is not in use, in the 8.3 form that the manual advises."""
        return f"cu{secrets.token_hex(3)}.{kind}"

    async def read_storage(self) -> Storage:
        """AT+QFLDS="UFS" -> +QFLDS: <free>,<total>."""
        lines = await self._ask_files("+QFLDS", Text("storage", "UFS"))
        values = parse_fields(lines[-1], "+QFLDS") if lines else []
        return Storage(
            free_bytes=field_number(values, 0, "+QFLDS"),
            total_bytes=field_number(values, 1, "+QFLDS"),
        )

    async def list_files(self) -> dict[str, int]:
        """AT+QFLST="*": names without the storage prefix that EC25 shows, and sizes."""
        files: dict[str, int] = {}
        try:
            lines = await self._ask_files("+QFLST", Text("pattern", "*"))
        except HttpError as err:
            if err.code != _NOT_FOUND:
                raise
            return files  # no source says what an empty storage answers
        for line in lines:
            values = parse_fields(line, "+QFLST")
            if len(values) > 1 and isinstance(values[1], int):
                files[str(values[0]).removeprefix("UFS:")] = values[1]
        return files

    async def delete_file(self, name: str) -> None:
        """Delete a file; one that is not there is fine (405, and 418 on EC25)."""
        await self.try_ask(self.encoder.set("+QFDEL", Text("file", name)))

    async def delete_leftovers(self, *, keep: str = "", certificates: bool = False) -> None:
        """Delete requests that earlier runs left, closing them first; certificates too where room is needed."""
        kinds = (".req", ".pem") if certificates else (".req",)
        mine = [name for name in await self.list_files() if _OWN.fullmatch(name) and name.lower().endswith(kinds)]
        stale = [name for name in mine if name != keep]
        if not stale:
            return
        response = await self.try_ask(self.encoder.read("+QFOPEN"), info=re.compile(rb"\+QFOPEN: "))
        for line in response.lines if response else ():
            values = parse_fields(line, "+QFOPEN")
            if len(values) > 1 and str(values[0]).removeprefix("UFS:") in stale and isinstance(values[1], int):
                await self.try_ask(self.encoder.set("+QFCLOSE", values[1]))
        for name in stale:
            await self.delete_file(name)

    async def make_room(self, count: int, *, keep: str = "") -> None:
        """See that a file of `count` bytes fits, deleting what is ours if it does not.

        Raises:
            HttpError: storage_full, with both numbers.
        """
        await self.delete_leftovers()
        if (await self.read_storage()).free_bytes >= count + SPARE_BYTES:
            return
        await self.delete_leftovers(keep=keep, certificates=True)
        storage = await self.read_storage()
        if storage.free_bytes < count + SPARE_BYTES:
            raise HttpError(
                "storage_full",
                f"The modem's file storage has {storage.free_bytes} of {storage.total_bytes} bytes free; "
                f"{count + SPARE_BYTES} are needed",
            )

    async def write_file(self, name: str, data: bytes, on_written: Callable[[int], None] | None = None) -> None:
        """Write a file; the size is compared, and where the modem tells it the checksum.

        What came out wrong is written once more: where bytes were lost, in pieces so small that nothing need brake.

        Raises:
            HttpError: with the modem's number, or file_damaged.
            LinkError: the port is gone.
        """
        line_s = len(data) * 10 / (self.channel.line_bps or ASSUMED_BPS)
        write = self._upload if line_s <= MAX_PORT_HELD_S else self._write_pieces
        try:
            stored = await write(name, data, on_written or _ignore)
            if stored is not _Stored.WHOLE:
                await self.delete_file(name)
                if stored is _Stored.SHORT:
                    stored = await self._write_pieces(name, data, _ignore, CAREFUL_PIECE_BYTES)
                else:
                    stored = await self._upload(name, data, _ignore)
            if stored is _Stored.WHOLE:
                return
        except CommandError as err:
            await self._drop(name)
            raise file_error(err.code) from err
        except ModemProtocolError:
            await self._drop(name)
            raise
        except BaseException:
            self.drop_file(name)
            raise
        await self._drop(name)
        raise HttpError("file_damaged", "What the modem stored is not what it was sent; the serial line loses bytes")

    async def _drop(self, name: str) -> None:
        try:
            await self.delete_file(name)
        except ModemError:
            return

    def drop_file(self, name: str) -> None:
        """Delete a file without waiting for it: safe in a cancelled task."""
        line = self.encoder.set("+QFDEL", Text("file", name))
        self.channel.enqueue(Command(line=line, timeout_s=FILE_TIMEOUT_S, priority=Priority.BULK))

    async def store_certificate(self, pem: str) -> str:
        """See that the modem has this PEM text; its name holds its hash, so it crosses the line once. Return the name.

        Raises:
            HttpError: as `write_file`.
        """
        data = pem.encode()
        name = f"cu{hashlib.sha256(data).hexdigest()[:6]}.pem"
        if (await self.list_files()).get(name) != len(data):
            await self.delete_file(name)
            await self.make_room(len(data))
            await self.write_file(name, data)
        return name

    async def _upload(self, name: str, data: bytes, tell: Callable[[int], None]) -> _Stored:
        """AT+QFUPL: one exchange, with a checksum."""
        seconds = self._input_time_s(len(data))
        command = Command(
            line=self.encoder.set("+QFUPL", Text("file", name), len(data), seconds),
            info=re.compile(rb"\+QFUPL: "),
            prompt=Prompt.CONNECT,
            payload=data,
            timeout_s=seconds + FILE_TIMEOUT_S,
            priority=Priority.BULK,
        )
        try:
            response = await self.channel.execute(command)
        except CommandError as err:
            if err.code == _TIMED_OUT:
                return _Stored.SHORT
            if err.code != _EXISTS:
                raise
            await self.delete_file(name)
            response = await self.channel.execute(command)
        match = re.search(r":\s*(\d+)\s*,\s*([0-9A-Fa-f]+)", response.lines[-1]) if response.lines else None
        if match is None or int(match[1]) != len(data):
            return _Stored.SHORT
        if int(match[2], 16) != int(file_checksum(data), 16):
            return _Stored.DAMAGED
        tell(len(data))
        return _Stored.WHOLE

    async def _write_pieces(
        self, name: str, data: bytes, tell: Callable[[int], None], max_bytes: int = MAX_PIECE_BYTES
    ) -> _Stored:
        """QFOPEN, QFWRITE and QFCLOSE: many short exchanges, each of which tells a size."""
        lines = await self._ask_files("+QFOPEN", Text("file", name), 1)
        handle = field_number(parse_fields(lines[-1], "+QFOPEN") if lines else [], 0, "+QFOPEN")
        size = min(max_bytes, self.piece_bytes())
        position = 0
        try:
            while position < len(data):
                piece = _cut(data, position, size)
                if not await self._write_piece(handle, piece, position + len(piece)):
                    return _Stored.SHORT
                position += len(piece)
                tell(len(piece))
        finally:
            # Not waited for: a cancelled task cannot, and nobody needs the answer before the next exchange.
            self.channel.enqueue(
                Command(line=self.encoder.set("+QFCLOSE", handle), timeout_s=FILE_TIMEOUT_S, priority=Priority.STATUS)
            )
        return _Stored.WHOLE

    async def _write_piece(self, handle: int, piece: bytes, total: int) -> bool:
        seconds = self._input_time_s(len(piece))
        command = Command(
            line=self.encoder.set("+QFWRITE", handle, len(piece), seconds),
            info=re.compile(rb"\+QFWRITE: "),
            prompt=Prompt.CONNECT,
            payload=piece,
            timeout_s=seconds + FILE_TIMEOUT_S,
            priority=Priority.BULK,
        )
        try:
            response = await self.channel.execute(command)
        except CommandError as err:
            if err.code != _TIMED_OUT:
                raise
            return False
        values = parse_fields(response.lines[-1], "+QFWRITE") if response.lines else []
        return values[:2] == [len(piece), total]

    def piece_bytes(self) -> int:
        """Return how many bytes a piece has: `PIECE_S` on the line."""
        by_time = int((self.channel.line_bps or ASSUMED_BPS) / 10 * PIECE_S)
        return max(MIN_PIECE_BYTES, min(MAX_PIECE_BYTES, by_time))

    def _input_time_s(self, count: int) -> int:
        """Seconds the modem is to wait for input: sources differ on whether all of it or a pause is meant."""
        return INPUT_BASE_S + math.ceil(2 * count * 10 / (self.channel.line_bps or ASSUMED_BPS))

    async def _ask_files(self, name: str, *parameters: Parameter) -> tuple[str, ...]:
        info = re.compile(re.escape(name.encode()) + rb" ?: ")
        try:
            response = await self.ask(self.encoder.set(name, *parameters), info=info, timeout_s=FILE_TIMEOUT_S)
        except CommandError as err:
            raise file_error(err.code) from err
        return response.lines


def _cut(data: bytes, position: int, size: int) -> bytes:
    """Return the next piece: +++ between two silences would leave data mode, so none ends in a +, or is of + alone."""
    end = position + size
    if end >= len(data):
        return data[position:]
    piece = data[position:end].rstrip(b"+")
    if not data[position + len(piece) :].strip(b"+"):
        piece = piece[:-1].rstrip(b"+")
    return piece or data[position:end]


def _ignore(_count: int) -> None:
    """Nobody wants to know."""


def file_error(code: str) -> HttpError:
    """Return what a refused file command means."""
    words = FILE_ERRORS.get(code, "the modem gave no reason")
    return HttpError("storage_full" if code in _FULL else code, f"The modem's file storage: {words}")
