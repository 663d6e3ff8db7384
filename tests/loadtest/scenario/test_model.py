"""When faults hold."""

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from loadtest.scenario.model import Fault


def fault(**parts):
    return Fault.model_validate({"for" if name == "lasts" else name: value for name, value in parts.items()})


def test_a_fault_holds_once_or_again_and_again():
    assert fault(at="1s", lasts="2s", hang=True).windows() == [(1.0, 3.0)]
    assert fault(at="1s", lasts="1s", every="2s", until="5s", hang=True).windows() == [(1.0, 2.0), (3.0, 4.0)]
    cut = fault(lasts="1s", every="2s", until="4500ms", hang=True)
    assert cut.windows() == [(0.0, 1.0), (2.0, 3.0), (4.0, 4.5)]


@given(st.integers(0, 9999), st.integers(1, 500), st.integers(1, 500), st.integers(1, 5000))
def test_windows_are_in_order_apart_and_within(at, lasts, pause, until):
    end = at + until
    windows = fault(at=f"{at}ms", lasts=f"{lasts}ms", every=f"{lasts + pause}ms", until=f"{end}ms", hang=True).windows()
    assert windows[0][0] == pytest.approx(at / 1000)
    assert all(from_s < to_s <= end / 1000 + 1e-9 for from_s, to_s in windows)
    assert all(one[1] < other[0] for one, other in itertools.pairwise(windows))
    assert len(windows) == -(-until // (lasts + pause))
