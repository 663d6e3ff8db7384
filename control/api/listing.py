"""Lists: which objects of a snapshot are meant, page by page. Pure."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Generator, Sequence
from typing import Any

import msgspec
from msgspec import Struct

from control.api.protocols import Object
from control.api.query import Page, Reading, Selection
from control.api.selector import matches
from control.model.objects import Key


class _Metadata(Struct):
    labels: dict[str, str | None] | None = None


class _Labelled(Struct):
    metadata: _Metadata


_labelled = msgspec.json.Decoder(_Labelled)


def labels_of(body: bytes) -> dict[str, str]:
    labels = _labelled.decode(body).metadata.labels or {}
    # Objects are kept as they were sent: a null is a label that is not set.
    return {name: value for name, value in labels.items() if value is not None}


def is_selected(selection: Selection, stored: Object) -> bool:
    return selection.has_key(stored.key) and (not selection.labels or matches(selection.labels, labels_of(stored.body)))


def page_of(
    objects: Sequence[Object], reading: Reading, version: int, metadata: dict[str, Any]
) -> Generator[bytes | None, None, None]:
    """Yield the bodies of one page out of all objects (sorted by key), None for each that is not selected.

    `metadata` becomes the list's. A list that goes on keeps the version of its first page: a watch from there tells
    whatever happened between the pages.
    """
    selection, limit, page = reading.selection, reading.limit, reading.page
    metadata["resourceVersion"] = str(page.version if page else version)
    start = bisect_right(objects, Key(*page.last), key=lambda stored: stored.key) if page else 0
    last: Object | None = None
    count = 0
    for i in range(start, len(objects)):
        stored = objects[i]
        if not is_selected(selection, stored):
            yield None
            continue
        if limit and count == limit:
            assert last is not None
            metadata["continue"] = Page(page.version if page else version, last.key).token()
            if selection.is_all:
                metadata["remainingItemCount"] = len(objects) - i
            return
        yield stored.body
        last = stored
        count += 1
