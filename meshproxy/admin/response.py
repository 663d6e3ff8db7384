"""An answer of the admin server, before it meets a connection."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator
from typing import TypeAlias

TEXT = b"text/plain; charset=utf-8"
JSON = b"application/json"

Header: TypeAlias = tuple[bytes, bytes]
Later: TypeAlias = Callable[[], Awaitable[Iterator[bytes]]]


class Response:
    """`body` is all of it, or slices that are made one per turn of the loop, perhaps only after some waiting.

    A slice may be empty.
    """

    __slots__ = ("body", "headers", "status")

    def __init__(
        self, status: int, kind: bytes, body: bytes | Iterator[bytes] | Later, headers: tuple[Header, ...] = ()
    ) -> None:
        self.status = status
        self.headers = ((b"content-type", kind), *headers)
        self.body = body

    def __repr__(self) -> str:
        return f"<Response {self.status}>"


def sentence(status: int, text: str, headers: tuple[Header, ...] = ()) -> Response:
    """A short answer for a reader at a terminal."""
    return Response(status, TEXT, text.encode() + b"\n", headers)
