"""What may stand in a scenario, field by field. Field names in files are in kebab-free snake case, as written here.

Durations, rates and sizes are text with a unit in files (units.py), and seconds, events per second and bytes here.
Everything is bounded, so that a scenario that starts also ends.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, model_validator

from loadtest.outcome import IDEMPOTENT
from loadtest.scenario import headers
from loadtest.scenario.references import MOST_INSTANCES, MOST_WINDOWS, wrong
from loadtest.scenario.units import parse_duration, parse_rate, parse_size

LONGEST_S = 24 * 3600.0
MOST_RATE = 1_000_000.0
MOST_CONNECTIONS = 20_000


def _text(parse: Callable[[str], Any]) -> BeforeValidator:
    def read(value: object) -> object:
        if not isinstance(value, str):
            raise ValueError(_example(parse))  # noqa: TRY004 - pydantic collects ValueErrors
        return parse(value)

    return BeforeValidator(read)


def _example(parse: Callable[[str], Any]) -> str:
    try:
        parse("")
    except ValueError as error:
        return str(error)
    raise AssertionError(parse)


Duration = Annotated[float, _text(parse_duration), Field(ge=0, le=LONGEST_S, json_schema_extra={"format": "duration"})]
Rate = Annotated[float, _text(parse_rate), Field(gt=0, le=MOST_RATE, json_schema_extra={"format": "rate"})]
Size = Annotated[int, _text(parse_size), Field(ge=0, le=64 * 1024 * 1024, json_schema_extra={"format": "size"})]
Percent = Annotated[float, Field(gt=0, le=100)]
Name = Annotated[str, Field(pattern=r"^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$")]
SubjectName = Annotated[str, Field(min_length=1)]
Status = Annotated[int, Field(ge=200, le=599)]
Number = Annotated[int, Field(ge=1)]
Statuses = Annotated[
    str,
    Field(pattern=r"^[1-5](xx|[0-9]{2})$"),
    BeforeValidator(lambda value: str(value) if type(value) is int else value),
]


class Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


class ServiceTime(Strict):
    """How long an instance works on a request; exactly one of the three. `uniform` is [least, most]."""

    fixed: Duration | None = None
    uniform: Annotated[list[Duration], Field(min_length=2, max_length=2)] | None = None
    exponential: Duration | None = None

    @model_validator(mode="before")
    @classmethod
    def _short(cls, value: object) -> object:
        if isinstance(value, str):
            return {"fixed": value}
        if not isinstance(value, dict | ServiceTime):
            raise ValueError(_SERVICE_TIME)  # noqa: TRY004 - pydantic collects ValueErrors
        return value

    @model_validator(mode="after")
    def _one(self) -> ServiceTime:
        if sum(each is not None for each in (self.fixed, self.uniform, self.exponential)) != 1:
            raise ValueError(_SERVICE_TIME)
        if self.uniform is not None and self.uniform[0] > self.uniform[1]:
            raise ValueError("uniform: [least, most], the least first")
        return self


_SERVICE_TIME = "a service time is a duration, or exactly one of fixed, uniform, exponential"


class Origin(Strict):
    """A service: `instances` that are alike. `concurrency` requests are served at once by each, `queue` more wait.

    What comes past the queue is answered 503 at once. Without `concurrency` there is no limit but 100 000.
    """

    instances: Annotated[int, Field(ge=1, le=MOST_INSTANCES)] = 1
    service_time: ServiceTime = ServiceTime(fixed="0s")  # type: ignore[arg-type]
    concurrency: Annotated[int, Field(ge=1, le=100_000)] | None = None
    queue: Annotated[int, Field(ge=0, le=100_000)] = 0
    body: Size = 64


class Fault(Strict):
    """Something that is wrong with instances for a time: from `at`, `for` long; repeated `every` so often, `until`.

    Exactly one of the kinds is given; the first fault of a file that applies to a request is the one it meets. What is
    done to a request before its work begins leaves it unexecuted.
    """

    at: Duration = 0.0
    for_: Annotated[Duration, Field(gt=0)] = Field(alias="for")
    every: Duration | None = None
    until: Duration | None = None
    origin: Name | None = None
    """Default: every origin."""
    instances: Annotated[list[Number], Field(min_length=1, max_length=MOST_INSTANCES)] | None = None
    """Numbers from 1; default: all instances."""
    percent: Percent = 100.0
    """Of the requests, by chance; not for refuse and black_hole."""
    reused: bool = False
    """Only requests that are not the first of their connection."""

    status: Status | None = None
    """Answered with this status, not executed."""
    delay: Duration | None = None
    """Executed, and answered so much later; no slot is held meanwhile."""
    hang: Literal[True] | None = None
    """Read, not executed, and not answered while the connection lasts."""
    slow_body: Duration | None = None
    """Executed; the body takes so long, in pieces."""
    truncate: Literal[True] | None = None
    """Executed; half of the body is sent, then the connection is closed."""
    reset: Literal["before", "after"] | None = None
    """The connection is reset (RST) without an answer, before or after execution."""
    close: Literal["before", "after"] | None = None
    """The connection is closed (FIN) without an answer, before or after execution."""
    idle_close: Duration | None = None
    """Answered; the connection is closed so long after that, without a word: a next request may be on its way."""
    refuse: Literal[True] | None = None
    """Nothing listens, and connections are reset, as after a crash."""
    black_hole: Literal[True] | None = None
    """Packets to the instance vanish: no connection is accepted, and what is sent over open ones is not received."""

    @property
    def kind(self) -> str:
        """The one kind that is given."""
        return next(kind for kind in KINDS if getattr(self, kind) is not None)

    @model_validator(mode="after")
    def _one(self) -> Fault:
        given = [kind for kind in KINDS if getattr(self, kind) is not None]
        if len(given) != 1:
            raise ValueError(f"a fault is exactly one of {', '.join(KINDS)}; {_given(given)}")
        if given[0] in WHOLE and (self.percent != 100 or self.reused):
            raise ValueError(f"percent and reused do not go with {given[0]}, which concerns whole instances")
        if (self.every is None) != (self.until is None):
            raise ValueError("every and until go together")
        if self.every is not None and self.until is not None:
            if self.every <= self.for_:
                raise ValueError("every: it has to be longer than for")
            if self.until <= self.at:
                raise ValueError("until: it has to be later than at")
            if self.count > MOST_WINDOWS:
                raise ValueError(f"every: at most {MOST_WINDOWS} repetitions until then are allowed")
        return self

    @property
    def count(self) -> int:
        """How often it holds."""
        if self.every is None or self.until is None:
            return 1
        return math.ceil(round((self.until - self.at) / self.every, 6))

    def windows(self) -> list[tuple[float, float]]:
        """When it holds: [from, to) in seconds of the run."""
        if self.every is None or self.until is None:
            return [(self.at, self.at + self.for_)]
        found = []
        begin = self.at
        while begin < self.until:
            found.append((begin, min(begin + self.for_, self.until)))
            begin = round(self.at + len(found) * self.every, 9)  # or 0.1 + 7 x 0.1 would begin before 0.8
        return found


KINDS = (
    "status", "delay", "hang", "slow_body", "truncate", "reset", "close", "idle_close", "refuse", "black_hole",
)  # fmt: skip
WHOLE = frozenset({"refuse", "black_hole"})


def _given(names: list[str]) -> str:
    return f"given: {', '.join(names)}" if names else "none is given"


class Replace(Strict):
    """One instance makes room for a new one at a new address, which has the next number of its origin.

    The new one is up and told to the subject first. Then `told: before`: the subject is told that the old one goes, and
    `lead` later it stops (orderly); `told: after`: it stops, and the subject is told `lead` later (late). Stopping
    means: no new connections, idle ones closed, requests in work finished within `grace`, then reset.
    """

    origin: Name | None = None
    instance: Number
    told: Literal["before", "after"] = "before"
    lead: Duration = 0.5
    grace: Duration = 1.0

    @property
    def lasts_s(self) -> float:
        """Until the subject was told and the grace is over."""
        return self.lead + self.grace if self.told == "before" else max(self.lead, self.grace)


class Change(Strict):
    """Something that happens once, at a time."""

    at: Duration
    replace: Replace | None = None
    control_plane: Literal["away", "back"] | None = None
    """The subject's control plane is killed, or started again; nothing happens to a subject that has none."""

    @model_validator(mode="after")
    def _one(self) -> Change:
        if (self.replace is None) == (self.control_plane is None):
            raise ValueError("a change is exactly one of replace, control_plane")
        return self


class Request(Strict):
    """One sort of request. `body` is so many zeros; `read` bounds how fast the answer is read, per second."""

    method: Annotated[str, Field(pattern=r"^[A-Z]{1,16}$")] = "GET"
    path: Annotated[str, Field(pattern=r'^/[!"$-~]*$', max_length=8192)] = "/"
    headers: Annotated[dict[str, str], Field(max_length=64)] = {}
    body: Size | None = None
    text: Annotated[str, Field(max_length=65_536)] | None = None
    weight: Annotated[float, Field(gt=0, le=1e6)] = 1.0
    to: Name | None = None
    """The origin that it is for; default: the only or first one."""
    read: Annotated[Size, Field(gt=0)] | None = None

    @model_validator(mode="after")
    def _sane(self) -> Request:
        if self.method == "CONNECT":
            raise ValueError("method: CONNECT asks for a tunnel (RFC 9110 9.3.6), which is not measured")
        if self.body is not None and self.text is not None:
            raise ValueError("body and text do not go together")
        headers.check(self.headers)
        return self

    @property
    def is_write(self) -> bool:
        return self.method not in IDEMPOTENT


class Phase(Strict):
    """A part of the load: `for` so long at `rate`, or from one rate `to` another, evenly or in so many `steps`.

    In a closed loop (`load.mode`) a phase has `callers` instead. What is sent in a phase with `measured: false` does
    not count in sums and expectations.
    """

    name: Annotated[str, Field(max_length=64, pattern=r"^[^\p{C}]*$")] = ""
    for_: Annotated[Duration, Field(gt=0)] = Field(alias="for")
    rate: Rate | None = None
    from_: Rate | None = Field(default=None, alias="from")
    to: Rate | None = None
    steps: Annotated[int, Field(ge=2, le=1000)] | None = None
    callers: Annotated[int, Field(ge=1, le=MOST_CONNECTIONS)] | None = None
    measured: bool = True

    @model_validator(mode="after")
    def _one(self) -> Phase:
        ramp = (self.from_ is not None) + (self.to is not None)
        if ramp == 1:
            raise ValueError("from and to go together")
        if (self.rate is not None) + (ramp == 2) + (self.callers is not None) != 1:
            raise ValueError("a phase has exactly one of rate, from and to, callers")
        if self.steps is not None and ramp != 2:
            raise ValueError("steps go with from and to")
        return self


class Load(Strict):
    """How requests are sent. Open loop: when they are due, whatever became of others; closed: one after another."""

    mode: Literal["open", "closed"] = "open"
    arrivals: Literal["uniform", "poisson"] = "uniform"
    connections: Annotated[int, Field(ge=1, le=MOST_CONNECTIONS)] = 128
    """At most so many open to each origin, over all processes; in a closed loop every caller has its own."""
    keep_alive: bool = True
    timeout: Annotated[Duration, Field(gt=0)] = 5.0
    """From the intended start to the end of the answer."""
    processes: Annotated[int, Field(ge=1, le=64)] = 1
    busy_poll: bool = False
    """In an open loop processes wait without sleeping: punctual to microseconds, and each needs a core of its own."""
    success: Annotated[list[Statuses], Field(min_length=1, max_length=50)] = ["2xx", "3xx"]
    """Statuses that count as success: 200, or 2xx for a class."""
    requests: Annotated[list[Request], Field(min_length=1, max_length=100)] = [Request()]
    phases: Annotated[list[Phase], Field(min_length=1, max_length=100)]

    @model_validator(mode="after")
    def _fits(self) -> Load:
        """A message begins with the path of what is wrong; there is a line for each."""
        wrong = [
            f"phases[{at}]: with mode closed every phase has callers, with mode open none"
            for at, phase in enumerate(self.phases)
            if (phase.callers is not None) != (self.mode == "closed")
        ]
        if not any(phase.measured for phase in self.phases):
            wrong.append("phases: at least one phase has to be measured")
        if self.mode == "open" and self.processes > self.connections:
            wrong.append(f"processes: at most load.connections, because each process has one; not {self.processes}")
        if self.mode == "closed" and self.busy_poll:
            wrong.append("busy_poll: it goes with mode open; callers of a closed loop wait for answers alone")
        if wrong:
            raise ValueError("\n".join(wrong))
        return self


class Policy(Strict):
    """What a subject that can is asked to do, the same for all; the words are those of Gateway API's HTTPRoute."""

    timeout: Duration | None = None
    """For the whole request (timeouts.request)."""
    attempt_timeout: Duration | None = None
    """For each attempt (timeouts.backendRequest)."""
    retries: Annotated[int, Field(ge=0, le=10)] = 0
    """At most so many repetitions (retry.attempts). What is provably unprocessed may be repeated beside them, as each
    subject does by itself, also with 0."""
    retry_codes: Annotated[list[Annotated[int, Field(ge=400, le=599)]], Field(max_length=50)] = []
    """After these statuses (retry.codes), beside what a subject repeats by itself when retries are on."""


class Expectation(Strict):
    """What has to hold for what was sent `from` .. `to` (default: all measured). Percentiles are of successes."""

    from_: Duration | None = Field(default=None, alias="from")
    to: Duration | None = None
    success: Annotated[float, Field(ge=0, le=100)] | None = None
    """Percent of the requests, at least."""
    p50: Duration | None = None
    p90: Duration | None = None
    p99: Duration | None = None
    p99_9: Duration | None = None
    max: Duration | None = None
    repeated_writes: Annotated[int, Field(ge=0)] | None = None
    """Writes executed more than once, at most; whole runs only."""
    lost: Annotated[int, Field(ge=0)] | None = None
    """Successes that no origin executed, at most; whole runs only."""

    @model_validator(mode="after")
    def _whole(self) -> Expectation:
        windowed = self.from_ is not None or self.to is not None
        if windowed and (self.repeated_writes is not None or self.lost is not None):
            raise ValueError("repeated_writes and lost are of whole runs: they do not go with from and to")
        if self.from_ is not None and self.to is not None and self.from_ >= self.to:
            raise ValueError("to: it has to be later than from")
        if all(getattr(self, each) is None for each in MEASURES):
            raise ValueError(f"an expectation names at least one of {', '.join(MEASURES)}")
        return self


MEASURES = ("success", "p50", "p90", "p99", "p99_9", "max", "repeated_writes", "lost")


class Scenario(Strict):
    """A whole file."""

    name: Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9-]{0,63}$")]
    about: Annotated[str, Field(max_length=2000, pattern=r"^[\n[^\p{C}]]*$")] = ""
    seed: Annotated[int, Field(ge=0, le=2**63 - 1)] = 1
    """Of all chance: arrivals, weights, percentages, service times. The same seed gives the same draws."""
    origins: Annotated[dict[Name, Origin], Field(min_length=1, max_length=20)] = {"echo": Origin()}
    faults: Annotated[list[Fault], Field(max_length=200)] = []
    changes: Annotated[list[Change], Field(max_length=200)] = []
    load: Load
    policy: Policy = Policy()
    subjects: Annotated[list[SubjectName], Field(max_length=50)] = []
    """Default of the command line: which subjects are run."""
    judged: Annotated[list[SubjectName], Field(max_length=50)] = []
    """Which subjects the expectations are for, by the beginning of their names; default: all that are run."""
    expect: Annotated[list[Expectation], Field(max_length=50)] = []

    @model_validator(mode="after")
    def _refers(self) -> Scenario:
        """What is named exists. A message begins with the path of what is wrong; there is a line for each."""
        told = [f"{path}: {message}" for path, message in wrong(self)]
        if told:
            raise ValueError("\n".join(told))
        return self

    @property
    def duration_s(self) -> float:
        """How long load is sent."""
        return round(sum(phase.for_ for phase in self.load.phases), 9)

    @property
    def first_origin(self) -> str:
        return next(iter(self.origins))
