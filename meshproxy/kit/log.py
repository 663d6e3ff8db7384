"""The process log: standard logging on standard error, one JSON object or one text line each; its level can change."""

from __future__ import annotations

import logging
import sys
from typing import Literal, TextIO

import msgspec

from meshproxy.kit.stamp import stamp

LEVELS = ("debug", "info", "warning", "error")
ROOTS = ("meshproxy", "control")
"""Every logger of ours is below one of these; libraries' loggers are not touched."""


class JsonFormatter(logging.Formatter):
    """`{"time", "level", "logger", "message", "traceback"?}`."""

    def format(self, record: logging.LogRecord) -> str:
        entry = {
            "time": stamp(record.created),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
        }
        if record.exc_info:
            entry["traceback"] = self.formatException(record.exc_info)
        return msgspec.json.encode(entry).decode()


class TextFormatter(logging.Formatter):
    """`time level logger: message`; line feeds of a message are escaped, so that nobody forges a line."""

    def format(self, record: logging.LogRecord) -> str:
        message = record.getMessage().replace("\r", r"\r").replace("\n", r"\n")
        text = f"{stamp(record.created)} {record.levelname.lower()} {record.name}: {message}"
        return f"{text}\n{self.formatException(record.exc_info)}" if record.exc_info else text


def start(level: str, form: Literal["json", "text"] = "text", stream: TextIO | None = None) -> None:
    """Send our log to a stream (standard error); called again, it replaces what was set up before."""
    handler = logging.StreamHandler(stream or sys.stderr)
    handler.setFormatter(JsonFormatter() if form == "json" else TextFormatter())
    for root in ROOTS:
        logger = logging.getLogger(root)
        logger.handlers[:] = [handler]
        logger.propagate = False
    set_level(level)


def level() -> str:
    """The level in force, one of `LEVELS`."""
    return logging.getLevelName(logging.getLogger(ROOTS[0]).getEffectiveLevel()).lower()


def set_level(word: str) -> None:
    """Change the level; ValueError with the words that are allowed, and then nothing changes."""
    if word not in LEVELS:
        raise ValueError(f"log level {word[:32]!r} is none of {', '.join(LEVELS)}")
    for root in ROOTS:
        logging.getLogger(root).setLevel(word.upper())
