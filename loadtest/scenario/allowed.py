"""What would be allowed at a place of a scenario, and what stands there, in words; from the model's JSON Schema."""

from __future__ import annotations

import json
from collections.abc import Callable
from functools import cache
from typing import Any

from loadtest.scenario.lines import Path
from loadtest.scenario.model import Scenario
from loadtest.scenario.units import duration, rate, size

_LONGEST_QUOTE = 40
_FORMATS: dict[str, tuple[str, str, Callable[[Any], str]]] = {
    "duration": ("a duration", ", for example 250ms or 1m30s", duration),
    "rate": ("a rate", ", for example 400/s or 2.5k/s", rate),
    "size": ("a size", ", for example 64KiB", size),
}
PATTERNS = {
    "^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$": "a name of lower-case letters, digits and dashes within, 63 at most",
    "^[a-z0-9][a-z0-9-]{0,63}$": "a name of lower-case letters, digits and dashes after the first, 64 at most",
    "^[A-Z]{1,16}$": "a method in capitals, for example GET",
    '^/[!"$-~]*$': "a path that begins with / and has no spaces and no #",
    r"^[^\p{C}]*$": "text in a line, without control characters",
    r"^[\n[^\p{C}]]*$": "text without control characters",
    "^[1-5](xx|[0-9]{2})$": "a status like 200, or a class like 2xx",
}
"""Every pattern of the model in words."""


@cache
def _schema() -> dict[str, Any]:
    return Scenario.model_json_schema()


def schema_at(path: Path) -> dict[str, Any]:
    """The part of the schema for a place, {} where there is none; (..., name, "[key]") is the name itself."""
    found = _schema()
    if path[-1:] == ("[key]",):
        path = (*path[:-2], "[key]")
    for step in path:
        found = _plain(found)
        if isinstance(step, int):
            found = found.get("items", {})
        elif step == "[key]":
            found = {"type": "string", "pattern": next(iter(found.get("patternProperties", {"": None})))}
        else:
            others = next(iter(found.get("patternProperties", {}).values()), found.get("additionalProperties"))
            found = found.get("properties", {}).get(step) or (others if isinstance(others, dict) else {})
        found = _plain(found)
    return found


def _plain(schema: dict[str, Any]) -> dict[str, Any]:
    """Without references, and without the possibility to leave it out."""
    while "$ref" in schema or "anyOf" in schema:
        if "$ref" in schema:
            schema = _schema()["$defs"][schema["$ref"].rpartition("/")[2]]
        else:
            schema = next(each for each in schema["anyOf"] if each.get("type") != "null")
    return schema


def fields(path: Path) -> list[str]:
    """The fields that an object may have."""
    return list(schema_at(path).get("properties", {}))


def allowed(path: Path) -> str:
    """What may stand there: `a whole number from 1 to 200`, `open or closed`."""
    schema = schema_at(path)
    if "const" in schema:
        return "true, or left out"
    if "enum" in schema:
        return " or ".join(schema["enum"])
    most = f", at most {schema['maxLength']} characters" if "maxLength" in schema else ""
    if "pattern" in schema:
        return PATTERNS[schema["pattern"]] + most
    if schema.get("format") in _FORMATS:
        name, example, told = _FORMATS[schema["format"]]
        return f"{name}{_bounds(schema, told)}{example}"
    match schema.get("type"):
        case "integer":
            return f"a whole number{_bounds(schema, str)}"
        case "number":
            return f"a number{_bounds(schema, '{:g}'.format)}"
        case "boolean":
            return "true or false"
        case "string":
            return f"text{', not empty' if 'minLength' in schema else ''}{most}"
        case "array":
            return f"a list{_length(schema.get('minItems', 0), schema.get('maxItems'), 'entries')}"
        case "object" if "properties" in schema:
            return f"a mapping of {', '.join(schema['properties'])}"
        case _:
            return f"a mapping{_length(schema.get('minProperties', 0), schema.get('maxProperties'), 'fields')}"


def _bounds(schema: dict[str, Any], told: Callable[[Any], str]) -> str:
    # beside a validator of its own, pydantic writes the names of its own bounds
    above = schema.get("exclusiveMinimum", schema.get("gt"))
    least = schema.get("minimum", schema.get("ge"))
    most = schema.get("maximum", schema.get("le"))
    if above is not None:
        return f" above {told(above)}" + (f", {told(most)} at most" if most is not None else "")
    if least is None:
        return f", {told(most)} at most" if most is not None else ""
    return f" from {told(least)} to {told(most)}" if most is not None else f", {told(least)} or more"


def _length(least: int, most: int | None, noun: str) -> str:
    if most is None:
        return f" of at least {least} {noun}" if least else ""
    if least == most:
        return f" of {most} {noun}"
    return f" of {least} to {most} {noun}" if least else f" of at most {most} {noun}"


def found(value: object) -> str:
    """What stands there, in words of YAML: `the text "abc"`, `5`, `a list of 3`."""
    if value is None:
        return "nothing"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int | float):
        return f"{value:.6g}" if isinstance(value, float) else str(value)
    if isinstance(value, str):
        return f"the text {quoted(value)}"
    if not value:
        return "an empty list" if isinstance(value, list) else "an empty mapping"
    return f"a list of {len(value)}" if isinstance(value, list) else "a mapping"


def quoted(text: str) -> str:
    """In double quotes, cut, without anything that a terminal would obey."""
    cut = text if len(text) <= _LONGEST_QUOTE else f"{text[:_LONGEST_QUOTE]}..."
    return json.dumps(cut, ensure_ascii=not cut.isprintable())
