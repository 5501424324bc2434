"""Helpers of the modem-HTTP routes' tests: a modem brought online, and requests of a known length."""

from collections.abc import Sequence
from pathlib import Path
import random

import httpx

from custom_components.cellular_uplink.modem.drivers.base import ModemTls
from custom_components.cellular_uplink.modem.drivers.china_mobile import ChinaMobileDriver
from custom_components.cellular_uplink.modem.drivers.quectel import QuectelDriver
from custom_components.cellular_uplink.modem.routes.china_mobile_http import ChinaMobileHttpTransport
from custom_components.cellular_uplink.modem.routes.meter import Meter, metered
from custom_components.cellular_uplink.modem.routes.plan import HttpCommand, Workaround
from custom_components.cellular_uplink.modem.routes.quectel_http import QuectelHttpTransport
from custom_components.cellular_uplink.modem.routes.wire import serialise
from custom_components.cellular_uplink.modem.session import ModemSession

PADDING = Workaround(
    quirk_id="quectel-bg96-719", effect="pad_total_length", params={"mask": 0x800, "header": "X-PADDING"}
)
UNVERIFIED = ModemTls()


def picture(count: int) -> bytes:
    """Bytes of every value, the same each time, with what modems say among them."""
    data = random.Random(count).randbytes(count)
    nasty = b"\r\nOK\r\n\r\n+QHTTPREAD: 0\r\n> \x1a\x1b+++"
    return (data[: count // 2] + nasty + data[count // 2 :])[:count] if count > 200 else data


def post_of(url: str, total: int) -> httpx.Request:
    """Return a POST whose serialised form has exactly `total` bytes."""
    body = total - 100
    while True:
        request = httpx.Request("POST", url, content=picture(body), headers={"Content-Type": "image/jpeg"})
        surplus = len(serialise(request)) - total
        if not surplus:
            return request
        body -= surplus


def multipart(url: str, count: int) -> httpx.Request:
    """Return a form with a file of `count` bytes, its body in memory."""
    request = httpx.Request(
        "POST", url, data={"token": "a;b\\c"}, files={"file": ("cam.jpg", picture(count), "image/jpeg")}
    )
    request.read()
    return request


async def quectel(session: ModemSession) -> QuectelDriver:
    driver = await session.ensure_online()
    assert isinstance(driver, QuectelDriver)
    return driver


async def china_mobile(session: ModemSession) -> ChinaMobileDriver:
    driver = await session.ensure_online()
    assert isinstance(driver, ChinaMobileDriver)
    return driver


async def send(
    session: ModemSession,
    request: httpx.Request,
    command: HttpCommand,
    *,
    tls: ModemTls | None = None,
    workarounds: Sequence[Workaround] = (),
    meter: Meter | None = None,
) -> httpx.Response:
    """Send through the modem's HTTP client, whichever it has."""
    driver = await session.ensure_online()
    transport: httpx.AsyncBaseTransport
    if isinstance(driver, QuectelDriver):
        transport = QuectelHttpTransport(driver, command=command, tls=tls, workarounds=workarounds)
    else:
        assert isinstance(driver, ChinaMobileDriver)
        transport = ChinaMobileHttpTransport(driver, command=command, tls=tls, workarounds=workarounds)
    with metered(meter or Meter()):
        return await transport.handle_async_request(request)


def trace_of(session: ModemSession) -> str:
    """Return what crossed the wire so far."""
    return (Path(session.settings.port).parent / "trace.txt").read_text()
