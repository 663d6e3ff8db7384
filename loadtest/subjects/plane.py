"""What sidecars know, from a control plane: `meshcontrol` on a store of its own, told through its REST API."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence

from loadtest.process import Child, ChildError
from loadtest.subjects.manifests import MANIFESTS, Document, path_of, write
from loadtest.subjects.programs import find
from loadtest.subjects.readiness import answering, until
from loadtest.subjects.rest import ask
from loadtest.subjects.subject import Place, SubjectError

_API_PORT, _PUSH_PORT, _METRICS_PORT = 15010, 15012, 15014
_DATA = "control"
_WRITER = "?fieldManager=meshload&force=true"


class Plane:
    """A source of configuration that can be lost (`is_away`) and comes back with what it had stored."""

    def __init__(self, place: Place) -> None:
        self._place = place
        self._program = find("meshcontrol")
        self._host = place.block.address()
        self._child: Child | None = None
        self._stored: dict[str, Document] = {}
        self.is_away = True
        self.flags: Sequence[str] = ("--control", f"ws://{self._host}:{_PUSH_PORT}")
        self.command = (
            f"meshcontrol run --data-dir {_DATA} --api {self._host}:{_API_PORT} "
            f"--push {self._host}:{_PUSH_PORT} --metrics {self._host}:{_METRICS_PORT}\n"
            f"# what stands in {MANIFESTS}/ is applied through its REST API"
        )

    async def start(self) -> None:
        """Serves sidecars when this returns. SubjectError when it does not come up."""
        words = self.command.partition("\n")[0].split()[1:]
        cwd, cores = self._place.folder, self._place.cores
        try:
            child = await Child.begin("meshcontrol", [self._program, *words], cwd=cwd, cores=cores)
        except ChildError as error:
            raise SubjectError(str(error)) from None
        self._child = child
        try:
            await until(child, self._is_ready)
            self.is_away = False
        finally:
            if self.is_away:
                await self.stop()

    async def _is_ready(self) -> bool:
        try:
            return (await ask((self._host, _METRICS_PORT), "/readyz"))[0] == 200
        except OSError:
            return False

    async def tell(self, documents: Mapping[str, Sequence[Document]]) -> None:
        """Returns when it has stored what is new in them; when it is lost meanwhile, the rest waits for the next call.

        SubjectError when it refuses something, or does not answer.
        """
        assert self._child is not None
        child = self._child
        write(self._place, documents)
        token = (self._place.folder / _DATA / "token").read_text().strip()
        headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/apply-patch+yaml"}
        for document in (each for of_it in documents.values() for each in of_it):
            path = path_of(document)
            if self._stored.get(path) == document:
                continue
            try:
                status, body = await self._patch(child, path, document, headers)
            except SubjectError:
                if self.is_away:
                    return
                raise
            if status >= 300:
                name = f"{document['kind']} {document['metadata']['name']}"
                raise SubjectError(f"meshcontrol refuses {name}: {_reason(body)}")
            self._stored[path] = document

    async def _patch(self, child: Child, path: str, document: Document, headers: dict[str, str]) -> tuple[int, bytes]:
        async with answering(child):
            return await ask((self._host, _API_PORT), path + _WRITER, "PATCH", document=document, headers=headers)

    async def lose(self) -> None:
        """SIGKILL."""
        self.is_away = True
        await self.stop()

    def children(self) -> Sequence[Child]:
        return (self._child,) if self._child is not None else ()

    async def stop(self) -> None:
        """At once: its store is the run's own, and nobody asks for it afterwards."""
        child, self._child = self._child, None
        if child is not None:
            child.kill()
            await child.end()


def _reason(body: bytes) -> str:
    """The message of a Kubernetes Status."""
    try:
        return str(json.loads(body)["message"])
    except (ValueError, KeyError, TypeError):
        return body[:500].decode(errors="replace")
