"""The record of what crossed the wire."""

from pathlib import Path
from typing import TextIO, override

from simulator.clock import now

_NAMES = {0x0D: "\\r", 0x0A: "\\n", 0x09: "\\t", 0x5C: "\\\\"}


def render(data: bytes) -> str:
    """Bytes as one printable line."""
    return "".join(_NAMES.get(byte) or (chr(byte) if 0x20 <= byte < 0x7F else f"\\x{byte:02x}") for byte in data)


def shortened(data: bytes) -> str:
    """Payload bytes, by their number."""
    return f"<{len(data)} bytes>"


class Trace:
    """Writes `<seconds> host> ...` and `<seconds> modem< ...`, one line for each piece."""

    def __init__(self, path: Path | None) -> None:
        self._start = now()
        self._file: TextIO | None = path.open("w", encoding="ascii", buffering=1) if path else None

    def host(self, text: str, at: float) -> None:
        """Note what the host sent; `at` is when its last byte had crossed."""
        self._write("host> ", text, at)

    def modem(self, text: str, at: float) -> None:
        """Note what the modem sent; `at` is when its last byte had crossed."""
        self._write("modem< ", text, at)

    def remark(self, text: str) -> None:
        """Note something that is not on the wire."""
        self._write("# ", text, now())

    def channel(self, number: int) -> Trace:
        """The same record, for a channel of the multiplexer."""
        return _ChannelTrace(self, number)

    def close(self) -> None:
        """End the file."""
        if self._file:
            self._file.close()
            self._file = None

    def _write(self, side: str, text: str, at: float) -> None:
        if self._file:
            self._file.write(f"{at - self._start:12.6f} {side}{text}\n")


class _ChannelTrace(Trace):
    """Notes the channel's number with each piece."""

    def __init__(self, whole: Trace, number: int) -> None:
        super().__init__(None)
        self._whole = whole
        self._number = number

    @override
    def _write(self, side: str, text: str, at: float) -> None:
        self._whole._write(side, f"[{self._number}] {text}", at)  # noqa: SLF001 - one record
