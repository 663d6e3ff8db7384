from hypothesis import given
from hypothesis import strategies as st

from control.index.links import Links


@given(st.lists(st.tuples(st.integers(0, 3), st.frozensets(st.integers(0, 4)))))
def test_sources_are_those_whose_last_put_named_the_target(puts):
    links: Links[int, int] = Links()
    model: dict[int, frozenset[int]] = {}
    for source, targets in puts:
        assert links.put(source, targets) == targets ^ model.get(source, frozenset())
        model[source] = targets
    for target in range(5):
        assert links.sources(target) == {source for source, targets in model.items() if target in targets}
    # What came and went has left nothing behind.
    anew: Links[int, int] = Links()
    for source, targets in model.items():
        anew.put(source, targets)
    assert links._sources == anew._sources


def test_what_points_at_nothing_is_forgotten():
    links: Links[str, str] = Links()
    links.put("a", ["x", "y"])
    links.put("a", [])
    assert not links._sources
    assert not links._targets
