"""Reads the simulator's trace: what crossed the wire, and when."""

from dataclasses import dataclass
import itertools
from pathlib import Path
import re

_LINE = re.compile(r"\s*(\d+\.\d+) (host>|modem<) (.*)")
_SEND = re.compile(r"AT\+(?:QISEND|MIPSEND)=\d+,(\d+)")
_PAYLOAD = re.compile(r"<(\d+) bytes>")


@dataclass(frozen=True, slots=True)
class Upload:
    """One upload as the wire saw it."""

    chunk_bytes: int
    """The largest chunk."""
    sent_bytes: int
    """Payload between the first send command and the last."""
    seconds: float
    """From the first send command to the last."""
    polls_between_sends: int
    """AT+CSQ answered between two send commands."""


def read_upload(trace: Path, *, after_s: float) -> Upload:
    """Return what the wire carried of the upload that began after `after_s`."""
    sends: list[float] = []
    payloads: list[tuple[float, int]] = []
    asked: list[float] = []
    answered: list[float] = []
    for line in trace.read_text(encoding="ascii").splitlines():
        if not (match := _LINE.fullmatch(line)) or (at := float(match[1])) < after_s:
            continue
        text = match[3]
        if match[2] == "modem<":
            if "+CSQ: " in text:
                answered.append(at)
        elif (send := _SEND.match(text)) and int(send[1]):
            sends.append(at)
        elif payload := _PAYLOAD.fullmatch(text):
            payloads.append((at, int(payload[1])))
        elif text.startswith("AT+CSQ"):
            asked.append(at)
    if len(sends) < 2:
        raise ValueError("the trace shows fewer than two send commands")
    between = list(itertools.pairwise(sends))
    return Upload(
        chunk_bytes=max(size for _, size in payloads),
        sent_bytes=sum(size for at, size in payloads if sends[0] < at < sends[-1]),
        seconds=sends[-1] - sends[0],
        polls_between_sends=sum(
            any(start < question < answer < end for start, end in between)
            for question, answer in zip(asked, answered, strict=False)
        ),
    )


def last_moment_s(trace: Path) -> float:
    """Return the time of the last line in the trace."""
    lines = [match for line in trace.read_text(encoding="ascii").splitlines() if (match := _LINE.fullmatch(line))]
    return float(lines[-1][1]) if lines else 0.0
