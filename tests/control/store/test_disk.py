"""A disk that is full, and one that cannot be written: real ones, small and in memory."""

import asyncio
import subprocess
from contextlib import suppress
from functools import partial

import msgspec
import pytest

from control.model.kinds import POD
from control.model.objects import Key
from control.store.store import Store, Stored, StoreError
from tests.fakes.loop import on_uvloop

SIZE_BYTES = 4 * 1024 * 1024
BODY_BYTES = 20_000


@pytest.fixture
def disk(tmp_path):
    place = tmp_path / "disk"
    place.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", f"size={SIZE_BYTES}", "meshproxy-test", str(place)]
    try:
        subprocess.run(mount, check=True, capture_output=True)
    except (OSError, subprocess.CalledProcessError) as error:
        pytest.skip(f"no file system can be mounted here: {getattr(error, 'stderr', error)}")
    try:
        yield place
    finally:
        subprocess.run(["umount", "--lazy", str(place)], check=True)


def document(number):
    return {"metadata": {}, "number": number, "padding": str(number % 10) * BODY_BYTES}


async def fill(store, acknowledged, start, at_once):
    """Write until the store refuses; returns what the last round was answered."""
    while True:
        numbers = range(start, start + at_once)
        start += at_once
        answers = await asyncio.gather(
            *(store.mutate(POD, Key("shop", f"p{i}"), lambda _, i=i: document(i)) for i in numbers),
            return_exceptions=True,
        )
        acknowledged.update((answer.key, answer) for answer in answers if isinstance(answer, Stored))
        if any(isinstance(answer, Exception) for answer in answers):
            return answers


def test_a_full_disk_fails_writes_and_loses_nothing_and_writes_go_on_once_there_is_space(disk, caplog):
    @on_uvloop
    async def run():
        filler = disk / "filler"
        filler.write_bytes(bytes(SIZE_BYTES // 2))
        store = await Store.open(disk / "data")
        told = []
        store.listen(told.extend)
        acknowledged = {}
        # One after the other at last: a single write may still fit where several did not.
        for start, at_once in ((0, 8), (1000, 1), (2000, 1), (3000, 8)):
            answers = await fill(store, acknowledged, start, at_once)
            errors = [answer for answer in answers if isinstance(answer, Exception)]
            assert {(type(error), str(error)) for error in errors} == {
                (StoreError, "the disk is full; nothing was changed")
            }
        assert len(acknowledged) >= 8
        # Reading goes on, of just what was acknowledged.
        assert {stored.key: stored for stored in store.list(POD)} == acknowledged
        assert [event.version for event in told] == list(range(1, store.version + 1))
        filler.unlink()
        await fill_some(store, acknowledged)
        assert [event.version for event in told] == list(range(1, store.version + 1))
        await store.close()
        store = await Store.open(disk / "data")
        assert {stored.key: stored for stored in store.list(POD)} == acknowledged
        assert all(msgspec.json.decode(stored.body)["padding"] for stored in acknowledged.values())
        await store.close()

    run()
    # Told, but not as often as it happens.
    assert [record.getMessage() for record in caplog.records] == [
        "a write has failed: the disk is full; nothing was changed"
    ]


async def fill_some(store, acknowledged):
    for i in range(10):
        stored = await store.mutate(POD, Key("shop", f"q{i}"), partial(lambda i, _: document(i), i))
        acknowledged[stored.key] = stored


def test_a_store_on_a_full_disk_that_is_killed_opens_with_what_was_acknowledged(disk):
    @on_uvloop
    async def run():
        (disk / "filler").write_bytes(bytes(SIZE_BYTES // 2))
        store = await Store.open(disk / "data")
        acknowledged = {}
        await fill(store, acknowledged, 0, 8)
        # As a kill would leave them: the files of the moment, elsewhere.
        copy = disk.parent / "copy"
        copy.mkdir()
        for name in ("objects.db", "objects.db-wal"):
            (copy / name).write_bytes((disk / "data" / name).read_bytes())
        again = await Store.open(copy)
        assert {stored.key: stored for stored in again.list(POD)} == acknowledged
        await again.close()
        await store.close()

    run()


def test_a_disk_that_is_full_from_the_start_is_told(disk):
    @on_uvloop
    async def run():
        filler = disk / "filler"
        with suppress(OSError), filler.open("wb", buffering=0) as file:
            while True:
                file.write(bytes(4096))
        with pytest.raises(StoreError, match=r"No space left on device|the disk is full"):
            await Store.open(disk)
        filler.unlink()
        await (await Store.open(disk)).close()

    run()


def test_a_disk_that_cannot_be_written_is_told(disk):
    @on_uvloop
    async def made():
        await (await Store.open(disk / "data")).close()

    @on_uvloop
    async def refused():
        with pytest.raises(StoreError, match="data: Read-only file system"):
            await Store.open(disk / "data")

    made()
    subprocess.run(["mount", "-o", "remount,ro", str(disk)], check=True)
    refused()
