"""Faults: one vocabulary for every failure that the sidecar answers for.

The same word stands in `Proxy-Status` (RFC 9209), the access log and the metric label. `error` is the error type of
RFC 9209 section 2.3 that comes nearest; `status` is what a caller gets when nothing of a response was sent yet.
"""

from __future__ import annotations

from enum import Enum


class Side(Enum):
    """Who failed."""

    DOWNSTREAM = "downstream"
    PROXY = "proxy"
    UPSTREAM = "upstream"


class Fault:
    """One kind of failure. Instances are the module's constants; compare by identity."""

    __slots__ = ("advice", "error", "meaning", "side", "status", "word")

    def __init__(self, word: str, status: int, error: str, side: Side, meaning: str, advice: str) -> None:
        self.word = word
        self.status = status
        self.error = error
        self.side = side
        self.meaning = meaning
        self.advice = advice

    def __repr__(self) -> str:
        return f"<Fault {self.word} {self.status}>"


FAULTS: dict[str, Fault] = {}


def _fault(word: str, status: int, error: str, side: Side, meaning: str, advice: str) -> Fault:
    fault = FAULTS[word] = Fault(word, status, error, side, meaning, advice)
    return fault


_D, _P, _U = Side.DOWNSTREAM, Side.PROXY, Side.UPSTREAM

BAD_REQUEST = _fault(
    "bad_request", 400, "http_request_error", _D,
    "the request breaks HTTP/1.1's grammar or framing rules",
    "look at the client; the log line names the rule",
)  # fmt: skip
HEAD_TOO_LARGE = _fault(
    "head_too_large", 431, "http_request_error", _D,
    "the request's head is over 64 KiB or 128 fields",
    "look for a cookie or token that grows",
)  # fmt: skip
HEAD_TIMEOUT = _fault(
    "head_timeout", 408, "http_request_error", _D,
    "the client did not finish the request's head in time",
    "a slow or stuck client; nothing reached the application",
)  # fmt: skip
BODY_TIMEOUT = _fault(
    "body_timeout", 408, "http_request_error", _D,
    "the client stopped sending the request's body",
    "look at the client or the network between",
)  # fmt: skip
CLIENT_GONE = _fault(
    "client_gone", 499, "connection_terminated", _D,
    "the client went away before the response was complete",
    "usually the client's own timeout; compare it with the route's",
)  # fmt: skip
METHOD_REFUSED = _fault(
    "method_refused", 405, "http_request_denied", _D,
    "CONNECT is not offered here",
    "send the request itself instead of a tunnel",
)  # fmt: skip

NO_SERVICE = _fault(
    "no_service", 404, "destination_not_found", _P,
    "the Host names no Service that the mesh knows",
    "check the name and its namespace",
)  # fmt: skip
NO_PORT = _fault(
    "no_port", 404, "destination_not_found", _P,
    "the Service has no such port, or several and the Host names none",
    "name one of the ports that the answer lists",
)  # fmt: skip
NO_ROUTE = _fault(
    "no_route", 404, "destination_not_found", _P,
    "the Service has routes, and none matches this request",
    "compare path, method and headers with the HTTPRoutes of the Service",
)  # fmt: skip
DISCOVERY_TIMEOUT = _fault(
    "discovery_timeout", 503, "destination_unavailable", _P,
    "the Service is not known yet, and the control plane did not say in time whether it exists",
    "look at the sidecar's push stream: meshproxy_stream_connected, and the control plane's log",
)  # fmt: skip
DISCOVERY_REFUSED = _fault(
    "discovery_refused", 503, "destination_unavailable", _P,
    "too many names that were never called before wait for the control plane's answer",
    "look for a client that makes up host names; known Services are not affected",
)  # fmt: skip
EGRESS_REFUSED = _fault(
    "egress_refused", 403, "http_request_denied", _P,
    "the destination is outside the mesh, and egress is refused",
    "call a Service; what lies outside has to be called past the sidecar",
)  # fmt: skip
BACKEND_MISSING = _fault(
    "backend_missing", 500, "proxy_configuration_error", _P,
    "the matched rule names a Service or port that does not exist, or no backend at all",
    "correct the HTTPRoute's backendRefs",
)  # fmt: skip
REF_NOT_PERMITTED = _fault(
    "ref_not_permitted", 500, "proxy_configuration_error", _P,
    "the matched rule's backend is in another namespace that has not granted it",
    "add a ReferenceGrant in the backend's namespace",
)  # fmt: skip
BACKEND_UNSUPPORTED = _fault(
    "backend_unsupported", 500, "proxy_configuration_error", _P,
    "the matched rule's backend is of a kind or protocol that this sidecar does not speak",
    "use a Service that speaks HTTP/1.1",
)  # fmt: skip
NO_ENDPOINTS = _fault(
    "no_endpoints", 503, "destination_unavailable", _P,
    "no endpoint of the backend is ready",
    "look at the Pods' readiness and the EndpointSlices",
)  # fmt: skip
OVERLOADED = _fault(
    "overloaded", 503, "connection_limit_reached", _P,
    "the backend's circuit breaker is at its limit of connections, requests or waiting requests",
    "the backend is too slow for its load: add capacity, or raise the limit",
)  # fmt: skip
OUT_OF_DESCRIPTORS = _fault(
    "out_of_descriptors", 503, "proxy_internal_error", _P,
    "the sidecar has no file descriptor left for another connection",
    "raise the process's limit (ulimit -n), or find who holds the connections",
)  # fmt: skip
LOOP = _fault(
    "loop", 508, "proxy_loop_detected", _P,
    "the destination is a listener of this sidecar itself",
    "correct the endpoint's address",
)  # fmt: skip
INTERNAL = _fault(
    "internal", 500, "proxy_internal_error", _P,
    "a defect in the sidecar",
    "report it with the log's traceback",
)  # fmt: skip

CONNECT_REFUSED = _fault(
    "connect_refused", 502, "connection_refused", _U,
    "the endpoint refused the connection",
    "the application is not listening, or the address is stale",
)  # fmt: skip
CONNECT_FAILED = _fault(
    "connect_failed", 502, "destination_ip_unroutable", _U,
    "no connection to the endpoint could be made",
    "look at routes, network policies and the address",
)  # fmt: skip
CONNECT_TIMEOUT = _fault(
    "connect_timeout", 504, "connection_timeout", _U,
    "the endpoint did not accept the connection in time",
    "the address is black-holed or its accept queue is full",
)  # fmt: skip
TLS_FAILURE = _fault(
    "tls_failure", 502, "tls_protocol_error", _U,
    "the TLS handshake with the endpoint failed",
    "look at both sides' certificates and at the clock",
)  # fmt: skip
IDENTITY_MISMATCH = _fault(
    "identity_mismatch", 502, "tls_certificate_error", _U,
    "the endpoint shows another identity than the one expected, or one that our bundle does not vouch for",
    "a reused address, a wrong service account, or a foreign trust domain",
)  # fmt: skip
UPSTREAM_RESET = _fault(
    "upstream_reset", 502, "connection_terminated", _U,
    "the endpoint reset or closed the connection before answering",
    "look for a crash of the application; a keep-alive race is repeated where that is safe",
)  # fmt: skip
BAD_RESPONSE = _fault(
    "bad_response", 502, "http_protocol_error", _U,
    "the endpoint's answer is not HTTP/1.1",
    "the port may speak TLS or another protocol; the log line names the rule",
)  # fmt: skip
RESPONSE_HEAD_TOO_LARGE = _fault(
    "response_head_too_large", 502, "http_response_header_section_size", _U,
    "the response's head is over 64 KiB or 128 fields",
    "look at what the application sets",
)  # fmt: skip
RESPONSE_INCOMPLETE = _fault(
    "response_incomplete", 502, "http_response_incomplete", _U,
    "the response's body ended before its announced length",
    "the application died or gave up while answering; the caller's response was cut as well",
)  # fmt: skip
REQUEST_TIMEOUT = _fault(
    "request_timeout", 504, "http_response_timeout", _U,
    "the route's timeouts.request ran out",
    "the backend is slow, or the timeout is too short",
)  # fmt: skip
ATTEMPT_TIMEOUT = _fault(
    "attempt_timeout", 504, "http_response_timeout", _U,
    "the route's timeouts.backendRequest ran out on the last attempt",
    "the backend is slow, or the timeout is too short",
)  # fmt: skip
STREAM_IDLE = _fault(
    "stream_idle", 504, "connection_read_timeout", _U,
    "nothing moved on the exchange for five minutes",
    "the backend hangs, or the client does not read; set a timeout on the route",
)  # fmt: skip
