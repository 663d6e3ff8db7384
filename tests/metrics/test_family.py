from __future__ import annotations

import pytest

from meshproxy.metrics.family import MAX_SERIES, Family, Kind


def test_a_counter_begins_at_nought_and_an_unset_gauge_says_nothing():
    assert list(Family("a_total", Kind.COUNTER, "A.").samples()) == [("", 0)]
    assert list(Family("a", Kind.GAUGE, "A.").samples()) == []


def test_values_are_added_set_and_replaced_by_label():
    counter = Family("a_total", Kind.COUNTER, "A.", ("x", "y"))
    counter.add("1", "2")
    counter.add("1", "2", n=2)
    assert counter.get("1", "2") == 3
    assert counter.get("2", "1") == 0
    gauge = Family("a", Kind.GAUGE, "A.", ("version",))
    gauge.set(1, "old")
    gauge.replace(1, "new")
    assert list(gauge.samples()) == [('version="new"', 1)]


def test_series_are_bounded():
    counter = Family("a_total", Kind.COUNTER, "A.", ("x",))
    for n in range(MAX_SERIES + 10):
        counter.add(str(n))
    assert counter.get("other") == 10
    assert len(list(counter.samples())) == MAX_SERIES + 1


@pytest.mark.parametrize(
    ("name", "kind", "labels"),
    [
        ("a", Kind.COUNTER, ()),
        ("a_total", Kind.GAUGE, ()),
        ("1a", Kind.GAUGE, ()),
        ("a b", Kind.GAUGE, ()),
        ("a", Kind.GAUGE, ("x-y",)),
    ],
)
def test_names_that_prometheus_would_refuse_are_refused(name, kind, labels):
    with pytest.raises(ValueError, match="metric"):
        Family(name, kind, "A.", labels)


def test_wrong_use_is_an_error_and_changes_nothing():
    counter = Family("a_total", Kind.COUNTER, "A.", ("x",))
    with pytest.raises(TypeError):
        counter.set(1, "v")
    with pytest.raises(ValueError, match="labels"):
        counter.add()
    assert list(counter.samples()) == []
