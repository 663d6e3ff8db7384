"""How often each request arrived and was executed, by its id."""

from __future__ import annotations

from collections.abc import Iterable

from loadtest.messages import CHUNK, Executions

UNKNOWN = -1
"""The key of a request without an id of this run."""
MOST_CHUNKS = 4096
"""Chunks held at once: 16 million ids, 32 MiB; told in one line they are 45 MB."""
_SPAN = 1 << 32
"""Chunks of a generator process; its number comes before them in a key."""
_MOST_WORKERS = 1000
_ID_BYTES = 64


class Ledger:
    """Counts of the ids RUN-WORKER-NUMBER of one run, two bytes for each id of the chunks that were touched.

    Past MOST_CHUNKS nothing that is known is given up: ids of further chunks are counted as `unknown`, where they are
    seen. A chunk that was taken begins anew when something of it comes later.
    """

    __slots__ = ("_chunks", "_prefix", "unknown")

    def __init__(self, run: str) -> None:
        self._prefix = run.encode() + b"-"
        self._chunks: dict[int, tuple[bytearray, bytearray]] = {}
        self.unknown = 0

    def key(self, request_id: bytes) -> int:
        """What stands for the id from here on; UNKNOWN when it is not one of this run."""
        if not request_id.startswith(self._prefix) or len(request_id) > _ID_BYTES:
            return UNKNOWN
        worker, _, number = request_id[len(self._prefix) :].partition(b"-")
        if not (worker.isdigit() and number.isdigit()):
            return UNKNOWN
        which, count = int(worker), int(number)
        if which >= _MOST_WORKERS or count >= _SPAN * CHUNK:
            return UNKNOWN
        return which * (_SPAN * CHUNK) + count

    def receive(self, key: int) -> None:
        if not self._count(key, 0):
            self.unknown += 1

    def execute(self, key: int) -> None:
        self._count(key, 1)

    def _count(self, key: int, column: int) -> bool:
        """Whether there was a place to count it."""
        if key < 0:
            return False
        chunk = self._chunks.get(key // CHUNK)
        if chunk is None:
            if len(self._chunks) >= MOST_CHUNKS:
                return False
            chunk = self._chunks[key // CHUNK] = (bytearray(CHUNK), bytearray(CHUNK))
        counts = chunk[column]
        at = key % CHUNK
        if counts[at] < 255:
            counts[at] += 1
        return True

    def take(self, wanted: Iterable[tuple[int, int]]) -> list[Executions]:
        """Tells and forgets these chunks, as (worker, index); those in which nothing happened are left out."""
        return self._tell(worker * _SPAN + index for worker, index in wanted if 0 <= index < _SPAN)

    def take_rest(self) -> list[Executions]:
        return self._tell(sorted(self._chunks))

    def take_unknown(self) -> int:
        """How many had no id of this run, since the last time."""
        unknown, self.unknown = self.unknown, 0
        return unknown

    def _tell(self, keys: Iterable[int]) -> list[Executions]:
        told = []
        for key in keys:
            chunk = self._chunks.pop(key, None)
            if chunk is not None:
                told.append(Executions(key // _SPAN, key % _SPAN, bytes(chunk[0]), bytes(chunk[1])))
        return told
