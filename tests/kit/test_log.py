from __future__ import annotations

import io
import json
import logging

import pytest

from meshproxy.kit import log


@pytest.fixture(autouse=True)
def _as_before():
    loggers = [logging.getLogger(root) for root in log.ROOTS]
    before = [(logger.handlers[:], logger.level, logger.propagate) for logger in loggers]
    yield
    for logger, (handlers, level, propagates) in zip(loggers, before, strict=True):
        logger.handlers[:], logger.propagate = handlers, propagates
        logger.setLevel(level)


def test_json_lines_hold_time_level_logger_message_and_traceback():
    stream = io.StringIO()
    log.start("info", "json", stream)
    logger = logging.getLogger("meshproxy.some.part")
    logger.warning("a %s\nof it", "line")
    try:
        _ = {}["x"]
    except KeyError:
        logger.exception("failed")
    first, second = map(json.loads, stream.getvalue().splitlines())
    assert first["level"] == "warning"
    assert first["logger"] == "meshproxy.some.part"
    assert first["message"] == "a line\nof it"
    assert first["time"].endswith("Z")
    assert "traceback" not in first
    assert "KeyError" in second["traceback"]


def test_a_text_message_cannot_forge_a_line():
    stream = io.StringIO()
    log.start("info", "text", stream)
    logging.getLogger("meshproxy.x").info("a\r\n2026-01-01 error meshproxy: forged")
    assert stream.getvalue().count("\n") == 1
    assert " info meshproxy.x: a\\r\\n2026" in stream.getvalue()


def test_the_level_changes_at_run_time():
    stream = io.StringIO()
    log.start("warning", "text", stream)
    logger = logging.getLogger("meshproxy.x")
    logger.info("one")
    log.set_level("debug")
    logger.debug("two")
    assert log.level() == "debug"
    assert "one" not in stream.getvalue()
    assert "two" in stream.getvalue()


@pytest.mark.parametrize("word", ["", "DEBUG", "trace", "critical", "x" * 1000])
def test_an_unknown_level_is_refused_with_the_allowed_ones_and_changes_nothing(word):
    log.start("warning")
    with pytest.raises(ValueError, match="none of debug, info, warning, error") as refusal:
        log.set_level(word)
    assert len(str(refusal.value)) < 120
    assert log.level() == "warning"


def test_starting_again_replaces_the_handler():
    first, second = io.StringIO(), io.StringIO()
    log.start("info", "text", first)
    log.start("info", "text", second)
    logging.getLogger("meshproxy.x").info("one")
    assert first.getvalue() == ""
    assert second.getvalue().count("one") == 1
