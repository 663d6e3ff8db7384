"""The arithmetic of `route shift`."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from control.cli.shift import Choice, ShiftError, label_all, percents, pick, place, share


def choices(*names):
    return [Choice(name, "", 80, 1) for name in names]


@pytest.mark.parametrize(
    ("weights", "given_", "expected"),
    [
        ([100, 0], {1: 20}, [80, 20]),
        ([80, 20], {1: 0}, [100, 0]),
        ([80, 20], {1: 100}, [0, 100]),
        ([0, 100], {1: 50}, [50, 50]),  # the only other one takes the rest, whatever it had
        ([1, 1], {0: 99}, [99, 1]),
        ([3, 1, 1], {2: 20}, [60, 20, 20]),
        ([1, 1, 1, 1], {0: 0}, [0, 34, 33, 33]),
        ([900_000, 100_000, 0], {2: 10}, [81, 9, 10]),
        ([5, 5], {0: 30, 1: 70}, [30, 70]),
        ([5, 5, 5], {0: 30, 1: 70}, [30, 70, 0]),
    ],
)
def test_the_others_share_what_is_left(weights, given_, expected):
    assert share(weights, given_) == expected


@pytest.mark.parametrize(
    ("weights", "given_", "message"),
    [
        ([1, 1], {0: 101}, "101 is out of range"),
        ([1, 1, 1], {0: 60, 1: 50}, "add up to 110; allowed: at most 100"),
        ([1, 1], {0: 60, 1: 30}, "add up to 90; allowed: 100"),
        ([1, 0, 0], {0: 50}, "50 percent are left, and the other 2 backends all have weight 0"),
    ],
)
def test_a_step_that_cannot_be_made_is_refused(weights, given_, message):
    with pytest.raises(ShiftError, match=message):
        share(weights, given_)


@given(st.lists(st.integers(0, 1_000_000), min_size=1, max_size=16), st.data())
def test_weights_add_up_to_100_and_the_given_ones_are_exact(weights, data):
    indices = st.sampled_from(range(len(weights)))
    given_ = data.draw(st.dictionaries(indices, st.integers(0, 100), min_size=1))
    try:
        after = share(weights, given_)
    except ShiftError:
        others = [weights[i] for i in range(len(weights)) if i not in given_]
        total = sum(given_.values())
        assert total > 100 or (total < 100 and not (any(others) or len(others) == 1))
        return
    assert sum(after) == 100
    assert len(after) == len(weights)
    assert all(0 <= weight <= 100 for weight in after)
    assert {i: after[i] for i in given_} == given_
    rest, total = 100 - sum(given_.values()), sum(weights[i] for i in range(len(weights)) if i not in given_)
    for i, weight in enumerate(weights):
        if i not in given_ and total:
            assert abs(after[i] - rest * weight / total) < 1


@given(st.lists(st.integers(0, 100), min_size=2, max_size=6), st.integers(0, 100), st.data())
def test_who_has_more_never_gets_less_than_who_has_less(weights, percent, data):
    i = data.draw(st.sampled_from(range(len(weights))))
    try:
        after = share(weights, {i: percent})
    except ShiftError:
        return
    others = sorted((weights[j], after[j]) for j in range(len(weights)) if j != i)
    assert [share_ for _, share_ in others] == sorted(share_ for _, share_ in others)


def test_weights_are_put_in_their_places():
    assert place([1, 2, 3], {2: 7}) == [1, 2, 7]


@pytest.mark.parametrize(
    ("names", "word", "expected"),
    [
        (("echo-v1", "echo-v2"), "v2", 1),
        (("echo-v1", "echo-v2"), "echo-v1", 0),
        (("v2", "echo-v2"), "v2", 0),  # the whole name wins
        (("echo-v2", "echo-v22"), "v2", 0),
        (("a", "b"), "b:80", 1),
    ],
)
def test_a_backend_is_named_by_its_name_or_its_end(names, word, expected):
    assert pick(choices(*names), word) == expected


def test_a_word_that_means_two_backends_names_both():
    with pytest.raises(ShiftError, match="'v2' may be echo-v2 or pay-v2"):
        pick(choices("echo-v2", "pay-v2"), "v2")
    with pytest.raises(ShiftError, match=r"no backend is 'v3' .* allowed: echo-v2, pay-v2"):
        pick(choices("echo-v2", "pay-v2"), "v3")


def test_backends_of_one_name_are_told_apart_by_port_and_namespace():
    same = [Choice("a", "", 80, 1), Choice("a", "", 81, 1), Choice("a", "b", 81, 1), Choice("z", "b", 81, 1)]
    labels = label_all(same)
    assert labels == ["a:80", "/a:81", "b/a:81", "z"]
    assert [pick(same, label) for label in labels] == [0, 1, 2, 3]
    with pytest.raises(ShiftError, match="may be"):
        pick(same, "a:81")


@given(
    st.lists(
        st.builds(Choice, st.sampled_from(["a", "b-a", "c"]), st.sampled_from(["", "n"]), st.sampled_from([80, 81]),
                  st.just(1)),
        min_size=1, max_size=6, unique=True,
    )
)  # fmt: skip
def test_every_label_means_its_own_backend(found):
    for i, label in enumerate(label_all(found)):
        assert pick(found, label) == i


def test_shares_are_shown_in_percent():
    assert percents([1, 1]) == ["50 %", "50 %"]
    assert percents([1, 2]) == ["33.3 %", "66.7 %"]
    assert percents([0, 0]) == ["none", "none"]
