"""HTTP/1.1 (RFC 9110, 9112): bytes in, callbacks out. No I/O, no time.

The laws: a head is cut at the first empty line, within its bound; every line is CRLF; every field line passes the
strict grammar once and is then remembered; a message's end is known from exactly one of its length, its chunks or its
connection's end, or it is refused. What is refused is never forwarded.
"""
