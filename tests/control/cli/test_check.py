"""`meshctl check`, against the real control plane and against those that fail."""

import json

import msgspec
import pytest
import yaml

from control.model.check import Check
from tests.control.build import http_route, rule, service
from tests.control.cli.test_app import on_terminal
from tests.fakes.places import refusing
from tests.fakes.scripted import Reply, scripted

VERSION = b'{"gitVersion": "v1.36.0+meshproxy-0.1.0"}'
RIGHT = Check("Rights", "pods", "ok", "list, watch")
WATCH = Check("Objects", "Pod", "warn", "not followed at present", "wait")
NO_RIGHT = Check("Rights", "nodes", "fail", "may not list", "kubectl apply -f deploy/rbac.yaml")


def finding(*checks):
    """A control plane that finds this."""
    body = msgspec.json.encode({"apiVersion": "meshproxy.io/v1alpha1", "kind": "CheckList", "items": checks})
    return lambda asked: Reply(200, VERSION if asked.target == "/version" else body)


def test_a_control_plane_that_is_well(meshctl, manifest, ns, control):
    meshctl("apply", "-f", manifest(service("a", namespace=ns)))
    result = meshctl("check")
    assert (result.status, result.err) == (0, "")
    lines = result.out.splitlines()
    assert lines[:2] == ["Control plane", next(line for line in lines if control.url() in line)]
    for title in ("Objects", "Configuration", "Sidecars"):
        assert title in lines
    assert next(line for line in lines if "store" in line).startswith("  ✓ store")


def test_a_route_that_leads_nowhere_is_a_warning(meshctl, manifest, ns):
    meshctl(
        "apply", "-f", manifest(service("a", namespace=ns), http_route("r", rule("gone"), parents=["a"], namespace=ns))
    )
    result = meshctl("check", "-o", "wide")
    assert result.status == 0
    line = next(line for line in result.out.splitlines() if f"{ns}/r" in line)
    assert line.startswith("  ! ")
    assert "BackendNotFound" in line


@pytest.mark.parametrize(
    ("found", "status"), [([RIGHT], 0), ([RIGHT, WATCH], 0), ([RIGHT, NO_RIGHT], 1), ([NO_RIGHT, WATCH], 1), ([], 0)]
)
def test_the_exit_status_is_1_if_a_check_fails(found, status, meshctl):
    with scripted(finding(*found)) as server:
        for form in ((), ("-o", "wide"), ("-o", "json"), ("-o", "yaml")):
            assert meshctl("--api", server.url, "check", *form).status == status


def test_as_data_it_can_be_read_again(meshctl):
    with scripted(finding(RIGHT, NO_RIGHT)) as server:
        text = meshctl("--api", server.url, "check", "-o", "json").out
        found = json.loads(text)
        assert found["items"][1:] == msgspec.to_builtins([RIGHT, NO_RIGHT])
        assert (found["kind"], found["items"][0]["section"]) == ("CheckList", "Control plane")
        assert [
            item["name"] for item in yaml.safe_load(meshctl("--api", server.url, "check", "-o", "yaml").out)["items"]
        ] == [
            "API",
            "pods",
            "nodes",
        ]


def test_a_control_plane_that_cannot_be_reached_is_a_check_that_fails(meshctl):
    url = f"http://127.0.0.1:{refusing().port}"
    result = meshctl("--api", url, "check")
    assert (result.status, result.err) == (1, "")
    lines = result.out.splitlines()
    assert lines[0] == "Control plane"
    assert lines[1].startswith("  ✗ API  cannot connect to the control plane at ")
    assert "meshcontrol run" in lines[2]
    assert "--api" in lines[2]
    assert lines[-1] == "0 ok, 1 failed"
    assert json.loads(meshctl("--api", url, "check", "-o", "json").out)["items"][0]["state"] == "fail"


@pytest.mark.parametrize(
    ("reply", "message", "hint"),
    [
        (Reply(401), "was refused", "--token-file"),
        (Reply(404, b"404 page not found"), "knows no checks", "older"),
        (Reply(500, b'{"message": "an internal error occurred"}'), "an internal error occurred", "log"),
        (Reply(200, b"<html>"), "is not understood", "log"),
        (Reply(200, b'{"items": [{"section": 1}]}'), "are not understood", "version"),
        (Reply(200, b'{"items": [{"section": "", "name": "", "state": "?", "message": ""}]}'), "not understood", ""),
        (Reply(cut=True), "broke the connection off", "log"),
    ],
)
def test_a_control_plane_that_does_not_answer_as_it_should_is_a_check_that_fails(reply, message, hint, meshctl):
    with scripted(lambda asked: Reply(200, VERSION) if asked.target == "/version" else reply) as server:
        result = meshctl("--api", server.url, "check")
    assert (result.status, result.err) == (1, "")
    assert message in result.out
    assert hint in result.out
    assert result.out.count("✗") == 1


def test_a_form_that_there_is_not_is_refused(meshctl):
    result = meshctl("check", "-o", "name")
    assert result.status == 2
    assert "wide" in result.err


def test_on_a_terminal_it_has_colours_and_leaves_nothing_of_the_waiting(environment):
    with scripted(finding(RIGHT, WATCH)) as server:
        text = on_terminal({**environment, "MESHCTL_API": server.url}, "check", COLUMNS="60")
    assert "\x1b[1;32m✓" in text
    assert "\x1b[1;33m!" in text
    shown = text.rpartition("\x1b[2K")[2]
    assert "checking" not in shown
    assert "1 warning" in shown
