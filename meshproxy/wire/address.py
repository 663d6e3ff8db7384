"""Addresses of endpoints: which are usable, in which order they stand, and the identity behind them."""

from __future__ import annotations

import re
from functools import lru_cache
from ipaddress import IPv6Address, ip_address

from meshproxy.wire.names import is_label, is_subdomain

_SPIFFE = re.compile(r"spiffe://([^/]*)/ns/([^/]*)/sa/([^/]*)")


@lru_cache(maxsize=65536)
def _order(address: str) -> tuple[int, int]:
    ip = ip_address(address)
    return ip.version, int(ip)


def endpoint_order(address: str, port: int) -> tuple[int, int, int]:
    """Return the sort key of an endpoint: IPv4 before IPv6, then by number, then by port. ValueError for no IP."""
    return (*_order(address), port)


@lru_cache(maxsize=65536)
def canonical_address(address: str) -> str:
    """Return the one spelling of an IP address. Raise ValueError for anything else."""
    return str(ip_address(address))


@lru_cache(maxsize=65536)
def address_problem(address: str) -> str:
    """Say why `address` cannot be dialed, or return nothing. Loopback and link-local addresses are usable."""
    try:
        ip = ip_address(address)
    except ValueError:
        return f"{address[:64]!r} is no IP address; allowed: an IPv4 or IPv6 literal without brackets"
    if "%" in address:
        return f"{address[:64]!r} has a scope; allowed: an IP address without one"
    if ip.is_unspecified or ip.is_multicast or address == "255.255.255.255":
        return f"{address} names no single host; allowed: a unicast address"
    if isinstance(ip, IPv6Address) and ip.ipv4_mapped is not None:
        return f"{address} is an IPv4 address in IPv6's clothes; allowed: {ip.ipv4_mapped}"
    if str(ip) != address:
        return f"{address} is not in its canonical form; allowed: {ip}"
    return ""


def spiffe_id(trust_domain: str, namespace: str, service_account: str) -> str:
    return f"spiffe://{trust_domain}/ns/{namespace}/sa/{service_account}"


@lru_cache(maxsize=65536)
def is_spiffe_id(text: str) -> bool:
    """Tell whether `text` is spiffe://TRUST_DOMAIN/ns/NS/sa/SA, the only form that the mesh gives out."""
    match = _SPIFFE.fullmatch(text) if len(text) <= 1024 else None
    return match is not None and is_subdomain(match[1]) and is_label(match[2]) and is_subdomain(match[3])


def parse_place(text: str, default_port: int) -> tuple[str, int]:
    """Split `ADDR:PORT`, `ADDR` or `[V6]:PORT`; without a port it is `default_port`, 0 standing for none.

    Raise ValueError, saying what is needed.
    """
    host, port = text, str(default_port) if default_port else ""
    if text.startswith("["):
        host, _, rest = text[1:].partition("]")
        port = rest.removeprefix(":") or port
    elif text.count(":") == 1:
        host, _, port = text.partition(":")
    try:
        number = int(port) if port.isascii() and port.isdigit() else -1
        if 0 <= number <= 65535:
            return str(ip_address(host)), number
    except ValueError:
        pass
    raise ValueError(f"{text!r}: an IP address and a port are needed, such as 127.0.0.1:{default_port or 8080}")


def format_place(place: tuple[str, int]) -> str:
    """Write an address and port, IPv6 in brackets."""
    host, port = place
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
