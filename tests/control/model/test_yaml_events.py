import json
import re

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from control.model.yaml_events import YAMLError, read_yaml


def one(text):
    ((_, value),) = read_yaml(text)
    return value


def refusal(text):
    with pytest.raises(YAMLError) as caught:
        list(read_yaml(text))
    return caught.value.document, str(caught.value)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("1", 1),
        ("-5", -5),
        ("010", 10),
        ("1.5", 1.5),
        ("1e3", 1000.0),
        ("1e999", "1e999"),
        ("true", True),
        ("False", False),
        ("yes", "yes"),
        ("on", "on"),
        ("1:30", "1:30"),
        ("0x10", "0x10"),
        ("2026-01-01", "2026-01-01"),
        ("2026-01-01T00:00:00Z", "2026-01-01T00:00:00Z"),
        (".inf", ".inf"),
        ("1_000", "1_000"),
        ("=", "="),
        ("'1'", "1"),
        ('"true"', "true"),
        ("!!str 1", "1"),
        ("!!int '1'", 1),
        ("! 1", "1"),
        ("|\n  a\n  b\n", "a\nb\n"),
    ],
)
def test_a_scalar_is_what_json_would_make_of_it(text, value):
    found = one(f"a: {text}")["a"]
    assert found == value
    assert type(found) is type(value)


@pytest.mark.parametrize("text", ["null", "~", "", "Null"])
def test_nulls(text):
    assert one(f"a: {text}") == {"a": None}


def test_documents_are_counted_and_empty_ones_left_out():
    text = "# nothing\n---\na: 1\n---\n---\n# nothing\n---\nb: [2, {c: 3}]\n...\n"
    assert list(read_yaml(text)) == [(1, {"a": 1}), (4, {"b": [2, {"c": 3}]})]


def test_aliases_and_merge_keys_work():
    text = "base: &b {a: 1, c: [1, 2]}\nall: &l [*b]\nx: {<<: *b, a: 2}\ny: {<<: [*b, {d: 4}]}\nz: *l\n"
    found = one(text)
    assert found["x"] == {"a": 2, "c": [1, 2]}
    assert found["y"] == {"a": 1, "c": [1, 2], "d": 4}
    assert found["z"] == [{"a": 1, "c": [1, 2]}]


def test_keys_are_text():
    assert one("{1: a, true: b, ~: c}") == {"1": "a", "true": "b", "~": "c"}


@pytest.mark.parametrize(
    ("text", "document", "message"),
    [
        ("a: 1\nb: 2\na: 3\n", 1, "line 3: key 'a' stands twice"),
        ("a: 1\n---\nb: {c: 1, c: 2}\n", 2, "line 3: key 'c' stands twice"),
        ("a: *x", 1, "line 1: alias 'x' refers to nothing before it"),
        ("a: &x [*x]", 1, "alias 'x' refers to nothing"),
        ("a: &x 1\n---\nb: *x", 2, "alias 'x' refers to nothing"),
        ("{[1]: 2}", 1, "a key is a collection"),
        ("{a: {<<: 1}}", 1, "'<<' merges something that is no mapping"),
        ("a: !!python/object:os.system x", 1, "is not allowed"),
        ("a: !!binary aGk=", 1, "tag 'binary' is not allowed"),
        ("a: !thing {b: 1}", 1, "tag '!thing' is not allowed"),
        ("a: [1, 2", 1, "not YAML"),
        ("a: b: c", 1, "line 1, column 5: not YAML"),
        ("a: \x00", 1, "not YAML"),
        ("[" * 200 + "]" * 200, 1, "nested too deeply; allowed: 100 levels"),
        ("[" * 100_000, 1, "nested too deeply"),
        ("- " * 5000 + "a", 1, "nested too deeply"),
    ],
)
def test_what_is_ambiguous_or_hostile_is_refused_with_its_place(text, document, message):
    found = refusal(text)
    assert found[0] == document
    assert message in found[1]


def test_a_billion_laughs_are_refused_before_they_are_built():
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 10)}]" for i in range(1, 12)]
    assert "nodes, aliases included" in refusal("\n".join(lines))[1]
    assert list(read_yaml("{a: 1}", 4)) == [(1, {"a": 1})]
    with pytest.raises(YAMLError, match="more than 4 nodes"):
        list(read_yaml("{a: 1, b: 2}", 4))


# `1e3` without a point is a number for Kubernetes and text for PyYAML, which therefore writes that text without quotes.
_TEXT_OR_NUMBER = re.compile(r"[-+]?[0-9]+[eE][-+]?[0-9]+")


def is_told_apart(text):
    return text != "<<" and not _TEXT_OR_NUMBER.fullmatch(text)


keys = st.text(max_size=5).filter(is_told_apart)
json_values = st.recursive(
    st.none() | st.booleans() | st.integers(-(10**15), 10**15) | st.text(max_size=8).filter(is_told_apart),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(keys, inner, max_size=3),
    max_leaves=12,
)


@given(st.dictionaries(keys, json_values, min_size=1, max_size=4))
def test_what_yaml_writers_write_is_read_back(value):
    assert one(yaml.safe_dump(value, allow_unicode=False)) == value


@given(st.text(max_size=40))
def test_arbitrary_text_is_read_or_refused_and_nothing_else(text):
    try:
        for _, value in read_yaml(text):
            json.dumps(value)
    except YAMLError as error:
        assert str(error)  # noqa: PT017
