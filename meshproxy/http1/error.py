"""What a codec refuses, and the bounds that it keeps."""

from __future__ import annotations

HEAD_BYTES = 65_536
"""A head's bound without its final empty line (Envoy: 60 KiB)."""
HEAD_FIELDS = 128
"""Fields of a head or of trailers (Envoy: 100)."""
LEADING_EMPTY_LINES = 4
"""Empty lines ignored before a request line (RFC 9112 section 2.2 asks for at least one)."""
CHUNK_LINE_BYTES = 1_024
"""One chunk's size line with its extensions."""
CHUNK_EXTENSION_BYTES = 16_384
"""All chunk extensions of one message (Go's bound, after CVE-2023-39326)."""


class ProtocolError(Exception):
    """The peer broke HTTP/1.1. `rule` is a short phrase for the log; `is_oversized` tells 431 from 400."""

    def __init__(self, rule: str, *, is_oversized: bool = False) -> None:
        super().__init__(rule)
        self.rule = rule
        self.is_oversized = is_oversized
