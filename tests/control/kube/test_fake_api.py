"""The fake API server: its objects and their past, what it says of them to whom."""

import contextlib
import gzip
import json
import ssl
import subprocess
import sys

import pytest

from tests.fakes.kubernetes.api import FakeApi
from tests.fakes.kubernetes.manifests import namespace
from tests.fakes.kubernetes.reader import SERVICES, WATCH_LIST, Watched, ask, listed, names, web

ROUTES = "/apis/gateway.networking.k8s.io/v1/httproutes"


def route(name):
    return {
        "apiVersion": "gateway.networking.k8s.io/v1",
        "kind": "HTTPRoute",
        "metadata": {"name": name, "namespace": "shop"},
        "spec": {},
    }


# Objects


def test_an_object_is_given_what_a_server_gives(api):
    (made,) = api.put(web("a"))
    assert made["metadata"]["uid"]
    assert made["metadata"]["creationTimestamp"].endswith("Z")
    assert made["metadata"]["resourceVersion"] == str(api.version)
    (again,) = api.put({**made, "spec": {**made["spec"], "type": "NodePort"}})
    assert again["metadata"]["uid"] == made["metadata"]["uid"]
    assert again["metadata"]["generation"] == made["metadata"]["generation"] + 1
    assert json.loads(ask(api, "/api/v1/namespaces/shop/services/a")[2]) == again


def test_what_is_equal_makes_no_version(api):
    api.put(web("a"))
    before = api.version
    api.put(web("a"))
    assert api.version == before


def test_what_is_deleted_and_made_anew_is_another_object(api):
    (first,) = api.put(web("a"))
    api.delete(first)
    (second,) = api.put(web("a"))
    assert second["metadata"]["uid"] != first["metadata"]["uid"]
    with pytest.raises(KeyError):
        api.delete(web("none"))


def test_patch_changes_what_is_there(api):
    api.put(web("a"))
    api.patch("Service", "shop", "a", lambda document: document["spec"].update(type="NodePort"))
    assert api.get("Service", "shop", "a")["spec"]["type"] == "NodePort"


# Lists


def test_pages_show_one_moment_whatever_happens_meanwhile(api):
    api.put(*(web(name) for name in "bdfh"))
    first = listed(api, f"{SERVICES}?limit=2")
    assert first["metadata"]["remainingItemCount"] == 2
    api.put(web("a"), web("e"))
    api.delete(web("f"))
    token = first["metadata"]["continue"]
    second = listed(api, f"{SERVICES}?limit=2&continue={token}")
    assert names(first) + names(second) == ["b", "d", "f", "h"]
    assert second["metadata"] == {"resourceVersion": first["metadata"]["resourceVersion"]}
    assert names(listed(api, SERVICES)) == ["a", "b", "d", "e", "h"]


def test_a_list_at_a_version_is_the_list_of_then(api):
    api.put(web("a", mark="old"), web("b"))
    version = api.version
    api.put(web("a", mark="new"), web("c"))
    api.delete(web("b"))
    body = listed(api, f"{SERVICES}?resourceVersion={version}&resourceVersionMatch=Exact")
    assert names(body) == ["a", "b"]
    assert body["items"][0]["metadata"]["labels"] == {"mark": "old"}


def test_a_page_of_a_compacted_list_is_gone_and_can_be_had_of_now(api):
    api.put(*(web(name) for name in "abc"))
    token = listed(api, f"{SERVICES}?limit=1")["metadata"]["continue"]
    api.put(web("d"))
    api.compact()
    status, _, data = ask(api, f"{SERVICES}?limit=1&continue={token}")
    answer = json.loads(data)
    assert (status, answer["reason"]) == (410, "Expired")
    rest = listed(api, f"{SERVICES}?continue={answer['metadata']['continue']}")
    assert names(rest) == ["b", "c", "d"]
    assert rest["metadata"]["resourceVersion"] == str(api.version)


def test_a_namespaces_list_is_only_its_own(api):
    api.put(web("a", "shop"), web("b", "shop-2"), web("c", "bank"))
    assert names(listed(api, "/api/v1/namespaces/shop/services")) == ["a"]
    first = listed(api, "/api/v1/namespaces/shop/services?limit=1")
    assert "continue" not in first["metadata"]


@pytest.mark.parametrize(
    ("selector", "found"),
    [
        ("labelSelector=tier%3Dweb", ["a"]),
        ("labelSelector=tier%21%3Dweb", ["b", "c"]),
        ("labelSelector=tier", ["a", "b"]),
        ("labelSelector=%21tier", ["c"]),
        ("labelSelector=tier+in+(web,db),zone%3Dx", ["b"]),
        ("labelSelector=tier+notin+(web)", ["b", "c"]),
        ("fieldSelector=metadata.name%3Db", ["b"]),
        ("fieldSelector=metadata.namespace%21%3Dshop", []),
    ],
)
def test_selectors_choose(api, selector, found):
    api.put(web("a", tier="web"), web("b", tier="db", zone="x"), web("c"))
    assert names(listed(api, f"{SERVICES}?{selector}")) == found


@pytest.mark.parametrize(
    ("query", "status", "says"),
    [
        ("fieldSelector=spec.none%3Dx", 400, "field label not supported: spec.none"),
        ("limit=x", 400, "ParseInt"),
        ("continue=x", 400, "continue key is not valid"),
        ("resourceVersion=99999", 504, "Too large resource version: 99999"),
        ("sendInitialEvents=true", 422, "sendInitialEvents is forbidden for list"),
        ("watch=1&resourceVersion=x", 500, "ParseUint"),
        ("watch=1&sendInitialEvents=true", 422, "requires setting resourceVersionMatch"),
        ("watch=1&resourceVersionMatch=NotOlderThan", 422, "unless sendInitialEvents is provided"),
    ],
)
def test_options_that_do_not_fit_are_refused(api, query, status, says):
    found, _, data = ask(api, f"{SERVICES}?{query}")
    assert found == status
    assert says in json.loads(data)["message"]


def test_large_lists_are_packed_for_who_takes_it(api):
    api.put(*(web(f"a{number}") for number in range(400)))
    assert "Content-Encoding" not in ask(api, SERVICES, accept_encoding="gzip")[1]
    api.behave(has_gzip=True)
    _, headers, data = ask(api, SERVICES, accept_encoding="gzip")
    assert headers["Content-Encoding"] == "gzip"
    assert len(json.loads(gzip.decompress(data))["items"]) == 400
    assert "Content-Encoding" not in ask(api, SERVICES)[1]


# Watches


def test_a_watch_list_tells_what_is_there_and_then_what_happens(api, watch):
    api.put(web("b"), web("a"))
    watched = watch(f"{SERVICES}?{WATCH_LIST}")
    assert [watched.next()[:2] for _ in range(2)] == [("ADDED", "a"), ("ADDED", "b")]
    mark = json.loads(watched.line())
    assert mark["object"]["metadata"]["annotations"] == {"k8s.io/initial-events-end": "true"}
    api.put(web("c"), web("c", x="y"))
    api.delete(web("a"))
    assert [watched.next() for _ in range(3)] == [
        ("ADDED", "c", str(api.version - 2)),
        ("MODIFIED", "c", str(api.version - 1)),
        ("DELETED", "a", str(api.version)),
    ]


def test_a_watch_goes_on_from_a_version(api, watch):
    api.put(web("a"), web("b"))
    before = api.version
    api.put(web("c"))
    api.delete(web("a"))
    watched = watch(f"{SERVICES}?watch=true&resourceVersion={before}")
    assert [watched.next()[:2] for _ in range(2)] == [("ADDED", "c"), ("DELETED", "a")]


def test_bookmarks_come_for_who_wants_them_with_the_version_of_the_cluster():
    with FakeApi(bookmark_s=0.02) as api, contextlib.closing(Watched(api, f"{SERVICES}?{WATCH_LIST}")) as watched:
        watched.next()
        api.put(namespace("shop"))
        api.until(lambda: watched.next() == ("BOOKMARK", "", str(api.version)))
        api.behave(has_bookmarks=False)
        with contextlib.closing(Watched(api, f"{SERVICES}?{WATCH_LIST}")) as without:
            api.put(web("a"))
            assert without.next()[:2] == ("ADDED", "a")


def test_a_watch_ends_when_its_time_is_over(api, watch):
    watched = watch(f"{SERVICES}?watch=true&timeoutSeconds=1")
    assert watched.line() == b""


def test_a_watch_from_before_a_compaction_is_gone(api, watch):
    api.put(web("a"))
    before = api.version
    api.put(web("b"))
    api.compact()
    error = json.loads(watch(f"{SERVICES}?watch=true&resourceVersion={before}").line())
    assert error["type"] == "ERROR"
    assert error["object"]["code"] == 410
    assert error["object"]["reason"] == "Expired"
    watched = watch(f"{SERVICES}?watch=true&resourceVersion={api.version}")
    api.put(web("c"))
    assert watched.next()[:2] == ("ADDED", "c")


def test_an_open_watch_does_not_mind_a_compaction(api, watch):
    watched = watch(f"{SERVICES}?watch=true&resourceVersion={api.version}")
    api.wait_watching()
    api.put(web("a"))
    api.compact()
    api.put(web("b"))
    assert [watched.next()[1] for _ in range(2)] == ["a", "b"]


def test_a_selection_is_watched_as_if_there_were_nothing_else(api, watch):
    api.put(web("a"))
    watched = watch(f"{SERVICES}?watch=true&labelSelector=in&resourceVersion={api.version}")
    api.wait_watching()
    api.put(web("a", **{"in": "1"}), web("b"), web("a", **{"in": "2"}), web("a"))
    api.put(web("a", **{"in": "3"}))
    api.delete(web("a"), web("b"))
    assert [watched.next()[0] for _ in range(5)] == ["ADDED", "MODIFIED", "DELETED", "ADDED", "DELETED"]


def test_metadata_alone_is_watched_and_listed(api):
    api.put(web("a"))
    of_watch = {"accept": "application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1"}
    of_list = {"accept": "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1,application/json"}
    lines = ask(api, f"{SERVICES}?{WATCH_LIST}&timeoutSeconds=1", **of_watch)[2].splitlines()
    for line in lines:
        assert json.loads(line)["object"].keys() == {"kind", "apiVersion", "metadata"}
        assert json.loads(line)["object"]["kind"] == "PartialObjectMetadata"
    assert len(lines) == 2
    body = listed(api, SERVICES, **of_list)
    assert body["kind"] == "PartialObjectMetadataList"
    assert body["items"][0].keys() == {"kind", "apiVersion", "metadata"}
    assert ask(api, SERVICES, **of_watch)[0] == 406
    assert ask(api, SERVICES, accept="text/html")[0] == 406
    # A real server takes this one, and says nothing.
    assert ask(api, f"{SERVICES}?{WATCH_LIST}", **of_list)[::2] == (200, b"")


# Older servers


def test_a_server_without_watch_list_refuses_it(api):
    api.behave(watch_list="refused")
    status, _, data = ask(api, f"{SERVICES}?{WATCH_LIST}")
    answer = json.loads(data)
    assert (status, answer["reason"]) == (422, "Invalid")
    assert "WatchList feature gate" in answer["message"]


def test_a_server_that_does_not_know_watch_list_gives_no_end_of_the_beginning(api, watch):
    api.put(web("a"))
    api.behave(watch_list="ignored")
    watched = watch(f"{SERVICES}?{WATCH_LIST}")
    api.put(web("b"))
    assert [watched.next()[:2] for _ in range(2)] == [("ADDED", "a"), ("ADDED", "b")]


# CRDs


def test_a_crd_comes_and_goes(api, watch):
    api.put(route("r"))
    watched = watch(f"{ROUTES}?{WATCH_LIST}")
    assert [watched.next()[:2] for _ in range(2)] == [("ADDED", "r"), ("BOOKMARK", "")]
    api.uninstall("httproutes")
    assert watched.next()[:2] == ("DELETED", "r")
    assert watched.line() == b""
    assert ask(api, ROUTES)[::2] == (404, b"404 page not found\n")
    assert b"gateway.networking.k8s.io" in ask(api, "/apis")[2]
    api.uninstall("referencegrants")
    assert b"gateway.networking.k8s.io" not in ask(api, "/apis")[2]
    assert ask(api, "/apis/gateway.networking.k8s.io/v1")[0] == 404
    api.install("httproutes", "v1beta1")
    assert ask(api, ROUTES)[0] == 404
    assert listed(api, ROUTES.replace("v1", "v1beta1"))["items"] == []


def test_a_version_is_shown_as_it_is_asked_for(api):
    api.put(route("r"))
    body = listed(api, ROUTES.replace("v1", "v1beta1"))
    assert body["apiVersion"] == body["items"][0]["apiVersion"] == "gateway.networking.k8s.io/v1beta1"


def test_the_list_of_a_crd_ends_with_its_metadata_as_sorted_keys_do(api):
    api.put(route("r"))
    assert list(listed(api, ROUTES)) == ["apiVersion", "items", "kind", "metadata"]
    assert list(listed(api, SERVICES)) == ["kind", "apiVersion", "metadata", "items"]


@pytest.mark.parametrize(
    ("path", "is_text"),
    [
        ("/apis/nobody.example/v1/things", True),
        ("/apis/gateway.networking.k8s.io/v1/things", True),
        ("/api/v1/things", False),
        ("/api/v1/namespaces/shop/nodes", False),
        ("/apis/discovery.k8s.io/v9", False),
    ],
)
def test_what_is_not_served_is_not_found_in_words_or_as_a_status(api, path, is_text):
    status, headers, _ = ask(api, path)
    assert status == 404
    assert headers["Content-Type"].startswith("text/plain" if is_text else "application/json")


# Rights

ROLE = {"rules": [{"apiGroups": [""], "resources": ["services"], "verbs": ["list", "watch"]}]}


def review(api, **wanted):
    body = {"spec": {"resourceAttributes": wanted}}
    path = "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews"
    status, _, data = ask(api, path, method="POST", body=json.dumps(body))
    assert status == 201
    return json.loads(data)["status"]["allowed"]


def test_a_role_is_what_it_says(api):
    assert review(api, group="", resource="pods", verb="list")
    api.allow(ROLE)
    assert ask(api, SERVICES)[0] == 200
    status, _, data = ask(api, "/api/v1/namespaces/shop/pods")
    assert status == 403
    assert 'cannot list resource "pods" in API group "" in the namespace "shop"' in json.loads(data)["message"]
    assert review(api, group="", resource="services", verb="watch")
    assert not review(api, group="", resource="services", verb="get")
    assert ask(api, "/apis")[0] == 200


def test_a_token_is_asked_for(api):
    api.accept("one", "two")
    assert ask(api, SERVICES, authorization="Bearer two")[0] == 200
    assert ask(api, SERVICES, authorization="Bearer three")[0] == 401
    assert ask(api, SERVICES)[0] == 403
    assert ask(api, "/apis")[0] == 403
    assert ask(api, "/version")[0] == 200


def test_nothing_is_written(api):
    assert ask(api, SERVICES, method="POST", body="{}")[0] == 405


def test_what_was_asked_is_on_record(api):
    ask(api, "/api/v1/namespaces/shop/services?limit=1&labelSelector=a", user_agent="x/1")
    asked = api.asked[-1]
    assert (asked.verb, asked.group, asked.resource, asked.namespace) == ("list", "", "services", "shop")
    assert asked.query == {"limit": "1", "labelSelector": "a"}
    assert asked.headers["user-agent"] == "x/1"


# TLS


def test_it_is_reached_over_tls_by_token_and_by_certificate(tmp_path):
    with FakeApi(tls=tmp_path / "tls", token="good") as api:
        context = ssl.create_default_context(cafile=tmp_path / "tls" / "ca.crt")
        assert ask(api, SERVICES, context=context)[0] == 403
        assert ask(api, SERVICES, context=context, authorization="Bearer good")[0] == 200
        context.load_cert_chain(tmp_path / "tls" / "client.crt", tmp_path / "tls" / "client.key")
        assert ask(api, SERVICES, context=context)[0] == 200
        with pytest.raises(ssl.SSLCertVerificationError):
            ask(api, SERVICES, context=ssl.create_default_context())
        written = json.loads(api.kubeconfig(tmp_path / "config").read_text())
        assert written["clusters"][0]["cluster"]["server"] == api.url
        assert written["users"][0]["user"] == {"token": "good"}


def test_it_knows_nothing_of_the_control_plane():
    code = "import sys, tests.fakes.kubernetes.__main__, tests.fakes.kubernetes.pods, tests.fakes.kubernetes.rollout; "
    code += "sys.exit(any(name.partition('.')[0] in {'control', 'meshproxy'} for name in sys.modules))"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
