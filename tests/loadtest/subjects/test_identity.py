from __future__ import annotations

import subprocess
from pathlib import Path

from cryptography import x509

from loadtest.subjects.identity import Authority, spiffe_id


def verify(leaf: Path, roots: Path) -> bool:
    """What an independent and strict verifier says."""
    command = ["openssl", "verify", "-x509_strict", "-CAfile", str(roots / "ca.crt"), str(leaf / "tls.crt")]
    return subprocess.run(command, capture_output=True, check=False).returncode == 0


def test_a_certificate_names_its_account_and_is_vouched_for_by_its_authority_alone(tmp_path: Path) -> None:
    Authority().issue(tmp_path / "echo", "echo")
    Authority().issue(tmp_path / "stranger", "echo")
    assert verify(tmp_path / "echo", tmp_path / "echo")
    assert not verify(tmp_path / "stranger", tmp_path / "echo")
    certificate = x509.load_pem_x509_certificate((tmp_path / "echo" / "tls.crt").read_bytes())
    names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert [name.value for name in names] == [spiffe_id("echo")] == ["spiffe://cluster.local/ns/load/sa/echo"]


def test_a_key_is_for_its_owner_alone(tmp_path: Path) -> None:
    Authority().issue(tmp_path / "echo", "echo")
    assert (tmp_path / "echo" / "tls.key").stat().st_mode & 0o777 == 0o600
