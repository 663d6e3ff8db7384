"""What the API needs of others: who is connected, and why a request goes where it goes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from msgspec import Struct


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
