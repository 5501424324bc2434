"""A real Home Assistant in a process of its own, set up the way a user does it: onboarding, flows, actions."""

from collections.abc import Mapping
import json
from pathlib import Path
import shutil
import socket
import sys
from typing import Any

import httpx

from .children import ROOT, Child, Children, StageError
from .home_requirements import NOT_NEEDED, put_stand_ins

USER = "demo"
DOMAIN = "cellular_uplink"
type Json = dict[str, Any]

_CONFIGURATION = """\
homeassistant:
  name: Cabin
  time_zone: UTC
  country: SE
  latitude: 63.4
  longitude: 13.08
  unit_system: metric
automation: !include automations.yaml
config:
frontend:
input_boolean:
  movement:
    name: Movement at the cabin
    icon: mdi:motion-sensor
logger:
  default: info
system_health:
"""


class HomeAssistant:
    """Starts Home Assistant in `folder` and speaks to it over HTTP, as its own frontend does."""

    def __init__(self, children: Children, folder: Path) -> None:
        """Lay out the configuration folder. Nothing runs yet."""
        self._children = children
        self._child: Child | None = None
        self.config = folder / "config"
        self.workplace = folder / "elsewhere"
        port = _free_port()
        self.address = f"http://127.0.0.1:{port}"
        self.tokens: Json = {}
        self._client = httpx.Client(base_url=self.address, timeout=60)
        storage = self.config / ".storage"
        storage.mkdir(parents=True)
        self.workplace.mkdir()
        (self.config / "configuration.yaml").write_text(_CONFIGURATION)
        (self.config / "automations.yaml").write_text("[]\n")
        self._stand_ins = folder / "stand-ins"
        put_stand_ins(self._stand_ins)
        # A port given in YAML would be on trial only: Home Assistant leaves it after 5 minutes.
        _store(storage / "http", 1, {"server_host": ["127.0.0.1"], "server_port": port})
        # The steps that would add a weather service and a radio directory, and ask about statistics, are done already.
        _store(storage / "onboarding", 4, {"done": ["core_config", "analytics"]})

    def install_integration(self) -> None:
        """Copy the integration's folder, and nothing else, to where HACS puts it."""
        shutil.copytree(
            ROOT / "custom_components" / DOMAIN,
            self.config / "custom_components" / DOMAIN,
            ignore=shutil.ignore_patterns("__pycache__"),
        )

    def launch(self) -> None:
        """Start the process; `wait_until_up` waits for it."""
        argv: list[str | Path] = [sys.executable, "-m", "homeassistant", "--config", self.config]
        argv += ["--skip-pip-packages", ",".join(NOT_NEEDED), "--log-no-color"]
        self._child = self._children.start(
            "Home Assistant", argv, cwd=self.workplace, set_env={"PYTHONPATH": str(self._stand_ins)}
        )

    def wait_until_up(self) -> None:
        """Return when Home Assistant answers over HTTP."""
        self._children.wait_for(self._running, "starting", 120, self._onboarding_is_there)

    def create_user(self, password: str) -> None:
        """Go through onboarding: the owner's account, and a session for it."""
        client_id = f"{self.address}/"
        owner = {"name": "Demo", "username": USER, "password": password, "client_id": client_id, "language": "en"}
        code = self.post("/api/onboarding/users", owner)["auth_code"]
        form = {"client_id": client_id, "grant_type": "authorization_code", "code": code}
        answer = self._client.post("/auth/token", data=form)
        self.tokens = self._checked(answer, "logging in") | {"hassUrl": self.address, "clientId": client_id}
        self._client.headers["Authorization"] = f"Bearer {self.tokens['access_token']}"
        self.post(
            "/api/onboarding/integration", {"client_id": client_id, "redirect_uri": f"{client_id}?auth_callback=1"}
        )

    def wait_until_started(self) -> str:
        """Return the version once everything of the start-up is done."""

        def probe() -> str | None:
            told = self.get("/api/config")
            return str(told["version"]) if told["state"] == "RUNNING" else None

        return self._children.wait_for(self._running, "finishing its start", 60, probe)

    def run_flow(self, handler: str, answers: Mapping[str, Json]) -> Json:
        """Go through a config flow; `answers` says what to fill in at each step. Returns the flow's result."""
        path = "/api/config/config_entries/flow"
        return self._finish_flow(path, self.post(path, {"handler": handler}), answers)

    def run_next_flow(self, result: Json, answers: Mapping[str, Json]) -> Json:
        """Go through the subentry flow that a config flow has opened after itself, as the frontend does."""
        path = "/api/config/config_entries/subentries/flow"
        kind, flow_id = result.get("next_flow") or (None, None)
        if kind != "config_subentries_flow":
            raise StageError("the set-up of the modem did not go on with a destination", self._running.log)
        return self._finish_flow(path, self.get(f"{path}/{flow_id}"), answers)

    def save_automation(self, key: str, automation: Json) -> None:
        """Save an automation as the editor in the user interface does."""
        self.post(f"/api/config/automation/config/{key}", automation)

    def act(self, domain: str, action: str, data: Json) -> None:
        """Call an action."""
        self.post(f"/api/services/{domain}/{action}", data)

    def act_for_response(self, domain: str, action: str, data: Json) -> Json:
        """Call an action and return its response."""
        response: Json = self.post(f"/api/services/{domain}/{action}?return_response", data)["service_response"]
        return response

    def render(self, template: str) -> str:
        """Return what a template gives."""
        answer = self._client.post("/api/template", json={"template": template})
        if answer.is_error:
            raise StageError(f"Home Assistant refused a template: {answer.text}", self._running.log)
        return answer.text

    def states(self) -> dict[str, Json]:
        """Return every state by entity id."""
        return {state["entity_id"]: state for state in self.get("/api/states")}

    def get(self, path: str) -> Any:  # noqa: ANN401  JSON
        """GET JSON."""
        return self._checked(self._client.get(path), path)

    def post(self, path: str, data: Json) -> Any:  # noqa: ANN401  JSON
        """POST JSON, get JSON."""
        try:
            answer = self._client.post(path, json=data, timeout=300)
        except httpx.HTTPError as err:
            self._children.check()
            raise StageError(f"Home Assistant did not answer {path}: {err}", self._running.log) from err
        return self._checked(answer, path)

    @property
    def log(self) -> Path:
        """Return where Home Assistant's log is."""
        return self._running.log

    @property
    def _running(self) -> Child:
        if self._child is None:
            raise StageError("Home Assistant has not been started")
        return self._child

    def _onboarding_is_there(self) -> bool | None:
        try:
            return True if self._client.get("/api/onboarding", timeout=2).is_success else None
        except httpx.HTTPError:
            return None

    def _finish_flow(self, path: str, result: Json, answers: Mapping[str, Json]) -> Json:
        while result["type"] != "create_entry":
            if result["type"] == "abort":
                raise StageError(f"a set-up dialog stopped: {result['reason']}", self._running.log)
            if result.get("errors"):
                raise StageError(
                    f"a set-up dialog refused its input: {json.dumps(result['errors'])}", self._running.log
                )
            if (step := str(result.get("step_id"))) not in answers:
                raise StageError(f"a set-up dialog asks for something unexpected: {step}", self._running.log)
            result = self.post(f"{path}/{result['flow_id']}", answers[step])
        return result

    def _checked(self, answer: httpx.Response, what: str) -> Any:  # noqa: ANN401  JSON
        if answer.is_error:
            told = answer.text.strip()[:500] or answer.reason_phrase
            raise StageError(f"Home Assistant answered {answer.status_code} to {what}: {told}", self._running.log)
        return answer.json()


def device_of(home: HomeAssistant, entity_id: str) -> str:
    """Return the id of the device an entity belongs to."""
    return home.render(f"{{{{ device_id({json.dumps(entity_id)}) }}}}").strip()


def entities_of(home: HomeAssistant, domain: str) -> list[str]:
    """Return the entity ids of an integration."""
    found: list[str] = json.loads(home.render(f"{{{{ integration_entities({json.dumps(domain)}) | sort | to_json }}}}"))
    return found


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port: int = listener.getsockname()[1]
        return port


def _store(path: Path, version: int, data: Json) -> None:
    path.write_text(json.dumps({"version": version, "minor_version": 1, "key": path.name, "data": data}))
