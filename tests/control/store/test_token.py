import os

import pytest

from control.store.records import StoreError
from control.store.token import read, token


def test_a_token_is_made_once_and_only_its_owner_can_read_it(tmp_path):
    made = token(tmp_path / "token")
    assert len(made) >= 43
    assert token(tmp_path / "token") == made == read(tmp_path / "token")
    assert (tmp_path / "token").stat().st_mode & 0o777 == 0o600
    assert [path.name for path in tmp_path.iterdir()] == ["token"]


def test_two_directories_which_are_made_have_different_tokens(tmp_path):
    assert token(tmp_path / "token") != token(tmp_path / "other" / "token")


def test_what_a_crash_left_half_made_is_made_again(tmp_path):
    (tmp_path / "token.new").write_text("half")
    (tmp_path / "token.new").chmod(0o644)
    assert len(token(tmp_path / "token")) >= 43
    assert (tmp_path / "token").stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize("rights", [0o640, 0o604, 0o620, 0o601])
def test_a_token_that_others_have_rights_to_is_refused(tmp_path, rights):
    token(tmp_path / "token")
    (tmp_path / "token").chmod(rights)
    with pytest.raises(StoreError, match="others have rights to it"):
        token(tmp_path / "token")


@pytest.mark.parametrize(
    "text", ["", "\n", "short", "a" * 16 + " b", "a" * 16 + "\nb", "ä" * 20, "a" * 5000, "a" * 20 + "\x1b"]
)
def test_what_is_no_token_is_refused_without_being_shown(tmp_path, text):
    path = tmp_path / "token"
    path.touch(0o600)
    path.write_text(text)
    with pytest.raises(StoreError, match="holds no token") as caught:
        token(tmp_path / "token")
    assert not text.strip() or text.strip() not in str(caught.value)


def test_a_token_of_ones_own_is_taken_with_or_without_end_of_line(tmp_path):
    path = tmp_path / "token"
    path.touch(0o600)
    for text in ("abcdefgh12345678", "abcdefgh12345678\n"):
        path.write_text(text)
        assert token(tmp_path / "token") == "abcdefgh12345678"


def test_what_cannot_be_read_is_named(tmp_path):
    with pytest.raises(StoreError, match=r"none/token: No such file or directory"):
        read(tmp_path / "none" / "token")
    (tmp_path / "file").touch()
    with pytest.raises(StoreError, match=r"file/token: File exists"):
        token(tmp_path / "file" / "token")
    (tmp_path / "token").mkdir(0o700)
    with pytest.raises(StoreError, match="Is a directory"):
        token(tmp_path / "token")
    os.mkfifo(tmp_path / "fifo", 0o600)
    with pytest.raises(StoreError, match="is no file"):
        read(tmp_path / "fifo")
