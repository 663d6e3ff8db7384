from __future__ import annotations

from tests.bench.flame import own_time
from tests.bench.report import Column, Sheet, as_markdown, as_text

COLUMNS = [Column("rps", "requests/s", spread=True, ratio=True), Column("failed", "failed", worst=True)]


def sheet(**samples: list[tuple[float, float]]) -> Sheet:
    made = Sheet("throughput", "a title", COLUMNS)
    for subject, rounds in samples.items():
        for rps, failed in rounds:
            made.add(subject, {"rps": rps, "failed": failed})
    return made


def test_a_row_shows_the_median_the_range_the_ratio_of_medians_and_the_worst_count() -> None:
    made = sheet(envoy=[(1000, 0), (3000, 0), (2000, 0)], meshproxy=[(3000, 0), (9000, 7), (3100, 1)])
    assert made.rows() == [
        ["subject", "requests/s", "min-max", "x envoy", "failed"],
        ["envoy", "2 000", "1 000-3 000", "1.00", "0"],
        ["meshproxy", "3 100", "3 000-9 000", "1.55", "7"],
    ]


def test_without_the_baseline_there_is_no_ratio() -> None:
    assert sheet(haproxy=[(10, 0)]).rows() == [
        ["subject", "requests/s", "min-max", "failed"],
        ["haproxy", "10", "10-10", "0"],
    ]


def test_a_figure_that_a_subject_does_not_have_is_a_dash() -> None:
    made = sheet(envoy=[(10, 0)])
    made.add("direct", {"failed": 0})
    assert made.rows()[2] == ["direct", "-", "-", "-", "0"]


def test_text_is_aligned_and_markdown_has_the_same_cells() -> None:
    made = sheet(envoy=[(1000, 0)], meshproxy=[(2000, 0)])
    text = as_text(made).splitlines()
    assert text[0] == "a title"
    assert len({len(line) for line in text[1:]}) == 1
    cells = [line.strip("| ").split(" | ") for line in as_markdown(made).splitlines()[2:]]
    assert [cells[0], *cells[2:]] == made.rows()


def test_data_holds_every_round() -> None:
    made = sheet(envoy=[(1000, 0), (2000, 1)])
    data = made.data()
    assert data["rounds"] == {"envoy": [{"rps": 1000, "failed": 0}, {"rps": 2000, "failed": 1}]}
    assert data["medians"] == {"envoy": {"rps": 1500, "failed": 1}}


def test_own_time_adds_up_a_function_s_lines_and_counts_a_recursion_once() -> None:
    table = own_time("main (a.py:1);work (b.py:2) 30\nmain (a.py:1);work (b.py:9) 30\nmain (a.py:3);main (a.py:1) 40\n")
    rows = [line.split(maxsplit=2) for line in table.splitlines()[1:3]]
    assert rows == [["60.0", "60.0", "work (b.py)"], ["40.0", "100.0", "main (a.py)"]]


def test_own_time_of_nothing_says_so() -> None:
    assert own_time("").strip() == "no samples"
