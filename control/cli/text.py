"""Objects as YAML and JSON text, as it is shown, compared and read again."""

from __future__ import annotations

import json
import re
from typing import Any

import yaml

_SERVER_METADATA = ("creationTimestamp", "generation", "managedFields", "resourceVersion", "uid")
_AMBIGUOUS = re.compile(r"[-+]?[.0-9][0-9._]*(?:[eE][-+]?[0-9]+)?|0[xo][0-9a-fA-F_]+")
"""Numbers of YAML 1.2 that the emitter, which knows 1.1, would leave without quotes."""
_SAFE_DUMPER: Any = getattr(yaml, "CSafeDumper", yaml.SafeDumper)


class _Dumper(_SAFE_DUMPER):  # type: ignore[misc] # one of two classes, as PyYAML was built
    """Keeps the order of keys, writes no aliases, and long text of several lines as a block."""

    def ignore_aliases(self, data: Any) -> bool:  # noqa: ARG002 - what is overridden
        return True


def _text(dumper: Any, value: str) -> Any:
    style = "|" if "\n" in value and value.replace("\n", "").isprintable() else None
    if _AMBIGUOUS.fullmatch(value):
        style = "'"
    return dumper.represent_scalar("tag:yaml.org,2002:str", value, style=style)


_Dumper.add_representer(str, _text)


def to_yaml(document: Any) -> str:
    """Return a document as YAML that reads back as the same values."""
    text: str = yaml.dump(document, Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=120)
    return text


def to_json(document: Any) -> str:
    return json.dumps(document, indent=2, ensure_ascii=False) + "\n"


def shown(document: Any) -> Any:
    """Return a document without the bookkeeping of managers, which is long and read by nobody."""
    return _without(document, ("managedFields",))


def written(document: Any) -> Any:
    """Return what of a document was written by its authors: without the server's metadata and the status."""
    document = _without(document, _SERVER_METADATA)
    return (
        {key: value for key, value in document.items() if key != "status"} if isinstance(document, dict) else document
    )


def _without(document: Any, names: tuple[str, ...]) -> Any:
    if not isinstance(document, dict) or not isinstance(document.get("metadata"), dict):
        return document
    metadata = {key: value for key, value in document["metadata"].items() if key not in names}
    return {**document, "metadata": metadata}
