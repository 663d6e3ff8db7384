"""An open-loop load generator: requests start when the schedule says so, however slow the answers are.

`python -m tests.bench.pace PORT RATE SECONDS WARM_S` sends GET / at RATE per second over 32 keep-alive connections and
prints one line of JSON. A latency is counted from the intended start of its request, so that a stall is charged to
every request that it delayed, whether or not that one could be sent ("How NOT to Measure Latency", Gil Tene). It is
one loop over epoll and a timer of the kernel, because an event loop in Python would measure itself.
"""

from __future__ import annotations

import ctypes
import gc
import json
import os
import select
import socket
import sys
import time
from collections import deque
from contextlib import closing

CONNECTIONS = 32
GRACE_S = 5.0
"""How long to wait for the last answers."""
RECEIVE_BYTES = 16384
REQUEST = b"GET / HTTP/1.1\r\nHost: echo\r\n\r\n"
OK = b"HTTP/1.1 200 "

_CLOCK_MONOTONIC = 1
_TFD_NONBLOCK = os.O_NONBLOCK
_TFD_TIMER_ABSTIME = 1


class Connection:
    """One request at a time; `intended` is when it should have started."""

    __slots__ = ("buffer", "intended", "sock")

    def __init__(self, port: int) -> None:
        self.sock = socket.create_connection(("127.0.0.1", port), timeout=GRACE_S)
        self.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.sock.setblocking(False)
        self.buffer = b""
        self.intended = 0.0


def timer(start: float, interval: float) -> int:
    """A descriptor that becomes ready at `start` (monotonic seconds) and every `interval` seconds after it."""
    libc = ctypes.CDLL(None, use_errno=True)
    fd: int = libc.timerfd_create(_CLOCK_MONOTONIC, _TFD_NONBLOCK)
    if fd < 0:
        raise OSError(ctypes.get_errno(), "timerfd_create")
    # struct itimerspec: interval and first expiry, each as seconds and nanoseconds.
    spec = (ctypes.c_long * 4)(*_timespec(interval), *_timespec(start))
    if libc.timerfd_settime(fd, _TFD_TIMER_ABSTIME, ctypes.byref(spec), None) < 0:
        raise OSError(ctypes.get_errno(), "timerfd_settime")
    return fd


def _timespec(seconds: float) -> tuple[int, int]:
    return int(seconds), int(seconds % 1 * 1e9)


def learn(port: int) -> bytes:
    """The body that every answer must end with; the head may differ from answer to answer."""
    with socket.create_connection(("127.0.0.1", port), timeout=GRACE_S) as sock:
        sock.sendall(REQUEST.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n"))
        answer = b"".join(iter(lambda: sock.recv(RECEIVE_BYTES), b""))
    if not answer.startswith(OK):
        raise RuntimeError(f"the first answer was {answer[:200]!r}")
    return answer.partition(b"\r\n\r\n")[2]


class Run:
    """The connections, and what was counted; `drive` is the loop."""

    def __init__(self, port: int) -> None:
        self.port = port
        self.body = learn(port)
        self.poll = select.epoll()
        self.connections: dict[int, Connection] = {}
        self.idle: deque[Connection] = deque()
        for _ in range(CONNECTIONS):
            self.connect()
        self.latencies: list[float] = []
        self.lags: list[float] = []
        self.failed = 0

    def connect(self) -> None:
        connection = Connection(self.port)
        self.connections[connection.sock.fileno()] = connection
        self.poll.register(connection.sock, select.EPOLLIN)
        self.idle.append(connection)

    def drive(self, start: float, end: float, interval: float, counted_from: float) -> None:
        """Make a request at `start` and every `interval` until `end`, and wait for the last answers."""
        clock, idle, due, planned = time.monotonic, self.idle, start, 0
        ticks = timer(start, interval)
        self.poll.register(ticks, select.EPOLLIN)
        while due < end or (len(idle) < CONNECTIONS and clock() < end + GRACE_S):
            for fd, _ in self.poll.poll(GRACE_S):
                if fd == ticks:
                    os.read(ticks, 8)  # The kernel arms the next expiry when this one is read.
                else:
                    self.receive(fd, counted_from)
            now = clock()
            while due <= now and due < end and idle:
                connection = idle.popleft()
                connection.intended = due
                if due >= counted_from:
                    self.lags.append(now - due)
                connection.sock.send(REQUEST)
                planned += 1
                due = start + planned * interval
        self.failed += CONNECTIONS - len(idle)
        os.close(ticks)

    def receive(self, fd: int, counted_from: float) -> None:
        connection = self.connections[fd]
        data = connection.sock.recv(RECEIVE_BYTES)
        if not data:
            self.failed += 1
            self.poll.unregister(fd)
            self.connections.pop(fd).sock.close()
            self.connect()
            return
        connection.buffer += data
        if not connection.buffer.endswith(self.body):
            return
        if not connection.buffer.startswith(OK):
            self.failed += 1
        elif connection.intended >= counted_from:
            self.latencies.append(time.monotonic() - connection.intended)
        connection.buffer = b""
        self.idle.append(connection)

    def close(self) -> None:
        self.poll.close()
        for connection in self.connections.values():
            connection.sock.close()


def run(port: int, rate: float, seconds: float, warm_s: float) -> dict[str, float]:
    """Percentiles in microseconds of what was intended after the first `warm_s`.

    `rps` answered, `failed`, `p50_us`, ... of the latency, `lag_p50_us`, ... of how late requests left.
    """
    with closing(Run(port)) as made:
        start = time.monotonic() + 0.1
        made.drive(start, start + warm_s + seconds, 1 / rate, start + warm_s)
        return _result(made.latencies, made.lags, made.failed, seconds)


def _result(latencies: list[float], lags: list[float], failed: int, seconds: float) -> dict[str, float]:
    latencies.sort()
    lags.sort()
    result = {"rps": len(latencies) / seconds, "failed": failed}
    for name, values in (("", latencies), ("lag_", lags)):
        for share in (50, 90, 99, 99.9, 100):
            result[f"{name}p{share:g}_us"] = percentile(values, share) * 1e6
    return result


def percentile(ordered: list[float], share: float) -> float:
    """The value that so many per cent do not exceed, by nearest rank; 0 of none."""
    return ordered[max(0, -int(-len(ordered) * share // 100) - 1)] if ordered else 0.0


if __name__ == "__main__":
    gc.disable()
    print(json.dumps(run(int(sys.argv[1]), *map(float, sys.argv[2:5]))))
