"""The one place where command lines are built, so that no text a user gave can end a line or start a second command."""

from collections.abc import Iterable
from dataclasses import dataclass
import re
import string

from ..errors import InputError

_NEVER = frozenset('\r\n\0"\x1a\x1b')
"""What no family's strings may carry: line ends, NUL, the quote, Ctrl-Z and ESC (both end or cancel an input)."""

_NAME = re.compile(r"[A-Z0-9&+*^#$%!]{1,24}")

_WORD = re.compile(r"[A-Z0-9]{1,24}")

COMMON_TEXT = frozenset(string.ascii_letters + string.digits + " !#$%&'()*+,-./:<=>?@[]^_`{|}~")
"""Printable ASCII without quote, backslash (an escape on ML307R) and semicolon (chains commands)."""


@dataclass(frozen=True, slots=True)
class Text:
    """A quoted string parameter. `field` is the name an error gives it; a `secret` never shows in transcripts."""

    field: str
    value: str
    secret: bool = False


@dataclass(frozen=True, slots=True)
class Word:
    """A parameter of ours that is neither a number nor quoted: 0XFFFF."""

    value: str

    def __post_init__(self) -> None:
        if not _WORD.fullmatch(self.value):
            raise ValueError(f"not a word: {self.value!r}")


type Parameter = int | Text | Word | None


@dataclass(frozen=True, slots=True)
class CommandLine:
    """A command line without its CR, and how a transcript may show it."""

    raw: bytes
    shown: str

    @property
    def name(self) -> str:
        """The command without its parameters, for errors."""
        return self.shown.split("=", 1)[0].rstrip("?")


class AtEncoder:
    """Builds command lines for one family; `allowed` is what its quoted strings can carry."""

    def __init__(self, allowed: Iterable[str] = COMMON_TEXT) -> None:
        self._allowed = frozenset(allowed) - _NEVER

    def run(self, name: str = "") -> CommandLine:
        """AT<name>: an execution command (`run("+CGMM")`), or AT alone."""
        if name and not _NAME.fullmatch(name):
            raise ValueError(f"not a command name: {name!r}")
        return CommandLine(f"AT{name}".encode(), f"AT{name}")

    def read(self, name: str) -> CommandLine:
        """AT<name>?: a read command."""
        line = self.run(name)
        return CommandLine(line.raw + b"?", line.shown + "?")

    def set(self, name: str, *parameters: Parameter) -> CommandLine:
        """AT<name>=<parameters>; None leaves a parameter out.

        Raises:
            InputError: a text holds a character this family's strings cannot carry; the field is named.
        """
        line = self.run(name)
        raw = ",".join(self._parameter(parameter) for parameter in parameters)
        shown = ",".join(
            '"***"' if isinstance(parameter, Text) and parameter.secret else self._parameter(parameter)
            for parameter in parameters
        )
        return CommandLine(line.raw + b"=" + raw.encode("ascii"), f"{line.shown}={shown}")

    def check(self, text: Text) -> None:
        """Raise InputError, naming the field, when the text cannot be carried."""
        for character in text.value:
            if character not in self._allowed:
                raise InputError(
                    text.field, f"contains {_described(character)}, which this modem's commands cannot carry"
                )

    def _parameter(self, parameter: Parameter) -> str:
        match parameter:
            case None:
                return ""
            case int():
                return str(int(parameter))
            case Word():
                return parameter.value
            case Text():
                self.check(parameter)
                return f'"{parameter.value}"'


def _described(character: str) -> str:
    names = {"\r": "a carriage return", "\n": "a line feed", "\0": "NUL", '"': "a double quote", ";": "a semicolon"}
    if character in names:
        return names[character]
    return f"the character {character}" if character.isprintable() else f"the control character 0x{ord(character):02X}"
