"""When the instrument itself was the limit, and what else has to be known to read its figures: rules and their reasons.

Latency counts from the intended start, so whatever a generator is late by is added to what the target is said to take.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from loadtest import arrivals
from loadtest.outcome import NO_SOCKET, UNSENT
from loadtest.results.model import Percentiles, Summary
from loadtest.scenario import figures
from loadtest.scenario.model import Phase, Scenario
from loadtest.scenario.units import duration

SHARE = 0.1
"""Lateness up to a tenth of a latency is taken for noise: rounds of the same run differ by as much."""
FINE_US = 1000.0
"""Beside a latency of more than twice that, lateness up to 1 ms is what the generator promises."""
HALF = 0.5
"""Beside a smaller one at most half may be the generator's own, or the figure tells more of it than of the target."""
GRAIN_US = 100.0
"""Less is the grain of timers and of the system's scheduler, whatever the latency is."""
MOST_CPU = 0.95
"""A process of one thread that uses more of a core has no time to be punctual; in a closed loop it sets the pace."""
LEAST_RATE = 0.99
"""An open loop that sent less than its schedule for reasons of its own measured another load."""


def limits(
    scenario: Scenario, summary: Summary, lateness: Percentiles, cpu: Sequence[float], until_s: float = math.inf
) -> list[str]:
    """Why the figures are the generator's and not the target's, in words; empty when they are sound.

    `cpu` is cores in use by each process while it sent. `until_s`: when load was ended before its time. That requests
    wait for connections because a target is slow is no limit of the generator: see `notes`.
    """
    found = []
    if not scenario.load.busy_poll:  # one that never sleeps is judged by what it is late by
        found += [_busy(number, cores) for number, cores in enumerate(cpu, 1) if cores > MOST_CPU]
    found += _exhausted(summary)
    if scenario.load.mode == "open":
        found += _late(lateness, summary.latency if summary.latency.count else summary.latency_all)
        found += _slow(scenario, summary.requests, until_s)
        found += _narrow(scenario)
    return found


def allowed_us(latency_us: float) -> float:
    """How late the generator may be at a percentile at which the latency is this."""
    return max(SHARE * latency_us, min(FINE_US, HALF * latency_us), GRAIN_US)


def _late(lateness: Percentiles, latency: Percentiles) -> list[str]:
    """At the two percentiles that people compare. Nothing in the far tail: a single pause of the system decides it."""
    found = []
    for name, late_us, latency_us in (("half", lateness.p50, latency.p50), ("1 %", lateness.p99, latency.p99)):
        if latency.count and late_us > allowed_us(latency_us):
            found.append(
                f"the generator was late by {duration(late_us / 1e6)} or more for {name} of the requests, "
                f"where latency is {duration(latency_us / 1e6)}: a lower rate, more load.processes or a free core helps"
            )
    return found


def _busy(number: int, cores: float) -> str:
    return (
        f"generator process {number} used {cores:.0%} of a core: "
        "more load.processes (up to the free cores) or a lower rate helps"
    )


def _exhausted(summary: Summary) -> list[str]:
    count = summary.counts.get(NO_SOCKET, 0)
    if not count:
        return []
    told = (
        f"{count} requests failed because this machine had no port, file or memory left for their connections: "
        "load.keep_alive or a lower rate helps, or raising what is allowed (net.ipv4.ip_local_port_range, ulimit -n)"
    )
    return [told]


def _slow(scenario: Scenario, requests: int, until_s: float) -> list[str]:
    intended = _intended(scenario.load.phases, until_s)
    by_chance = 4 * math.sqrt(intended) if scenario.load.arrivals == "poisson" else 0.0
    if requests >= intended * LEAST_RATE - by_chance - len(scenario.load.phases):
        return []
    return [f"the generator began {requests} requests where {intended:.0f} were due: more load.processes helps"]


def _intended(phases: Sequence[Phase], until_s: float) -> float:
    """Requests that the measured phases ask for."""
    found = 0.0
    for span in arrivals.spans(phases):
        lasts_s = min(until_s, span.end_s) - span.begin_s
        if phases[span.phase].measured and lasts_s > 0:
            found += lasts_s * (span.rate + span.slope * lasts_s / 2)
    return found


def _narrow(scenario: Scenario) -> list[str]:
    """Little's law: connections in use = rate x the time that each is held. Of origins as declared, and healthy."""
    peak = max(span.peak for span in figures.spans(scenario))
    found = []
    for name, origin in scenario.origins.items():
        each = figures.capacity(origin)
        rate = peak * figures.share(scenario, name)
        rate = rate if each is None else min(rate, each * origin.instances)
        held_s = figures.held_s(scenario, name)
        needed = math.ceil(round(rate * held_s, 6))
        if needed > scenario.load.connections:
            found.append(
                f"{scenario.load.connections} connections cannot carry what {name} could serve: {rate:g}/s for "
                f"{duration(held_s)} each need {needed}; raise load.connections above that"
            )
    return found


def notes(scenario: Scenario, summary: Summary) -> list[str]:
    """What is no fault of the generator, but of the load that it was told to send: for who reads the figures."""
    unsent = summary.counts.get(UNSENT, 0)
    if not unsent:
        return []
    note = (
        f"{unsent} requests failed unsent: they waited {duration(scenario.load.timeout)} for one of "
        f"{scenario.load.connections} connections to their origin, or too many waited. As many are in use as the rate "
        "times the time that each is held (Little's law): a target that answers ever later takes any number of them, "
        "one that answers evenly needs load.connections to be that many"
    )
    return [note]
