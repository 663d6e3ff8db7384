"""How reading a cluster fails, and the API server's own word about it made a sentence."""

from __future__ import annotations

import http
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

import msgspec

from meshproxy.kit.text import printable

MAX_SENTENCE = 500
"""Characters of an API server's message; one about an invalid object quotes all of it."""


class SettingsError(Exception):
    """The kubeconfig, or what a pod is given instead, cannot be used; the message says which file, which field, why."""


class KubeError(Exception):
    """The API server did not do what was asked; the message is one sentence for an operator, without secrets.

    `code` is the HTTP status, or that of a Status object; 0 when there was no answer (refused, cut off, too late).
    `reason` is that of the Status (Expired, Forbidden, ...), `retry_after_s` what Retry-After asks for; empty and 0.0
    if there is none.
    """

    def __init__(self, message: str, code: int = 0, reason: str = "", retry_after_s: float = 0.0) -> None:
        super().__init__(message)
        self.code = code
        self.reason = reason
        self.retry_after_s = retry_after_s


class Details(msgspec.Struct, rename="camel"):
    retry_after_seconds: float | None = None


class Status(msgspec.Struct, rename="camel"):
    """meta/v1 Status: how an API server says what went wrong, in a body or in an ERROR event of a watch."""

    kind: str | None = None
    message: str | None = None
    reason: str | None = None
    code: int | None = None
    details: Details | None = None


def of_status(status: Status, code: int = 0, retry_after_s: float = 0.0) -> KubeError:
    """Return what a Status says. `code` and `retry_after_s` are HTTP's, which win over those within."""
    code = code or status.code or 0
    reason = _sentence(status.reason or "")
    label = f"{code} {reason}".strip()
    message = _sentence(status.message or "") or "the API server says no more than that"
    inner = status.details.retry_after_seconds if status.details else None
    return KubeError(f"{message} ({label})", code, reason, retry_after_s or max(0.0, inner or 0.0))


def of_answer(what: str, code: int, body: bytes, retry_after: str = "", now: datetime | None = None) -> KubeError:
    """Return what an HTTP answer other than the one hoped for says.

    `what` names the request (`GET /version`), `body` may be cut off anywhere, `retry_after` is the field's value,
    `now` the wall clock's.
    """
    wait_s = read_retry_after(retry_after, now or datetime.now(UTC))
    try:
        status = msgspec.json.decode(body, type=Status)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        status = Status()
    if status.kind == "Status":
        return of_status(status, code, wait_s)
    text = _sentence(body[: 4 * MAX_SENTENCE].decode(errors="replace"))
    if 300 <= code < 400:
        text = "redirects are not followed"
    return KubeError(f"{what} was answered by {_label(code)}" + (f": {text}" if text else ""), code, "", wait_s)


def read_retry_after(value: str, now: datetime) -> float:
    """Return the seconds that a Retry-After asks for (RFC 9110 10.2.3: seconds or a date), 0.0 for none or nonsense."""
    value = value.strip()
    if value.isascii() and value.isdigit():
        return float(value[:12])
    try:
        date = parsedate_to_datetime(value)
    except (ValueError, OverflowError):
        return 0.0
    return max(0.0, (date.replace(tzinfo=date.tzinfo or UTC) - now).total_seconds())


def _label(code: int) -> str:
    try:
        return f"{code} {http.HTTPStatus(code).phrase}"
    except ValueError:
        return str(code)


def _sentence(text: str) -> str:
    text = printable(" ".join(text[: 4 * MAX_SENTENCE].split()))
    return text if len(text) <= MAX_SENTENCE else text[:MAX_SENTENCE] + " ..."
