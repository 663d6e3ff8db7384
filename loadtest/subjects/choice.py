"""Which subjects there are, by name."""

from __future__ import annotations

import difflib
from collections.abc import Sequence

from loadtest.subjects.address import There
from loadtest.subjects.direct import Direct
from loadtest.subjects.envoy import Envoy
from loadtest.subjects.haproxy import HAProxy
from loadtest.subjects.meshproxy import MeshProxy
from loadtest.subjects.subject import Place, Subject, SubjectError

ABOUT = {
    "direct": "Nothing in between: new connections go to the instances in turn.",
    "meshproxy": "The mesh's sidecar of the caller alone, with a control plane.",
    "meshproxy-snapshot": "The mesh's sidecar of the caller alone, from a compiled snapshot file.",
    "meshproxy-pair": "The mesh's sidecar of the caller and one before every instance, plain, with a control plane.",
    "meshproxy-mtls": "The same pair with mTLS by SPIFFE identities, with a control plane.",
    "meshproxy-mtls-snapshot": "The same pair with mTLS, from a compiled snapshot file.",
    "envoy": "Envoy alone, its endpoints from files.",
    "envoy-mtls": "An Envoy of the caller and one before every instance, with mTLS by SPIFFE identities.",
    "haproxy": "HAProxy alone.",
}
"""Each name, and what it stands for."""

_ADDRESS = "http://HOST:PORT"


def is_address(name: str) -> bool:
    """Whether it says where something is already, instead of what to start."""
    return "://" in name


def check(names: Sequence[str]) -> None:
    """SubjectError for the first name that there is not; whether its programs are here is seen when it is made."""
    for name in names:
        if is_address(name):
            There(name)
        elif name not in ABOUT:
            close = difflib.get_close_matches(name, ABOUT, n=1)
            hint = f"did you mean {close[0]}? " if close else ""
            raise SubjectError(f"there is no subject {name!r}; {hint}allowed: {', '.join(ABOUT)}, {_ADDRESS}")


def make(name: str, place: Place) -> Subject:
    """The subject, not yet started. SubjectError for an unknown name or a program that is missing."""
    check([name])
    match name:
        case "direct":
            return Direct()
        case "envoy" | "envoy-mtls":
            return Envoy(place, mtls=name == "envoy-mtls")
        case "haproxy":
            return HAProxy(place)
    if is_address(name):
        return There(name)
    words = name.split("-")
    return MeshProxy(
        place,
        name,
        pair="pair" in words or "mtls" in words,
        mtls="mtls" in words,
        file="snapshot" in words,
    )
