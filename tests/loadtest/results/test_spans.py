from __future__ import annotations

from typing import Any

import pytest

from loadtest.results.model import PhaseSpan, Window
from loadtest.results.spans import faults_at, phase_at, phases, windows
from loadtest.scenario.model import Scenario


def scenario(faults: list[dict[str, Any]] | None = None, changes: list[dict[str, Any]] | None = None) -> Scenario:
    steps = [
        {"name": "warm-up", "for": "2s", "rate": "10/s", "measured": False},
        {"for": "8s", "from": "10/s", "to": "50/s"},
    ]
    content = {"name": "a", "origins": {"echo": {"instances": 4}, "cart": {"instances": 4}}, "load": {"phases": steps}}
    return Scenario.model_validate(content | {"faults": faults or [], "changes": changes or []})


def test_phases_follow_each_other() -> None:
    assert phases(scenario()) == [
        PhaseSpan("warm-up", 0, 2, measured=False, rate_from=10, rate_to=10),
        PhaseSpan("phase 2", 2, 10, measured=True, rate_from=10, rate_to=50),
    ]


def test_phases_of_a_closed_loop_have_no_rate() -> None:
    load = {"mode": "closed", "phases": [{"for": "1s", "callers": 2}]}
    (only,) = phases(Scenario.model_validate({"name": "a", "load": load}))
    assert (only.rate_from, only.rate_to) == (0, 0)


def test_phases_keep_their_steps_and_callers() -> None:
    load = {"phases": [{"for": "1s", "from": "10/s", "to": "50/s", "steps": 5}]}
    assert phases(Scenario.model_validate({"name": "a", "load": load}))[0].steps == 5
    load = {"mode": "closed", "phases": [{"for": "1s", "callers": 2}]}
    assert phases(Scenario.model_validate({"name": "a", "load": load}))[0].callers == 2


def test_phases_follow_each_other_without_what_floats_add() -> None:
    load = {"phases": [{"for": "100ms", "rate": "10/s"}, {"for": "200ms", "rate": "10/s"}]}
    made = Scenario.model_validate({"name": "a", "load": load})
    assert [phases(made)[-1].to_s, made.duration_s] == [0.3, 0.3]


def test_faults_are_windows_in_the_order_of_time() -> None:
    hangs = {"at": "4s", "for": "2s", "origin": "echo", "instances": [1, 3], "hang": True}
    flaps = {"at": "1s", "for": "500ms", "every": "3s", "until": "5s", "refuse": True}
    assert windows(scenario([hangs, flaps])) == [
        Window("refuses connections", "refuse", 1, 1.5),
        Window("hangs", "hang", 4, 6, "echo", [1, 3]),
        Window("refuses connections", "refuse", 4, 4.5),
    ]


def test_windows_end_with_the_load() -> None:
    long = {"at": "9s", "for": "60s", "black_hole": True}
    often = {"at": "7s", "for": "1s", "every": "2s", "until": "60s", "hang": True}
    found = windows(scenario([long, often]))
    assert [(each.kind, each.from_s, each.to_s) for each in found] == [
        ("hang", 7, 8),
        ("black_hole", 9, 10),
        ("hang", 9, 10),
    ]


@pytest.mark.parametrize(
    ("replace", "to_s", "origin"),
    [
        ({"instance": 2}, 4.5, "echo"),
        ({"instance": 2, "origin": "cart", "lead": "2s", "grace": "500ms"}, 5.5, "cart"),
        ({"instance": 2, "told": "after", "lead": "2s", "grace": "500ms"}, 5.0, "echo"),
        ({"instance": 2, "told": "after", "lead": "1s", "grace": "3s"}, 6.0, "echo"),
    ],
)
def test_a_replacement_lasts_until_all_is_over(replace: dict[str, Any], to_s: float, origin: str) -> None:
    (found,) = windows(scenario(changes=[{"at": "3s", "replace": replace}]))
    assert (found.kind, found.from_s, found.to_s, found.origin, found.instances) == ("replace", 3, to_s, origin, [2])


@pytest.mark.parametrize(
    ("changes", "spans"),
    [
        ([("away", 3), ("back", 6)], [(3, 6)]),
        ([("away", 3)], [(3, 10)]),
        ([("back", 2), ("away", 3), ("back", 6), ("away", 7), ("back", 9)], [(3, 6), (7, 9)]),
        ([("back", 2)], []),
    ],
)
def test_the_control_plane_is_away_until_it_is_back(
    changes: list[tuple[str, int]], spans: list[tuple[float, float]]
) -> None:
    found = windows(scenario(changes=[{"at": f"{at}s", "control_plane": what} for what, at in changes]))
    assert [(each.from_s, each.to_s) for each in found] == spans
    assert {each.what for each in found} <= {"the control plane is killed"}


@pytest.mark.parametrize(("now_s", "name"), [(-1, ""), (0, "warm-up"), (1.99, "warm-up"), (2, "phase 2"), (10, "")])
def test_the_phase_of_a_moment(now_s: float, name: str) -> None:
    assert phase_at(scenario(), now_s) == name


def test_the_faults_of_a_moment_are_told_with_who_has_them() -> None:
    of = scenario(
        [
            {"at": "1s", "for": "2s", "origin": "echo", "instances": [1], "hang": True},
            {"at": "2s", "for": "2s", "status": 503},
            {"at": "2s", "for": "3s", "origin": "echo", "instances": [1], "hang": True},
        ],
        [{"at": "2s", "control_plane": "away"}],
    )
    found = windows(of)
    assert faults_at(found, 0.9) == []
    assert faults_at(found, 1.0) == ["echo 1 hangs"]
    assert faults_at(found, 2.5) == ["echo 1 hangs", "every instance answers 503", "the control plane is killed"]
