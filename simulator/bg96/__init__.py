"""The Quectel BG96, from its manuals and from logs of real ones (bg96.md)."""

from simulator.bg96.modem import Bg96

__all__ = ["Bg96"]
