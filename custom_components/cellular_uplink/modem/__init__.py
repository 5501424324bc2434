"""The engine: drives an LTE modem on a serial port and sends HTTP requests through it.

Nothing in here imports Home Assistant, and imports inside are relative, so the folder also runs alone
(`scripts/uplink`). Rooms, from the street down: cli, session and upload, routes, drivers, at, serial_port, errors.
"""
