"""Carries out what a modem needs before it works again: packet data anew, or a restart."""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
import time

from ..drivers.base import SupportsPacketData, SupportsRestart
from ..errors import LinkError, ModemError, NetworkError
from .care import Cure
from .verdict import OF_NETWORK_AND_SIM

RESTART_PAUSE_S = 600.0
"""A modem is not restarted more often: the manual's first pause after boots that did not help (bg96.md 1.1)."""
RETURN_S = 60.0
"""How long a port that went with its modem (USB) is looked for: a boot, and the host finding it (assumed)."""


class Repair:
    """Carries cures out. Whoever calls sees to it that nobody else uses the modem meanwhile."""

    def __init__(self, bring_online: Callable[[], Awaitable[object]], pause_s: float) -> None:
        self._bring_online = bring_online
        self._pause_s = pause_s
        self._restarted_at = float("-inf")

    async def carry_out(self, driver: object, cure: Cure) -> object:
        """Take packet data down and bring it up, or restart the modem; return the driver to go on with.

        A modem that cannot bring packet data up again is restarted, too.

        Raises:
            ModemError: the modem is not online afterwards.
        """
        if not isinstance(driver, SupportsPacketData):
            return driver
        can_restart = isinstance(driver, SupportsRestart) and time.monotonic() > self._restarted_at + RESTART_PAUSE_S
        if cure is Cure.CONTEXT or not can_restart:
            try:
                await driver.deactivate_packet_data()
            except LinkError:
                raise
            except ModemError:
                pass  # it was down
            try:
                return await self._bring_online()
            except NetworkError as err:
                if not can_restart or err.code in OF_NETWORK_AND_SIM:
                    raise
        assert isinstance(driver, SupportsRestart)
        self._restarted_at = time.monotonic()
        with suppress(LinkError):  # on USB the port goes with the modem
            await driver.restart()
        return await self._returned()

    async def _returned(self) -> object:
        until = time.monotonic() + RETURN_S
        while True:
            try:
                return await self._bring_online()
            except LinkError:
                if time.monotonic() + self._pause_s > until:
                    raise
            await asyncio.sleep(self._pause_s)
