"""Schedules of faults, made from a seed: which modem sends what to which server, and what goes wrong when.

The same seed gives the same schedule on every machine. What comes of it also depends on how fast the machine is.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from random import Random
from typing import override

CHUNK_BYTES = 1460
HEAD_BYTES = 350
"""About what the head of a request takes."""


@dataclass(frozen=True, slots=True)
class Machine:
    """A simulated modem: its model, firmware and switches."""

    model: str
    firmware: str
    switches: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        """Return what the machine is called in tables."""
        return " ".join((self.model, self.firmware, *self.switches))


_UNKNOWN = "BG96MAR05A01M1G_07.001.01.001"
"""Firmware that no catalogue has: its faults meet an engine that does not expect them."""
STRUCK_BY_719 = (
    Machine("bg96", _UNKNOWN, ("https_postfile=719", "https_post=works")),
    Machine("bg96", _UNKNOWN, ("https_postfile=719", "https_post=719")),
    Machine("bg96", _UNKNOWN, ("https_postfile=bit11", "https_post=bit11", "error_719=cme")),
    Machine("bg96", "r04a02"),
)
BG96 = (
    Machine("bg96", "clean"),
    Machine("bg96", "r02a07-016"),
    Machine("bg96", "r02a07-011"),
    Machine("bg96", "r03a06"),
    *STRUCK_BY_719,
)
ML307R = (Machine("ml307r", "manual"), Machine("ml307r", "report"))
WAYS = ("auto", "auto with the modem's TLS", "socket", "modem-http")
BY_MODEM = ("auto with the modem's TLS", "modem-http")


@dataclass(frozen=True, slots=True)
class Fault:
    """One thing that goes wrong. `request` is for the simulator's control channel; without one it is the server's.

    `post`: which of the posts that the server sees it strikes, from 0; `share` of the body and `seconds`: as the kind
    has it.
    """

    kind: str
    request: Mapping[str, object] = field(default_factory=dict)
    post: int = 0
    share: float = 0.0
    seconds: float = 0.0

    @override
    def __str__(self) -> str:
        """Return it in words, as a violation is reported."""
        if self.request:
            return f"{self.kind} {dict(self.request)}"
        return f"{self.kind} (post {self.post}, share {self.share:.2f}, {self.seconds:.1f} s)"


@dataclass(frozen=True, slots=True)
class Schedule:
    """All there is to one run. `is_cold`: the modem is not yet online when the faults are set.

    `sizes`: bytes of each picture; several go one after the other, or at once.
    """

    seed: int
    machine: Machine
    scheme: str
    way: str
    sizes: tuple[int, ...]
    are_at_once: bool
    is_cold: bool
    faults: tuple[Fault, ...]
    honours_ids: bool
    offers_check: bool
    retry_ambiguous: bool
    timeout_s: float | None

    @property
    def kind(self) -> str:
        """Return the kind of the first fault, which the schedule was made for."""
        return self.faults[0].kind

    @override
    def __str__(self) -> str:
        """Return it in one line."""
        parts = [self.machine.name, self.scheme, self.way, f"sizes {self.sizes}"]
        parts += ["at once"] if self.are_at_once else []
        parts += ["cold"] if self.is_cold else []
        parts += ["ids honoured" if self.honours_ids else "ids ignored"]
        parts += ["can be asked"] if self.offers_check else []
        parts += [] if self.retry_ambiguous else ["no second copies wanted"]
        parts += [f"within {self.timeout_s:g} s"] if self.timeout_s else []
        return "; ".join((*parts, *map(str, self.faults)))


type _Make = Callable[[Random, int], dict[str, object]]


def _on_the_way(rng: Random, size: int) -> int:
    """Some byte from the host, from the first command to a little behind the last byte of the body."""
    return rng.randint(1, int(1.15 * (size + HEAD_BYTES)) + 900)


def _from_the_modem(rng: Random, size: int) -> int:
    """Some byte to the host: echoes, prompts, results, and the answer at the end."""
    return rng.randint(1, 500 + 60 * (size // CHUNK_BYTES + 1))


def _stray(rng: Random, _size: int) -> dict[str, object]:
    text = rng.choice(
        (
            "RDY", "APP RDY", "+CEREG: 2", '+QIND: "FOTA","END",0', "RING", "NO CARRIER", "OK", "ERROR", "SEND OK",
            '+QIURC: "closed",0', '+QIURC: "recv",0', '+QIURC: "pdpdeact",1', "+QHTTPPOSTFILE: 719",
            '+MIPURC: "disconn",0,1', '+MIPURC: "rtcp",0,0', '+MHTTPURC: "err",0,5', "+MATREADY",
        )
    )  # fmt: skip
    where = rng.choice(("now", "after_command", "before_result", "after_result"))
    return {"fault": "inject", "text": text, "where": where, "times": rng.randint(1, 3)}


MODEM_FAULTS: dict[str, _Make] = {
    "response lost": lambda rng, _: {
        "fault": "response_lost", "how": rng.choice(("reset", "close", "silence")), "times": rng.randint(1, 3)
    },
    "SEND FAIL": lambda rng, _: {"fault": "send_fail", "times": rng.randint(1, 5)},
    "reset while sending": lambda rng, size: {
        "fault": "close_after", "bytes": rng.randint(1, size + HEAD_BYTES + 200), "how": "reset",
        "times": rng.randint(1, 3),
    },
    "closed while sending": lambda rng, size: {
        "fault": "close_after", "bytes": rng.randint(1, size + HEAD_BYTES + 200), "how": "close",
        "times": rng.randint(1, 3),
    },
    "closed while answering": lambda rng, _: {
        "fault": "close_after", "bytes": rng.randint(1, 160), "direction": "in", "how": rng.choice(("close", "reset")),
        "times": rng.randint(1, 2),
    },
    "reboot": lambda rng, size: {"fault": "reboot", "after_in": _on_the_way(rng, size)},
    "context lost": lambda rng, size: {"fault": "context_lost", "after_in": _on_the_way(rng, size)},
    "context dead": lambda rng, size: {"fault": "context_dead", "after_in": _on_the_way(rng, size)},
    "network lost": lambda rng, size: {
        "fault": "registration_lost", "seconds": rng.choice((0.3, 1, 3)), "after_in": _on_the_way(rng, size)
    },
    "frozen": lambda rng, size: {
        "fault": "freeze", "seconds": rng.choice((0.3, 2, 6)), "input": rng.choice(("kept", "lost")),
        "after_in": _on_the_way(rng, size),
    },
    "unplugged": lambda rng, size: {
        "fault": "unplug", "seconds": rng.choice((0.2, 1)), "after_in": _on_the_way(rng, size)
    },
    "SIM out": lambda rng, size: {
        "fault": "sim_removed", "seconds": rng.choice((0.3, 1)), "after_in": _on_the_way(rng, size)
    },
    "message lost": lambda rng, size: {"fault": "drop", "at": _from_the_modem(rng, size), "times": 1},
    "message garbled": lambda rng, size: {"fault": "duplicate", "at": _from_the_modem(rng, size), "times": 1},
    "message late": lambda rng, size: {
        "fault": "delay", "at": _from_the_modem(rng, size), "seconds": rng.choice((0.5, 3, 6)), "times": 1
    },
    "stray message": _stray,
    "id stuck": lambda _rng, _size: {"fault": "id_stuck", "id": -1},
}  # fmt: skip
"""Kinds that the simulator performs, and how each is made of a source of chance and the size of the first picture."""

SERVER_FAULTS = (
    "answer lost",
    "answer reset",
    "answer cut",
    "no answer",
    "late answer",
    "stored late",
    "reset in mid-body",
    "closed in mid-body",
    "hung up at once",
    "busy",
    "check unanswered",
)
"""Kinds that the server performs (see fault_server)."""
FIRMWARE_FAULT = "719"
"""The firmware's own: the server has the picture, and the modem says 719."""
KINDS = (*MODEM_FAULTS, *SERVER_FAULTS, FIRMWARE_FAULT)


def make_schedule(seed: int) -> Schedule:
    """Return the schedule of a seed; len(KINDS) seeds in a row have every kind of fault once as their first."""
    rng = Random(f"fault schedule {seed}")  # noqa: S311 - chance that can be repeated is what is wanted
    kind = KINDS[seed % len(KINDS)]
    machine, scheme, way = _modem_and_way(rng, kind)
    sizes = tuple(int(200 * 300 ** rng.random()) for _ in range(2 if rng.random() < 0.3 else 1))
    kinds = [kind]
    if rng.random() < 0.45:
        kinds += rng.choices((*MODEM_FAULTS, *SERVER_FAULTS), k=rng.randint(1, 2))
    if kind == "check unanswered":
        kinds.insert(1, rng.choice(SERVER_FAULTS[:5]))
    faults: list[Fault] = []
    post = 0
    for name in kinds:
        if name in MODEM_FAULTS:
            faults.append(Fault(name, MODEM_FAULTS[name](rng, sizes[0])))
            continue
        faults.append(Fault(name, post=post, share=rng.random(), seconds=rng.choice((0.3, 1.5, 4.0, 12.0))))
        if name in SERVER_FAULTS and name != "check unanswered":
            post += rng.choice((1, 1, 2))
    return Schedule(
        seed=seed,
        machine=machine,
        scheme=scheme,
        way=way,
        sizes=sizes,
        are_at_once=len(sizes) > 1 and rng.random() < 0.4,
        is_cold=rng.random() < 0.15,
        faults=tuple(faults),
        honours_ids=rng.random() < 0.6,
        offers_check=rng.random() < 0.4 or kind == "check unanswered",
        retry_ambiguous=rng.random() < 0.85,
        timeout_s=rng.choice((None, None, 6.0, 12.0, 25.0)),
    )


def _modem_and_way(rng: Random, kind: str) -> tuple[Machine, str, str]:
    """Return a modem, a scheme and a way on which a fault of this kind can strike."""
    if kind == FIRMWARE_FAULT:
        return rng.choice(STRUCK_BY_719), "https", rng.choice(BY_MODEM)
    machine = rng.choice(rng.choice((BG96, ML307R)))
    scheme = rng.choice(("http", "https"))
    way = rng.choice(WAYS)
    if kind == "response lost" and scheme == "https":
        way = "modem-http"  # where this host does TLS, the first answer that gets lost is that of the handshake
    elif kind in {"SEND FAIL", "id stuck"}:
        way = rng.choice(("auto", "socket"))
    if way == "modem-http" and machine is ML307R[1]:
        machine = ML307R[0]  # of the other, the HTTP client sends nothing at all
    return machine, scheme, way
