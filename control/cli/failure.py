"""What a command ends with when it cannot do what it was asked to."""

from __future__ import annotations


class Failure(Exception):  # noqa: N818 - it ends a command, and is told as a sentence
    """The message is what is printed after `error: `; it may have several lines. `status` is the exit status."""

    status = 1


class Unreachable(Failure):
    """The control plane did not answer, or not in time."""


class ApiError(Failure):
    """The control plane refused. `reason` is a word of Kubernetes' (NotFound, Conflict, Invalid)."""

    def __init__(self, message: str, code: int, reason: str, text: str) -> None:
        super().__init__(message)
        self.code = code
        self.reason = reason
        self.text = text  # the server's own words, without what they come from

    @property
    def is_general(self) -> bool:
        """Tell whether it is not about the object: no token, no writes here, nothing to be told or written yet."""
        return self.code in {401, 405, 503}
