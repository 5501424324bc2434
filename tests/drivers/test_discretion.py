"""serialx logs every byte at debug level: not those of our ports, whoever else debugs his."""

import logging

import pytest
import serialx

from .conftest import StartSession


async def test_no_byte_of_ours_is_logged_and_others_still_are(
    start_session: StartSession, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    session = start_session("bg96", "--sim", "pin", "--pin", "4711", "--imei", "490154203237518", pin="4711")
    await session.open()
    await session.close()
    assert "4711" not in caplog.text
    assert "490154203237518" not in caplog.text
    async with serialx.async_serial_for_url(session.settings.port, baudrate=115200) as other:
        await other.write(b"AT+CGMM\r")
        await other.readuntil(b"OK\r\n")
    assert "AT+CGMM" in caplog.text
