from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from loadtest.results import file
from loadtest.results.file import FileError, read, write
from loadtest.results.histogram import Histogram
from loadtest.results.model import SCHEMA, Endpoint, EndpointBin, Ledger, Verdict, Window
from tests.loadtest.results.made import comparison, result, usage

WHOLE = comparison(
    result(
        ledger=Ledger(is_known=True, sent=3, examples={"lost": ["r-0-1"]}),
        limited=["late"],
        windows=[Window("hangs", "hang", 1.0, 2.0, "echo", [1, 3])],
        endpoints=[Endpoint("echo", 1, "127.40.1.1:8080", [EndpointBin(0.25, 3, 2, {"200": 2}, {"hang": 1})])],
        usage=usage(1.5, 1 << 20),
        verdicts=[Verdict("p99", "at most 1 s", "2 s", holds=False)],
        configuration={"envoy.yaml": "static: {}\n"},
        problems=["a \N{SNOWMAN} problem"],
        interrupted=True,
    ),
    result("envoy", 2),
)


def test_what_is_written_is_read(tmp_path: Path) -> None:
    path = tmp_path / "result.json"
    write(WHOLE, path)
    assert read(path) == WHOLE


def test_it_is_json_with_histograms_of_its_bins(tmp_path: Path) -> None:
    path = tmp_path / "result.json"
    write(WHOLE, path)
    first = json.loads(path.read_bytes())["results"][0]
    assert first["summary"]["latency"]["p99"] == 1000
    assert Histogram.decode(first["bins"][0]["ok"]).counts() == {1000: 100}


def test_a_file_is_replaced_as_a_whole_and_nothing_is_left_beside_it(tmp_path: Path) -> None:
    path = tmp_path / "result.json"
    write(WHOLE, path)
    with path.open("rb") as before:
        write(comparison(result()), path)
        assert len(json.loads(before.read())["results"]) == 2
    assert len(read(path).results) == 1
    assert [each.name for each in tmp_path.iterdir()] == ["result.json"]


def test_a_new_file_has_the_rights_that_new_files_have(tmp_path: Path) -> None:
    (tmp_path / "other").touch()
    write(WHOLE, tmp_path / "result.json")
    assert (tmp_path / "result.json").stat().st_mode == (tmp_path / "other").stat().st_mode


def test_what_cannot_be_written_is_told_and_leaves_nothing(tmp_path: Path) -> None:
    (tmp_path / "result.json").mkdir()
    with pytest.raises(FileError, match=r"result\.json: cannot be written: "):
        write(WHOLE, tmp_path / "result.json")
    assert [each.name for each in tmp_path.iterdir()] == ["result.json"]
    with pytest.raises(FileError, match="No such file"):
        write(WHOLE, tmp_path / "nowhere" / "result.json")


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (b"", "not JSON"),
        (b"# Results", "not JSON"),
        (b"\xff\xfe", "not JSON"),
        (b'{"schema": 1, "results": [', "not JSON"),
        (b"[1, 2]", "no result of meshload"),
        (b'{"schema": "1", "results": []}', "no result of meshload"),
        (b'{"kind": "Service"}', "no result of meshload"),
        (b'{"schema": 0, "started": "", "results": []}', "schema 0, and this meshload reads 1: run the scenario again"),
        (b'{"schema": 99, "started": "", "results": [{}]}', "a newer meshload reads it"),
        (b'{"schema": 1, "results": []}', "missing required field `started`"),
        (
            b'{"schema": 1, "started": "", "results": [{"schema": 1}]}',
            r"missing required field `scenario` .*\$.results\[0\]",
        ),
    ],
)
def test_what_is_no_result_is_refused_saying_why(tmp_path: Path, content: bytes, why: str) -> None:
    path = tmp_path / "other.json"
    path.write_bytes(content)
    with pytest.raises(FileError, match=f"other.json: .*{why}"):
        read(path)


def test_fields_of_a_later_version_are_read_over(tmp_path: Path) -> None:
    path = tmp_path / "result.json"
    write(WHOLE, path)
    data = json.loads(path.read_bytes())
    data["news"] = data["results"][0]["news"] = data["results"][0]["summary"]["news"] = 1
    path.write_text(json.dumps(data))
    assert read(path) == WHOLE
    assert data["schema"] == SCHEMA


def test_what_is_not_there_is_told(tmp_path: Path) -> None:
    with pytest.raises(FileError, match="No such file"):
        read(tmp_path / "none.json")
    with pytest.raises(FileError, match="Is a directory"):
        read(tmp_path)


def test_no_more_is_read_than_a_result_can_be(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(file, "MOST_BYTES", 1000)
    path = tmp_path / "large.json"
    path.write_bytes(b" " * 1001)
    with pytest.raises(FileError, match="larger than 1000 bytes"):
        read(path)


def test_a_file_that_stays_behind_does_not_stop_the_next(tmp_path: Path) -> None:
    (tmp_path / f".result.json.{os.getpid()}").write_text("of a process that was killed and had the same number")
    write(WHOLE, tmp_path / "result.json")
    assert read(tmp_path / "result.json") == WHOLE
