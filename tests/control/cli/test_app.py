"""meshctl as a whole: help, completion, terminals, interruption."""

import contextlib
import json
import os
import pty
import select
import signal
import subprocess
import sys
import threading

from typer.main import get_command

from control.cli.app import app
from tests.control.build import service
from tests.fakes.control import control_plane
from tests.fakes.scripted import Reply, scripted

COMMANDS = ("apply", "diff", "get", "describe", "delete", "route", "proxies", "explain", "check", "compile")
MESHCTL = [sys.executable, "-m", "control.cli.app"]


def test_help_lists_the_commands_and_each_teaches_by_example(meshctl):
    text = meshctl("--help").out
    for command in COMMANDS:
        assert f" {command} " in text
        words = [command, "shift"] if command == "route" else [command]
        page = meshctl(*words, "--help").out
        assert "Example" in page
        assert f"meshctl {' '.join(words)}" in page


def options_of(command):
    """All options of a command and of those below it."""
    for name in command.list_commands(None) if hasattr(command, "list_commands") else ():
        yield from options_of(command.get_command(None, name))
    for parameter in command.params:
        if parameter.param_type_name == "option":
            yield parameter


def test_every_option_has_an_environment_variable():
    options = {option.opts[0]: option.envvar for option in options_of(get_command(app))}
    assert len(options) > 15
    for name in ("--help", "--version", "--install-completion", "--show-completion"):
        options.pop(name, None)
    assert {name: variable for name, variable in options.items() if not (variable or "").startswith("MESHCTL_")} == {}


def test_a_command_that_does_not_exist_is_refused(meshctl):
    result = meshctl("nosuch")
    assert result.status == 2
    assert "No such command 'nosuch'" in result.err


def test_get_imports_no_compiler_and_no_server():
    code = (
        "import sys; from control.cli import app, get, proxies\n"
        "bad = {'aiohttp', 'uvloop', 're2', 'control.compile.compiler', 'control.store', 'importlib.metadata'}\n"
        "print(*sorted(bad & sys.modules.keys()))"
    )
    result = subprocess.run([sys.executable, "-S", "-c", code], capture_output=True, text=True, check=True,
                            env={"PYTHONPATH": os.pathsep.join(sys.path)})  # fmt: skip
    assert result.stdout.strip() == ""


def complete(environment, line, **more):
    words = {"_MESHCTL_COMPLETE": "complete_bash", "COMP_WORDS": f"meshctl {line}"}
    count = str(len(f"meshctl {line}".split(" ")) - 1)
    code = "import sys; sys.argv[0] = 'meshctl'; from control.cli.app import main; main()"
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False,
                            env={**environment, **words, "COMP_CWORD": count, **more})  # fmt: skip
    assert result.stderr == ""
    return result.stdout.split()


def test_shells_complete_commands_kinds_names_and_reports(meshctl, manifest, ns, environment):
    meshctl("apply", "-f", manifest(service("reviews", namespace=ns), service("other", namespace=ns)))
    assert complete(environment, "ex") == ["explain"]
    assert complete(environment, "get http") == ["httproutes"]
    assert complete(environment, f"describe svc -n {ns} re") == ["reviews"]
    assert complete(environment, "proxies x me") == ["metrics"]
    assert complete(environment, "get svc re", MESHCTL_NAMESPACE=ns) == ["reviews"]


def test_completion_is_quiet_when_there_is_nothing_to_ask(environment):
    for api in ("http://127.0.0.1:1", "http://mesh.example.org", "nonsense"):
        assert complete(environment, "get svc re", MESHCTL_API=api) == []
    assert complete(environment, "get nosuch re") == []


def test_completion_gives_a_shell_nothing_but_names(environment):
    items = [{"metadata": {"name": name}} for name in ("a$(reboot)", "a b", "a;b", "ab")]
    with scripted(lambda _: Reply(body=json.dumps({"items": items}).encode())) as server:
        assert complete(environment, "get svc a", MESHCTL_API=server.url) == ["ab"]


def on_terminal(environment, *arguments, **more):
    """What a terminal gets to see."""
    leader, follower = pty.openpty()
    with subprocess.Popen([*MESHCTL, *arguments], stdout=follower, stderr=follower,
                          env={**environment, "TERM": "xterm-256color", **more}) as process:  # fmt: skip
        os.close(follower)
        data = b""
        with contextlib.suppress(OSError):  # the end of a terminal
            while select.select([leader], [], [], 20)[0] and (part := os.read(leader, 65536)):
                data += part
        os.close(leader)
    assert process.returncode == 0
    return data.decode()


def test_a_terminal_gets_colours_unless_it_is_told_not_to(meshctl, manifest, ns, environment):
    meshctl("apply", "-f", manifest(service("a", namespace=ns)))
    assert "\x1b[1mNAME" in on_terminal(environment, "get", "svc", "-n", ns)
    assert "\x1b" not in on_terminal(environment, "get", "svc", "-n", ns, NO_COLOR="1").replace("\x1b[1m", "").replace(
        "\x1b[0m", ""
    )  # fmt: skip
    assert "\x1b" not in meshctl("get", "svc", "-n", ns).out


def test_an_apply_that_is_interrupted_says_what_is_applied_and_what_is_not(environment, manifest):
    reached, release = threading.Event(), threading.Event()

    def answer(asked):
        if asked.method == "GET":
            return Reply(404, b'{"reason": "NotFound", "message": "not found"}')
        if "dryRun" not in asked.target and "services/b?" in asked.target:
            reached.set()
            release.wait(20)
        return Reply(201, asked.body)

    file = manifest(*(service(name) for name in "abc"))
    with scripted(answer) as server:
        process = subprocess.Popen([*MESHCTL, "apply", "-f", str(file)], stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                                   text=True, env={**environment, "MESHCTL_API": server.url})  # fmt: skip
        assert reached.wait(20)
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=20)
        release.set()
    assert (process.returncode, out) == (1, "service/a created\n")
    assert "service/b: interrupted" in err
    assert "may be applied or not: service/b" in err
    assert "not applied: service/c" in err
    assert "Traceback" not in err


def test_a_reader_that_goes_away_ends_the_command_quietly(environment):
    process = subprocess.Popen([*MESHCTL, "get", "svc", "-A"], stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                               env=environment)  # fmt: skip
    process.stdout.close()
    assert b"Traceback" not in process.stderr.read()
    process.wait(20)
    process.stderr.close()


def test_a_watch_outlives_a_restart_of_the_control_plane(tmp_path, meshctl, manifest, ns, watching, monkeypatch):
    directory = tmp_path / "data"
    with control_plane(directory) as first:
        place = {"MESHCTL_API": first.url(), "MESHCTL_TOKEN_FILE": str(first.token_file)}
        for name, value in place.items():
            monkeypatch.setenv(name, value)
        meshctl("apply", "-f", manifest(service("before", namespace=ns)))
        watch = watching("get", "svc", "-n", ns, "-o", "name", "-w", **place)
        assert watch.line() == "service/before\n"
        first.stop(signal.SIGKILL)
        with control_plane(directory, api=first.url().removeprefix("http://")):
            meshctl("apply", "-f", manifest(service("later", namespace=ns)))
            assert watch.line() == "service/later\n"
            assert watch.stop()[1].count("trying again") <= 1
