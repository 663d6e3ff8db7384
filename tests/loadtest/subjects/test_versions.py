from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from importlib.metadata import version
from pathlib import Path

import pytest

from loadtest.subjects import versions as module
from loadtest.subjects.versions import versions

Program = Callable[[str, str], None]


@pytest.fixture
def program(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Program]:
    """Puts a program where subjects look first: its name, and what its shell does."""
    monkeypatch.setattr(sys, "executable", str(tmp_path / "python"))
    monkeypatch.setattr(module, "_PATIENCE_S", 0.2)
    module._ask.cache_clear()

    def make(name: str, does: str) -> None:
        path = tmp_path / name
        path.write_text(f"#!/bin/sh\n{does}\n")
        path.chmod(0o755)

    yield make
    module._ask.cache_clear()


def test_of_every_run_meshload_python_and_kernel_are_told() -> None:
    for subject in ("direct", "http://envoy:80"):
        found = versions(subject)
        assert list(found) == ["meshload", "python", "kernel"]
        assert found["meshload"] == version("meshproxy")
        assert found["python"] == ".".join(map(str, sys.version_info[:3]))


def test_the_mesh_that_is_installed_says_its_own() -> None:
    assert versions("meshproxy-mtls-snapshot")["meshproxy"] == version("meshproxy")


@pytest.mark.parametrize(
    ("subject", "name", "says", "told"),
    [
        ("envoy-mtls", "envoy", "envoy  version: d79f6e8d45/1.37.1/Clean/RELEASE/BoringSSL", "1.37.1"),
        (
            "haproxy",
            "haproxy",
            "HAProxy version 2.6.12-1+deb12u2 2025/04/16 - https://haproxy.org/",
            "2.6.12-1+deb12u2",
        ),
        ("meshproxy", "meshproxy", "meshproxy 0.1.0", "0.1.0"),
        ("haproxy", "haproxy", "odd words\nand more", "odd words"),
    ],
)
def test_a_program_s_words_are_shortened_to_its_number(
    program: Program, subject: str, name: str, says: str, told: str
) -> None:
    program(name, f"echo '{says}'")
    assert versions(subject)[name] == told


@pytest.mark.parametrize("does", ["exit 1", "exec sleep 60"])
def test_a_program_that_does_not_say_it_costs_no_result(program: Program, does: str) -> None:
    program("envoy", does)
    assert versions("envoy")["envoy"] == "unknown"


def test_a_program_that_is_gone_costs_no_result(program: Program, monkeypatch: pytest.MonkeyPatch) -> None:
    program("haproxy", "echo it is another one that is asked for")
    monkeypatch.setenv("PATH", "")
    assert versions("envoy")["envoy"] == "unknown"
