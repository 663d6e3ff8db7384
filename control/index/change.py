"""One change of one object, as an index takes it."""

from __future__ import annotations

from typing import NamedTuple

from control.model.decode import Known
from control.model.objects import Key


class Change(NamedTuple):
    """An object of a type that is new or different, or gone (`item` None)."""

    type: type[Known]
    key: Key
    item: Known | None
