from __future__ import annotations

import json
import re
from html.parser import HTMLParser

import msgspec
import pytest

from loadtest.report.page import render
from loadtest.results.model import SCHEMA, Comparison, Ledger, PhaseSpan
from tests.loadtest.report import sample

HOSTILE = "</script><script>hacked()</script><img src=x onerror=hacked()> \"'`{{ 7*7 }}\u2028<!-- ]]>"
REFERENCES = {"src", "href", "action", "data", "poster", "srcset", "background", "cite", "formaction", "xlink:href"}


class Reader(HTMLParser):
    """What a browser would see: elements, references, text outside scripts and styles, and what scripts hold."""

    def __init__(self):
        super().__init__()
        self.tags: list[str] = []
        self.references: list[tuple[str, str]] = []
        self.handlers: list[str] = []
        self.styles: list[str] = []
        self.figures: list[dict] = []
        self.scripts = 0
        self.text: list[str] = []
        self.cells: list[list[str]] = []
        self._inside = ""

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        values = dict(attrs)
        self.references += [(tag, value) for name, value in attrs if name in REFERENCES]
        self.handlers += [name for name, _ in attrs if name.startswith("on")]
        self.styles += [value for name, value in attrs if name == "style"]
        if tag in {"script", "style"}:
            self._inside = values.get("type", tag)
            self.scripts += self._inside == "script"
        elif tag == "tr":
            self.cells.append([])
        elif tag in {"td", "th"}:
            self.cells[-1].append("")

    def handle_endtag(self, tag):
        if tag in {"script", "style"}:
            self._inside = ""

    def handle_data(self, data):
        if self._inside == "application/json":
            self.figures.append(json.loads(data))
        elif self._inside == "style":
            self.styles.append(data)
        elif not self._inside:
            self.text.append(data)
            if self.cells and self.cells[-1]:
                self.cells[-1][-1] += data


def read(page):
    reader = Reader()
    reader.feed(page)
    reader.close()
    reader.cells = [[" ".join(cell.split()) for cell in row] for row in reader.cells]
    return reader


def rows(reader, label):
    return [
        [" ".join(cell.split()) for cell in row] for row in reader.cells if row and row[0].strip().startswith(label)
    ]


@pytest.fixture(scope="module")
def page(found):
    return read(render(found))


def text(reader):
    return " ".join(" ".join(reader.text).split())


def test_nothing_is_asked_of_any_network(page):
    assert all(value.startswith("#") for _, value in page.references)
    assert not {"link", "iframe", "img", "object", "embed", "base", "audio", "video"} & set(page.tags)
    assert not [style for style in page.styles if re.search(r"url\s*\(|@import", style)]
    assert page.scripts == 3, "a word for the styles, the library once, and what draws"


def test_the_browser_is_told_to_load_nothing(found):
    policy = re.search(r'Content-Security-Policy" content="([^"]*)"', render(found))[1]
    assert policy.startswith("default-src 'none';")
    assert "http" not in policy


def test_it_says_what_was_run_when_and_on_what(page):
    said = text(page)
    assert "3 scenarios: direct, meshproxy, envoy and haproxy" in said
    assert "2026-05-04 09:30:00 UTC" in said
    assert "24 runs, 2 rounds in turns" in said
    assert "2 cores" in said
    assert "envoy 1.37.1" in said
    assert re.search(r"\d+ of 27 expectations hold; ", said)


def test_the_first_table_has_every_scenario_and_subject(found, page):
    assert page.cells[0] == ["", *sample.SUBJECTS]
    for number, plan in enumerate(sample.PLANS, 1):
        cells = page.cells[number]
        assert cells[0] == plan.name
        for subject, cell in zip(sample.SUBJECTS, cells[1:], strict=True):
            own = [each for each in found.results if (each.scenario, each.subject) == (plan.name, subject)]
            shown = float(cell.split(" %")[0])
            assert shown == pytest.approx(sum(each.summary.success_percent for each in own) / 2, abs=0.02)
            assert "p99 " in cell
            assert ("twice" in cell) == any(each.ledger.writes_executed_twice for each in own)


def test_every_scenario_has_its_plots_and_its_story(page):
    assert len(page.figures) == 3 * 4
    said = text(page)
    for plan in sample.PLANS:
        assert " ".join(plan.about.split()) in said
    assert "A echo 1 hangs 6 s to 14 s" in said
    assert "warm-up (not measured): 200/s, 0 s to 2 s" in said
    assert "climb: 200/s to 1000/s, 5 s to 7 s" in said
    assert "In a closed loop" in said
    assert "Curves are of the middle round by success, then p99 (direct: round " in said


def test_ledger_verdicts_and_configurations_are_there(found, page):
    sent = rows(page, "sent")[0]
    own = [each.ledger.sent for each in found.results if each.scenario == "one-hangs" and each.subject == "envoy"]
    assert sent[3] == f"{sum(own):,}".replace(",", " ")
    assert rows(page, "writes executed twice")[-1][1:] == ["0"] * 4
    assert rows(page, "success")[0][0] == "successat least 99.5 %"
    said = text(page)
    assert said.count("Configuration of envoy") == 3
    assert "envoy --config here" in said
    assert "Ids of some of them" in said
    assert "c0ffee-0-1700" in said


def test_a_single_run_gives_the_same_page_with_one_subject(found):
    reader = read(render(Comparison(SCHEMA, found.started, [found.results[1]])))
    said = text(reader)
    assert "one-hangs: meshproxy" in said
    assert "middle round" not in said
    assert "Scenarios" not in said.split("How to read")[0]
    assert len(reader.figures) == 4
    assert reader.cells[0] == ["", "meshproxy"]


def test_the_load_is_told_with_its_steps_and_callers(found):
    phases = [
        PhaseSpan("climb", 0, 5, True, 10, 50, steps=5),
        PhaseSpan("many", 5, 10, True, 0, 0, callers=32),
        PhaseSpan("of an earlier version", 10, 20, True, 0, 0),
    ]
    said = text(read(render(Comparison(SCHEMA, "", [msgspec.structs.replace(found.results[0], phases=phases)]))))
    assert "climb: 10/s to 50/s in 5 steps, 0 s to 5 s" in said
    assert "many: 32 callers, 5 s to 10 s" in said
    assert "of an earlier version: closed loop, 10 s to 20 s" in said


def test_what_the_load_did_to_the_figures_is_told(found):
    generator = msgspec.structs.replace(found.results[0].generator, notes=["7 requests failed unsent"])
    said = text(read(render(Comparison(SCHEMA, "", [msgspec.structs.replace(found.results[0], generator=generator)]))))
    assert "direct: 7 requests failed unsent" in said
    assert "was the limit: 7" not in said


def test_doubts_about_results_stand_above_them(found):
    first = found.results[0]
    limited = msgspec.structs.replace(first.generator, limited=["late by 40 ms at half of the requests"])
    broken = msgspec.structs.replace(first, interrupted=True, problems=["direct fell over"], generator=limited)
    said = text(
        read(
            render(
                Comparison(
                    SCHEMA, "", [broken], failures=["one-hangs, envoy, round 1: no envoy here"], interrupted=True
                )
            )
        )
    )
    for line in (
        "Interrupted.",
        "one-hangs, envoy, round 1: no envoy here",
        "direct: the run was interrupted",
        "direct: direct fell over",
        "meshload itself was the limit: late by 40 ms at half of the requests",
    ):
        assert line in said


def test_results_of_origins_that_are_not_ours_and_of_nothing_at_all_make_a_page(found):
    empty = msgspec.structs.replace(
        found.results[0], bins=[], endpoints=[], windows=[], ledger=Ledger(), verdicts=[], usage=[]
    )
    reader = read(render(Comparison(SCHEMA, "", [empty])))
    assert reader.figures == []
    assert "Nothing was recorded that could be drawn as latency over time" in text(reader)
    assert rows(reader, "lost")[0][1] == "not known"
    assert "No results" in text(read(render(Comparison(SCHEMA, "", []))))


def test_a_scenario_that_this_version_cannot_read_is_shown_as_text(found):
    later = msgspec.structs.replace(found.results[0], text="name: one-hangs\nnew_field: 1\n")
    said = text(read(render(Comparison(SCHEMA, "", [later]))))
    assert "new_field: 1" in said
    assert "The scenario in words" not in said


@pytest.fixture(scope="module")
def hostile(found):
    first = found.results[4]
    windows = [msgspec.structs.replace(first.windows[0], what=HOSTILE)]
    phases = [
        msgspec.structs.replace(first.phases[0], name=HOSTILE, to_s=9.0),
        msgspec.structs.replace(first.phases[0], name=HOSTILE, from_s=9.0),
    ]
    result = msgspec.structs.replace(
        first,
        scenario=HOSTILE,
        subject=HOSTILE,
        started=HOSTILE,
        text=HOSTILE,
        versions={HOSTILE: HOSTILE},
        windows=windows,
        phases=phases,
        problems=[HOSTILE],
        configuration={HOSTILE: HOSTILE},
        verdicts=[msgspec.structs.replace(first.verdicts[0], what=HOSTILE, expected=HOSTILE, measured=HOSTILE)],
        endpoints=[msgspec.structs.replace(first.endpoints[0], origin=HOSTILE)],
        summary=msgspec.structs.replace(first.summary, counts={HOSTILE: 3}),
        bins=[msgspec.structs.replace(each, counts={HOSTILE: 3}) for each in first.bins],
        ledger=msgspec.structs.replace(first.ledger, examples={HOSTILE: [HOSTILE]}),
    )
    return Comparison(SCHEMA, HOSTILE, [result], failures=[HOSTILE])


def test_hostile_text_stays_text(hostile):
    page = render(hostile)
    reader = read(page)
    assert reader.scripts == 3
    assert "img" not in reader.tags
    assert reader.handlers == []
    assert len(reader.figures) == 4
    assert text(reader).count("hacked()") > 20
    assert "49" not in re.findall(r"\w+", " ".join(reader.cells[0]))
    data = "".join(re.findall(r'<script type="application/json">(.*?)</script>', page, re.DOTALL))
    assert "\u2028" not in data
    assert "<" not in data


def test_a_page_is_bounded_however_long_the_runs_were(found):
    first = found.results[4]
    bins = [msgspec.structs.replace(first.bins[number % 36], from_s=float(number)) for number in range(2000)]
    windows = [
        msgspec.structs.replace(first.windows[0], from_s=float(number), to_s=number + 0.5) for number in range(2000)
    ]
    long = msgspec.structs.replace(
        first,
        bins=bins,
        windows=windows,
        duration_s=2000.0,
        bin_s=1.0,
        phases=[msgspec.structs.replace(first.phases[0], to_s=2000.0)],
    )
    reader = read(render(Comparison(SCHEMA, "", [long])))
    assert sum(len(json.dumps(figure)) for figure in reader.figures) < 200_000
    assert "2 000 times: 0 s to 0.5 s, 1 s to 1.5 s, ... 33 m 19 s to" in text(reader)
