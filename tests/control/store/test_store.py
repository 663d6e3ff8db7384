import asyncio
import os
import sys
import threading

import msgspec
import pytest

from control.model.kinds import HTTP_ROUTE, POD, SERVICE
from control.model.objects import Key
from control.store import store as module
from control.store import writer
from control.store.store import Gone, Store, StoreError
from tests.fakes.loop import on_uvloop, until

A = Key("shop", "a")


def put(**fields):
    """A change that stores a document of these fields."""
    return lambda _: {"metadata": {}, **fields}


def gone(_):
    return None


def body(stored):
    return msgspec.json.decode(stored.body)


def seen(events):
    return [(event.type, event.key.name, event.version) for event in events]


class Gathered:
    """A listener that keeps what it is told."""

    def __init__(self, store):
        self.batches = []
        self.stop = store.listen(self.batches.append)

    @property
    def events(self):
        return [event for batch in self.batches for event in batch]


@on_uvloop
async def test_a_write_can_be_read_once_it_is_answered_and_after_a_restart(tmp_path):
    directory = tmp_path / "new" / "store"
    store = await Store.open(directory)
    assert (store.version, len(store), store.get(POD, A)) == (0, 0, None)
    one = await store.mutate(POD, A, put(x=1))
    two = await store.mutate(SERVICE, A, put(x=2))
    assert (one.version, two.version, store.version) == (1, 2, 2)
    assert body(one) == {"metadata": {"resourceVersion": "1"}, "x": 1}
    assert (store.get(POD, A), store.get(SERVICE, A)) == (one, two)
    await store.close()
    store = await Store.open(directory)
    assert (store.version, len(store)) == (2, 2)
    assert (store.get(POD, A), store.list(SERVICE)) == (one, [two])
    await store.close()


@on_uvloop
async def test_versions_go_on_after_a_deletion_and_a_restart(tmp_path):
    store = await Store.open(tmp_path)
    await store.mutate(POD, A, put(x=1))
    last = await store.mutate(POD, A, gone)
    assert body(last) == {"metadata": {"resourceVersion": "2"}, "x": 1}
    assert (store.get(POD, A), store.list(POD), len(store)) == (None, [], 0)
    await store.close()
    store = await Store.open(tmp_path)
    assert (await store.mutate(POD, A, put(x=1))).version == 3
    await store.close()


@on_uvloop
async def test_lists_are_sorted_and_of_one_namespace_if_that_is_asked_for(tmp_path):
    store = await Store.open(tmp_path)
    keys = [Key(namespace, name) for namespace in ("b", "a-b", "a", "a.b") for name in ("z", "y", "y-1")]
    await asyncio.gather(*(store.mutate(POD, key, put()) for key in keys))
    await store.mutate(POD, Key("a", "y"), gone)
    keys.remove(Key("a", "y"))
    for _ in range(2):
        assert [stored.key for stored in store.list(POD)] == sorted(keys)
        for namespace in ("a", "a-b", "b", "c"):
            expected = sorted(key for key in keys if key.namespace == namespace)
            assert [stored.key for stored in store.list(POD, namespace)] == expected
        await store.close()
        store = await Store.open(tmp_path)
    await store.close()


@on_uvloop
async def test_what_says_the_same_keeps_its_version_and_is_no_event(tmp_path):
    store = await Store.open(tmp_path)
    first = await store.mutate(POD, A, put(x=1, y=[1.5, None]))
    told = Gathered(store)
    for change in (put(y=[1.5, None], x=1), body):
        assert await store.mutate(POD, A, change) == first
    assert (store.version, told.events) == (1, [])
    assert (await store.mutate(POD, A, put(x=True, y=[1.5, None]))).version == 2
    await store.close()


@on_uvloop
async def test_a_dry_run_says_what_would_be_and_changes_nothing(tmp_path):
    store = await Store.open(tmp_path)
    new = await store.mutate(POD, A, put(x=1), dry_run=True)
    assert (new.version, body(new), store.get(POD, A)) == (0, {"metadata": {}, "x": 1}, None)
    first = await store.mutate(POD, A, put(x=1))
    told = Gathered(store)
    changed = await store.mutate(POD, A, put(x=2), dry_run=True)
    assert (changed.version, body(changed)) == (1, {"metadata": {"resourceVersion": "1"}, "x": 2})
    assert await store.mutate(POD, A, gone, dry_run=True) == first
    with pytest.raises(ZeroDivisionError):
        await store.mutate(POD, A, lambda _: 1 // 0, dry_run=True)
    assert (store.get(POD, A), store.version, told.events) == (first, 1, [])
    await store.close()
    store = await Store.open(tmp_path)
    assert store.list(POD) == [first]
    await store.close()


def fails(_):
    raise ZeroDivisionError


@pytest.mark.parametrize(
    ("change", "error"),
    [(fails, ZeroDivisionError), (put(x=object()), TypeError), (lambda _: {}, KeyError), (gone, LookupError)],
)
def test_a_change_that_fails_fails_alone(tmp_path, change, error):
    @on_uvloop
    async def run():
        store = await Store.open(tmp_path)
        told = Gathered(store)
        changes = [put(x=1), change, put(x=2)]
        answers = await asyncio.gather(
            *(store.mutate(POD, Key("shop", f"p{i}"), change) for i, change in enumerate(changes)),
            return_exceptions=True,
        )
        assert [type(answer) for answer in answers] == [module.Stored, error, module.Stored]
        assert seen(told.events) == [("ADDED", "p0", 1), ("ADDED", "p2", 2)]
        await store.close()

    run()


@on_uvloop
async def test_changes_meet_each_other_in_the_order_in_which_they_were_asked_for(tmp_path):
    store = await Store.open(tmp_path)

    def count(stored):
        return {"metadata": {}, "n": body(stored)["n"] + 1 if stored else 1}

    answers = await asyncio.gather(*(store.mutate(POD, A, count) for _ in range(1000)))
    assert [body(answer)["n"] for answer in answers] == list(range(1, 1001))
    assert [answer.version for answer in answers] == list(range(1, 1001))
    assert store.get(POD, A) == answers[-1]
    await store.close()


@on_uvloop
async def test_listeners_are_told_each_commit_in_order_and_before_the_write_is_answered(tmp_path):
    store = await Store.open(tmp_path)
    told = Gathered(store)
    await store.mutate(POD, A, put(x=1))
    assert seen(told.events) == [("ADDED", "a", 1)]
    await store.mutate(POD, A, put(x=2))
    await asyncio.gather(*(store.mutate(SERVICE, Key("shop", str(i)), put()) for i in range(600)))
    await store.mutate(POD, A, gone)
    versions = [event.version for event in told.events]
    assert versions == list(range(1, 604))
    assert 3 <= len(told.batches) < 600
    assert max(map(len, told.batches)) <= writer.MAX_BATCH
    added, modified, deleted = (told.events[i] for i in (0, 1, -1))
    assert (modified.type, modified.former, added.former) == ("MODIFIED", added.body, b"")
    assert (deleted.type, body(deleted)["x"]) == ("DELETED", 2)
    told.stop()
    told.stop()
    await store.mutate(POD, A, put())
    assert len(told.events) == 603
    await store.close()


@on_uvloop
async def test_a_listener_that_fails_stops_neither_the_write_nor_the_others(tmp_path):
    failures = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: failures.append(context["exception"]))
    store = await Store.open(tmp_path)
    store.listen(fails)
    told = Gathered(store)
    await store.mutate(POD, A, put())
    assert len(told.events) == 1
    assert [type(failure) for failure in failures] == [ZeroDivisionError]
    await store.close()


@on_uvloop
async def test_a_listener_can_write(tmp_path):
    store = await Store.open(tmp_path)
    tasks = []

    def follow(events):
        tasks.extend(
            asyncio.ensure_future(store.mutate(SERVICE, event.key, put())) for event in events if event.kind is POD
        )

    store.listen(follow)
    await store.mutate(POD, A, put())
    await asyncio.gather(*tasks)
    assert store.get(SERVICE, A).version == 2
    await store.close()


@on_uvloop
async def test_the_history_is_bounded_and_empty_after_a_start(tmp_path, monkeypatch):
    monkeypatch.setattr("control.store.history.MAX_EVENTS", 5)
    store = await Store.open(tmp_path)
    for i in range(8):
        await store.mutate(POD, A, put(n=i))
    assert seen(store.events_since(3, POD)) == [("MODIFIED", "a", version) for version in range(4, 9)]
    assert store.events_since(3, HTTP_ROUTE) == store.events_since(3, POD, "bank") == store.events_since(9, POD) == []
    with pytest.raises(Gone) as caught:
        store.events_since(2, POD)
    assert caught.value.oldest == 3
    await store.close()
    store = await Store.open(tmp_path)
    assert store.events_since(8, POD) == []
    with pytest.raises(Gone):
        store.events_since(7, POD)
    await store.close()


@on_uvloop
async def test_who_is_cancelled_while_waiting_undoes_nothing_and_stops_nobody(tmp_path):
    store = await Store.open(tmp_path)
    task = asyncio.ensure_future(store.mutate(POD, A, put()))
    other = asyncio.ensure_future(store.mutate(SERVICE, A, put()))
    await asyncio.sleep(0)
    task.cancel()
    assert (await other).version == 2
    assert task.cancelled()
    assert store.get(POD, A).version == 1
    await store.close()


@on_uvloop
async def test_what_waits_is_bounded(tmp_path, monkeypatch):
    monkeypatch.setattr(module, "MAX_WAITING", 4)
    store = await Store.open(tmp_path)
    answers = await asyncio.gather(
        *(store.mutate(POD, Key("shop", str(i)), put()) for i in range(6)), return_exceptions=True
    )
    assert [type(answer) for answer in answers] == [module.Stored] * 4 + [StoreError] * 2
    assert "4 writes are waiting already; nothing was changed" in str(answers[-1])
    assert len(store) == 4
    await store.mutate(POD, A, put())
    await store.close()


@on_uvloop
async def test_what_waits_is_bounded_although_those_who_asked_have_gone(tmp_path, monkeypatch):
    monkeypatch.setattr(module, "MAX_WAITING", 4)
    store = await Store.open(tmp_path)
    held = threading.Event()

    def slow(_):
        held.wait(10)
        return {"metadata": {}}

    tasks = [asyncio.ensure_future(store.mutate(POD, Key("shop", str(i)), slow)) for i in range(4)]
    await asyncio.sleep(0)
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    with pytest.raises(StoreError, match="4 writes are waiting already"):
        await store.mutate(POD, A, put())
    held.set()
    await until(lambda: len(store) == 4)
    await store.mutate(POD, A, put())
    await store.close()


@on_uvloop
async def test_what_was_asked_for_before_the_end_is_written_and_nothing_after(tmp_path):
    store = await Store.open(tmp_path)
    tasks = [asyncio.ensure_future(store.mutate(POD, Key("shop", str(i)), put())) for i in range(600)]
    await asyncio.sleep(0)
    await asyncio.gather(store.close(), store.close())
    assert sorted(task.result().version for task in tasks) == list(range(1, 601))
    with pytest.raises(StoreError, match="closed; nothing was changed"):
        await store.mutate(POD, A, put())
    await store.close()
    assert await store.ended() is None
    store = await Store.open(tmp_path)
    assert len(store) == 600
    await store.close()


@on_uvloop
async def test_whoever_waits_is_told_when_the_writer_ends(tmp_path, monkeypatch):
    store = await Store.open(tmp_path)

    def broken(*_):
        raise ZeroDivisionError

    monkeypatch.setattr(writer, "_transact", broken)
    answers = await asyncio.gather(*(store.mutate(POD, A, put()) for _ in range(3)), return_exceptions=True)
    assert [type(answer) for answer in answers] == [StoreError] * 3
    assert "the writer ended: ZeroDivisionError()" in str(answers[0])
    assert await store.ended() is answers[0]
    with pytest.raises(StoreError):
        await store.mutate(POD, A, put())
    await store.close()
    # Its lock is free again.
    await (await Store.open(tmp_path)).close()


HOLDER = """
import sys
from pathlib import Path
from control.store.lock import Lock
lock = Lock(Path(sys.argv[1]))
print("locked", flush=True)
sys.stdin.read()
"""


@on_uvloop
async def test_a_directory_that_is_in_use_names_the_process(tmp_path):
    pipe = asyncio.subprocess.PIPE
    holder = await asyncio.create_subprocess_exec(sys.executable, "-c", HOLDER, tmp_path, stdin=pipe, stdout=pipe)
    assert await holder.stdout.readline() == b"locked\n"
    with pytest.raises(StoreError, match=f"in use by process {holder.pid}"):
        await Store.open(tmp_path)
    holder.kill()
    await holder.communicate()
    # However it ends, its lock ends with it.
    store = await Store.open(tmp_path)
    with pytest.raises(StoreError, match=f"in use by process {os.getpid()}"):
        await Store.open(tmp_path)
    await store.close()


@on_uvloop
async def test_a_directory_that_cannot_be_one_is_named(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(StoreError, match=r"file: File exists"):
        await Store.open(tmp_path / "file")
    with pytest.raises(StoreError, match=r"file/x: Not a directory"):
        await Store.open(tmp_path / "file" / "x")


@on_uvloop
async def test_a_store_that_could_not_be_opened_lets_go_of_its_directory(tmp_path):
    (tmp_path / "objects.db").write_bytes(b"no database, but long enough to be taken for one" * 50)
    with pytest.raises(StoreError, match="not a database"):
        await Store.open(tmp_path)
    (tmp_path / "objects.db").unlink()
    await (await Store.open(tmp_path)).close()


@on_uvloop
async def test_an_opening_that_is_cancelled_lets_go_of_its_directory(tmp_path):
    task = asyncio.ensure_future(Store.open(tmp_path))
    await asyncio.sleep(0)
    task.cancel()
    await until(task.done)
    assert task.cancelled()
    await (await Store.open(tmp_path)).close()
