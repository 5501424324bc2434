"""Turns what config entries store into what the engine takes."""

from collections.abc import Mapping
import ssl
from typing import Any

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
from .modem.drivers.base import ApnSettings, IpType
from .modem.routes.tls import build_ssl_context
from .modem.session import SessionSettings
from .modem.upload.qiniu import QiniuSettings
from .modem.upload.request import Auth, AuthMethod, Destination, UploadFormat


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


def _merged_headers(configured: Mapping[str, str], given: Mapping[str, str]) -> dict[str, str]:
    """Header names are the same in any case: one given for this upload replaces the configured one."""
    replaced = {name.lower() for name in given}
    return {**{name: value for name, value in configured.items() if name.lower() not in replaced}, **given}
