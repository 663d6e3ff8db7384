"""Names of resources: `routes/NS/NAME:PORT`, `backend/...`, `endpoints/...`, `service/NS/NAME`, `workload/NS/POD`.

Parsing is strict and bounded, because names come from files and from the network: RFC 1123 labels in lower case, ports
in decimal without leading zeros. Exactly one text exists for a name.
"""

from __future__ import annotations

import re
from typing import NamedTuple

from meshproxy.wire.resources import Backend, Endpoints, Resource, Routes, Service, Workload

TYPES: dict[str, type[Resource]] = {
    "routes": Routes,
    "backend": Backend,
    "endpoints": Endpoints,
    "service": Service,
    "workload": Workload,
}
"""The type of resource by the first word of its name."""

PORT_KINDS = frozenset({"routes", "backend", "endpoints"})
"""The kinds that exist once per port of a Service."""

MAX_CHARS = 400

_LABEL = re.compile(r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?")
_SUBDOMAIN = re.compile(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*")
_PORT = re.compile(r"[1-9][0-9]{0,4}")
_SHAPES = {
    **dict.fromkeys(PORT_KINDS, "KIND/NAMESPACE/SERVICE:PORT"),
    "service": "service/NAMESPACE/SERVICE",
    "workload": "workload/NAMESPACE/POD",
}


class PortKey(NamedTuple):
    """One port of a Service, NS/NAME:PORT: what routes, backend and endpoints are about."""

    namespace: str
    service: str
    port: int

    def __str__(self) -> str:
        return f"{self.namespace}/{self.service}:{self.port}"

    def name(self, kind: str) -> str:
        """Return the name of this port's resource of a kind out of PORT_KINDS."""
        return f"{kind}/{self.namespace}/{self.service}:{self.port}"


class Name(NamedTuple):
    """A resource's name in its parts; `port` is 0 where the kind has none."""

    kind: str
    namespace: str
    name: str
    port: int = 0

    def __str__(self) -> str:
        text = f"{self.kind}/{self.namespace}/{self.name}"
        return f"{text}:{self.port}" if self.port else text


def is_label(text: str) -> bool:
    """Tell whether `text` is an RFC 1123 label, as names of namespaces and Services are."""
    return _LABEL.fullmatch(text) is not None


def is_subdomain(text: str) -> bool:
    """Tell whether `text` is an RFC 1123 subdomain of at most 253 characters, as names of other objects are."""
    return len(text) <= 253 and _SUBDOMAIN.fullmatch(text) is not None


def is_port(number: int) -> bool:
    return 1 <= number <= 65535


def kind_of(text: str) -> str:
    """Return the word before the first slash; it need not be a known kind."""
    return text.partition("/")[0]


def parse(text: str) -> Name:
    """Split a resource's name. Raise ValueError, saying what is allowed, for anything but its one spelling."""
    if len(text) > MAX_CHARS:
        raise ValueError(f"a resource's name has at most {MAX_CHARS} characters, this one {len(text)}")
    kind, _, rest = text.partition("/")
    if kind not in TYPES:
        raise ValueError(f"unknown kind of resource {kind!r}; allowed: {', '.join(TYPES)}")
    if kind in PORT_KINDS:
        try:
            return Name(kind, *parse_port_key(rest))
        except ValueError:
            raise _malformed(kind, text) from None
    namespace, _, name = rest.partition("/")
    if not is_label(namespace) or not (is_subdomain(name) if kind == "workload" else is_label(name)):
        raise _malformed(kind, text)
    return Name(kind, namespace, name)


def _malformed(kind: str, text: str) -> ValueError:
    return ValueError(f"malformed name {text!r}; allowed: {_SHAPES[kind]}")


def parse_port_key(text: str) -> PortKey:
    """Split NS/NAME:PORT, as routes name their backends. Raise ValueError for anything but its one spelling."""
    namespace, _, rest = text.partition("/")
    service, _, port = rest.partition(":")
    if is_label(namespace) and is_label(service) and _PORT.fullmatch(port) and is_port(int(port)):
        return PortKey(namespace, service, int(port))
    raise ValueError(f"malformed port of a Service {text[:MAX_CHARS]!r}; allowed: NAMESPACE/SERVICE:PORT")
