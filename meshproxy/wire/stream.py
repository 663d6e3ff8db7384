"""The messages of the push stream, in both directions.

The stream is a WebSocket at `PATH`; every message is one text frame of JSON, tagged `type`. Its semantics are those of
incremental xDS (Envoy's delta discovery): the sidecar says what it holds (`Hello.known`) and what it wants
(`Subscribe`), the control plane sends what has another version and names what does not exist, and each `Push` is taken
whole (`Ack`) or refused whole (`Nack`). A name that does not exist stays subscribed.

Unknown fields are ignored; an unknown `schema` is refused. Until identities exist a `Hello` is believed.
"""

from __future__ import annotations

from typing import TypeAlias

import msgspec
from msgspec import Struct

from meshproxy.wire.names import is_label
from meshproxy.wire.problem import Problem
from meshproxy.wire.resources import Endpoint

PATH = "/mesh/v1alpha1/stream"
MAX_FRAME_BYTES = 16 * 1024 * 1024
"""The greatest message; a resource that does not fit into one cannot be pushed."""
MAX_NAMES = 16_384
"""So many names can one sidecar subscribe to."""
PING_S = 10.0
"""Both ends send a WebSocket ping this often; an end that hears nothing for two of them gives the stream up."""
ANY = "*"


class Node(Struct, frozen=True, kw_only=True):
    """Who holds the stream: `version` is that of the sidecar's program."""

    namespace: str
    service_account: str
    workload: str
    version: str


class Hello(Struct, frozen=True, kw_only=True, tag="hello"):
    """A sidecar's first message. `known`: version by name of every resource that it holds; subscribes to none."""

    node: Node
    schema: int
    known: dict[str, str] = {}


class Subscribe(Struct, frozen=True, kw_only=True, tag="subscribe"):
    """Names of resources, also `service/NS/*`: all Services of a namespace, up to a bound of the control plane's.

    Answered by at least one Push, which may be empty: then all is as it was known.
    """

    names: list[str]


class Unsubscribe(Struct, frozen=True, kw_only=True, tag="unsubscribe"):
    """Nothing is sent about these names any more; what is on its way still comes. Not answered."""

    names: list[str]


class Patch(Struct, frozen=True, kw_only=True):
    """A change of `endpoints/...` against version `base`: endpoints to put in, and places (ADDR:PORT) to take out."""

    base: str
    upsert: list[Endpoint] = []
    remove: list[str] = []


class Update(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A resource's new version: whole (`resource`, decoded by its name's kind), or as a `patch`; one of the two."""

    name: str
    version: str
    resource: msgspec.Raw = msgspec.Raw(b"")
    patch: Patch | None = None


class Push(Struct, frozen=True, kw_only=True, tag="push"):
    """Takes effect as a whole. `removed` names what does not exist (any more)."""

    nonce: str
    updated: list[Update] = []
    removed: list[str] = []


class Ack(Struct, frozen=True, kw_only=True, omit_defaults=True, tag="ack"):
    """The push is valid, and in effect, or waits only for the resources that `waiting` names (make before break)."""

    nonce: str
    waiting: list[str] = []


class Nack(Struct, frozen=True, kw_only=True, tag="nack"):
    """Nothing of the push was taken; what was in effect stays."""

    nonce: str
    problems: list[Problem]


class Ask(Struct, frozen=True, kw_only=True, tag="ask"):
    """The control plane reads a sidecar's `config`, `endpoints` or `metrics`."""

    id: int
    what: str


class Answer(Struct, frozen=True, kw_only=True, omit_defaults=True, tag="answer"):
    """`body` is what the sidecar's admin address would serve; `error` says why there is none."""

    id: int
    body: str = ""
    error: str = ""


FromSidecar: TypeAlias = Hello | Subscribe | Unsubscribe | Ack | Nack | Answer
FromControl: TypeAlias = Push | Ask

_encoder = msgspec.json.Encoder()
_from_sidecar: msgspec.json.Decoder[FromSidecar] = msgspec.json.Decoder(FromSidecar)
_from_control: msgspec.json.Decoder[FromControl] = msgspec.json.Decoder(FromControl)


class StreamError(ValueError):
    """A message that cannot be understood; the stream ends."""


def encode(message: FromSidecar | FromControl) -> bytes:
    return _encoder.encode(message)


def decode_from_sidecar(data: bytes | str) -> FromSidecar:
    """Decode what a sidecar has sent. Raise StreamError."""
    try:
        return _from_sidecar.decode(data)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise StreamError(str(error)) from None


def decode_from_control(data: bytes | str) -> FromControl:
    """Decode what a control plane has sent. Raise StreamError."""
    try:
        return _from_control.decode(data)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise StreamError(str(error)) from None


def all_services(namespace: str) -> str:
    """Return the name that subscribes to all Services of a namespace."""
    return f"service/{namespace}/{ANY}"


def namespace_of(name: str) -> str | None:
    """Return the namespace whose Services a name of `all_services` asks for; None for any other name."""
    kind, _, rest = name.partition("/")
    namespace, _, owner = rest.partition("/")
    return namespace if (kind, owner) == ("service", ANY) and is_label(namespace) else None
