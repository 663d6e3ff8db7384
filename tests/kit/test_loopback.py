from __future__ import annotations

import pytest

from meshproxy.kit.loopback import is_local, is_own_origin

LOCAL = [b"localhost", b"LOCALHOST:15000", b"127.0.0.1", b"127.0.0.1:15000", b"127.0.0.5:80", b"[::1]", b"[::1]:15000"]
FOREIGN = [
    b"", b"evil.example", b"localhost.evil.example", b"evil.example:15000", b"127.0.0.1.evil.example", b"10.0.0.1",
    b"localhost:", b"localhost:x", b"127.0.0.1:123456", b"[::2]", b"::1", b"user@localhost", b"localhost\n", b"127.1",
    b"0.0.0.0", b"1127.0.0.1",
]  # fmt: skip


@pytest.mark.parametrize("authority", LOCAL)
def test_local_names_are_answered(authority):
    assert is_local(authority)
    assert is_own_origin(b"http://" + authority)
    assert is_own_origin(b"https://" + authority)


@pytest.mark.parametrize("authority", FOREIGN)
def test_foreign_names_are_not(authority):
    assert not is_local(authority)
    assert not is_own_origin(b"http://" + authority)


@pytest.mark.parametrize("origin", [b"null", b"localhost", b"file://localhost", b"http:localhost"])
def test_other_origins_are_foreign(origin):
    assert not is_own_origin(origin)


def test_what_is_no_browser_sends_no_origin():
    assert is_own_origin(b"")
