"""Answers that the proxy makes itself: faults and redirects."""

from __future__ import annotations

from http import HTTPStatus

from meshproxy.faults import METHOD_REFUSED, Fault
from meshproxy.policy.message import Field, ResponseHead, StatusLine, field

PROXY_NAME = "meshproxy"
"""Our name in Proxy-Status (RFC 9209 section 2)."""


def _status_line(status: int) -> StatusLine:
    return StatusLine(status, HTTPStatus(status).phrase.encode(), 1)


_LINES = {status.value: _status_line(status.value) for status in HTTPStatus if status >= 200}
_TEXT = field(b"content-type", b"text/plain; charset=utf-8")
_ALLOW = field(b"allow", b"GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS, TRACE")


def proxy_status(fault: Fault) -> bytes:
    """The value of Proxy-Status: RFC 9209's error type, and our word in its details."""
    return f'{PROXY_NAME}; error={fault.error}; details="{fault.word}"'.encode()


def fault_response(fault: Fault, detail: str) -> tuple[ResponseHead, bytes]:
    """Build the answer for a fault. `detail` is shown to the caller after the fault's meaning."""
    text = f"{fault.word}: {fault.meaning}"
    body = f"{text}\n{detail}\n".encode() if detail else f"{text}\n".encode()
    fields = [field(b"proxy-status", proxy_status(fault)), _TEXT]
    if fault is METHOD_REFUSED:
        fields.append(_ALLOW)
    return _response(fault.status, fields, body), body


def redirect_response(status: int, location: bytes) -> ResponseHead:
    """Build the answer of a RequestRedirect filter."""
    return _response(status, [field(b"location", location)], b"")


def _response(status: int, fields: list[Field], body: bytes) -> ResponseHead:
    fields.append(field(b"content-length", b"%d" % len(body)))
    head = ResponseHead(_LINES.get(status) or StatusLine(status, b"", 1), fields, b"", len(body), 1, True)
    head.replace_fields(fields)
    return head
