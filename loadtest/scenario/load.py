"""Files to scenarios. A wrong one is refused, with all that is wrong in it: where it is, and what would be allowed."""

from __future__ import annotations

import copy
import difflib
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from loadtest.scenario import lines
from loadtest.scenario.allowed import allowed, fields, found, quoted, schema_at
from loadtest.scenario.lines import Mark, Tree, YamlError
from loadtest.scenario.model import Scenario
from loadtest.scenario.references import MOST_INSTANCES

LARGEST_BYTES = 1024 * 1024
_MOST_TOLD = 50
_PLAIN = re.compile(r"[\w-]{1,64}", re.ASCII)
_BEGINS_WITH_PATH = re.compile(r"([a-z_]+(?:\[\d+\])*(?:\.[^\s:.\[]+(?:\[\d+\])*)*): (.+)")
_STEP = re.compile(r"[^.\[\]]+")


class Problem(NamedTuple):
    """Something wrong, in a line and column from 1; 0 when it is the file as a whole. `path` may be empty."""

    line: int
    column: int
    path: str
    message: str


class ScenarioError(Exception):
    """A file is no scenario. Its text is all problems, a line for each: `FILE:LINE:COLUMN: path: message`."""

    def __init__(self, source: str, problems: list[Problem]) -> None:
        super().__init__(source, problems)
        self.source = source
        self.problems = problems

    def __str__(self) -> str:
        told = [self._line(problem) for problem in self.problems[:_MOST_TOLD]]
        if len(self.problems) > _MOST_TOLD:
            told.append(f"{self.source}: and {len(self.problems) - _MOST_TOLD} problems more")
        return "\n".join(told)

    def _line(self, problem: Problem) -> str:
        place = f"{self.source}:{problem.line}:{problem.column}" if problem.line else self.source
        return ": ".join(part for part in (place, problem.path, problem.message) if part)


def read(path: Path) -> tuple[str, Scenario]:
    """A file's text, and what it says. ScenarioError: it cannot be read, or is no scenario."""
    source = str(path)
    try:
        with path.open("rb") as file:
            data = file.read(LARGEST_BYTES + 1)
    except OSError as error:
        raise ScenarioError(source, [Problem(0, 0, "", f"it cannot be read: {error.strerror}")]) from None
    if len(data) > LARGEST_BYTES:
        raise ScenarioError(source, [Problem(0, 0, "", "it is too large: 1 MiB is the most")])
    try:
        text = data.decode()
    except UnicodeDecodeError as error:
        problem = Problem(*lines.end(data[: error.start].decode()), "", "it is not UTF-8 text")
        raise ScenarioError(source, [problem]) from None
    return text, parse(text, source)


def parse(text: str, source: str = "scenario") -> Scenario:
    """What a scenario's text says. ScenarioError tells everything that is wrong in it, in order of lines."""
    try:
        tree = lines.read(text)
    except YamlError as error:
        raise ScenarioError(source, [Problem(*error.mark, "", error.message)]) from None
    problems = [_problem(flaw.mark, flaw.path, flaw.message) for flaw in tree.flaws]
    try:
        scenario = Scenario.model_validate(tree.value)
    except ValidationError as error:
        wrong = error.errors(include_url=False)
        flawed = [flaw.path for flaw in tree.flaws if flaw.path]
        told = [each for each in wrong if not any(_is_within(each["loc"], path) for path in flawed)]
        problems += [problem for each in told for problem in _problems(each, tree)]
        problems += _references(tree, [each["loc"] for each in wrong])
    else:
        if not problems:
            return scenario
    raise ScenarioError(source, sorted(set(problems)))


def _is_within(path: lines.Path, other: lines.Path) -> bool:
    return path[: len(other)] == other


def _problem(mark: Mark, path: lines.Path, message: str) -> Problem:
    return Problem(mark.line, mark.column, _told(path), message)


def _problems(error: ErrorDetails, tree: Tree) -> list[Problem]:
    """One of pydantic's errors; several when a validator of ours told several, line by line."""
    loc = error["loc"]
    path = tree.within(loc)
    if error["type"] == "missing":
        return [_problem(tree.mark(path), loc, f"it is missing: {allowed(loc)}")]
    if error["type"] == "extra_forbidden":
        return [_problem(tree.keys[path], path, _unknown(loc))]
    if error["type"] == "value_error":
        message = str(error["ctx"]["error"])
        if "format" in schema_at(loc):
            return [_problem(tree.mark(path), path, f"{message}; not {found(tree.at(path))}")]
        return [_problem(tree.mark(below), below, words) for below, words in _ours(message, path, tree)]
    if loc[-1:] == ("[key]",):
        return [_problem(tree.keys[path], path, f"{allowed(loc)}; not {quoted(str(loc[-2]))}")]
    return [_problem(tree.mark(path), path, f"{allowed(loc)}; not {found(tree.at(path))}")]


def _ours(message: str, path: lines.Path, tree: Tree) -> Iterator[tuple[lines.Path, str]]:
    """What a validator of the model says of the value at `path`; each line may begin with the path of a part of it."""
    for line in message.split("\n"):
        named = _BEGINS_WITH_PATH.fullmatch(line)
        steps = [int(step) if step.isdigit() else step for step in _STEP.findall(named[1])] if named else []
        below = tree.within((*path, *steps))
        yield below, named[2] if named and len(below) == len(path) + len(steps) else line


def _unknown(path: lines.Path) -> str:
    name = str(path[-1])
    known = fields(path[:-1])
    near = difflib.get_close_matches(name[:64], known, n=1)
    hint = f"did you mean {near[0]}? " if near else ""
    return f"there is no such field; {hint}allowed: {', '.join(known)}"


def _told(path: lines.Path) -> str:
    """`faults[0].at`."""
    told = ""
    for step in path:
        if isinstance(step, int):
            told += f"[{step}]"
        else:
            told += ("." if told else "") + (step if _PLAIN.fullmatch(step) else quoted(step))
    return told


_SOUND: dict[lines.Path, Any] = {
    ("origins",): {"instances": MOST_INSTANCES},
    ("faults",): {"for": "1s", "hang": True},
    ("changes",): {"at": "0s", "control_plane": "back"},
    ("expect",): {"success": 0},
    ("load", "requests"): {},
    ("load", "phases"): {"for": "24h", "rate": "1/s"},
}
"""What may stand, by list, in the place of an entry that is wrong, so that the others can be looked at."""
_NEEDED: dict[str, Any] = {"name": "x", "load": {"phases": [{"for": "24h", "rate": "1/s"}]}}


def _references(tree: Tree, wrong: list[lines.Path]) -> list[Problem]:
    """Whether what is right refers to what is there: pydantic looks at the whole only when every part is right."""
    if () in wrong or not isinstance(tree.value, dict):
        return []
    mended = copy.deepcopy(tree.value)
    for path in sorted(wrong, key=len, reverse=True):
        _mend(mended, path)
    try:
        Scenario.model_validate(mended)
    except ValidationError as error:
        told = [each["ctx"]["error"] for each in error.errors(include_url=False) if each["loc"] == ()]
    else:
        return []
    unsure = {"instance", "instances"} if any(path[0] == "changes" for path in wrong) else set()
    return [
        _problem(tree.mark(below), below, words)
        for message in told
        for below, words in _ours(str(message), (), tree)
        if not unsure & set(below) and not any(_is_within(path, below) or _is_within(below, path) for path in wrong)
    ]


def _mend(mended: dict[str, Any], path: lines.Path) -> None:
    for length in (1, 2):
        if path[:length] in _SOUND and len(path) > length:
            entries: Any = mended
            for step in path[:length]:
                entries = entries[step]
            entries[path[length]] = _SOUND[path[:length]]
            return
    field = str(path[0])
    if field in _NEEDED:
        mended[field] = _NEEDED[field]
    else:
        mended.pop(field, None)
