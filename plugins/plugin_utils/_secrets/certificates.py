# Copyright (c) 2026, llmops.gpu_inference contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this plugin util is **PRIVATE** to the collection. It can have breaking changes at any time.
"""Certificates: an authority of our own, its certificates for hosts, and what is wrong with one that a user has. No files, no clock."""

from __future__ import annotations

import contextlib
import ipaddress
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta, timezone

# ansible-core requires it, so it is always there; only ansible-test imports plugins without.
with contextlib.suppress(ImportError):
    from cryptography import x509
    from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec
    from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

#: Of clocks that differ.
_LEEWAY = timedelta(days=1)
AUTHORITY_LIFE = timedelta(days=3652)
HOST_LIFE = timedelta(days=825)


class CertificateError(ValueError):
    """What is wrong with a certificate or a key. Its text never holds any of it."""


@dataclass(frozen=True)
class Pair:
    """A certificate with those that follow it, and its key, as PEM."""

    certificate: str
    key: str = field(repr=False)

    @property
    def text(self) -> str:
        """Both in one file, so that nobody ever reads the one with another's other."""
        return self.certificate + self.key


def _pem(certificate: x509.Certificate) -> str:
    return certificate.public_bytes(serialization.Encoding.PEM).decode()


def _key_text(key: ec.EllipticCurvePrivateKey) -> str:
    return key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()).decode()


def _utc(certificate: x509.Certificate, attribute: str) -> datetime:
    """Releases of the library before 42 have times without a zone, and warn of that after it."""
    aware = getattr(certificate, f"{attribute}_utc", None)
    found: datetime = getattr(certificate, attribute).replace(tzinfo=timezone.utc) if aware is None else aware
    return found


def _general(name: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(name.strip("[]")))
    except ValueError:
        return x509.DNSName(name.lower())


def _builder(
    subject: str, issuer: x509.Name | None, key: ec.EllipticCurvePrivateKey, now: datetime, life: timedelta
) -> x509.CertificateBuilder:
    # A common name has 64 characters at most; what counts are the alternative names.
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, subject[:64])])
    return (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(issuer or name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - _LEEWAY)
        .not_valid_after(now + life)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
    )


def _usage(*, signs: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=True,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=signs,
        crl_sign=signs,
        encipher_only=False,
        decipher_only=False,
    )


def make_authority(now: datetime) -> Pair:
    """An authority for one deployment. It signs certificates of hosts and no further authority."""
    key = ec.generate_private_key(ec.SECP256R1())
    serial = hashes.Hash(hashes.SHA256())
    serial.update(key.public_key().public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo))
    certificate = (
        _builder(f"gpu-inference {serial.finalize().hex()[:12]}", None, key, now, AUTHORITY_LIFE)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(_usage(signs=True), critical=True)
        .sign(key, hashes.SHA256())
    )
    return Pair(_pem(certificate), _key_text(key))


def make_certificate(authority: Pair, names: Sequence[str], now: datetime) -> Pair:
    """The certificate of a server that is reached by these names and addresses, with its authority's behind it."""
    issuer, signer = _certificates(authority.certificate)[0], _private_key(authority.key)
    if not isinstance(signer, ec.EllipticCurvePrivateKey):
        raise CertificateError("is not the key of an authority that this collection has made")
    key = ec.generate_private_key(ec.SECP256R1())
    certificate = (
        _builder(names[0], issuer.subject, key, now, min(HOST_LIFE, _utc(issuer, "not_valid_after") - now))
        .add_extension(x509.SubjectAlternativeName([_general(name) for name in names]), critical=False)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(_usage(signs=False), critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(signer.public_key()), critical=False)
        .sign(signer, hashes.SHA256())
    )
    return Pair(_pem(certificate) + authority.certificate, _key_text(key))


def is_fresh(pair: Pair, authority: Pair, names: Sequence[str], now: datetime) -> bool:
    """Whether a certificate is this authority's, for exactly these names, and has more than a third of its life before it."""
    try:
        certificate, issuer = _certificates(pair.certificate)[0], _certificates(authority.certificate)[0]
        key = issuer.public_key()
        if not isinstance(key, ec.EllipticCurvePublicKey) or not matches(pair):
            return False
        key.verify(certificate.signature, certificate.tbs_certificate_bytes, ec.ECDSA(hashes.SHA256()))
    except (CertificateError, InvalidSignature):
        return False
    begins, ends = _utc(certificate, "not_valid_before"), _utc(certificate, "not_valid_after")
    return begins <= now and ends - now > (ends - begins) / 3 and set(_alternative(certificate)) == {_general(name) for name in names}


def days_left(certificate: str, now: datetime) -> int:
    return (_utc(_certificates(certificate)[0], "not_valid_after") - now).days


# --- what others made --------------------------------------------------------------------------------------------


def _certificates(text: str) -> list[x509.Certificate]:
    try:
        found = x509.load_pem_x509_certificates(text.encode())
    except (ValueError, UnsupportedAlgorithm):
        found = []
    if not found:
        raise CertificateError("has no certificate in it; it must be PEM text, -----BEGIN CERTIFICATE-----, the server's own first")
    return found


def _private_key(text: str) -> object:
    try:
        return serialization.load_pem_private_key(text.encode(), password=None)
    except TypeError:
        raise CertificateError("has a password; write it without one (openssl pkey), and encrypt the file with ansible-vault") from None
    except (ValueError, UnsupportedAlgorithm):
        raise CertificateError("has no private key in it; it must be PEM text") from None


def _public_bytes(key: object) -> bytes:
    found: bytes = key.public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)  # type: ignore[attr-defined]
    return found


def matches(pair: Pair) -> bool:
    """Whether the key is that of the certificate."""
    key = _private_key(pair.key)
    return _public_bytes(_certificates(pair.certificate)[0].public_key()) == _public_bytes(key.public_key())  # type: ignore[attr-defined]


def _alternative(certificate: x509.Certificate) -> Iterable[x509.GeneralName]:
    try:
        return list(certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value)
    except (x509.ExtensionNotFound, ValueError):
        return []


def covers(certificate: x509.Certificate, name: str) -> bool:
    """As clients judge: by alternative names alone, a star for one label, the first."""
    wanted = _general(name)
    given = list(_alternative(certificate))
    if wanted in given:
        return True
    labels = name.lower().rstrip(".").split(".")
    stars = {item.value.lower() for item in given if isinstance(item, x509.DNSName)}
    return isinstance(wanted, x509.DNSName) and len(labels) > 2 and ".".join(["*", *labels[1:]]) in stars


def troubles(certificate: str, key: str, name: str, now: datetime) -> Iterator[tuple[str, str]]:
    """All that stands against a certificate that a user has: C(certificate) or C(key), and why."""
    first: x509.Certificate | None = None
    try:
        first = _certificates(certificate)[0]
    except CertificateError as error:
        yield "certificate", str(error)
    try:
        _private_key(key)
    except CertificateError as error:
        yield "key", str(error)
    else:
        if first is not None and not matches(Pair(certificate, key)):
            yield "key", "is not the key of that certificate; give the two that were made together"
    if first is None:
        return
    begins, ends = _utc(first, "not_valid_before"), _utc(first, "not_valid_after")
    if ends <= now:
        yield "certificate", f"ended on {ends:%Y-%m-%d}; renew it"
    elif begins > now + _LEEWAY:
        yield "certificate", f"begins on {begins:%Y-%m-%d}; look at the clock of this machine"
    if not covers(first, name):
        known = ", ".join(sorted(str(item.value) for item in _alternative(first))) or "none"
        yield "certificate", f"is not for {name}, by which clients reach the gateway (its names: {known}); have one made for that name"


def authority_trouble(text: str) -> str | None:
    """Everybody may read it where it is written."""
    if "PRIVATE KEY-----" in text:
        return "has a private key in it, and it is given to every client; leave the key out"
    try:
        _certificates(text)
    except CertificateError:
        return "has no certificate in it; it must be PEM text, -----BEGIN CERTIFICATE-----"
    return None
