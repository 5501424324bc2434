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
    Switch("cmee", ("profile", "0", "1", "2"), "1", "factory setting of AT+CMEE", defaults={ML307R: "profile"}),
    Switch("boot", _YES_NO, "no", "start with the boot sequence instead of being up"),
    Switch("boot_s", float, "5", "seconds from power-on or reset until the modem listens"),
    Switch("app_rdy", _YES_NO, "yes", "APP RDY follows RDY", (BG96,)),
    Switch("app_rdy_s", float, "0", "seconds from RDY to the other boot lines", (BG96,)),
    Switch("error_window", _YES_NO, "no", "until APP RDY every command is an ERROR (seen on BG95)", (BG96,)),
    Switch("power_down", ("powered", "normal"), "powered", "POWERED DOWN, or NORMAL POWER DOWN as on BG95", (BG96,)),
    Switch("power_down_s", float, "0", "seconds from the OK of AT+QPOWD or AT+MPOF until it is off"),
    Switch("pdpdeact_at_reboot", _YES_NO, "no", 'a stray +QIURC: "pdpdeact",1 follows POWERED DOWN', (BG96,)),
    Switch("times", ("none", "typical", "max"), "none", "how long commands block: the manuals' times"),
    Switch("overrun", ("never", "unflowed", "always"), "never", "input beyond the UART's buffer is lost, not held"),
    Switch("uart_buffer_bytes", int, "4096", "the UART's receive buffer, for overrun"),
    Switch("uart_drain_bytes_s", int, "0", "bytes a second the modem takes from it, for overrun (0: any)"),
    Switch("sleep_after_s", float, "0", "seconds of silence until sleep, where sleep is allowed (0: never)"),
    Switch("wake_s", float, "0.05", "seconds from the first byte until the modem hears again", (ML307R,)),
    Switch("wake_byte", _YES_NO, "yes", "0xE0 precedes what is said after sleep", (ML307R,)),
    Switch("wake_matready", _YES_NO, "no", "+MATREADY comes again after sleep", (ML307R,)),
    # Multiplexer
    Switch("cmux", _YES_NO, "yes", "AT+CMUX exists (not in the ML307R's manuals)", defaults={ML307R: "no"}),
    Switch("cmux_channels", int, "4", "highest DLCI"),
    Switch("cmux_n1_max", int, "1500", "largest N1"),
    Switch("cmux_settle_s", float, "0", "seconds after AT+CMUX in which frames are lost (BG95: 0.1)"),
    Switch("cmux_exit", _YES_NO, "yes", "CLD, or DISC on DLCI 0, leads back to AT", defaults={BG96: "no"}),
    Switch("cmux_ipr", ("error", "ok"), "error", "AT+IPR within the multiplexer"),
    Switch("cmux_msc", _YES_NO, "yes", "the modem sends MSC once a channel is open"),
    Switch("cmux_urc_dlci", int, "1", "the channel for unsolicited lines"),
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
    Switch("radio", ("cat-m1", "cat-nb1", "gsm"), "cat-m1", "access technology", (BG96,)),
    Switch("qcsq_act", str, "", "access technology as AT+QCSQ spells it (eMTC, LTE; empty: as radio)", (BG96,)),
    Switch("qnwinfo_act", str, "CAT-M1", "access technology as AT+QNWINFO spells it", (BG96,)),
    Switch("cgreg", ("zero", "follow"), "zero", "AT+CGREG stays 0 on LTE, or follows", (BG96,)),
    Switch("creg", _YES_NO, "no", "AT+CREG exists", (ML307R,)),
    Switch("sim_busy_s", float, "0", "seconds after a boot in which the card is busy (CME 14)"),
    Switch("signal_walk_db", int, "0", "signal values move up and down by so much, a step for each question"),
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
    Switch("ntp_server", str, "pool.ntp.org", "asked when a command names none", (ML307R,)),
    Switch("guard_s", float, "1", "seconds of silence before and after +++"),
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
    # Files
    Switch("ufs_free_bytes", int, "12987840", "bytes free while there are no files", (BG96,)),
    Switch("qflst_prefix", _YES_NO, "no", "QFLST shows UFS: before the name", (BG96,)),
    Switch("qfdel_missing", ("405", "418"), "405", "code for deleting what is not there", (BG96,)),
    Switch("qfupl_timeout", ("idle", "total"), "idle", "what the time-out of QFUPL and QFWRITE counts", (BG96,)),
    Switch("file_timeout", ("short", "cme421"), "short", "after it: +QFUPL: with what came, or CME 421", (BG96,)),
    # TLS and HTTP
    Switch("sni", _YES_NO, "no", 'AT+QSSLCFG="sni" exists', (BG96,)),
    Switch("qsslrecv_zero", _YES_NO, "no", "QSSLRECV with 0 gives the counters instead of ERROR", (BG96,)),
    Switch("sni_hosts", str, "", "hosts (a,b) that refuse a client without SNI", (BG96,)),
    Switch("clock", ("right", "1980"), "right", "the modem's clock, if ignorelocaltime is 0", (BG96,)),
    Switch("http_dns_error", ("714", "716"), "714", "code for a name that cannot be resolved", (BG96,)),
    Switch("http_response_timeout", ("702", "728"), "702", "code when the response takes too long", (BG96,)),
    Switch("http_input_timeout", ("total", "idle"), "total", "what the input time of QHTTPPOST counts", (BG96,)),
    Switch("http_connect_timeout_s", float, "125", "seconds until a connection is given up (716)", (BG96,)),
    Switch("http_connect_error", ("cme", "urc"), "cme", "QHTTPPOST that cannot connect: CME, or OK and URC", (BG96,)),
    Switch("qhttpread_blank_line", _YES_NO, "no", "one more CR LF after the data of QHTTPREAD", (BG96,)),
    Switch("http_chunked", ("decoded", "raw"), "decoded", "how QHTTPREAD gives a chunked response", (BG96,)),
    # Firmware defects; "profile" is what --firmware tells
    Switch("https_postfile", ("profile", "works", "bit11", "719"), "profile", "https QHTTPPOSTFILE", (BG96,)),
    Switch("https_post", ("profile", "works", "bit11", "719"), "profile", "https QHTTPPOST", (BG96,)),
    Switch(
        "late_last_packet",
        ("profile", "no", "bad", "every"),
        "profile",
        "the last packet of a long https post leaves after the answer: on lengths that fail, or on all",
        (BG96,),
    ),
    Switch("error_719", ("urc", "cme"), "urc", "719 comes as +QHTTPPOST: 719, or as +CME ERROR: 719", (BG96,)),
    Switch("qird_blank_line", _YES_NO, "no", "one more CR LF after the data of QIRD", (BG96,)),
    Switch("mip_ids", ("5", "6"), "6", "number of socket ids", (ML307R,)),
    Switch("mipsend_urc", _YES_NO, "yes", "+MIPSEND: id,len before the OK", (ML307R,)),
    Switch("mipclose_urc", _YES_NO, "yes", "+MIPCLOSE: id after the OK", (ML307R,)),
    Switch("open_before_ok", _YES_NO, "no", "+MIPOPEN: comes before its OK", (ML307R,)),
    Switch("transparent_close", ("disconn", "no_carrier"), "disconn", "a peer's close in transparent mode", (ML307R,)),
    Switch("tls_sni", ("always", "set"), "always", 'TLS names the server, or only after MSSLCFG "sni"', (ML307R,)),
    Switch("msslcfg_sni", _YES_NO, "yes", 'AT+MSSLCFG="sni" exists', (ML307R,)),
    Switch("tls_no_common", ("753", "754"), "753", "code for a server whose suites the modem lacks", (ML307R,)),
    # The modem's HTTP client; "profile" is what --firmware tells
    Switch("ind_crlf", _YES_NO, "yes", 'CR LF follow +MHTTPURC: "ind",id', (ML307R,)),
    Switch("inline_quotes", _YES_NO, "no", "typed HTTP data may hold quotes", (ML307R,)),
    Switch("mhttp_redirect", _YES_NO, "yes", "redirects are followed", (ML307R,)),
    Switch("delete_needs_100ms", _YES_NO, "no", "two AT+MHTTPDEL within 100 ms: CME 653", (ML307R,)),
    Switch("content_total_max", int, "1048576", "bytes of content before a request; more is CME 23", (ML307R,)),
    Switch("content_stall_s", float, "1", "seconds until err 5 after a content beyond content_single_max", (ML307R,)),
    Switch("mhttp_prompt", ("profile", "works", "error50"), "profile", "MHTTPCONTENT at the prompt", (ML307R,)),
    Switch("mhttp_hex", ("profile", "works", "broken"), "profile", "MHTTPCONTENT in hexadecimal", (ML307R,)),
    Switch("mhttp_escape", ("profile", "works", "broken"), "profile", "MHTTPCONTENT with escapes", (ML307R,)),
    Switch("mhttp_raw_error", ("profile", "cme50", "plain"), "profile", "raw content of another length", (ML307R,)),
    Switch(
        "nonchunked_content_error",
        ("profile", "none", "65", "650", "653"),
        "profile",
        "CME code of MHTTPCONTENT unless chunked",
        (ML307R,),
    ),
    Switch(
        "content_single_max",
        ("profile", "none", "512", "1024", "2048", "4096"),
        "profile",
        'a larger chunk hangs: no OK, then "err" 5',
        (ML307R,),
    ),
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
