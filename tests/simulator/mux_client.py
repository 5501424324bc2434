"""A tiny 27.010 basic-mode client of the tests' own, bit by bit from the standard."""

import re

from .plain_at import FINAL, Port

FLAG = 0xF9
SABM, UA, DM, DISC, UIH = 0x3F, 0x73, 0x1F, 0x53, 0xEF


def fcs(data: bytes) -> int:
    """Annex B, bit by bit: x8 + x2 + x + 1 over the bits as they go out, inverted at the end."""
    register = 0xFF
    for byte in data:
        for bit in range(8):
            feed = (register & 1) ^ (byte >> bit & 1)
            register >>= 1
            if feed:
                register ^= 0xE0
    return 0xFF - register


def frame(dlci: int, control: int, data: bytes = b"", *, cr: bool = True) -> bytes:
    """One frame of the initiator."""
    size = len(data)
    length = bytes([size * 2 + 1]) if size < 128 else bytes([size % 128 * 2, size // 128])
    head = bytes([dlci * 4 + cr * 2 + 1, control]) + length
    return bytes([FLAG]) + head + data + bytes([fcs(head), FLAG])


class MuxClient:
    """Speaks to channels over one port; frames are counted, never scanned."""

    def __init__(self, at: Port, n1: int = 31) -> None:
        self._at = at
        self._n1 = n1
        self.text: dict[int, bytes] = {}
        self.messages: list[bytes] = []

    def read(self) -> tuple[int, int, bytes]:
        """The next frame: DLCI, control, data; the check sum and both flags are compared."""
        assert self._at.exactly(1)[0] == FLAG
        head = self._at.exactly(3)
        size = head[2] >> 1
        if not head[2] & 1:
            head += self._at.exactly(1)
            size |= head[3] << 7
        data = self._at.exactly(size)
        check, closing = self._at.exactly(2)
        assert closing == FLAG
        assert check == fcs(head)
        assert size <= max(self._n1, 31)
        return head[0] >> 2, head[1], data

    def open(self, dlci: int) -> None:
        """SABM, UA; MSC is kept in `messages`."""
        self._at.send(frame(dlci, SABM))
        while (answer := self.read())[1] == UIH:
            self._keep(answer[0], answer[2])
        assert answer == (dlci, UA, b"")

    def command(self, dlci: int, text: str) -> None:
        """A command line, without waiting."""
        self.send(dlci, text.encode() + b"\r")

    def send(self, dlci: int, data: bytes) -> None:
        """Bytes on a channel, in frames of at most N1."""
        for start in range(0, len(data), self._n1):
            self._at.send(frame(dlci, UIH, data[start : start + self._n1]))

    def pump(self) -> None:
        """Take one frame in."""
        dlci, control, data = self.read()
        assert control == UIH
        self._keep(dlci, data)

    def _keep(self, dlci: int, data: bytes) -> None:
        if dlci == 0:
            self.messages.append(data)
        else:
            self.text[dlci] = self.text.get(dlci, b"") + data

    def until(self, dlci: int, token: bytes | re.Pattern[bytes]) -> bytes:
        """What a channel says, up to and with this."""
        pattern = re.compile(re.escape(token)) if isinstance(token, bytes) else token
        while not (match := pattern.search(self.text.get(dlci, b""))):
            self.pump()
        said = self.text[dlci]
        self.text[dlci] = said[match.end() :]
        return said[: match.end()]

    def ask(self, dlci: int, text: str) -> bytes:
        """A command and everything up to its final result."""
        self.command(dlci, text)
        return self.until(dlci, FINAL)
