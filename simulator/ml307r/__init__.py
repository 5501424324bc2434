"""The China Mobile IoT ML307R, from its manuals and field reports (ml307r.md)."""

from simulator.ml307r.modem import Ml307r

__all__ = ["Ml307r"]
