from __future__ import annotations

import json
from functools import cache
from itertools import pairwise
from math import log10

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from loadtest.report import colours, curves, figures
from loadtest.results.model import Endpoint, EndpointBin, Window
from loadtest.results.spans import CONTROL_PLANE
from tests.loadtest.report.sample import PLANS, SUBJECTS, result

RESULTS = [result(PLANS[1], subject) for subject in SUBJECTS]
LINES = colours.subjects(SUBJECTS)


@cache
def drawn(name):
    return every_figure(RESULTS)[name]


def every_figure(results):
    return {
        "time": figures.latency_over_time(results, LINES),
        "percentile": figures.latency_by_percentile(results, LINES),
        "outcomes": figures.outcomes_over_time(results),
        "traffic": figures.traffic_over_time(results),
    }


def numbers(axis):
    return sorted(name for name in axis if name.startswith("yaxis"))


@pytest.mark.parametrize(
    ("name", "panels", "traces"),
    [("time", 2, 8), ("percentile", 1, 4), ("outcomes", 4, 20), ("traffic", 4, 16)],
)
def test_a_figure_has_a_panel_for_each_subject_or_measure(name, panels, traces):
    figure = drawn(name)
    assert len(numbers(figure["layout"])) == panels
    assert len(figure["data"]) == traces
    used = {trace.get("yaxis", "y").replace("y", "yaxis") for trace in figure["data"]}
    assert used == set(numbers(figure["layout"]))


@pytest.mark.parametrize("name", ["time", "percentile", "outcomes", "traffic"])
def test_a_figure_is_json_and_bounded(name):
    figure = drawn(name)
    assert json.loads(json.dumps(figure, allow_nan=False)) == figure
    assert all(len(trace["x"]) == len(trace["y"]) <= curves.POINTS + 1 for trace in figure["data"])


@pytest.mark.parametrize("name", ["time", "percentile", "outcomes", "traffic"])
def test_every_curve_can_be_found_in_the_legend(name):
    figure = drawn(name)
    groups = [entry["group"] for entry in figure["layout"]["meta"]["legend"]]
    assert len(groups) == len(set(groups))
    assert {trace["legendgroup"] for trace in figure["data"]} == set(groups)
    assert figure["layout"]["showlegend"] is False


@pytest.mark.parametrize("name", ["time", "outcomes", "traffic"])
def test_panels_do_not_overlap_and_leave_room_for_their_titles(name):
    layout = drawn(name)["layout"]
    inner_px = layout["height"] - layout["margin"]["t"] - layout["margin"]["b"]
    domains = [layout[axis]["domain"] for axis in numbers(layout)]
    assert all(0 <= low < high <= 1 for low, high in domains)
    for above, below in pairwise(domains):
        assert (above[0] - below[1]) * inner_px >= 20
    assert (1 - domains[0][1]) * inner_px >= 20


@pytest.mark.parametrize("name", ["time", "outcomes", "traffic"])
def test_fault_windows_are_shaded_behind_every_plot_over_time(name):
    shapes = drawn(name)["layout"]["shapes"]
    shaded = sorted((each["x0"], each["x1"]) for each in shapes if each["name"] == "window")
    assert shaded == sorted((each.from_s, each.to_s) for each in PLANS[1].windows)


def test_axes_of_counts_begin_at_zero_are_the_same_for_all_and_hold_everything():
    figure = drawn("outcomes")
    ranges = [figure["layout"][name]["range"] for name in numbers(figure["layout"])]
    assert all(each == ranges[0] for each in ranges)
    assert ranges[0][0] == 0
    assert 300 < ranges[0][1] < 400


def test_stacked_outcomes_add_up_to_what_was_sent():
    figure = figures.outcomes_over_time(RESULTS[:1])
    stacked = [trace["y"] for trace in figure["data"] if "stackgroup" in trace]
    assert len(stacked) == 4
    assert [sum(column) for column in zip(*stacked, strict=True)] == [300.0] * len(stacked[0])


@pytest.mark.parametrize(
    ("low", "high", "ticks"),
    [
        (900, 1100, ["800 us", "900 us", "1 ms", "1.2 ms"]),
        (2600, 3900, ["3 ms", "4 ms"]),
        (400, 9000, ["500 us", "1 ms", "2 ms", "5 ms", "10 ms"]),
        (90, 2_000_000, ["100 us", "1 ms", "10 ms", "100 ms", "1 s"]),
    ],
)
def test_logarithmic_axes_have_round_labels_with_units(low, high, ticks):
    axis = figures.log_axis(low, high)
    assert axis["ticktext"] == ticks
    begin, end = axis["range"]
    assert begin < log10(low / 1000) < log10(high / 1000) < end
    assert all(begin <= log10(tick) <= end for tick in axis["tickvals"])


@given(st.floats(1, 1e8), st.floats(1, 1e4))
def test_every_axis_has_a_few_ticks_that_can_be_told_apart(low, times):
    axis = figures.log_axis(low, low * times)
    assert 2 <= len(set(axis["ticktext"])) == len(axis["tickvals"]) <= 12
    begin, end = axis["range"]
    assert all(begin <= log10(tick) <= end for tick in axis["tickvals"])


def test_percentiles_are_labelled_as_far_as_they_are_known():
    axis = figures.latency_by_percentile(RESULTS, LINES)["layout"]["xaxis"]
    assert axis["ticktext"] == ["p50", "p90", "p99", "p99.9"]
    assert axis["tickvals"] == [2, 10, 100, 1000]


def test_of_many_instances_those_that_something_happens_to_are_drawn_and_the_rest_together():
    endpoints = [
        Endpoint("echo", number, f"127.0.0.{number}:8080", [EndpointBin(0.0, number, number, {}, {})])
        for number in range(1, 101)
    ]
    windows = [msgspec.structs.replace(RESULTS[0].windows[0], instances=[77])]
    many = msgspec.structs.replace(RESULTS[0], endpoints=endpoints, windows=windows)
    figure = figures.traffic_over_time([many])
    names = [trace["name"] for trace in figure["data"]]
    assert "echo 77" in names
    assert names[-1] == "89 others together"
    assert len(names) == figures.MOST_INSTANCES
    assert sum(trace["y"][0] for trace in figure["data"]) * many.bin_s == sum(range(1, 101))


@pytest.mark.parametrize("kind", ["status", CONTROL_PLANE])
def test_instances_of_an_origin_with_a_fault_come_before_others_and_after_those_that_are_named(kind):
    endpoints = [Endpoint(origin, number, "127.0.0.1:8080") for origin in ("a", "b") for number in range(1, 11)]
    whole = Window("answers 503", kind, 1, 2, "b" if kind == "status" else "")
    windows = [whole, Window("hangs", "hang", 1, 2, "a", [9])]
    many = msgspec.structs.replace(RESULTS[0], endpoints=endpoints, windows=windows)
    names = [trace["name"] for trace in figures.traffic_over_time([many])["data"]]
    expected = ["a 9", *(f"b {number}" for number in range(1, 11))]
    if kind == CONTROL_PLANE:
        expected = [*(f"a {number}" for number in range(1, 11)), "b 1"]
    assert names == [*expected, "9 others together"]


def test_where_nothing_was_recorded_there_is_no_figure():
    empty = msgspec.structs.replace(RESULTS[0], bins=[], endpoints=[])
    assert set(every_figure([empty]).values()) == {None}


def test_names_cannot_smuggle_markup_into_plots():
    hostile = msgspec.structs.replace(RESULTS[0], subject="<b>x</b> & co")
    figure = figures.outcomes_over_time([hostile])
    titles = [note["text"] for note in figure["layout"]["annotations"]]
    assert "<b>&lt;b&gt;x&lt;/b&gt; &amp; co</b>  requests per second" in titles
    traces = figures.latency_by_percentile([hostile], colours.subjects([hostile.subject]))["data"]
    assert traces[0]["name"] == "&lt;b&gt;x&lt;/b&gt; &amp; co"
