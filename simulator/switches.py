"""Named switches for what sources disagree on, or do not tell."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

BG96 = "bg96"
ML307R = "ml307r"
_BOTH = (BG96, ML307R)
_YES_NO = ("yes", "no")


class UnknownSwitchError(ValueError):
    """A switch, or a value of one, that does not exist."""


@dataclass(frozen=True, slots=True)
class Switch:
    """One switch; `kind` is a tuple of choices, or int, float or str."""

    name: str
    kind: type[int | float | str] | tuple[str, ...]
    default: str
    meaning: str
    models: tuple[str, ...] = _BOTH
    defaults: Mapping[str, str] | None = None
    unknown: bool = False

    def default_for(self, model: str) -> str:
        """The value on this model when none is given."""
        return (self.defaults or {}).get(model, self.default)

    @property
    def values(self) -> str:
        """The possible values in words."""
        if isinstance(self.kind, tuple):
            return "|".join(self.kind)
        name = {int: "whole number", float: "number", str: "text"}[self.kind]
        return f"{name}|unknown" if self.unknown else name


SWITCHES: tuple[Switch, ...] = (
    # The line
    Switch("prompt_space", _YES_NO, "yes", "a space follows the prompt >", defaults={ML307R: "no"}),
    Switch("prompt_crlf", _YES_NO, "yes", "CR LF precede the prompt >"),
    Switch("early_data", ("accept", "drop"), "accept", "payload sent before the prompt is kept, or lost"),
    Switch("autobaud", _YES_NO, "no", "deaf and silent until AT comes at 1200 to 115200 baud", (ML307R,)),
    Switch("cmee", ("0", "1", "2"), "1", "factory setting of AT+CMEE", defaults={ML307R: "0"}),
    Switch("boot", _YES_NO, "no", "start with the boot sequence instead of being up"),
    Switch("boot_s", float, "5", "seconds from power-on or reset until the modem listens"),
    Switch("app_rdy", _YES_NO, "yes", "APP RDY follows RDY", (BG96,)),
    # Identity
    Switch("qgmr_suffix", _YES_NO, "yes", "AT+QGMR shows the sub-version", (BG96,)),
    Switch("release", str, "3.1.0.2606231027_release", "answer to AT+MSWVER", (ML307R,)),
    Switch("mswver_prefix", _YES_NO, "no", "AT+MSWVER answers +MSWVER: <release>", (ML307R,)),
    Switch("ccid", _YES_NO, "yes", "AT+CCID exists", defaults={ML307R: "no"}),
    # SIM and network
    Switch("pin_counter", _YES_NO, "yes", "AT+QPINC (BG96) or AT+CPINR (ML307R) exists"),
    Switch("sim_ready_urcs", _YES_NO, "yes", "+CPIN: READY and the like after the PIN", (BG96,)),
    Switch("plmn", str, "26201", "network code"),
    Switch("operator", str, "Simulated Mobile", "network name"),
    Switch("radio", ("cat-m1", "cat-nb1"), "cat-m1", "access technology", (BG96,)),
    Switch("qnwinfo_act", str, "CAT-M1", "access technology as AT+QNWINFO spells it", (BG96,)),
    Switch("cgreg", ("zero", "follow"), "zero", "AT+CGREG stays 0 on LTE, or follows", (BG96,)),
    Switch("creg", _YES_NO, "no", "AT+CREG exists", (ML307R,)),
    Switch("search_s", float, "2", "seconds from the start of a search until registered"),
    Switch("rssi_dbm", int, "-71", "signal strength", unknown=True),
    Switch("rsrp_dbm", int, "-98", "reference signal power", unknown=True),
    Switch("rsrq_db", int, "-11", "reference signal quality", unknown=True),
    Switch("sinr_db", int, "9", "signal to noise", unknown=True),
    Switch("cesq", _YES_NO, "no", "AT+CESQ exists", (BG96,)),
    # Packet data
    Switch("apn", str, "", "the only APN the network takes (empty: any)"),
    Switch("ipv4", str, "10.64.10.190", "address of the modem"),
    Switch("ipv6", str, "2001:db8::64:10", "address of the modem"),
    Switch("mipcall_active", ("ok", "error50"), "ok", "AT+MIPCALL=1,1 while active", (ML307R,)),
    Switch("autoconn", _YES_NO, "yes", "packet data is up once registered", (ML307R,)),
    # Sockets
    Switch("send_buffer_bytes", int, "32768", "what the modem keeps until the peer has confirmed it"),
    Switch("recv_buffer_bytes", int, "32768", "what the modem keeps until the host has read it"),
    Switch("connect_timeout_s", float, "75", "seconds until an open without its own time-out gives up"),
    Switch(
        "failed_open_holds_id", _YES_NO, "yes", "the id of a failed open is taken until closed", defaults={ML307R: "no"}
    ),
    Switch("urc_port", ("usbat", "usbmodem", "uart1"), "usbat", 'AT+QURCCFG="urcport" as stored', (BG96,)),
    Switch("result_urcs", ("asking", "urcport"), "asking", "where +QIOPEN: and boot lines go", (BG96,)),
    Switch("id_in_use", ("urc", "error"), "urc", "QIOPEN on a taken id: +QIOPEN: id,563, or ERROR", (BG96,)),
    Switch(
        "recv_rearm", ("empty", "zero"), "empty", "recv repeats after the last byte is read, or after +QIRD: 0", (BG96,)
    ),
    Switch("qird_blank_line", _YES_NO, "no", "one more CR LF after the data of QIRD", (BG96,)),
    Switch("mip_ids", ("5", "6"), "6", "number of socket ids", (ML307R,)),
    Switch("mipsend_urc", _YES_NO, "yes", "+MIPSEND: id,len before the OK", (ML307R,)),
    Switch("mipclose_urc", _YES_NO, "yes", "+MIPCLOSE: id after the OK", (ML307R,)),
    Switch("open_before_ok", _YES_NO, "no", "+MIPOPEN: comes before its OK", (ML307R,)),
    Switch("send_stall_s", float, "60", "seconds MIPSEND waits for room before CME 560", (ML307R,)),
)
_BY_NAME = {switch.name: switch for switch in SWITCHES}


class Switches:
    """The values one simulated modem runs with."""

    def __init__(self, model: str, given: Iterable[str] = ()) -> None:
        self._values = {switch.name: switch.default_for(model) for switch in SWITCHES if model in switch.models}
        for item in given:
            name, equals, value = item.partition("=")
            switch = _BY_NAME.get(name)
            if not equals or switch is None or name not in self._values:
                raise UnknownSwitchError(f"no switch {name!r} on the {model} (NAME=VALUE; see --help)")
            _check(switch, value)
            self._values[name] = value

    def text(self, name: str) -> str:
        """A value as given."""
        return self._values[name]

    def flag(self, name: str) -> bool:
        """A yes or no."""
        return self._values[name] == "yes"

    def number(self, name: str) -> int:
        """A whole number."""
        return int(self._values[name])

    def seconds(self, name: str) -> float:
        """A number of seconds."""
        return float(self._values[name])

    def level(self, name: str) -> int | None:
        """A signal value; None if unknown."""
        value = self._values[name]
        return None if value == "unknown" else int(value)


def _check(switch: Switch, value: str) -> None:
    refusal = UnknownSwitchError(f"switch {switch.name} takes {switch.values}, not {value!r}")
    if isinstance(switch.kind, tuple):
        if value not in switch.kind:
            raise refusal
    elif switch.kind is str:
        if not value.isprintable() or not value.isascii() or '"' in value:
            raise refusal
    elif not (switch.unknown and value == "unknown"):
        try:
            good = float(value) >= 0 or switch.unknown
            switch.kind(value)
        except ValueError:
            raise refusal from None
        if not good:
            raise refusal


def describe() -> str:
    """All switches, for the command line's help."""
    rows = []
    for switch in SWITCHES:
        defaults = {switch.default_for(model) for model in switch.models}
        default = (
            defaults.pop()
            if len(defaults) == 1
            else ", ".join(f"{switch.default_for(m)} on {m}" for m in switch.models)
        )
        only = "" if len(switch.models) > 1 else f" [{switch.models[0]}]"
        rows.append(f"  {switch.name}={switch.values} (default {default!r}){only}\n      {switch.meaning}")
    return "\n".join(rows)
