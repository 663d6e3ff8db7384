from __future__ import annotations

from typing import Any

import pytest

from loadtest.outcome import NO_SOCKET, UNSENT
from loadtest.results.generator import allowed_us, limits, notes
from loadtest.results.histogram import Histogram
from loadtest.results.model import Percentiles, Summary
from loadtest.scenario.model import Scenario

STEADY = {"for": "10s", "rate": "100/s"}


def scenario(*phases: dict[str, Any], origins: dict[str, Any] | None = None, **load: Any) -> Scenario:
    content = {"name": "a", "load": {"phases": list(phases) or [STEADY], **load}}
    return Scenario.model_validate(content | ({"origins": origins} if origins else {}))


def percentiles(half_us: int, tail_us: int) -> Percentiles:
    """p50 and p99."""
    return Histogram({half_us: 98, tail_us: 2}).percentiles()


def summary(requests: int = 1000, latency: Percentiles | None = None, unsent: int = 0) -> Summary:
    found = latency or percentiles(1000, 2000)
    return Summary(requests, 100.0, 100.0, {"200": requests - unsent, UNSENT: unsent}, found, found)


SOUND = percentiles(50, 100)


def test_a_generator_with_time_to_spare_is_sound() -> None:
    assert limits(scenario(), summary(), SOUND, [0.3, 0.94]) == []


def test_one_that_never_sleeps_is_judged_by_its_lateness_alone() -> None:
    busy = scenario(busy_poll=True)
    assert limits(busy, summary(), SOUND, [1.0]) == []
    (found,) = limits(busy, summary(), percentiles(50, 5000), [1.0])
    assert "late by" in found


@pytest.mark.parametrize(
    ("latency_us", "most_us"),
    [(0, 100), (150, 100), (400, 200), (1000, 500), (2000, 1000), (9000, 1000), (20_000, 2000), (1_000_000, 100_000)],
)
def test_lateness_is_allowed_by_the_latency_beside_it(latency_us: float, most_us: float) -> None:
    assert allowed_us(latency_us) == most_us


@pytest.mark.parametrize(
    ("lateness", "latency", "shares"),
    [
        (percentiles(50, 900), percentiles(500, 2000), []),
        (percentiles(50, 1100), percentiles(500, 2000), ["1 %"]),
        (percentiles(50, 900), percentiles(500, 1000), ["1 %"]),
        (percentiles(300, 900), percentiles(500, 2000), ["half"]),
        (percentiles(3000, 9000), percentiles(500, 2000), ["half", "1 %"]),
        (percentiles(50, 9000), percentiles(500, 200_000), []),
        (Histogram().percentiles(), percentiles(500, 2000), []),
    ],
)
def test_lateness_that_people_would_take_for_latency_is_told(
    lateness: Percentiles, latency: Percentiles, shares: list[str]
) -> None:
    found = limits(scenario(), summary(latency=latency), lateness, [0.3])
    assert [f"for {share} of the requests" in text for share, text in zip(shares, found, strict=True)] == [True] * len(
        shares
    )


def test_without_a_success_lateness_is_held_against_all_latencies() -> None:
    found = summary(latency=Histogram().percentiles())
    found.latency_all = percentiles(1000, 2000)
    assert len(limits(scenario(), found, percentiles(900, 5000), [0.3])) == 2


@pytest.mark.parametrize("mode", ["open", "closed"])
def test_a_process_without_time_to_spare_is_told(mode: str) -> None:
    phase = STEADY if mode == "open" else {"for": "10s", "callers": 8}
    (found,) = limits(scenario(phase, mode=mode), summary(), SOUND, [0.5, 0.97])
    assert found.startswith("generator process 2 used 97% of a core: more load.processes")


def test_a_closed_loop_has_no_schedule_to_miss() -> None:
    closed = scenario({"for": "10s", "callers": 8}, mode="closed", connections=1)
    assert limits(closed, summary(requests=3), percentiles(10_000, 90_000), [0.5]) == []


RAMP = {"for": "10s", "from": "100/s", "to": "300/s"}
STEPS = {**RAMP, "steps": 5}
WARM = {**STEADY, "measured": False}


@pytest.mark.parametrize(
    ("phases", "intended", "until_s"),
    [
        ([STEADY], 1000, 99.0),
        ([STEADY], 400, 4.0),
        ([RAMP], 2000, 99.0),
        ([RAMP], 750, 5.0),
        ([STEPS], 2000, 99.0),
        ([STEPS], 250, 2.33),
        ([WARM, RAMP, STEADY], 3000, 99.0),
        ([WARM, RAMP, STEADY], 750, 15.0),
    ],
)
def test_fewer_requests_than_were_due_are_told(phases: list[dict[str, Any]], intended: int, until_s: float) -> None:
    of = scenario(*phases)
    assert limits(of, summary(intended), SOUND, [0.3], until_s) == []
    (found,) = limits(of, summary(int(intended * 0.985) - len(phases)), SOUND, [0.3], until_s)
    assert found.startswith("the generator began")


def test_chance_is_no_shortfall() -> None:
    assert limits(scenario(arrivals="poisson"), summary(900), SOUND, [0.3]) == []
    assert len(limits(scenario(arrivals="poisson"), summary(800), SOUND, [0.3])) == 1


SLOW = {"echo": {"service_time": "500ms"}}


def test_connections_too_few_for_a_healthy_target_are_the_generators_limit() -> None:
    (found,) = limits(scenario(origins=SLOW, connections=49), summary(), SOUND, [0.3])
    assert "each need 50; raise load.connections" in found
    assert limits(scenario(origins=SLOW, connections=50), summary(), SOUND, [0.3]) == []


@pytest.mark.parametrize(
    ("origins", "connections"),
    [
        ({"echo": {"service_time": "500ms", "concurrency": 5, "instances": 2}}, 10),  # 20/s is all it can do
        ({"echo": {"service_time": {"uniform": ["0s", "200ms"]}}}, 10),
        ({"echo": {"service_time": {"exponential": "100ms"}}}, 10),
        ({"echo": {}}, 1),
    ],
)
def test_connections_are_enough_for_what_origins_can_serve(origins: dict[str, Any], connections: int) -> None:
    assert limits(scenario(origins=origins, connections=connections), summary(), SOUND, [0.3]) == []
    if connections > 1:
        assert limits(scenario(origins=origins, connections=connections - 1), summary(), SOUND, [0.3])


def test_slow_readers_hold_connections_too() -> None:
    requests = [{"read": "64KiB"}]
    of = {"echo": {"body": "64KiB"}, "idle": {"service_time": "9s"}}
    (found,) = limits(scenario(origins=of, requests=requests, connections=99), summary(), SOUND, [0.3])
    assert "100/s for 1 s each need 100" in found
    assert limits(scenario(origins=of, requests=requests, connections=100), summary(), SOUND, [0.3]) == []


def test_each_origin_has_its_share_of_the_load() -> None:
    origins = {"cart": {}, "pay": {"service_time": "500ms"}}
    requests = [{"path": "/a", "weight": 9.0}, {"path": "/b", "to": "pay"}]
    assert limits(scenario(origins=origins, requests=requests, connections=5), summary(), SOUND, [0.3]) == []
    (found,) = limits(scenario(origins=origins, requests=requests, connections=4), summary(), SOUND, [0.3])
    assert "what pay could serve" in found


@pytest.mark.parametrize("phase", [STEADY, {"for": "10s", "callers": 8}])
def test_requests_that_this_machine_had_no_socket_for_are_its_limit(phase: dict[str, Any]) -> None:
    found = summary()
    found.counts[NO_SOCKET] = 3
    (told,) = limits(scenario(phase, mode="closed" if "callers" in phase else "open"), found, SOUND, [0.3])
    assert told.startswith("3 requests failed because this machine had no port")
    assert notes(scenario(), found) == []


def test_requests_that_waited_in_vain_are_noted_and_no_limit() -> None:
    of = scenario(connections=16, timeout="2s")
    assert notes(of, summary()) == []
    assert limits(of, summary(unsent=7), SOUND, [0.3]) == []
    (found,) = notes(of, summary(unsent=7))
    assert found.startswith("7 requests failed unsent: they waited 2 s for one of 16 connections")
    assert "load.connections" in found
