"""The route through a Quectel modem's own HTTP client: whole requests in, whole responses out."""

from collections.abc import Sequence
from typing import override

import httpx

from ..drivers.base import HttpOutcome, HttpSteps, ModemTls, SupportsQuectelHttp
from ..errors import HttpError, ModemError, TlsError
from .meter import Meter, Phase, current_meter
from .plan import HttpCommand, Workaround
from .wire import pad, parse_response, serialise

PAD = "pad_total_length"
"""The effect of a quirk that lengthens requests."""


class QuectelHttpTransport(httpx.AsyncBaseTransport):
    """An httpx transport that has the modem post requests, by file or directly; https is the modem's TLS.

    The request's body must be in memory. Redirects are answers like any other.
    """

    def __init__(
        self,
        driver: SupportsQuectelHttp,
        *,
        command: HttpCommand = HttpCommand.POSTFILE,
        tls: ModemTls | None = None,
        workarounds: Sequence[Workaround] = (),
    ) -> None:
        self._driver = driver
        self._command = command
        self._tls = tls
        self._workarounds = tuple(workarounds)

    @override
    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Send the request, padded if a workaround says so, and return the response, body and all.

        Raises:
            ModemError: with the modem's number and words.
        """
        tls = modem_tls(request, self._tls)
        if request.method == "HEAD":
            raise HttpError("method", "The modem's HTTP client cannot read an answer to HEAD")
        padding_bytes = 0
        for workaround in self._workarounds:
            if workaround.effect == PAD:
                request, added = pad(request, workaround.params)
                padding_bytes += added
        wire = serialise(request)
        if len(wire) > self._driver.http_max_bytes:
            raise HttpError(
                "request_too_long",
                f"The modem's HTTP client takes at most {self._driver.http_max_bytes} bytes, not {len(wire)}",
            )
        meter = current_meter()
        meter.begin(len(wire), padding_bytes)
        async with self._driver.http_session():
            meter.phase = Phase.PREPARING
            await self._driver.configure_http(modem_url(request), tls)
            outcome = await self._send(request, wire, steps_of(meter))
            raw = await self._read(outcome)
        meter.received(len(raw))
        return parse_response(raw, request, outcome.status)

    async def _send(self, request: httpx.Request, wire: bytes, steps: HttpSteps) -> HttpOutcome:
        if request.method == "GET":
            return await self._driver.http_get(wire, steps)
        if self._command is HttpCommand.POST:
            return await self._driver.http_post(wire, steps)
        return await self._driver.http_post_file(wire, steps)

    async def _read(self, outcome: HttpOutcome) -> bytes:
        """Read the response; the modem has told its status, so that losing the rest is no failure of the request."""
        try:
            return await self._driver.read_http_response(outcome)
        except ModemError:
            return b""


def modem_tls(request: httpx.Request, tls: ModemTls | None) -> ModemTls | None:
    """Return the TLS settings this request needs: none for http.

    Raises:
        TlsError: not_allowed, for https where nobody has allowed the modem to do TLS.
    """
    if request.url.scheme != "https":
        return None
    if tls is None:
        raise TlsError("not_allowed", "https through the modem's HTTP client needs leave to let the modem do TLS")
    return tls


def modem_url(request: httpx.Request) -> str:
    """Return the URL without user and fragment: what the request's own line and Host say."""
    url = request.url
    return f"{url.scheme}://{url.netloc.decode('ascii')}{url.raw_path.decode('ascii')}"


def steps_of(meter: Meter) -> HttpSteps:
    """Return what keeps a meter right while the modem is at work."""
    return HttpSteps(
        on_loaded=meter.loaded,
        on_told=meter.told_to_send,
        on_not_sent=meter.not_sent,
        on_answered=meter.answered,
    )
