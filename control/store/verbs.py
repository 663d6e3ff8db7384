"""What Kubernetes' verbs make of an object: from the one that is stored and what was sent to the one to be stored.

All of them take the object as it is (None: there is none) first, so that `partial(verb, ...)` of the rest is a Change;
they return the document to be stored, as it was sent but for the metadata that is the server's, `delete` None. They
raise Refused, and change none of their arguments.

An object has one owner, the manager that gave it its content last: it stands as the one entry of `managedFields`.
Whoever creates, replaces or patches owns what came of it, if that changed more than metadata. `apply` is for the
owner; another manager is told who that is, unless it forces.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, NamedTuple, TypeAlias

import msgspec

from control.model.decode import MAX_FLAWS, ObjectError, decode, prune
from control.model.kinds import ENDPOINT_SLICE, SERVICE, Kind
from control.model.objects import Key
from control.model.schema import JSON, Flaw, shown
from control.store.merge import MergeError, merge
from control.store.records import Document, Stored

Reason: TypeAlias = Literal["AlreadyExists", "NotFound", "Conflict", "Invalid", "BadRequest"]

_SERVERS = (
    "uid", "resourceVersion", "generation", "creationTimestamp", "deletionTimestamp", "deletionGracePeriodSeconds",
    "managedFields", "selfLink",
)  # fmt: skip
"""The fields of metadata that clients do not set."""

_BESIDE = ("apiVersion", "kind", "metadata", "status")


class Refused(Exception):  # noqa: N818 - an answer, not a failure
    """What was asked for cannot be; `reason` and the message are Kubernetes', `flaws` are causes by field."""

    def __init__(self, reason: Reason, message: str, flaws: Sequence[Flaw] = ()) -> None:
        self.reason = reason
        self.flaws = list(flaws)
        super().__init__(message)


class Write(NamedTuple):
    """Which object is written, by which field manager, and when (RFC 3339, UTC, whole seconds).

    A write of the status and a deletion need only kind and key.
    """

    kind: Kind
    key: Key
    manager: str = ""
    now: str = ""
    uid: str = ""
    """What the object is called for good if it comes into being now."""


class Preconditions(NamedTuple):
    """What the object has to be for the verb to be done; empty: whatever it is."""

    uid: str = ""
    version: str = ""


NO_PRECONDITIONS = Preconditions()


def create(current: Stored | None, document: Document, write: Write) -> Document:
    """POST: there must be none."""
    if current is not None:
        raise Refused("AlreadyExists", f"{_named(write)} already exists")
    if _sent(write, document).get("resourceVersion"):
        raise Refused("BadRequest", "resourceVersion should not be set on objects to be created")
    return _settled(write, None, document, "Update")


def replace(current: Stored | None, document: Document, write: Write) -> Document:
    """PUT: there must be one, of the version that the document names if it names one."""
    former = _present(write, current)
    _expect(write, former, _expected(write, document))
    return _settled(write, former, document, "Update")


def merge_patch(current: Stored | None, patch: JSON, write: Write) -> Document:
    """PATCH with a merge patch (RFC 7386). A resourceVersion in it is a precondition."""
    former = _present(write, current)
    return replace(current, _merged(former, patch), write)


def apply(current: Stored | None, document: Document, write: Write, *, force: bool = False) -> Document:
    """PATCH with a whole document: its content, labels and annotations replace the former ones.

    Creates what is not there. What is another manager's and would change is a Conflict unless `force`, which makes this
    manager the owner.
    """
    if _sent(write, document).get("managedFields"):
        raise Refused("BadRequest", "metadata.managedFields must be nil")
    wanted = _expected(write, document)
    if current is None:
        if any(wanted):
            raise Refused("Conflict", f"{_unfulfilled(write)}: the document names a uid or version, and there is none")
        return _settled(write, None, document, "Apply")
    former = _document(current)
    _expect(write, former, wanted)
    kept = {name: former["metadata"][name] for name in ("finalizers", "ownerReferences") if name in former["metadata"]}
    whole = {**document, "metadata": {**kept, **_sent(write, document)}}
    if "status" in former:
        whole.setdefault("status", former["status"])
    owner = _owner(former)
    is_foreign = owner not in {"", write.manager}
    result = _settled(write, former, whole, "Apply", takes_over=is_foreign and force)
    if is_foreign and not force:
        _check_owner(write, owner, former, result)
        return former
    return result


def delete(current: Stored | None, write: Write, preconditions: Preconditions = NO_PRECONDITIONS) -> None:
    """DELETE: there must be one. It goes at once: finalizers are for controllers that are not here."""
    _expect(write, _present(write, current), preconditions)


def set_status(
    current: Stored | None, status: JSON, write: Write, preconditions: Preconditions = NO_PRECONDITIONS
) -> Document:
    """PUT of the status alone (None: there is none any more); owner and generation stay."""
    former = _present(write, current)
    _expect(write, former, preconditions)
    document = {name: value for name, value in former.items() if name != "status"}
    if status is not None:
        document["status"] = status
    return _changed(write, former, document)


def patch_status(current: Stored | None, patch: JSON, write: Write) -> Document:
    """PATCH of the status alone, with a merge patch of the whole object; what it says of the rest is passed over."""
    merged = _merged(_present(write, current), patch)
    return set_status(current, merged.get("status"), write, _expected(write, merged))


def _settled(
    write: Write,
    former: Document | None,
    document: Document,
    operation: Literal["Apply", "Update"],
    *,
    takes_over: bool = False,
) -> Document:
    """Return what is stored of a whole document that was sent."""
    metadata = {
        name: value for name, value in _sent(write, document).items() if name not in _SERVERS and value is not None
    }
    metadata.update(name=write.key.name, namespace=write.key.namespace)
    identity = {"apiVersion": write.kind.api_version, "kind": write.kind.name, "metadata": metadata}
    result = {**identity, **{name: value for name, value in document.items() if name not in identity}}
    if write.kind.has_status:
        result.pop("status", None)
        if former is not None and "status" in former:
            result["status"] = former["status"]
    if former is None:
        metadata.update(uid=write.uid, creationTimestamp=write.now)
        if write.kind is not SERVICE:
            metadata["generation"] = 1
        metadata["managedFields"] = [_entry(write, result, operation)]
        return _valid(write, result)
    metadata.update({name: former["metadata"][name] for name in _SERVERS if name in former["metadata"]})
    has_new_content = not _is_same(_content(former), _content(result))
    if write.kind is not SERVICE and has_new_content and not _is_same(*_generated(write.kind, former, result)):
        metadata["generation"] = former["metadata"].get("generation", 0) + 1
    if has_new_content or takes_over:
        metadata["managedFields"] = [_entry(write, result, operation)]
    return _changed(write, former, result)


def _content(document: Document) -> Document:
    """Return what makes the object what it is: `spec`, or the fields that stand in its place."""
    return {name: value for name, value in document.items() if name not in _BESIDE}


def _generated(kind: Kind, former: Document, document: Document) -> tuple[JSON, JSON]:
    """Return the parts whose change is a new generation."""
    if kind is ENDPOINT_SLICE:
        return _content(former), _content(document)
    return former.get("spec"), document.get("spec")


def _entry(write: Write, document: Document, operation: str) -> Document:
    fields: Document = {f"f:{name}": {} for name in _content(document)}
    return {
        "manager": write.manager,
        "operation": operation,
        "apiVersion": write.kind.api_version,
        "time": write.now,
        "fieldsType": "FieldsV1",
        "fieldsV1": {"f:metadata": {"f:annotations": {}, "f:labels": {}}, **fields},
    }


def _owner(document: Document) -> str:
    entries = document["metadata"].get("managedFields") or [{}]
    owner: str = entries[0].get("manager", "")
    return owner


def _check_owner(write: Write, owner: str, former: Document, document: Document) -> None:
    """Refuse what would make `document` of an object that is another manager's."""
    fields = [f".{name}" for name in _differing(former, document, {"metadata"})]
    metadata, new = former["metadata"], document["metadata"]
    fields += [f".metadata.{name}" for name in _differing(metadata, new, {"managedFields", "generation"})]
    if not fields:
        return
    who = f'"{owner}" using {write.kind.api_version}'
    many = len(fields) > 1
    ending = "s" if many else ""
    places = ":\n- " + "\n- ".join(fields) if many else f": {fields[0]}"
    message = f"Apply failed with {len(fields)} conflict{ending}: conflict{ending} with {who}"
    hint = f"\n{shown(owner)} owns this object; force=true takes it over"
    raise Refused("Conflict", message + places + hint, [Flaw(field, f"conflict with {who}") for field in fields])


def _differing(one: Document, other: Document, beside: set[str]) -> list[str]:
    """Return the names of the fields that say something else; an empty map says the same as none."""
    names = sorted({*one, *other} - beside)
    return [name for name in names if not _is_same(one.get(name) or None, other.get(name) or None)]


def _sent(write: Write, document: Document) -> Document:
    """Return the metadata of a document that was sent, once it is sure that it is meant for this object."""
    kind, versions = write.kind, [_qualified(write.kind, version) for version in write.kind.versions]
    if document.get("kind") != kind.name or document.get("apiVersion") not in versions:
        given = f"{shown(document.get('apiVersion'))} {shown(document.get('kind'))}"
        raise Refused("BadRequest", f"the object provided is {given}; allowed: {' or '.join(versions)} {kind.name}")
    metadata = document.get("metadata")
    if not isinstance(metadata, dict):
        raise Refused("BadRequest", "metadata is required, as an object")
    for field, asked in (("name", write.key.name), ("namespace", write.key.namespace)):
        if metadata.get(field) not in (None, "", asked):
            message = (
                f"the {field} of the object ({shown(metadata[field])}) does not match the one in the URL ({asked})"
            )
            raise Refused("BadRequest", message)
    return metadata


def _qualified(kind: Kind, version: str) -> str:
    return f"{kind.group}/{version}" if kind.group else version


def _expected(write: Write, document: Document) -> Preconditions:
    metadata = _sent(write, document)
    for name in ("uid", "resourceVersion"):
        if not isinstance(metadata.get(name, ""), str | None):
            raise Refused("BadRequest", f"metadata.{name} is {shown(metadata[name])}; allowed: text")
    return Preconditions(metadata.get("uid") or "", metadata.get("resourceVersion") or "")


def _expect(write: Write, former: Document, wanted: Preconditions) -> None:
    metadata = former["metadata"]
    if wanted.uid and wanted.uid != metadata["uid"]:
        detail = f"Precondition failed: UID in precondition: {wanted.uid}, UID in object meta: {metadata['uid']}"
        raise Refused("Conflict", f"{_unfulfilled(write)}: {detail}")
    if wanted.version and wanted.version != metadata["resourceVersion"]:
        detail = "the object has been modified; please apply your changes to the latest version and try again"
        raise Refused("Conflict", f"{_unfulfilled(write)}: {detail}")


def _present(write: Write, current: Stored | None) -> Document:
    if current is None:
        raise Refused("NotFound", f"{_named(write)} not found")
    return _document(current)


def _document(stored: Stored) -> Document:
    document: Document = msgspec.json.decode(stored.body)
    return document


def _merged(former: Document, patch: JSON) -> Document:
    try:
        merged = merge(former, patch)
    except MergeError as error:
        raise Refused("BadRequest", str(error)) from None
    if not isinstance(merged, dict):
        raise Refused("BadRequest", "the patch is no object; allowed: a JSON merge patch of the object (RFC 7386)")
    return merged


def _changed(write: Write, former: Document, document: Document) -> Document:
    """Return the document, found valid; the former one if it says the same."""
    return former if _is_same(former, document) else _valid(write, document)


def _valid(write: Write, document: Document) -> Document:
    kind, name = write.kind, write.key.name
    _canonical(document)
    try:
        decode(document)
    except ObjectError as error:
        if unknown := prune(document)[1]:
            listed = ", ".join(f'unknown field "{path}"' for path in unknown[:MAX_FLAWS])
            strict = f'{kind.name} in version "{kind.versions[0]}" cannot be handled as a {kind.name}'
            raise Refused("BadRequest", f"{strict}: strict decoding error: {listed}", error.flaws) from None
        qualified = f"{kind.name}.{kind.group}" if kind.group else kind.name
        flaws = ", ".join(map(str, error.flaws))
        listed = f"[{flaws}]" if len(error.flaws) > 1 else flaws
        raise Refused("Invalid", f'{qualified} "{name}" is invalid: {listed}', error.flaws) from None
    return document


def _is_same(one: JSON, other: JSON) -> bool:
    """Compare as JSON: the order of keys says nothing, and 1 is not true."""
    return _canonical(one) == _canonical(other)


def _canonical(value: JSON) -> bytes:
    try:
        return msgspec.json.encode(value, order="deterministic")
    except (RecursionError, UnicodeEncodeError) as error:
        raise Refused("BadRequest", f"the object cannot be stored as JSON: {error}") from None


def _named(write: Write) -> str:
    return f'{write.kind.qualified} "{write.key.name}"'


def _unfulfilled(write: Write) -> str:
    return f"Operation cannot be fulfilled on {_named(write)}"
