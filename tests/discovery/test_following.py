from hypothesis import given
from hypothesis import strategies as st

from meshproxy.discovery.following import Following

A, B = ("shop", "a"), ("shop", "b")


def test_a_name_is_followed_while_anybody_needs_it():
    following = Following()
    following.need(A, ["x", "y"])
    following.need(B, ["y"])
    assert following.take() == (["x", "y"], [])
    following.need(A, [])
    assert following.take() == ([], ["x"])
    assert "y" in following
    following.need(B, [])
    assert following.take() == ([], ["y"])
    assert len(following) == 0


def test_what_comes_and_goes_between_two_looks_is_no_change():
    following = Following()
    following.need(A, ["x"])
    following.need(A, [])
    assert following.take() == ([], [])
    following.need(A, ["x"])
    following.take()
    following.need(A, [])
    following.need(B, ["x"])
    assert following.take() == ([], [])


def test_past_the_bound_names_wait_for_room():
    following = Following(bound=2)
    following.need(A, ["x", "y", "z"])
    assert following.take() == (["x", "y"], [])
    assert following.short() == []
    following.need(A, ["x"])
    following.need(B, ["p", "q"])
    assert following.short() == []
    following.need(A, [])
    assert following.short() == [B]
    following.need(B, ["p", "q"])
    assert sorted(following) == ["p", "q"]


@given(st.lists(st.tuples(st.integers(0, 3), st.lists(st.sampled_from("abcdefgh"))), max_size=30), st.integers(1, 8))
def test_it_equals_the_union_of_all_needs(steps, bound):
    following = Following(bound)
    needs, seen = {}, set()
    for root, names in steps:
        following.need(("ns", str(root)), names)
        needs[root] = names
        for short in following.short():
            following.need(short, needs[int(short[1])])
        came, gone = following.take()
        assert not set(came) & seen
        assert set(gone) <= seen
        seen = (seen | set(came)) - set(gone)
        wanted = set().union(*needs.values())
        assert seen == set(following)
        assert seen <= wanted
        assert len(seen) <= bound
        if len(wanted) < bound:
            assert seen == wanted
