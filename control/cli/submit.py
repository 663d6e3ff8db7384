"""Manifests against a control plane: what an apply would do, asked before anything is done."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import typer

from control.cli.client import APPLY_MEDIA, Answer, Client, place_of
from control.cli.failure import ApiError, Failure
from control.cli.kinds import label_of, metadata_of
from control.cli.load import load
from control.cli.report import print_skipped
from control.model.kinds import ENDPOINT_SLICE, HTTP_ROUTE, POD, REFERENCE_GRANT, SERVICE, Kind, find
from control.model.objects import Key

MANAGER = "meshctl"
_ORDER = (SERVICE, POD, ENDPOINT_SLICE, REFERENCE_GRANT, HTTP_ROUTE)
"""What others refer to comes first, so that no route names what is not there yet."""


class Item(NamedTuple):
    """One object of a manifest. `place` is where it stands."""

    place: str
    kind: Kind
    key: Key
    document: dict[str, Any]

    @property
    def label(self) -> str:
        return label_of(self.kind, self.document)

    @property
    def path(self) -> str:
        version = str(self.document["apiVersion"]).rpartition("/")[2]
        return place_of(self.kind, self.key.namespace, self.key.name, version)


class Plan(NamedTuple):
    """`before` is the object as it is kept, None when there is none; `after` what an apply would make of it."""

    item: Item
    before: dict[str, Any] | None
    after: dict[str, Any]


def gather(ctx: typer.Context, files: list[str], namespace: str) -> list[Item]:
    """Read manifests, in the order in which their objects are to be written. Raise Failure with all their errors.

    A namespace that was given on the command line must be that of all objects.
    """
    loaded = load(files, namespace)
    must_match = _is_given(ctx, "namespace")
    items = []
    for known, document in zip(loaded.objects, loaded.documents, strict=True):
        kind = find(type(known).__name__)
        assert kind is not None
        if must_match and known.key.namespace != namespace:
            loaded.fail(
                f"{document.place} ({kind.name} {known.key}): metadata.namespace is not {namespace}, as -n says"
            )
        items.append(Item(document.place, kind, known.key, document.value))
    print_skipped(loaded.skipped)
    if not items and not loaded.errors:
        loaded.fail("there is no object of a known kind in these manifests")
    if loaded.errors:
        raise Failure(summary(loaded.errors, loaded.error_count))
    return sorted(items, key=lambda item: _ORDER.index(item.kind))


def plan(client: Client, items: Sequence[Item], *, force: bool) -> list[Plan]:
    """Ask the control plane what an apply of each object would make of it. Raise Failure with all that it refuses."""
    plans: list[Plan] = []
    errors: list[str] = []
    for item in items:
        try:
            before = current(client, item)
            after = submit(client, item, force=force, dry_run=True).document
        except ApiError as error:
            if error.is_general:
                raise
            errors.append(f"{item.place} ({item.kind.name} {item.key}): {explained(error, item)}")
            continue
        plans.append(Plan(item, before, after))
    if errors:
        raise Failure(summary(errors, len(errors)))
    return plans


def current(client: Client, item: Item) -> dict[str, Any] | None:
    """Return an object as it is kept, None when there is none."""
    try:
        document: dict[str, Any] = client.get(item.path)
    except ApiError as error:
        if error.code == 404:
            return None
        raise
    return document


def submit(client: Client, item: Item, *, force: bool, dry_run: bool = False) -> Answer:
    """Apply one object (server-side apply). The answer says what has become, or would become, of it."""
    query = {"fieldManager": MANAGER, "fieldValidation": "Strict"}
    if force:
        query["force"] = "true"
    if dry_run:
        query["dryRun"] = "All"
    return client.patch(item.path, item.document, APPLY_MEDIA, **query)


def explained(error: ApiError, item: Item) -> str:
    """Return the server's words; of a conflict, also what can be done here."""
    if error.code != 409:
        return error.text
    if "force=true" in error.text:
        return f"{error.text}\nhere: --force-conflicts"
    if not metadata_of(item.document).keys().isdisjoint({"resourceVersion", "uid"}):
        return f"{error.text}\nto apply it to whatever is there: leave out metadata.resourceVersion and metadata.uid"
    return error.text


def version_of(document: Any) -> str:
    return str(metadata_of(document).get("resourceVersion", ""))


def summary(errors: list[str], count: int) -> str:
    more = [f"and {count - len(errors)} more"] if count > len(errors) else []
    return "\n".join([*errors, *more, f"{count} error{'s' if count != 1 else ''}"])


def _is_given(ctx: typer.Context, name: str) -> bool:
    source = ctx.get_parameter_source(name)
    return source is not None and source.name == "COMMANDLINE"
