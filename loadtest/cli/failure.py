"""What a command says when it cannot do what it was asked."""

from __future__ import annotations

WRONG = 2
"""Something given is wrong; nothing was run."""
BROKEN = 3
"""A run could not be made, or broke."""
INTERRUPTED = 130


class Failure(Exception):  # noqa: N818 - a way to end a command
    """Ends the command with its text on standard error and this exit status."""

    def __init__(self, text: str, status: int = WRONG) -> None:
        super().__init__(text)
        self.status = status
