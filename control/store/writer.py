"""The writer: one thread that turns requests for changes into transactions, many into one when many wait."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Sequence
from pathlib import Path
from queue import SimpleQueue
from threading import Thread
from typing import Generic, NamedTuple, TypeVar

import msgspec

from control.model.kinds import Kind
from control.model.objects import Key
from control.store.database import Database, told
from control.store.records import Change, Document, Event, Stored, StoreError

MAX_BATCH = 256
"""Mutations of one transaction: the first of them waits for the last."""

Ticket = TypeVar("Ticket")


class Mutation(NamedTuple, Generic[Ticket]):
    """A change that is asked for. `ticket` is the asker's, and comes back with the answer."""

    kind: Kind
    key: Key
    change: Change
    is_dry_run: bool
    ticket: Ticket


class Answer(NamedTuple, Generic[Ticket]):
    ticket: Ticket
    outcome: Stored | Exception


class Batch(NamedTuple, Generic[Ticket]):
    """What became of one transaction: committed, or nothing of it. `former` of the events is not filled in yet."""

    events: list[Event]
    answers: list[Answer[Ticket]]


class Writer(Generic[Ticket]):
    """Calls in its own thread `on_open` with version and objects, `on_batch` after each transaction, at last `on_end`.

    `on_end` comes with what went wrong: the database could not be opened (then nothing came before), or not read.
    """

    def __init__(
        self,
        directory: Path,
        on_open: Callable[[int, list[Stored]], None],
        on_batch: Callable[[Batch[Ticket]], None],
        on_end: Callable[[StoreError | None], None],
    ) -> None:
        self._directory = directory
        self._on_open = on_open
        self._on_batch = on_batch
        self._on_end = on_end
        self._queue: SimpleQueue[Mutation[Ticket] | None] = SimpleQueue()
        # Whoever does not close the store must still be able to end.
        self._thread = Thread(target=self._run, name="store-writer", daemon=True)
        self._thread.start()

    def put(self, mutation: Mutation[Ticket]) -> None:
        self._queue.put(mutation)

    def end(self) -> None:
        """Ask for the end, after everything that was put before."""
        self._queue.put(None)

    def join(self) -> None:
        """Wait for the thread, after `on_end`."""
        self._thread.join()

    def _run(self) -> None:
        failure: StoreError | None = None
        try:
            database = Database(self._directory)
            try:
                self._serve(database)
            finally:
                database.close()
        except StoreError as error:
            failure = error
        except Exception as error:  # noqa: BLE001 - whoever waits for an answer must be told, whatever it was
            failure = StoreError(f"{self._directory}: the writer ended: {error!r}")
        self._on_end(failure)

    def _serve(self, database: Database) -> None:
        try:
            version = database.version()
            objects = list(database.objects())
        except sqlite3.Error as error:
            raise StoreError(f"{self._directory}: cannot be read: {told(error)}") from None
        self._on_open(version, objects)
        del objects
        while (first := self._queue.get()) is not None:
            batch = _transact(database, version, self._gather(first))
            version += len(batch.events)
            self._on_batch(batch)

    def _gather(self, first: Mutation[Ticket]) -> list[Mutation[Ticket]]:
        gathered = [first]
        while len(gathered) < MAX_BATCH and not self._queue.empty():
            item = self._queue.get()
            if item is None:
                self._queue.put(None)  # seen again once this batch is done; nothing follows it
                break
            gathered.append(item)
        return gathered


def _transact(database: Database, version: int, mutations: Sequence[Mutation[Ticket]]) -> Batch[Ticket]:
    """Carry mutations out in one transaction. If that fails, none of them is answered by what it saw within it."""
    batch: Batch[Ticket] = Batch([], [])
    try:
        database.begin()
        for mutation in mutations:
            outcome = _mutate(database, version + len(batch.events) + 1, mutation, batch.events)
            batch.answers.append(Answer(mutation.ticket, outcome))
        if batch.events:
            database.commit(version + len(batch.events))
        else:
            database.rollback()
    except sqlite3.Error as error:
        database.rollback()
        failure = f"{told(error)}; nothing was changed"
        return Batch([], [Answer(mutation.ticket, StoreError(failure)) for mutation in mutations])
    return batch


def _mutate(database: Database, version: int, mutation: Mutation[Ticket], events: list[Event]) -> Stored | Exception:
    """Carry out one mutation, which writes by one statement: it is done or it is not."""
    kind, key = mutation.kind, mutation.key
    current = database.get(kind, key)
    try:
        document = mutation.change(current)
        if document is None:
            after = _deleted(current, version)
        else:
            after = _written(kind, key, current, document, 0 if mutation.is_dry_run else version)
    except Exception as error:  # noqa: BLE001 - the asker's, who gets it back; the others' mutations go on
        return error
    if mutation.is_dry_run or after is current:
        return current if document is None and current is not None else after
    if document is None:
        database.remove(kind, key)
        events.append(Event("DELETED", *after))
    else:
        database.put(after)
        events.append(Event("ADDED" if current is None else "MODIFIED", *after))
    return after


def _written(kind: Kind, key: Key, current: Stored | None, document: Document, version: int) -> Stored:
    """Return the object with a new version (0: with none of its own), or `current` itself if that says the same."""
    if current is not None:
        same = _body(document, current.version)
        if same == current.body or _sorted(same) == _sorted(current.body):
            return current
        if not version:
            return Stored(kind, key, current.version, same)
    return Stored(kind, key, version, _body(document, version))


def _deleted(current: Stored | None, version: int) -> Stored:
    if current is None:
        raise LookupError("what is not there cannot be deleted")
    return current._replace(version=version, body=_body(msgspec.json.decode(current.body), version))


def _body(document: Document, version: int) -> bytes:
    metadata = {name: value for name, value in document["metadata"].items() if name != "resourceVersion"}
    if version:
        metadata["resourceVersion"] = str(version)
    return msgspec.json.encode({**document, "metadata": metadata})


def _sorted(body: bytes) -> bytes:
    return msgspec.json.encode(msgspec.json.decode(body), order="deterministic")
