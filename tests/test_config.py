"""Settings: where the configuration comes from, and what does not fit together."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from meshproxy import cli, config
from meshproxy.config import Settings, SettingsError

GOOD = Settings(
    snapshot=Path("snapshot.json"),
    namespace="shop",
    service_account="front",
    workload="front-1",
    admin=("127.0.0.1", 15000),
    outbound=("127.0.0.1", 15001),
)
FOLLOWING = replace(GOOD, snapshot=None, control=("ws://127.0.0.1:15012",))


@pytest.mark.parametrize(
    ("text", "url"),
    [
        ("ws://127.0.0.1:15012", "ws://127.0.0.1:15012"),
        ("ws://127.0.0.1", "ws://127.0.0.1:15012"),
        ("ws://127.9.9.9:1/", "ws://127.9.9.9:1"),
        ("ws://[::1]:15012", "ws://[::1]:15012"),
        ("ws://localhost:15012", "ws://localhost:15012"),
        ("WSS://Control.Mesh.Example", "wss://control.mesh.example:15012"),
        ("wss://10.0.0.1:443", "wss://10.0.0.1:443"),
    ],
)
def test_a_control_planes_address_is_taken_with_its_port(text: str, url: str) -> None:
    assert config.parse_control(text) == url


@pytest.mark.parametrize(
    "text",
    [
        "ws://10.0.0.1:15012",
        "ws://control.example:15012",
        "ws://0.0.0.0:15012",
        "http://127.0.0.1:15012",
        "127.0.0.1:15012",
        "ws://",
        "ws://:15012",
        "ws://127.0.0.1:99999",
        "ws://127.0.0.1:x",
        "ws://127.0.0.1:15012/mesh",
        "ws://127.0.0.1:15012?token=1",
        "ws://127.0.0.1:15012#x",
        "ws://user:secret@127.0.0.1:15012",
        "ws://127.0.0.1\n:15012",
        "ws://[::1",
    ],
)
def test_a_control_planes_address_that_cannot_be_used_is_refused(text: str) -> None:
    with pytest.raises(SettingsError, match="--control"):
        config.parse_control(text)


def test_the_configuration_comes_from_one_place() -> None:
    GOOD.check()
    FOLLOWING.check()
    for bad in (replace(GOOD, snapshot=None), replace(GOOD, control=FOLLOWING.control)):
        with pytest.raises(SettingsError, match="--snapshot and --control"):
            bad.check()


@pytest.mark.parametrize(
    ("bad", "told"),
    [
        (replace(GOOD, state_dir=Path("state")), "--state-dir is of use only with --control"),
        (replace(FOLLOWING, control=("wss://a.example:1",)), "wss:// needs --identity-dir"),
        (replace(FOLLOWING, control=FOLLOWING.control * 17), "at most 16"),
        (replace(GOOD, workers=0), "1 to 64"),
        (replace(GOOD, workers=65), "1 to 64"),
        (replace(GOOD, drain_s=float("nan")), "0 to 3600"),
    ],
)
def test_what_does_not_fit_together_is_refused(bad: Settings, told: str) -> None:
    with pytest.raises(SettingsError, match=told):
        bad.check()


FLAGS = ["run", "--namespace", "shop", "--service-account", "front", "--outbound", "127.0.0.1"]


@pytest.fixture
def ran(monkeypatch: pytest.MonkeyPatch) -> list[Settings]:
    """What `meshproxy run` was called with."""
    seen: list[Settings] = []
    monkeypatch.setattr("meshproxy.app.run", lambda settings: seen.append(settings) or 0)
    return seen


def test_control_planes_come_by_flags_or_by_the_environment(
    ran: list[Settings], monkeypatch: pytest.MonkeyPatch
) -> None:
    two = ("ws://127.0.0.1:15012", "ws://127.0.0.2:1")
    assert cli.main([*FLAGS, "--control", "ws://127.0.0.1", "--control", "ws://127.0.0.2:1", "--workers", "3"]) == 0
    monkeypatch.setenv("MESHPROXY_CONTROL", "ws://127.0.0.1, ws://127.0.0.2:1,")
    monkeypatch.setenv("MESHPROXY_STATE_DIR", "/var/lib/meshproxy")
    monkeypatch.setenv("MESHPROXY_WORKERS", "2")
    assert cli.main(FLAGS) == 0
    assert cli.main([*FLAGS, "--control", "ws://127.0.0.3"]) == 0
    assert [one.control for one in ran] == [two, two, ("ws://127.0.0.3:15012",)]
    assert [(one.workers, one.state_dir) for one in ran[:2]] == [(3, None), (2, Path("/var/lib/meshproxy"))]
    assert all(one.snapshot is None for one in ran)


@pytest.mark.parametrize(
    ("flags", "told"),
    [
        ([], "--snapshot and --control"),
        (["--control", "ws://10.0.0.1"], "use wss://"),
        (["--control", "ws://127.0.0.1", "--workers", "two"], "a whole number is needed"),
        (["--control", "ws://127.0.0.1", "--drain-s", "soon"], "a number is needed"),
    ],
)
def test_wrong_flags_are_told(
    flags: list[str], told: str, ran: list[Settings], capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.main([*FLAGS, *flags]) == 2
    assert told in capsys.readouterr().err
    assert ran == []


def test_a_check_needs_no_control_plane(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main([*FLAGS, "--control", "ws://127.0.0.1:1", "--check-config"]) == 0
    assert "the configuration is good" in capsys.readouterr().out


def test_the_help_teaches_both_ways(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        cli.main(["run", "--help"])
    text = capsys.readouterr().out
    for word in ("--control", "--state-dir", "--workers", "--snapshot", "wss://", "meshctl compile"):
        assert word in text
