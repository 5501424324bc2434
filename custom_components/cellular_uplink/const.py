"""Names shared by the rooms of the integration."""

from datetime import timedelta
from typing import Final

DOMAIN: Final = "cellular_uplink"

CONF_APN: Final = "apn"
CONF_BAUDRATE: Final = "baudrate"
CONF_IP_TYPE: Final = "ip_type"
CONF_OPERATOR: Final = "operator"

SUBENTRY_TYPE_DESTINATION: Final = "destination"
DESTINATION_MODEL: Final = "Destination"
"""The device selector of the actions offers devices of this model only (see services.yaml)."""

CONF_AUTH: Final = "auth"
CONF_CA: Final = "ca"
CONF_DELIVERY: Final = "delivery"
CONF_DELIVERY_CHECK: Final = "check"
CONF_DELIVERY_CHECK_URL: Final = "check_url"
CONF_DELIVERY_CHUNKED: Final = "chunked"
CONF_DELIVERY_DIGEST: Final = "content_digest"
CONF_DELIVERY_IN_DOUBT: Final = "in_doubt"
CONF_DELIVERY_PADS_BODY: Final = "pads_body"
CONF_DELIVERY_ROUTE: Final = "route"
CONF_DELIVERY_TLS_BY: Final = "tls_by"
CONF_FIELDS: Final = "fields"
CONF_FILE_FIELD: Final = "file_field"
CONF_FORMAT: Final = "format"
CONF_QINIU: Final = "qiniu"
CONF_QINIU_ACCESS_KEY: Final = "access_key"
CONF_QINIU_BUCKET: Final = "bucket"
CONF_QINIU_KEY: Final = "key"
CONF_QINIU_OVERWRITE: Final = "overwrite"
CONF_QINIU_REGION: Final = "region"
CONF_QINIU_SECRET_KEY: Final = "secret_key"  # noqa: S105 - the name of it

POLL_INTERVAL: Final = timedelta(seconds=60)
RETRY_INTERVAL: Final = timedelta(seconds=10)
"""How often a modem that is gone, or has no network, is looked at."""
