"""BG96 firmware of the reports, every way out, totals on both sides of the 719 boundary, against real servers.

What the simulator does to each firmware is written from the reports; what the engine does about it comes from the
catalogue. All totals run with CELLULAR_UPLINK_ALL_TOTALS=1, else a part of them.
"""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
import os
import ssl
from typing import Any

import pytest
import trustme

from custom_components.cellular_uplink.modem.drivers import quectel_http
from custom_components.cellular_uplink.modem.drivers.base import ApnSettings
from custom_components.cellular_uplink.modem.quirks.loader import load_quirks
from custom_components.cellular_uplink.modem.routes.plan import RouteName, TlsPlace
from custom_components.cellular_uplink.modem.routes.tls import build_ssl_context
from custom_components.cellular_uplink.modem.session import ModemSession, SessionSettings
from custom_components.cellular_uplink.modem.upload.choices import Choices
from custom_components.cellular_uplink.modem.upload.engine import UploadEngine
from custom_components.cellular_uplink.modem.upload.memory import OutcomeMemory
from custom_components.cellular_uplink.modem.upload.request import Destination, Picture
from custom_components.cellular_uplink.modem.upload.result import UploadResult
from tests.routes.loopback import Server, serving

ALL_TOTALS = (2047, 2048, 2061, 4095, 4096, 6144, 14335, 14336, 80_000)
ALL = bool(os.environ.get("CELLULAR_UPLINK_ALL_TOTALS"))
TOTALS = ALL_TOTALS if ALL else (2047, 2048, 6144, 14336)
QUIRKS = load_quirks()
HEAD_BYTES = 320
"""More than the head of any request here: the rest is filled up by `pad_to`."""


@dataclass(frozen=True)
class Firmware:
    """What a simulated modem is started with, and which totals its postfile cannot send over its own TLS."""

    arguments: tuple[str, ...]
    fails: Callable[[int], bool]
    max_attempts: int = 1


def never(_total: int) -> bool:
    return False


def always(_total: int) -> bool:
    return True


def bit_11(total: int) -> bool:
    return bool(total & 0x800)


def unknown(postfile: str, post: str, late: str = "no") -> tuple[str, ...]:
    effects = (f"https_postfile={postfile}", f"https_post={post}", f"late_last_packet={late}")
    return ("--firmware", "BG96MAR05A01M1G_07.001.01.001", *(word for effect in effects for word in ("--set", effect)))


FIRMWARE = {
    "clean": Firmware(("--firmware", "clean"), never),
    "r02a07-016": Firmware(("--firmware", "r02a07-016"), always),
    "r02a07-011": Firmware(("--firmware", "r02a07-011"), bit_11),
    "r03a06": Firmware(("--firmware", "r03a06"), bit_11),
    "r04a02-late": Firmware(("--firmware", "r04a02"), bit_11),
    "unknown-bit11": Firmware(unknown("bit11", "719"), bit_11, max_attempts=2),
    "unknown-719": Firmware(unknown("719", "works"), always, max_attempts=2),
    "unknown-late": Firmware(unknown("bit11", "bit11", "bad"), bit_11, max_attempts=2),
}
WAYS = {
    "http-socket": ("http", Choices()),
    "http-modem": ("http", Choices(route=RouteName.MODEM_HTTP)),
    "https-host": ("https", Choices()),
    "https-modem": ("https", Choices(route=RouteName.MODEM_HTTP, tls=TlsPlace.MODEM)),
}

type Send = Callable[[int, Choices], Any]


@asynccontextmanager
async def _sending(
    port: str, context: ssl.SSLContext | None, authority: trustme.CA
) -> AsyncIterator[tuple[Server, Callable[[int, Choices], Any], OutcomeMemory]]:
    pem = authority.cert_pem.bytes().decode()
    trust = build_ssl_context(ca_pem=pem)
    memory = OutcomeMemory()
    session = ModemSession(SessionSettings(port=port, apn=ApnSettings(apn="internet")))
    engine = UploadEngine(session, quirks=QUIRKS, memory=memory)
    async with serving(context) as server:

        async def send(total: int, choices: Choices) -> UploadResult:
            server.requests.clear()
            picture = Picture(content=os.urandom(total - HEAD_BYTES))
            wanted = replace(choices, pad_to=total, modem_ca_pem=pem)
            result = await engine.upload(Destination(url=server.url), picture, choices=wanted, ssl_context=trust)
            if result.ok:
                assert picture.content == server.requests[-1].body
            assert result.request_bytes == total + result.padding_bytes
            return result

        try:
            yield server, send, memory
        finally:
            await engine.aclose()
            await session.close()


@pytest.mark.parametrize("firmware", FIRMWARE)
@pytest.mark.parametrize("way", WAYS)
async def test_delivered(
    start_simulator: Callable[..., Any], rsa_authority: trustme.CA, rsa_context: ssl.SSLContext, firmware: str, way: str
) -> None:
    scheme, choices = WAYS[way]
    modem = FIRMWARE[firmware]
    port = start_simulator("bg96", *modem.arguments).port
    limit = modem.max_attempts if way == "https-modem" else 1
    async with _sending(port, rsa_context if scheme == "https" else None, rsa_authority) as (_, send, memory):
        for total in TOTALS:
            result = await send(total, choices)
            assert result.ok, (total, result.as_dict())
            assert len(result.attempts) <= limit, (total, result.as_dict())
            assert result.tls_where == {"http": "none"}.get(scheme, way.partition("-")[2])
            assert result.is_tls_verified is (scheme == "https")
        assert memory.as_dict() == {"outcomes": []}, "forced runs never learn"


@pytest.mark.parametrize("firmware", FIRMWARE)
@pytest.mark.parametrize("way", WAYS)
async def test_without_workarounds_it_fails_as_reported(
    start_simulator: Callable[..., Any],
    rsa_authority: trustme.CA,
    rsa_context: ssl.SSLContext,
    monkeypatch: pytest.MonkeyPatch,
    firmware: str,
    way: str,
) -> None:
    # A server that gets no last packet does not answer: the modem then says 719 when its own time is over.
    monkeypatch.setattr(quectel_http, "RESPONSE_S", 3)
    monkeypatch.setattr(quectel_http, "ASSUMED_UPLINK_BPS", 160_000)
    scheme, choices = WAYS[way]
    modem = FIRMWARE[firmware]
    port = start_simulator("bg96", *modem.arguments).port
    async with _sending(port, rsa_context if scheme == "https" else None, rsa_authority) as (_, send, _memory):
        has_to_wait = way == "https-modem" and "late" in firmware and not ALL
        for total in TOTALS[:2] if has_to_wait else TOTALS:
            result = await send(total, replace(choices, use_workarounds=False))
            fails = way == "https-modem" and modem.fails(total)
            assert result.ok is not fails, (total, result.as_dict())
            assert len(result.attempts) == 1
            assert result.padding_bytes == 0
            if fails:
                assert result.error is not None
                assert result.error.code == "719"
