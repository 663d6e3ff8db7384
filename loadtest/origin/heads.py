"""Heads of answers in HTTP/1, made once."""

from __future__ import annotations

from http import HTTPStatus

STAYS, ENDS, STAYS_AS_ASKED = 0, 1, 2
"""What becomes of the connection: HTTP/1.1 keeps it without a word, 1.0 only if it was asked for, and then says so."""
_CONNECTION = (b"", b"connection: close\r\n", b"connection: keep-alive\r\n")
BODILESS = frozenset({204, 304})


class Heads:
    """Heads of answers of one instance, up to what differs from request to request."""

    def __init__(self, name: str, number: int) -> None:
        self._origin = f"{name}-{number}".encode()
        self._made: dict[tuple[int, int, int], bytes] = {}

    def get(self, status: int, connection: int, size: int) -> bytes:
        head = self._made.get((status, connection, size))
        return head if head is not None else self._make(status, connection, size)

    def _make(self, status: int, connection: int, size: int) -> bytes:
        try:
            phrase = HTTPStatus(status).phrase.encode()
        except ValueError:
            phrase = b""
        # RFC 9110 8.6: no Content-Length in a 204, and none in a 304 that would not be a 200's.
        about = b"" if status in BODILESS else b"content-type: text/plain\r\ncontent-length: %d\r\n" % size
        head = b"HTTP/1.1 %d %b\r\n%b%bx-origin: %b\r\n" % (
            status,
            phrase,
            about,
            _CONNECTION[connection],
            self._origin,
        )
        self._made[status, connection, size] = head
        return head
