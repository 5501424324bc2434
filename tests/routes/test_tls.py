"""Whom https trusts, and what it says when it doesn't."""

import contextlib
import datetime as dt
from pathlib import Path
import ssl

import certifi
import pytest
import trustme

from custom_components.cellular_uplink.modem.errors import InputError
from custom_components.cellular_uplink.modem.routes.tls import build_ssl_context, tls_error


def test_default_checks_certificates_and_offers_1_2_and_1_3() -> None:
    context = build_ssl_context()
    assert context.verify_mode is ssl.CERT_REQUIRED
    assert context.check_hostname
    assert context.minimum_version is ssl.TLSVersion.TLSv1_2
    assert context.maximum_version is ssl.TLSVersion.MAXIMUM_SUPPORTED


def test_own_authority_is_the_only_one(ca_pem: str) -> None:
    context = build_ssl_context(ca_pem=ca_pem)
    assert context.cert_store_stats()["x509"] == 1
    assert context.verify_mode is ssl.CERT_REQUIRED
    assert context.check_hostname


def test_unverified_is_unverified(ca_pem: str) -> None:
    for context in (build_ssl_context(verify=False), build_ssl_context(verify=False, ca_pem=ca_pem)):
        assert context.verify_mode is ssl.CERT_NONE
        assert not context.check_hostname


@pytest.mark.parametrize(
    "pem",
    ["", "not a certificate", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n", "ä", "\x00"],
)
def test_bad_pem_is_named(pem: str) -> None:
    with pytest.raises(InputError, match="PEM") as caught:
        build_ssl_context(ca_pem=pem)
    assert caught.value.field == "ca"


def test_host_without_a_store_uses_certifi(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "none"))
    monkeypatch.setenv("SSL_CERT_DIR", str(tmp_path))
    context = build_ssl_context()
    assert context.cert_store_stats()["x509"] == Path(certifi.where()).read_text().count("BEGIN CERTIFICATE")


def test_folder_of_certificates_counts_as_a_store(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "01234567.0").write_text("looked up when needed")
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "none"))
    monkeypatch.setenv("SSL_CERT_DIR", str(tmp_path))
    assert build_ssl_context().cert_store_stats()["x509"] == 0


def _shake_hands(client: ssl.SSLContext, server: ssl.SSLContext, name: str) -> None:
    to_client, to_server = ssl.MemoryBIO(), ssl.MemoryBIO()
    ours = client.wrap_bio(to_client, to_server, server_hostname=name)
    theirs = server.wrap_bio(to_server, to_client, server_side=True)
    for _ in range(4):
        for side in (ours, theirs):
            with contextlib.suppress(ssl.SSLWantReadError):
                side.do_handshake()


def _server(authority: trustme.CA, name: str, not_after: dt.datetime | None = None) -> ssl.SSLContext:
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.issue_cert(name, not_after=not_after).configure_cert(context)
    return context


YESTERDAY = dt.datetime.now(dt.UTC) - dt.timedelta(days=1)


@pytest.mark.parametrize(
    ("case", "code", "words"),
    [
        ("unknown", "certificate_untrusted", "The certificate of example.org is not trusted: "),
        ("expired", "certificate_expired", "certificate has expired"),
        ("other", "host_mismatch", "not valid for 'example.org'"),
    ],
)
def test_refused_certificates_say_why(authority: trustme.CA, ca_pem: str, case: str, code: str, words: str) -> None:
    server = {
        "unknown": lambda: _server(trustme.CA(), "example.org"),
        "expired": lambda: _server(authority, "example.org", YESTERDAY),
        "other": lambda: _server(authority, "example.com"),
    }[case]()
    with pytest.raises(ssl.SSLError) as caught:
        _shake_hands(build_ssl_context(ca_pem=ca_pem), server, "example.org")
    error = tls_error(caught.value, "example.org")
    assert error.code == code
    assert error.kind == "tls"
    assert words in error.message
    assert "example.org" in error.message


def test_other_handshake_failures_say_why() -> None:
    old = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    with pytest.raises(ssl.SSLError) as caught:
        _shake_hands(build_ssl_context(), old, "example.org")
    error = tls_error(caught.value, "example.org")
    assert error.code == "handshake"
    assert error.message.startswith("The TLS handshake with example.org failed: ")
    assert tls_error(ssl.SSLError(), "example.org").message.endswith("unknown reason")
