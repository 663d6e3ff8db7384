"""The identity in use, and its replacement when the files change."""

from __future__ import annotations

import hashlib
from enum import Enum
from pathlib import Path

from meshproxy.tls import identity
from meshproxy.tls.identity import Files, Identity, IdentityError


class Reload(Enum):
    """What a poll found."""

    SAME = "same"
    CHANGED = "changed"
    REFUSED = "refused"


class IdentityStore:
    """Holds `current`, the identity that new connections use; existing connections keep the one they began with.

    `refusal` is the sentence of the last REFUSED, empty while the files are those in use.
    """

    __slots__ = (
        "_digest", "_directory", "_is_told", "_namespace", "_seen", "_service_account",
        "current", "refusal",
    )  # fmt: skip

    def __init__(self, directory: Path, namespace: str, service_account: str, at_s: float) -> None:
        """Loads the identity at wall time `at_s`. Raises IdentityError: a sidecar does not start without."""
        self._directory = directory
        self._namespace = namespace
        self._service_account = service_account
        files = identity.read(directory)
        self.current: Identity = identity.build(files, namespace, service_account, at_s)
        self._digest = _digest(files)
        self._seen: tuple[bytes, str] | None = None  # the failing content and its reason, as the poll before saw them
        self._is_told = False
        self.refusal = ""

    def poll(self, at_s: float) -> Reload:
        """Takes over changed files. REFUSED once per distinct reason and content, with the reason in `refusal`.

        A failure is told only when the next poll finds the same one: a set that is being written file by file is
        refused for a moment by nature. It is tried again at every poll, since a date may come true without a write.
        """
        digest = b""
        try:
            files = identity.read(self._directory)
            digest = _digest(files)
            if digest == self._digest:
                self._seen, self.refusal = None, ""
                return Reload.SAME
            fresh = self._build(files, at_s)
        except IdentityError as exc:
            return self._refuse(digest, str(exc))
        self.current, self._digest, self._seen, self.refusal = fresh, digest, None, ""
        return Reload.CHANGED

    def _build(self, files: Files, at_s: float) -> Identity:
        fresh = identity.build(files, self._namespace, self._service_account, at_s)
        own = self.current.id
        if fresh.id.trust_domain != own.trust_domain:
            # The first load has pinned it: a new trust domain is another mesh, which no running sidecar moves to.
            raise IdentityError(
                f"tls.crt is of trust domain {fresh.id.trust_domain!r}, but this sidecar runs in {own.trust_domain!r}; "
                "restart it to move"
            )
        return fresh

    def _refuse(self, digest: bytes, reason: str) -> Reload:
        failure = (digest, reason)
        if failure != self._seen:
            self._seen, self._is_told = failure, False
            return Reload.SAME
        if self._is_told:
            return Reload.SAME
        self._is_told = True
        self.refusal = reason
        return Reload.REFUSED


def _digest(files: Files) -> bytes:
    """Of all three; kept instead of the files, so that no second copy of the key stays in memory."""
    digest = hashlib.sha256()
    for content in files:
        digest.update(len(content).to_bytes(8, "big"))
        digest.update(content)
    return digest.digest()
