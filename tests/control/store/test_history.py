import pytest
from hypothesis import given
from hypothesis import strategies as st

from control.model.kinds import POD, SERVICE
from control.model.objects import Key
from control.store import history
from control.store.history import History
from control.store.records import Event, Gone

NAMESPACES = ("shop", "shop-2", "bank")
COORDINATES = st.tuples(st.sampled_from([POD, SERVICE]), st.sampled_from(NAMESPACES), st.binary(max_size=40))


def events_of(start, rows):
    return [
        Event("ADDED", kind, Key(namespace, "a"), start + i, body)
        for i, (kind, namespace, body) in enumerate(rows, 1)
    ]  # fmt: skip


@given(st.integers(0, 50), st.lists(COORDINATES, max_size=30), st.sampled_from([POD, SERVICE]),
       st.sampled_from(["", *NAMESPACES]))  # fmt: skip
def test_what_happened_after_a_version_is_all_told_or_known_to_be_gone(start, rows, kind, namespace):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(history, "MAX_EVENTS", 12)
        patch.setattr(history, "MAX_BYTES", 200)
        told = History(start)
        events = events_of(start, rows)
        told.add(events[:5])
        told.add(events[5:])
    assert told.version == start + len(rows)
    kept = told.version - told.oldest
    assert kept <= 12
    assert sum(len(event.body) for event in events[len(events) - kept :]) <= 200
    for version in range(start, told.version + 3):
        expected = [
            event for event in events
            if event.version > version and event.kind is kind and namespace in {"", event.key.namespace}
        ]  # fmt: skip
        if version < told.oldest:
            with pytest.raises(Gone, match=f"too old resource version: {version} \\({told.oldest}\\)"):
                told.since(version, kind, namespace)
        else:
            assert told.since(version, kind, namespace) == expected


def test_a_history_that_begins_knows_nothing_of_before():
    with pytest.raises(Gone):
        History(7).since(6, POD)
    assert History(7).since(7, POD) == []
