"""Where the cluster is taken from, and every setting that is refused, with the file and the field."""

from __future__ import annotations

import base64
import json
import os
import re
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from control.kube import connection as module
from control.kube.connection import Connection, in_cluster, load
from control.kube.failure import SettingsError
from tests.fakes.apiserver import write_kubeconfig
from tests.fakes.loop import on_uvloop
from tests.fakes.pki import Authority, issue, key_pem, make_ca

URL = "https://192.0.2.1:6443"


@pytest.fixture(scope="module")
def ca() -> Authority:
    return make_ca()


def encoded(data: bytes) -> str:
    return base64.b64encode(data).decode()


def write(file: Path, **parts: Any) -> Path:
    """A kubeconfig of `contexts`, `clusters`, `users`: name to entry, and `current`."""
    lists = {
        what: [{"name": name, what[:-1]: entry} for name, entry in parts.get(what, {}).items()]
        for what in ("contexts", "clusters", "users")
    }
    file.write_text(json.dumps({**lists, "current-context": parts.get("current", "")}))
    return file


def refusal(*arguments: Any, **options: Any) -> str:
    with pytest.raises(SettingsError) as caught:
        load(*arguments, **options)
    return str(caught.value)


async def authorization(connection: Connection) -> str:
    return await connection.credentials.authorization(0.0)


def test_a_kubeconfig_gives_the_server_and_is_named(tmp_path, ca):
    file = write_kubeconfig(
        tmp_path / "config",
        {
            "server": URL + "/k8s/clusters/one/",
            "certificate-authority-data": encoded(ca.pem),
            "tls-server-name": "kubernetes",
            "proxy-url": "http://proxy:3128",
        },
    )
    connection = load(file, "")
    assert connection.url == URL + "/k8s/clusters/one"
    assert connection.described == f"kubeconfig {file}, context test"
    assert (connection.server_name, connection.proxy) == ("kubernetes", "http://proxy:3128")


@pytest.mark.parametrize("server", ["HTTPS://192.0.2.1:6443", " https://192.0.2.1:6443/", "https://192.0.2\n.1:6443"])
def test_however_the_server_is_written_its_authority_is_the_one_that_is_given(tmp_path, ca, server):
    """A URL that is checked in one form and used in another would be met with the system's authorities."""
    cluster = {"server": server, "certificate-authority-data": encoded(ca.pem)}
    connection = load(write_kubeconfig(tmp_path / "config", cluster), "")
    assert connection.url == URL
    assert connection.trust is not None
    assert len(connection.trust.context(0.0).get_ca_certs()) == 1


@on_uvloop
async def test_a_context_that_is_asked_for_wins_over_the_current_one(tmp_path):
    file = write(
        tmp_path / "config",
        current="a",
        contexts={"a": {"cluster": "a", "user": "a"}, "b": {"cluster": "b", "user": "b"}, "c": {"cluster": "b"}},
        clusters={"a": {"server": "https://a"}, "b": {"server": "https://b"}},
        users={"a": {"token": "ta"}, "b": {"username": "me", "password": "pw"}},
    )
    assert load(file, "").url == "https://a"
    assert await authorization(load(file, "")) == "Bearer ta"
    assert load(file, "b").url == "https://b"
    assert await authorization(load(file, "b")) == "Basic " + encoded(b"me:pw")
    assert await authorization(load(file, "c")) == ""
    assert refusal(file, "d") == f"{file}: contexts: there is no 'd'; there are: a, b, c"


@on_uvloop
async def test_of_several_files_the_first_to_say_something_wins_and_paths_are_relative_to_each(tmp_path, ca):
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "token").write_text(f"of-{name}")
    (tmp_path / "two" / "ca.crt").write_bytes(ca.pem)
    one = write(
        tmp_path / "one" / "config", contexts={"x": {"cluster": "c", "user": "u"}}, users={"u": {"tokenFile": "token"}}
    )
    two = write(
        tmp_path / "two" / "config",
        current="x",
        contexts={"x": {"cluster": "none", "user": "none"}},
        clusters={"c": {"server": URL, "certificate-authority": "ca.crt"}},
        users={"u": {"tokenFile": "token"}},
    )
    three = write(tmp_path / "three", current="y")
    missing = tmp_path / "missing"
    environment = {"KUBECONFIG": os.pathsep.join(str(file) for file in (missing, one, two, three))}
    connection = load(None, "", environment)
    assert connection.url == URL
    assert await authorization(connection) == "Bearer of-one"
    assert connection.described == f"kubeconfig {one}, context x"


def test_the_places_are_looked_at_in_order(tmp_path, monkeypatch, ca):
    account = tmp_path / "account"
    account.mkdir()
    (account / "ca.crt").write_bytes(ca.pem)
    (account / "token").write_text("t")
    monkeypatch.setattr(module, "SERVICE_ACCOUNT", account)
    given = write_kubeconfig(tmp_path / "given", {"server": "https://given"})
    named = write_kubeconfig(tmp_path / "named", {"server": "https://named"})
    (tmp_path / ".kube").mkdir()
    write_kubeconfig(tmp_path / ".kube" / "config", {"server": "https://home"})
    environment = {
        "KUBECONFIG": str(named),
        "KUBERNETES_SERVICE_HOST": "fd00::1",
        "KUBERNETES_SERVICE_PORT": "443",
        "HOME": str(tmp_path),
    }
    assert load(given, "", environment).url == "https://given"
    assert load(None, "", environment).url == "https://named"
    environment["KUBECONFIG"] = ""
    connection = load(None, "", environment)
    assert (connection.url, connection.described) == ("https://[fd00::1]:443", "in-cluster")
    assert load(None, "test", environment).url == "https://home"
    environment["KUBERNETES_SERVICE_HOST"] = ""
    assert load(None, "", environment).url == "https://home"
    environment["HOME"] = str(tmp_path / "nobody")
    assert refusal(None, "", environment) == (
        f"no cluster: KUBECONFIG is not set, this is no pod, and there is no {tmp_path}/nobody/.kube/config"
    )
    environment["KUBECONFIG"] = str(tmp_path / "missing")
    assert refusal(None, "", environment) == f"KUBECONFIG: no such file: {tmp_path}/missing"


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"ca.crt": None}, "in-cluster: authority: {0}/ca.crt: cannot be read: No such file or directory"),
        ({"ca.crt": b"junk"}, "in-cluster: authority: no certificates in PEM: "),
        ({"ca.crt": b" \n"}, "in-cluster: authority: {0}/ca.crt is empty"),
        ({"ca.crt": b"\xff\xfe"}, "in-cluster: authority: no certificates in PEM"),
        ({"token": None}, "in-cluster: token: {0}/token: cannot be read: No such file or directory"),
        ({"token": b""}, "in-cluster: token: {0}/token is empty"),
        ({"token": b"a\r\nX-Other: b"}, "in-cluster: token: is no token: "),
    ],
)
def test_what_a_pod_lacks_is_told(tmp_path, ca, changed, message):
    for name, content in ({"ca.crt": ca.pem, "token": b"t"} | changed).items():
        if content is not None:
            (tmp_path / name).write_bytes(content)
    with pytest.raises(SettingsError, match="^" + re.escape(message.format(tmp_path))):
        in_cluster(tmp_path, {"KUBERNETES_SERVICE_HOST": "192.0.2.1", "KUBERNETES_SERVICE_PORT": "443"})


@pytest.mark.parametrize(
    ("cluster", "message"),
    [
        (
            {"server": URL, "insecure-skip-tls-verify": True},
            "insecure-skip-tls-verify: not allowed, certificates are always checked; give certificate-authority",
        ),
        ({"server": ""}, "server: is missing"),
        ({"server": "192.0.2.1"}, "server: is no URL"),
        ({"server": "ftp://192.0.2.1"}, "server: 'ftp://192.0.2.1'; allowed: https://HOST:PORT"),
        ({"server": "https://:6443"}, "server: 'https://:6443'; allowed: https://HOST:PORT"),
        ({"server": "https://192.0.2.1:x"}, "server: is no URL"),
        ({"server": "https://me:secret@192.0.2.1"}, "server: has more than https://HOST:PORT/PATH"),
        ({"server": "https://192.0.2.1/?a=b"}, "server: has more than https://HOST:PORT/PATH"),
        ({"server": "http://192.0.2.1:8080"}, "server: 'http://192.0.2.1:8080'; http:// is allowed on loopback only"),
        ({"server": "http://localhost.evil"}, "server: 'http://localhost.evil'; http:// is allowed on loopback only"),
        (
            {"server": URL, "proxy-url": "socks5://me:secret@proxy:1"},
            "proxy-url: socks5://proxy; allowed: http://HOST:PORT",
        ),
        ({"server": "http://127.0.0.1", "proxy-url": "http://proxy"}, "proxy-url: goes with an https:// server only"),
        ({"server": "HTTP://127.0.0.1", "proxy-url": "http://proxy"}, "proxy-url: goes with an https:// server only"),
        ({"server": "https://a..b"}, "server: is no URL"),
        ({"server": f"https://{'a' * 64}.test"}, "server: is no URL"),
        ({"server": URL, "proxy-url": f"http://{'a' * 64}:1"}, "proxy-url: is no URL"),
        ({"server": URL, "tls-server-name": ".test"}, "tls-server-name: is no name"),
        ({"server": URL, "tls-server-name": "a" * 64}, "tls-server-name: is no name"),
        ({"server": URL, "certificate-authority-data": "%%"}, "certificate-authority-data: is no base64"),
        (
            {"server": URL, "certificate-authority-data": encoded(b"junk")},
            "certificate-authority-data: no certificates in PEM",
        ),
        ({"server": URL, "certificate-authority": "ca"}, "certificate-authority: {0}/ca: cannot be read: No such file"),
    ],
)
def test_a_cluster_that_cannot_be_used_is_refused_by_file_and_field(tmp_path, cluster, message):
    file = write_kubeconfig(tmp_path / "config", cluster)
    told = refusal(file, "")
    assert told.startswith(f"{file}: cluster test: " + message.format(tmp_path))
    assert "secret" not in told


EXEC = {"apiVersion": "client.authentication.k8s.io/v1", "command": "x", "interactiveMode": "Never"}


@pytest.mark.parametrize(
    ("user", "message"),
    [
        ({"tokenFile": "t"}, "tokenFile: {0}/t: cannot be read: No such file or directory"),
        ({"token": "sec ret"}, "token: is no token: empty, or with characters that a token cannot have"),
        (
            {"client-certificate-data": encoded(b"x")},
            "client-certificate: goes with client-key, neither without the other",
        ),
        (
            {"client-certificate-data": encoded(b"x"), "client-key-data": encoded(b"secret")},
            "client-certificate-data: certificate and key cannot be used: ",
        ),
        (
            {"auth-provider": {"name": "oidc", "config": {"id-token": "secret"}}},
            "auth-provider: Kubernetes has given it up in 1.26; use exec",
        ),
        ({"as": "somebody"}, "as: impersonation is not supported; give a user of its own"),
        ({"token": "secret", "exec": EXEC}, "token and exec: only one of them is allowed"),
        (
            {"token": "secret", "username": "me", "password": "secret"},
            "token and username: only one of them is allowed",
        ),
        (
            {"exec": {**EXEC, "interactiveMode": "Always"}},
            "exec.interactiveMode: Always, and nobody is there to answer; allowed: Never, IfAvailable",
        ),
        (
            {"exec": {**EXEC, "interactiveMode": "Sometimes"}},
            "exec.interactiveMode: 'Sometimes'; allowed: Never, IfAvailable",
        ),
        (
            {"exec": {**EXEC, "apiVersion": "client.authentication.k8s.io/v1alpha1"}},
            "exec.apiVersion: 'client.authentication.k8s.io/v1alpha1'; allowed: client",
        ),
        ({"exec": {**EXEC, "command": None}}, "exec.command: is missing"),
    ],
)
def test_a_user_that_cannot_be_used_is_refused_by_file_and_field(tmp_path, user, message):
    file = write_kubeconfig(tmp_path / "config", {"server": URL}, user)
    told = refusal(file, "")
    assert told.startswith(f"{file}: user test: " + message.format(tmp_path))
    assert "sec" not in told.removeprefix(str(file))


def test_a_key_with_a_password_is_refused_and_none_is_asked_for(tmp_path, ca):
    certificate, _ = issue([], ca)
    user = {"client-certificate-data": encoded(certificate), "client-key-data": encoded(key_pem(ca.key, b"password"))}
    told = refusal(write_kubeconfig(tmp_path / "config", {"server": URL}, user), "")
    assert "client-certificate-data: certificate and key cannot be used" in told


BOMB = "a: &a [1]\n" + "".join(f"{x}: &{x} [{', '.join([f'*{w}'] * 20)}]\n" for w, x in pairwise("abcdefg"))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("clusters: [", "{0}: line 2, column 1: not YAML: "),
        ("- a", "{0}: Expected `object`, got `array`"),
        ("clusters: {}", "{0}: Expected `array`, got `object` - at `$.clusters`"),
        ("users: [{name: a, user: {token: 12345}}]", "{0}: Expected `str`, got `int` - at `$.users[0].user.token`"),
        (
            "clusters: [{name: a, cluster: {insecure-skip-tls-verify: 'no'}}]",
            "{0}: Expected `bool`, got `str` - at `$.clusters[0].cluster.insecure-skip-tls-verify`",
        ),
        ("clusters: [{cluster: {}}]", "{0}: Object missing required field `name` - at `$.clusters[0]`"),
        ("", "{0}: current-context: is empty, and no context was asked for"),
        ("{clusters: null, contexts: null, current-context: a}", "{0}: contexts: there is no 'a'; there are: none"),
        (
            "{contexts: [{name: a, context: {}}], current-context: a}",
            "{0}: context a: cluster: there is no ''; there are: none",
        ),
        (
            "{contexts: [{name: a, context: {cluster: c, user: u}}], clusters: [{name: c}], current-context: a}",
            "{0}: context a: user: there is no 'u'; there are: none",
        ),
        (BOMB, "{0}: line 5: the file stands for more than 200000 nodes"),
    ],
)
def test_a_file_that_is_no_kubeconfig_is_refused_by_place(tmp_path, text, message):
    file = tmp_path / "config"
    file.write_text(text)
    assert refusal(file, "").startswith(message.format(file))


def test_a_file_that_cannot_be_read_is_refused(tmp_path):
    assert refusal(tmp_path, "") == f"{tmp_path}: cannot be read: Is a directory"
    (tmp_path / "config").write_bytes(b"\xff\xfe")
    assert refusal(tmp_path / "config", "") == f"{tmp_path}/config: is no text in UTF-8"


def test_nothing_secret_is_shown_by_what_is_loaded(tmp_path):
    cluster = {"server": URL, "proxy-url": "http://me:hidden@proxy"}
    connection = load(write_kubeconfig(tmp_path / "config", cluster, {"token": "hidden"}), "")
    assert "hidden" not in repr(connection)
