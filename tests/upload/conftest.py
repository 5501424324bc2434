"""Fixtures of uploads: those of the routes, and an engine over a modem on loopback."""

from collections.abc import AsyncIterator

import pytest

from custom_components.cellular_uplink.modem.upload.engine import UploadEngine
from tests.routes.conftest import (  # noqa: F401 - fixtures
    _loopback,
    authority,
    ca_pem,
    driver,
    https_server,
    rsa_server,
    server,
    server_context,
)
from tests.routes.loopback import LoopbackDriver, LoopbackModem


@pytest.fixture
def modem(driver: LoopbackDriver) -> LoopbackModem:  # noqa: F811
    return LoopbackModem(driver)


@pytest.fixture
async def engine(modem: LoopbackModem) -> AsyncIterator[UploadEngine]:
    engine = UploadEngine(modem)
    yield engine
    await engine.aclose()
