"""The context for control planes: the name that was dialed is checked, and our own certificate shown."""

from __future__ import annotations

import logging
import ssl
from pathlib import Path
from typing import Any

import pytest

from meshproxy.tls.control import ControlContext
from meshproxy.tls.identity import IdentityError
from tests.fakes.pki import Authority, make_ca, make_identity

ID = "spiffe://cluster.local/ns/shop/sa/front"
NAME = "control.mesh.example"


@pytest.fixture(scope="module")
def ca() -> Authority:
    return make_ca()


def _server(directory: Path, ca: Authority, *names: str) -> ssl.SSLContext:
    made = make_identity(directory, [], ca, dns=list(names))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(made / "tls.crt", made / "tls.key")
    context.load_verify_locations(made / "ca.crt")
    context.verify_mode = ssl.CERT_REQUIRED
    return context


def _shake(client: ssl.SSLContext, server: ssl.SSLContext) -> dict[str, Any]:
    """A handshake in memory; returns the client's certificate as the server sees it."""
    to_server, to_client = ssl.MemoryBIO(), ssl.MemoryBIO()
    accepted = server.wrap_bio(to_server, to_client, server_side=True)
    dialed = client.wrap_bio(to_client, to_server, server_hostname=NAME)
    for end in (dialed, accepted, dialed, accepted):
        try:
            end.do_handshake()
        except ssl.SSLWantReadError:
            continue
    return accepted.getpeercert() or {}


def test_both_know_each_other(tmp_path: Path, ca: Authority) -> None:
    context = ControlContext(make_identity(tmp_path / "own", ID, ca))
    seen = _shake(context(), _server(tmp_path / "control", ca, "other", NAME))
    assert seen["subjectAltName"] == (("URI", ID),)


def test_a_workload_of_the_mesh_is_no_control_plane(tmp_path: Path, ca: Authority) -> None:
    context = ControlContext(make_identity(tmp_path / "own", ID, ca))
    with pytest.raises(ssl.SSLCertVerificationError, match=r"(?i)hostname mismatch"):
        _shake(context(), _server(tmp_path / "other", ca, "catalog.mesh.example"))


def test_a_stranger_is_no_control_plane(tmp_path: Path, ca: Authority) -> None:
    context = ControlContext(make_identity(tmp_path / "own", ID, ca))
    with pytest.raises(ssl.SSLCertVerificationError):
        _shake(context(), _server(tmp_path / "stranger", make_ca(), NAME))


def test_a_new_identity_is_taken_and_a_bad_one_is_not(
    tmp_path: Path, ca: Authority, caplog: pytest.LogCaptureFixture
) -> None:
    own = make_identity(tmp_path / "own", ID, ca)
    context = ControlContext(own)
    former = context()
    (own / "tls.key").write_text("half of a key")
    with caplog.at_level(logging.WARNING, "meshproxy"):
        for _ in range(3):
            assert _shake(context(), _server(tmp_path / "control", ca, NAME))
    assert "tls.key holds no PEM block" in caplog.text
    assert len(caplog.records) == 1, "an outage may last for a night"
    renewed = make_ca("renewed root")
    make_identity(own, ID, renewed)
    assert context() is not former
    assert _shake(context(), _server(tmp_path / "control", renewed, NAME))


def test_a_start_without_an_identity_fails(tmp_path: Path) -> None:
    with pytest.raises(IdentityError):
        ControlContext(tmp_path)
