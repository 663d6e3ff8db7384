from __future__ import annotations

import json
from pathlib import Path

import pytest

from loadtest.cli.app import main
from loadtest.results.file import read
from tests.loadtest.cli.commands import SHORT, file, say

COMMANDS = ("run", "compare", "load", "list", "explain", "diff", "page")


def only(folder: Path, name: str) -> Path:
    found = list((folder / "meshload-results").glob(f"*/{name}"))
    assert len(found) == 1
    return found[0]


def test_the_help_names_every_command_and_each_has_its_own(tmp_path: Path) -> None:
    status, out, _ = say("--help", where=tmp_path)
    assert status == 0
    for command in COMMANDS:
        assert f" {command} " in out
    status, out, _ = say("run", "--help", where=tmp_path)
    assert status == 0
    assert "--subject" in out


def test_a_run_whose_expectations_hold_ends_with_0_and_leaves_its_files(tmp_path: Path) -> None:
    status, out, err = say("run", file(tmp_path), where=tmp_path)
    assert status == 0, err
    assert "50" in out
    assert str(only(tmp_path, "page.html").relative_to(tmp_path)) in err
    result = read(only(tmp_path, "result.json")).results[0]
    assert result.summary.counts == {"200": 50}
    assert result.text == SHORT


def test_a_run_whose_expectations_do_not_hold_ends_with_1(tmp_path: Path) -> None:
    text = SHORT.replace("load:", "faults: [{for: 1h, status: 500}]\nload:")
    status, out, _ = say("run", file(tmp_path, text), where=tmp_path)
    assert status == 1
    assert "at least 99.9 %" in out


def test_a_wrong_file_starts_nothing_and_tells_every_line(tmp_path: Path) -> None:
    text = SHORT.replace("100/s", "100").replace("instances: 2", "instance: 2")
    status, out, err = say("run", file(tmp_path, text), where=tmp_path)
    assert (status, out) == (2, "")
    assert f"{tmp_path}/short.yaml:2:" in err
    assert "instances" in err
    assert f"{tmp_path}/short.yaml:5:" in err
    assert "400/s" in err
    assert not (tmp_path / "meshload-results").exists()


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["run", "one-504"], "did you mean one-503?"),
        (["run", "nowhere.yaml"], "meshload list"),
        (["run", "short.yaml", "-s", "envoi"], "envoy"),
        (["compare", "short.yaml", "-s", "direct,https://127.0.0.1:1"], "http://"),
        (["compare", "short.yaml", "short.yaml"], "same name: short"),
        (["run", "suite"], "meshload compare"),
        (["load", "http://127.0.0.1:1/"], "--rate"),
        (["load", "127.0.0.1:1", "--rate", "5/s"], "http://HOST:PORT"),
        (["load", "http://127.0.0.1:1", "--rate", "5"], "rate: a rate is"),
        (["load", "http://127.0.0.1:1", "--rate", "5/s", "-H", "x"], "NAME:VALUE"),
        (["diff", "short.yaml", "short.yaml"], "short.yaml"),
        (["page", "short.yaml"], "short.yaml"),
    ],
)
def test_what_cannot_be_done_is_told_in_a_sentence(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    words: list[str],
    told: str,
) -> None:
    file(tmp_path)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("sys.argv", ["meshload", *words])
    with pytest.raises(SystemExit) as ended:
        main()
    out, err = capsys.readouterr()
    assert (ended.value.code, out) == (2, "")
    assert told in err
    assert not (tmp_path / "meshload-results").exists()


def test_scenarios_are_listed_and_explained(tmp_path: Path) -> None:
    status, out, _ = say("list", where=tmp_path)
    assert status == 0
    assert "one-503" in out
    assert "meshproxy-mtls" in out
    status, out, _ = say("explain", "one-503", where=tmp_path)
    assert status == 0
    assert "answers 503" in out


def test_a_comparison_runs_all_in_turns_and_can_be_held_against_another(tmp_path: Path) -> None:
    file(tmp_path)
    failing = SHORT.replace("name: short", "name: failing").replace("load:", "faults: [{for: 1h, status: 500}]\nload:")
    file(tmp_path, failing, "failing.yaml")
    status, out, err = say("compare", tmp_path, "-s", "direct", "-r", "2", "--markdown", where=tmp_path)
    assert status == 1, err
    assert [line.split("|")[1].strip() for line in out.splitlines() if line.startswith("|") and "%" in line] == [
        "failing",
        "short",
    ]
    path = only(tmp_path, "result.json")
    found = read(path)
    assert [(each.scenario, each.round) for each in found.results] == [
        ("failing", 1), ("short", 1), ("failing", 2), ("short", 2),
    ]  # fmt: skip
    raw = json.loads(path.read_text())
    for result in raw["results"]:
        result["generator"]["limited"] = []  # as on a machine that is quiet
    (tmp_path / "old.json").write_text(json.dumps(raw))
    for result in raw["results"]:
        result["summary"]["success_percent"] /= 2
    (tmp_path / "new.json").write_text(json.dumps(raw))
    assert say("diff", "old.json", "old.json", where=tmp_path)[0] == 0
    assert say("diff", "old.json", "new.json", where=tmp_path)[0] == 1
    status, out, _ = say("page", path, "new.json", "-o", "both.html", where=tmp_path)
    assert (status, out.strip()) == (0, "both.html")
    assert "failing" in (tmp_path / "both.html").read_text()


def test_an_address_is_loaded_without_a_file(tmp_path: Path) -> None:
    status, out, err = say("load", "http://127.0.0.1:1/x", "-R", "50/s", "-d", "400ms", where=tmp_path)
    assert status == 0, err
    result = read(only(tmp_path, "result.json")).results[0]
    assert result.summary.counts == {"refused": 20}
    assert "refused" in out
