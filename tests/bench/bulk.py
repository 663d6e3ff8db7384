"""One large body through a subject.

`python -m tests.bench.bulk PORT download|upload SIZE_BYTES` prints one line of JSON.
"""

from __future__ import annotations

import json
import os
import socket
import sys
import time

CHUNK_BYTES = 1 << 20
FILE_BYTES = 64 << 20
TIMEOUT_S = 60.0


def transfer(port: int, way: str, size: int) -> dict[str, float]:
    """seconds, from the first byte sent to the last byte received; failed is 1 unless a 200 and every byte arrived."""
    with socket.create_connection(("127.0.0.1", port), timeout=TIMEOUT_S) as sock:
        started = time.monotonic()
        if way == "download":
            sock.sendall(f"GET /{size} HTTP/1.1\r\nHost: echo\r\n\r\n".encode())
            whole = _receive(sock) == size
        else:
            sock.sendall(f"PUT / HTTP/1.1\r\nHost: echo\r\nContent-Length: {size}\r\n\r\n".encode())
            _send(sock, size)
            whole = _receive(sock) == 0
        return {"seconds": time.monotonic() - started, "failed": 0 if whole else 1}


def _receive(sock: socket.socket) -> int:
    """Read a response to the end of its Content-Length; the size of its body, -1 when it is not a 200 or is cut."""
    head = b""
    while b"\r\n\r\n" not in head:
        data = sock.recv(CHUNK_BYTES)
        if not data:
            return -1
        head += data
    lines, _, early = head.partition(b"\r\n\r\n")
    first, *fields = lines.lower().split(b"\r\n")
    lengths = [int(field.partition(b":")[2]) for field in fields if field.startswith(b"content-length:")]
    if first.split()[1] != b"200" or len(lengths) != 1:
        return -1
    missing = lengths[0] - len(early)
    buffer = bytearray(CHUNK_BYTES)
    while missing > 0:
        got = sock.recv_into(buffer, min(missing, CHUNK_BYTES))
        if not got:
            return -1
        missing -= got
    return lengths[0]


def _send(sock: socket.socket, size: int) -> None:
    sock.setblocking(True)
    zeros = os.memfd_create("zeros")
    os.ftruncate(zeros, FILE_BYTES)
    while size > 0:
        size -= os.sendfile(sock.fileno(), zeros, 0, min(size, FILE_BYTES))


if __name__ == "__main__":
    print(json.dumps(transfer(int(sys.argv[1]), sys.argv[2], int(sys.argv[3]))))
