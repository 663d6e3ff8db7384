from __future__ import annotations

import msgspec
import pytest
from hdrh.histogram import HdrHistogram
from hypothesis import given
from hypothesis import strategies as st

from loadtest.report import curves
from loadtest.results.histogram import Histogram
from loadtest.results.model import Bin, Endpoint, EndpointBin, PhaseSpan
from tests.loadtest.report.sample import PLANS, result

BASE = result(PLANS[0], "direct")


def made(bins, duration_s=10.0, bin_s=1.0, phases=None):
    phases = phases or [PhaseSpan("all", 0, duration_s, True, 10, 10)]
    return msgspec.structs.replace(BASE, bins=bins, duration_s=duration_s, bin_s=bin_s, phases=phases)


def packed(values):
    return Histogram(values).encode()


def test_percentiles_over_time_are_those_of_the_library_bin_by_bin():
    values = {100 * n: n for n in range(1, 60)}
    curve50, curve99 = curves.latency_over_time(made([Bin(3.0, 0, {"200": 1}, packed(values))]), (50, 99))
    oracle = HdrHistogram(1, 3_600_000_000, 3)
    for value, number in values.items():
        oracle.record_value(value, number)
    assert curve50.x == [0.5, 1.5, 2.5, 3.5, 4.5, 5.5, 6.5, 7.5, 8.5, 9.5]
    assert curve50.y == [None] * 3 + [oracle.get_value_at_percentile(50)] + [None] * 6
    assert curve99.y[3] == oracle.get_value_at_percentile(99)


def test_two_phases_within_a_bin_are_one_point():
    bins = [Bin(2.0, 0, {"200": 3}, packed({1000: 3})), Bin(2.0, 1, {"200": 1}, packed({9000: 1}))]
    phases = [PhaseSpan("a", 0, 2.5, True, 3, 3), PhaseSpan("b", 2.5, 10, True, 3, 3)]
    (curve,) = curves.latency_over_time(made(bins, phases=phases), (100,))
    assert curve.y[2] == pytest.approx(9000, rel=0.001)
    assert curves.outcomes_over_time(made(bins, phases=phases))["200"].y[2] == 4


@given(st.integers(1, 4000), st.sampled_from([0.25, 0.5, 1.0, 60.0]), st.integers(0, 3999))
def test_no_curve_has_more_points_than_people_can_see_and_nothing_is_lost(number, bin_s, hit):
    whole = made([Bin(min(hit, number - 1) * bin_s, 0, {"503": 7})], duration_s=number * bin_s, bin_s=bin_s)
    over = curves.grid(whole)
    curve = curves.outcomes_over_time(whole)["503"]
    assert len(curve.x) == len(curve.y) == over.points + 1 <= curves.POINTS + 1
    widths = [end - begin for begin, end in zip(curve.x, curve.x[1:], strict=False)]
    assert all(width > 0 for width in widths)
    total = sum(y * width for y, width in zip(curve.y, widths, strict=False))
    assert total == pytest.approx(7, rel=0.001)


def test_a_last_bin_that_is_cut_short_does_not_look_like_a_drop():
    whole = made([Bin(at, 0, {"200": 100 if at < 2 else 50}) for at in (0.0, 1.0, 2.0)], duration_s=2.5)
    assert curves.outcomes_over_time(whole)["200"].y == [100, 100, 100, 100]


def test_the_curve_by_percentile_ends_at_the_slowest_and_is_of_measured_phases():
    phases = [PhaseSpan("warm-up", 0, 5, False, 1, 1), PhaseSpan("steady", 5, 10, True, 1, 1)]
    bins = [
        Bin(0.0, 0, {"200": 5}, packed({900_000: 5})),
        Bin(6.0, 1, {"200": 1000}, packed({1000: 990, 5000: 9, 80_000: 1})),
    ]
    curve = curves.latency_by_percentile(made(bins, phases=phases))
    by_x = dict(zip(curve.x, curve.y, strict=True))
    assert curve.x[0] == 1
    assert by_x[10.0] == pytest.approx(1000, rel=0.001)
    assert curve.x[-1] == 1000
    assert curve.y[-1] == pytest.approx(80_000, rel=0.001)
    assert curve.y == sorted(curve.y)
    assert len(curve.x) <= curves.POINTS


def test_without_a_success_there_is_no_curve():
    assert curves.latency_by_percentile(made([Bin(0.0, 0, {"timeout": 5})])) == curves.Curve([], [])


def test_traffic_is_what_instances_received_a_second_together():
    endpoints = [
        Endpoint(
            "echo", number, f"127.0.0.{number}:1", [EndpointBin(0.0, 30, 30, {}, {}), EndpointBin(11.0, 5, 5, {}, {})]
        )
        for number in (1, 2)
    ]
    curve = curves.traffic_over_time(made([]), endpoints)
    assert curve.y == [60] + [0] * 9, "what arrived after the load is beyond the plot"


def test_steps_are_drawn_as_stairs_as_they_are_sent():
    steps = PhaseSpan("climb", 2, 8, True, 10, 30, steps=3)
    curve = curves.intended_rate(made([], phases=[PhaseSpan("calm", 0, 2, True, 10, 10), steps]))
    assert curve == curves.Curve([0, 2, 2, 4, 4, 6, 6, 8], [10, 10, 10, 10, 20, 20, 30, 30])


def test_the_intended_rate_follows_the_phases_and_a_closed_loop_has_none():
    phases = [PhaseSpan("climb", 0, 4, True, 10, 50), PhaseSpan("top", 4, 10, True, 50, 50)]
    assert curves.intended_rate(made([], phases=phases)) == curves.Curve([0, 4, 4, 10], [10, 50, 50, 50])
    assert curves.intended_rate(made([], phases=[PhaseSpan("closed", 0, 10, True, 0, 0)])) == curves.Curve([], [])
