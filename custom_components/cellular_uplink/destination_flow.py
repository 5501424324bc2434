"""Set-up of a destination: where pictures go and how. Nothing is sent to try it: that would cost the user data."""

from collections.abc import Mapping, Sequence
from typing import Any

from homeassistant.config_entries import ConfigSubentry, ConfigSubentryFlow, SubentryFlowResult
from homeassistant.const import (
    CONF_HEADERS,
    CONF_METHOD,
    CONF_NAME,
    CONF_PASSWORD,
    CONF_TOKEN,
    CONF_URL,
    CONF_USERNAME,
    CONF_VERIFY_SSL,
)
from homeassistant.data_entry_flow import section
from homeassistant.helpers.selector import (
    BooleanSelector,
    SelectSelector,
    SelectSelectorConfig,
    SelectSelectorMode,
    TextSelector,
    TextSelectorConfig,
    TextSelectorType,
)
import voluptuous as vol

from .const import (
    CONF_AUTH,
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
    CONF_QINIU,
    CONF_QINIU_ACCESS_KEY,
    CONF_QINIU_BUCKET,
    CONF_QINIU_KEY,
    CONF_QINIU_OVERWRITE,
    CONF_QINIU_REGION,
    CONF_QINIU_SECRET_KEY,
)
from .modem.errors import InputError
from .modem.routes.plan import RouteName, TlsPlace
from .modem.upload.qiniu import CUSTOM_PREFIXES, DEFAULT_KEY, DEFAULT_REGION, REGIONS
from .modem.upload.request import AuthMethod, UploadFormat, check_destination, check_text
from .settings import (
    DELIVERY_DEFAULTS,
    ROUTE_AUTO,
    Check,
    InDoubt,
    check_delivery,
    checked_ca,
    destination_choices,
    destination_settings,
    destination_ssl_context,
)

MAX_NAME_CHARS = 100

SECTION_AUTH = "authentication"
SECTION_DELIVERY = CONF_DELIVERY
SECTION_EXTRAS = "extras"
SECTION_QINIU = CONF_QINIU
SECTION_TLS = "tls"


def _select(options: Sequence[str], translation_key: str) -> SelectSelector:
    return SelectSelector(
        SelectSelectorConfig(
            options=list(map(str, options)), mode=SelectSelectorMode.DROPDOWN, translation_key=translation_key
        )
    )


_LINES = TextSelector(TextSelectorConfig(multiline=True))
_SECRET = TextSelector(TextSelectorConfig(type=TextSelectorType.PASSWORD, autocomplete="off"))


def _delivery(name: str) -> vol.Required:
    return vol.Required(name, default=DELIVERY_DEFAULTS[name])


DELIVERY_SCHEMA = vol.Schema(
    {
        _delivery(CONF_DELIVERY_ROUTE): _select([ROUTE_AUTO, *RouteName], CONF_DELIVERY_ROUTE),
        _delivery(CONF_DELIVERY_TLS_BY): _select([TlsPlace.HOST, TlsPlace.MODEM], CONF_DELIVERY_TLS_BY),
        _delivery(CONF_DELIVERY_IN_DOUBT): _select(list(InDoubt), CONF_DELIVERY_IN_DOUBT),
        _delivery(CONF_DELIVERY_CHECK): _select(list(Check), CONF_DELIVERY_CHECK),
        vol.Optional(CONF_DELIVERY_CHECK_URL): TextSelector(TextSelectorConfig(type=TextSelectorType.URL)),
        _delivery(CONF_DELIVERY_DIGEST): BooleanSelector(),
        _delivery(CONF_DELIVERY_CHUNKED): BooleanSelector(),
        _delivery(CONF_DELIVERY_PADS_BODY): BooleanSelector(),
    }
)

DESTINATION_SCHEMA = vol.Schema(
    {
        vol.Required(CONF_NAME): TextSelector(),
        vol.Optional(CONF_URL): TextSelector(TextSelectorConfig(type=TextSelectorType.URL, autocomplete="url")),
        vol.Required(CONF_METHOD, default="POST"): SelectSelector(
            SelectSelectorConfig(options=["POST", "PUT"], mode=SelectSelectorMode.DROPDOWN)
        ),
        vol.Required(CONF_FORMAT, default=UploadFormat.MULTIPART.value): _select(
            [body_format.value for body_format in UploadFormat], CONF_FORMAT
        ),
        vol.Required(CONF_FILE_FIELD, default="file"): TextSelector(),
        vol.Required(SECTION_EXTRAS): section(
            vol.Schema({vol.Optional(CONF_FIELDS): _LINES, vol.Optional(CONF_HEADERS): _LINES}),
            {"collapsed": True},
        ),
        vol.Required(SECTION_AUTH): section(
            vol.Schema(
                {
                    vol.Required(CONF_AUTH, default=AuthMethod.NONE.value): _select(
                        [method.value for method in AuthMethod], CONF_AUTH
                    ),
                    vol.Optional(CONF_USERNAME): TextSelector(TextSelectorConfig(autocomplete="off")),
                    vol.Optional(CONF_PASSWORD): _SECRET,
                    vol.Optional(CONF_TOKEN): _SECRET,
                }
            ),
            {"collapsed": True},
        ),
        vol.Required(SECTION_QINIU): section(
            vol.Schema(
                {
                    vol.Optional(CONF_QINIU_ACCESS_KEY): TextSelector(TextSelectorConfig(autocomplete="off")),
                    vol.Optional(CONF_QINIU_SECRET_KEY): _SECRET,
                    vol.Optional(CONF_QINIU_BUCKET): TextSelector(TextSelectorConfig(autocomplete="off")),
                    vol.Required(CONF_QINIU_REGION, default=DEFAULT_REGION): SelectSelector(
                        SelectSelectorConfig(options=list(REGIONS), mode=SelectSelectorMode.DROPDOWN, custom_value=True)
                    ),
                    vol.Required(CONF_QINIU_KEY, default=DEFAULT_KEY): TextSelector(),
                    vol.Required(CONF_QINIU_OVERWRITE, default=False): BooleanSelector(),
                }
            ),
            {"collapsed": True},
        ),
        vol.Required(SECTION_TLS): section(
            vol.Schema(
                {
                    vol.Required(CONF_VERIFY_SSL, default=True): BooleanSelector(),
                    vol.Optional(CONF_CA): _LINES,
                }
            ),
            {"collapsed": True},
        ),
        # Optional, for whoever fills in the form by its former shape: all in it has a default.
        vol.Optional(SECTION_DELIVERY): section(DELIVERY_SCHEMA, {"collapsed": True}),
    }
)

_PLACES = {
    CONF_FIELDS: SECTION_EXTRAS,
    CONF_HEADERS: SECTION_EXTRAS,
    CONF_AUTH: SECTION_AUTH,
    CONF_USERNAME: SECTION_AUTH,
    CONF_PASSWORD: SECTION_AUTH,
    CONF_TOKEN: SECTION_AUTH,
    "qiniu_access_key": SECTION_QINIU,
    "qiniu_secret_key": SECTION_QINIU,
    "qiniu_bucket": SECTION_QINIU,
    "qiniu_key": SECTION_QINIU,
    "qiniu_region": SECTION_QINIU,
    CONF_CA: SECTION_TLS,
    CONF_DELIVERY_CHECK_URL: SECTION_DELIVERY,
    CONF_DELIVERY_TLS_BY: SECTION_DELIVERY,
}
"""Where the error of a field is shown: the frontend shows none inside a section, so there it stands at its head."""


class DestinationFlow(ConfigSubentryFlow):
    """Add or change a destination."""

    async def async_step_user(self, user_input: dict[str, Any] | None = None) -> SubentryFlowResult:
        """Add a destination."""
        return await self._async_step_destination("user", user_input, None)

    async def async_step_reconfigure(self, user_input: dict[str, Any] | None = None) -> SubentryFlowResult:
        """Change a destination."""
        return await self._async_step_destination("reconfigure", user_input, self._get_reconfigure_subentry())

    async def _async_step_destination(
        self, step_id: str, user_input: dict[str, Any] | None, subentry: ConfigSubentry | None
    ) -> SubentryFlowResult:
        errors: dict[str, str] = {}
        placeholders: dict[str, str] = {}
        if user_input is not None:
            try:
                name = self._checked_name(user_input[CONF_NAME].strip(), subentry)
                data = _subentry_data(user_input, subentry.data if subentry else {})
                destination = destination_settings(data)
                check_destination(destination)
                check_delivery(destination, destination_choices(data, destination))
                await self.hass.async_add_executor_job(destination_ssl_context, data)
            except InputError as err:
                errors[_PLACES.get(err.field, err.field)] = f"invalid_{err.field}"
                placeholders["reason"] = err.reason
            else:
                if subentry is None:
                    return self.async_create_entry(title=name, data=data)
                return self.async_update_and_abort(self._get_entry(), subentry, title=name, data=data)
        if user_input is None and subentry is not None:
            user_input = _form_values(subentry)
        return self.async_show_form(
            step_id=step_id,
            data_schema=self.add_suggested_values_to_schema(DESTINATION_SCHEMA, user_input),
            errors=errors,
            description_placeholders=placeholders,
        )

    def _checked_name(self, name: str, subentry: ConfigSubentry | None) -> str:
        check_text(CONF_NAME, name, maximum=MAX_NAME_CHARS, required=True)
        for other in self._get_entry().subentries.values():
            if other.title == name and (subentry is None or other.subentry_id != subentry.subentry_id):
                raise InputError(CONF_NAME, "is the name of another destination of this modem")
        return name


def _subentry_data(user_input: dict[str, Any], stored: Mapping[str, Any]) -> dict[str, Any]:
    """Return what a subentry stores. A secret left empty stays as it was; one that is not used is forgotten."""
    extras, auth, tls = user_input[SECTION_EXTRAS], user_input[SECTION_AUTH], user_input[SECTION_TLS]
    method = AuthMethod(auth[CONF_AUTH])
    username: str = auth.get(CONF_USERNAME, "") if method is AuthMethod.BASIC else ""
    password = token = ""
    if method is AuthMethod.BASIC:
        kept = stored.get(CONF_PASSWORD, "") if username == stored.get(CONF_USERNAME) else ""
        password = auth.get(CONF_PASSWORD) or kept
    elif method is AuthMethod.BEARER:
        token = auth.get(CONF_TOKEN, "").strip() or stored.get(CONF_TOKEN, "")
    is_qiniu = user_input[CONF_FORMAT] == UploadFormat.QINIU.value
    data = {
        CONF_URL: user_input.get(CONF_URL, "").strip(),
        CONF_METHOD: user_input[CONF_METHOD],
        CONF_FORMAT: user_input[CONF_FORMAT],
        CONF_FILE_FIELD: user_input[CONF_FILE_FIELD].strip(),
        CONF_FIELDS: _parsed(CONF_FIELDS, extras.get(CONF_FIELDS, ""), CUSTOM_PREFIXES[0] if is_qiniu else ""),
        CONF_HEADERS: _parsed(CONF_HEADERS, extras.get(CONF_HEADERS, "")),
        CONF_AUTH: method.value,
        CONF_USERNAME: username,
        CONF_PASSWORD: password,
        CONF_TOKEN: token,
        CONF_VERIFY_SSL: tls[CONF_VERIFY_SSL],
        CONF_CA: checked_ca(tls.get(CONF_CA, "").strip()),
        CONF_DELIVERY: _delivery_data(
            user_input.get(SECTION_DELIVERY, stored.get(CONF_DELIVERY, DELIVERY_DEFAULTS)),
            stored.get(CONF_DELIVERY, {}),
            is_qiniu=is_qiniu,
        ),
    }
    if is_qiniu:
        data[CONF_QINIU] = _qiniu_data(user_input[SECTION_QINIU], stored.get(CONF_QINIU, {}))
    return data


def _qiniu_data(given: Mapping[str, Any], stored: Mapping[str, Any]) -> dict[str, Any]:
    access_key: str = given.get(CONF_QINIU_ACCESS_KEY, "").strip()
    kept = stored.get(CONF_QINIU_SECRET_KEY, "") if access_key == stored.get(CONF_QINIU_ACCESS_KEY) else ""
    return {
        CONF_QINIU_ACCESS_KEY: access_key,
        CONF_QINIU_SECRET_KEY: given.get(CONF_QINIU_SECRET_KEY, "").strip() or kept,
        CONF_QINIU_BUCKET: given.get(CONF_QINIU_BUCKET, "").strip(),
        CONF_QINIU_REGION: given[CONF_QINIU_REGION].strip(),
        CONF_QINIU_KEY: given[CONF_QINIU_KEY].strip(),
        CONF_QINIU_OVERWRITE: given[CONF_QINIU_OVERWRITE],
    }


def _delivery_data(given: Mapping[str, Any], stored: Mapping[str, Any], *, is_qiniu: bool) -> dict[str, Any]:
    """Qiniu is never asked, and takes no chunked body: its name for a picture and its own answers do for that."""
    data = {**DELIVERY_DEFAULTS, **given}
    data[CONF_DELIVERY_CHECK_URL] = data[CONF_DELIVERY_CHECK_URL].strip()
    if is_qiniu:
        data |= {name: DELIVERY_DEFAULTS[name] for name in (CONF_DELIVERY_CHECK, CONF_DELIVERY_CHUNKED)}
    if data[CONF_DELIVERY_CHECK] == Check.NONE.value:
        # Who switches asking off leaves the URL as it was; who enters one wants it asked.
        if not is_qiniu and data[CONF_DELIVERY_CHECK_URL] not in ("", stored.get(CONF_DELIVERY_CHECK_URL)):
            raise InputError(CONF_DELIVERY_CHECK_URL, "is given, but not how to ask: choose HEAD or GET")
        data[CONF_DELIVERY_CHECK_URL] = ""
    return data


def _form_values(subentry: ConfigSubentry) -> dict[str, Any]:
    """Return a subentry as the form shows it; password, token and secret key are never sent to a browser."""
    data = subentry.data
    return {
        CONF_NAME: subentry.title,
        **{name: data[name] for name in (CONF_URL, CONF_METHOD, CONF_FORMAT, CONF_FILE_FIELD)},
        SECTION_EXTRAS: {CONF_FIELDS: _lines(data[CONF_FIELDS]), CONF_HEADERS: _lines(data[CONF_HEADERS])},
        SECTION_AUTH: {CONF_AUTH: data[CONF_AUTH], CONF_USERNAME: data[CONF_USERNAME]},
        SECTION_QINIU: {
            name: value for name, value in data.get(CONF_QINIU, {}).items() if name != CONF_QINIU_SECRET_KEY
        },
        SECTION_TLS: {CONF_VERIFY_SSL: data[CONF_VERIFY_SSL], CONF_CA: data[CONF_CA]},
        SECTION_DELIVERY: dict(data.get(CONF_DELIVERY, DELIVERY_DEFAULTS)),
    }


def _parsed(field: str, text: str, prefix: str = "") -> dict[str, str]:
    """Read "Name: value" lines, as documentation of web services shows headers; a prefix may hold a colon itself."""
    pairs: dict[str, str] = {}
    for number, line in enumerate(text.splitlines(), start=1):
        if not line.strip():
            continue
        lead = prefix if line.strip().startswith(prefix) else ""
        name, colon, value = line.strip().removeprefix(lead).partition(":")
        name = lead + name.strip()
        if not colon or not name:
            raise InputError(field, f"line {number} is not a name, a colon and a value")
        if name in pairs:
            raise InputError(field, f"line {number} names {name} again")
        pairs[name] = value.strip()
    return pairs


def _lines(pairs: Mapping[str, str]) -> str:
    return "\n".join(f"{name}: {value}" for name, value in pairs.items())
