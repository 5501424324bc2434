"""A modem whose own HTTP client is played by the test, beside real sockets on loopback."""

from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager

from custom_components.cellular_uplink.modem.drivers.base import (
    ApnSettings,
    HttpOutcome,
    HttpSteps,
    Identity,
    ModemTls,
    Storage,
)
from custom_components.cellular_uplink.modem.errors import ModemError
from tests.routes.loopback import LoopbackDriver, LoopbackModem

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"


class HttpDriver(LoopbackDriver):
    """Answers by script: an error is raised (behind the request when `after_sending`), bytes are the response."""

    family = "quectel"
    http_max_bytes = 1_024_000

    def __init__(self) -> None:
        super().__init__()
        self.script: list[ModemError | bytes] = []
        self.after_sending = True
        self.sent: list[tuple[str, bytes]] = []
        self.tls: list[ModemTls | None] = []
        self.resets: list[str] = []
        self.response = b""

    async def read_storage(self) -> Storage:
        return Storage(free_bytes=10**6, total_bytes=10**6)

    async def list_files(self) -> dict[str, int]:
        return {}

    async def write_file(self, name: str, data: bytes, on_written: Callable[[int], None] | None = None) -> None:
        raise NotImplementedError

    async def delete_file(self, name: str) -> None:
        raise NotImplementedError

    @asynccontextmanager
    async def http_session(self) -> AsyncIterator[None]:
        yield

    async def configure_http(self, url: str, tls: ModemTls | None) -> None:
        self.tls.append(tls)

    async def http_post_file(self, data: bytes, steps: HttpSteps) -> HttpOutcome:
        return self._next("postfile", data, steps)

    async def http_post(self, data: bytes, steps: HttpSteps) -> HttpOutcome:
        return self._next("post", data, steps)

    async def http_get(self, data: bytes, steps: HttpSteps) -> HttpOutcome:
        return self._next("get", data, steps)

    def _next(self, command: str, data: bytes, steps: HttpSteps) -> HttpOutcome:
        self.sent.append((command, data))
        step = self.script.pop(0) if self.script else OK
        if self.after_sending:
            steps.on_loaded(len(data))
            steps.on_told()
        if isinstance(step, ModemError):
            raise step
        steps.on_answered()
        self.response = step
        return HttpOutcome(status=int(step.split(b" ")[1]))

    async def read_http_response(self, outcome: HttpOutcome) -> bytes:
        return self.response

    async def activate_packet_data(self, apn: ApnSettings | None) -> None:
        self.resets.append("up")

    async def deactivate_packet_data(self) -> None:
        self.resets.append("down")

    @property
    def commands(self) -> Sequence[str]:
        return [command for command, _ in self.sent]


class HttpModem(LoopbackModem):
    """A BG96 of the firmware of the report."""

    def __init__(self, driver: HttpDriver, firmware: str = "BG96MAR03A06M1G_01.005.01.005") -> None:
        super().__init__(driver)
        self.identity = Identity(family="quectel", vendor="Quectel", model="BG96", firmware=firmware)
