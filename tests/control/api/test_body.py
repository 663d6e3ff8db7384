import pytest

from control.api.body import MAX_YAML_BYTES, parse
from control.api.status import ApiError


@pytest.mark.parametrize("is_yaml", [False, True])
def test_json_is_taken(is_yaml):
    assert parse(b' {"a": [1, {"b": null}]}', is_yaml=is_yaml) == {"a": [1, {"b": None}]}


def test_yaml_is_taken_and_shares_nothing():
    value = parse(b"a: &x {b: 1}\nc: *x\n", is_yaml=True)
    assert value == {"a": {"b": 1}, "c": {"b": 1}}
    assert value["a"] is not value["c"]


@pytest.mark.parametrize(
    ("data", "is_yaml", "words"),
    [
        (b"", False, "not JSON"),
        (b"{", False, "not JSON"),
        (b"[]", False, "no object"),
        (b"\xff", False, "not UTF-8"),
        (b'{"a": 1, "a": 2}', False, "stands twice"),
        (b'{"a": NaN}', False, "no JSON number"),
        (b'{"a": "\\ud800"}', False, "cannot be kept"),
        (b'{"a": 1e400}', False, "too great"),
        (b'{"a":' * 5000 + b"1" + b"}" * 5000, False, "nested too deeply"),
        (b'{"a":' * 101 + b"1" + b"}" * 101, False, "nested too deeply"),
        (b"{a", True, "not JSON"),
        (b"a: 1\na: 2", True, "stands twice"),
        (b"a: 1\n---\nb: 2", True, "2 documents"),
        (b"- 1", True, "no object"),
        (b"a: &a [*a]", True, "refers to nothing"),
        (b"a: !!python/object:os.system x", True, "not allowed"),
        (b"", True, "0 documents"),
    ],
)
def test_what_is_ambiguous_or_hostile_is_refused(data, is_yaml, words):
    with pytest.raises(ApiError, match=words) as caught:
        parse(data, is_yaml=is_yaml)
    assert caught.value.code == 400


def test_yaml_is_bounded():
    with pytest.raises(ApiError) as caught:
        parse(b"a: 1\n" + b"#" * MAX_YAML_BYTES, is_yaml=True)
    assert caught.value.code == 413
    laughs = ["a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
    laughs += [f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 10)}]" for i in range(1, 9)]
    with pytest.raises(ApiError, match="aliases included"):
        parse("\n".join(laughs).encode(), is_yaml=True)
