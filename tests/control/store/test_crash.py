"""The process is killed under a load of writes, at moments of all kinds: what it acknowledged is there, and whole."""

import random
import sqlite3
import subprocess
import sys
from contextlib import closing

import msgspec

from control.model.kinds import HTTP_ROUTE
from control.store.database import NAME
from control.store.store import Store
from tests.fakes.loop import on_uvloop
from tests.fakes.storm import WRITERS, is_deletion, key_of, padding

STEPS = 5_000_000
"""The first step of a round is a multiple of this, so that no step is ever taken twice; it begins with a write."""


def killed_after(directory, first_step, lines):
    """Run the storm, kill it after so many lines of acknowledgements, and return the last one of each writer."""
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.fakes.storm", str(directory), str(first_step)], stdout=subprocess.PIPE
    )
    with process:
        assert process.stdout.readline() == b"opening\n"
        told = [process.stdout.readline() for _ in range(lines)]
        process.kill()
        told += process.stdout.readlines()
    assert process.returncode == -9
    # What a kill cuts off at the end of a pipe has not been read by anybody.
    words = [line.split() for line in told if line.endswith(b"\n")]
    assert len(words) >= lines
    return {name.decode(): (int(step), int(version)) for name, step, version in words}


def check(stored, first_step, acknowledged, before):
    """What is found is what was acknowledged last, or the one step after it that was under way."""
    if acknowledged is None:
        expected, following = before, first_step
    else:
        step, version = acknowledged
        expected, following = (None if is_deletion(step) else (step, version)), step + 1
    found = None
    if stored is not None:
        metadata = msgspec.json.decode(stored.body)["metadata"]
        step = int(metadata["annotations"]["step"])
        assert metadata["annotations"]["padding"] == padding(step)
        assert metadata["resourceVersion"] == str(stored.version)
        found = step, stored.version
    if found != expected:
        assert (found is None) == is_deletion(following)
        assert found is None or found[0] == following
    return found


@on_uvloop
async def test_no_acknowledged_write_is_lost_and_nothing_is_half_when_the_process_is_killed(tmp_path):
    rng = random.Random(9)
    state = dict.fromkeys(range(WRITERS))
    version = 0
    for number, lines in enumerate((1, 0, *(rng.randrange(1, 400) for _ in range(4))), 1):
        acknowledged = killed_after(tmp_path, number * STEPS, lines)
        with closing(sqlite3.connect(tmp_path / NAME)) as direct:
            assert direct.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        store = await Store.open(tmp_path)
        for writer in range(WRITERS):
            key = key_of(writer)
            state[writer] = check(store.get(HTTP_ROUTE, key), number * STEPS, acknowledged.get(key.name), state[writer])
        assert store.version >= max([version, *(item[1] for item in acknowledged.values())])
        version = store.version
        versions = [stored.version for stored in store.list(HTTP_ROUTE)]
        assert len(set(versions)) == len(versions)
        assert max(versions, default=0) <= version
        await store.close()
    assert version > 400
