import asyncio
import contextlib
import json
import logging
import os
import stat

import pytest
from hypothesis import given
from hypothesis import strategies as st

from meshproxy.discovery import saved as subject
from meshproxy.discovery.saved import FILE, Identity, Keeper, Saved, SavedError, decode_steps, encode_steps, read, write
from tests.fakes.loop import on_uvloop, passed, until
from tests.fakes.pushes import lane, service

WEB = Identity(namespace="shop", service_account="web")
SAVED = Saved([service("bank/a"), *lane("bank/a:80", 1, 2)], [("bank", "a"), ("shop", "b")], 1_700_000_000.5)


def finish(steps):
    while True:
        try:
            next(steps)
        except StopIteration as end:
            return end.value


def encoded(saved=SAVED, identity=WEB):
    return finish(encode_steps(identity, saved))


def decoded(data, identity=WEB):
    return finish(decode_steps(data, identity))


def test_what_is_saved_is_read_again():
    assert decoded(encoded()) == SAVED
    assert decoded(encoded(Saved([], [], 0.0))) == Saved([], [], 0.0)
    assert json.loads(encoded())["node"] == {"namespace": "shop", "service_account": "web"}


def edited(edit):
    file = json.loads(encoded())
    edit(file)
    return json.dumps(file).encode()


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (encoded(identity=Identity(namespace="shop", service_account="db")), "it was written for shop/db"),
        (encoded(identity=Identity(namespace="bank", service_account="web")), "it was written for bank/web"),
        (edited(lambda file: file.update(schema=2)), "it is of schema 2; allowed: 1"),
        (edited(lambda file: file.update(schema=2, resources="else")), "it is of schema 2; allowed: 1"),
        (edited(lambda file: file.pop("node")), "it is damaged"),
        (edited(lambda file: file.update(synced_at=-1.0)), "it is damaged"),
        (edited(lambda file: file.update(synced_at=1e300)), "it is damaged"),
        (edited(lambda file: file["resources"][1]["resource"].update(protocol="smtp")), "unknown protocol 'smtp'"),
        (edited(lambda file: file["resources"][0].update(name="service/bank/A")), "malformed name"),
        (edited(lambda file: file["resources"][0].update(version="")), "version: must have"),
        (encoded()[:-10], "it is damaged"),
        (b"\xff\xfe", "it is damaged"),
        (b"[" * 100_000, "it is damaged"),
    ],
)
def test_what_is_anothers_or_damaged_is_refused(data, message):
    with pytest.raises(SavedError, match=message):
        decoded(data)


def test_kinds_and_names_that_nobody_knows_are_passed_over():
    def edit(file):
        file["later"] = 1
        file["resources"].append({"name": "address/10.0.0.1:80", "version": "1", "resource": [1]})
        file["used"] += ["", "a", "A/b", "a/b/c", "x/*"]

    assert decoded(edited(edit)) == SAVED


@given(st.data())
def test_a_damaged_file_is_read_or_refused_and_nothing_else(data):
    whole = encoded()
    at = data.draw(st.integers(0, len(whole) - 1))
    with contextlib.suppress(SavedError):
        decoded(whole[:at] + data.draw(st.binary(max_size=3)) + whole[at + data.draw(st.integers(0, 5)) :])


def test_the_file_is_ours_alone_and_replaced_as_a_whole(tmp_path):
    path = tmp_path / "made" / "on demand" / FILE
    assert read(path) == b""
    write(path, b"one")
    write(path, b"two")
    assert read(path) == b"two"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(path.parent.stat().st_mode) & 0o077 == 0
    assert list(path.parent.iterdir()) == [path]


def test_a_draft_that_was_left_behind_is_no_hindrance(tmp_path):
    (tmp_path / f"{FILE}.new").symlink_to(tmp_path / "elsewhere")
    write(tmp_path / FILE, b"one")
    assert read(tmp_path / FILE) == b"one"
    assert not (tmp_path / "elsewhere").exists()


def test_a_file_that_others_may_have_written_is_not_read(tmp_path):
    path = tmp_path / FILE
    write(path, b"one")
    path.chmod(0o660)
    with pytest.raises(SavedError, match="others than this sidecar's user"):
        read(path)
    path.rename(tmp_path / "real")
    path.symlink_to(tmp_path / "real")
    with pytest.raises(SavedError, match="cannot be read"):
        read(path)
    path.unlink()
    os.mkfifo(path)
    with pytest.raises(SavedError, match="no regular file"):
        read(path)


def test_what_cannot_be_written_is_told(tmp_path):
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(SavedError, match="it cannot be written: "):
        write(tmp_path / "file" / FILE, b"one")


def test_a_full_disk_leaves_the_old_file(tmp_path, monkeypatch):
    write(tmp_path / FILE, b"one")
    fill = subject._fill

    def fill_full(descriptor, data):
        os.close(descriptor)
        fill(os.open("/dev/full", os.O_WRONLY), data)

    monkeypatch.setattr(subject, "_fill", fill_full)
    with pytest.raises(SavedError, match="No space left on device"):
        write(tmp_path / FILE, b"two")
    assert read(tmp_path / FILE) == b"one"


class Kept:
    def __init__(self, directory):
        self.outcomes = []
        self.used = [("bank", "a")]
        self.keeper = Keeper(directory, WEB, lambda: SAVED._replace(used=self.used), self.outcomes.append)


@on_uvloop
async def test_writes_are_gathered_and_the_last_state_is_written_at_the_end(tmp_path):
    kept = Kept(tmp_path)
    for _ in range(100):
        kept.keeper.save()
    await until(lambda: kept.outcomes)
    for _ in range(100):
        kept.keeper.save()
    await passed(0.05)
    assert kept.outcomes == [""]
    kept.used = [("bank", "late")]
    await kept.keeper.close()
    assert kept.outcomes == ["", ""]
    assert decoded(read(tmp_path / FILE)).used == [("bank", "late")]


@on_uvloop
async def test_what_is_saved_during_a_write_is_written_after_it(tmp_path, monkeypatch):
    monkeypatch.setattr(subject, "INTERVAL_S", 0.0)
    kept = Kept(tmp_path)
    kept.keeper.save()
    await asyncio.sleep(0)
    kept.used = [("bank", "late")]
    kept.keeper.save()
    await until(lambda: (tmp_path / FILE).exists() and decoded(read(tmp_path / FILE)).used == kept.used)
    await kept.keeper.close()


@on_uvloop
async def test_a_failure_is_logged_once_counted_each_time_and_gone_on_from(tmp_path, monkeypatch, caplog):
    monkeypatch.setattr(subject, "INTERVAL_S", 0.001)
    place = tmp_path / "state"
    place.write_bytes(b"")
    kept = Kept(place)
    kept.keeper.save()
    await until(lambda: len(kept.outcomes) > 3)
    place.unlink()
    await until(lambda: kept.outcomes[-1] == "")
    assert len(caplog.records) == 1
    assert decoded(read(place / FILE)).entries == SAVED.entries
    await kept.keeper.close()


@on_uvloop
async def test_what_cannot_be_used_is_told_and_left_out(tmp_path, caplog):
    with caplog.at_level(logging.WARNING):
        assert await Kept(tmp_path).keeper.load() is None
        assert not caplog.records
        write(tmp_path / FILE, b"damaged")
        assert await Kept(tmp_path).keeper.load() is None
    assert "is not used: it is damaged" in caplog.text


@on_uvloop
async def test_an_end_in_the_midst_of_a_write_leaves_a_whole_file(tmp_path):
    kept = Kept(tmp_path)
    kept.keeper.save()
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    await kept.keeper.close()
    assert decoded(read(tmp_path / FILE)).entries == SAVED.entries
    assert list(tmp_path.iterdir()) == [tmp_path / FILE]
