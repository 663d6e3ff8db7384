"""Credentials from real programs: when they are run, what they are told, and every way in which they fail."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import stat
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from control.kube import plugin as module
from control.kube.failure import KubeError
from control.kube.kubeconfig import Exec, Place, Variable
from control.kube.plugin import Plugin
from tests.fakes.loop import on_uvloop, until

V1 = "client.authentication.k8s.io/v1"


def credential(**status: Any) -> str:
    return json.dumps({"apiVersion": V1, "kind": "ExecCredential", "status": status})


def script(folder: Path, text: str, name: str = "plugin") -> Path:
    file = folder / name
    file.write_text(f"#!/bin/sh\n{text}\n")
    file.chmod(stat.S_IRWXU)
    return file


def plugin(folder: Path, text: str, cluster: dict[str, Any] | None = None, **options: Any) -> Plugin:
    """A program of one shell script; it leaves a line in `runs` each time."""
    script(folder, f"echo run >> {folder}/runs\n{text}")
    settings = {"api_version": V1, "command": "./plugin", "interactive_mode": "Never", **options}
    return Plugin(Exec(**settings), Place(folder / "config", "user a"), cluster or {})


def runs(folder: Path) -> int:
    return (folder / "runs").read_text().count("run") if (folder / "runs").exists() else 0


async def failure(credentials: Plugin, now: float = 0.0) -> str:
    with pytest.raises(KubeError) as caught:
        await credentials.authorization(now)
    return str(caught.value)


@on_uvloop
async def test_a_program_is_run_once_for_all_who_wait_and_not_again_while_its_credential_lasts(tmp_path):
    credentials = plugin(tmp_path, f"echo '{credential(token='a')}'")
    values = await asyncio.gather(*(credentials.authorization(0.0) for _ in range(5)))
    assert values == ["Bearer a"] * 5
    assert await credentials.authorization(1e6) == "Bearer a"
    assert runs(tmp_path) == 1


@on_uvloop
async def test_it_is_run_again_shortly_before_its_credential_ends(tmp_path):
    ends = (datetime.now(UTC) + timedelta(hours=1)).isoformat().replace("+00:00", "Z")
    credentials = plugin(tmp_path, f"echo '{credential(token='a', expirationTimestamp=ends)}'")
    await credentials.authorization(100.0)
    await credentials.authorization(100.0 + 3600 - module.EARLY_S - 60)
    assert runs(tmp_path) == 1
    await credentials.authorization(100.0 + 3600 - module.EARLY_S)
    assert runs(tmp_path) == 2


@on_uvloop
async def test_a_refused_credential_makes_it_run_again_but_not_at_once(tmp_path):
    credentials = plugin(tmp_path, f"echo '{credential(token='a')}'")
    value = await credentials.authorization(0.0)
    credentials.reject("Bearer of long ago")
    assert await credentials.authorization(100.0) == value
    assert runs(tmp_path) == 1
    credentials.reject(value)
    assert await credentials.authorization(module.GAP_S - 0.1) == value
    assert runs(tmp_path) == 1
    assert await credentials.authorization(module.GAP_S) == value
    assert runs(tmp_path) == 2


@on_uvloop
async def test_an_ended_credential_is_not_asked_for_at_every_request(tmp_path):
    ends = (datetime.now(UTC) - timedelta(hours=1)).isoformat()
    credentials = plugin(tmp_path, f"echo '{credential(token='a', expirationTimestamp=ends)}'")
    for now in (0.0, 1.0, 2.0):
        assert await credentials.authorization(now) == "Bearer a"
    assert runs(tmp_path) == 1


@on_uvloop
async def test_it_is_told_its_arguments_environment_and_the_cluster(tmp_path, monkeypatch):
    monkeypatch.setenv("INHERITED", "yes")
    cluster = {"server": "https://192.0.2.1", "config": {"audience": "x"}}
    credentials = plugin(
        tmp_path,
        f'printf "%s\\n" "$1" "$2" "$OWN" "$INHERITED" "$KUBERNETES_EXEC_INFO" > {tmp_path}/told\n'
        f"echo '{credential(token='a')}'",
        cluster,
        args=["one", "two words"],
        env=[Variable("OWN", "mine")],
        provide_cluster_info=True,
    )
    await credentials.authorization(0.0)
    *told, info = (tmp_path / "told").read_text().splitlines()
    assert told == ["one", "two words", "mine", "yes"]
    assert json.loads(info) == {
        "apiVersion": V1,
        "kind": "ExecCredential",
        "spec": {"interactive": False, "cluster": cluster},
    }


@on_uvloop
async def test_of_the_cluster_it_is_told_nothing_unasked(tmp_path):
    text = f"echo \"$KUBERNETES_EXEC_INFO\" > {tmp_path}/told; echo '{credential(token='a')}'"
    await plugin(tmp_path, text, {"server": "x"}).authorization(0.0)
    assert json.loads((tmp_path / "told").read_text())["spec"] == {"interactive": False}


@on_uvloop
async def test_a_name_without_a_slash_is_looked_for_in_its_own_path(tmp_path, monkeypatch):
    script(tmp_path, f"echo '{credential(token='found')}'", "some-login")
    options = {"command": "some-login", "install_hint": "get it\nfrom there"}
    path = Variable("PATH", f"{tmp_path}:/bin:/usr/bin")
    assert await plugin(tmp_path, "", env=[path], **options).authorization(0.0) == "Bearer found"
    monkeypatch.setenv("PATH", "/nowhere")
    assert await failure(plugin(tmp_path, "", **options)) == (
        f"{tmp_path}/config: user a: exec: some-login: is not found in PATH; get it from there"
    )


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("echo no login >&2; exit 3", "ended with code 3: no login"),
        ("exit 3", "ended with code 3"),
        ("printf '\\033[31mred' >&2; exit 1", "ended with code 1: ?[31mred"),
        ("echo token", "what it printed is no ExecCredential: JSON is malformed"),
        (
            """printf '{"x":'; head -c 100000 /dev/zero | tr '\\0' '['""",
            "what it printed is no ExecCredential: maximum recursion depth",
        ),
        ("echo '{}'", "what it printed is no ExecCredential: Object missing required field `apiVersion`"),
        (f"echo '{credential()}'", "status: has neither a token nor a certificate"),
        (
            f"echo '{credential(clientCertificateData='x')}'",
            "status: clientCertificateData and clientKeyData come together",
        ),
        (
            f"echo '{credential(clientCertificateData='x', clientKeyData='secret')}'",
            "status.clientCertificateData: certificate and key cannot be used: ",
        ),
        (
            f"echo '{credential(token='secret', expirationTimestamp='soon')}'",
            "what it printed is no ExecCredential: Invalid RFC3339",
        ),
        (
            f"echo '{credential(token='secret', expirationTimestamp='2030-01-01T00:00:00')}'",
            "what it printed is no ExecCredential: ",
        ),
        (f"echo '{credential(token='sec ret')}'", "status.token: is no token"),
        (
            f"echo '{credential(token='secret').replace('/v1', '/v1beta1')}'",
            f"what it printed is no ExecCredential of {V1}",
        ),
        (f"echo '{credential(token='secret').replace('ExecC', 'C')}'", f"what it printed is no ExecCredential of {V1}"),
        ("yes secret", "printed more than 1048576 bytes"),
        ("yes secret >&2", "printed more than 1048576 bytes"),
        ("kill -9 $$", "ended with code -9"),
    ],
)
@on_uvloop
async def test_what_fails_is_told_in_a_sentence(tmp_path, text, message):
    told = await failure(plugin(tmp_path, text))
    assert told.startswith(f"{tmp_path}/config: user a: exec: ./plugin: {message}")
    assert "sec" not in told.partition("./plugin")[2]


@on_uvloop
async def test_a_failure_is_told_to_all_who_wait_and_is_not_tried_at_their_pace(tmp_path):
    credentials = plugin(tmp_path, "exit 1")
    told = await asyncio.gather(*(failure(credentials) for _ in range(3)), failure(credentials, 1.0))
    assert len(set(told)) == 1
    assert await failure(credentials, module.GAP_S - 0.1) == told[0]
    assert runs(tmp_path) == 1
    script(tmp_path, f"echo '{credential(token='a')}'")
    assert await credentials.authorization(module.GAP_S) == "Bearer a"


@on_uvloop
async def test_a_program_that_hangs_is_killed_with_all_that_it_started(tmp_path, monkeypatch):
    monkeypatch.setattr(module, "RUN_S", 0.3)
    told = await failure(plugin(tmp_path, f"sleep 1000 & echo $! $$ > {tmp_path}/pids; wait"))
    assert told.endswith("./plugin: has not ended within 0.3 s")
    pids = [int(pid) for pid in (tmp_path / "pids").read_text().split()]
    await until(lambda: not any(_is_alive(pid) for pid in pids))


@on_uvloop
async def test_what_it_leaves_running_is_left_alone_and_not_waited_for(tmp_path, monkeypatch):
    monkeypatch.setattr(module, "LINGER_S", 0.1)
    credentials = plugin(tmp_path, f"sleep 1000 & echo $! > {tmp_path}/pid; echo '{credential(token='a')}'")
    assert await credentials.authorization(0.0) == "Bearer a"
    pid = int((tmp_path / "pid").read_text())
    assert _is_alive(pid)
    os.kill(pid, signal.SIGKILL)


@on_uvloop
async def test_the_loop_goes_on_while_it_runs_and_who_is_cancelled_does_not_end_it(tmp_path):
    credentials = plugin(tmp_path, f"while [ ! -e {tmp_path}/go ]; do :; done; echo '{credential(token='a')}'")
    first, second = (asyncio.create_task(credentials.authorization(0.0)) for _ in range(2))
    await until(lambda: runs(tmp_path) == 1)
    first.cancel()
    with pytest.raises(asyncio.CancelledError):
        await first
    (tmp_path / "go").touch()
    assert await second == "Bearer a"
    assert runs(tmp_path) == 1


@on_uvloop
async def test_closing_kills_what_runs(tmp_path):
    credentials = plugin(tmp_path, f"sleep 1000 & echo $! > {tmp_path}/pid; wait")
    waiting = asyncio.create_task(failure(credentials))
    await until(lambda: (tmp_path / "pid").exists() and (tmp_path / "pid").read_text().strip())
    await credentials.close()
    assert (await waiting).endswith("ended with code -9")
    pid = int((tmp_path / "pid").read_text())
    await until(lambda: not _is_alive(pid))
    await credentials.close()


@on_uvloop
async def test_closing_kills_what_is_just_being_started(tmp_path):
    credentials = plugin(tmp_path, "sleep 1000")
    waiting = asyncio.create_task(failure(credentials))
    await asyncio.sleep(0)  # the request has begun
    await asyncio.sleep(0)  # so has the run
    await credentials.close()
    assert (await waiting).endswith("ended with code -9")


@on_uvloop
async def test_it_reads_nothing_from_our_terminal(tmp_path):
    credentials = plugin(tmp_path, f"read answer && exit 1; echo '{credential(token='a')}'")
    assert await credentials.authorization(time.monotonic()) == "Bearer a"


def _is_alive(pid: int) -> bool:
    try:
        return "Z" not in Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return False
