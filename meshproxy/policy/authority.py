"""What a Host means: a Service of the mesh, or a place outside of it."""

from __future__ import annotations

import re
from collections.abc import Collection
from ipaddress import IPv6Address
from typing import NamedTuple, TypeAlias

from meshproxy.policy.rewrite import split_port

MAX_NAME = 253
_LABEL = re.compile(r"[a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9_])?")
_SERVICE = re.compile(r"[a-z0-9]([a-z0-9-]*[a-z0-9])?")
_OCTET = re.compile(r"0|[1-9][0-9]{0,2}")
_PORT = re.compile(rb"[1-9][0-9]{0,4}")


class ServiceName(NamedTuple):
    """A Service by name, whether it exists or not. `port` is None when the authority names none."""

    namespace: str
    name: str
    port: int | None


class Outside(NamedTuple):
    """A place outside of the mesh: a DNS name in lower case without trailing dot, or an IP literal without brackets."""

    host: str
    port: int | None


Destination: TypeAlias = ServiceName | Outside


def resolve(authority: bytes, namespace: str, cluster_domain: str = "cluster.local") -> Destination | None:
    """The destination that an authority names, seen from a workload of `namespace`; None when it is invalid.

    `NAME`, `NAME.NS`, `NAME.NS.svc` and `NAME.NS.svc.DOMAIN` are Services, in any case and with or without a trailing
    dot and a port. Nothing is looked up.
    """
    host, digits = split_port(authority)
    port: int | None = None
    if len(host) != len(authority):
        if not _PORT.fullmatch(digits) or int(digits) > 65535:
            return None
        port = int(digits)
    if host.startswith(b"["):
        return _literal(host, port)
    if not host.isascii():
        return None
    name = host.decode().lower().removesuffix(".")
    labels = name.split(".")
    if len(name) > MAX_NAME or not all(map(_LABEL.fullmatch, labels)):
        return None
    if len(labels) == 4 and all(map(str.isdigit, labels)):
        is_address = all(_OCTET.fullmatch(label) and int(label) < 256 for label in labels)
        return Outside(name, port) if is_address else None
    if len(labels) <= 2:
        owner = labels[1] if len(labels) == 2 else namespace
    elif labels[2:] == ["svc"] or labels[2:] == ["svc", *cluster_domain.lower().strip(".").split(".")]:
        owner = labels[1]
    else:
        return Outside(name, port)
    if not (_SERVICE.fullmatch(labels[0]) and _SERVICE.fullmatch(owner)):
        return Outside(name, port)
    return ServiceName(owner, labels[0], port)


def _literal(host: bytes, port: int | None) -> Outside | None:
    """An IPv6 address in brackets, without a zone."""
    try:
        if not host.endswith(b"]") or b"%" in host:
            return None
        return Outside(str(IPv6Address(host[1:-1].decode("ascii"))), port)
    except ValueError:
        return None


def pick_port(ports: Collection[int], wanted: int | None) -> int | None:
    """The port of a Service that an authority means: the one it names, else 80, else the only one; None is none."""
    if wanted is None:
        return 80 if 80 in ports else next(iter(ports)) if len(ports) == 1 else None
    return wanted if wanted in ports else None
