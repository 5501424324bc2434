"""Drivers: one file a modem family. A family is chosen by the reported model, never by probing command names."""

import re

from ..at.channel import Channel
from .base import Driver
from .china_mobile import ChinaMobileDriver
from .generic import GenericDriver
from .quectel import QuectelDriver

_FAMILIES: tuple[tuple[re.Pattern[str], type[GenericDriver]], ...] = (
    (re.compile(r"(BG9[56]|BG77|BG600|EC2[015]|EG9[15]|EG2[15]|EG06|EP06)", re.IGNORECASE), QuectelDriver),
    (re.compile(r"ML307", re.IGNORECASE), ChinaMobileDriver),
)


def family_of(model: str | None) -> str:
    """Return the family of the driver this model gets."""
    return next((driver.family for pattern, driver in _FAMILIES if pattern.match(model or "")), GenericDriver.family)


def driver_class(family: str) -> type[GenericDriver]:
    """Return the driver of a family; the generic one for a family nobody knows."""
    return next((driver for _, driver in _FAMILIES if driver.family == family), GenericDriver)


async def identify(channel: Channel) -> Driver:
    """Ask the modem for its model and return the driver of its family; the generic one for models nobody knows.

    Raises:
        LinkError, CommandTimeoutError: the modem does not answer.
    """
    asking = GenericDriver(channel)
    # ML307R units were seen with no captured model line; their revision starts with the model (ml307r.md 1.3).
    for name in ("+CGMM", "+CGMR"):
        text = await asking.read_text(name)
        for pattern, driver in _FAMILIES:
            if text and pattern.match(text):
                return driver(channel)
    return asking
