"""The one encoding of a resource, and its hash: the version.

msgspec leaves out a default only when it is the very same object, so that equal resources could be written in two ways;
here whatever equals its default is left out, and keys of dictionaries are sorted.
"""

from __future__ import annotations

import hashlib
from functools import cache
from typing import Any

import msgspec
from msgspec import NODEFAULT, Struct
from msgspec.structs import replace

from meshproxy.wire.resources import Endpoint, Endpoints, Resource

_encoder = msgspec.json.Encoder()
_sorting = msgspec.json.Encoder(order="deterministic")
_PROTOCOL = Endpoint(address="", port=0).protocol


def encode(resource: Resource) -> bytes:
    """Encode a resource: equal resources give equal bytes, in every process."""
    if isinstance(resource, Endpoints):
        return _sorting.encode(Endpoints(endpoints=[_with_own_default(item) for item in resource.endpoints]))
    return _encoder.encode(_plain(resource))


def version_of(resource: Resource) -> str:
    """Return the hash of a resource's content: equal for equal resources, in every process."""
    return hashlib.sha256(encode(resource)).hexdigest()[:16]


def _with_own_default(endpoint: Endpoint) -> Endpoint:
    """Return an equal endpoint that msgspec encodes as `_plain` would, in a fifteenth of the time.

    Endpoints change all the time and are many. Their defaults are single objects of Python's own (empty text, small
    numbers, truth values), or empty containers, which msgspec leaves out as well; all but one.
    """
    if endpoint.protocol is not _PROTOCOL and endpoint.protocol == _PROTOCOL:
        return replace(endpoint, protocol=_PROTOCOL)
    return endpoint


def _plain(value: Any) -> Any:
    if isinstance(value, Struct):
        tag, fields = _shape(type(value))
        result = dict(tag)
        for name, default in fields:
            item = getattr(value, name)
            if item != default:
                result[name] = _plain(item)
        return result
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in value]
    if isinstance(value, dict):
        return {key: value[key] for key in sorted(value)}
    return value


@cache
def _shape(kind: type[Struct]) -> tuple[dict[str, Any], list[tuple[str, Any]]]:
    """Return the tag, and each field's name with its default; the name also stands in JSON, as no field is renamed."""
    config = kind.__struct_config__
    tag = {config.tag_field: config.tag} if config.tag_field is not None else {}
    fields = []
    for field in msgspec.structs.fields(kind):
        default = field.default
        if default is NODEFAULT and field.default_factory is not NODEFAULT:
            default = field.default_factory()
        fields.append((field.encode_name, default))
    return tag, fields
