"""The scenarios that come with meshload."""

from pathlib import Path

import pytest

import loadtest
from loadtest.scenario.doubts import doubts
from loadtest.scenario.load import read

FILES = sorted((Path(loadtest.__file__).parent / "scenarios").glob("*.yaml"))
SUITE = {path: read(path)[1] for path in FILES}
MEANT = {"overload": ["phase flood offers echo 2000/s, 5 times the 400/s that its instances can do together"]}


def test_files_are_named_by_their_number_and_scenario():
    assert [path.name for path in FILES] == [
        f"{number:02d}-{scenario.name}.yaml" for number, scenario in enumerate(SUITE.values(), 1)
    ]


def test_what_was_promised_is_there():
    assert {scenario.name for scenario in SUITE.values()} >= {
        "steady", "one-503", "some-503", "hang", "resets", "refuses", "black-hole", "slow", "flapping", "outage",
        "overload", "keep-alive", "slow-readers", "rolling", "late-rolling", "control-plane-away",
    }  # fmt: skip


def test_all_of_it_runs_against_four_subjects_within_ten_minutes_with_time_to_begin_and_end():
    assert 4 * sum(scenario.duration_s + 1.0 for scenario in SUITE.values()) < 600


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_a_scenario_says_why_it_is_there_and_leaves_only_the_doubts_that_are_meant(path):
    text, scenario = path.read_text(), SUITE[path]
    assert text.startswith("# ")
    assert "Why it matters:" in text
    assert "good mesh" in text
    assert scenario.about
    assert doubts(scenario) == MEANT.get(scenario.name, [])


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_a_scenario_is_short_judged_warmed_up_and_counts_its_writes(path):
    scenario = SUITE[path]
    assert scenario.judged == ["meshproxy"]
    assert 6 <= scenario.duration_s <= 9
    assert not scenario.load.phases[0].measured
    assert any(request.is_write for request in scenario.load.requests)
    assert any(each.repeated_writes == 0 and each.lost == 0 for each in scenario.expect)
    assert (scenario.policy.retries, scenario.policy.retry_codes) == (2, [502, 503, 504])


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_windows_of_expectations_begin_and_end_where_bins_of_a_quarter_of_a_second_do(path):
    moments = [each for expectation in SUITE[path].expect for each in (expectation.from_, expectation.to) if each]
    assert [moment for moment in moments if moment % 0.25] == []
