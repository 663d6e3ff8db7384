"""What the API needs of others: the objects, who is connected, and why a request goes where it goes."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Sequence
from typing import Protocol, TypeAlias

from msgspec import Struct

from control.model.check import Check
from control.model.kinds import Kind
from control.model.objects import Key


class Object(Protocol):
    """One object. `body` is its JSON, with `version` as its `metadata.resourceVersion`."""

    @property
    def kind(self) -> Kind: ...
    @property
    def key(self) -> Key: ...
    @property
    def version(self) -> int: ...
    @property
    def body(self) -> bytes: ...


class Event(Object, Protocol):
    """ADDED, MODIFIED or DELETED; of a deletion `body` is the last state, `former` the state before a modification."""

    @property
    def type(self) -> str: ...
    @property
    def former(self) -> bytes: ...


Listener: TypeAlias = Callable[[Sequence[Event]], None]


class Objects(Protocol):
    """What can be read. `version` is that of the latest change."""

    @property
    def version(self) -> int: ...

    def __len__(self) -> int: ...

    def count(self, kind: Kind) -> int: ...

    def get(self, kind: Kind, key: Key) -> Object | None: ...

    def list(self, kind: Kind, namespace: str = "") -> Sequence[Object]:
        """Return all objects of a kind, or those of one namespace, sorted by namespace and name."""
        ...

    def events_since(self, version: int, kind: Kind, namespace: str = "") -> Iterable[Event]:
        """Return what happened after a version. Raise Gone (control.store.records) if it is too long ago."""
        ...

    def listen(self, callback: Listener) -> Callable[[], None]:
        """Have events given to `callback`, in order; returns what ends that."""
        ...


class Proxies(Protocol):
    """The sidecars that are connected. A row has at least `namespace` and `name`, and is shown as JSON."""

    def proxies(self) -> Sequence[Struct]: ...

    async def ask(self, namespace: str, name: str, what: str) -> str:
        """Return a sidecar's `config`, `endpoints` or `metrics`, as text.

        Raise LookupError if it is not connected, TimeoutError if it does not answer, RuntimeError if it refuses.
        """
        ...


class Explain(Protocol):
    """Tells the way of one request. Raises ValueError for what is no request."""

    def __call__(
        self, url: str, namespace: str, service_account: str, method: str, headers: list[tuple[str, str]]
    ) -> Struct: ...


Checks: TypeAlias = Callable[[], Awaitable[list[Check]]]
"""Looks at everything that can be wrong, within about ten seconds, whatever does not answer."""
