"""Answers whose end a parser of responses alone cannot tell."""

from __future__ import annotations

from httptools import HttpParserError, HttpParserUpgrade, HttpResponseParser

LONGEST_HEAD_BYTES = 65_536


class Head:
    """The fields of an answer that say how its body ends and whether its connection goes on.

    `status` is 0 until the head is complete; interim answers are passed over.
    """

    __slots__ = ("_connection", "_parser", "_size_bytes", "_version", "has_length", "status")

    def __init__(self) -> None:
        self._parser: HttpResponseParser | None = HttpResponseParser(self)
        self._connection = b""
        self._size_bytes = 0
        self._version = ""
        self.has_length = False
        self.status = 0

    def feed(self, data: bytes) -> None:
        """More of the answer. HttpParserError, HttpParserUpgrade: it is none, or too long, or another protocol's."""
        assert self._parser is not None, "it was complete"
        self._size_bytes += len(data)
        if self._size_bytes > LONGEST_HEAD_BYTES:
            raise HttpParserError("the head is too long")
        try:
            self._parser.feed_data(data)
        except (HttpParserError, HttpParserUpgrade):
            if not self.status:
                raise
        if self.status:
            self.drop()

    def drop(self) -> None:
        """Takes it and its parser apart, which refer to each other."""
        self._parser = None

    def on_header(self, name: bytes, value: bytes) -> None:
        match name.lower():
            case b"connection":
                self._connection += b"," + value.lower()
            case b"content-length" | b"transfer-encoding":
                self.has_length = True

    def on_headers_complete(self) -> None:
        assert self._parser is not None
        status = self._parser.get_status_code()
        if status < 200:
            self.has_length = False
            self._connection = b""
        else:
            self.status = status
            self._version = self._parser.get_http_version()

    @property
    def keeps_alive(self) -> bool:
        """RFC 9112 9.3."""
        options = {option.strip() for option in self._connection.split(b",")}
        return b"close" not in options if self._version == "1.1" else b"keep-alive" in options


def ends_at_close(received: bytes) -> int:
    """The status of an answer that begins so and ends with its connection (RFC 9112 6.3, rule 8); 0: it does not."""
    head = Head()
    try:
        head.feed(received[:LONGEST_HEAD_BYTES])
    except (HttpParserError, HttpParserUpgrade):
        return 0
    finally:
        head.drop()
    return 0 if head.has_length else head.status
