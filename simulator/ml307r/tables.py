"""Numbers and words of the ML307R."""

# Fixed rates 300 to 921600, automatic 1200 to 115200 (ml307r.md 2).
BAUD_RATES = (300, 600, 1200, 2400, 4800, 9600, 19200, 38400, 57600, 115200, 230400, 460800, 921600)
AUTOBAUD_RATES = frozenset(rate for rate in BAUD_RATES if 1200 <= rate <= 115200)

# TCP manual (ml307r.md 5.4); the wording is ours, the numbers are the manual's.
SOCKET_ERRORS: dict[int, str] = {
    550: "unknown error",
    551: "socket id unused",
    552: "socket id in use",
    553: "socket not connected",
    554: "socket create failed",
    555: "socket bind failed",
    556: "socket listen failed",
    557: "connection refused",
    558: "connection timeout",
    559: "connection failed",
    560: "socket write failed",
    561: "socket read failed",
    562: "socket accept failed",
    570: "PDP not active",
    571: "PDP activation failed",
    572: "PDP deactivation failed",
    575: "APN not set",
    576: "port busy",
    577: "address family not supported",
    580: "DNS failed",
    581: "DNS busy",
    582: "ping busy",
}
