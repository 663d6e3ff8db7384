from __future__ import annotations

import io

import msgspec
import pytest
from rich.console import Console

from loadtest.report import sheets, table
from loadtest.report.words import DASH
from loadtest.results.diff import diff
from loadtest.results.histogram import Histogram
from loadtest.results.model import Comparison, Ledger

SUBJECTS = ("direct", "meshproxy", "envoy", "haproxy")


def copied(comparison):
    return msgspec.json.decode(msgspec.json.encode(comparison), type=Comparison)


def shown(what, width=80):
    file = io.StringIO()
    Console(file=file, width=width, highlight=False).print(what)
    lines = [line.rstrip() for line in file.getvalue().splitlines()]
    assert all(len(line) <= width for line in lines)
    return lines


def row(lines, label):
    """The cells of the first line that begins with a label."""
    line = next(line for line in lines if line.startswith(label + " "))
    return line.removeprefix(label).split()


def test_a_single_run_shows_figures_outcomes_executions_and_verdicts(found):
    result = next(each for each in found.results if each.subject == "envoy" and each.scenario == "flapping")
    text = "\n".join(shown(table.single(result)))
    assert "flapping against envoy, 18 s of load" in text
    assert f"{result.summary.requests:,}".replace(",", " ") in text
    assert "503 Service Unavailable" in text
    assert "failed, though executed" in text
    lines = text.splitlines()
    assert row(lines, "writes executed twice") == ["none", "3", "✗"]
    assert row(lines, "p99")[:4] == ["at", "most", "50", "ms"] or "at most 50 ms" in text
    assert lines[-2:] == [
        "1 of 3 expectations hold; envoy misses success in flapping and writes executed",
        "twice in flapping.",
    ]


def test_a_run_without_a_ledger_says_so(found):
    result = msgspec.structs.replace(found.results[0], ledger=Ledger())
    assert "not known" in "\n".join(shown(table.single(result)))


def test_a_run_that_was_cut_short_or_limited_says_so(found):
    limited = msgspec.structs.replace(found.results[0].generator, limited=["process 1 used 99% of a core"])
    result = msgspec.structs.replace(
        found.results[0], interrupted=True, problems=["envoy ended by itself: exit status 1"], generator=limited
    )
    text = " ".join(shown(table.single(result)))
    assert "! direct: the run was interrupted" in text
    assert "! direct: envoy ended by itself: exit status 1" in text
    assert "! direct: meshload itself was the limit: process 1 used 99% of a core" in text


def test_a_comparison_has_every_subject_beside_every_scenario(found):
    lines = shown(table.comparison(found), width=120)
    assert lines[1].split() == list(SUBJECTS)
    success = row(lines, "one-hangs")
    assert len(success) == 8
    assert success[1::2] == ["%"] * 4
    assert sum("writes twice" in line for line in lines) == 1
    assert " of 27 expectations hold; " in lines[-1]


@pytest.mark.parametrize("width", [40, 60, 80, 100, 200])
def test_what_does_not_fit_beside_each_other_stands_below_each_other(found, width):
    more = copied(found)
    more.results += [
        msgspec.structs.replace(each, subject="meshproxy-mtls") for each in found.results if each.subject == "meshproxy"
    ]
    lines = shown(table.comparison(more), width)
    everyone = [*SUBJECTS, "meshproxy-mtls"]
    heads = [words for line in lines if (words := line.split()) and set(words) <= set(everyone)]
    assert [name for head in heads for name in head] == everyone
    assert sum(line.startswith("flapping ") for line in lines) == len(heads)


def test_markdown_is_a_table_with_what_is_wrong_in_bold(found):
    lines = table.markdown(found).splitlines()
    assert lines[0] == "| scenario | direct | meshproxy | envoy | haproxy |"
    assert lines[1] == "|:---|---:|---:|---:|---:|"
    assert [line.split(" | ")[0] for line in lines[2:4]] == ["| one-hangs", "| flapping"]
    assert all(line.count(" | ") == 4 for line in (lines[0], *lines[2:5]))
    envoy = lines[3].split(" | ")[3]
    assert "**9 writes twice**" in envoy
    assert envoy.split("<br>")[1].startswith("p99 ")
    assert "(" in envoy
    assert lines[5] == ""
    assert lines[6].startswith("Medians of 2 rounds")


def test_markdown_tells_what_makes_results_doubtful(found):
    cut = Comparison(1, "", [msgspec.structs.replace(found.results[0], interrupted=True)], interrupted=True)
    lines = table.markdown(cut).splitlines()
    assert "**! see the notes**" in lines[2]
    assert lines[4].endswith("Interrupted: not everything was run.")
    assert lines[6] == "- one-hangs, direct: the run was interrupted; it was meant to last 20 s."


def test_lost_successes_are_seen_at_a_glance(found):
    ledger = msgspec.structs.replace(found.results[0].ledger, lost=2)
    lines = table.markdown(Comparison(1, "", [msgspec.structs.replace(found.results[0], ledger=ledger)]))
    assert "**2 lost**" in lines


@pytest.mark.parametrize(
    ("lateness", "late"), [(Histogram().percentiles(), ""), (Histogram({40_000: 9}).percentiles(), " (late by")]
)
def test_a_generator_that_was_the_limit_is_told_with_the_reason(found, lateness, late):
    generator = msgspec.structs.replace(found.results[0].generator, limited=["it was busy"], lateness=lateness)
    said = table.markdown(Comparison(1, "", [msgspec.structs.replace(found.results[0], generator=generator)]))
    assert "~ meshload was the limit<br>" in said or "~ meshload was the limit |" in said
    assert "in 1 of 1 run the generator itself was the limit" in said
    assert "it was busy" in said
    assert ("late by" in said) == bool(late)


def test_of_several_rounds_it_is_told_in_how_many_the_generator_was_the_limit(found):
    sound = found.results[0]
    generator = msgspec.structs.replace(sound.generator, limited=["it was busy"])
    busy = msgspec.structs.replace(sound, generator=generator, round=2)
    said = table.markdown(Comparison(1, "", [sound, busy]))
    assert "~ in 1 of 2 rounds" in said
    assert "~: meshload itself was the limit." in said


def test_lateness_is_a_dash_when_nothing_was_counted(found):
    generator = msgspec.structs.replace(found.results[0].generator, lateness=Histogram().percentiles())
    result = msgspec.structs.replace(found.results[0], generator=generator)
    rows = {each.label: each.cells for each in sheets.usage({"direct": [result]}).rows}
    assert all(rows[f"generator late, {name}"] == [[sheets.Bit(DASH, tone="quiet")]] for name in ("p50", "p99", "most"))


def test_markdown_escapes_what_would_break_the_table(found):
    hostile = Comparison(1, "", [msgspec.structs.replace(found.results[0], scenario="a|b<i>\nc", subject="*x*_[y]")])
    lines = table.markdown(hostile).splitlines()
    assert lines[0] == r"| scenario | \*x\*\_\[y\] |"
    assert lines[2].startswith(r"| a\|b\<i\> c | ")


def test_a_difference_shows_both_sides_and_which_is_worse(found):
    later = copied(found)
    for each in later.results:
        if each.subject == "envoy":
            each.summary.latency.p99 *= 3
        each.cores = 4
    later.results = [each for each in later.results if each.subject != "haproxy"]
    lines = shown(table.differences(diff(found, later, 10)))
    worse = next(line for line in lines if line.startswith("one-hangs envoy"))
    assert worse.split()[2] == "p99"
    assert worse.endswith("+200 % worse")
    assert "warning: cores: 2 earlier, 4 later" in lines
    assert "one-hangs haproxy: not in the later results" in lines


def test_no_difference_is_said(found):
    assert shown(table.differences(diff(found, found, 10))) == [
        "Nothing differs beyond the tolerance and the spread of the rounds."
    ]


def test_markup_and_control_characters_of_results_are_only_text(found):
    hostile = msgspec.structs.replace(found.results[0], subject="[red]x[/red]\x1b[2J", problems=["[bold]y\x07"])
    lines = "\n".join(shown(table.comparison(Comparison(1, "", [hostile])), width=120))
    assert "[red]x[/red]?[2J" in lines
    assert "[bold]y?" in lines
