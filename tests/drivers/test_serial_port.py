"""Ports that are missing, taken, unusable or gone: each says so in words a user can act on."""

import asyncio
from collections.abc import Callable
import errno
import os
from pathlib import Path
import socket
from typing import Any

import pytest
import serialx

from custom_components.cellular_uplink.modem.errors import LinkError
from custom_components.cellular_uplink.modem.serial_port import SerialPort
from custom_components.cellular_uplink.modem.session import ModemSession

from .conftest import StartPort
from .scripted import BG96, ScriptedModem

OpenSession = Callable[..., ModemSession]


async def refusal(url: str) -> LinkError:
    with pytest.raises(LinkError) as caught:
        await SerialPort.open(url)
    return caught.value


async def test_a_missing_path(tmp_path: Path) -> None:
    error = await refusal(str(tmp_path / "ttyUSB7"))
    assert (error.code, "plugged in" in error.message) == ("port_missing", True)


async def test_what_is_no_serial_port(tmp_path: Path) -> None:
    file = tmp_path / "notes.txt"
    file.write_text("not a port")
    for path in (tmp_path, file, Path(os.devnull)):
        assert (await refusal(str(path))).code == "port_invalid"


@pytest.mark.parametrize("url", ["nonsense://somewhere", "socket://127.0.0.1", "socket://[bad:5"])
async def test_urls_that_cannot_be_used(url: str) -> None:
    assert (await refusal(url)).code == "port_invalid"


@pytest.mark.parametrize("scheme", ["socket", "rfc2217"])
async def test_a_server_that_refuses_is_not_shown_with_its_password(
    socket_enabled: None, unused_tcp_port: int, scheme: str
) -> None:
    error = await refusal(f"{scheme}://user:sentinel@127.0.0.1:{unused_tcp_port}")
    assert (error.code, "cannot be reached" in error.message) == ("port_missing", True)
    assert "sentinel" not in str(error)


@pytest.mark.parametrize(
    ("said", "code", "words"),
    [
        (OSError(errno.EACCES, os.strerror(errno.EACCES), "/a/path"), "port_invalid", "permission"),
        (OSError(errno.EPERM, os.strerror(errno.EPERM), "/a/path"), "port_invalid", "permission"),
        (OSError(errno.ENODEV, os.strerror(errno.ENODEV), "/a/path"), "port_missing", "plugged in"),
        (OSError(errno.EBUSY, os.strerror(errno.EBUSY), "/a/path"), "port_busy", "Another program"),
        (OSError(errno.ENETUNREACH, os.strerror(errno.ENETUNREACH), "/a/path"), "port_missing", "cannot be reached"),
        (socket.gaierror(socket.EAI_NONAME, "Name or service not known"), "port_missing", "cannot be reached"),
        (TimeoutError(), "port_missing", "cannot be reached"),
        (serialx.SerialException("/a/path is odd"), "port_invalid", "not a usable serial port"),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, Exception) else None,
)
async def test_what_the_system_says(monkeypatch: pytest.MonkeyPatch, said: Exception, code: str, words: str) -> None:
    """A test can count neither on being denied what it may not open nor on a name server."""

    async def refuse(**_: Any) -> None:
        raise said

    monkeypatch.setattr(serialx, "open_serial_connection", refuse)
    error = await refusal("anything")
    assert (error.code, words in error.message) == (code, True)
    assert "/a/path" not in str(error)


async def test_a_port_is_opened_once(start_port: StartPort, open_session: OpenSession) -> None:
    port = start_port(BG96)
    session = open_session(port.path)
    await session.open()
    second = open_session(port.path)
    with pytest.raises(LinkError) as caught:
        await second.open()
    assert caught.value.code == "port_busy"
    await session.close()
    assert (await second.open()).model == "BG96"


async def test_a_port_that_vanished(start_port: StartPort) -> None:
    device = start_port(BG96)
    port = await SerialPort.open(device.path)
    device.unplug()
    for attempt in (port.read(), port.write(b"AT\r"), port.set_baud(9600), port.read()):
        with pytest.raises(LinkError) as caught:
            await asyncio.wait_for(attempt, 5)
        assert caught.value.code == "port_lost"
    await port.aclose()
    await port.aclose()


async def test_a_rate_the_port_refuses(
    start_port: StartPort, open_session: OpenSession, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def refuse(*_: Any, **__: Any) -> None:
        raise serialx.UnsupportedSetting("Unsupported baudrate 12345")

    monkeypatch.setattr(serialx.BaseSerialTransport, "reconfigure_port", refuse)
    session = open_session(start_port(BG96).path, baud=12345)
    with pytest.raises(LinkError) as caught:
        await session.open()
    assert (caught.value.code, "12345 baud" in caught.value.message) == ("port_invalid", True)
    assert not session.is_open


async def test_a_network_port_has_no_rate(
    start_port: StartPort, open_session: OpenSession, socket_enabled: None
) -> None:
    """A modem behind a bridge: socket:// carries the bytes and knows nothing of bauds."""
    modem = ScriptedModem(BG96)

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await reader.read(4096):
            writer.write(modem.take(data))
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    session = open_session(f"socket://127.0.0.1:{server.sockets[0].getsockname()[1]}")
    assert (await session.open()).model == "BG96"
    assert session.baud is None
    await session.close()
    server.close()
    await server.wait_closed()
