"""Validation by OpenAPI v3 schemas as Kubernetes writes them ("structural schemas").

`schemas/` holds those of HTTPRoute and ReferenceGrant, taken from the Gateway API's CRDs (v1.6, experimental channel,
without descriptions and CEL rules; the CEL rules that matter are in `httproute`), and those of the core objects,
written after the Kubernetes API reference. A keyword that is not evaluated here cannot stand in them.
"""

from __future__ import annotations

from functools import cache, lru_cache
from importlib import resources
from typing import Any, NamedTuple, TypeAlias

import msgspec
import re2
from msgspec import UNSET, Struct, UnsetType, field

JSON = Any
"""A JSON value: None, bool, int, float, str, list or dict with string keys."""

MAX_SHOWN_CHARS = 80
MAX_STEP_CHARS = 320
MEMO_CHARS = 128
"""Strings up to this length are remembered with the pattern: the next version of an object repeats most of them."""
_FORMATS = {
    "int32": (-(2**31), 2**31 - 1),
    "int64": (-(2**63), 2**63 - 1),
}
_DATE_TIME = r"^[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}(\.[0-9]+)?(Z|[+-][0-9]{2}:[0-9]{2})$"
_TYPES = {dict: "object", list: "array", str: "string", bool: "boolean", int: "integer", float: "number"}

Path: TypeAlias = "str | tuple[Path, str | int]"
"""Where a value stands: below which other one, as what. Made into text only for what is wrong."""


class Flaw(NamedTuple):
    """One thing that is wrong with an object: where (`spec.rules[0].name`), and what is allowed instead."""

    path: str
    message: str

    def __str__(self) -> str:
        return f"{self.path}: {self.message}" if self.path else self.message


class Schema(Struct, forbid_unknown_fields=True, frozen=True):
    """The keywords of a structural schema that are evaluated; all of them, so that none is passed over."""

    type: str = ""
    properties: dict[str, Schema] = {}
    additional: Schema | None = field(name="additionalProperties", default=None)
    items: Schema | None = None
    required: list[str] = []
    enum: list[str | int] = []
    pattern: str = ""
    format: str = ""
    minimum: float | None = None
    maximum: float | None = None
    min_length: int = field(name="minLength", default=0)
    max_length: int | None = field(name="maxLength", default=None)
    min_items: int = field(name="minItems", default=0)
    max_items: int | None = field(name="maxItems", default=None)
    default: Any | UnsetType = UNSET
    list_type: str = field(name="x-kubernetes-list-type", default="")
    list_keys: list[str] = field(name="x-kubernetes-list-map-keys", default_factory=list)
    int_or_string: bool = field(name="x-kubernetes-int-or-string", default=False)
    preserve: bool = field(name="x-kubernetes-preserve-unknown-fields", default=False)


@cache
def load(name: str) -> Schema:
    """Return the schema `schemas/NAME.json`."""
    data = resources.files("control.model").joinpath("schemas", f"{name}.json").read_bytes()
    return msgspec.json.decode(data, type=Schema)


def loosened(schema: Schema) -> Schema:
    """Return a schema without limits: types, enums, defaults and what is required stay, everywhere in it."""
    return msgspec.structs.replace(
        schema,
        properties={name: loosened(sub) for name, sub in schema.properties.items()},
        additional=loosened(schema.additional) if schema.additional is not None else None,
        items=loosened(schema.items) if schema.items is not None else None,
        pattern="",
        format="",
        minimum=None,
        maximum=None,
        min_length=0,
        max_length=None,
        min_items=0,
        max_items=None,
        list_type="",
    )


def validate(schema: Schema, value: JSON, path: Path, flaws: list[Flaw]) -> JSON:
    """Return a copy of `value` with defaults filled in and nulls left out, as the API server would store it.

    What breaks the schema is added to `flaws`, all of it; the result is then of no use.
    """
    name = _TYPES.get(type(value))
    if schema.int_or_string:
        if name not in {"integer", "string"}:
            flaws.append(Flaw(_text(path), f"is {_kind(value)}; allowed: integer or string"))
        return value
    if name != schema.type and (name, schema.type) != ("integer", "number"):
        flaws.append(Flaw(_text(path), f"is {_kind(value)}; allowed: {schema.type}"))
        return value
    if name == "object":
        return _validate_object(schema, value, path, flaws)
    if name == "array":
        return _validate_list(schema, value, path, flaws)
    if name == "string":
        _check_string(schema, value, path, flaws)
    elif name != "boolean":
        _check_number(schema, value, path, flaws)
    if schema.enum and value not in schema.enum:
        flaws.append(Flaw(_text(path), f"{shown(value)} is unknown; allowed: {', '.join(map(str, schema.enum))}"))
    return value


def without_unknown(schema: Schema, value: JSON, path: str, dropped: list[str]) -> JSON:
    """Return a copy of `value` without the fields that the schema does not have; their paths are added to `dropped`."""
    if isinstance(value, list) and schema.items is not None:
        items = schema.items
        return [without_unknown(items, item, f"{path}[{i}]", dropped) for i, item in enumerate(value)]
    if not isinstance(value, dict) or schema.type != "object":
        return value
    result: dict[str, JSON] = {}
    for key, item in value.items():
        sub = schema.properties.get(key) or schema.additional
        if sub is not None:
            result[key] = without_unknown(sub, item, _place(path, key), dropped)
        elif schema.preserve:
            result[key] = item
        else:
            dropped.append(_place(path, key))
    return result


def shown(value: JSON) -> str:
    """Return a value as an error message quotes it: short, printable."""
    text = repr(value)
    return text if len(text) <= MAX_SHOWN_CHARS else f"{text[: MAX_SHOWN_CHARS - 3]}..."


def _validate_object(schema: Schema, value: dict[str, JSON], path: Path, flaws: list[Flaw]) -> dict[str, JSON]:
    known = schema.properties
    result: dict[str, JSON] = {}
    for key, item in value.items():
        sub = known.get(key) or schema.additional
        if sub is not None:
            # A null stands for a field that is not set; the API server drops it.
            if item is not None:
                result[key] = validate(sub, item, (path, key), flaws)
        elif schema.preserve:
            result[key] = item
        else:
            allowed = ", ".join(sorted(known)) or "no field"
            flaws.append(Flaw(_text((path, key)), f"unknown field; allowed: {allowed}"))
    for key, sub in known.items():
        if sub.default is not UNSET and key not in result:
            result[key] = validate(sub, sub.default, (path, key), flaws)
    missing = [key for key in schema.required if key not in result]
    flaws.extend(Flaw(_text((path, key)), "is required") for key in missing)
    return result


def _validate_list(schema: Schema, value: list[JSON], path: Path, flaws: list[Flaw]) -> list[JSON]:
    count = len(value)
    if count < schema.min_items or (schema.max_items is not None and count > schema.max_items):
        most = "" if schema.max_items is None else f" to {schema.max_items}"
        flaws.append(Flaw(_text(path), f"has {count} items; allowed: {schema.min_items}{most}"))
    assert schema.items is not None
    seen: set[tuple[JSON, ...]] = set()
    result: list[JSON] = []
    for i, item in enumerate(value):
        valid = validate(schema.items, item, (path, i), flaws)
        result.append(valid)
        if schema.list_type in {"set", "map"}:
            key = _list_key(schema, valid)
            if key is not None and key in seen:
                flaws.append(Flaw(_text((path, i)), f"{', '.join(map(shown, key))} stands twice"))
            elif key is not None:
                seen.add(key)
    return result


def _list_key(schema: Schema, item: JSON) -> tuple[JSON, ...] | None:
    if not schema.list_keys:
        return (item,) if isinstance(item, (str, int)) else None
    if not isinstance(item, dict):
        return None
    key = tuple(item.get(name) for name in schema.list_keys)
    return key if all(part is None or isinstance(part, (str, int)) for part in key) else None


def _check_string(schema: Schema, value: str, path: Path, flaws: list[Flaw]) -> None:
    if not _is_unicode(value):
        flaws.append(Flaw(_text(path), "holds half of a surrogate pair; allowed: valid Unicode"))
    elif len(value) < schema.min_length or (schema.max_length is not None and len(value) > schema.max_length):
        most = "" if schema.max_length is None else f" to {schema.max_length}"
        flaws.append(Flaw(_text(path), f"has {len(value)} characters; allowed: {schema.min_length}{most}"))
    elif schema.pattern and not _matches(schema.pattern, value):
        flaws.append(Flaw(_text(path), f"{shown(value)} is malformed; allowed: {schema.pattern}"))
    elif schema.format == "date-time" and not _matches(_DATE_TIME, value):
        flaws.append(Flaw(_text(path), f"{shown(value)} is no time; allowed: RFC 3339, as 2026-01-31T12:00:00Z"))


def _check_number(schema: Schema, value: float, path: Path, flaws: list[Flaw]) -> None:
    least, most = _FORMATS.get(schema.format, (None, None))
    low = schema.minimum if schema.minimum is not None else least
    high = schema.maximum if schema.maximum is not None else most
    if (low is not None and value < low) or (high is not None and value > high):
        allowed = f"at least {low:.0f}" if high is None else f"{low:.0f} to {high:.0f}"
        flaws.append(Flaw(_text(path), f"{shown(value)} is out of range; allowed: {allowed}"))


def _text(path: Path) -> str:
    if isinstance(path, str):
        return path
    above, step = path
    return f"{_text(above)}[{step}]" if isinstance(step, int) else _place(_text(above), step)


def _place(path: str, key: str) -> str:
    # A key is text from outside, and a path is printed to a terminal.
    step = key if key.isprintable() and len(key) <= MAX_STEP_CHARS else shown(key)
    return f"{path}.{step}" if path else step


def _is_unicode(text: str) -> bool:
    return text.isascii() or not any(0xD800 <= ord(char) <= 0xDFFF for char in text)


def _kind(value: JSON) -> str:
    return "null" if value is None else _TYPES.get(type(value), type(value).__name__)


def _matches(pattern: str, value: str) -> bool:
    return (_recall if len(value) <= MEMO_CHARS else _search)(pattern, value)


@lru_cache(maxsize=16_384)
def _recall(pattern: str, value: str) -> bool:
    return _search(pattern, value)


def _search(pattern: str, value: str) -> bool:
    # As bytes: for text the library counts characters, which costs more than the search.
    return _compiled(pattern).search(value.encode()) is not None


@cache
def _compiled(pattern: str) -> Any:
    # RE2: the patterns meet text from outside, and some would make a backtracking matcher slow.
    options = re2.Options()
    options.never_capture = True
    return re2.compile(pattern, options=options)
