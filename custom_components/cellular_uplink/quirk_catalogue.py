"""The catalogue of known faults with the user's own entries, read once in a run of Home Assistant."""

from dataclasses import dataclass
import logging
from pathlib import Path

from homeassistant.core import HomeAssistant
from homeassistant.helpers import issue_registry as ir
from homeassistant.helpers.singleton import singleton
from homeassistant.util.hass_dict import HassKey

from .const import DOMAIN
from .modem.quirks.loader import QuirkFileError, load_quirks
from .modem.quirks.registry import Quirk

_LOGGER = logging.getLogger(__name__)

ISSUE_UNUSABLE = "quirk_files_unusable"
USER_FOLDER = (DOMAIN, "quirks")
"""Below the configuration folder."""


@dataclass(frozen=True, slots=True, kw_only=True)
class QuirkCatalogue:
    """What is known to be broken. `problem`: why the user's own files are not part of it, with file and line."""

    quirks: tuple[Quirk, ...]
    problem: str | None = None


_KEY: HassKey[QuirkCatalogue] = HassKey(f"{DOMAIN}_quirk_catalogue")


@singleton(_KEY, async_=True)
async def async_get_quirk_catalogue(hass: HomeAssistant) -> QuirkCatalogue:
    """Return the one catalogue of this Home Assistant. A mistake in a file of the user's is told and left out."""
    folder = Path(hass.config.path(*USER_FOLDER))
    catalogue = await hass.async_add_executor_job(_load, folder)
    if catalogue.problem is not None:
        _LOGGER.warning("The quirk files in %s are not used: %s", folder, catalogue.problem)
        ir.async_create_issue(
            hass,
            DOMAIN,
            ISSUE_UNUSABLE,
            is_fixable=False,
            severity=ir.IssueSeverity.WARNING,
            translation_key=ISSUE_UNUSABLE,
            translation_placeholders={"folder": str(folder), "problem": catalogue.problem},
        )
    return catalogue


def _load(folder: Path) -> QuirkCatalogue:
    try:
        return QuirkCatalogue(quirks=load_quirks(folder))
    except QuirkFileError as err:
        return QuirkCatalogue(quirks=load_quirks(), problem=err.reason)
