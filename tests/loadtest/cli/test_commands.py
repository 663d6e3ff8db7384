from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.main import get_command

from loadtest.cli.app import app, main
from loadtest.cli.load import split
from loadtest.results.file import read
from tests.loadtest.cli.commands import SHORT, file, say

COMMANDS = ("run", "compare", "load", "list", "explain", "diff", "page")


def only(folder: Path, name: str) -> Path:
    found = list((folder / "meshload-results").glob(f"*/{name}"))
    assert len(found) == 1
    return found[0]


def ended(monkeypatch: pytest.MonkeyPatch, *words: str) -> object:
    """The exit status of a command, in this process."""
    monkeypatch.setattr("sys.argv", ["meshload", *words])
    with pytest.raises(SystemExit) as found:
        main()
    return found.value.code


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
        (["run", ""], "meshload list"),
        (["run", "suite"], "meshload compare"),
        (["run", "short.yaml", "-o", "short.yaml/there"], "--out short.yaml/there"),
        (["compare", "short.yaml", "-s", ","], "--subjects"),
        (["compare", "short.yaml", "-s", "direct,envoy,direct"], "direct twice: --rounds"),
        (["load", "http://127.0.0.1:1/"], "--rate"),
        (["load", "127.0.0.1:1", "--rate", "5/s"], "http://HOST:PORT"),
        (["load", "http://127.0.0.1:1", "--rate", "5"], "rate: a rate is"),
        (["load", "http://127.0.0.1:1", "--rate", "5/s", "-H", "x"], "NAME:VALUE"),
        (["load", "http://127.0.0.1:1/#part", "--rate", "5/s"], "#"),
        (
            ["load", "http://127.0.0.1:1/", "--rate", "5/s", "-H", "Cookie: a", "-H", "cookie: b"],
            "cookie is given twice",
        ),
        (["load", "http://127..0.0.1:1/", "--rate", "5/s"], "127..0.0.1 is no name of a host"),
        (["explain", "x" * 300], "cannot be looked at: File name too long"),
        (["page", "short.yaml", "-o", "."], "the name of a file is needed"),
        (["page", "short.yaml", "-o", "short.yaml"], "which the page would replace"),
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
    assert ended(monkeypatch, *words) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert told in err
    assert not (tmp_path / "meshload-results").exists()


@pytest.mark.parametrize(
    ("url", "address", "path"),
    [
        ("http://echo:80", "http://echo:80", "/"),
        ("http://echo/a/b?c=d/e", "http://echo", "/a/b?c=d/e"),
        ("http://echo?c=/d", "http://echo", "/?c=/d"),
    ],
)
def test_an_address_is_split_from_what_is_asked_of_it(url: str, address: str, path: str) -> None:
    assert split(url) == (address, path)


def written(text: str | None) -> list[str]:
    """What is shown line by line, as it was written; the first paragraph is not."""
    return (text or "").partition("\n\n")[2].splitlines()


def test_every_option_has_a_variable_and_every_help_fits_a_terminal() -> None:
    group = get_command(app)
    context = group.make_context("meshload", ["list"])
    for name in COMMANDS:
        command = group.get_command(context, name)
        assert all(len(line) < 79 for line in written(command.help))
        for option in command.params:
            if option.param_type_name == "option" and option.name != "help":
                assert str(option.envvar).startswith("MESHLOAD_"), (name, option.name)
    assert all(len(line) < 79 for line in written(group.help))


def test_scenarios_are_listed_and_explained(tmp_path: Path) -> None:
    status, out, _ = say("list", where=tmp_path)
    assert status == 0
    assert "one-503" in out
    assert "meshproxy-mtls" in out
    status, out, _ = say("explain", "one-503", where=tmp_path)
    assert status == 0
    assert "answers 503" in out


@pytest.mark.parametrize(
    ("line", "told"),
    [("judged: [mesproxy]", "judged[0]: no subject's name begins with 'mesproxy'"), ("subjects: [envoi]", "'envoi'")],
)
def test_a_scenario_for_a_subject_that_there_is_not_is_not_explained(tmp_path: Path, line: str, told: str) -> None:
    (tmp_path / "x.yaml").write_text(f"{line}\n{SHORT}")
    status, out, err = say("explain", "x.yaml", where=tmp_path)
    assert (status, out) == (2, "")
    assert told in err


def test_a_comparison_runs_all_in_turns_and_can_be_held_against_another(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
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
    monkeypatch.chdir(tmp_path)
    assert ended(monkeypatch, "diff", "old.json", "old.json") == 0
    assert ended(monkeypatch, "diff", "old.json", "new.json") == 1
    capsys.readouterr()
    assert ended(monkeypatch, "page", str(path), "new.json", "-o", "both.html") == 0
    assert capsys.readouterr().out.strip() == "both.html"
    assert "failing" in (tmp_path / "both.html").read_text()
    assert ended(monkeypatch, "page", str(path), "--markdown") == 0
    out, err = capsys.readouterr()
    assert [line.split(" | ")[0] for line in out.splitlines()[:4]] == [
        "| scenario",
        "|:---|---:|",
        "| failing",
        "| short",
    ]
    assert err.strip() == "page.html"
    assert ended(monkeypatch, "page", str(path), "new.json", "--markdown") == 0
    assert f"| direct ({path}) | direct (new.json) |" in capsys.readouterr().out.replace("\\", "")


def test_an_address_is_loaded_without_a_file(tmp_path: Path) -> None:
    status, out, err = say("load", "http://127.0.0.1:1/x", "-R", "50/s", "-d", "400ms", where=tmp_path)
    assert status == 0, err
    result = read(only(tmp_path, "result.json")).results[0]
    assert result.summary.counts == {"refused": 20}
    assert "refused" in out
