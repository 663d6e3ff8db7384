"""What a path is about: a kind in one of its versions."""

from __future__ import annotations

from typing import NamedTuple

from control.api.form import Form
from control.model.kinds import KINDS, Kind


class Resource(NamedTuple):
    """A kind as one of the versions that it is served in."""

    kind: Kind
    version: str

    @property
    def group_version(self) -> str:
        return self.kind.group_version(self.version)

    @property
    def root(self) -> str:
        """The path under which all of the version's kinds are."""
        return self.kind.root(self.version)

    def form(self, accept: str, include: str = "") -> Form:
        """Return how objects of this resource leave. Raise ApiError."""
        is_as_kept = self.version == self.kind.versions[0]
        return Form(self.kind.name, self.group_version, accept, include, is_as_kept=is_as_kept)


RESOURCES = tuple(Resource(kind, version) for kind in KINDS for version in kind.versions)
