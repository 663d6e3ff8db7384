"""The SQLite database: its schema, and what is read and written. All in one thread, the one that opened it."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

from control.model.kinds import KINDS, Kind
from control.model.objects import Key
from control.store.records import Stored, StoreError

NAME = "objects.db"
APPLICATION_ID = 0x6D657368  # "mesh"
MIGRATIONS: tuple[tuple[str, ...], ...] = (
    (
        """CREATE TABLE objects (
            kind TEXT NOT NULL, namespace TEXT NOT NULL, name TEXT NOT NULL,
            version INTEGER NOT NULL, body BLOB NOT NULL,
            PRIMARY KEY (kind, namespace, name)
        )""",
        # One row: the version of the latest write, which no object has any more if it was a deletion.
        "CREATE TABLE meta (version INTEGER NOT NULL)",
        "INSERT INTO meta VALUES (0)",
    ),
)
"""The statements that lead from each schema (`user_version`) to the next. Only ever added to."""

_KINDS = {kind.name: kind for kind in KINDS}
_ONE = "kind = ? AND namespace = ? AND name = ?"


class Database:
    """What is committed is on the disk (synchronous=FULL). Raises StoreError when opened, sqlite3.Error afterwards."""

    def __init__(self, directory: Path) -> None:
        path = directory / NAME
        try:
            # SQLite gives its other files the rights of this one.
            os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))
            self._connection = sqlite3.connect(path, isolation_level=None)
        except (OSError, sqlite3.Error) as error:
            raise StoreError(f"{path}: {told(error)}") from None
        try:
            self._open(path)
        except sqlite3.Error as error:
            self._connection.close()
            raise StoreError(f"{path}: {told(error)}") from None
        except StoreError:
            self._connection.close()
            raise

    def version(self) -> int:
        """Return the version of the latest write."""
        return _number(self._connection, "SELECT version FROM meta")

    def objects(self) -> Iterator[Stored]:
        """Read all objects, sorted by kind, namespace and name. Raise StoreError for a kind that is not known."""
        rows = self._connection.execute(
            "SELECT kind, namespace, name, version, body FROM objects ORDER BY kind, namespace, name"
        )
        for name, *rest in rows:
            kind = _KINDS.get(name)
            if kind is None:
                raise StoreError(f"{NAME} holds an object of kind {name}, which this program does not know")
            yield _stored(kind, *rest)

    def get(self, kind: Kind, key: Key) -> Stored | None:
        """Read one object, as it is within the transaction."""
        row = self._connection.execute(
            f"SELECT namespace, name, version, body FROM objects WHERE {_ONE}",  # noqa: S608 - a constant
            (kind.name, *key),
        ).fetchone()
        return None if row is None else _stored(kind, *row)

    def put(self, stored: Stored) -> None:
        self._connection.execute(
            "INSERT OR REPLACE INTO objects VALUES (?, ?, ?, ?, ?)",
            (stored.kind.name, *stored.key, stored.version, stored.body),
        )

    def remove(self, kind: Kind, key: Key) -> None:
        self._connection.execute(f"DELETE FROM objects WHERE {_ONE}", (kind.name, *key))  # noqa: S608 - a constant

    def begin(self) -> None:
        self._connection.execute("BEGIN IMMEDIATE")

    def commit(self, version: int) -> None:
        """Make durable what was done since `begin`; `version` is that of the last change."""
        self._connection.execute("UPDATE meta SET version = ?", (version,))
        self._connection.execute("COMMIT")

    def rollback(self) -> None:
        """Undo what was done since `begin`, as far as SQLite has not done so itself."""
        if self._connection.in_transaction:
            self._connection.execute("ROLLBACK")

    def close(self) -> None:
        self._connection.close()

    def _open(self, path: Path) -> None:
        # Looked at before anything is written: it may be somebody else's.
        schema = _schema(self._connection, path)
        self._connection.execute("PRAGMA journal_mode = WAL")
        self._connection.execute("PRAGMA synchronous = FULL")
        self._migrate(schema)

    def _migrate(self, schema: int) -> None:
        if schema == len(MIGRATIONS):
            return
        self.begin()
        try:
            for statements in MIGRATIONS[schema:]:
                for statement in statements:
                    self._connection.execute(statement)
            self._connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")
            self._connection.execute(f"PRAGMA user_version = {len(MIGRATIONS)}")
            self._connection.execute("COMMIT")
        finally:
            self.rollback()


def look(directory: Path) -> None:
    """Raise StoreError unless a database in a directory, if there is one, could be opened. Nothing is changed."""
    path = directory / NAME
    try:
        if not path.exists():
            return
        # Where there is no log beside it, SQLite shall not make one.
        mode = "mode=ro" if path.with_name(f"{NAME}-wal").exists() else "immutable=1"
        with closing(sqlite3.connect(f"{path.resolve().as_uri()}?{mode}", uri=True)) as connection:
            _schema(connection, path)
    except (OSError, sqlite3.Error) as error:
        raise StoreError(f"{path}: {told(error)}") from None


def told(error: OSError | sqlite3.Error) -> str:
    """Return what an operator has to know of a failure."""
    if isinstance(error, OSError):
        return error.strerror or str(error)
    if getattr(error, "sqlite_errorcode", None) == sqlite3.SQLITE_FULL:
        return "the disk is full"
    return str(error)


def _schema(connection: sqlite3.Connection, path: Path) -> int:
    """Return the schema of a database, 0 for one that is empty. Raise StoreError for one that is not ours to open."""
    schema = _number(connection, "PRAGMA user_version")
    is_ours = _number(connection, "PRAGMA application_id") == APPLICATION_ID
    if not is_ours and _number(connection, "SELECT count(*) FROM sqlite_schema"):
        raise StoreError(f"{path}: is a database of another program")
    if schema > len(MIGRATIONS):
        known = f"this one knows schemas up to {len(MIGRATIONS)}"
        raise StoreError(f"{path}: has schema {schema}, of a newer program; {known}")
    return schema


def _number(connection: sqlite3.Connection, statement: str) -> int:
    value: int = connection.execute(statement).fetchone()[0]
    return value


def _stored(kind: Kind, namespace: str, name: str, version: int, body: bytes) -> Stored:
    return Stored(kind, Key(namespace, name), version, body)
