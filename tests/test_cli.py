"""The command line's own part: flags that may come by the environment."""

from __future__ import annotations

from pathlib import Path

import pytest

from meshproxy import cli
from tests.fakes.places import refusing
from tests.fakes.process import write
from tests.fakes.snapshots import service


@pytest.fixture
def arguments(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    write(tmp_path / "snapshot.json", service("echo", [refusing()]))
    monkeypatch.setenv("MESHPROXY_NAMESPACE", "default")
    monkeypatch.setattr("meshproxy.app.run", lambda _settings: 77)
    return ["run", "--snapshot", str(tmp_path / "snapshot.json"), "--service-account", "x", "--outbound", "127.0.0.1:0"]


@pytest.mark.parametrize(
    ("value", "status"), [("1", 0), ("true", 0), ("Yes", 0), ("0", 77), ("false", 77), ("", 77), (None, 77)]
)
def test_the_check_of_the_configuration_can_be_asked_for_by_the_environment(
    value: str | None, status: int, arguments: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    if value is None:
        monkeypatch.delenv("MESHPROXY_CHECK_CONFIG", raising=False)
    else:
        monkeypatch.setenv("MESHPROXY_CHECK_CONFIG", value)
    assert cli.main(arguments) == status


def test_a_check_says_what_is_wrong_and_runs_nothing(
    arguments: list[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("MESHPROXY_CHECK_CONFIG", "1")
    Path(arguments[2]).write_text("{}")
    assert cli.main(arguments) == 1
    assert "schema" in capsys.readouterr().err
