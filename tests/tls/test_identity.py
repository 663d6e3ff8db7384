from __future__ import annotations

import errno
import os
import ssl
import time
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID

from meshproxy.tls import identity
from meshproxy.tls.identity import Identity, IdentityError
from tests.fakes.pki import Authority, key_pem, make_ca, make_identity

URI = "spiffe://cluster.local/ns/shop/sa/web"


@pytest.fixture(scope="module")
def ca() -> Authority:
    return make_ca()


def load(directory: Path, at_s: float | None = None) -> Identity:
    files = identity.read(directory)
    return identity.build(files, "shop", "web", time.time() if at_s is None else at_s)


def refusal(directory: Path) -> str:
    with pytest.raises(IdentityError) as caught:
        load(directory)
    return str(caught.value)


def descriptors() -> int:
    return sum(1 for _ in Path("/proc/self/fd").iterdir())


def test_a_right_set_gives_id_dates_and_strict_contexts(tmp_path: Path, ca: Authority) -> None:
    own = load(make_identity(tmp_path, URI, ca, before_s=-100, after_s=1000))
    assert str(own.id) == URI
    assert own.not_before_s < time.time() < own.not_after_s < time.time() + 1001
    for context in (own.server, own.client):
        assert context.minimum_version == context.maximum_version == ssl.TLSVersion.TLSv1_3
        assert context.verify_mode is ssl.CERT_REQUIRED
        assert not context.check_hostname
        assert len(context.get_ca_certs()) == 1
    assert own.server.num_tickets == 0


def test_a_chain_with_an_intermediate_and_a_bundle_of_several_roots_are_taken(tmp_path: Path, ca: Authority) -> None:
    issuer = make_ca("issuer", ca)
    make_identity(tmp_path, URI, issuer, dns=["web.shop"], bundle=b"# roots \xc3\xa9\n" + make_ca("old").pem + ca.pem)
    assert str(load(tmp_path).id) == URI


def test_the_error_says_which_identity_is_the_certificates_and_which_the_flags(tmp_path: Path, ca: Authority) -> None:
    make_identity(tmp_path, "spiffe://cluster.local/ns/other/sa/db", ca)
    message = refusal(tmp_path)
    assert "tls.crt is of namespace 'other', service account 'db'" in message
    assert "started for namespace 'shop', service account 'web'" in message


@pytest.mark.parametrize("ids", [[], [URI, URI], ["https://example.com/"], ["spiffe://cluster.local/workload"]])
def test_a_certificate_without_exactly_one_spiffe_id_is_refused(tmp_path: Path, ca: Authority, ids: list[str]) -> None:
    make_identity(tmp_path, ids, ca)
    assert refusal(tmp_path).startswith("tls.crt: ")


@pytest.mark.parametrize(
    ("before_s", "after_s", "message"),
    [(-7200, -60, "tls.crt has expired at 20"), (60, 7200, "tls.crt is not valid before 20")],
)
def test_a_date_beyond_the_skew_is_refused(
    tmp_path: Path, ca: Authority, before_s: float, after_s: float, message: str
) -> None:
    assert message in refusal(make_identity(tmp_path, URI, ca, before_s=before_s, after_s=after_s))


@pytest.mark.parametrize(("before_s", "after_s"), [(-7200, -8), (10, 7200)])
def test_a_date_within_the_skew_is_taken(tmp_path: Path, ca: Authority, before_s: float, after_s: float) -> None:
    assert str(load(make_identity(tmp_path, URI, ca, before_s=before_s, after_s=after_s)).id) == URI


def test_an_expired_authority_is_told_apart_from_an_expired_certificate(tmp_path: Path) -> None:
    make_identity(tmp_path, URI, make_ca(before_s=-7200, after_s=-60))
    assert "a certificate above tls.crt" in refusal(tmp_path)


def test_a_bundle_that_does_not_vouch_for_our_certificate_is_refused(tmp_path: Path, ca: Authority) -> None:
    make_identity(tmp_path, URI, ca, bundle=make_ca("foreign").pem)
    assert "does not verify under ca.crt" in refusal(tmp_path)


@pytest.mark.parametrize("usage", [ExtendedKeyUsageOID.CLIENT_AUTH, ExtendedKeyUsageOID.SERVER_AUTH])
def test_a_certificate_for_one_role_only_is_refused(tmp_path: Path, ca: Authority, usage: object) -> None:
    make_identity(tmp_path, URI, ca, usages=(usage,))
    assert "unsuitable certificate purpose" in refusal(tmp_path)


def test_the_key_of_another_certificate_is_refused(tmp_path: Path, ca: Authority) -> None:
    make_identity(tmp_path, URI, ca)
    (tmp_path / "tls.key").write_bytes(key_pem(ec.generate_private_key(ec.SECP256R1())))
    assert refusal(tmp_path) == "tls.key is not the key of tls.crt"


def test_an_encrypted_key_is_refused_without_asking_on_the_terminal(tmp_path: Path, ca: Authority) -> None:
    make_identity(tmp_path, URI, ca)
    (tmp_path / "tls.key").write_bytes(key_pem(ec.generate_private_key(ec.SECP256R1()), b"secret"))
    assert "tls.key is encrypted" in refusal(tmp_path)


@pytest.mark.parametrize("name", ["tls.crt", "tls.key", "ca.crt"])
def test_a_flawed_file_is_named(tmp_path: Path, ca: Authority, name: str) -> None:
    make_identity(tmp_path, URI, ca)
    path = tmp_path / name
    good = path.read_bytes()
    path.write_bytes(b"hello")
    assert refusal(tmp_path).startswith(f"{name} holds no PEM block of type ")
    path.write_bytes(b"\n".join([*good.split(b"\n")[:2], good.strip().split(b"\n")[-1]]))
    assert "cannot be loaded: malformed PEM" in refusal(tmp_path)
    path.write_bytes(good + b" " * 2_000_000)
    assert f"{name} is larger than" in refusal(tmp_path)
    path.unlink()
    assert f"{name} cannot be read: No such file" in refusal(tmp_path)
    os.mkfifo(path)
    assert f"{name} is not a regular file" in refusal(tmp_path)


def test_no_error_holds_key_material(tmp_path: Path, ca: Authority) -> None:
    make_identity(tmp_path, URI, ca)
    key = (tmp_path / "tls.key").read_text()
    (tmp_path / "tls.key").write_text(key.replace("\n", "", 1))
    assert key.split("\n")[1][:8] not in refusal(tmp_path)
    assert "PRIVATE" not in repr(identity.read(tmp_path))


def test_no_descriptor_left_while_loading_is_an_error_of_the_identity(
    tmp_path: Path, ca: Authority, monkeypatch: pytest.MonkeyPatch
) -> None:
    files = identity.read(make_identity(tmp_path, URI, ca))

    def starve(*_: object) -> int:
        raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))

    monkeypatch.setattr(os, "memfd_create", starve)
    with pytest.raises(IdentityError, match="Too many open files"):
        identity.build(files, "shop", "web", time.time())


def test_loading_leaves_no_descriptor_behind(tmp_path: Path, ca: Authority) -> None:
    make_identity(tmp_path, URI, ca)
    before = descriptors()
    load(tmp_path)
    (tmp_path / "ca.crt").write_bytes(make_ca("foreign").pem)
    refusal(tmp_path)
    assert descriptors() == before
