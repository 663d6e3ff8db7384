"""Configurations of other proxies as an operator would write them, with the reasons beside every choice."""

from __future__ import annotations

from functools import cache

from jinja2 import Environment, PackageLoader, StrictUndefined

from loadtest.scenario.units import duration


@cache
def _environment() -> Environment:
    environment = Environment(  # noqa: S701 - YAML and plain text, nothing is HTML
        loader=PackageLoader("loadtest.subjects", "templates"),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters["duration"] = duration
    environment.filters["seconds"] = seconds
    environment.filters["milliseconds"] = milliseconds
    return environment


def render(name: str, **values: object) -> str:
    """The template `name`, filled in; a value that is missing is an error."""
    return _environment().get_template(name).render(values)


def seconds(duration_s: float) -> str:
    """As protobuf writes durations in JSON: `0.25s`."""
    return f"{duration_s:.6f}".rstrip("0").rstrip(".") + "s"


def milliseconds(duration_s: float) -> str:
    """As HAProxy reads them, at least 1: `250ms`."""
    return f"{max(1, round(duration_s * 1000))}ms"
