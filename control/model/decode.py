"""From a JSON document to a typed object, or to everything that is wrong with it."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any, NamedTuple, TypeAlias

import msgspec

from control.model.core import check_endpoint_slice, check_service
from control.model.httproute import check_http_route
from control.model.objects import EndpointSlice, Key, Namespace, Node, Pod, Service
from control.model.routes import HTTPRoute, ReferenceGrant
from control.model.schema import JSON, Flaw, Schema, load, loosened, shown, validate, without_unknown
from meshproxy.wire.names import is_label, is_subdomain

Known: TypeAlias = Service | EndpointSlice | Pod | Node | Namespace | HTTPRoute | ReferenceGrant

MAX_FLAWS = 50
"""So many flaws of one object are told."""


class ObjectError(ValueError):
    """An object that cannot be taken; `flaws` says why, at least one and at most MAX_FLAWS."""

    def __init__(self, flaws: list[Flaw]) -> None:
        self.flaws = flaws[:MAX_FLAWS]
        super().__init__("\n".join(map(str, self.flaws)))


class _Kind(NamedTuple):
    type: type[Known]
    check: Callable[[Any], list[Flaw]]


def _no_flaws(_: object) -> list[Flaw]:
    return []


_GATEWAY = ("gateway.networking.k8s.io/v1", "gateway.networking.k8s.io/v1beta1")
_KINDS: dict[tuple[str, str], _Kind] = {
    ("v1", "Service"): _Kind(Service, check_service),
    ("discovery.k8s.io/v1", "EndpointSlice"): _Kind(EndpointSlice, check_endpoint_slice),
    ("v1", "Pod"): _Kind(Pod, _no_flaws),
    **{(version, "HTTPRoute"): _Kind(HTTPRoute, check_http_route) for version in _GATEWAY},
    **{(version, "ReferenceGrant"): _Kind(ReferenceGrant, _no_flaws) for version in _GATEWAY},
}
KINDS = tuple(dict.fromkeys(kind for _, kind in _KINDS))
"""Those that documents may be of. Nodes and Namespaces come from a cluster alone, which has checked them."""
_TYPES: dict[str, type[Known]] = {
    **{name: kind.type for (_, name), kind in _KINDS.items()},
    "Node": Node,
    "Namespace": Namespace,
}


class Identity(NamedTuple):
    """What a document says it is, as far as it can be told."""

    api_version: str
    kind: str
    key: Key

    def __str__(self) -> str:
        return f"{self.kind or 'object'} {self.key}" if self.key.name else self.kind or "object"


def identify(document: JSON) -> Identity:
    """Return apiVersion, kind, namespace and name of a document; empty where it has none or a malformed one."""
    fields = document if isinstance(document, dict) else {}
    metadata = fields.get("metadata")
    metadata = metadata if isinstance(metadata, dict) else {}

    def text(value: JSON) -> str:
        return value if isinstance(value, str) and value.isprintable() and len(value) <= 253 else ""

    key = Key(text(metadata.get("namespace")) or "default", text(metadata.get("name")))
    return Identity(text(fields.get("apiVersion")), text(fields.get("kind")), key)


def type_of(kind: str) -> type[Known]:
    """Return the type that objects of a known kind decode to."""
    return _TYPES[kind]


def is_known(identity: Identity) -> bool:
    return (identity.api_version, identity.kind) in _KINDS


def has_known_group(identity: Identity) -> bool:
    """Tell whether an object is of an API group that is read here, in whatever version."""
    group = _group(identity.api_version)
    return any(_group(version) == group for version, _ in _KINDS)


def _group(api_version: str) -> str:
    return api_version.rpartition("/")[0]


def decode(document: JSON, *, is_admitted: bool = False) -> Known:
    """Decode one object of a known kind. Raise ObjectError with all its flaws.

    `is_admitted`: an API server has checked it, by the CRD that it has. The limits of values differ between versions
    and channels of a CRD (the standard one takes any header value), so ours do not count then.
    """
    identity = identify(document)
    kind = _KINDS.get((identity.api_version, identity.kind))
    flaws: list[Flaw] = []
    if kind is None:
        known = ", ".join(version for version, name in _KINDS if name == identity.kind)
        message = f"{shown(identity.api_version)} {identity.kind} is not known; allowed: {known or ', '.join(KINDS)}"
        raise ObjectError([Flaw("apiVersion", message)])
    plain = validate((_shape if is_admitted else _whole)(identity.kind), document, "", flaws)
    if flaws:
        raise ObjectError(flaws)
    value = msgspec.convert(plain, kind.type)
    _check_name(value, flaws)
    flaws.extend(kind.check(value))
    if flaws:
        raise ObjectError(flaws)
    return value


_recalled: dict[str, msgspec.json.Decoder[Known]] = {
    kind.__name__: msgspec.json.Decoder(kind) for kind in (Service, EndpointSlice, Pod)
}


def recall(kind: str, body: bytes) -> Known:
    """Decode an object that `decode` has found good before it was stored. Raise ObjectError.

    Of the kinds that change all the time the types have every default that the schema has, so that it need not be gone
    through again (3 µs for a slice of ten endpoints instead of 59). What the types alone cannot read (a null, no
    namespace) is decoded like a new object.
    """
    decoder = _recalled.get(kind)
    if decoder is not None:
        try:
            item = decoder.decode(body)
            if item.metadata.namespace:
                return item
        except msgspec.DecodeError:
            pass
    try:
        document = msgspec.json.decode(body)
    except msgspec.DecodeError as error:
        raise ObjectError([Flaw("", f"is no JSON: {error}")]) from None
    return decode(document)


def prune(document: JSON) -> tuple[JSON, list[str]]:
    """Return an object of a known kind without the fields that the kind does not have, and these fields' paths."""
    identity = identify(document)
    dropped: list[str] = []
    if not is_known(identity):
        return document, dropped
    return without_unknown(_whole(identity.kind), document, "", dropped), dropped


@cache
def _whole(kind: str) -> Schema:
    schema = load(kind.lower())
    text = Schema(type="string")
    properties = {"apiVersion": text, "kind": text, "metadata": load("metadata"), **schema.properties}
    return msgspec.structs.replace(schema, properties=properties, required=["metadata", *schema.required])


@cache
def _shape(kind: str) -> Schema:
    return loosened(_whole(kind))


def _check_name(value: Known, flaws: list[Flaw]) -> None:
    name = value.metadata.name
    if isinstance(value, Service):
        if not is_label(name):
            flaws.append(Flaw("metadata.name", f"{shown(name)} is malformed; allowed: an RFC 1123 label"))
    elif not is_subdomain(name):
        flaws.append(Flaw("metadata.name", f"{shown(name)} is malformed; allowed: an RFC 1123 subdomain"))
