"""Objects as text: what is printed reads back as the same values."""

import json

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from control.cli.text import shown, to_json, to_yaml, written
from control.model.yaml_events import read_yaml

SCALARS = (
    st.none()
    | st.booleans()
    | st.integers(-(2**62), 2**62)
    | st.text(st.characters(codec="utf-8"), max_size=20)
    | st.from_regex(r"[-+0-9.eExo_:]{1,12}", fullmatch=True)
)
KEYS = st.text(st.characters(codec="utf-8"), min_size=1, max_size=8).filter(lambda key: key != "<<")
VALUES = st.recursive(SCALARS, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(KEYS, inner, max_size=4))


@given(VALUES.filter(lambda value: value is not None))
def test_yaml_reads_back_as_the_same_values(value):
    ((_, back),) = read_yaml(to_yaml(value))
    assert back == value


@pytest.mark.parametrize(
    "text", ["1e3", "0x10", "012", "1_000", ".5", "5.", "yes", "no", "null", "~", "true", "12:30:45", "2001-01-01",
             "", " ", "a: b", "- a", "#", "1.0", "+1", "=", "<<", "a\nb", "a\n", "\ttab"]
)  # fmt: skip
def test_text_stays_text_for_both_generations_of_yaml(text):
    document = to_yaml({"a": text})
    assert list(read_yaml(document)) == [(1, {"a": text})]
    assert yaml.safe_load(document) == {"a": text}


def test_keys_keep_their_order_and_long_text_is_a_block():
    text = to_yaml({"z": 1, "a": {"script": "one\ntwo\n"}})
    assert text == "z: 1\na:\n  script: |\n    one\n    two\n"


def test_json_is_json():
    assert json.loads(to_json({"ä": [1]})) == {"ä": [1]}


DOCUMENT = {
    "kind": "Service",
    "metadata": {"name": "a", "uid": "1", "managedFields": [{}], "resourceVersion": "7", "labels": {"a": "b"}},
    "spec": {},
    "status": {"x": 1},
}


def test_the_bookkeeping_of_managers_is_not_shown():
    assert shown(DOCUMENT)["metadata"] == {"name": "a", "uid": "1", "resourceVersion": "7", "labels": {"a": "b"}}
    assert shown(DOCUMENT)["status"] == {"x": 1}


def test_what_the_server_made_is_not_compared():
    expected = {"kind": "Service", "metadata": {"name": "a", "labels": {"a": "b"}}, "spec": {}}
    assert written(DOCUMENT) == expected
    assert DOCUMENT["metadata"]["uid"] == "1"
