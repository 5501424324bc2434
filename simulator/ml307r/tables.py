"""Numbers and words of the ML307R."""

# Fixed rates 300 to 921600, automatic 1200 to 115200 (ml307r.md 2).
BAUD_RATES = (300, 600, 1200, 2400, 4800, 9600, 19200, 38400, 57600, 115200, 230400, 460800, 921600)
AUTOBAUD_RATES = frozenset(rate for rate in BAUD_RATES if 1200 <= rate <= 115200)

# TCP manual (ml307r.md 5.4); the wording is ours, the numbers are the manual's.
_SOCKET_ERRORS: dict[int, str] = {
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

# HTTP manual 5 (ml307r.md 4.3).
_HTTP_ERRORS: dict[int, str] = {
    650: "unknown error",
    651: "no free client",
    652: "client not created",
    653: "client busy",
    654: "URL parse failed",
    655: "SSL not enabled",
    656: "connection failed",
    657: "send failed",
    658: "open file failed",
}

# SSL manual 5.2 (ml307r.md 5.5).
_TLS_ERRORS: dict[int, str] = {
    750: "unknown SSL error",
    751: "SSL initialization failed",
    752: "server certificate verification failed",
    753: "SSL negotiation timeout",
    754: "SSL negotiation failed",
    760: "unknown certificate error",
    761: "invalid certificate",
    762: "certificate not found",
    763: "certificate exists",
    764: "certificate write failed",
    765: "another certificate is being written",
    766: "certificate read failed",
    767: "certificate delete failed",
    768: "certificate too large",
    769: "certificate load failed",
}
ERRORS = _SOCKET_ERRORS | _HTTP_ERRORS | _TLS_ERRORS
