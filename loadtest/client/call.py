"""Requests: what of them is the same for all of a kind, prepared; and each one that is under way."""

from __future__ import annotations

from loadtest.scenario.model import Request

_EXPECTS_CONTENT = frozenset({"POST", "PUT", "PATCH"})
"""Methods for which an empty body is said in words (RFC 9110 8.6)."""


class Kind:
    """One sort of request, as bytes around its number.

    `is_single`: it has a connection of its own, which ends with it. `read_rate`: how many bytes of the answer are read
    per second; 0: as fast as they come.
    """

    __slots__ = ("body", "is_head", "is_single", "is_write", "origin", "prefix", "read_rate", "suffix")

    def __init__(self, request: Request, origin: str, host: str, id_prefix: str, keep_alive: bool) -> None:
        body = request.text.encode() if request.text is not None else bytes(request.body or 0)
        fields = [f"{name}: {value}" for name, value in request.headers.items()]
        if not any(name.lower() == "host" for name in request.headers):
            fields.insert(0, f"host: {host}")
        if body or request.body is not None or request.method in _EXPECTS_CONTENT:
            fields.append(f"content-length: {len(body)}")
        self.read_rate = request.read or 0
        self.is_single = not keep_alive or request.read is not None
        if self.is_single:
            fields.append("connection: close")
        head = "\r\n".join([f"{request.method} {request.path} HTTP/1.1", *fields, f"x-request-id: {id_prefix}"])
        self.prefix = head.encode()
        self.suffix = b"\r\n\r\n"
        self.body = body
        self.origin = origin
        self.is_head = request.method == "HEAD"
        self.is_write = request.is_write


class Call:
    """One request that is due: its number, its intended start in seconds of the run, the phase it is counted in."""

    __slots__ = ("intended_s", "kind", "number", "phase")

    def __init__(self, number: int, intended_s: float, phase: int, kind: Kind) -> None:
        self.number = number
        self.intended_s = intended_s
        self.phase = phase
        self.kind = kind
