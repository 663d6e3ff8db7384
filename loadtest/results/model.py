"""A result as it is kept in a file, raw (histograms of every bin) and summed; `schema` counts changes of its shape."""

from __future__ import annotations

import msgspec

SCHEMA = 1


class _Part(msgspec.Struct, forbid_unknown_fields=False, omit_defaults=True):
    """Unknown fields are those of a later version, and read over."""


class Percentiles(_Part, omit_defaults=False):
    """Microseconds; zeros when nothing was counted."""

    count: int
    mean: float
    p50: int
    p90: int
    p99: int
    p99_9: int
    p99_99: int
    max: int


class Bin(_Part):
    """Requests whose intended start is in [from_s, from_s + width) and in phase number `phase`.

    `counts` by outcome (outcome.py). `ok` (successes) and `all` are HdrHistograms of microseconds: V2, compressed,
    base64, as every HdrHistogram library reads them; empty when nothing was counted.
    """

    from_s: float
    phase: int
    counts: dict[str, int]
    ok: str = ""
    all: str = ""


class PhaseSpan(_Part, omit_defaults=False):
    name: str
    from_s: float
    to_s: float
    measured: bool
    rate_from: float
    rate_to: float
    """Intended requests per second at its beginning and end; zeros in a closed loop."""
    steps: int = 0
    """In so many steps from the one to the other; 0: evenly."""
    callers: int = 0
    """In a closed loop."""


class Window(_Part):
    """When a fault held or a change took place. `what` is for people; `instances` empty: all of the origin."""

    what: str
    kind: str
    from_s: float
    to_s: float
    origin: str = ""
    instances: list[int] = []


class EndpointBin(msgspec.Struct, array_like=True):
    from_s: float
    received: int
    executed: int
    answers: dict[str, int]
    faults: dict[str, int]


class Endpoint(_Part):
    """What one instance saw, bin by bin of arrival."""

    origin: str
    instance: int
    address: str
    bins: list[EndpointBin] = []


class Ledger(_Part, omit_defaults=False):
    """What was sent against what was executed, by id, over the whole run (unmeasured phases too).

    `is_known` is false when the origins are not ours, or a generator process did not tell all; everything else is zero.
    """

    is_known: bool = False
    sent: int = 0
    """Requests that left the generator."""
    succeeded: int = 0
    failed: int = 0
    """Sent, and no success seen by the caller."""
    failed_executed: int = 0
    """Of those, executed all the same."""
    lost: int = 0
    """Successes that no instance executed."""
    repeated: int = 0
    """Requests that arrived more than once."""
    executed_twice: int = 0
    """Requests executed more than once."""
    writes: int = 0
    """Requests sent with a method that must not be repeated."""
    writes_repeated: int = 0
    writes_executed_twice: int = 0
    late: int = 0
    """Chunks of ids in which something arrived after they were compared."""
    unknown: int = 0
    """Requests at an origin that had no id of this run."""
    amplification: float = 0.0
    """Arrivals at origins for each request sent."""
    examples: dict[str, list[str]] = {}
    """A few ids for each of lost, writes_executed_twice, executed_twice, failed_executed."""


class Generator(_Part, omit_defaults=False):
    """Whether the instrument itself was sound. `limited` says in words why not; empty: it was."""

    processes: int
    lateness: Percentiles
    cpu: float
    """Cores in use while sending, all processes together."""
    most_connections: int
    limited: list[str] = []
    notes: list[str] = []
    """What the load's own settings did to the figures, though the instrument was sound."""


class Usage(_Part, omit_defaults=False):
    """A process of the subject, over the time of the load."""

    name: str
    cpu_s: float
    rss_bytes: int
    """As last seen; 0 of one that was started again, as the later one has its memory."""


class Verdict(_Part, omit_defaults=False):
    """One measure of one expectation. `expected` and `measured` are for people: `at least 99.9 %`, `97.31 %`."""

    what: str
    expected: str
    measured: str
    holds: bool


class Summary(_Part, omit_defaults=False):
    """The measured phases in figures."""

    requests: int
    success_percent: float
    per_second: float
    """Requests by intended start for each second of measured phases; answered ones in a closed loop."""
    counts: dict[str, int]
    latency: Percentiles
    """Of successes."""
    latency_all: Percentiles


class Result(_Part):
    """One run."""

    schema: int
    scenario: str
    subject: str
    round: int
    started: str
    """ISO 8601, UTC."""
    seed: int
    duration_s: float
    bin_s: float
    text: str
    """The scenario's file."""
    versions: dict[str, str]
    """meshload, python, kernel, and each program of the subject."""
    cores: int
    phases: list[PhaseSpan]
    windows: list[Window]
    bins: list[Bin]
    endpoints: list[Endpoint]
    summary: Summary
    ledger: Ledger
    generator: Generator
    usage: list[Usage]
    configuration: dict[str, str]
    verdicts: list[Verdict] = []
    is_judged: bool = True
    """False when the scenario's expectations are for other subjects."""
    interrupted: bool = False
    problems: list[str] = []
    """What went wrong with the run itself: a subject that ended, an origin that did not answer."""


class Comparison(_Part):
    """Several results, in the order in which they were run. The file that every command writes and reads."""

    schema: int
    started: str
    results: list[Result]
    failures: list[str] = []
    """Runs that gave no result, and why."""
    interrupted: bool = False
