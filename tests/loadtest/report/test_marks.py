from __future__ import annotations

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from loadtest.report import marks
from loadtest.results.model import PhaseSpan, Window


def windows(*spans, what="hangs"):
    return [Window(what, "hang", begin, end, "echo", [1]) for begin, end in spans]


def drawn(windows, phases=(), duration_s=20.0):
    layout, above = marks.background(marks.marks(windows), phases, duration_s, 500)
    return layout, above


def test_the_same_thing_repeated_has_one_letter_and_another_thing_the_next():
    found = marks.marks([*windows((3, 4), (6, 7)), *windows((5, 9), what="answers 503")])
    assert [(each.letter, each.what, each.spans) for each in found] == [
        ("A", "echo 1 hangs", [(3, 4), (6, 7)]),
        ("B", "echo 1 answers 503", [(5, 9)]),
    ]


def test_every_window_is_shaded_over_the_whole_plot_with_a_bar_above():
    layout, above = drawn(windows((3, 4), (6, 7)))
    shaded = [each for each in layout["shapes"] if each["name"] == "window"]
    assert [(each["x0"], each["x1"], each["y0"], each["y1"]) for each in shaded] == [(3, 4, 0, 1), (6, 7, 0, 1)]
    bars = [each for each in layout["shapes"] if each["name"] == "bar"]
    assert [(each["x0"], each["x1"]) for each in bars] == [(3, 4), (6, 7)]
    assert all(each["y0"] > 1 for each in bars)
    assert above >= marks.LANE_PX
    assert [note["text"] for note in layout["annotations"]] == ["<b>A</b>"], "once is enough"


def test_a_change_that_takes_no_time_is_a_line():
    layout, _ = drawn([Window("is replaced", "replace", 5, 5, "echo", [1])])
    assert {each["line"]["width"] for each in layout["shapes"]} == {1.5}


def test_very_many_windows_are_shaded_as_one():
    layout, _ = drawn(windows(*((at / 8, at / 8 + 0.0625) for at in range(100))))
    assert [(each["x0"], each["x1"]) for each in layout["shapes"] if each["name"] == "window"] == [(0, 12.4375)]


def test_what_is_wrong_past_the_load_is_cut_at_its_end():
    layout, _ = drawn(windows((15, 30)))
    assert {each["x1"] for each in layout["shapes"]} == {20}


def test_phases_have_a_line_between_them_and_say_when_they_do_not_count():
    phases = [PhaseSpan("warm-up", 0, 5, False, 1, 1), PhaseSpan("steady", 5, 20, True, 1, 1)]
    layout, above = drawn([], phases)
    assert [each["x0"] for each in layout["shapes"]] == [5]
    assert [label["texts"] for label in layout["meta"]["labels"]] == [
        ["<i>warm-up (not measured)</i>", "<i>warm-up</i>"],
        ["<i>steady</i>", "<i>steady</i>"],
    ]
    assert drawn([], phases[:1])[0]["annotations"] == [], "a single phase is no news"
    assert above > drawn([])[1]


def test_labels_cannot_smuggle_markup_into_plots():
    phases = [PhaseSpan("<a href='//x'>p</a>", 0, 5, True, 1, 1), PhaseSpan("b & c", 5, 20, True, 1, 1)]
    layout, _ = drawn(windows((1, 2), what="<img src=x>"), phases)
    texts = [text for label in layout["meta"]["labels"] for text in label["texts"]]
    assert "<i>&lt;a href='//x'&gt;p&lt;/a&gt;</i>" in texts
    assert "<i>b &amp; c</i>" in texts
    assert "<b>A</b> echo 1 &lt;img src=x&gt;" in texts


span = st.tuples(st.floats(0, 19), st.floats(0, 5)).map(lambda pair: (pair[0], pair[0] + pair[1]))


@given(st.lists(st.tuples(st.sampled_from("abcdefghijklmnop"), span), max_size=40))
def test_no_two_letters_touch_and_labels_end_before_the_next_begins(wanted):
    found = [Window(what, "hang", begin, end) for what, (begin, end) in wanted]
    layout, above = drawn(found)
    by_lane: dict[int, list[float]] = {}
    for note in layout["annotations"]:
        by_lane.setdefault(note["yshift"], []).append(note["x"])
    for begins in by_lane.values():
        assert all(after - before >= marks.LETTER_WIDTH * 20 for before, after in pairwise(begins))
    for note, label in zip(layout["annotations"], layout["meta"]["labels"], strict=True):
        later = [begin for begin in by_lane[note["yshift"]] if begin > note["x"]]
        assert label["to"] == min(later, default=20)
    assert len(by_lane) <= marks.MOST_LANES
    assert above == marks.LANE_PX * len(by_lane) + 6
