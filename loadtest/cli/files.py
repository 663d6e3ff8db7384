"""Scenarios as they are named on the command line."""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from pathlib import Path

from loadtest.cli.failure import Failure
from loadtest.scenario.load import ScenarioError, read
from loadtest.scenario.model import Scenario

SUITE = Path(__file__).parent.parent / "scenarios"
"""The scenarios that come with meshload."""
ALL = "suite"


def find(arguments: Iterable[str]) -> list[tuple[str, Scenario]]:
    """Each argument: a file, a folder of files, the name of one that comes with meshload, or `suite` for all of those.

    Gives (text, scenario) in that order. Failure: none such, or what is wrong in which line; all files are read first.
    """
    found = []
    wrong = []
    for path in (path for argument in arguments for path in _paths(argument)):
        try:
            found.append(read(path))
        except ScenarioError as error:
            wrong.append(str(error))
    if wrong:
        raise Failure("\n".join(wrong))
    names = [scenario.name for _, scenario in found]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise Failure(f"two scenarios have the same name: {', '.join(twice)}")
    return found


def _paths(argument: str) -> list[Path]:
    path = Path(argument)
    if argument == ALL:
        path = SUITE
    try:
        if argument and path.is_dir():
            inside = sorted(path.glob("*.yaml"))
            if not inside:
                raise Failure(f"{argument}: no *.yaml file in this folder")
            return inside
        if argument and path.exists():
            return [path]
    except OSError as error:
        raise Failure(f"{argument}: cannot be looked at: {error.strerror}") from None
    known = {_name(each): each for each in sorted(SUITE.glob("*.yaml"))}
    if argument in known:
        return [known[argument]]
    near = difflib.get_close_matches(argument, known, n=1)
    hint = f"did you mean {near[0]}? " if near else ""
    raise Failure(
        f"{argument or repr(argument)}: neither a file nor a scenario of meshload; "
        f"{hint}`meshload list` shows what there is"
    )


def _name(path: Path) -> str:
    """The name of a scenario of the suite: that of its file without the number before it."""
    return path.stem.lstrip("0123456789").lstrip("-")
