from __future__ import annotations

import sys
from pathlib import Path

import pytest

from loadtest.subjects.programs import find
from loadtest.subjects.subject import SubjectError


def program(folder: Path) -> Path:
    folder.mkdir()
    made = folder / "meshctl"
    made.touch(mode=0o755)
    return made


def test_the_program_beside_this_python_is_taken_before_that_of_the_path(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    beside, elsewhere = program(tmp_path / "beside"), program(tmp_path / "elsewhere")
    monkeypatch.setattr(sys, "executable", str(beside.with_name("python")))
    monkeypatch.setenv("PATH", str(elsewhere.parent))
    assert find("meshctl") == beside
    beside.unlink()
    assert find("meshctl") == elsewhere


@pytest.mark.parametrize("name", ["meshproxy", "meshctl", "meshcontrol", "envoy", "haproxy"])
def test_one_that_is_missing_is_told_with_how_to_get_it(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "executable", str(tmp_path / "python"))
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr("loadtest.subjects.programs._SYSTEM", str(tmp_path))
    with pytest.raises(SubjectError, match=rf"no program {name}, neither in {tmp_path} nor on PATH: .*install"):
        find(name)
