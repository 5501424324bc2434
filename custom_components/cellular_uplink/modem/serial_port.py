"""A serial port as a byte stream, opened through serialx: paths, socket://, rfc2217:// and ESPHome proxies alike."""

import asyncio
from contextvars import ContextVar
import errno
import logging
import socket
from typing import override

import serialx

from .errors import LinkError

_LOGGER = logging.getLogger(__name__)

DEFAULT_BAUD = 115200
CLOSE_S = 2.0
"""A system that takes longer to close a port that is given up anyway is not waited for."""

_FAILURES = (OSError, TimeoutError, ValueError, serialx.SerialException)
"""serialx raises native OSErrors for most failures; its own exception is no OSError."""


_GONE = frozenset({errno.EIO, errno.EBADF, errno.ENODEV, errno.ENXIO})
"""What the system says of a port that vanished while it was open."""


_is_ours: ContextVar[bool] = ContextVar("cellular_uplink_port", default=False)
"""True in everything that runs for one of our ports: asyncio keeps the context in which a callback was registered."""


class _Discretion(logging.Filter):
    """Keeps serialx from logging the bytes of our ports, PINs and passwords among them; other users' it lets pass."""

    @override
    def filter(self, record: logging.LogRecord) -> bool:
        return not _is_ours.get() or record.levelno > logging.DEBUG


_DISCRETION = _Discretion()


def _keep_discreet() -> None:
    """A filter works only on the logger it was added to, and serialx imports its modules as it needs them."""
    for name in list(logging.root.manager.loggerDict):
        if name == "serialx" or name.startswith("serialx."):
            logging.getLogger(name).addFilter(_DISCRETION)  # adding it again changes nothing


class SerialPort:
    """An open port. Only one program may hold it; reading or writing after it vanished raises LinkError port_lost."""

    def __init__(
        self, url: str, reader: asyncio.StreamReader, writer: serialx.SerialStreamWriter[serialx.BaseSerialTransport]
    ) -> None:
        self.url = url
        self._reader = reader
        self._writer = writer

    @classmethod
    async def open(cls, url: str, *, baud: int = DEFAULT_BAUD) -> SerialPort:
        """Open the port exclusively.

        Raises:
            LinkError: port_missing, port_busy or port_invalid.
        """
        token = _is_ours.set(True)
        try:
            reader, writer = await serialx.open_serial_connection(url=url, baudrate=baud)
        except _FAILURES as err:
            raise _open_error(err) from err
        finally:
            _is_ours.reset(token)
        _keep_discreet()
        return cls(url, reader, writer)

    async def set_baud(self, baud: int) -> None:
        """Change the line rate; nothing may be in flight. Raises LinkError."""
        try:
            await self._writer.transport.reconfigure_port(baudrate=baud)
        except _FAILURES as err:
            if isinstance(err, OSError) and err.errno in _GONE:
                raise _lost(err) from err
            raise LinkError("port_invalid", f"The port does not take {baud} baud: {_reason(err)}") from err

    async def read(self) -> bytes:
        """Wait for bytes; raises LinkError when the port is gone."""
        try:
            data = await self._reader.read(4096)
        except _FAILURES as err:
            raise _lost(err) from err
        if not data:
            raise _lost(None)
        return data

    async def write(self, data: bytes) -> None:
        """Hand bytes to the port; raises LinkError when it is gone."""
        token = _is_ours.set(True)
        try:
            self._writer.write(data)
            await self._writer.drain()
        except _FAILURES as err:
            raise _lost(err) from err
        finally:
            _is_ours.reset(token)

    async def aclose(self) -> None:
        """Close at once, throwing away what was not sent yet; never raises for a port that is gone already."""
        self._writer.transport.abort()
        try:
            async with asyncio.timeout(CLOSE_S):
                await self._writer.wait_closed()
        except _FAILURES as err:
            _LOGGER.debug("the port was gone when it was closed: %s", _reason(err))


def _open_error(err: Exception) -> LinkError:
    number = err.errno if isinstance(err, OSError) else None
    if isinstance(err, FileNotFoundError) or number in (errno.ENODEV, errno.ENXIO):
        return LinkError("port_missing", "The serial port does not exist; is the modem plugged in?")
    if number in (errno.EBUSY, errno.EAGAIN):
        return LinkError("port_busy", "Another program uses the serial port (ModemManager, another integration?)")
    if number in (errno.EACCES, errno.EPERM):
        return LinkError("port_invalid", "This program may not open the serial port (permission denied)")
    if isinstance(err, (ConnectionError, TimeoutError, socket.gaierror)) or number in (
        errno.EHOSTUNREACH,
        errno.ENETUNREACH,
    ):
        return LinkError("port_missing", f"The serial port's server cannot be reached: {_reason(err)}")
    return LinkError("port_invalid", f"This is not a usable serial port: {_reason(err)}")


def _lost(err: Exception | None) -> LinkError:
    del err  # says nothing a user could act on: EIO and end of file both mean the device is gone
    return LinkError("port_lost", "The serial port is gone; was the modem unplugged?")


def _reason(err: Exception) -> str:
    """The system's words for an error, without the path or URL, which may carry a password."""
    if isinstance(err, OSError) and err.strerror:
        return err.strerror
    return type(err).__name__
