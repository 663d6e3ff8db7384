"""A token in a file, as the minutes go by."""

from __future__ import annotations

import logging

import pytest

from control.kube.credentials import Fixed, TokenFile, bearer
from control.kube.failure import SettingsError
from control.kube.material import MAX_BYTES, Material
from tests.fakes.loop import on_uvloop


def token_file(path) -> TokenFile:
    return TokenFile(Material("config: user a: tokenFile", path))


@on_uvloop
async def test_a_token_file_is_read_once_a_minute(tmp_path):
    path = tmp_path / "token"
    path.write_text("one\n")
    credentials = token_file(path)
    assert await credentials.authorization(100.0) == "Bearer one"
    path.write_text("two\n")
    assert await credentials.authorization(159.9) == "Bearer one"
    assert await credentials.authorization(160.0) == "Bearer two"
    path.write_text("three")
    assert await credentials.authorization(219.9) == "Bearer two"


@on_uvloop
async def test_a_refused_token_is_read_anew_at_once(tmp_path):
    path = tmp_path / "token"
    path.write_text("one")
    credentials = token_file(path)
    value = await credentials.authorization(0.0)
    path.write_text("two")
    credentials.reject("Bearer of long ago")
    assert await credentials.authorization(1.0) == "Bearer one"
    credentials.reject(value)
    assert await credentials.authorization(1.0) == "Bearer two"


@on_uvloop
async def test_the_token_known_before_serves_while_the_file_cannot_be_used(tmp_path, caplog):
    path = tmp_path / "token"
    path.write_text("one")
    credentials = token_file(path)
    await credentials.authorization(0.0)
    path.unlink()
    with caplog.at_level(logging.WARNING):
        assert await credentials.authorization(60.0) == "Bearer one"
        assert await credentials.authorization(61.0) == "Bearer one"
    why = f"config: user a: tokenFile: {path}: cannot be read: No such file or directory"
    assert [it.getMessage() for it in caplog.records] == [f"{why}; going on with the token known before"]
    path.write_text("two")
    assert await credentials.authorization(120.0) == "Bearer two"


@on_uvloop
async def test_a_first_token_that_is_not_there_is_told(tmp_path):
    with pytest.raises(SettingsError, match="cannot be read"):
        await token_file(tmp_path / "none").authorization(0.0)


@on_uvloop
async def test_what_is_fixed_stays(tmp_path):
    credentials = Fixed("Bearer x")
    credentials.reject("Bearer x")
    assert await credentials.authorization(1e9) == "Bearer x"
    assert credentials.pair is None


@pytest.mark.parametrize("token", [b"", b" ", b"a b", b"a\nb", b"a\x00", "\u00e4".encode(), b"\xff"])
def test_what_is_no_token_is_refused(token):
    with pytest.raises(SettingsError, match=r"^here: is no token"):
        bearer(token, "here")


def test_a_file_is_read_up_to_its_bound(tmp_path):
    (tmp_path / "x").write_bytes(b"x" * MAX_BYTES)
    assert len(Material("here", tmp_path / "x").read()) == MAX_BYTES
    (tmp_path / "x").write_bytes(b"x" * (MAX_BYTES + 1))
    with pytest.raises(SettingsError, match=f"more than {MAX_BYTES} bytes"):
        Material("here", tmp_path / "x").read()
