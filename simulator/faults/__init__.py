"""Faults on demand: what a line, a modem and a network do when they do not do as told."""

from simulator.faults.catalogue import CATALOGUE, FaultError, Value, describe, parse, read
from simulator.faults.manager import Faults
from simulator.faults.sockets import CURRENT, SocketFaults, current

__all__ = [
    "CATALOGUE",
    "CURRENT",
    "FaultError",
    "Faults",
    "SocketFaults",
    "Value",
    "current",
    "describe",
    "parse",
    "read",
]
