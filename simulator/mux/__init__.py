"""3GPP 27.010, basic mode: several AT channels on one line (AT+CMUX=0)."""

from simulator.mux.multiplexer import Multiplexer

__all__ = ["Multiplexer"]
