"""How the API says no: documents of kind Status, worded and shaped as a Kubernetes API server does it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from control.model.kinds import Kind
from control.model.schema import Flaw
from control.store.verbs import Refused

CODES = {
    "BadRequest": 400,
    "Unauthorized": 401,
    "Forbidden": 403,
    "NotFound": 404,
    "MethodNotAllowed": 405,
    "NotAcceptable": 406,
    "RequestTimeout": 408,
    "AlreadyExists": 409,
    "Conflict": 409,
    "Expired": 410,
    "RequestEntityTooLarge": 413,
    "UnsupportedMediaType": 415,
    "Invalid": 422,
    "TooManyRequests": 429,
    "InternalError": 500,
    "BadGateway": 502,
    "ServiceUnavailable": 503,
    "Timeout": 504,
}
"""HTTP status by reason."""

_CAUSES = (
    ("is required", "FieldValueRequired"),
    ("stands twice", "FieldValueDuplicate"),
    ("is unknown; allowed: ", "FieldValueNotSupported"),
    ("; allowed: object", "FieldValueTypeInvalid"),
    ("; allowed: array", "FieldValueTypeInvalid"),
    ("; allowed: string", "FieldValueTypeInvalid"),
    ("; allowed: integer", "FieldValueTypeInvalid"),
    ("; allowed: number", "FieldValueTypeInvalid"),
    ("; allowed: boolean", "FieldValueTypeInvalid"),
    ("conflict with ", "FieldManagerConflict"),
)
"""What a flaw's message holds -> Kubernetes' word for such a cause; for all others FieldValueInvalid."""


class ApiError(Exception):
    """A request that is answered with a Status; `headers` go with it."""

    def __init__(
        self,
        reason: str,
        message: str,
        details: Mapping[str, Any] | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        self.reason = reason
        self.code = CODES[reason]
        self.details = details
        self.headers = headers or {}
        super().__init__(message)

    def document(self) -> dict[str, Any]:
        """Return the Status."""
        return {
            "kind": "Status",
            "apiVersion": "v1",
            "metadata": {},
            "status": "Failure",
            "message": str(self),
            "reason": self.reason,
            **({"details": self.details} if self.details else {}),
            "code": self.code,
        }

    def body(self) -> bytes:
        return msgspec.json.encode(self.document())


def success(kind: Kind, name: str, uid: str) -> bytes:
    """Return the Status that tells of a deletion."""
    details = {"name": name, **_group(kind), "kind": kind.plural, **({"uid": uid} if uid else {})}
    return msgspec.json.encode(
        {"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success", "details": details, "code": 200}
    )


def not_found(kind: Kind, name: str) -> ApiError:
    details = {"name": name, **_group(kind), "kind": kind.plural}
    return ApiError("NotFound", f'{kind.qualified} "{name}" not found', details)


def expired(message: str) -> ApiError:
    return ApiError("Expired", message)


def too_many(message: str, retry_after_s: int = 1) -> ApiError:
    """429: nothing was done, and the client may come again."""
    return ApiError(
        "TooManyRequests", message, {"retryAfterSeconds": retry_after_s}, {"Retry-After": str(retry_after_s)}
    )


def refused(kind: Kind, name: str, error: Refused) -> ApiError:
    """Return what a verb refused as the answer to its request."""
    flaws: Sequence[Flaw] = error.flaws
    if error.reason == "BadRequest":
        # A server that cannot read an object does not say which one it was.
        return ApiError("BadRequest", str(error))
    if error.reason == "Conflict" and flaws:
        return ApiError("Conflict", str(error), {"causes": [cause(flaw) for flaw in flaws]})
    about = kind.name if error.reason == "Invalid" else kind.plural
    details: dict[str, Any] = {"name": name, **_group(kind), "kind": about}
    if flaws:
        details["causes"] = [cause(flaw) for flaw in flaws]
    return ApiError(error.reason, str(error), details)


def cause(flaw: Flaw) -> dict[str, str]:
    reason = next((word for part, word in _CAUSES if part in flaw.message), "FieldValueInvalid")
    return {"reason": reason, "message": flaw.message, "field": flaw.path}


def _group(kind: Kind) -> dict[str, str]:
    return {"group": kind.group} if kind.group else {}
