import pytest
from hypothesis import given
from hypothesis import strategies as st

from control.model.duration import parse_duration_s


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("0s", 0.0), ("500ms", 0.5), ("2s", 2.0), ("1m", 60.0), ("1h30m", 5400.0), ("1h1m1s1ms", 3661.001),
     ("99999h", 359996400.0)],
)  # fmt: skip
def test_a_duration_is_the_sum_of_its_parts(text, seconds):
    assert parse_duration_s(text) == seconds


@pytest.mark.parametrize(
    "text", ["", "1", "s", "1.5s", "-1s", "1d", "1us", "100000s", "1s 1s", "1s1s1s1s1s", "1S", "1s\n"]
)
def test_what_gep_2257_does_not_allow_is_refused(text):
    with pytest.raises(ValueError, match="allowed"):
        parse_duration_s(text)


@given(st.lists(st.tuples(st.integers(0, 99999), st.sampled_from(["h", "m", "s", "ms"])), min_size=1, max_size=4))
def test_every_allowed_duration_is_finite_and_a_float(parts):
    value = parse_duration_s("".join(f"{number}{unit}" for number, unit in parts))
    assert isinstance(value, float)
    assert 0 <= value <= 4 * 359996400
