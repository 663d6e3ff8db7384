"""What other generators print is read right, and what is made for ours is what is meant."""

from __future__ import annotations

import time
from itertools import islice
from random import Random

import pytest

from loadtest.messages import CHUNK
from loadtest.scenario.load import parse
from tests.bench import floor, generator, hour, meshload, rivals
from tests.bench.report import Sheet
from tests.bench.suites import SUITES, named

WRK2 = """\
Running 45s test @ http://127.94.1.1:8080/
  1 threads and 1000 connections
  Thread calibration: mean lat.: 50.978ms, rate sampling interval: 229ms
  Thread Stats   Avg      Stdev     Max   +/- Stdev
    Latency    52.53ms   50.83ms   1.07s    85.62%
    Req/Sec     1.01k   327.97     1.71k    80.00%
  Latency Distribution (HdrHistogram - Recorded Latency)
 50.000%  905.00us
 75.000%   72.77ms
 90.000%  120.19ms
 99.000%  232.06ms
 99.900%    1.02s
100.000%    1.07s

  Detailed Percentile spectrum:
       Value   Percentile   TotalCount 1/(1-Percentile)

       0.405     0.000000            1         1.00

  Latency Distribution (HdrHistogram - Uncorrected Latency (measured without taking delayed starts into account))
 50.000%  405.00us
 90.000%  119.00ms
 99.000%  231.00ms
 99.900%    1.01s
----------------------------------------------------------
  42756 requests in 45.00s, 6.00MB read
"""


def h2load_row(start_s: float, status: int, latency_us: int) -> str:
    return f"{1_800_000_000_000_000 + int(start_s * 1e6)}\t{status}\t{latency_us}"


def test_percentiles_of_wrk2_are_read_whatever_their_unit() -> None:
    found = rivals.wrk2_output(WRK2)
    assert found == {
        "p50_us": 905,
        "p90_us": pytest.approx(120_190),
        "p99_us": pytest.approx(232_060),
        "p99.9_us": pytest.approx(1_020_000),
        "sent_p50_us": 405,
        "sent_p90_us": pytest.approx(119_000),
        "sent_p99_us": pytest.approx(231_000),
        "sent_p99.9_us": pytest.approx(1_010_000),
        "requests": 42_756,
        "failed": 0,
    }


def test_what_failed_under_wrk2_is_added_up() -> None:
    errors = "  Socket errors: connect 1, read 20, write 300, timeout 4000\n  Non-2xx or 3xx responses: 50000\n"
    assert rivals.wrk2_output(WRK2 + errors)["failed"] == 54_321


def test_wrk2_without_a_result_shows_what_it_said() -> None:
    with pytest.raises(ValueError, match="unable to connect"):
        rivals.wrk2_output("unable to connect to 127.0.0.1:1\n")


def test_wrk2_with_a_percentile_less_is_no_result() -> None:
    with pytest.raises(ValueError, match="not all percentiles"):
        rivals.wrk2_output(WRK2.replace(" 99.000%", "no"))


def test_of_h2load_s_log_counts_what_began_in_the_window() -> None:
    rows = [
        h2load_row(2.0, 200, 20),  # rows are in the order of their ends
        h2load_row(0.0, 200, 999_999),
        h2load_row(1.0, 200, 10),
        h2load_row(3.999, 200, 30),
        h2load_row(3.5, 503, 1),
        h2load_row(3.6, -1, 1),
        h2load_row(4.0, 200, 888_888),
    ]
    found = rivals.h2load_log(rows, settle_s=1, seconds=3)
    assert (found["requests"], found["failed"]) == (5, 2)
    assert (found["p50_us"], found["p99.9_us"]) == (20, 30)


def test_an_empty_log_of_h2load_is_no_result() -> None:
    with pytest.raises(ValueError, match="no request"):
        rivals.h2load_log([], 1, 1)


def test_ratios_are_ours_to_each_other_one_round_by_round() -> None:
    sheet = Sheet("generator", "a title", generator.TOLD)
    keys = [rivals.name(level) for level in rivals.LEVELS]
    for ours, other in ((100, 50), (300, 400)):
        sheet.add("meshload", dict.fromkeys(keys, ours))
        sheet.add("h2load", dict.fromkeys(keys, other))
    found = generator.ratios(sheet).samples
    assert list(found) == ["meshload / h2load"]
    assert [sample["p99.9_us"] for sample in found["meshload / h2load"]] == [2.0, 0.75]


def test_memory_grows_from_the_second_row_on() -> None:
    sheet = generator._grown(Sheet("generator", "a title", generator.MEMORY), {"ready": 10, "1": 14, "2": 17})
    assert [sample.get("grown") for (sample,) in sheet.samples.values()] == [None, None, 3]


def test_lengths_go_with_the_seconds_of_a_measurement() -> None:
    assert generator.scaled(30.0, generator.USUAL_S) == 30.0
    assert generator.scaled(30.0, generator.USUAL_S / 4) == 7.5


def test_a_load_s_text_is_a_scenario() -> None:
    phases = [{"for": meshload.lasting(0.1), "rate": "5000/s"}]
    meant = parse(meshload.scenario({"arrivals": "poisson", "phases": phases}, 7, {"service_time": "50ms"}))
    assert (meant.seed, meant.duration_s, meant.load.arrivals) == (7, 0.1, "poisson")
    assert meant.origins["echo"].service_time.fixed == 0.05


def test_made_up_reports_come_four_a_second_and_leave_no_request_out() -> None:
    rate, seconds = 5_000, 20
    made = list(islice(hour.reports(rate, 10.0, Random(1)), seconds * 4))
    assert [now_s for now_s, _ in made][-1] == seconds
    cells = [cell for _, report in made for cell in report.cells]
    assert sum(sum(cell.ok.values()) for cell in cells) == rate * seconds
    assert sorted({cell.bin for cell in cells}) == [0, 1]
    chunks = [outcomes.index for _, report in made for outcomes in report.chunks]
    assert chunks == list(range(rate * seconds // CHUNK))


def test_memory_is_noted_at_the_beginning_and_at_the_end() -> None:
    found = hour.feed(1_000, 1.0)
    assert list(found) == [0, 1]
    assert all(found.values())


def test_a_moment_that_has_passed_wakes_at_once_and_counts_as_late() -> None:
    now_s = time.monotonic()
    late = floor.wake([now_s - 0.2, now_s - 0.1, now_s + 0.001])
    assert sum(late.values()) == 3
    assert sum(count for us, count in late.items() if us >= 100_000 - 100) >= 2  # to three digits


@pytest.mark.parametrize(
    ("word", "names"),
    [
        ("generator", [name for name in SUITES if name.startswith("generator-")]),
        ("generator-memory", ["generator-memory"]),
        ("push", ["push"]),
        ("gen", []),
    ],
)
def test_a_suite_is_named_in_full_or_by_what_stands_before_the_dash(word: str, names: list[str]) -> None:
    assert named(word) == names
