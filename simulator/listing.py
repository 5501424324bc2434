"""What there is to choose from, one line each."""

from collections.abc import Iterator

from simulator import faults
from simulator.profiles import profiles
from simulator.switches import BG96, ML307R, SWITCHES

_MODELS = {BG96: "Quectel BG96, LTE Cat-M1", ML307R: "China Mobile IoT ML307R, LTE Cat-1"}


def listing() -> Iterator[str]:
    """Models, firmware profiles, faults and switches."""
    yield "models (--modem):"
    for model, meaning in _MODELS.items():
        yield f"  {model:<8}{meaning}"
    for model in _MODELS:
        yield f"firmware of the {model} (--firmware NAME or the full string):"
        for profile in profiles(model):
            yield f"  {profile.name:<12}{profile.firmware}: {profile.summary} [{profile.confidence}]"
    yield "faults (--fault NAME[=VALUE]):"
    for row in faults.describe():
        yield f"  {row}"
    yield "switches (--set NAME=VALUE):"
    for switch in SWITCHES:
        only = "" if len(switch.models) > 1 else f" [{switch.models[0]}]"
        default = "/".join(dict.fromkeys(switch.default_for(model) for model in switch.models))
        yield f"  {switch.name}={switch.values} ({default or 'empty'}){only} {switch.meaning}"
