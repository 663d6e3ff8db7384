"""A tiny certificate authority: identity directories with whatever flaw a test needs. EC keys: they are fast."""

from __future__ import annotations

import ssl
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

HOUR_S = 3600.0


@dataclass
class Authority:
    """A CA: its certificate and key, and above it the authority that issued it, if it is an intermediate."""

    certificate: x509.Certificate
    key: ec.EllipticCurvePrivateKey
    issuer: Authority | None = None

    @property
    def pem(self) -> bytes:
        return self.certificate.public_bytes(serialization.Encoding.PEM)


def make_ca(
    name: str = "mesh root", issuer: Authority | None = None, *, before_s: float = -HOUR_S, after_s: float = 24 * HOUR_S
) -> Authority:
    """A root, or an intermediate under `issuer`; `before_s` and `after_s` are the validity relative to now."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = _name(name)
    builder = _builder(subject, issuer.certificate.subject if issuer else subject, key.public_key(), before_s, after_s)
    builder = builder.add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
    # What a strict verifier asks for besides (RFC 5280 4.2.1; the default since Python 3.13).
    use = x509.KeyUsage(
        digital_signature=False, content_commitment=False, key_encipherment=False, data_encipherment=False,
        key_agreement=False, key_cert_sign=True, crl_sign=True, encipher_only=False, decipher_only=False,
    )  # fmt: skip
    builder = builder.add_extension(use, critical=True)
    builder = builder.add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
    if issuer:
        builder = builder.add_extension(_authority(issuer), critical=False)
    return Authority(builder.sign(issuer.key if issuer else key, hashes.SHA256()), key, issuer)


def make_identity(
    directory: Path,
    spiffe_id: str | list[str],
    ca: Authority,
    *,
    before_s: float = -HOUR_S,
    after_s: float = 24 * HOUR_S,
    dns: list[str] | None = None,
    usages: tuple[x509.ObjectIdentifier, ...] = (ExtendedKeyUsageOID.CLIENT_AUTH, ExtendedKeyUsageOID.SERVER_AUTH),
    bundle: bytes | None = None,
) -> Path:
    """Writes tls.crt, tls.key and ca.crt into `directory` (made if need be) and returns it."""
    certificate, key = issue(spiffe_id, ca, before_s=before_s, after_s=after_s, dns=dns, usages=usages)
    root = ca
    while root.issuer:
        certificate += root.pem
        root = root.issuer
    directory.mkdir(parents=True, exist_ok=True)
    (directory / "tls.crt").write_bytes(certificate)
    (directory / "tls.key").write_bytes(key)
    (directory / "ca.crt").write_bytes(root.pem if bundle is None else bundle)
    return directory


def issue(
    spiffe_id: str | list[str],
    ca: Authority,
    *,
    before_s: float = -HOUR_S,
    after_s: float = 24 * HOUR_S,
    dns: list[str] | None = None,
    usages: tuple[x509.ObjectIdentifier, ...] = (ExtendedKeyUsageOID.CLIENT_AUTH, ExtendedKeyUsageOID.SERVER_AUTH),
) -> tuple[bytes, bytes]:
    """A leaf certificate and its key, both PEM; `spiffe_id` may be several ids or none (an empty list)."""
    ids = [spiffe_id] if isinstance(spiffe_id, str) else spiffe_id
    key = ec.generate_private_key(ec.SECP256R1())
    builder = _builder(_name("leaf"), ca.certificate.subject, key.public_key(), before_s, after_s)
    names: list[x509.GeneralName] = [x509.UniformResourceIdentifier(uri) for uri in ids]
    names += [x509.DNSName(name) for name in dns or []]
    if names:
        builder = builder.add_extension(x509.SubjectAlternativeName(names), critical=False)
    builder = builder.add_extension(x509.ExtendedKeyUsage(usages), critical=False)
    certificate = builder.add_extension(_authority(ca), critical=False).sign(ca.key, hashes.SHA256())
    return certificate.public_bytes(serialization.Encoding.PEM), key_pem(key)


def key_pem(key: ec.EllipticCurvePrivateKey, password: bytes | None = None) -> bytes:
    encryption = serialization.BestAvailableEncryption(password) if password else serialization.NoEncryption()
    return key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, encryption)


def client_context(directory: Path | None = None, *, version: ssl.TLSVersion | None = None) -> ssl.SSLContext:
    """A client that believes every server and shows the identity in `directory`, if any: a peer that is not ours."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    if directory:
        context.load_cert_chain(directory / "tls.crt", directory / "tls.key")
    if version:
        context.minimum_version = context.maximum_version = version
    return context


def _authority(issuer: Authority) -> x509.AuthorityKeyIdentifier:
    return x509.AuthorityKeyIdentifier.from_issuer_public_key(issuer.key.public_key())


def _name(common_name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common_name)])


def _builder(
    subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePublicKey, before_s: float, after_s: float
) -> x509.CertificateBuilder:
    now = datetime.now(UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now + timedelta(seconds=before_s))
        .not_valid_after(now + timedelta(seconds=after_s))
    )
