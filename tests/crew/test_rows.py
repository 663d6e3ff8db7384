from __future__ import annotations

import pytest

from meshproxy.admin.view import EndpointRow
from meshproxy.crew.message import Rows
from meshproxy.crew.rows import Gathering, merge
from tests.fakes.loop import on_uvloop


def row(address: str = "10.0.0.1:80", backend: str = "a", **values) -> EndpointRow:
    fields = {"state": "ready", "identity": "", "inflight": 0, "ewma_ms": 1.0, "failures": 0, "ejected_for_s": 0.0}
    return EndpointRow(backend=backend, address=address, **(fields | values))


@pytest.mark.parametrize(
    ("states", "worst"),
    [
        (("ready", "ready"), "ready"),
        (("ready", "ejected"), "ejected"),
        (("ejected", "unready"), "ejected"),
        (("ready", "unready"), "unready"),
        (("terminating", "ready"), "terminating"),
    ],
)
def test_the_worse_state_is_shown_and_load_adds_up(states, worst):
    one = row(state=states[0], inflight=2, ewma_ms=5.0, failures=1, ejected_for_s=3.0)
    other = row(state=states[1], inflight=3, ewma_ms=2.0, failures=4)
    expected = row(state=worst, inflight=5, ewma_ms=5.0, failures=4, ejected_for_s=3.0)
    assert merge(one, other) == merge(other, one) == expected


@on_uvloop
async def test_rows_of_all_are_one_list_grouped_by_backend():
    members = [object(), object()]
    gathering = Gathering(members)
    gathering.add(members[0], Rows(id=1, rows=[row(backend="a"), row(backend="b")], is_last=False))
    gathering.add(members[1], Rows(id=1, rows=[row(backend="a", inflight=1)], is_last=True))
    gathering.add(members[0], Rows(id=1, rows=[row("10.0.0.2:80", backend="a")], is_last=True))
    rows = await gathering.take(10)
    assert [(one.backend, one.address, one.inflight) for one in rows] == [
        ("a", "10.0.0.1:80", 1),
        ("a", "10.0.0.2:80", 0),
        ("b", "10.0.0.1:80", 0),
    ]


@on_uvloop
async def test_who_ends_or_does_not_answer_is_not_waited_for():
    members = [object(), object()]
    gathering = Gathering(members)
    gathering.add(members[0], Rows(id=1, rows=[row()], is_last=True))
    gathering.leave(members[1])
    assert await gathering.take(10) == [row()]
    late = Gathering(members)
    late.add(members[0], Rows(id=2, rows=[row()], is_last=True))
    assert await late.take(0.01) == [row()]
    assert await Gathering([]).take(10) == []
