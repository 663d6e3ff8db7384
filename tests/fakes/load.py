"""Callers in threads, for sidecars in processes; and a small origin that never fails of itself."""

from __future__ import annotations

import contextlib
import http.client
import socket
import threading
from collections import Counter
from collections.abc import Iterator

Address = tuple[str, int]


class Server:
    """Answers every request on loopback with the same bytes; requests have no body."""

    def __init__(self, reply: bytes) -> None:
        self.reply = reply
        self._sock = socket.create_server(("127.0.0.1", 0), backlog=512)
        self.host, self.port = self._sock.getsockname()
        self._open: set[socket.socket] = set()
        self._thread = threading.Thread(target=self._accept, daemon=True)
        self._thread.start()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                sock, _ = self._sock.accept()
                sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                self._open.add(sock)
                threading.Thread(target=self._serve, args=(sock,), daemon=True).start()

    def _serve(self, sock: socket.socket) -> None:
        with sock, contextlib.suppress(OSError):
            data = b""
            while piece := sock.recv(65_536):
                data += piece
                while b"\r\n\r\n" in data:
                    head, _, data = data.partition(b"\r\n\r\n")
                    sock.sendall(self.answer(head))
        self._open.discard(sock)

    def answer(self, _head: bytes) -> bytes:
        return self.reply

    def stop(self) -> None:
        self._sock.shutdown(socket.SHUT_RDWR)
        self._sock.close()
        for sock in list(self._open):
            with contextlib.suppress(OSError):
                sock.shutdown(socket.SHUT_RDWR)
        self._thread.join()


@contextlib.contextmanager
def server(reply: bytes) -> Iterator[Server]:
    one = Server(reply)
    try:
        yield one
    finally:
        one.stop()


class Load:
    """Callers that ask without a pause until `stop`. A connection is used until the answer says close.

    `outcomes` counts answers by (status, body), and failures by the name of their exception.
    """

    def __init__(self, address: Address, callers: int = 4, host: str = "echo", method: str = "POST") -> None:
        self.outcomes: Counter[tuple[int, bytes] | str] = Counter()
        self._address = address
        self._host = host
        self._method = method
        self._stopped = threading.Event()
        self._lock = threading.Lock()
        self._threads = [threading.Thread(target=self._call, daemon=True) for _ in range(callers)]
        for thread in self._threads:
            thread.start()

    @property
    def total(self) -> int:
        return sum(self.outcomes.values())

    def _call(self) -> None:
        connection = http.client.HTTPConnection(*self._address, timeout=10)
        while not self._stopped.is_set():
            outcome: tuple[int, bytes] | str
            try:
                connection.request(self._method, "/", headers={"host": self._host})
                response = connection.getresponse()
                outcome = self.told(response)
            except (OSError, http.client.HTTPException) as error:
                outcome = type(error).__name__
                connection.close()
            with self._lock:
                self.outcomes[outcome] += 1
        connection.close()

    def told(self, response: http.client.HTTPResponse) -> tuple[int, bytes]:
        """What counts of an answer."""
        return response.status, response.read()

    def stop(self) -> Counter[tuple[int, bytes] | str]:
        self._stopped.set()
        for thread in self._threads:
            thread.join()
        return self.outcomes


@contextlib.contextmanager
def calling(address: Address, callers: int = 4, host: str = "echo", method: str = "POST") -> Iterator[Load]:
    load = Load(address, callers, host, method)
    try:
        yield load
    finally:
        load.stop()
