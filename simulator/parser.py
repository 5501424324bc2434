"""A command line taken apart: bg96.md 1.1 (`;` chaining, any case, `AT&FZE0`)."""

from dataclasses import dataclass
import enum

from simulator.errors import CommandFailedError


class Form(enum.Enum):
    """The four forms of an extended command."""

    EXEC = ""
    READ = "?"
    TEST = "=?"
    WRITE = "="


@dataclass(frozen=True, slots=True)
class Argument:
    """One value between commas."""

    text: str
    quoted: bool


@dataclass(frozen=True, slots=True)
class Part:
    """One command of a line; `name` is `+CSQ`, `E`, `&F` or `S0`, in capitals."""

    name: str
    form: Form
    arguments: tuple[Argument, ...] = ()


def split_line(text: str) -> list[Part]:
    """Take apart what stood between `AT` and the carriage return."""
    parts: list[Part] = []
    for piece in _split(text, ";"):
        rest = piece.strip()
        while rest:
            if rest[0] in "+*#^$%":
                parts.append(_extended(rest))
                break
            part, rest = _basic(rest)
            parts.append(part)
    return parts


def split_arguments(text: str) -> tuple[Argument, ...]:
    """Values between commas; a quote that is never closed is an error."""
    values = []
    for piece in _split(text, ","):
        value = piece.strip(" ")
        if value.startswith('"'):
            if len(value) < 2 or not value.endswith('"'):
                raise CommandFailedError
            values.append(Argument(value[1:-1], quoted=True))
        else:
            values.append(Argument(value, quoted=False))
    return tuple(values)


def _split(text: str, separator: str) -> list[str]:
    pieces = [""]
    quoted = False
    for character in text:
        if character == '"':
            quoted = not quoted
        if character == separator and not quoted:
            pieces.append("")
        else:
            pieces[-1] += character
    if quoted:
        raise CommandFailedError
    return pieces


def _extended(text: str) -> Part:
    stop = next((index for index, character in enumerate(text) if character in "=?"), len(text))
    name, tail = text[:stop].strip().upper(), text[stop:]
    if not tail:
        return Part(name, Form.EXEC)
    if tail == "?":
        return Part(name, Form.READ)
    if tail == "=?":
        return Part(name, Form.TEST)
    if tail[0] == "?":
        raise CommandFailedError
    return Part(name, Form.WRITE, split_arguments(tail[1:]))


def _basic(text: str) -> tuple[Part, str]:
    head = 2 if text[0] == "&" else 1
    name, rest = text[:head].upper(), text[head:].lstrip(" ")
    if len(name) < head or not name[-1].isascii() or not name[-1].isalpha():
        raise CommandFailedError
    digits = _digits(rest)
    rest = rest[len(digits) :]
    if name != "S":
        return Part(name, Form.EXEC, (Argument(digits, quoted=False),) if digits else ()), rest.lstrip(" ")
    if rest.startswith("="):
        value = _digits(rest[1:])
        return Part(name + digits, Form.WRITE, (Argument(value, quoted=False),)), rest[1 + len(value) :]
    if rest.startswith("?"):
        return Part(name + digits, Form.READ), rest[1:]
    raise CommandFailedError


def _digits(text: str) -> str:
    count = 0
    while count < len(text) and text[count] in "0123456789":
        count += 1
    return text[:count]
