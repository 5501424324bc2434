"""Numbers and words of the BG96."""

# M-AT 3.5
BAUD_RATES = (9600, 19200, 38400, 57600, 115200, 230400, 460800, 921600)

# M-TCP, error table; texts of 0, 552, 563 and 572 as seen with AT+QIGETERROR (bg96.md 4).
SOCKET_ERRORS: dict[int, str] = {
    0: "operate successfully",
    550: "unknown error",
    551: "operation blocked",
    552: "invalid parameters",
    553: "memory not enough",
    554: "create socket failed",
    555: "operation not supported",
    556: "socket bind failed",
    557: "socket listen failed",
    558: "socket write failed",
    559: "socket read failed",
    560: "socket accept failed",
    561: "open PDP context failed",
    562: "close PDP context failed",
    563: "socket identity has been used",
    564: "DNS busy",
    565: "DNS parse failed",
    566: "socket connect failed",
    567: "socket has been closed",
    568: "operation busy",
    569: "operation timeout",
    570: "PDP context broken down",
    571: "cancel send",
    572: "operation not allowed",
    573: "APN not configured",
    574: "port busy",
}
