"""Carries an upload out and says what happened. (signature first; body follows)"""

from collections.abc import Callable
import ssl

from ..session import ModemSession
from .request import Destination, Picture
from .result import Progress, UploadResult


class UploadEngine:
    """Sends pictures through one modem. Uploads may run side by side; their chunks interleave on the port."""

    def __init__(self, session: ModemSession) -> None: ...

    async def upload(
        self,
        destination: Destination,
        picture: Picture,
        *,
        ssl_context: ssl.SSLContext | None = None,
        upload_id: str | None = None,
        timeout_s: float | None = None,
        on_progress: Callable[[Progress], None] | None = None,
    ) -> UploadResult:
        """Send one picture. Failures of delivery are in the result; only bad input raises (InputError).

        `ssl_context` is needed for https (see routes.tls.build_ssl_context; building one blocks).
        """
