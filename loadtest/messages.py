"""What the processes of a run say to each other: one JSON object a line, commands in, reports out.

A process reads commands from its standard input and ends when that ends, so that nothing outlives the run. Moments are
seconds of CLOCK_MONOTONIC, which all processes of a machine share; everything else is seconds since the run's start.
"""

from __future__ import annotations

from typing import TypeAlias

import msgspec

CHUNK = 4096
"""Ids come in chunks: id N of a generator process is number N % CHUNK of chunk N // CHUNK."""


class _Message(msgspec.Struct, tag_field="type", tag=str.lower, forbid_unknown_fields=True, omit_defaults=True):
    """One line."""


# To every process.


class Start(_Message):
    """The run starts `at` this moment (monotonic)."""

    at: float


class Stop(_Message):
    """End what is under way, report it, and go."""


# To and from a generator process.


class Work(_Message):
    """What a generator process does: its share, `worker` of `workers`, of a scenario's load. The first line it gets.

    `scenario` is the file's text. `targets` are the addresses (HOST:PORT) to call for each origin, `hosts` the Host
    that names it. Ids are `run`-WORKER-NUMBER, with numbers from 0. `bin_s` is the width of the bins of time.
    """

    scenario: str
    run: str
    worker: int
    workers: int
    targets: dict[str, list[str]]
    hosts: dict[str, str]
    bin_s: float


class Retarget(_Message):
    """From now on new connections for `origin` go to these addresses; those that are open stay."""

    origin: str
    addresses: list[str]


class Ready(_Message):
    """Everything is prepared; Start is awaited."""


class Cell(msgspec.Struct, array_like=True):
    """What became of requests whose intended start is in one bin of one phase, since the last report.

    `bin` is the intended start divided by `bin_s`. `counts` are by outcome (outcome.py). `ok` are the latencies of
    successes and `all` those of every request, as {microseconds: count}, rounded down to three significant digits as an
    HdrHistogram would (at most 2048 values between a power of two and the next).
    """

    phase: int
    bin: int
    counts: dict[str, int]
    ok: dict[int, int]
    all: dict[int, int]


class Outcomes(msgspec.Struct, array_like=True):
    """What the caller saw of a chunk's requests, a byte each: SEEN_*, and WRITE added when it must happen once."""

    index: int
    seen: bytes


SEEN_NOTHING = 0
"""No such request, or the run ended while its answer was awaited."""
SEEN_SUCCESS = 1
SEEN_FAILURE = 2
"""An answer that is no success."""
SEEN_BROKEN = 3
"""Sent, and no complete answer."""
SEEN_UNSENT = 4
"""Nothing was sent."""
WRITE = 8


class Report(_Message):
    """What happened since the last one; several a second.

    `lateness` is {microseconds: count} by which requests of measured phases were handled later than due while
    nothing but this process was in the way. `chunks` are complete. `cpu_s` is this process's, since its start of
    sending.
    """

    cells: list[Cell]
    lateness: dict[int, int]
    chunks: list[Outcomes]
    open_connections: int
    waiting: int
    cpu_s: float


class Done(_Message):
    """All is sent and answered, or given up; the last line, after a Report with the chunks that are not full."""

    sent: int


# To and from the origin's process.


class Serve(_Message):
    """What the origin's process does: every instance of a scenario's origins, at these addresses, on `port`."""

    scenario: str
    run: str
    addresses: dict[str, list[str]]
    port: int
    bin_s: float


class Listening(_Message):
    """Every instance accepts connections."""


class Open(_Message):
    """Begin one more instance."""

    origin: str
    instance: int
    address: str


class Opened(_Message):
    origin: str
    instance: int


class Retire(_Message):
    """End an instance: accept nothing, close idle connections, give requests in work `grace_s`, reset the rest."""

    origin: str
    instance: int
    grace_s: float


class Take(_Message):
    """Tell and forget the executions of these chunks, as [worker, index]; `rest`: of all that are left."""

    chunks: list[tuple[int, int]] = []
    rest: bool = False


class Executions(msgspec.Struct, array_like=True):
    """How often each request of a chunk arrived, and how often its work was done; a byte each, 255 at most."""

    worker: int
    index: int
    received: bytes
    executed: bytes


class Taken(_Message):
    """The answer to Take. `unknown` requests had no id of this run, since the last answer."""

    chunks: list[Executions]
    unknown: int


class Traffic(_Message):
    """What instances saw since the last one; several a second. `working` requests are being served or wait now."""

    cells: list[TrafficCell]
    working: int
    cpu_s: float


class TrafficCell(msgspec.Struct, array_like=True):
    """One instance in one bin of time (of arrival). `answers` are by status, `faults` by kind of fault that was met."""

    origin: str
    instance: int
    bin: int
    received: int
    executed: int
    answers: dict[str, int]
    faults: dict[str, int]


class Trouble(_Message):
    """The process cannot go on; it ends. `message` is for people."""

    message: str


ToWorker: TypeAlias = Work | Start | Retarget | Stop
FromWorker: TypeAlias = Ready | Report | Done | Trouble
ToOrigin: TypeAlias = Serve | Start | Open | Retire | Take | Stop
FromOrigin: TypeAlias = Listening | Opened | Taken | Traffic | Trouble
