"""Simulated LTE modems on a pseudo-terminal; shares no code with the integration."""
