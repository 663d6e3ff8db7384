from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from loadtest.block import Block
from loadtest.subjects import choice
from loadtest.subjects.subject import Place, SubjectError


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Place]:
    block = Block()
    yield Place(tmp_path, block)
    block.release()


@pytest.mark.parametrize("name", [*choice.ABOUT, "http://127.0.0.1:8080"])
def test_every_name_makes_a_subject_of_that_name(name: str, place: Place) -> None:
    choice.check([name])
    assert choice.make(name, place).name == name


def test_every_subject_is_told_of_in_one_sentence() -> None:
    assert all(text.endswith(".") and "\n" not in text for text in choice.ABOUT.values())


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("meshproxy-mtsl", "did you mean meshproxy-mtls?"),
        ("envoi", "did you mean envoy?"),
        ("xyz", "allowed: direct, meshproxy,"),
        ("https://127.0.0.1", "does not speak TLS"),
    ],
)
def test_a_name_that_there_is_not_is_told_with_those_that_there_are(name: str, says: str, place: Place) -> None:
    with pytest.raises(SubjectError) as caught:
        choice.check(["direct", name])
    assert says in str(caught.value)
    assert name in str(caught.value)
    with pytest.raises(SubjectError):
        choice.make(name, place)


def test_an_address_is_known_by_its_form() -> None:
    assert choice.is_address("http://127.0.0.1:80")
    assert not any(choice.is_address(name) for name in choice.ABOUT)


@pytest.mark.parametrize(
    ("name", "program"),
    [("meshproxy", "meshproxy"), ("meshproxy-snapshot", "meshproxy"), ("meshproxy-mtls", "meshproxy")],
)
def test_a_program_that_is_missing_is_told_with_how_to_get_it(
    name: str, program: str, place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    nowhere = place.folder / "nowhere"
    monkeypatch.setattr(sys, "executable", str(nowhere / "python"))
    monkeypatch.setenv("PATH", str(nowhere))
    with pytest.raises(SubjectError, match=rf"no program {program}, neither in {nowhere} nor on PATH: .*pip install"):
        choice.make(name, place)
