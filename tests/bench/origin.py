"""An upstream for bodies: `python -m tests.bench.origin PORT`.

GET /N answers N bytes (GET / none), anything with a Content-Length is read to its end and answered 200: nginx would
answer before the body has come, which ends the exchange early. HTTP/1.1 with keep-alive, a thread per connection.
"""

from __future__ import annotations

import os
import socketserver
import sys
from contextlib import suppress

CHUNK_BYTES = 1 << 20
FILE_BYTES = 64 << 20
HEAD_LIMIT = 1 << 16


class Exchange(socketserver.BaseRequestHandler):
    """One connection."""

    server: Origin

    def handle(self) -> None:
        with suppress(ConnectionError):
            while self._serve_one():
                pass

    def _serve_one(self) -> bool:
        head = bytearray()
        while b"\r\n\r\n" not in head:
            data = self.request.recv(HEAD_LIMIT)
            if not data or len(head) > HEAD_LIMIT:
                return False
            head += data
        lines, _, early = bytes(head).partition(b"\r\n\r\n")
        first, *fields = lines.decode("latin-1").split("\r\n")
        _, path, _ = first.split()
        lengths = [int(field.partition(":")[2]) for field in fields if field.lower().startswith("content-length:")]
        self._discard(sum(lengths) - len(early))
        self._answer(int(path.strip("/") or 0))
        return True

    def _discard(self, size: int) -> None:
        buffer = bytearray(CHUNK_BYTES)
        while size > 0:
            got = self.request.recv_into(buffer, min(size, CHUNK_BYTES))
            if not got:
                raise ConnectionError("the body ended early")
            size -= got

    def _answer(self, size: int) -> None:
        self.request.sendall(f"HTTP/1.1 200 OK\r\nContent-Length: {size}\r\n\r\n".encode())
        while size > 0:
            size -= os.sendfile(self.request.fileno(), self.server.zeros, 0, min(size, FILE_BYTES))


class Origin(socketserver.ThreadingTCPServer):
    allow_reuse_address = True
    daemon_threads = True
    request_queue_size = 128

    def __init__(self, port: int) -> None:
        super().__init__(("127.0.0.1", port), Exchange)
        # Pages of a file are sent without a copy: the origin's share of its core stays small.
        self.zeros = os.memfd_create("zeros")
        os.ftruncate(self.zeros, FILE_BYTES)


if __name__ == "__main__":
    Origin(int(sys.argv[1])).serve_forever()
