"""How long a BG96's commands take: bg96.md 8 (maxima of the manuals)."""

# Seconds, typically and at most. The typical ones are assumed where bg96.md 8 has no log for them.
COMMAND_TIMES: dict[str, tuple[float, float]] = {
    "": (0.005, 0.3),
    "+CPIN": (0.2, 5),
    "+CFUN": (1, 15),
    "+COPS": (2, 180),
    "+CGATT": (1, 140),
    "+CGACT": (1, 150),
    "+QIACT": (1, 150),
    "+QIDEACT": (0.5, 40),
    "+QICLOSE": (0.2, 10),
    "+QSSLCLOSE": (0.2, 10),
    "+QISEND": (0.01, 120),
    # Data comes right after these.
    "+QFUPL": (0.05, 0.3),
    "+QFDWL": (0.05, 0.3),
}
