"""AT+MHTTPCFG: what is set for one HTTP instance (ml307r.md 4.1, HTTP 3.1)."""

from dataclasses import dataclass, field

from simulator.errors import CmeError
from simulator.registry import Call

# Key: defaults and limits; None is "not set".
_KEYS: dict[str, tuple[tuple[int | None, ...], tuple[tuple[int, int], ...]]] = {
    "chunked": ((0,), ((0, 1),)),
    "cached": ((0, 4096), ((0, 1), (1, 8192))),
    "timeout": ((60, 0, 10), ((0, 180), (0, 60), (1, 120))),
    "encoding": ((0, 0), ((0, 2), (0, 1))),
    "ssl": ((0, None), ((0, 1), (0, 5))),
    "cid": ((None,), ((1, 15),)),
    "fragment": ((0, 0), ((0, 1024), (0, 2000))),
    "urlencode": ((0,), ((0, 1),)),
}
KEYS = ("header", *_KEYS)
TEST_REPLY = f"+MHTTPCFG: ({','.join(f'"{key}"' for key in KEYS)}),(0-3),"


def header_lines(data: bytes) -> dict[str, bytes]:
    """Header lines by name; CME 50 for a line that is none."""
    lines: dict[str, bytes] = {}
    for line in data.replace(b"\r\n", b"\n").split(b"\n"):
        if not line:
            continue
        name, colon, _ = line.partition(b":")
        if not colon or not name.strip():
            raise CmeError(50)
        lines[name.strip().lower().decode("latin-1")] = line
    return lines


@dataclass(slots=True)
class HttpSettings:
    """The values of one instance; they go with it."""

    headers: dict[str, bytes] = field(default_factory=dict)
    _values: dict[str, tuple[int | None, ...]] = field(default_factory=dict)

    def get(self, key: str) -> tuple[int | None, ...]:
        """The values of a key."""
        return self._values.get(key, _KEYS[key][0])

    def number(self, key: str, index: int = 0) -> int:
        """One value of a key; what is not set counts as 0."""
        return self.get(key)[index] or 0

    @property
    def context(self) -> int:
        """The packet data context; 1 unless told otherwise."""
        return self.number("cid") or 1

    def show(self, call: Call, number: int, key: str) -> None:
        """Answer a query."""
        if key == "header":
            data = b"".join(line + b"\r\n" for line in self.headers.values())
            if data:
                # The sample's length counts the line end: `19,Connection: close` (HTTP 3.1).
                call.data_block(f'+MHTTPCFG: "header",{number},{len(data)},', data, "\r\n")
            return
        values = list(self.get(key))
        if key == "cached" and not values[0]:
            del values[1]
        shown = "".join(f",{value}" for value in values if value is not None)
        call.info(f'+MHTTPCFG: "{key}",{number}{shown}')

    def change(self, call: Call, key: str) -> None:
        """Set from the third argument on; what is left out stays."""
        limits = _KEYS[key][1]
        call.at_most(2 + len(limits))
        values = list(self.get(key))
        for index, (low, high) in enumerate(limits):
            if call.has(2 + index):
                values[index] = call.number(2 + index, low, high)
        self._values[key] = tuple(values)
