"""Status objects: how the API server says no. Pure."""

from __future__ import annotations

from typing import Any


class RefusedError(Exception):
    """An answer that is no success. `body` is a Status, or the plain text that Go's router gives."""

    def __init__(self, code: int, body: dict[str, Any] | str, headers: dict[str, str] | None = None) -> None:
        super().__init__(code, body)
        self.code = code
        self.body = body
        self.headers = headers or {}


def status(code: int, reason: str, message: str, **fields: Any) -> dict[str, Any]:
    why = {"reason": reason} if reason else {}
    shown = {"status": "Failure", "message": message, **why, **fields, "code": code}
    return {"kind": "Status", "apiVersion": "v1", "metadata": {}, **shown}


def no_page() -> RefusedError:
    """A path that nobody serves: a kind whose CRD is not installed, among others."""
    return RefusedError(404, "404 page not found\n")


def no_resource() -> RefusedError:
    """A kind that a built-in group does not have."""
    text = "the server could not find the requested resource"
    return RefusedError(404, status(404, "NotFound", text, details={}))


def not_found(group: str, plural: str, name: str) -> RefusedError:
    of = {"group": group} if group else {}
    shown = f"{plural}.{group}" if group else plural
    details = {"name": name, **of, "kind": plural}
    return RefusedError(404, status(404, "NotFound", f'{shown} "{name}" not found', details=details))


def unauthorized() -> RefusedError:
    return RefusedError(401, status(401, "Unauthorized", "Unauthorized"))


def forbidden(user: str, verb: str, group: str, plural: str, namespace: str, name: str = "") -> RefusedError:
    shown = f"{plural}.{group}" if group else plural
    place = f'in the namespace "{namespace}"' if namespace else "at the cluster scope"
    what = f'{shown} "{name}"' if name else shown
    message = f'{what} is forbidden: User "{user}" cannot {verb} resource "{plural}" in API group "{group}" {place}'
    named = {"name": name} if name else {}
    of = {"group": group} if group else {}
    return RefusedError(403, status(403, "Forbidden", message, details={**named, **of, "kind": plural}))


def forbidden_path(user: str, verb: str, path: str) -> RefusedError:
    text = f'forbidden: User "{user}" cannot {verb} path "{path}"'
    return RefusedError(403, status(403, "Forbidden", text, details={}))


def bad_request(message: str) -> RefusedError:
    return RefusedError(400, status(400, "BadRequest", message))


def not_acceptable(message: str) -> RefusedError:
    return RefusedError(406, status(406, "NotAcceptable", message))


def not_allowed() -> RefusedError:
    text = "the server does not allow this method on the requested resource"
    return RefusedError(405, status(405, "MethodNotAllowed", text, details={}))


def from_the_future(version: int, current: int) -> dict[str, Any]:
    """A version that is not there yet; a real server waits some seconds for it."""
    causes = [{"reason": "ResourceVersionTooLarge", "message": "Too large resource version"}]
    text = f"Timeout: Too large resource version: {version}, current: {current}"
    return status(504, "Timeout", text, details={"causes": causes, "retryAfterSeconds": 1})


def continue_expired(token: str) -> RefusedError:
    """A page of a list that is no more; `token` goes on from there with what is there now."""
    text = (
        "The provided continue parameter is too old to display a consistent list result. You can start a new list "
        "without the continue parameter, or use the continue token in this response to retrieve the remainder of the "
        "results. Continuing with the provided token results in an inconsistent list - objects that were created, "
        "modified, or deleted between the time the first chunk was returned and now may show up in the list."
    )
    return RefusedError(410, {**status(410, "Expired", text), "metadata": {"continue": token}})


def list_expired() -> RefusedError:
    return RefusedError(410, status(410, "Expired", "The resourceVersion for the provided list is too old."))


def too_old(version: int, oldest: int) -> dict[str, Any]:
    return status(410, "Expired", f"too old resource version: {version} ({oldest})")


def invalid_options(field: str, message: str) -> RefusedError:
    """List options that are refused, as client-go takes for a server without WatchList among others."""
    details = {
        "group": "meta.k8s.io",
        "kind": "ListOptions",
        "causes": [{"reason": "FieldValueForbidden", "message": f"Forbidden: {message}", "field": field}],
    }
    text = f'ListOptions.meta.k8s.io "" is invalid: {field}: Forbidden: {message}'
    return RefusedError(422, status(422, "Invalid", text, details=details))
