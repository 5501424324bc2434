"""Diagnostics: what helps to find a fault, picked by name, so that nothing personal slips in with something new."""

from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

from homeassistant.components.diagnostics import REDACTED
from homeassistant.config_entries import ConfigSubentry
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
from homeassistant.core import HomeAssistant

from .const import (
    CONF_APN,
    CONF_AUTH,
    CONF_BAUDRATE,
    CONF_CA,
    CONF_DELIVERY,
    CONF_DELIVERY_CHECK_URL,
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
    SUBENTRY_TYPE_DESTINATION,
)
from .coordinator import CellularUplinkConfigEntry, ModemCoordinator
from .modem.errors import ModemError
from .modem.upload.result import UploadResult
from .settings import DELIVERY_DEFAULTS, destination_encryption


async def async_get_config_entry_diagnostics(hass: HomeAssistant, entry: CellularUplinkConfigEntry) -> dict[str, Any]:
    """Return diagnostics of a modem and its destinations."""
    coordinator = entry.runtime_data
    return {
        "entry": _entry(entry.data),
        "modem": _modem(coordinator),
        "status": _status(coordinator),
        "last_error": _last_error(coordinator),
        "quirks": _quirks(coordinator),
        **coordinator.uploader.memory.as_dict(),  # outcomes, findings
        "destinations": [
            {**_destination(subentry), "last_upload": _last_upload(coordinator, subentry)}
            for subentry in entry.get_subentries_of_type(SUBENTRY_TYPE_DESTINATION)
        ],
    }


def _entry(data: Mapping[str, Any]) -> dict[str, Any]:
    return {
        CONF_DEVICE: _port(data[CONF_DEVICE]),
        CONF_BAUDRATE: data[CONF_BAUDRATE],
        CONF_IP_TYPE: data[CONF_IP_TYPE],
        CONF_OPERATOR: data[CONF_OPERATOR],
        **{name: _redacted(data.get(name)) for name in (CONF_APN, CONF_USERNAME, CONF_PASSWORD, CONF_PIN)},
    }


def _modem(coordinator: ModemCoordinator) -> dict[str, Any]:
    identity = coordinator.identity
    return {
        "open": coordinator.session.is_open,
        "baud": coordinator.session.baud,
        "family": identity.family,
        "vendor": identity.vendor,
        "model": identity.model,
        "firmware": identity.firmware,
        "release": identity.release,
        "imei": _redacted(identity.imei),
        "imsi": _redacted(identity.imsi),
        "iccid": _redacted(identity.iccid),
        "sent_bytes": coordinator.traffic.sent_bytes,
        "received_bytes": coordinator.traffic.received_bytes,
    }


def _status(coordinator: ModemCoordinator) -> dict[str, Any]:
    status = coordinator.data
    return {
        "up_to_date": coordinator.last_update_success,
        "registration": status.registration.state,
        "operator": status.operator,
        "access_technology": status.access_technology,
        "rssi_dbm": status.signal.rssi_dbm,
        "rsrp_dbm": status.signal.rsrp_dbm,
        "rsrq_db": status.signal.rsrq_db,
        "sinr_db": status.signal.sinr_db,
    }


def _last_error(coordinator: ModemCoordinator) -> dict[str, Any] | None:
    if (last := coordinator.last_error) is None:
        return None
    return {**_error(last.error), "when": last.when.isoformat()}


def _error(error: ModemError) -> dict[str, Any]:
    """Class and code only: the sentence may name a host."""
    return {"class": error.kind, "code": error.code}


def _quirks(coordinator: ModemCoordinator) -> dict[str, Any]:
    return {
        "known": len(coordinator.catalogue.quirks),
        "problem": coordinator.catalogue.problem,
        "matched": [
            {"id": quirk.id, "confidence": quirk.confidence.value, "why": quirk.why}
            for quirk in coordinator.matched_quirks
        ],
    }


def _last_upload(coordinator: ModemCoordinator, subentry: ConfigSubentry) -> dict[str, Any] | None:
    """Return how it went and why it went that way, without what the server said or what the picture was called."""
    if (last := coordinator.uploader.last_upload(subentry.subentry_id)) is None:
        return None
    result = last.result
    return {
        "state": result.state.value,
        "http_status": result.http_status,
        "error": None if result.error is None else _error(result.error),
        "attempts": _attempts(result),
        "plan": list(result.plan),
        "quirks": [quirk["id"] for quirk in result.quirks],
        "request_bytes": result.request_bytes,
        "padding_bytes": result.padding_bytes,
        "sent_bytes": result.sent_bytes,
        "received_bytes": result.received_bytes,
        "duration_s": round(result.duration_s, 3),
        "tls": {"where": result.tls_where, "verified": result.is_tls_verified},
        "ambiguous": result.ambiguous,
        "may_be_stored_twice": result.may_be_stored_twice,
        "note": result.note,
    }


def _attempts(result: UploadResult) -> list[dict[str, Any]]:
    return [
        {**attempt.as_dict(), "error": None if attempt.error is None else _error(attempt.error)}
        for attempt in result.attempts
    ]


def _destination(subentry: ConfigSubentry) -> dict[str, Any]:
    data = subentry.data
    told = {
        CONF_URL: _url(data[CONF_URL]) if data[CONF_URL] else None,
        CONF_METHOD: data[CONF_METHOD],
        CONF_FORMAT: data[CONF_FORMAT],
        CONF_FILE_FIELD: data[CONF_FILE_FIELD],
        CONF_FIELDS: len(data[CONF_FIELDS]),
        CONF_HEADERS: len(data[CONF_HEADERS]),
        CONF_AUTH: data[CONF_AUTH],
        CONF_VERIFY_SSL: data[CONF_VERIFY_SSL],
        **{name: _redacted(data[name]) for name in (CONF_USERNAME, CONF_PASSWORD, CONF_TOKEN, CONF_CA)},
        CONF_DELIVERY: _delivery(data.get(CONF_DELIVERY, {})),
        "encryption": destination_encryption(data).value,
    }
    if CONF_QINIU in data:
        told[CONF_QINIU] = _qiniu(data[CONF_QINIU])
    return told


def _delivery(data: Mapping[str, Any]) -> dict[str, Any]:
    told = {name: data.get(name, default) for name, default in DELIVERY_DEFAULTS.items()}
    return {**told, CONF_DELIVERY_CHECK_URL: _redacted(told[CONF_DELIVERY_CHECK_URL])}


def _qiniu(data: Mapping[str, Any]) -> dict[str, Any]:
    return {
        CONF_QINIU_REGION: data[CONF_QINIU_REGION],
        CONF_QINIU_OVERWRITE: data[CONF_QINIU_OVERWRITE],
        **{
            name: _redacted(data[name])
            for name in (CONF_QINIU_ACCESS_KEY, CONF_QINIU_SECRET_KEY, CONF_QINIU_BUCKET, CONF_QINIU_KEY)
        },
    }


def _redacted(value: str | None) -> str | None:
    """Say whether there is a value, not which."""
    return REDACTED if value else None


def _url(url: str) -> str:
    """Keep the scheme and an explicit port: host, path, user and query may all say who or carry a key."""
    parts = urlsplit(url)
    return f"{parts.scheme}://{REDACTED}" + (f":{parts.port}" if parts.port else "")


def _port(port: str) -> str:
    """A by-id path holds a serial number and an address may hold a key: keep what kind of port it is."""
    if "://" in port:
        return f"{port.partition('://')[0]}://{REDACTED}"
    return port if port.startswith(("/dev/tty", "/dev/pts/")) else f"{port.rpartition('/')[0]}/{REDACTED}"
