"""The fake API server answers as a real one does, asked the same. Needs a real one: MESHPROXY_TEST_KUBECONFIG.

Only asks, of what every cluster has (its Namespaces and Services), so it may be any cluster.
"""

import base64
import contextlib
import http.client
import json
import os
import re
import ssl
from pathlib import Path
from urllib.parse import urlsplit

import pytest
import yaml

from tests.fakes.kubernetes.api import FakeApi

KUBECONFIG = os.environ.get("MESHPROXY_TEST_KUBECONFIG", "")
pytestmark = pytest.mark.skipif(not KUBECONFIG, reason="MESHPROXY_TEST_KUBECONFIG names no real cluster")

N = "/api/v1/namespaces"
INITIAL = "sendInitialEvents=true&resourceVersionMatch=NotOlderThan"
PARTIAL = "application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1"
PARTIAL_LIST = PARTIAL.replace("Metadata;", "MetadataList;")
ASKED = [
    ("/version", ""), ("/api/v1", ""), ("/apis", ""), ("/apis/discovery.k8s.io", ""), ("/healthz", ""),
    ("/apis/nobody.example", ""), ("/apis/nobody.example/v1", ""), ("/apis/nobody.example/v1/things", ""),
    ("/nothing", ""), ("/api/v9", ""), ("/api/v1/things", ""), ("/apis/discovery.k8s.io/v9", ""),
    ("/apis/gateway.networking.k8s.io/v1/things", ""), (f"{N}/default/nodes", ""), (f"{N}/default", ""),
    (f"{N}/default", PARTIAL), (f"{N}/default", PARTIAL_LIST), (f"{N}/nobody", ""),
    (N, ""), (N, PARTIAL), (N, PARTIAL_LIST), (N, f"{PARTIAL_LIST},application/json"), (N, "text/html"), (N, "*/*"),
    (f"{N}?limit=2", ""), (f"{N}?limit=x", ""), (f"{N}?limit=2&continue=x", ""), (f"{N}?limit=2&continue=TOKEN", ""),
    (f"{N}?limit=2&continue=TOKEN&resourceVersion=VERSION", ""), (f"{N}?resourceVersion=999999999", ""),
    (f"{N}?resourceVersionMatch=Exact", ""), (f"{N}?resourceVersion=VERSION&resourceVersionMatch=Exact", ""),
    (f"{N}?sendInitialEvents=true", ""), (f"{N}?fieldSelector=metadata.name%3Ddefault", ""),
    (f"{N}?fieldSelector=spec.none%3Dx", ""), (f"{N}?labelSelector=none", ""),
    (f"{N}?fieldSelector=metadata.name%21%3Ddefault&limit=1", ""),
    ("/apis/discovery.k8s.io/v1/endpointslices?limit=1", ""),
    (f"{N}?watch=1&TIME", ""), (f"{N}?watch=1&TIME&allowWatchBookmarks=true", ""),
    (f"{N}?watch=1&TIME&allowWatchBookmarks=true&resourceVersion=0", ""),
    (f"{N}?watch=1&TIME&resourceVersion=VERSION", ""),
    (f"{N}?watch=1&TIME&resourceVersion=999999999&allowWatchBookmarks=true", ""),
    (f"{N}?watch=1&TIME&resourceVersion=1", ""), (f"{N}?watch=1&TIME&resourceVersion=x", ""),
    (f"{N}?watch=1&timeoutSeconds=x", ""), (f"{N}?watch=1&TIME&allowWatchBookmarks=true&{INITIAL}", ""),
    (f"{N}?watch=1&TIME&{INITIAL}", ""), (f"{N}?watch=1&TIME&allowWatchBookmarks=true&{INITIAL}", PARTIAL),
    (f"{N}?watch=1&TIME&allowWatchBookmarks=true&{INITIAL}&resourceVersion=VERSION", ""),
    (f"{N}?watch=1&TIME&allowWatchBookmarks=true&{INITIAL}&resourceVersion=999999999", ""),
    (f"{N}?watch=1&TIME&sendInitialEvents=false&resourceVersionMatch=NotOlderThan", ""),
    (f"{N}?watch=1&TIME&sendInitialEvents=true", ""), (f"{N}?watch=1&TIME&resourceVersionMatch=NotOlderThan", ""),
    (f"{N}?watch=1&TIME&fieldSelector=metadata.name%3Ddefault", ""), (f"{N}/default?watch=1&TIME", ""),
    (f"{N}?watch=1&TIME", PARTIAL_LIST),
]  # fmt: skip


class Real:
    """A cluster as a kubeconfig with a client certificate or a token names it."""

    def __init__(self, directory):
        config = yaml.safe_load(Path(KUBECONFIG).read_text())
        context = next(item for item in config["contexts"] if item["name"] == config["current-context"])["context"]
        cluster = next(item for item in config["clusters"] if item["name"] == context["cluster"])["cluster"]
        user = next(item for item in config["users"] if item["name"] == context["user"])["user"]
        self.place = urlsplit(cluster["server"])
        self.tls = ssl.create_default_context(cadata=_data(cluster, "certificate-authority").decode())
        self.headers = {"authorization": f"Bearer {user['token']}"} if "token" in user else {}
        if not self.headers:
            for name in ("client-certificate", "client-key"):
                (directory / name).write_bytes(_data(user, name))
            self.tls.load_cert_chain(directory / "client-certificate", directory / "client-key")

    def connect(self):
        return http.client.HTTPSConnection(self.place.hostname, self.place.port, context=self.tls, timeout=20)


class Fake:
    def __init__(self, api):
        self.headers = {}
        self._api = api

    def connect(self):
        return http.client.HTTPConnection(self._api.host, self._api.port, timeout=20)


def _data(entry, name):
    given = entry.get(f"{name}-data")
    return base64.b64decode(given) if given else Path(entry[name]).read_bytes()


def ask(server, path, accept=""):
    with contextlib.closing(server.connect()) as connection:
        connection.request("GET", path, headers={**server.headers, **({"accept": accept} if accept else {})})
        response = connection.getresponse()
        return response.status, dict(response.getheaders()), response.read()


@pytest.fixture(scope="module")
def both(tmp_path_factory):
    real = Real(tmp_path_factory.mktemp("real"))
    documents = []
    for path in (N, "/api/v1/services", "/apis/discovery.k8s.io/v1/endpointslices"):
        body = json.loads(ask(real, path)[2])
        kind = {"apiVersion": body["apiVersion"], "kind": body["kind"].removesuffix("List")}
        documents += [{**kind, **item} for item in body["items"]]
    with FakeApi() as api:
        api.put(*documents)
        api.kill()
        api.start()
        yield real, Fake(api)


def masked(text):
    """Without what is by chance different."""
    for pattern, mask in (
        (r"\(\*core\.\w+\)", ""),
        (r"\d{3,}", "N"),
        (r"not valid: .*", "not valid"),
    ):
        text = re.sub(pattern, mask, text)
    return text.strip()


def is_stable(document):
    """Whether it is there in every cluster, whoever else is using it."""
    return re.fullmatch("default|kubernetes|kube-.*", document["metadata"].get("name", "default")) is not None


def shape(value):
    """What an answer says, apart from its objects' contents."""
    if value.get("kind") == "Status":
        causes = (value.get("details") or {}).get("causes", [])
        return {
            "status": [
                masked(value.get("message", "")),
                value.get("reason"),
                value.get("code"),
                value["metadata"].keys(),
            ],
            "causes": [(cause["reason"], masked(cause["message"]), cause.get("field")) for cause in causes],
        }
    if "items" in value:
        items = [(list(item)[:3], item["metadata"]["name"]) for item in value["items"] if is_stable(item)]
        return {"keys": list(value), "kind": value["kind"], "metadata": set(value["metadata"]), "items": items}
    if "type" in value and "object" in value:
        found = value["object"]
        name = found["metadata"].get("name")
        return {"type": value["type"], "name": name, "keys": list(found), "kind": found.get("kind"), **shape(found)}
    if "metadata" in value:
        return {
            "kind": value["kind"],
            "version": value["apiVersion"],
            "annotations": value["metadata"].get("annotations"),
        }
    return {"keys": sorted(value), "kind": value.get("kind")}


def told(server, path, accept):
    """Status, media type, headers that mean something, and the shape of each line."""
    first = json.loads(ask(server, f"{N}?limit=2")[2])["metadata"]
    path = path.replace("TOKEN", first["continue"]).replace("VERSION", first["resourceVersion"])
    status, headers, body = ask(server, path.replace("TIME", "timeoutSeconds=1"), accept)
    kind = headers["Content-Type"]
    lines = body.splitlines() if "watch=1" in path and status == 200 and "/default?" not in path else [body]
    if "json" not in kind:
        return status, kind, body
    values = [json.loads(line) for line in lines]
    shapes = [shape(value) for value in values if value.get("type") in {None, "ERROR"} or is_stable(value["object"])]
    return status, kind, headers.get("Retry-After"), shapes


@pytest.mark.parametrize(("path", "accept"), ASKED)
def test_it_answers_as_a_real_one(both, path, accept):
    real, fake = (told(server, path, accept) for server in both)
    assert fake == real
