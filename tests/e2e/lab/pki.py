"""Certificates and kubeconfigs: an authority of the lab's own, or one that Crossplane made."""

import datetime
import ipaddress
import json
import warnings
from base64 import b64encode
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.asymmetric.types import CertificateIssuerPrivateKeyTypes
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

VALID = datetime.timedelta(days=2)
SKEW = datetime.timedelta(minutes=5)


class Pair(NamedTuple):
    """A certificate and its key, both PEM."""

    certificate: bytes
    key: bytes

    def write(self, directory: Path, name: str = "tls") -> tuple[Path, Path]:
        """`<name>.crt` and `<name>.key` in the directory."""
        directory.mkdir(parents=True, exist_ok=True)
        certificate, key = directory / f"{name}.crt", directory / f"{name}.key"
        certificate.write_bytes(self.certificate)
        key.touch(mode=0o600)
        key.write_bytes(self.key)
        return certificate, key


@dataclass(frozen=True)
class Authority:
    """Who signs."""

    certificate: x509.Certificate
    key: CertificateIssuerPrivateKeyTypes

    @property
    def pem(self) -> bytes:
        """The authority's own certificate."""
        return self.certificate.public_bytes(serialization.Encoding.PEM)

    def issue(self, name: str, *, groups: Sequence[str] = (), hosts: Sequence[str] = ()) -> Pair:
        """A certificate for a client of that name and those groups, and for a server at those hosts."""
        key = ec.generate_private_key(ec.SECP256R1())
        with warnings.catch_warnings(action="ignore", category=UserWarning):  # Crossplane's is of the country Earth
            issuer = self.certificate.subject
        builder = _builder(name, groups, issuer).public_key(key.public_key())
        usages = [ExtendedKeyUsageOID.CLIENT_AUTH, ExtendedKeyUsageOID.SERVER_AUTH]
        builder = builder.add_extension(x509.ExtendedKeyUsage(usages), critical=False)
        if hosts:
            builder = builder.add_extension(x509.SubjectAlternativeName([*map(_host, hosts)]), critical=False)
        return Pair(builder.sign(self.key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM), _private(key))


def authority(name: str) -> Authority:
    """A new authority that nobody else knows."""
    key = ec.generate_private_key(ec.SECP256R1())
    builder = _builder(name, (), x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)]))
    builder = builder.public_key(key.public_key()).add_extension(x509.BasicConstraints(True, None), critical=True)
    return Authority(builder.sign(key, hashes.SHA256()), key)


def known(certificate: bytes, key: bytes) -> Authority:
    """An authority that somebody else made."""
    private = serialization.load_pem_private_key(key, None)
    assert isinstance(private, rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey)
    return Authority(x509.load_pem_x509_certificate(certificate), private)


def signing_key() -> bytes:
    """A new RSA key, PEM: what signs the tokens of ServiceAccounts."""
    return _private(rsa.generate_private_key(public_exponent=65537, key_size=2048))


def kubeconfig(path: Path, server: str, ca: bytes, user: dict[str, Any]) -> Path:
    """A kubeconfig for one server and one user: `{"token": ...}`, or a certificate's files."""
    cluster = {"server": server, "certificate-authority-data": b64encode(ca).decode()}
    context = {"cluster": "lab", "user": "lab"}
    config = {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": "lab", "cluster": cluster}],
        "users": [{"name": "lab", "user": user}],
        "contexts": [{"name": "lab", "context": context}],
        "current-context": "lab",
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    path.touch(mode=0o600)
    path.write_text(json.dumps(config))
    return path


def _builder(name: str, groups: Sequence[str], issuer: x509.Name) -> x509.CertificateBuilder:
    attributes = [x509.NameAttribute(NameOID.ORGANIZATION_NAME, group) for group in groups]
    now = datetime.datetime.now(datetime.UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(x509.Name([*attributes, x509.NameAttribute(NameOID.COMMON_NAME, name)]))
        .issuer_name(issuer)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - SKEW)
        .not_valid_after(now + VALID)
    )


def _host(host: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(host))
    except ValueError:
        return x509.DNSName(host)


def _private(key: rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey) -> bytes:
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.TraditionalOpenSSL, serialization.NoEncryption()
    )
