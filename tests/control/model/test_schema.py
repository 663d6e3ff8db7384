from pathlib import Path
from typing import Any

import msgspec
import pytest

from control.model.schema import Flaw, Schema, load, validate, without_unknown
from control.model.yaml_events import read_yaml

CRDS = Path(__file__).parents[4] / "shared" / "kubernetes" / "gateway-api-crds"


def schema(**keywords: Any) -> Schema:
    return msgspec.convert(keywords, Schema)


def flaws(given: Schema, value: Any) -> list[Flaw]:
    found: list[Flaw] = []
    validate(given, value, "x", found)
    return found


STRING = {"type": "string"}


@pytest.mark.parametrize(
    ("keywords", "good", "bad"),
    [
        (STRING, ["", "a"], [1, True, [], {}, "\ud800"]),
        ({"type": "integer"}, [0, -5], [1.5, "1", True]),
        ({"type": "number"}, [0, 1.5], ["1", False]),
        ({"type": "boolean"}, [True], [1, "true"]),
        ({"type": "object"}, [{}], [[], "a"]),
        ({"type": "integer", "format": "int32"}, [2**31 - 1], [2**31, -(2**31) - 1]),
        ({"type": "integer", "minimum": 1, "maximum": 3}, [1, 3], [0, 4]),
        ({**STRING, "minLength": 1, "maxLength": 2}, ["a", "ab"], ["", "abc"]),
        ({**STRING, "pattern": "^a+$"}, ["aa"], ["b", "a\n", "aab"]),
        ({**STRING, "format": "date-time"}, ["2026-01-31T12:00:00Z", "2026-01-31T12:00:00.5+01:00"],
         ["2026-01-31", "now"]),
        ({**STRING, "enum": ["A", "B"]}, ["A"], ["a", ""]),
        ({"x-kubernetes-int-or-string": True}, [1, "a"], [1.5, True, None, []]),
        ({"type": "array", "items": STRING, "minItems": 1, "maxItems": 2}, [["a"]], [[], ["a"] * 3, [1], [None]]),
        ({"type": "array", "items": STRING, "x-kubernetes-list-type": "set"}, [["a", "b"]], [["a", "a"]]),
        ({"type": "object", "properties": {"a": STRING}, "required": ["a"]}, [{"a": ""}],
         [{}, {"a": None}, {"a": "", "b": 1}]),
        ({"type": "object", "additionalProperties": STRING}, [{"x": "y"}], [{"x": 1}]),
        ({"type": "object", "x-kubernetes-preserve-unknown-fields": True}, [{"x": [1]}], [[]]),
    ],
)  # fmt: skip
def test_a_keyword_tells_good_from_bad(keywords, good, bad):
    for value in good:
        assert not flaws(schema(**keywords), value)
    for value in bad:
        assert len(flaws(schema(**keywords), value)) == 1


def test_all_flaws_are_told_each_with_its_path():
    item = {"type": "object", "properties": {"a": STRING, "n": {"type": "integer"}}, "required": ["n"]}
    found = flaws(schema(type="array", items=item), [{"a": 1}, {"n": 1, "m": 2}, 3])
    assert [str(flaw) for flaw in found] == [
        "x[0].a: is integer; allowed: string",
        "x[0].n: is required",
        "x[1].m: unknown field; allowed: a, n",
        "x[2]: is integer; allowed: object",
    ]


def test_a_key_that_a_terminal_would_act_on_is_quoted():
    (flaw,) = flaws(schema(type="object"), {"\x1b[31m": 1})
    assert flaw.path == r"x.'\x1b[31m'"


def test_map_lists_have_unique_keys():
    item = {"type": "object", "properties": {"k": STRING, "v": STRING}}
    keyed = schema(**{
        "type": "array", "items": item, "x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["k"],
    })  # fmt: skip
    assert not flaws(keyed, [{"k": "a", "v": "1"}, {"k": "b", "v": "1"}])
    assert [str(flaw) for flaw in flaws(keyed, [{"k": "a"}, {"k": "a"}])] == ["x[1]: 'a' stands twice"]


def test_defaults_are_filled_in_also_within_defaults_and_nulls_left_out():
    inner = {"type": "object", "properties": {"b": {**STRING, "default": "c"}}, "default": {}}
    given = schema(type="object", properties={"a": inner, "d": STRING})
    assert validate(given, {"d": None}, "", []) == {"a": {"b": "c"}}
    assert validate(given, {"a": {"b": None}, "d": "e"}, "", []) == {"a": {"b": "c"}, "d": "e"}


def test_unknown_fields_are_left_out_and_named_and_all_else_stays():
    part = {"type": "object", "properties": {"a": {"type": "integer"}}}
    given = schema(
        type="object",
        properties={"list": {"type": "array", "items": part}, "map": {"type": "object", "additionalProperties": part},
                    "open": {"type": "object", "x-kubernetes-preserve-unknown-fields": True}},
    )  # fmt: skip
    value = {"list": [{"a": 1}, {"b": 2}, 3], "map": {"k": {"a": None, "c d": 4}}, "open": {"x": [5]}, "\x1b": 6}
    dropped: list[str] = []
    pruned = without_unknown(given, value, "", dropped)
    assert pruned == {"list": [{"a": 1}, {}, 3], "map": {"k": {"a": None}}, "open": {"x": [5]}}
    assert dropped == ["list[1].b", "map.k.c d", r"'\x1b'"]


def test_a_schema_with_a_keyword_that_is_not_evaluated_is_refused():
    with pytest.raises(msgspec.ValidationError):
        schema(type="string", multipleOf=2)


def stripped(node: dict[str, Any]) -> dict[str, Any]:
    """A CRD's schema without descriptions and CEL rules."""
    result: dict[str, Any] = {}
    for key, value in node.items():
        if key == "properties":
            result[key] = {name: stripped(item) for name, item in value.items()}
        elif key in {"items", "additionalProperties"}:
            result[key] = stripped(value)
        elif key not in {"description", "x-kubernetes-validations"}:
            result[key] = value
    return result


@pytest.mark.skipif(not CRDS.is_dir(), reason="the Gateway API's CRDs are not beside the checkout")
@pytest.mark.parametrize("kind", ["httproute", "referencegrant"])
def test_the_packaged_schemas_are_those_of_the_crds(kind):
    ((_, crd),) = read_yaml((CRDS / f"gateway.networking.k8s.io_{kind}s.yaml").read_text())
    for version in crd["spec"]["versions"]:
        original = stripped(version["schema"]["openAPIV3Schema"])
        for name in ("apiVersion", "kind", "metadata"):
            del original["properties"][name]
        assert load(kind) == msgspec.convert(original, Schema)
