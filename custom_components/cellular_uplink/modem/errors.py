"""Every failure has a class, a code and a sentence: one tree under `ModemError`.

`kind` is the class a user sees ("link", "tls", ...). `code` is the modem's own number as text where it gave one
("719"), else a stable name of ours ("port_missing"). `message` is one sentence without secrets.
"""


class ModemError(Exception):
    """Base of all failures of the engine. `kind`, `code` and `message` are stable and safe to show."""

    kind = "modem"

    def __init__(self, code: str, message: str) -> None:
        super().__init__(f"{message} [{self.kind}/{code}]")
        self.code = code
        self.message = message

    def as_dict(self) -> dict[str, str]:
        """Return the failure as results and diagnostics carry it: class, code, message."""
        return {"class": self.kind, "code": self.code, "message": self.message}


class LinkError(ModemError):
    """The serial port or the modem behind it: missing, busy, gone, silent.

    Codes: port_missing, port_busy, port_invalid, port_lost, port_closed, no_answer, not_a_modem, not_responding,
    modem_restarted, wrong_modem.
    """

    kind = "link"


class ModemProtocolError(ModemError):
    """The modem said something its manual does not allow at this point. Codes: unexpected_reply, overlong, ..."""

    kind = "protocol"


class CommandError(ModemProtocolError):
    """The modem refused a command: ERROR, +CME ERROR or +CMS ERROR.

    `code` is the number as text, or "ERROR" where the modem gave none. Drivers turn it into a more telling class.
    """

    def __init__(self, command: str, code: str, message: str) -> None:
        super().__init__(code, message)
        self.command = command


class CommandTimeoutError(ModemProtocolError):
    """The modem did not finish a command in its time. Code: timeout."""


class SimError(ModemError):
    """The SIM.

    Codes: sim_missing, pin_required, pin_wrong, pin_refused, pin_last_try, puk_required, sim_busy,
    sim_failure.

    `tries_left` is the number of PIN tries the modem reports, None where it has no counter.
    """

    kind = "sim"

    def __init__(self, code: str, message: str, *, tries_left: int | None = None) -> None:
        super().__init__(code, message)
        self.tries_left = tries_left


class NetworkError(ModemError):
    """Registration and packet data. Codes: not_registered, registration_denied, packet_data, or the modem's number."""

    kind = "network"


class SocketError(ModemError):
    """A TCP connection through the modem.

    Codes: the modem's number, or closed, flooded, no_free_socket, no_data_route, timeout.
    """

    kind = "socket"


class TlsError(ModemError):
    """TLS between this host and the server.

    Codes: certificate_untrusted, certificate_expired, host_mismatch, handshake.
    """

    kind = "tls"


class HttpError(ModemError):
    """HTTP itself. Codes: the status as text ("503"), response_invalid, response_lost, timeout."""

    kind = "http"


class InputError(ModemError):
    """Something the user gave cannot be sent. `field` names it; the message names the limit. Code: invalid_input."""

    kind = "input"

    def __init__(self, field: str, message: str) -> None:
        super().__init__("invalid_input", f"{field}: {message}")
        self.field = field
        self.reason = message
