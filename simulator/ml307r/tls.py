"""TLS contexts and certificates, AT+MSSL...: ml307r.md 5.5 (SSL 3)."""

from __future__ import annotations

import hashlib
import ssl
from typing import override

from simulator.errors import CmeError
from simulator.ml307r.encoding import decode
from simulator.ml307r.settings import ESCAPED
from simulator.modem import Modem
from simulator.parser import Form
from simulator.registry import Area, Call, at
from simulator.tls import TlsFailedError, TlsFailure, TlsPolicy

CONTEXTS = 6
PEM_LIMIT = 8192
_NAME_LIMIT = 64
_INPUT_TIMEOUT_S = 10  # not told for these commands; that of the other prompts
_NUMBERS: dict[str, tuple[int, frozenset[int]]] = {
    "auth": (0, frozenset(range(3))),
    "encoding": (2, frozenset({2})),
    "negotime": (300, frozenset(range(10, 301))),
    "version": (255, frozenset({0, 1, 2, 3, 255})),
    "session": (1, frozenset(range(2))),
    "ignorestamp": (1, frozenset(range(2))),
    "ignoreverify": (0, frozenset(range(2))),
    "sni": (0, frozenset(range(2))),
}
_VERSIONS = {
    0: ssl.TLSVersion.SSLv3,
    1: ssl.TLSVersion.TLSv1,
    2: ssl.TLSVersion.TLSv1_1,
    3: ssl.TLSVersion.TLSv1_2,
}


class MissingCertificateError(TlsFailedError):
    """A certificate or key that a context names does not exist (762)."""

    def __init__(self) -> None:
        super().__init__(TlsFailure.SETTINGS, "no such certificate")


def code_of(failed: TlsFailedError, no_common: int) -> int:
    """The CME number of a failure; `no_common` is for servers without a suite or version in common (ZB: 753)."""
    if isinstance(failed, MissingCertificateError):
        return 762
    if failed.failure is TlsFailure.HANDSHAKE:
        return no_common if "ALERT" in str(failed).upper() else 754
    return {TlsFailure.CERTIFICATE: 752, TlsFailure.TIMEOUT: 753, TlsFailure.SETTINGS: 769}[failed.failure]


class Tls(Area):
    """Six contexts, lost at a reboot, and the files they name, which stay."""

    def __init__(self, modem: Modem) -> None:
        super().__init__(modem)
        self._numbers: dict[tuple[str, int], int] = {}
        self._names: dict[int, tuple[str, str, str]] = {}
        self._suites: dict[int, int] = {}
        self._certificates: dict[str, bytes] = {}
        self._keys: dict[str, bytes] = {}
        self._writing: dict[str, bytes] = {}

    @override
    def reset(self) -> None:
        self._numbers.clear()
        self._names.clear()
        self._suites.clear()
        self._writing.clear()

    def _number(self, key: str, context: int) -> int:
        return self._numbers.get((key, context), _NUMBERS[key][0])

    def policy(self, context: int, host: str) -> TlsPolicy:
        """What this context does with this host; MissingCertificateError if a file it names is not there."""
        auth = self._number("auth", context)
        authority, client, key = self._names.get(context, ("", "", ""))
        if (auth and authority not in self._certificates) or (
            auth == 2 and (client not in self._certificates or key not in self._keys)
        ):
            raise MissingCertificateError
        version = self._number("version", context)
        named = self.modem.switches.text("tls_sni") == "always" or self._number("sni", context)
        return TlsPolicy(
            verify=bool(auth) and not self._number("ignoreverify", context),
            ca_pem=self._certificates.get(authority, b""),
            server_name=host if named else None,
            check_dates=not self._number("ignorestamp", context),
            minimum=_VERSIONS.get(version, ssl.TLSVersion.MINIMUM_SUPPORTED),
            maximum=_VERSIONS.get(version, ssl.TLSVersion.TLSv1_2),
            client_pem=self._certificates[client] + b"\n" + self._keys[key] if auth == 2 else b"",
            negotiate_timeout_s=self._number("negotime", context),
        )

    @at("+MSSLCFG")
    async def msslcfg(self, call: Call) -> None:
        """`key,context,value...`; a query leaves the values out, or the context as well."""
        call.expect(Form.WRITE)
        key = call.key()
        if key not in {*_NUMBERS, "cert", "ciphersuite"}:
            raise CmeError(50)
        if key == "sni" and not self.modem.switches.flag("msslcfg_sni"):
            raise CmeError(50)
        if call.count < 3:
            for context in range(CONTEXTS) if call.count == 1 else [call.number(1, 0, CONTEXTS - 1)]:
                call.info(f'+MSSLCFG: "{key}",{context},{self._shown(key, context)}')
            return
        context = call.number(1, 0, CONTEXTS - 1)
        if key == "cert":
            call.at_most(5)
            names = [call.text(index, "") for index in range(2, 5)]
            if any(len(name) > _NAME_LIMIT for name in names):
                raise CmeError(50)
            self._names[context] = (names[0], names[1], names[2])
        elif key == "ciphersuite":
            call.at_most(3)
            self._suites[context] = _suite(call.text(2))
        else:
            call.at_most(3)
            value = call.number(2, 0, 300)
            if value not in _NUMBERS[key][1]:
                raise CmeError(50)
            self._numbers[key, context] = value

    def _shown(self, key: str, context: int) -> str:
        if key == "cert":
            return ",".join(f'"{name}"' for name in self._names.get(context, ("", "", "")))
        if key == "ciphersuite":
            return f"0x{self._suites.get(context, 0):02X}"
        return str(self._number(key, context))

    # Files

    @at("+MSSLCERTWR", "+MSSLKEYWR")
    async def msslwr(self, call: Call) -> None:
        """`name,remaining,length[,data]`: PEM at a prompt, or inline with its line ends escaped."""
        call.expect(Form.WRITE)
        call.at_most(4)
        name, remaining = self._name(call), call.number(1, 0, PEM_LIMIT)
        if call.count == 4:
            data = decode(call.text(3), ESCAPED, call.number(2, 0, PEM_LIMIT), PEM_LIMIT)
        else:
            length = call.number(2, 1, PEM_LIMIT)
            await call.prompt()
            data = await call.payload(length, _INPUT_TIMEOUT_S)
        whole = self._writing.pop(name, b"") + data
        if len(whole) > PEM_LIMIT:
            raise CmeError(768)
        if remaining:
            self._writing[name] = whole
            return
        if b"-----BEGIN " not in whole or b"-----END " not in whole:
            raise CmeError(761)
        (self._certificates if call.part.name == "+MSSLCERTWR" else self._keys)[name] = whole

    def _name(self, call: Call) -> str:
        name = call.text(0)
        if not 0 < len(name) <= _NAME_LIMIT:
            raise CmeError(50)
        return name

    @at("+MSSLCERTRD")
    async def msslcertrd(self, call: Call) -> None:
        """`length,data` of a certificate; a key cannot be read."""
        call.expect(Form.WRITE)
        data = self._certificates.get(self._name(call))
        if data is None:
            raise CmeError(762)
        call.data_block(f"+MSSLCERTRD: {len(data)},", data, "\r\n")

    @at("+MSSLLIST")
    async def mssllist(self, call: Call) -> None:
        """1 certificates, 2 keys, 3 shared keys (none here): name and size."""
        call.expect(Form.WRITE)
        kind = call.number(0, 1, 3)
        files: dict[str, bytes] = {1: self._certificates, 2: self._keys}.get(kind, {})
        call.info(*(f'+MSSLLIST: "{name}",{len(data)}' for name, data in files.items()))

    @at("+MSSLRM")
    async def msslrm(self, call: Call) -> None:
        """Delete a certificate or key."""
        call.expect(Form.WRITE)
        name = self._name(call)
        for files in (self._certificates, self._keys):
            if files.pop(name, None) is not None:
                return
        raise CmeError(762)

    @at("+MSSLCHECK", test="+MSSLCHECK: ,(0)")
    async def msslcheck(self, call: Call) -> None:
        """MD5 of a file."""
        call.expect(Form.WRITE)
        call.number(1, 0, 0, 0)
        name = self._name(call)
        data = self._certificates.get(name) or self._keys.get(name)
        if data is None:
            raise CmeError(762)
        call.info(f"+MSSLCHECK: {hashlib.md5(data, usedforsecurity=False).hexdigest()}")


def _suite(text: str) -> int:
    digits = text.lower().removeprefix("0x")
    if not 0 < len(digits) <= 4 or not all(digit in "0123456789abcdef" for digit in digits):
        raise CmeError(50)
    return int(digits, 16)
