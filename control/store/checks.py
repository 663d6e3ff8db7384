"""What `meshctl check` shows of the embedded store."""

from __future__ import annotations

from collections.abc import Generator

from control.model.check import Check
from control.model.decode import ObjectError, recall
from control.model.kinds import KINDS
from control.store.store import Store
from meshproxy.kit.aio.slices import in_slices

MAX_TOLD = 100
"""Of the objects that cannot be read; how many more there are is told."""

_SECTION = "Objects"


async def checks(store: Store, refused: int) -> list[Check]:
    """Tell what the store holds, and which objects cannot be read. `refused`: how many could not be since the start."""
    counts = ", ".join(f"{store.count(kind)} {kind.plural}" for kind in KINDS)
    found = [Check(_SECTION, "store", "ok", f"{counts}; version {store.version}")]
    # To read all anew takes its time: only if one of them could not be read.
    return [*found, *await in_slices(_unread(store))] if refused else found


def _unread(store: Store) -> Generator[None, None, list[Check]]:
    found: list[Check] = []
    more = 0
    for kind in KINDS:
        for stored in store.list(kind):
            yield
            try:
                recall(kind.name, stored.body)
            except ObjectError as error:
                if len(found) == MAX_TOLD:
                    more += 1
                    continue
                text = f"cannot be read and counts as absent: {error.flaws[0]}"
                hint = "write it anew: meshctl apply -f FILE"
                found.append(Check(_SECTION, f"{kind.singular}/{stored.key}", "fail", text, hint))
    if more:
        found.append(Check(_SECTION, "and more", "fail", f"{more} objects that cannot be read"))
    return found
