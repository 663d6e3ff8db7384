from __future__ import annotations

from pathlib import Path

import pytest

from deploy.demo.child import DemoError
from deploy.demo.options import Options


def test_nothing_set_runs_without_end_on_the_usual_ports() -> None:
    assert Options.read({"DEMO_SECONDS": "", "PATH": "x"}) == Options(seconds=None, base=15000, picture=None)


def test_what_is_set_is_taken(tmp_path: Path) -> None:
    env = {"DEMO_SECONDS": "12.5", "DEMO_PORT_BASE": "20000", "DEMO_PICTURE": str(tmp_path / "a.svg")}
    assert Options.read(env) == Options(seconds=12.5, base=20000, picture=tmp_path / "a.svg")


@pytest.mark.parametrize(
    ("name", "value"),
    [
        *(("DEMO_SECONDS", value) for value in ("x", "0", "-5", "9.9", "nan", "inf", "1e9")),
        *(("DEMO_PORT_BASE", value) for value in ("x", "0", "80", "65500", "-1", "²", "1.5")),
        ("DEMO_PICTURE", "/"),
        ("DEMO_PICTURE", "/nowhere/at/all.svg"),
    ],
)
def test_what_cannot_be_used_is_refused_by_name(name: str, value: str) -> None:
    with pytest.raises(DemoError, match=name):
        Options.read({name: value})
