"""What actions raise when the engine refuses what the user gave."""

from collections.abc import Generator
from contextlib import contextmanager

from homeassistant.exceptions import ServiceValidationError

from .const import DOMAIN
from .modem.errors import InputError


@contextmanager
def bad_input() -> Generator[None]:
    """Raise InputError as the translated error that names the field."""
    try:
        yield
    except InputError as err:
        raise ServiceValidationError(
            translation_domain=DOMAIN,
            translation_key="invalid_field",
            translation_placeholders={"field": err.field, "reason": err.reason},
        ) from err
