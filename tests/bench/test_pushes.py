from __future__ import annotations

import pytest

from tests.bench.mesh import objects, slice_of
from tests.bench.pushes import IDLE, PUSHED, SNAPSHOT, judged
from tests.bench.subjects import Subject


@pytest.mark.parametrize(
    ("name", "sample", "failed"),
    [
        (SNAPSHOT, {}, 0),
        (IDLE, {"pushes": 0.0}, 0),
        (IDLE, {"pushes": 0.3}, 1),
        (PUSHED, {"pushes": 9.8}, 0),
        (PUSHED, {"pushes": 7.0}, 1),
        (PUSHED, {}, 1),
    ],
)
def test_a_row_with_other_pushes_than_were_meant_is_a_failure(name: str, sample: dict[str, float], failed: int) -> None:
    assert judged({"failed": 0, **sample}, Subject(name, 1, []))["failed"] == failed


def test_a_turn_changes_one_spare_and_never_what_serves() -> None:
    first, second = (slice_of("echo", 9, 3, turn)["endpoints"] for turn in (1, 2))
    assert [place for place in first if place not in second] == [first[3]]
    ready = [place["addresses"] for place in first if place["conditions"]["ready"]]
    assert ready == [["127.0.0.1"]]


def test_without_spares_there_is_the_one_endpoint() -> None:
    [found] = [item for item in objects(endpoint=9) if item["kind"] == "EndpointSlice"]
    assert len(found["endpoints"]) == 1
