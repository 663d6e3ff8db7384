from __future__ import annotations

import os
import signal
import subprocess
import sys
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from meshproxy.crew.segment import Segment


@pytest.fixture
def segment():
    one = Segment.create(4096)
    yield one
    one.close()


def publish(segment: Segment, *pieces: bytes) -> None:
    draft = segment.begin()
    for piece in pieces:
        assert draft.append(piece)
    segment.commit(draft)


def test_an_empty_one_reads_as_nothing(segment):
    assert segment.read() == b""


def test_the_latest_publication_is_read_and_through_any_mapping_of_it(segment):
    other = Segment(os.dup(segment.fd))
    for n in range(5):
        publish(segment, b"%d" % n * n, b"end")
        assert segment.read() == other.read() == b"%d" % n * n + b"end"
    other.close()


def test_what_is_not_committed_is_not_read(segment):
    publish(segment, b"first")
    for _ in range(3):  # given up again and again: the one before stays
        segment.begin().append(b"half of the sec")
        assert segment.read() == b"first"
    publish(segment, b"second")
    assert segment.read() == b"second"


def test_nothing_is_added_where_there_is_no_room(segment):
    draft = segment.begin()
    assert not draft.append(b"x" * (segment.room_bytes + 1))
    assert not draft.append(b"x" * segment.room_bytes, spare_bytes=1)
    assert draft.append(b"x" * segment.room_bytes)
    assert not draft.append(b"x")
    segment.commit(draft)
    assert segment.read() == b"x" * segment.room_bytes


@given(st.integers(0, 4095), st.integers(1, 255))
def test_a_torn_publication_gives_way_to_the_one_before(at, flip):
    segment = Segment.create(4096)
    publish(segment, b"a" * 100)
    publish(segment, b"b" * 100)
    before = segment._map[at]
    segment._map[at] = before ^ flip
    # The number stands under the checksum too: whatever is torn, only what was published is read.
    assert segment.read() in (b"a" * 100, b"b" * 100)
    segment.close()


_WRITER = """
import sys
from meshproxy.crew.segment import Segment
segment = Segment(int(sys.argv[1]))
n = 0
while True:
    draft = segment.begin()
    for _ in range(200):
        draft.append(b"%08d" % n)
    segment.commit(draft)
    if not n:
        print("begun", flush=True)
    n += 1
"""


def test_a_reader_never_sees_half_of_anything_while_another_process_writes_or_is_killed():
    segment = Segment.create(65_536)
    with subprocess.Popen(
        [sys.executable, "-c", _WRITER, str(segment.fd)], pass_fds=[segment.fd], stdout=subprocess.PIPE
    ) as writer:
        assert writer.stdout is not None
        assert writer.stdout.readline() == b"begun\n"
        seen: set[bytes] = set()
        last = b""
        end = time.monotonic() + 10
        while len(seen) < 100 and time.monotonic() < end:
            content = segment.read()
            # Whoever publishes as fast as it can may leave a reader without anything, but not with a mixture.
            if content:
                assert content == content[:8] * 200
                assert content >= last
                last = content
                seen.add(content)
        writer.send_signal(signal.SIGKILL)
    assert len(seen) == 100
    final = segment.read()
    assert final == final[:8] * 200
    assert final >= last
    segment.close()
