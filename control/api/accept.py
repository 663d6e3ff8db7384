"""What a client can read: objects as JSON, or tables (`as=Table`), as Kubernetes' clients ask for them."""

from __future__ import annotations

from control.api.status import ApiError

META = "meta.k8s.io"
_JSON = frozenset({"application/json", "application/*", "*/*"})


def table_version(accept: str) -> str:
    """Return the meta.k8s.io version of the table that is preferred, or nothing for plain objects.

    Raise ApiError when the client takes neither.
    """
    if not accept.strip():
        return ""
    for part in accept.split(","):
        media, *parameters = (word.strip() for word in part.split(";"))
        if media.lower() not in _JSON:
            continue
        given = dict(parameter.partition("=")[::2] for parameter in parameters)
        if "as" not in given:
            return ""
        if given["as"] == "Table" and given.get("g") == META and given.get("v") in {"v1", "v1beta1"}:
            return f"{META}/{given['v']}"
    message = (
        "only the following media types are accepted: application/json, application/json;as=Table;v=v1;g=meta.k8s.io"
    )
    raise ApiError("NotAcceptable", message)
