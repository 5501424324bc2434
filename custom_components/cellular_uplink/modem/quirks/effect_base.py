"""What an effect is, and how one is built from a quirk file: typed by the code, strictly.

An effect is a frozen value. `strikes` says whether a case is on the bad side of the fault's boundary, `remedy` what is
done about it (None: nothing that a number or a word could say), `sentence` says it to a user. The inputs of the two
are those a `[[quirk.vector]]` has. Routes and drivers read the parameters; every vector is run against this code.
"""

from dataclasses import dataclass, fields
from functools import cache
from typing import Any, ClassVar, Literal, get_args, get_origin, get_type_hints, override


class EffectError(ValueError):
    """Parameters or a vector do not fit an effect; `key` is where the mistake is."""

    def __init__(self, message: str, key: str) -> None:
        super().__init__(message)
        self.message = message
        self.key = key


EFFECTS: dict[str, type[Effect]] = {}


@dataclass(frozen=True, slots=True, kw_only=True)
class Effect:
    """Base of all effects; `name` is what quirk files call it."""

    name: ClassVar[str]
    is_for_routes: ClassVar[bool] = False
    """It can act on a way out only: its quirk must say which ways it applies to."""

    @override
    def __init_subclass__(cls) -> None:
        """Register under its name; @dataclass(slots=True) makes each class twice, the second one is the real one."""
        super(Effect, cls).__init_subclass__()
        EFFECTS[cls.name] = cls

    def check(self) -> str | None:
        """Return what is wrong with the parameters together, None when nothing is."""
        return None

    def strikes(self, *args: Any, **case: Any) -> bool:  # noqa: ANN401 - each effect has inputs of its own
        """Return whether the fault strikes in this case."""
        raise NotImplementedError

    def remedy(self, *args: Any, **case: Any) -> int | str | None:  # noqa: ANN401
        """Return what the effect makes of this case."""
        del args, case
        return None

    def sentence(self) -> str:
        """Say what is done about the fault."""
        raise NotImplementedError

    def params(self) -> dict[str, object]:
        """Return the parameters as plain values, defaults included."""
        return {field.name: getattr(self, field.name) for field in fields(self)}


# --- parameters and vectors from a file, typed by the code above ---------------------------------------------------


def build_effect(name: str, params: dict[str, object]) -> Effect:
    """Return the effect with these parameters.

    Raises:
        EffectError: with a sentence and the key at fault.
    """
    effect = EFFECTS.get(name)
    if effect is None:
        raise EffectError(f"no effect is called {name!r}; there are {', '.join(sorted(EFFECTS))}", "effect")
    hints = _hints(name)
    known = {field.name: field for field in fields(effect)}
    for key in params:
        if key not in known:
            raise EffectError(f"{name} has no parameter {key!r}; it has {', '.join(known) or 'none'}", "params")
    values = {key: _typed(f"parameter {key}", value, hints[key], "params") for key, value in params.items()}
    try:
        built = effect(**values)
    except TypeError as err:
        raise EffectError(f"{name} lacks a parameter: it needs {', '.join(known)}", "params") from err
    if fault := built.check():
        raise EffectError(fault, "params")
    return built


def run_vector(effect: Effect, case: dict[str, object]) -> tuple[bool, int | str | None]:
    """Return whether the fault strikes in this case, and what is done about it.

    Raises:
        EffectError: the case is not one of this effect's.
    """
    hints = {key: hint for key, hint in _hints(effect.name, "strikes").items() if key != "return"}
    for key in case:
        if key not in hints:
            raise EffectError(f"a vector of {effect.name} has no {key!r}; it has {', '.join(hints)}", key)
    values = {key: _typed(key, value, hints[key], key) for key, value in case.items()}
    try:
        return effect.strikes(**values), effect.remedy(**values)
    except TypeError as err:
        raise EffectError(f"a vector of {effect.name} needs {', '.join(hints)}", "outcome") from err


@cache
def _hints(name: str, method: str = "") -> dict[str, Any]:
    """Return names and types of an effect's parameters, or of a method's; reading them takes longer than all else."""
    effect = EFFECTS[name]
    return get_type_hints(getattr(effect, method) if method else effect)


def _typed(name: str, value: object, hint: object, key: str) -> object:
    """Return `value` as the code wants it; lists become tuples, and True is no number."""
    if get_origin(hint) is tuple:
        if not isinstance(value, list):
            raise EffectError(f"{name} must be a list", key)
        return tuple(_typed(name, member, get_args(hint)[0], key) for member in value)
    if get_origin(hint) is Literal:
        if value not in get_args(hint):
            raise EffectError(f"{name} must be one of {', '.join(map(repr, get_args(hint)))}", key)
        return value
    assert isinstance(hint, type), f"{name}: parameters are numbers, texts, flags, lists or one of a few texts"
    if type(value) is not hint:
        raise EffectError(f"{name} must be {_KINDS[hint]}", key)
    # What a parameter holds can end up in a command line or a header.
    if isinstance(value, str) and (not value.isprintable() or not value.isascii()):
        raise EffectError(f"{name} must be printable ASCII", key)
    return value


_KINDS = {int: "a whole number", str: "a text", bool: "true or false"}
