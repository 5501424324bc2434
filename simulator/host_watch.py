"""Whether any program has the port open."""

import ctypes
import os
import struct

_IN_CLOSE = 0x08 | 0x10
_IN_OPEN = 0x20
_EVENT = struct.Struct("iIII")


class HostWatch:
    """Counts who has a device file open, through inotify.

    A pseudo-terminal keeps what nobody reads for the next one who opens it; a UART does not.
    Without inotify the host counts as always there.
    """

    def __init__(self, path: str) -> None:
        self.fd: int | None = None
        self._open = 0
        self._ever = False
        libc = ctypes.CDLL(None, use_errno=True)
        fd = int(libc.inotify_init1(os.O_NONBLOCK | os.O_CLOEXEC))
        if fd < 0:
            return
        if int(libc.inotify_add_watch(fd, os.fsencode(path), _IN_OPEN | _IN_CLOSE)) < 0:
            os.close(fd)
            return
        self.fd = fd

    def close(self) -> None:
        """Stop watching."""
        if self.fd is not None:
            os.close(self.fd)
            self.fd = None

    @property
    def present(self) -> bool:
        """Whether a host has the port open, as far as events tell."""
        return self.fd is None or self._open > 0

    def heard(self) -> None:
        """Note that a host has sent something; if its opening went unseen, events are not to be trusted here."""
        self.poll()
        if not self._ever:
            self._ever = True
            self._open = 1 << 20

    def poll(self) -> bool:
        """Take in waiting events; tell whether the last host left in between."""
        if self.fd is None:
            return False
        left = False
        while True:
            try:
                data = os.read(self.fd, 4096)
            except BlockingIOError:
                return left
            offset = 0
            while offset < len(data):
                _, mask, _, name_bytes = _EVENT.unpack_from(data, offset)
                offset += _EVENT.size + name_bytes
                if mask & _IN_OPEN:
                    self._open += 1
                    self._ever = True
                elif mask & _IN_CLOSE:
                    self._open = max(0, self._open - 1)
                    left = left or self._open == 0
