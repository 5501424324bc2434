"""What a simulated modem is started with."""

import argparse
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
import enum
from pathlib import Path
import sys
from typing import override

from simulator import faults as faults_of
from simulator.faults import Value
from simulator.listing import listing
from simulator.profiles import FirmwareProfile, find
from simulator.switches import BG96, ML307R, Switches, UnknownSwitchError, describe

# The rate a modem may be started at (bg96.md 6.3, ml307r.md 2).
_BAUD_RANGE = range(300, 4_000_001)
DEFAULT_IMEI = "861536030196001"
DEFAULT_IMSI = "262010000000001"
DEFAULT_ICCID = "89490200001234567890"


class SimStart(enum.Enum):
    """State of the SIM card at power-on."""

    READY = "ready"
    ABSENT = "absent"
    PIN = "pin"
    PUK = "puk"
    FAILURE = "failure"
    BUSY = "busy"


class Target(enum.Enum):
    """Where a search for a network ends."""

    HOME = "home"
    ROAMING = "roaming"
    SEARCHING = "searching"
    DENIED = "denied"


@dataclass(frozen=True, slots=True)
class Options:
    """Everything a user can choose."""

    model: str
    firmware: str
    switches: Switches
    baud: int | None = 115200
    latency_s: float = 0.005
    link: Path | None = None
    trace: Path | None = None
    sim: SimStart = SimStart.READY
    pin: str = "1234"
    puk: str = "12345678"
    pin_tries: int = 3
    registration: Target = Target.HOME
    imei: str = DEFAULT_IMEI
    imsi: str = DEFAULT_IMSI
    iccid: str = DEFAULT_ICCID
    faults: tuple[tuple[str, Mapping[str, Value]], ...] = ()
    control: str | None = None
    tcp: int | None = None

    @property
    def profile(self) -> FirmwareProfile:
        """What this firmware is reported to do wrong."""
        return find(self.model, self.firmware)

    def effect(self, name: str) -> str:
        """How one thing behaves: as the switch of this name says, or else the firmware's profile."""
        value = self.switches.text(name)
        return self.profile.effects.get(name, "") if value == "profile" else value


def parse(arguments: Sequence[str]) -> Options:
    """Read the command line; a mistake ends the process with status 2."""
    parser = argparse.ArgumentParser(
        prog="simulator",
        description="A simulated LTE modem on a pseudo-terminal. Prints one JSON line when ready; ends on SIGTERM.",
        epilog="switches for --set:\n" + describe(),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--modem", choices=[BG96, ML307R], required=True, help="model")
    parser.add_argument("--firmware", type=_printable, help="profile or firmware string (see --list)")
    parser.add_argument("--baud", type=_baud, default=115200, metavar="N|unpaced", help="line rate (115200)")
    parser.add_argument("--latency-ms", type=_milliseconds, default=5.0, metavar="MS", help="reply latency (5)")
    parser.add_argument("--link", type=Path, metavar="PATH", help="make PATH a symbolic link to the port")
    parser.add_argument("--trace", type=Path, metavar="FILE", help="write what crosses the wire")
    parser.add_argument("--sim", choices=[item.value for item in SimStart], default="ready", help="SIM card (ready)")
    parser.add_argument("--pin", type=_digits, default="1234", help="the right PIN (1234)")
    parser.add_argument("--puk", type=_digits, default="12345678", help="the right PUK (12345678)")
    parser.add_argument("--pin-tries", type=int, choices=range(4), default=3, metavar="0..3", help="tries left (3)")
    parser.add_argument("--registration", choices=[item.value for item in Target], default="home", help="(home)")
    parser.add_argument("--imei", type=_digits, default=DEFAULT_IMEI)
    parser.add_argument("--imsi", type=_digits, default=DEFAULT_IMSI)
    parser.add_argument("--iccid", type=_printable, default=DEFAULT_ICCID)
    parser.add_argument("--fault", action="append", default=[], metavar="NAME[=VALUE]", help="a fault from the start")
    parser.add_argument("--control", metavar="PATH|-", help="take JSON lines on a Unix socket, or standard input")
    parser.add_argument("--tcp", type=_tcp_port, metavar="PORT", help="the port as TCP, too: socket://127.0.0.1:PORT")
    parser.add_argument("--list", action=_List, nargs=0, help="models, firmware, faults and switches, one line each")
    parser.add_argument("--set", action="append", default=[], metavar="NAME=VALUE", help="a switch, see below")
    given = parser.parse_args(arguments)
    try:
        switches = Switches(given.modem, given.set)
    except UnknownSwitchError as error:
        parser.error(str(error))
    try:
        faults = tuple(faults_of.parse(item) for item in given.fault)
    except faults_of.FaultError as error:
        parser.error(str(error))
    link: Path | None = given.link
    if link and (link.exists() or not link.parent.is_dir()) and not link.is_symlink():
        parser.error(f"--link {link}: is in the way, or its folder does not exist")
    trace: Path | None = given.trace
    if trace and (trace.is_dir() or not trace.parent.is_dir()):
        parser.error(f"--trace {trace}: is a folder, or its folder does not exist")
    profile = find(given.modem, given.firmware)
    if not profile.known:
        sys.stderr.write(f"simulator: firmware {given.firmware!r} is not known here: it runs without defects\n")
    return Options(
        model=given.modem,
        firmware=profile.firmware,
        switches=switches,
        baud=given.baud,
        latency_s=given.latency_ms / 1000,
        link=link,
        trace=trace,
        sim=SimStart(given.sim),
        pin=given.pin,
        puk=given.puk,
        pin_tries=given.pin_tries,
        registration=Target(given.registration),
        imei=given.imei,
        imsi=given.imsi,
        iccid=given.iccid,
        faults=faults,
        control=given.control,
        tcp=given.tcp,
    )


class _List(argparse.Action):
    """Prints what there is and ends."""

    @override
    def __call__(self, parser: argparse.ArgumentParser, *_: object) -> None:
        sys.stdout.write("\n".join(listing()) + "\n")
        parser.exit()


def _tcp_port(text: str) -> int:
    if not (text.isascii() and text.isdigit()) or int(text) > 65535:
        raise argparse.ArgumentTypeError(f"{text!r} is not a TCP port (0: a free one)")
    return int(text)


def _baud(text: str) -> int | None:
    if text == "unpaced":
        return None
    if not text.isdigit() or int(text) not in _BAUD_RANGE:
        raise argparse.ArgumentTypeError(f"{text!r} is neither 'unpaced' nor a rate from 300 to 4000000")
    return int(text)


def _milliseconds(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = -1.0
    if not 0 <= value <= 600_000:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number of milliseconds")
    return value


def _digits(text: str) -> str:
    if not (text.isascii() and text.isdigit()):
        raise argparse.ArgumentTypeError(f"{text!r} is not a row of digits")
    return text


def _printable(text: str) -> str:
    if not text or not text.isascii() or not text.isprintable() or '"' in text:
        raise argparse.ArgumentTypeError(f"{text!r} holds characters a modem never prints")
    return text
