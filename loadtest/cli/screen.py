"""Where commands print. Whoever reads may go away, which ends nothing that is under way."""

from __future__ import annotations

import os
import sys
from typing import IO, Any, TextIO, cast

from rich.console import Console, RenderableType

from loadtest.cli.failure import BROKEN, Failure


class _Patient:
    """A stream; once it cannot be written any more (a closed pipe, a terminal that is gone), what is written is lost.

    `must_be_read`: unless somebody closed it, that is a Failure.
    """

    def __init__(self, stream: TextIO, *, must_be_read: bool) -> None:
        self._stream = stream
        self._must_be_read = must_be_read

    def write(self, text: str) -> int:
        try:
            self._stream.write(text)
        except UnicodeEncodeError:
            self._stream.write(text.encode(self._stream.encoding, "replace").decode(self._stream.encoding))
        except OSError as error:
            self._lose(error)
        return len(text)

    def flush(self) -> None:
        try:
            self._stream.flush()
        except OSError as error:
            self._lose(error)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)

    def _lose(self, error: OSError) -> None:
        """Also what is still in the stream's buffer: Python writes that at its end."""
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, self._stream.fileno())
        os.close(nowhere)
        if self._must_be_read and not isinstance(error, BrokenPipeError):
            raise Failure(f"standard output cannot be written: {error.strerror}", BROKEN) from None


def _console(stream: TextIO, *, must_be_read: bool) -> Console:
    return Console(file=cast("IO[str]", _Patient(stream, must_be_read=must_be_read)), highlight=False, emoji=False)


def aside() -> Console:
    """Standard error: what goes on, and what is to know."""
    return _console(sys.stderr, must_be_read=False)


def say(shown: RenderableType) -> None:
    """What was asked for, on standard output; plain text as it is."""
    console = _console(sys.stdout, must_be_read=True)
    if isinstance(shown, str):
        console.out(shown, highlight=False)
    else:
        console.print(shown)
