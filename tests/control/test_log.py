"""What of libraries' records becomes part of the log."""

import io
import json
import logging
import sys

import pytest
from aiohttp import ClientConnectionResetError
from aiohttp.http_exceptions import BadHttpMessage, LineTooLong

from control import log as module


@pytest.fixture
def lines(monkeypatch):
    """What is logged, as it comes."""
    out = io.StringIO()
    monkeypatch.setattr(sys, "stderr", out)
    loggers = [logging.getLogger(name) for name in ("control", "meshproxy", "aiohttp", "aiohttp.server", "asyncio")]
    before = [(item, item.handlers[:], item.filters[:], item.propagate, item.level) for item in loggers]
    module.start("info", "json")
    yield lambda: [json.loads(line) for line in out.getvalue().splitlines()]
    for item, handlers, filters, propagate, level in before:
        item.handlers[:], item.filters[:], item.propagate = handlers, filters, propagate
        item.setLevel(level)


def fail(logger, error):
    try:
        raise error
    except type(error):
        logging.getLogger(logger).exception("Error handling request from 127.0.0.1")


def test_a_defect_is_told_as_everything_else_is(lines):
    fail("aiohttp.server", ZeroDivisionError("of a handler"))
    fail("asyncio", ZeroDivisionError("of a callback"))
    assert [(line["logger"], line["level"]) for line in lines()] == [("aiohttp.server", "error"), ("asyncio", "error")]
    assert "of a handler" in lines()[0]["traceback"]


def test_what_clients_do_is_not_told(lines):
    for error in (BadHttpMessage("Bearer secret"), LineTooLong(b"Bearer secret", 1), ClientConnectionResetError()):
        fail("aiohttp.server", error)
    logging.getLogger("aiohttp.access").info("GET /")
    assert lines() == []
