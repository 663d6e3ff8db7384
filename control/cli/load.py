"""Documents to typed objects: decodes all of them, and gathers everything that is wrong before giving up."""

from __future__ import annotations

from control.cli.manifest import MAX_DOCUMENTS, Document, ManifestError, read, sources
from control.model.decode import KINDS, Known, ObjectError, decode, has_known_group, identify, is_known
from control.model.objects import Key
from control.model.schema import JSON

DEFAULT_NAMESPACE = "default"
MAX_ERRORS = 200
"""So many errors are told."""


class Loaded:
    """What was found: objects in the order of the files, errors, and the places of what was skipped, by kind.

    `documents` are those of the objects, one each. `namespace` is given to documents that say none.
    """

    __slots__ = ("_namespace", "_seen", "documents", "error_count", "errors", "objects", "skipped")

    def __init__(self, namespace: str = DEFAULT_NAMESPACE) -> None:
        self._namespace = namespace
        self.objects: list[Known] = []
        self.documents: list[Document] = []
        self.errors: list[str] = []
        self.error_count = 0
        self.skipped: dict[str, list[str]] = {}
        self._seen: dict[tuple[str, Key], str] = {}

    def fail(self, message: str) -> None:
        self.error_count += 1
        if len(self.errors) < MAX_ERRORS:
            self.errors.append(message)

    def take(self, document: Document) -> None:
        """Decode one document, or note why not."""
        self._place(document.value)
        identity = identify(document.value)
        place = f"{document.place} ({identity})"
        if not isinstance(document.value, dict):
            self.fail(f"{document.place}: is no object; allowed: a Kubernetes object")
        elif not identity.api_version or not identity.kind:
            self.fail(f"{place}: apiVersion and kind are required, as text")
        elif not is_known(identity) and not (identity.kind in KINDS and has_known_group(identity)):
            self.skipped.setdefault(f"{identity.kind} ({identity.api_version})", []).append(document.place)
        else:
            try:
                item = decode(document.value)
            except ObjectError as error:
                for flaw in error.flaws:
                    self.fail(f"{place}: {flaw}")
                return
            first = self._seen.setdefault((identity.kind, item.key), document.place)
            if first != document.place:
                self.fail(f"{place}: stands twice, before in {first}; allowed: each object once")
            self.objects.append(item)
            self.documents.append(document)

    def _place(self, value: JSON) -> None:
        metadata = value.get("metadata") if isinstance(value, dict) else None
        if isinstance(metadata, dict) and metadata.get("namespace") is None:
            metadata["namespace"] = self._namespace


def load(paths: list[str], namespace: str = DEFAULT_NAMESPACE) -> Loaded:
    """Read and decode all manifests. What says no namespace gets `namespace`."""
    loaded = Loaded(namespace)
    try:
        files = sources(paths)
    except ManifestError as error:
        loaded.fail(str(error))
        return loaded
    count = 0
    for file in files:
        try:
            for document in read(file):
                count += 1
                if count > MAX_DOCUMENTS:
                    loaded.fail(f"{document.place}: too many objects; allowed: {MAX_DOCUMENTS} in all files together")
                    return loaded
                loaded.take(document)
        except ManifestError as error:
            loaded.fail(str(error))
    return loaded
