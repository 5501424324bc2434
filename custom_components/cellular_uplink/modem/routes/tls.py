"""TLS on this host: which certificates are trusted, and what went wrong in words."""

from pathlib import Path
import ssl

import certifi

from ..errors import InputError, TlsError

_EXPIRED = frozenset({9, 10})
"""OpenSSL's verify codes: not valid yet, has expired."""
_HOST_MISMATCH = frozenset({62, 64})
"""OpenSSL's verify codes: host name mismatch, IP address mismatch."""


def build_ssl_context(*, ca_pem: str | None = None, verify: bool = True) -> ssl.SSLContext:
    """Return a client context for TLS 1.2 and 1.3. Reads files: call it outside the event loop.

    `ca_pem` None trusts what this host trusts, else only the certificates in that PEM text (one or more, a server's
    own self-signed certificate too). `verify` False checks nothing: the connection is encrypted, to whom is unknown.

    Raises:
        InputError: field "ca" when the text holds no certificate.
    """
    context = _own_authority(ca_pem) if ca_pem is not None and verify else ssl.create_default_context()
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    if not verify:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    elif ca_pem is None and _is_store_empty(context):
        context.load_verify_locations(cafile=certifi.where())
    return context


def tls_error(exc: ssl.SSLError, host: str) -> TlsError:
    """Return what a failed handshake with `host` means, as an error with code and sentence."""
    if isinstance(exc, ssl.SSLCertVerificationError):
        detail = exc.verify_message.rstrip(".")
        if exc.verify_code in _EXPIRED:
            return TlsError(
                "certificate_expired", f"The certificate of {host} is not valid today: {detail} (is the clock right?)"
            )
        if exc.verify_code in _HOST_MISMATCH:
            return TlsError("host_mismatch", f"The certificate that {host} showed is for another name: {detail}")
        return TlsError("certificate_untrusted", f"The certificate of {host} is not trusted: {detail}")
    # Only errors that OpenSSL itself raised have a reason.
    reason = (getattr(exc, "reason", None) or exc.strerror or "unknown reason").replace("_", " ").lower()
    return TlsError("handshake", f"The TLS handshake with {host} failed: {reason}")


def _own_authority(ca_pem: str) -> ssl.SSLContext:
    if not ca_pem.strip():  # to ssl, empty is the host's trust store
        raise InputError("ca", "holds no certificate in PEM form")
    try:
        context = ssl.create_default_context(cadata=ca_pem)
    except (ssl.SSLError, ValueError, TypeError) as err:
        raise InputError("ca", "holds no certificate in PEM form") from err
    if not context.cert_store_stats()["x509"]:
        raise InputError("ca", "holds no certificate in PEM form")
    # Home-made authorities often lack the extensions that strict checking asks for; the user named this one.
    context.verify_flags &= ~ssl.VERIFY_X509_STRICT
    return context


def _is_store_empty(context: ssl.SSLContext) -> bool:
    if context.cert_store_stats()["x509"]:
        return False
    folder = ssl.get_default_verify_paths().capath  # read lazily, so it doesn't show in the counts
    return not folder or not any(Path(folder).glob("*.0"))
