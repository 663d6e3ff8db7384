import json
from copy import deepcopy

import pytest
from hypothesis import given
from hypothesis import strategies as st

from control.store.merge import MAX_DEPTH, MergeError, merge

# RFC 7386, appendix A: original, patch, result.
APPENDIX = """
{"a":"b"} {"a":"c"} {"a":"c"}
{"a":"b"} {"b":"c"} {"a":"b","b":"c"}
{"a":"b"} {"a":null} {}
{"a":"b","b":"c"} {"a":null} {"b":"c"}
{"a":["b"]} {"a":"c"} {"a":"c"}
{"a":"c"} {"a":["b"]} {"a":["b"]}
{"a":{"b":"c"}} {"a":{"b":"d","c":null}} {"a":{"b":"d"}}
{"a":[{"b":"c"}]} {"a":[1]} {"a":[1]}
["a","b"] ["c","d"] ["c","d"]
{"a":"b"} ["c"] ["c"]
{"a":"foo"} null null
{"a":"foo"} "bar" "bar"
{"e":null} {"a":1} {"e":null,"a":1}
[1,2] {"a":"b","c":null} {"a":"b"}
{} {"a":{"bb":{"ccc":null}}} {"a":{"bb":{}}}
"""
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=3),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from("abc"), inner, max_size=3),
    max_leaves=8,
)


@pytest.mark.parametrize("line", APPENDIX.split("\n")[1:-1])
def test_a_patch_does_what_the_specification_shows(line):
    target, patch, result = (json.loads(part) for part in line.split(" "))
    assert merge(target, patch) == result


@given(JSON, JSON)
def test_a_patch_applied_twice_is_as_once_and_nothing_is_changed_in_place(target, patch):
    before = deepcopy((target, patch))
    once = merge(target, patch)
    assert merge(once, patch) == once
    assert (target, patch) == before


@given(JSON, JSON)
def test_what_a_patch_does_not_name_stays(target, patch):
    if isinstance(target, dict) and isinstance(patch, dict):
        result = merge(target, patch)
        assert {key: result[key] for key in target if key not in patch} == {
            key: value for key, value in target.items() if key not in patch
        }


def test_a_patch_nested_too_deeply_is_refused():
    patch = {}
    for _ in range(MAX_DEPTH - 1):
        patch = {"a": patch}
    merge({}, patch)
    with pytest.raises(MergeError, match="too deeply"):
        merge({}, {"a": patch})
