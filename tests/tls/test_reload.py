from __future__ import annotations

import shutil
import time
from pathlib import Path

import pytest

from meshproxy.tls.identity import IdentityError
from meshproxy.tls.reload import IdentityStore, Reload
from tests.fakes.pki import Authority, make_ca, make_identity

URI = "spiffe://cluster.local/ns/shop/sa/web"


@pytest.fixture(scope="module")
def ca() -> Authority:
    return make_ca()


@pytest.fixture
def store(tmp_path: Path, ca: Authority) -> IdentityStore:
    return IdentityStore(make_identity(tmp_path / "id", URI, ca), "shop", "web", time.time())


def polls(store: IdentityStore, count: int, at_s: float | None = None) -> list[Reload]:
    return [store.poll(time.time() if at_s is None else at_s) for _ in range(count)]


def test_a_flawed_identity_stops_the_start(tmp_path: Path, ca: Authority) -> None:
    make_identity(tmp_path, URI, ca)
    with pytest.raises(IdentityError):
        IdentityStore(tmp_path, "shop", "db", time.time())


def test_unchanged_files_are_not_loaded_again(tmp_path: Path, store: IdentityStore) -> None:
    first = store.current
    (tmp_path / "id" / "tls.crt").touch()
    assert polls(store, 3) == [Reload.SAME] * 3
    assert store.current is first


def test_a_renewed_certificate_is_taken_over(tmp_path: Path, ca: Authority, store: IdentityStore) -> None:
    first = store.current
    make_identity(tmp_path / "id", URI, ca, after_s=7200)
    assert polls(store, 2) == [Reload.CHANGED, Reload.SAME]
    assert store.current.not_after_s != first.not_after_s
    assert store.current.server is not first.server
    assert store.refusal == ""


def test_a_swapped_symlink_is_a_change(tmp_path: Path, ca: Authority) -> None:
    for generation in ("one", "two"):
        make_identity(tmp_path / generation, URI, ca)
    data = tmp_path / "data"
    data.symlink_to("one")
    store = IdentityStore(data, "shop", "web", time.time())
    (tmp_path / "next").symlink_to("two")
    (tmp_path / "next").rename(data)
    assert polls(store, 2) == [Reload.CHANGED, Reload.SAME]


def test_a_set_that_is_half_written_is_waited_for_in_silence(
    tmp_path: Path, ca: Authority, store: IdentityStore
) -> None:
    fresh = make_identity(tmp_path / "fresh", URI, ca)
    first = store.current
    shutil.copy(fresh / "tls.crt", tmp_path / "id" / "tls.crt")
    assert polls(store, 1) == [Reload.SAME]
    assert store.current is first
    shutil.copy(fresh / "tls.key", tmp_path / "id" / "tls.key")
    assert polls(store, 1) == [Reload.CHANGED]
    assert store.refusal == ""


def test_a_refused_set_keeps_the_old_one_and_is_told_once(tmp_path: Path, ca: Authority, store: IdentityStore) -> None:
    first = store.current
    make_identity(tmp_path / "id", "spiffe://cluster.local/ns/shop/sa/db", ca)
    assert polls(store, 5) == [Reload.SAME, Reload.REFUSED, Reload.SAME, Reload.SAME, Reload.SAME]
    assert "service account 'db'" in store.refusal
    assert store.current is first


def test_another_reason_is_told_anew(tmp_path: Path, ca: Authority, store: IdentityStore) -> None:
    make_identity(tmp_path / "id", "spiffe://cluster.local/ns/shop/sa/db", ca)
    polls(store, 2)
    (tmp_path / "id" / "tls.key").unlink()
    assert polls(store, 3) == [Reload.SAME, Reload.REFUSED, Reload.SAME]
    assert "tls.key cannot be read" in store.refusal


def test_the_same_reason_with_new_files_is_told_anew(tmp_path: Path, ca: Authority, store: IdentityStore) -> None:
    for _ in range(2):
        make_identity(tmp_path / "id", "spiffe://cluster.local/ns/shop/sa/db", ca)
        assert polls(store, 3) == [Reload.SAME, Reload.REFUSED, Reload.SAME]


def test_files_put_back_end_the_refusal(tmp_path: Path, store: IdentityStore) -> None:
    key = tmp_path / "id" / "tls.key"
    good = key.read_bytes()
    key.write_bytes(b"garbage")
    polls(store, 2)
    key.write_bytes(good)
    assert polls(store, 1) == [Reload.SAME]
    assert not store.refusal


def test_another_trust_domain_is_refused_by_a_running_sidecar(
    tmp_path: Path, ca: Authority, store: IdentityStore
) -> None:
    make_identity(tmp_path / "id", "spiffe://elsewhere/ns/shop/sa/web", ca)
    assert polls(store, 2)[-1] is Reload.REFUSED
    assert "trust domain 'elsewhere'" in store.refusal
    assert store.current.id.trust_domain == "cluster.local"


def test_a_certificate_whose_time_comes_is_taken_without_another_write(
    tmp_path: Path, ca: Authority, store: IdentityStore
) -> None:
    make_identity(tmp_path / "id", URI, ca, before_s=60)
    assert polls(store, 2)[-1] is Reload.REFUSED
    assert polls(store, 1, at_s=time.time() + 45) == [Reload.CHANGED]
