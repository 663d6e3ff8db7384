"""What sidecars know, from a file: compiled by `meshctl` whenever it changes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from loadtest.process import Child, ChildError
from loadtest.subjects.manifests import MANIFESTS, Document, write
from loadtest.subjects.programs import find
from loadtest.subjects.subject import Place, SubjectError

FILE = "snapshot.json"


class Snapshot:
    """A source of configuration without a control plane: sidecars read the file anew when it was replaced."""

    flags: Sequence[str] = ("--snapshot", FILE)
    command = f"meshctl compile -f {MANIFESTS} -o {FILE}"
    is_away = False

    def __init__(self, place: Place) -> None:
        self._place = place
        self._program = find("meshctl")

    async def start(self) -> None:
        """There is nothing to start."""

    async def tell(self, documents: Mapping[str, Sequence[Document]]) -> None:
        """Replaces the file. SubjectError with what `meshctl` finds wrong."""
        write(self._place, documents)
        _, *words = self.command.split()
        cwd, cores = self._place.folder, self._place.cores
        try:
            child = await Child.begin("meshctl compile", [self._program, *words], cwd=cwd, cores=cores)
        except ChildError as error:
            raise SubjectError(str(error)) from None
        try:
            if await child.wait():
                raise SubjectError(f"meshctl compile refuses the origins or the policy:\n{child.last_words()}")
        finally:
            await child.end()

    async def lose(self) -> None:
        """There is no control plane to be lost."""

    def children(self) -> Sequence[Child]:
        return ()

    async def stop(self) -> None:
        """There is nothing to end."""
