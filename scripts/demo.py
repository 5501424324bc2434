"""A picture leaves a real Home Assistant, crosses a simulated modem and arrives at a real HTTPS server.

Started by scripts/demo. Progress goes to stderr, the report to stdout.
"""

import argparse
from collections.abc import Callable
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
import json
from pathlib import Path
import secrets
import sys
import tempfile
import time
from typing import Any
from urllib.parse import urlsplit

from stage.children import Children, StageError, StoppedError, stop_on_signals
from stage.home_assistant import DOMAIN, USER, HomeAssistant, device_of, entities_of
from stage.picture import draw_picture
from stage.receiver import Receiver, digest, start_receiver
from stage.virtual_modem import MODEMS, VirtualModem, start_modem

type Say = Callable[[str], None]
type Json = dict[str, Any]
AUTOMATION = "cabin_movement"
CAMERA = "camera.cabin"
HELPER = "input_boolean.movement"


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What the demo prints with --json."""

    ok: bool
    modem: str
    firmware: str
    route: str
    picture_bytes: int
    sha256_sent: str
    sha256_received: str | None
    duration_s: float
    ha_version: str
    sensors: dict[str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """The server pictures go to: ours, or the caller's."""

    url: str
    ca_pem: str
    receiver: Receiver | None


def main() -> int:
    """Run the demo; return the exit status."""
    args = _arguments()
    stop_on_signals()
    started = time.monotonic()

    def say(what: str) -> None:
        print(f"demo: {time.monotonic() - started:5.1f} s  {what}", file=sys.stderr, flush=True)

    try:
        return _perform(args, say)
    except StageError as err:
        if args.json:
            print(json.dumps({"ok": False, "modem": args.modem, "error": str(err)}))
        print(f"demo: failed: {err}" + (f"\n--- the end of the log:\n{err.tail}" if err.tail else ""), file=sys.stderr)
        return 1
    except StoppedError as err:
        say(f"stopped ({err}); nothing is left behind")
        return err.exit_status


def _perform(args: argparse.Namespace, say: Say) -> int:
    picture = _picture(args.picture)
    with tempfile.TemporaryDirectory(prefix="cellular-uplink-demo-") as folder, Children(Path(folder)) as children:
        show = _Demo(args, children, Path(folder), picture, say)
        outcome, report = show.run()
        print(json.dumps(asdict(outcome)) if args.json else report, flush=True)
        if args.stay:
            try:
                show.stay(sys.stderr if args.json else sys.stdout)
            except StoppedError:
                say("stopping everything")
    return 0 if outcome.ok else 1


class _Demo:
    """The show, act by act."""

    def __init__(self, args: argparse.Namespace, children: Children, folder: Path, picture: bytes, say: Say) -> None:
        self._args = args
        self._children = children
        self._folder = folder
        self._picture = picture
        self._say = say
        self._password = secrets.token_urlsafe(9)
        self._home = HomeAssistant(children, folder)

    def run(self) -> tuple[Outcome, str]:
        """Set the stage, send two pictures, compare."""
        home, say = self._home, self._say
        home.install_integration()
        home.launch()
        say("starting a simulated modem, an HTTPS server and Home Assistant")
        modem = start_modem(
            self._children, self._folder, modem=self._args.modem, firmware=self._args.firmware, baud=self._args.baud
        )
        target = self._target()
        (self._folder / "cabin.jpg").write_bytes(self._picture)
        home.wait_until_up()
        home.create_user(self._password)
        version = home.wait_until_started()
        say(f"Home Assistant {version} is up at {home.address}; setting up a camera, the modem and a destination")
        home.run_flow("local_file", {"user": {"name": "Cabin", "file_path": str(self._folder / "cabin.jpg")}})
        event = self._set_up_integration(modem, target)
        destination = device_of(home, event)
        home.save_automation(AUTOMATION, _automation(destination))
        self._children.wait_for(modem.child, "saving the automation", 20, lambda: _automation_is_there(home))

        say("movement at the cabin: the automation sends a picture")
        home.act("input_boolean", "turn_on", {"entity_id": HELPER})
        by_automation = self._wait_for_event(event, modem)
        say("once more, by calling the action and asking for its response")
        response = home.act_for_response(
            DOMAIN, "upload_snapshot", {"destination": destination, "entity_id": CAMERA, "file_name": "cabin.jpg"}
        )
        sensors = self._sensors()
        outcome = self._compare(response, target, version, {key: value for key, _, value in sensors})
        return outcome, _report(self._args, outcome, by_automation, response, sensors, target)

    def stay(self, output: Any) -> None:  # noqa: ANN401  a text stream
        """Leave everything up until a signal comes, and say when a picture arrives."""
        print(
            f"\nHome Assistant  {self._home.address}\nuser            {USER}\npassword        {self._password}\n"
            'Switch on "Movement at the cabin" to send another picture. Ctrl-C stops everything.',
            file=output,
            flush=True,
        )
        store = self._folder / "received"
        seen = len(list(store.glob("*.json")))
        while True:
            self._children.check()
            time.sleep(0.3)
            if (count := len(list(store.glob("*.json")))) > seen:
                seen = count
                self._say(f"picture {count} has arrived")

    def _target(self) -> Target:
        if self._args.url:
            ca_pem = self._args.ca.read_text() if self._args.ca else ""
            return Target(url=self._args.url, ca_pem=ca_pem, receiver=None)
        receiver = start_receiver(self._children, self._folder)
        return Target(url=receiver.url, ca_pem=receiver.ca_pem, receiver=receiver)

    def _set_up_integration(self, modem: VirtualModem, target: Target) -> str:
        """Go through the integration's own flows; return the destination's event entity."""
        home = self._home
        baudrate = self._args.baud if self._args.baud.isdecimal() else "auto"
        answers: Json = {
            "device": str(modem.port),
            "baudrate": baudrate,
            "apn": "internet",
            "network": {"ip_type": "ipv4"},
        }
        entry = home.run_flow(DOMAIN, {"user": answers})
        answers = {
            "name": "Picture server",
            "url": target.url,
            "method": "POST",
            "format": self._args.format,
            "file_field": "file",
            "extras": {"headers": "X-Station: cabin"},
            "authentication": {"auth": "none"},
            "qiniu": {},
            "tls": {"verify_ssl": True, "ca": target.ca_pem},
        }
        home.run_next_flow(entry, {"user": answers})

        def probe() -> str | None:
            events = [entity_id for entity_id in entities_of(home, DOMAIN) if entity_id.startswith("event.")]
            states = home.states()
            return next(
                (key for key in events if states.get(key, {}).get("state", "unavailable") != "unavailable"), None
            )

        return self._children.wait_for(modem.child, "setting up the modem", 60, probe)

    def _wait_for_event(self, event: str, modem: VirtualModem) -> Json:
        def probe() -> Json | None:
            attributes: Json = self._home.states()[event]["attributes"]
            return attributes if attributes.get("event_type") else None

        told = self._children.wait_for(modem.child, "the automation's upload", self._patience_s(), probe)
        if told["event_type"] != "completed":
            error = told.get("error") or {}
            reason = error.get("message") or told.get("state")
            raise StageError(f"the automation's upload failed: {reason}", self._home.log)
        return told

    def _patience_s(self) -> float:
        baud = int(self._args.baud) if self._args.baud.isdecimal() else 115_200
        return 60 + 4 * len(self._picture) * 10 / baud

    def _sensors(self) -> list[tuple[str, str, str]]:
        """Return entity id, name and value with unit of the modem's sensors."""
        states = self._home.states()
        rows = []
        for entity_id in entities_of(self._home, DOMAIN):
            if not entity_id.startswith("sensor.") or entity_id not in states:
                continue
            state, attributes = states[entity_id]["state"], states[entity_id]["attributes"]
            unit = "" if state in ("unknown", "unavailable") else attributes.get("unit_of_measurement", "")
            value = f"{state} {unit}".strip()
            rows.append((entity_id, str(attributes.get("friendly_name", entity_id)), value))
        return rows

    def _compare(self, response: Json, target: Target, version: str, sensors: dict[str, str]) -> Outcome:
        sent = digest(self._picture)
        ok, received = bool(response["ok"]), None
        if target.receiver:
            arrived = [digest(request.picture) for request in target.receiver.received()]
            received = arrived[-1] if arrived else None
            ok = ok and arrived == [sent, sent]
        firmware = next((value for key, value in sensors.items() if key.endswith("_firmware")), "unknown")
        return Outcome(
            ok=ok,
            modem=self._args.modem,
            firmware=firmware,
            route=str(response["route"]),
            picture_bytes=len(self._picture),
            sha256_sent=sent,
            sha256_received=received,
            duration_s=float(response["duration_s"]),
            ha_version=version,
            sensors=sensors,
        )


def _automation(destination: str) -> Json:
    return {
        "alias": "Send a picture when something moves at the cabin",
        "triggers": [{"trigger": "state", "entity_id": HELPER, "to": "on"}],
        "conditions": [],
        "actions": [
            {"action": f"{DOMAIN}.upload_snapshot", "data": {"destination": destination, "entity_id": [CAMERA]}},
            {"action": "input_boolean.turn_off", "target": {"entity_id": HELPER}},
        ],
        "mode": "single",
    }


def _automation_is_there(home: HomeAssistant) -> bool | None:
    found = [state for key, state in home.states().items() if key.startswith("automation.")]
    return True if any(state["state"] == "on" for state in found) else None


def _report(
    args: argparse.Namespace,
    outcome: Outcome,
    by_automation: Json,
    response: Json,
    sensors: list[tuple[str, str, str]],
    target: Target,
) -> str:
    if target.receiver is None:
        verdict = f"both pictures were taken with HTTP {response['http_status']} by {urlsplit(target.url).netloc}"
    elif outcome.ok:
        verdict = "both pictures arrived, byte for byte what was sent"
    else:
        verdict = "WHAT ARRIVED IS NOT WHAT WAS SENT"
    lines = [
        "",
        f"Home Assistant {outcome.ha_version} -> {outcome.modem.upper()} (simulated) -> {_server(target)}:",
        f"{verdict}.",
        "",
        f"  firmware    {outcome.firmware}",
        f"  picture     {outcome.picture_bytes} bytes, SHA-256 {outcome.sha256_sent[:16]}...",
        f"  route       {outcome.route}",
        f"  automation  {_pace(by_automation, args.baud)}",
        f"  action      {_pace(response, args.baud)}",
        "  sensors",
    ]
    width = max((len(name) for _, name, _ in sensors), default=0)
    lines += [f"    {name:<{width}}  {value}" for _, name, value in sensors]
    return "\n".join(lines)


def _server(target: Target) -> str:
    return f"{urlsplit(target.url).scheme.upper()} server"


def _pace(upload: Json, baud: str) -> str:
    seconds, count = float(upload["duration_s"]), int(upload["request_bytes"])
    if not baud.isdecimal():
        return f"{seconds:.1f} s, line not paced"
    share = count / seconds / (int(baud) / 10)
    return f"{seconds:.1f} s, {share:.0%} of what {baud} baud can carry, connecting included"


def _picture(path: Path | None) -> bytes:
    if path is None:
        return draw_picture(datetime.now(UTC))
    content = path.read_bytes()
    if not content:
        raise StageError(f"{path} is empty")
    return content


def _baud(text: str) -> str:
    if text != "unpaced" and not (text.isdecimal() and int(text) >= 1200):
        raise argparse.ArgumentTypeError("must be a number of at least 1200, or unpaced")
    return text


def _file(text: str) -> Path:
    path = Path(text).absolute()
    if not path.is_file():
        raise argparse.ArgumentTypeError(f"{text} is not a file")
    return path


def _url(text: str) -> str:
    if not text.startswith(("http://", "https://")) or not urlsplit(text).hostname:
        raise argparse.ArgumentTypeError("must start with http:// or https:// and name a host")
    return text


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="scripts/demo", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--modem", choices=MODEMS, default="bg96", help="the modem to simulate (default: bg96)")
    parser.add_argument("--firmware", metavar="STR", help="the firmware it reports")
    parser.add_argument(
        "--baud", metavar="N", type=_baud, default="115200", help="line rate (default: 115200), or unpaced"
    )
    parser.add_argument("--stay", action="store_true", help="leave everything up to click around, until Ctrl-C")
    parser.add_argument("--json", action="store_true", help="print one JSON object instead of the report")
    parser.add_argument("--picture", metavar="FILE", type=_file, help="send this picture instead of the drawn one")
    parser.add_argument("--url", metavar="URL", type=_url, help="send it there instead of to the demo's own server")
    parser.add_argument("--ca", metavar="PEM", type=_file, help="with --url: the authority to trust")
    parser.add_argument(
        "--format",
        choices=("multipart", "raw", "json"),
        default="multipart",
        help="body of the request (default: multipart)",
    )
    args = parser.parse_args()
    if args.ca and not args.url:
        parser.error("--ca needs --url")
    return args


if __name__ == "__main__":
    sys.exit(main())
