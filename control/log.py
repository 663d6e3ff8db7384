"""The control plane's log: what its libraries tell goes there too, but not what their clients make them tell."""

from __future__ import annotations

import logging
from typing import Literal

from aiohttp.http_exceptions import HttpProcessingError

from meshproxy.kit import log as process_log

LIBRARIES = ("asyncio", "aiohttp")


def start(level: str, form: Literal["json", "text"] = "text") -> None:
    """Send all of it to standard error; libraries tell of warnings and errors only."""
    process_log.start(level, form)
    for name in LIBRARIES:
        logger = logging.getLogger(name)
        logger.handlers[:] = logging.getLogger(process_log.ROOTS[0]).handlers
        logger.propagate = False
        logger.setLevel(logging.WARNING)
    logging.getLogger("aiohttp.server").addFilter(is_ours)


def is_ours(record: logging.LogRecord) -> bool:
    """Tell whether a record of aiohttp's server is about us: not about what was no HTTP, or a client that went away.

    Anybody can do that as often as they like, and what they sent is quoted: a token as well.
    """
    return not (record.exc_info and isinstance(record.exc_info[1], HttpProcessingError | ConnectionError))
