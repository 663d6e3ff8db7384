"""A piece of shared memory in which one process publishes and another reads, whatever happens to the first.

Two halves are written in turn; each begins with the number, the length and the checksum of what it holds. A half that
is being written, or whose writer was killed meanwhile, fails its checksum, and the other one counts. So there is no
lock that a dead process could hold, and nothing depends on the order in which a processor's writes become visible.
"""

from __future__ import annotations

import mmap
import os
import struct
import zlib

SIZE_BYTES = 4 * 1024 * 1024
"""Of both halves. Pages that nobody has written yet cost nothing."""

_HEADER = struct.Struct("<QQL")  # number, length, checksum of both and of the content
_NUMBERS = struct.Struct("<QQ")
_TRIES = 3


class Segment:
    """One writer, any number of readers. `fd` is what a child inherits; `close` gives up memory and descriptor."""

    __slots__ = ("_half", "_map", "_number", "fd")

    def __init__(self, fd: int) -> None:
        self.fd = fd
        self._map = mmap.mmap(fd, os.fstat(fd).st_size)
        self._half = len(self._map) // 2
        self._number = 0

    @classmethod
    def create(cls, size_bytes: int = SIZE_BYTES) -> Segment:
        """Make an empty one that belongs to no file system."""
        fd = os.memfd_create("meshproxy-worker", os.MFD_CLOEXEC)
        try:
            os.ftruncate(fd, size_bytes)
            return cls(fd)
        except OSError:
            os.close(fd)
            raise

    @property
    def room_bytes(self) -> int:
        """The most that one publication can hold."""
        return self._half - _HEADER.size

    def begin(self) -> Draft:
        """Begin a publication; it is read once it is committed. One that is given up leaves the one before it."""
        number = self._number + 1
        base = number % 2 * self._half
        self._map[base : base + _HEADER.size] = bytes(_HEADER.size)
        return Draft(self._map, base, self.room_bytes, number)

    def commit(self, draft: Draft) -> None:
        draft.seal()
        self._number = draft.number

    def read(self) -> bytes:
        """The latest publication; empty when there is none."""
        for _ in range(_TRIES):
            newest = b""
            latest = 0
            for base in (0, self._half):
                number, content = self._read_half(base)
                if number > latest:
                    latest, newest = number, content
            if latest:
                return newest
        return b""

    def close(self) -> None:
        self._map.close()
        os.close(self.fd)

    def _read_half(self, base: int) -> tuple[int, bytes]:
        number, length, checksum = _HEADER.unpack_from(self._map, base)
        if not number or length > self.room_bytes:
            return 0, b""
        start = base + _HEADER.size
        content = self._map[start : start + length]
        return (number, content) if _checksum(content, number, length) == checksum else (0, b"")


class Draft:
    """A publication that is being written."""

    __slots__ = ("_base", "_checksum", "_map", "_room", "length", "number")

    def __init__(self, memory: mmap.mmap, base: int, room_bytes: int, number: int) -> None:
        self._map = memory
        self._base = base
        self._room = room_bytes
        self._checksum = 0  # of what stands there already
        self.number = number
        self.length = 0

    def append(self, content: bytes, spare_bytes: int = 0) -> bool:
        """Add to it; False, and nothing is added, where then less than `spare_bytes` would be left."""
        if self.length + len(content) + spare_bytes > self._room:
            return False
        start = self._base + _HEADER.size + self.length
        self._map[start : start + len(content)] = content
        self._checksum = zlib.crc32(content, self._checksum)
        self.length += len(content)
        return True

    def seal(self) -> None:
        checksum = zlib.crc32(_NUMBERS.pack(self.number, self.length), self._checksum)
        _HEADER.pack_into(self._map, self._base, self.number, self.length, checksum)


def _checksum(content: bytes, number: int, length: int) -> int:
    return zlib.crc32(_NUMBERS.pack(number, length), zlib.crc32(content))
