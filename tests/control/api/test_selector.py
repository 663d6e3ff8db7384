import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from control.api.selector import SelectorError, matches, parse_fields, parse_labels

LABELS = {"app": "front", "track": "canary", "meshproxy.io/zone": "a", "n": "7", "empty": ""}


@pytest.mark.parametrize(
    "text",
    [
        "", "  ", "app=front", "app==front", " app = front ", "app!=back", "missing!=x", "app in (front,back)",
        "app in (front, back)", "app notin (back)", "missing notin (x)", "app", "!missing", "! missing",
        "app,track=canary,!missing", "meshproxy.io/zone=a", "n>6", "n<8", "n > 1", "empty=", "empty in ()", "empty",
        "app in(front)",
    ],
)  # fmt: skip
def test_what_fits_is_selected(text):
    assert matches(parse_labels(text), LABELS)


@pytest.mark.parametrize(
    "text",
    ["app=back", "app!=front", "app in (back)", "app notin (front)", "missing", "missing=x", "missing in (x)", "!app",
     "n>7", "n<7", "app>1", "missing>1", "app=front,track=stable", "app="],
)  # fmt: skip
def test_what_does_not_fit_is_left_out(text):
    assert not matches(parse_labels(text), LABELS)


@pytest.mark.parametrize(
    "text",
    [
        ",",
        "app,",
        ",app",
        "app=front,",
        "=x",
        "app=a b",
        "app in",
        "app in (",
        "app in a",
        "app inn (a)",
        "app is x",
        "app===x",
        "!app=x",
        "a/b/c=x",
        "-a=x",
        "A_/b=x",
        "app=-x",
        f"app={'x' * 64}",
        f"{'x' * 64}=a",
        "n>x",
        "n>",
        "n>-1",
        "(",
        "app in (a))",
        ",".join(f"a{i}" for i in range(65)),
    ],
)
def test_what_is_no_selector_is_refused(text):
    with pytest.raises(SelectorError):
        parse_labels(text)


def test_fields():
    both = {"metadata.name": "a", "metadata.namespace": "shop"}
    assert matches(parse_fields("metadata.name=a,metadata.namespace!=bank"), both)
    assert not matches(parse_fields("metadata.name!=a"), both)
    for text in ("spec.nodeName=x", "metadata.name", "metadata.name in (a,b)", "metadata.name>1"):
        with pytest.raises(SelectorError):
            parse_fields(text)


KEYS = st.sampled_from(["app", "track", "missing", "n"])
VALUES = st.sampled_from(["front", "back", "", "7"])


@given(st.dictionaries(KEYS, VALUES), KEYS, st.lists(VALUES, min_size=1, max_size=3))
def test_in_and_notin_are_opposites_and_a_comma_means_and(labels, key, values):
    inside, outside = (f"{key} {word} ({','.join(values)})" for word in ("in", "notin"))
    assert matches(parse_labels(inside), labels) is (key in labels and labels[key] in values)
    assert matches(parse_labels(inside), labels) is not matches(parse_labels(outside), labels)
    assert not matches(parse_labels(f"{inside},{outside}"), labels)


@given(st.text(alphabet="ab=!,() <>in", max_size=40))
def test_any_text_is_parsed_or_refused(text):
    with contextlib.suppress(SelectorError):
        parse_labels(text)
