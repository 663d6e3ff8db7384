"""One finding about the mesh's health, as `meshctl check` shows it."""

from __future__ import annotations

from typing import Literal, TypeAlias

from msgspec import Struct

State: TypeAlias = Literal["ok", "warn", "fail"]


class Check(Struct, frozen=True):
    """What was looked at and what was found. `warn`: it works, but not as it could; `fail`: something does not work.

    `hint` says what can be done; empty when nothing is to be done.
    """

    section: str
    name: str
    state: State
    message: str
    hint: str = ""
