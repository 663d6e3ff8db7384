import sqlite3
from contextlib import closing

import pytest

from control.model.kinds import POD, SERVICE
from control.model.objects import Key
from control.store import database
from control.store.database import MIGRATIONS, NAME, Database
from control.store.records import Stored, StoreError

ONE = Stored(POD, Key("shop", "a"), 1, b"{}")


def pragma(found, name):
    return found._connection.execute(f"PRAGMA {name}").fetchone()[0]


def filled(directory, *objects):
    with closing(Database(directory)) as made:
        made.begin()
        for stored in objects:
            made.put(stored)
        made.commit(max(stored.version for stored in objects))


def test_a_commit_waits_for_the_disk(tmp_path):
    with closing(Database(tmp_path)) as made:
        assert (pragma(made, "journal_mode"), pragma(made, "synchronous")) == ("wal", 2)


def test_only_the_owner_can_read_the_files(tmp_path):
    with closing(Database(tmp_path)) as made:
        made.begin()
        made.commit(1)
        files = list(tmp_path.iterdir())
        assert len(files) == 3
        assert {path.stat().st_mode & 0o777 for path in files} == {0o600}


def test_what_was_put_is_read_back_and_what_was_rolled_back_is_not(tmp_path):
    other = Stored(SERVICE, Key("shop", "a"), 2, b"[]")
    filled(tmp_path, ONE, other)
    with closing(Database(tmp_path)) as found:
        assert found.version() == 2
        assert sorted(found.objects()) == sorted([ONE, other])
        found.begin()
        found.remove(POD, ONE.key)
        assert found.get(POD, ONE.key) is None
        found.rollback()
        assert found.get(POD, ONE.key) == ONE
        assert found.get(POD, Key("shop", "b")) is None


def test_an_older_database_is_brought_up_to_date_with_what_it_holds(tmp_path, monkeypatch):
    filled(tmp_path, ONE)
    more = (("ALTER TABLE meta ADD COLUMN a INTEGER DEFAULT 5",), ("ALTER TABLE meta ADD COLUMN b INTEGER DEFAULT 6",))
    monkeypatch.setattr(database, "MIGRATIONS", (*MIGRATIONS, *more))
    for _ in range(2):
        with closing(Database(tmp_path)) as found:
            assert found._connection.execute("SELECT version, a, b FROM meta").fetchall() == [(1, 5, 6)]
            assert list(found.objects()) == [ONE]
            assert pragma(found, "user_version") == len(MIGRATIONS) + 2


def test_a_migration_that_fails_changes_nothing(tmp_path, monkeypatch):
    filled(tmp_path, ONE)
    with monkeypatch.context() as patch:
        patch.setattr(database, "MIGRATIONS", (*MIGRATIONS, ("ALTER TABLE meta ADD COLUMN a", "ALTER TABLE no DROP b")))
        with pytest.raises(StoreError, match="no such table"):
            Database(tmp_path)
    with closing(Database(tmp_path)) as found:
        assert list(found.objects()) == [ONE]
        assert pragma(found, "user_version") == len(MIGRATIONS)


def test_a_database_of_a_newer_program_is_refused_and_left_alone(tmp_path):
    filled(tmp_path, ONE)
    with closing(sqlite3.connect(tmp_path / NAME)) as direct:
        direct.execute("PRAGMA user_version = 99")
    before = (tmp_path / NAME).read_bytes()
    with pytest.raises(StoreError, match=rf"{NAME}: has schema 99, of a newer program; this one knows schemas up to"):
        Database(tmp_path)
    assert (tmp_path / NAME).read_bytes() == before


def test_a_database_of_another_program_is_refused_and_left_alone(tmp_path):
    with closing(sqlite3.connect(tmp_path / NAME)) as direct:
        direct.execute("CREATE TABLE theirs (a)")
    before = (tmp_path / NAME).read_bytes()
    with pytest.raises(StoreError, match="is a database of another program"):
        Database(tmp_path)
    assert (tmp_path / NAME).read_bytes() == before


def test_what_is_no_database_is_refused(tmp_path):
    (tmp_path / NAME).write_bytes(b"some text, long enough to have a header" * 100)
    with pytest.raises(StoreError, match=rf"{NAME}: file is not a database"):
        Database(tmp_path)


def test_a_folder_in_its_place_is_refused(tmp_path):
    (tmp_path / NAME).mkdir()
    with pytest.raises(StoreError, match=rf"{NAME}: Is a directory"):
        Database(tmp_path)


def test_an_object_of_a_kind_that_is_not_known_is_refused(tmp_path):
    filled(tmp_path, ONE)
    with closing(sqlite3.connect(tmp_path / NAME)) as direct:
        direct.execute("UPDATE objects SET kind = 'Tea'")
        direct.commit()
    with closing(Database(tmp_path)) as found, pytest.raises(StoreError, match="of kind Tea"):
        list(found.objects())
