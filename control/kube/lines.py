"""A stream of bytes cut into lines."""

from __future__ import annotations

from collections.abc import Iterator

MAX_LINE_BYTES = 8 * 1024 * 1024
"""Several times what etcd takes for one object."""


class LineTooLongError(ValueError):
    """A line that is longer than MAX_LINE_BYTES; nothing that comes after it can be told apart from it."""


class Lines:
    """Lines without their ends, as soon as they are whole; empty ones are left out."""

    __slots__ = ("_parts", "_size")

    def __init__(self) -> None:
        self._parts: list[bytes] = []
        self._size = 0

    @property
    def has_rest(self) -> bool:
        """Whether the stream ends, if it ends now, in the middle of a line."""
        return bool(b"".join(self._parts).strip())

    def feed(self, data: bytes) -> Iterator[bytes]:
        """Yield the lines that end in `data`. Raise LineTooLongError, after the lines before that one."""
        *whole, rest = data.split(b"\n")
        for part in whole:
            self._take(part)
            line = b"".join(self._parts)
            self._parts.clear()
            self._size = 0
            if line.strip():
                yield line
        if rest:
            self._take(rest)

    def _take(self, part: bytes) -> None:
        self._size += len(part)
        if self._size > MAX_LINE_BYTES:
            raise LineTooLongError(f"a line is longer than {MAX_LINE_BYTES} bytes")
        self._parts.append(part)
