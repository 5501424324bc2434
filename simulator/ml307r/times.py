"""How long an ML307R's commands take: ml307r.md 2 (a log at 921600 baud) and 3."""

# Seconds, typically and at most; no manual that was read states maxima, so those of 27.007's relatives stand here.
COMMAND_TIMES: dict[str, tuple[float, float]] = {
    "": (0.0015, 0.3),
    "+CPIN": (0.2, 5),
    "+CFUN": (1, 15),
    "+COPS": (2, 180),
    "+CGATT": (1, 140),
    "+MIPCALL": (0.1, 150),
    "+MHTTPCREATE": (0.003, 0.3),
}
