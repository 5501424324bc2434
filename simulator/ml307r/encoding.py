"""Data typed inside a command, in its three encodings (ml307r.md 4.2, 5.1 and 5.2)."""

from simulator.errors import CmeError
from simulator.ml307r.settings import ESCAPED, HEX

INLINE_LIMIT = 1460
_ESCAPES = {"r": 0x0D, "n": 0x0A, "t": 0x09, "\\": 0x5C, '"': 0x22, "0": 0x00}


def decode(text: str, encoding: int, length: int, limit: int = INLINE_LIMIT) -> bytes:
    """The bytes meant; `limit` is of typed characters.

    `length` 0 is not checked, else raw and escaped text have that many characters, hexadecimal twice as many.
    """
    if encoding == HEX:
        if len(text) > limit or len(text) % 2 or (length and len(text) != 2 * length):
            raise CmeError(50)
        if not all(_is_hex(text[index : index + 2]) for index in range(0, len(text), 2)):
            raise CmeError(50)
        return bytes.fromhex(text)
    if len(text) > limit or (length and len(text) != length):
        raise CmeError(50)
    return _unescaped(text) if encoding == ESCAPED else text.encode("latin-1")


def _unescaped(text: str) -> bytes:
    data = bytearray()
    index = 0
    while index < len(text):
        character = text[index]
        following = text[index + 1 : index + 2]
        if character != "\\" or not following:
            data += character.encode("latin-1")
            index += 1
        elif following in _ESCAPES:
            data.append(_ESCAPES[following])
            index += 2
        elif following == "x" and _is_hex(text[index + 2 : index + 4]):
            data.append(int(text[index + 2 : index + 4], 16))
            index += 4
        else:
            data += b"\\"
            index += 1
    return bytes(data)


def _is_hex(text: str) -> bool:
    return len(text) == 2 and all(character in "0123456789abcdefABCDEF" for character in text)
