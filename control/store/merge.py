"""JSON merge patches (RFC 7386)."""

from __future__ import annotations

from control.model.schema import JSON

MAX_DEPTH = 100
"""Objects within objects that a patch may have."""


class MergeError(ValueError):
    """A patch that cannot be carried out."""


def merge(target: JSON, patch: JSON, depth: int = 0) -> JSON:
    """Return the target with the patch applied; neither is changed. Raise MergeError for one nested too deeply."""
    if not isinstance(patch, dict):
        return patch
    if depth >= MAX_DEPTH:
        raise MergeError(f"the patch is nested too deeply; allowed: {MAX_DEPTH} objects within each other")
    result = dict(target) if isinstance(target, dict) else {}
    for name, value in patch.items():
        if value is None:
            result.pop(name, None)
        else:
            result[name] = merge(result.get(name), value, depth + 1)
    return result
