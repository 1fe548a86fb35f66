"""Makes a CA, and the certificates that it signs. The only module that needs the library `cryptography`.

Keys are on the curve P-256, and only their owner can read them. A node's certificate may be used at both ends of a
connection; the clients' only to call. Nothing that exists is written again unless that is asked for.
"""

from __future__ import annotations

import ipaddress
import os
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TypeAlias

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID, ObjectIdentifier

from raft_chaos.invariants.regular_file import read_regular
from raft_chaos.raft.network.tls import MOST_FILE_BYTES, TlsError

Signer: TypeAlias = tuple[ec.EllipticCurvePrivateKey, x509.Certificate]
"""The key and the certificate of a CA."""

CA_LIFETIME = timedelta(days=3650)
CLOCKS_DIFFER = timedelta(hours=1)
"""A certificate is valid from so long before it was made, for machines whose clocks are behind."""
_AT_BOTH_ENDS = (ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH)
_TO_CALL = (ExtendedKeyUsageOID.CLIENT_AUTH,)


class Maker:
    """Makes certificates in a folder, with the CA that is there, or with a new one."""

    def __init__(self, folder: Path, days: int, *, overwrite: bool) -> None:
        self._folder = folder
        self._overwrite = overwrite
        self._now = datetime.now(UTC)
        self._lifetime = timedelta(days=days)
        self.made_ca = self._is_to_make("ca")
        self._signer: Signer | None = self._new_ca() if self.made_ca else None

    def node(self, name: str, hosts: Sequence[str]) -> bool:
        """Makes a node's; returns False if it is there already."""
        names = [x509.DNSName(name), *map(_general_name, hosts)]
        return self._make(name, x509.SubjectAlternativeName(names), _AT_BOTH_ENDS)

    def client(self, name: str) -> bool:
        """Makes the clients'; returns False if it is there already."""
        return self._make(name, None, _TO_CALL)

    def _make(self, owner: str, names: x509.SubjectAlternativeName | None, usage: Sequence[ObjectIdentifier]) -> bool:
        if not self._is_to_make(owner):
            return False
        if self._signer is None:
            self._signer = self._read_ca()  # only if it signs something: its key may rightly be elsewhere
        ca_key, ca = self._signer
        key = ec.generate_private_key(ec.SECP256R1())
        builder = (
            self._builder(owner, key, min(self._now + self._lifetime, ca.not_valid_after_utc))
            .issuer_name(ca.subject)
            .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            .add_extension(_key_usage(signs_certificates=False), critical=True)
            .add_extension(x509.ExtendedKeyUsage(usage), critical=False)
            .add_extension(_authority(ca_key), critical=False)
        )
        if names is not None:
            builder = builder.add_extension(names, critical=False)
        self._write(owner, key, builder.sign(ca_key, hashes.SHA256()))
        return True

    def _new_ca(self) -> Signer:
        key = ec.generate_private_key(ec.SECP256R1())
        builder = (
            self._builder("raft-chaos CA", key, self._now + max(self._lifetime, CA_LIFETIME))
            .issuer_name(_name("raft-chaos CA"))
            .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
            .add_extension(_key_usage(signs_certificates=True), critical=True)
        )
        ca = builder.sign(key, hashes.SHA256())
        self._write("ca", key, ca)
        return key, ca

    def _read_ca(self) -> Signer:
        try:
            ca = x509.load_pem_x509_certificate(self._read("ca.pem"))
            key = load_pem_private_key(self._read("ca.key"), None)
        except OSError as error:
            raise TlsError(f"{error.filename}: cannot be read ({error.strerror}), and it signs certificates") from None
        except (ValueError, TypeError) as error:
            raise TlsError(f"{self._folder / 'ca.pem'} and its key: expected a CA in PEM format ({error})") from None
        if not isinstance(key, ec.EllipticCurvePrivateKey) or key.public_key() != ca.public_key():
            raise TlsError(f"{self._folder / 'ca.key'}: this key does not belong to ca.pem")
        return key, ca

    def _read(self, name: str) -> bytes:
        return read_regular(self._folder / name, MOST_FILE_BYTES)

    def _builder(self, name: str, key: ec.EllipticCurvePrivateKey, until: datetime) -> x509.CertificateBuilder:
        return (
            x509.CertificateBuilder()
            .subject_name(_name(name))
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(self._now - CLOCKS_DIFFER)
            .not_valid_after(until)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        )

    # ---- files ------------------------------------------------------------------------------------------------------

    def _is_to_make(self, owner: str) -> bool:
        return self._overwrite or not (self._folder / f"{owner}.pem").exists()

    def _write(self, owner: str, key: ec.EllipticCurvePrivateKey, certificate: x509.Certificate) -> None:
        secret = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
        _replace(self._folder / f"{owner}.key", secret, 0o600)
        _replace(self._folder / f"{owner}.pem", certificate.public_bytes(Encoding.PEM), 0o644)


def _replace(file: Path, data: bytes, mode: int) -> None:
    """Writes a file whole, or not at all. It has its mode from the beginning."""
    half = file.with_name(f".{file.name}.new")
    half.unlink(missing_ok=True)
    with os.fdopen(os.open(half, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, mode), "wb") as opened:
        opened.write(data)
    half.replace(file)


def _name(common: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common)])


def _general_name(host: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(host))
    except ValueError:
        return x509.DNSName(host)


def _authority(key: ec.EllipticCurvePrivateKey) -> x509.AuthorityKeyIdentifier:
    return x509.AuthorityKeyIdentifier.from_issuer_public_key(key.public_key())


def _key_usage(*, signs_certificates: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not signs_certificates,
        key_cert_sign=signs_certificates,
        crl_sign=signs_certificates,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )
