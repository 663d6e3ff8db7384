"""What can go wrong between a client and the API server, to be had on demand. Pure."""

from __future__ import annotations

from dataclasses import dataclass, field

import msgspec

from tests.fakes.kubernetes.failure import status

JSON = "application/json"


@dataclass(frozen=True)
class Fault:
    """What happens to a request. The fields go together as far as they make sense.

    `code` and `body` are given in place of the answer. `bytes_per_s` slows its body down, `cut_after` ends it (by a
    reset) after so many bytes. With `is_silent` a watch is accepted and says nothing, and anything else waits for its
    answer in vain.
    """

    code: int = 0
    body: bytes = b""
    content_type: str = JSON
    headers: dict[str, str] = field(default_factory=dict)
    bytes_per_s: int = 0
    cut_after: int = -1
    is_silent: bool = False


def refusal(code: int, reason: str, message: str, retry_after_s: str = "") -> Fault:
    headers = {"Retry-After": retry_after_s} if retry_after_s else {}
    return Fault(code, msgspec.json.encode(status(code, reason, message)), headers=headers)


def too_many(retry_after: str = "1") -> Fault:
    """429, as priority and fairness says it; `retry_after` are seconds or a date."""
    return refusal(429, "TooManyRequests", "Too many requests, please try again later.", retry_after)


def broken() -> Fault:
    return refusal(500, "InternalError", "Internal error occurred: etcdserver: no leader")


def unavailable(retry_after: str = "") -> Fault:
    """503, as a server that starts says it."""
    return refusal(503, "ServiceUnavailable", "the server is currently unable to handle the request", retry_after)


def unauthorized() -> Fault:
    return refusal(401, "Unauthorized", "Unauthorized")


def forbidden(plural: str) -> Fault:
    """403 for a while; for rights that stay away see FakeApi.allow."""
    return refusal(
        403, "Forbidden", f'{plural} is forbidden: User "system:serviceaccount:mesh:meshcontrol" is not allowed'
    )


def html(code: int = 200) -> Fault:
    """A captive portal, or a proxy's own idea of an answer."""
    return Fault(code, b"<!DOCTYPE html>\n<html><body><h1>Welcome</h1></body></html>\n", "text/html; charset=utf-8")


def garbage(body: bytes, content_type: str = JSON) -> Fault:
    """A success with any bytes."""
    return Fault(200, body, content_type)


SILENCE = Fault(is_silent=True)
BROKEN_LINE = b'{"type":"MODIFIED","object":{"kind":"EndpointSlice","metadata":}}\n'
TRUNCATED_LINE = b'{"type":"MODIFIED","object":{"kind":"EndpointSlice","metadata":{"name":"front-1","names'
WRONG_KIND_LINE = (
    b'{"type":"ADDED","object":{"kind":"ConfigMap","apiVersion":"v1","metadata":{"name":"x","namespace":"shop",'
    b'"uid":"6d4d3a5e-7f0b-4f7e-9c3e-0d3c1b8d2f10","resourceVersion":"999999"},"data":{}}}\n'
)
WRONG_LIST = b'{"kind":"ConfigMapList","apiVersion":"v1","metadata":{"resourceVersion":"999999"},"items":[]}\n'


@dataclass
class Plan:
    """A fault that waits for its requests. `left` is how many it still meets; below 0 all."""

    fault: Fault
    resource: str
    verb: str
    left: int

    def fits(self, resource: str, verb: str) -> bool:
        return self.left != 0 and self.resource in {"", resource} and self.verb in {"", verb}


class Faults:
    """The plans, the latest first."""

    def __init__(self) -> None:
        self._plans: list[Plan] = []

    def add(self, fault: Fault, resource: str, verb: str, times: int) -> Plan:
        plan = Plan(fault, resource, verb, times)
        self._plans.insert(0, plan)
        return plan

    def remove(self, plan: Plan) -> None:
        if plan in self._plans:
            self._plans.remove(plan)

    def clear(self) -> None:
        self._plans.clear()

    def take(self, resource: str, verb: str) -> Fault | None:
        """What happens to this request."""
        for plan in self._plans:
            if plan.fits(resource, verb):
                plan.left -= 1
                return plan.fault
        return None
