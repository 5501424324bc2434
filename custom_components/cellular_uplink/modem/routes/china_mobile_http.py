"""The route through a China Mobile IoT modem's own HTTP client, which writes request line, Host and length itself."""

from collections.abc import Sequence
from typing import override

import httpx

from ..drivers.base import MhttpUrl, ModemTls, SupportsChinaMobileHttp, SupportsPacketData
from .meter import Phase, current_meter
from .plan import HttpCommand, Workaround
from .quectel_http import modem_tls, steps_of
from .wire import parse_response, serialise

PIECE_BYTES = 4096


class ChinaMobileHttpTransport(httpx.AsyncBaseTransport):
    """An httpx transport over MHTTP; https is the modem's TLS.

    The body goes first, with a Content-Length, unless `command` is CHUNKED. It must be in memory.
    """

    def __init__(
        self,
        driver: SupportsChinaMobileHttp,
        *,
        command: HttpCommand = HttpCommand.CONTENT,
        tls: ModemTls | None = None,
        workarounds: Sequence[Workaround] = (),
    ) -> None:
        self._driver = driver
        self._command = command
        self._tls = tls
        self._piece_bytes = PIECE_BYTES
        for workaround in workarounds:
            limit, limited = workaround.params.get("max_bytes"), str(workaround.params.get("command")).lstrip("+")
            if workaround.effect == "limit_chunk" and limited == "MHTTPCONTENT" and isinstance(limit, int):
                self._piece_bytes = min(self._piece_bytes, limit)

    @override
    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Send the request and return the response, body and all.

        Raises:
            ModemError: with the modem's number and words.
        """
        tls = modem_tls(request, self._tls)
        meter = current_meter()
        meter.begin(len(serialise(request)))
        meter.phase = Phase.PREPARING
        if isinstance(self._driver, SupportsPacketData):
            await self._driver.activate_packet_data(None)  # the first request after a boot fails without an address
        url = request.url
        answer = await self._driver.mhttp_send(
            request.method,
            MhttpUrl(
                origin=f"{url.scheme}://{url.netloc.decode('ascii')}",
                path=url.raw_path.decode("ascii"),
                host=url.raw_host.decode("ascii"),
            ),
            [(name.decode("latin-1"), value.decode("latin-1")) for name, value in request.headers.raw],
            request.content,
            is_chunked=self._command is HttpCommand.CHUNKED,
            piece_bytes=self._piece_bytes,
            tls=tls,
            steps=steps_of(meter),
        )
        meter.received(len(answer.head) + len(answer.body))
        head = answer.head.rstrip(b"\r\n") + b"\r\n\r\n" if answer.head.strip() else b""
        return parse_response(head + answer.body, request, answer.status)
