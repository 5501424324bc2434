"""TLS contexts: AT+QSSLCFG (bg96.md 5, M-SSL)."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime
import re
import ssl
from typing import TYPE_CHECKING, override
import warnings

from simulator.errors import CmeError, CommandFailedError
from simulator.parser import Form
from simulator.registry import Area, Call, at
from simulator.tls import TlsFailedError, TlsFailure, TlsPolicy

if TYPE_CHECKING:
    from simulator.bg96.files import Files
    from simulator.bg96.modem import Bg96

CONTEXT_COUNT = 6
ALL_SUITES = 0xFFFF
# IANA number and OpenSSL's name; RC4 and triple DES are offered where the computer's OpenSSL still has them.
SUITES = {
    0x0035: "AES256-SHA",
    0x002F: "AES128-SHA",
    0x0005: "RC4-SHA",
    0x0004: "RC4-MD5",
    0x000A: "DES-CBC3-SHA",
    0x003D: "AES256-SHA256",
    0xC011: "ECDHE-RSA-RC4-SHA",
    0xC012: "ECDHE-RSA-DES-CBC3-SHA",
    0xC013: "ECDHE-RSA-AES128-SHA",
    0xC014: "ECDHE-RSA-AES256-SHA",
    0xC027: "ECDHE-RSA-AES128-SHA256",
    0xC028: "ECDHE-RSA-AES256-SHA384",
    0xC02F: "ECDHE-RSA-AES128-GCM-SHA256",
}
_FILE_KEYS = ("cacert", "clientcert", "clientkey")
# Low, high and factory value; the last three as on an EG800K, the only module they were seen on.
_NUMBER_KEYS = {
    "sslversion": (0, 4, 4),
    "seclevel": (0, 2, 0),
    "ignorelocaltime": (0, 1, 1),
    "negotiatetime": (10, 300, 300),
    "sni": (0, 1, 0),
}


@dataclass(slots=True)
class TlsContext:
    """What QSSLCFG stores for one context; nothing is verified until the host asks for it."""

    numbers: dict[str, int] = field(default_factory=lambda: {key: value[2] for key, value in _NUMBER_KEYS.items()})
    files: dict[str, str] = field(default_factory=lambda: dict.fromkeys(_FILE_KEYS, ""))
    suites: int = ALL_SUITES


class TlsSettings(Area):
    """Six contexts, lost at a reboot."""

    modem: Bg96

    def __init__(self, modem: Bg96, files: Files) -> None:
        super().__init__(modem)
        self._files = files
        self._contexts = [TlsContext() for _ in range(CONTEXT_COUNT)]

    @override
    def reset(self) -> None:
        self._contexts = [TlsContext() for _ in range(CONTEXT_COUNT)]

    @at("+QSSLCFG", test='+QSSLCFG: "sslversion",(0-5),(0-4)\n+QSSLCFG: "ciphersuite",(0-5),<list of suites>\n'
        '+QSSLCFG: "cacert",(0-5),<path>\n+QSSLCFG: "clientcert",(0-5),<path>\n+QSSLCFG: "clientkey",(0-5),<path>\n'
        '+QSSLCFG: "seclevel",(0-5),(0-2)\n+QSSLCFG: "ignorelocaltime",(0-5),(0,1)\n'
        '+QSSLCFG: "negotiatetime",(0-5),(10-300)')  # fmt: skip
    async def qsslcfg(self, call: Call) -> None:
        """Set a value, or query it by leaving it out; every refusal is plain ERROR."""
        call.expect(Form.WRITE)
        call.at_most(3)
        key = call.text(0)
        # Keywords are lower case whatever the manual prints (TGSM).
        if key == "sni" and not self.modem.switches.flag("sni"):
            raise CommandFailedError
        number = call.number(1, 0, CONTEXT_COUNT - 1)
        context = self._contexts[number]
        if key == "ciphersuite":
            if call.count < 3:
                call.info(f'+QSSLCFG: "{key}",{number},0X{context.suites:04X}')
            else:
                context.suites = self._suite(call.text(2))
        elif key in _FILE_KEYS:
            if call.count < 3:
                call.info(f'+QSSLCFG: "{key}",{number},"{context.files[key]}"')
            else:
                context.files[key] = call.text(2)
        elif key in _NUMBER_KEYS:
            low, high, _ = _NUMBER_KEYS[key]
            if call.count < 3:
                call.info(f'+QSSLCFG: "{key}",{number},{context.numbers[key]}')
            else:
                context.numbers[key] = call.number(2, low, high)
        else:
            raise CommandFailedError

    def _suite(self, text: str) -> int:
        if not re.fullmatch(r"0[xX][0-9A-Fa-f]{4}", text) or int(text, 16) not in {*SUITES, ALL_SUITES}:
            raise CommandFailedError
        return int(text, 16)

    def policy(self, number: int, host: str) -> TlsPolicy:
        """What this context means for a connection to this host; TlsFailedError if it cannot be used."""
        context = self._contexts[number]
        numbers, switches = context.numbers, self.modem.switches
        needs_sni = {name for name in switches.text("sni_hosts").lower().split(",") if name}
        if not numbers["sni"] and host.lower() in needs_sni:
            raise TlsFailedError(TlsFailure.HANDSHAKE, "this host wants SNI")
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)
            versions = (
                (ssl.TLSVersion.SSLv3, ssl.TLSVersion.SSLv3),
                (ssl.TLSVersion.TLSv1, ssl.TLSVersion.TLSv1),
                (ssl.TLSVersion.TLSv1_1, ssl.TLSVersion.TLSv1_1),
                (ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_2),
                (ssl.TLSVersion.MINIMUM_SUPPORTED, ssl.TLSVersion.TLSv1_2),
            )
        minimum, maximum = versions[numbers["sslversion"]]
        chosen = SUITES.values() if context.suites == ALL_SUITES else (SUITES[context.suites],)
        verify = numbers["seclevel"] >= 1
        return TlsPolicy(
            verify=verify,
            ca_pem=self._file(context.files["cacert"]) if verify else b"",
            server_name=host if numbers["sni"] else None,
            check_dates=not numbers["ignorelocaltime"],
            clock=None if switches.text("clock") == "right" else datetime(1980, 1, 6, tzinfo=UTC),
            minimum=minimum,
            maximum=maximum,
            ciphers=":".join(chosen),
            client_pem=self._client(context) if numbers["seclevel"] == 2 else b"",
            negotiate_timeout_s=numbers["negotiatetime"],
        )

    def _client(self, context: TlsContext) -> bytes:
        return self._file(context.files["clientcert"]) + b"\n" + self._file(context.files["clientkey"])

    def _file(self, path: str) -> bytes:
        try:
            return self._files.get(path)
        except CmeError:
            raise TlsFailedError(TlsFailure.SETTINGS, f"no file {path!r}") from None
