"""Who encrypts uploads to a destination, and whether the server is checked: in one word."""

from enum import StrEnum

from .modem.routes.plan import RouteName, TlsPlace
from .modem.upload.choices import Choices
from .modem.upload.request import Destination
from .modem.upload.result import UploadResult


class Encryption(StrEnum):
    """Who encrypts; unverified: nobody knows to whom."""

    NONE = "none"
    HOST_VERIFIED = "host_verified"
    HOST_UNVERIFIED = "host_unverified"
    MODEM_VERIFIED = "modem_verified"
    MODEM_UNVERIFIED = "modem_unverified"


def least_encryption(destination: Destination, choices: Choices, *, verify: bool) -> Encryption:
    """Return the weakest way that an upload may take: what the user can rely on before there was any.

    The modem is never more trusted than this host, so where it may do TLS, it is what counts.
    """
    if not destination.is_https:
        return Encryption.NONE
    if choices.tls is TlsPlace.MODEM and choices.route is not RouteName.SOCKET:
        return _of(TlsPlace.MODEM, is_verified=verify and choices.modem_ca_pem is not None)
    return _of(TlsPlace.HOST, is_verified=verify)


def used_encryption(result: UploadResult) -> Encryption | None:
    """Return how the last attempt of an upload was encrypted, None where it came to none."""
    return _of(TlsPlace(result.tls_where), is_verified=result.is_tls_verified) if result.attempts else None


def _of(place: TlsPlace, *, is_verified: bool) -> Encryption:
    if place is TlsPlace.NONE:
        return Encryption.NONE
    if place is TlsPlace.HOST:
        return Encryption.HOST_VERIFIED if is_verified else Encryption.HOST_UNVERIFIED
    return Encryption.MODEM_VERIFIED if is_verified else Encryption.MODEM_UNVERIFIED
