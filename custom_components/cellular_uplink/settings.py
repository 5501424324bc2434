"""Turns what config entries store into what the engine takes."""

from collections.abc import Mapping
from enum import StrEnum
import ssl
from typing import Any, Final

from homeassistant.const import (
    CONF_DEVICE,
    CONF_HEADERS,
    CONF_METHOD,
    CONF_PASSWORD,
    CONF_PIN,
    CONF_TOKEN,
    CONF_URL,
    CONF_USERNAME,
    CONF_VERIFY_SSL,
)

from .const import (
    CONF_APN,
    CONF_AUTH,
    CONF_BAUDRATE,
    CONF_CA,
    CONF_DELIVERY,
    CONF_DELIVERY_CHECK,
    CONF_DELIVERY_CHECK_URL,
    CONF_DELIVERY_CHUNKED,
    CONF_DELIVERY_DIGEST,
    CONF_DELIVERY_IN_DOUBT,
    CONF_DELIVERY_PADS_BODY,
    CONF_DELIVERY_ROUTE,
    CONF_DELIVERY_TLS_BY,
    CONF_FIELDS,
    CONF_FILE_FIELD,
    CONF_FORMAT,
    CONF_IP_TYPE,
    CONF_OPERATOR,
    CONF_QINIU,
    CONF_QINIU_ACCESS_KEY,
    CONF_QINIU_BUCKET,
    CONF_QINIU_KEY,
    CONF_QINIU_OVERWRITE,
    CONF_QINIU_REGION,
    CONF_QINIU_SECRET_KEY,
)
from .encryption import Encryption, least_encryption
from .modem.drivers.base import ApnSettings, IpType
from .modem.errors import InputError
from .modem.routes.plan import RouteName, TlsPlace
from .modem.routes.tls import build_ssl_context
from .modem.session import SessionSettings
from .modem.upload.choices import Choices, check_choices, headers_of_check
from .modem.upload.qiniu import QiniuSettings
from .modem.upload.request import Auth, AuthMethod, Destination, UploadFormat

ROUTE_AUTO: Final = "auto"


class Check(StrEnum):
    """How a server is asked whether a picture has arrived."""

    NONE = "none"
    HEAD = "head"
    GET = "get"


class InDoubt(StrEnum):
    """What follows a failure behind which the server may have the picture."""

    SEND_AGAIN = "send_again"
    STOP = "stop"


DELIVERY_DEFAULTS: Final[Mapping[str, Any]] = {
    CONF_DELIVERY_ROUTE: ROUTE_AUTO,
    CONF_DELIVERY_TLS_BY: TlsPlace.HOST.value,
    CONF_DELIVERY_CHECK: Check.NONE.value,
    CONF_DELIVERY_CHECK_URL: "",
    CONF_DELIVERY_IN_DOUBT: InDoubt.SEND_AGAIN.value,
    CONF_DELIVERY_DIGEST: False,
    CONF_DELIVERY_CHUNKED: False,
    CONF_DELIVERY_PADS_BODY: False,
}
"""What holds for a destination that says nothing of it, such as one that was stored before it could."""


def session_settings(data: Mapping[str, Any]) -> SessionSettings:
    """Return how to reach the modem of a config entry."""
    apn = None
    if data[CONF_APN]:
        apn = ApnSettings(
            apn=data[CONF_APN],
            user=data[CONF_USERNAME],
            password=data[CONF_PASSWORD],
            ip_type=IpType(data[CONF_IP_TYPE]),
        )
    return SessionSettings(
        port=data[CONF_DEVICE],
        baud=data[CONF_BAUDRATE],
        apn=apn,
        operator=data[CONF_OPERATOR] or None,
        pin=data.get(CONF_PIN),
    )


def destination_settings(
    data: Mapping[str, Any],
    *,
    fields: Mapping[str, str] | None = None,
    headers: Mapping[str, str] | None = None,
) -> Destination:
    """Return a destination as its subentry says, with the fields and headers of one upload added."""
    qiniu = _qiniu_settings(data[CONF_QINIU]) if CONF_QINIU in data else None
    return Destination(
        url=data[CONF_URL] or (qiniu.url if qiniu else ""),
        method=data[CONF_METHOD],
        format=UploadFormat(data[CONF_FORMAT]),
        file_field=data[CONF_FILE_FIELD],
        fields={**data[CONF_FIELDS], **(fields or {})},
        headers=_merged_headers(data[CONF_HEADERS], headers or {}),
        auth=Auth(
            method=AuthMethod(data[CONF_AUTH]),
            username=data[CONF_USERNAME],
            password=data[CONF_PASSWORD],
            token=data[CONF_TOKEN],
        ),
        qiniu=qiniu,
    )


def destination_choices(data: Mapping[str, Any], destination: Destination) -> Choices:
    """Return how to send to `destination`, as its subentry says; `check_delivery` finds what cannot be."""
    delivery: dict[str, Any] = {**DELIVERY_DEFAULTS, **data.get(CONF_DELIVERY, {})}
    tls = TlsPlace(delivery[CONF_DELIVERY_TLS_BY])
    # Qiniu tells by itself whether a picture is there, and takes no chunked body.
    is_qiniu = destination.format is UploadFormat.QINIU
    check = Check.NONE if is_qiniu else Check(delivery[CONF_DELIVERY_CHECK])
    url: str | None = None if check is Check.NONE else delivery[CONF_DELIVERY_CHECK_URL]
    return Choices(
        route=None if delivery[CONF_DELIVERY_ROUTE] == ROUTE_AUTO else RouteName(delivery[CONF_DELIVERY_ROUTE]),
        tls=tls,
        modem_ca_pem=(data[CONF_CA] or None) if tls is TlsPlace.MODEM else None,
        allows_chunked=delivery[CONF_DELIVERY_CHUNKED] and not is_qiniu,
        retry_ambiguous=delivery[CONF_DELIVERY_IN_DOUBT] == InDoubt.SEND_AGAIN.value,
        check_url=url,
        check_method="GET" if check is Check.GET else "HEAD",
        check_headers={} if url is None else headers_of_check(destination, url),
        has_content_digest=delivery[CONF_DELIVERY_DIGEST],
        pads_body=delivery[CONF_DELIVERY_PADS_BODY],
    )


def check_delivery(destination: Destination, choices: Choices) -> None:
    """Raise InputError naming the first choice that cannot be, alone or with this destination."""
    check_choices(choices)
    if choices.route is RouteName.MODEM_HTTP and destination.is_https and choices.tls is not TlsPlace.MODEM:
        raise InputError(
            CONF_DELIVERY_TLS_BY, "must name the modem too: its HTTP client encrypts by itself where the URL is https"
        )


def destination_encryption(data: Mapping[str, Any]) -> Encryption:
    """Return the least encryption that an upload may get, as the subentry says."""
    destination = destination_settings(data)
    return least_encryption(destination, destination_choices(data, destination), verify=data[CONF_VERIFY_SSL])


def needs_trust(destination: Destination, choices: Choices) -> bool:
    """Return whether this host may have to do TLS for an upload."""
    return destination.is_https or (choices.check_url or "").lower().startswith("https:")


def _qiniu_settings(data: Mapping[str, Any]) -> QiniuSettings:
    return QiniuSettings(
        access_key=data[CONF_QINIU_ACCESS_KEY],
        secret_key=data[CONF_QINIU_SECRET_KEY],
        bucket=data[CONF_QINIU_BUCKET],
        key=data[CONF_QINIU_KEY],
        region=data[CONF_QINIU_REGION],
        overwrite=data[CONF_QINIU_OVERWRITE],
    )


def destination_ssl_context(data: Mapping[str, Any]) -> ssl.SSLContext:
    """Return how a destination's certificate is checked; reads the trust store, so it blocks.

    Raises:
        InputError: the destination's own CA is no certificate.
    """
    return build_ssl_context(ca_pem=data[CONF_CA] or None, verify=data[CONF_VERIFY_SSL])


def checked_ca(text: str) -> str:
    """Return what a user gave as his own CA; raises InputError for a key, which is not ours to keep."""
    if "PRIVATE KEY" in text:
        raise InputError(CONF_CA, "holds a private key, which must stay on its server: give the certificate alone")
    return text


def _merged_headers(configured: Mapping[str, str], given: Mapping[str, str]) -> dict[str, str]:
    """Header names are the same in any case: one given for this upload replaces the configured one."""
    replaced = {name.lower() for name in given}
    return {**{name: value for name, value in configured.items() if name.lower() not in replaced}, **given}
