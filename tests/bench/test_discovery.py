"""The whole suite with a handful of Services and sidecars: real processes, the same tables."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.bench import discovery, recorded, tools
from tests.bench.place import Place, choose_cores
from tests.bench.plan import Plan
from tests.bench.report import Sheet, as_markdown

SERVICES = 12
FEW = {
    "SIZES": (4, SERVICES), "STREAMS": 5, "FOLLOW": 3, "SPREAD": 8, "WATCHED": [0, 1, 5], "STORM_S": 0.3,
    "REPLAYED": 1, "IDLE_S": 0.05,
}  # fmt: skip


@pytest.fixture
def plan(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Plan]:
    for name, value in FEW.items():
        monkeypatch.setattr(discovery, name, value)
    place = Place(tmp_path, choose_cores(), tools.find())
    yield Plan(place, rounds=1, seconds=0.3, warm_s=0.05, names=["meshcontrol"])
    place.close()


def figures(sheet: Sheet) -> list[dict[str, float]]:
    return [sample for samples in sheet.samples.values() for sample in samples]


def test_every_table_is_filled(plan: Plan) -> None:
    sheets = list(discovery.discovery(plan))
    start, storm, cost, fit, relist, *replay = sheets
    assert len(replay) == recorded.DIRECTORY.is_dir()
    assert not plan.failed, plan.notices
    assert [sample.get("aim_rss") for sample in figures(start)] == [None, discovery.AIM_RSS]
    for sample in figures(start):
        assert 0 < sample["asked_s"] < sample["ready_s"]
        assert 0 < sample["rss"] <= sample["peak"]
    for sample in figures(storm):
        assert sample["events"] == discovery.STORM_RATE * discovery.STORM_S
        assert 0 < sample["p50_s"] <= sample["p99_s"] <= sample["max_s"]
    assert [sample["acks"] for sample in figures(cost)] == FEW["WATCHED"]
    assert set(figures(fit)[0]) >= {"base_us", "slope_us"}
    (listed,) = figures(relist)
    assert (listed["pushes"], listed["failed"]) == (0, 0)
    assert listed["held_s"] > 0
    assert all(sample["events"] > 100 for sheet in replay for sample in figures(sheet))
    assert all(as_markdown(sheet).startswith("**") for sheet in sheets)
