"""Checks, while a test runs, that everything a user may get to read is in translations/en.json, with its placeholders.

Home Assistant's own check is not part of its test plug-in and leaves subentry flows out.
"""

from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
import json
from pathlib import Path
import re
from typing import Any
from unittest.mock import patch

from homeassistant.core import ServiceRegistry
from homeassistant.data_entry_flow import FlowHandler, FlowManager, FlowResult, FlowResultType, section
from homeassistant.exceptions import HomeAssistantError
from homeassistant.helpers.issue_registry import IssueRegistry
from homeassistant.helpers.selector import SelectSelector
import probatio

from custom_components.cellular_uplink.const import DOMAIN

EN: dict[str, Any] = json.loads(
    (Path(__file__).parents[2] / f"custom_components/{DOMAIN}/translations/en.json").read_text(encoding="utf-8")
)


class TranslationChecker:
    """Collects what is missing; a test that leaves problems behind fails."""

    def __init__(self) -> None:
        self.problems: list[str] = []

    @contextmanager
    def watching(self) -> Iterator[None]:
        """Watch flows, actions, exceptions and repair issues."""
        handle_step = FlowManager._async_handle_step
        register = ServiceRegistry._async_register
        call = ServiceRegistry.async_call
        init = HomeAssistantError.__init__
        create_issue = IssueRegistry.async_get_or_create
        checker = self

        async def checked_step(self: Any, flow: FlowHandler[Any, Any, Any], *args: Any) -> Any:
            result = await handle_step(self, flow, *args)
            checker.check_flow_result(flow, result)
            return result

        def checked_register(self: Any, domain: str, service: str, *args: Any, **kwargs: Any) -> None:
            register(self, domain, service, *args, **kwargs)
            if domain == DOMAIN:
                checker.check_service(service, self.async_services_internal()[domain][service].schema)

        async def checked_call(self: Any, domain: str, *args: Any, **kwargs: Any) -> Any:
            try:
                return await call(self, domain, *args, **kwargs)
            except HomeAssistantError as err:
                if domain == DOMAIN and not err.translation_key:
                    checker.problems.append(f"an action raised an untranslated {err!r}")
                raise

        def checked_init(self: HomeAssistantError, *args: Any, **kwargs: Any) -> None:
            init(self, *args, **kwargs)
            if kwargs.get("translation_domain") == DOMAIN:
                checker.check(
                    "exceptions", kwargs["translation_key"], "message", kwargs.get("translation_placeholders")
                )

        def checked_issue(self: IssueRegistry, domain: str, issue_id: str, **kwargs: Any) -> Any:
            if domain == DOMAIN:
                for text in ("title", "description"):
                    checker.check("issues", kwargs["translation_key"], text, kwargs["translation_placeholders"])
            return create_issue(self, domain, issue_id, **kwargs)

        with ExitStack() as stack:
            stack.enter_context(patch.object(IssueRegistry, "async_get_or_create", checked_issue))
            stack.enter_context(patch.object(FlowManager, "_async_handle_step", checked_step))
            stack.enter_context(patch.object(ServiceRegistry, "_async_register", checked_register))
            stack.enter_context(patch.object(ServiceRegistry, "async_call", checked_call))
            stack.enter_context(patch.object(HomeAssistantError, "__init__", checked_init))
            yield

    def check(self, *path: str | Mapping[str, Any] | None) -> None:
        """Find a text by the keys that lead to it; the last argument is the mapping of its placeholders."""
        *keys, placeholders = path
        text: Any = EN
        for key in keys:
            text = text.get(key) if isinstance(text, dict) else None
        name = ".".join(str(key) for key in keys)
        if not isinstance(text, str):
            self.problems.append(f"{name} is not translated")
            return
        given = placeholders if isinstance(placeholders, Mapping) else {}
        for placeholder in re.findall(r"{(\w+)}", text):
            if placeholder not in given:
                self.problems.append(f"{name}: no value for the placeholder {placeholder}")

    def check_flow_result(self, flow: FlowHandler[Any, Any, Any], result: FlowResult[Any, Any]) -> None:
        """Check a form, with its fields, descriptions and errors, or an abort."""
        match flow.handler:
            case str() as handler if handler == DOMAIN:
                place: tuple[str, ...] = ("config",)
            case (_, str() as subentry_type):
                place = ("config_subentries", subentry_type)
            case _:
                return
        placeholders = result.get("description_placeholders")
        if result["type"] is FlowResultType.ABORT and result.get("translation_domain") in (None, DOMAIN):
            self.check(*place, "abort", result["reason"], placeholders)
        if result["type"] is not FlowResultType.FORM:
            return
        step = (*place, "step", result["step_id"])
        self.check(*step, "title", placeholders)
        self.check(*step, "description", placeholders)
        for error in (result["errors"] or {}).values():
            self.check(*place, "error", error, placeholders)
        if result["data_schema"] is not None:
            self._check_fields(step, result["data_schema"])

    def _check_fields(self, step: tuple[str, ...], schema: probatio.Schema) -> None:
        for key, validator in schema.schema.items():
            name = str(key.schema if isinstance(key, probatio.Marker) else key)
            if isinstance(validator, section):
                self.check(*step, "sections", name, "name", None)
                self._check_fields((*step, "sections", name), validator.schema)
                continue
            self.check(*step, "data", name, None)
            self.check(*step, "data_description", name, None)
            if isinstance(validator, SelectSelector) and (selector := validator.config.get("translation_key")):
                for option in validator.config["options"]:
                    if not str(option).isdigit():
                        self.check("selector", selector, "options", str(option), None)

    def check_service(self, service: str, schema: probatio.Schema) -> None:
        """Check the names and descriptions of an action and of all its fields."""
        self.check("services", service, "name", None)
        self.check("services", service, "description", None)
        for key in schema.schema:
            self.check("services", service, "fields", str(key), "name", None)
            self.check("services", service, "fields", str(key), "description", None)
