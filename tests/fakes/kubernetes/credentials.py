"""What a client needs to reach the fake API server over TLS: certificates and kubeconfigs."""

from __future__ import annotations

import ssl
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path
from typing import Any

import msgspec
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from tests.fakes.pki import Authority, key_pem, make_ca


class Credentials:
    """A certificate authority for one server at one address, written into a directory: ca.crt, server.crt, server.key,
    client.crt, client.key.
    """

    def __init__(self, directory: Path, host: str) -> None:
        self.directory = directory
        directory.mkdir(parents=True, exist_ok=True)
        self.ca = make_ca("kubernetes")
        (directory / "ca.crt").write_bytes(self.ca.pem)
        self._write("server", ExtendedKeyUsageOID.SERVER_AUTH, x509.IPAddress(ip_address(host)))
        self._write("client", ExtendedKeyUsageOID.CLIENT_AUTH, None)

    def context(self) -> ssl.SSLContext:
        """The server's side: client certificates are optional."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(self.directory / "server.crt", self.directory / "server.key")
        context.load_verify_locations(self.directory / "ca.crt")
        context.verify_mode = ssl.CERT_OPTIONAL
        return context

    def _write(self, name: str, usage: x509.ObjectIdentifier, address: x509.IPAddress | None) -> None:
        certificate, key = _issue(name, self.ca, usage, address)
        (self.directory / f"{name}.crt").write_bytes(certificate)
        (self.directory / f"{name}.key").write_bytes(key)


def kubeconfig(path: Path, url: str, ca: Path | None, user: dict[str, Any], context: str = "fake") -> Path:
    """Write a kubeconfig with one context; `user` is as there: token, tokenFile, client-certificate, exec, ..."""
    cluster: dict[str, Any] = {"server": url, **({"certificate-authority": str(ca)} if ca else {})}
    document = {
        "apiVersion": "v1", "kind": "Config", "current-context": context,
        "clusters": [{"name": context, "cluster": cluster}],
        "users": [{"name": context, "user": user}],
        "contexts": [{"name": context, "context": {"cluster": context, "user": context}}],
    }  # fmt: skip
    path.write_bytes(msgspec.json.format(msgspec.json.encode(document), indent=1))
    return path


def _issue(
    name: str, ca: Authority, usage: x509.ObjectIdentifier, address: x509.IPAddress | None
) -> tuple[bytes, bytes]:
    key = ec.generate_private_key(ec.SECP256R1())
    now = datetime.now(UTC)
    builder = (
        x509.CertificateBuilder()
        .subject_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)]))
        .issuer_name(ca.certificate.subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(hours=1))
        .not_valid_after(now + timedelta(hours=24))
        .add_extension(x509.ExtendedKeyUsage([usage]), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(ca.key.public_key()), critical=False)
    )
    if address:
        builder = builder.add_extension(x509.SubjectAlternativeName([address]), critical=False)
    certificate = builder.sign(ca.key, hashes.SHA256())
    return certificate.public_bytes(serialization.Encoding.PEM), key_pem(key)
