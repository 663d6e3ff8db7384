import json

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from control.kube.events import MAX_TEXT_CHARS, Bookmark, Decoder, Deletion, Garbage, Upsert, Version, version_of
from control.kube.failure import KubeError
from control.kube.pool import Pool
from control.kube.reflection import is_gone
from control.model.decode import decode
from control.model.objects import EndpointSlice, Key
from tests.control.build import document, endpoint, endpoint_slice, grant, http_route, pod, rule, service
from tests.control.kube.said import BY_NAME, bookmark, encoded, error_line, line, page, versioned
from tests.control.objects import documents


def decoder(name):
    return Decoder(BY_NAME[name], Pool())


def cluster(kind, name, **metadata):
    """An object that is in no namespace."""
    made = document("v1", kind, name, metadata=metadata)
    del made["metadata"]["namespace"]
    return made


def partial(name, **metadata):
    return {"kind": "PartialObjectMetadata", "apiVersion": "meta.k8s.io/v1", "metadata": {"name": name, **metadata}}


@settings(deadline=None, max_examples=60)
@given(documents)
def test_an_object_is_what_decoding_it_whole_gives_in_a_line_and_in_a_page(made):
    read = decoder(made["kind"])
    by_line = read.event(line("MODIFIED", made, 7))
    assert by_line == Upsert("MODIFIED", decode(made).key, Version("7", 7), decode(made))
    raw = msgspec.Raw(encoded(versioned(made, 7)))
    assert read.item(raw) == by_line._replace(word="ADDED")


def test_deletions_and_bookmarks_are_read():
    read = decoder("Service")
    assert read.event(line("DELETED", service("web"), 9)) == Deletion(Key("shop", "web"), Version("9", 9))
    assert read.event(bookmark("Service", 12)) == Bookmark(Version("12", 12), ends_initial=False)
    assert read.event(bookmark("Service", 12, ends_initial=True)) == Bookmark(Version("12", 12), ends_initial=True)
    broken = bookmark("Service", 12).replace(b'"resourceVersion"', b'"annotations":[1],"resourceVersion"')
    with pytest.raises(Garbage, match="bookmark"):
        read.event(broken)


@pytest.mark.parametrize("code", [410, 500, 429])
def test_an_error_event_is_raised_as_what_it_says(code):
    with pytest.raises(KubeError, match="too old resource version") as error:
        decoder("Pod").event(error_line(code, "Expired" if code == 410 else "", "too old resource version: 1 (5)"))
    assert not isinstance(error.value, Garbage)
    assert error.value.code == code
    assert is_gone(error.value) is (code == 410)


def test_an_error_event_tells_when_to_come_again():
    status = {"kind": "Status", "code": 429, "reason": "TooManyRequests", "details": {"retryAfterSeconds": 3}}
    with pytest.raises(KubeError) as error:
        decoder("Pod").event(encoded({"type": "ERROR", "object": status}))
    assert error.value.retry_after_s == 3.0


def modifier(value):
    """A filter that sets a header; the standard channel of the CRD has no pattern for its value."""
    header = {"name": "cache-control", "value": value}
    return {"type": "ResponseHeaderModifier", "responseHeaderModifier": {"set": [header]}}


def test_nulls_are_absent_and_unknown_fields_do_not_matter():
    made = endpoint_slice("web")
    made.update(endpoints=None, ports=None, unheardOf={"x": [None]})
    made["metadata"]["annotations"] = None
    found = decoder("EndpointSlice").event(line("ADDED", made, 1)).item
    assert found == decode(endpoint_slice("web", ports=[]))
    part = endpoint("10.0.0.1", conditions=None, nodeName=None, hints={"forZones": None}, deprecatedTopology={"a": "b"})
    found = decoder("EndpointSlice").event(line("ADDED", endpoint_slice("web", part), 1)).item
    assert found == decode(endpoint_slice("web", "10.0.0.1"))
    made = pod("web", "buyer")
    made["metadata"]["creationTimestamp"] = None
    made["spec"]["containers"] = None
    assert decoder("Pod").event(line("ADDED", made, 1)).item == decode(pod("web", "buyer"))


@pytest.mark.parametrize(
    ("name", "made", "flaw"),
    [
        ("Service", service("web", 80, {"port": 80, "name": "p80"}), "names another port too"),
        ("Service", {**service("web"), "spec": {"ports": 7}}, "array"),
        ("Service", service("Web"), "malformed"),
        ("Service", service("web", namespace="Shop"), "malformed"),
        ("EndpointSlice", {**endpoint_slice("web"), "endpoints": [{"addresses": 7}]}, "array"),
        ("Pod", pod("web/x"), "malformed"),
        ("HTTPRoute", http_route("web", rule("web", filters=[{"type": "Teapot"}])), "spec.rules[0].filters[0].type"),
        ("HTTPRoute", http_route("web", rule("web"), rules=7), "spec.rules"),
        ("ReferenceGrant", grant("x" * 300, "park"), "metadata.name"),
    ],
)
def test_an_object_that_cannot_be_taken_is_told_and_is_none(name, made, flaw):
    for found in (
        decoder(name).event(line("ADDED", made, 1)),
        decoder(name).item(msgspec.Raw(encoded(versioned(made, 1)))),
    ):
        assert found.item is None
        assert flaw in found.flaw
        assert found.flaw.isprintable()
        assert len(found.flaw) <= MAX_TEXT_CHARS
        assert found.key == Key(made["metadata"]["namespace"], made["metadata"]["name"])


@pytest.mark.parametrize(
    "given",
    [
        rule("web", matches=[{"headers": [{"name": "x-app", "value": "a  b "}]}]),
        rule("web", filters=[modifier("no-store,  private")]),
        rule("web", retry={"attempts": 0, "codes": [503, 503]}),
        rule("web", filters=[{"type": "CORS", "cors": {"allowOrigins": ["app+web://localhost"]}}]),
    ],
)
def test_what_other_versions_and_channels_of_the_crd_allow_is_taken(given):
    found = decoder("HTTPRoute").event(line("ADDED", http_route("web", given), 1))
    assert (found.flaw, found.ignored) == ("", "")


def test_an_endpoint_that_nobody_can_send_to_is_left_out_and_named():
    made = endpoint_slice("web", "10.0.0.1", "239.0.0.1", "255.255.255.255", "::1", "no address", "10.0.0.2")
    found = decoder("EndpointSlice").event(line("ADDED", made, 1))
    assert [endpoint.addresses for endpoint in found.item.endpoints] == [["10.0.0.1"], ["10.0.0.2"]]
    assert found.ignored.startswith("endpoints[1].addresses[0]: 239.0.0.1 ")
    assert found.ignored.endswith("(and 3 more)")


def test_the_status_of_a_route_does_not_matter():
    status = {"parents": [{"parentRef": {"name": "gateway"}, "controllerName": "example.com/x"}], "new": 1}
    made = {**http_route("web", rule("web")), "status": status}
    found = decoder("HTTPRoute").event(line("ADDED", made, 1))
    assert (found.item, found.ignored) == (decode(http_route("web", rule("web"))), "")


def test_fields_of_routes_that_are_not_known_are_dropped_and_named():
    made = http_route("web", rule("web", mirrors=3), verdict="x")
    made["spec"]["rules"][0]["backendRefs"][0]["tariff"] = 1
    made["apiVersion"] = "gateway.networking.k8s.io/v1beta1"
    found = decoder("HTTPRoute").event(line("ADDED", made, 1))
    assert found.item == decode(http_route("web", rule("web")))
    assert sorted(found.ignored.split(", ")) == [
        "spec.rules[0].backendRefs[0].tariff",
        "spec.rules[0].mirrors",
        "spec.verdict",
    ]
    long = http_route("web", rule("web"), **{f"unknown{number}": 1 for number in range(100)})
    assert len(decoder("HTTPRoute").event(line("ADDED", long, 1)).ignored) <= MAX_TEXT_CHARS


def test_metadata_alone_and_the_whole_object_are_both_taken_of_nodes():
    read = decoder("Node")
    zoned = {"labels": {"topology.kubernetes.io/zone": "a"}}
    for made in (partial("n1", **zoned), {**cluster("Node", "n1", **zoned), "spec": {}, "status": {"x": 1}}):
        found = read.event(line("ADDED", made, 1))
        assert found.key == Key("", "n1")
        assert found.item.zone == "a"
    blank = {**partial("n1"), "metadata": {"creationTimestamp": None, "resourceVersion": "5"}}
    assert read.event(encoded({"type": "BOOKMARK", "object": blank})) == Bookmark(Version("5", 5), ends_initial=False)
    with pytest.raises(Garbage):
        decoder("Pod").event(line("ADDED", partial("x", namespace="shop"), 1))


GOOD = line("ADDED", service("web"), 7)


@pytest.mark.parametrize(
    "garbage",
    [
        b"<!DOCTYPE html><html><body>Welcome</body></html>",
        b"null", b"7", b"[]", b'""', b"{}", b'{"type":"ADDED"}', b'{"type":"ADDED","object":null}',
        b'{"type":"ADDED","object":{"kind":"Service","apiVersion":"v1"}}',
        GOOD[:-1], GOOD[: len(GOOD) // 2], GOOD + b"}", b"\x00" + GOOD, GOOD.replace(b"ADDED", b"\xff\xfe"),
        GOOD.replace(b"ADDED", b"CHANGED"),
        GOOD.replace(b'"v1"', b'"v2"'),
        GOOD.replace(b'"Service"', b'"ConfigMap"'),
        GOOD.replace(b'"resourceVersion":"7"', b'"resourceVersion":""'),
        GOOD.replace(b'"resourceVersion":"7"', b'"resourceVersion":7'),
        GOOD.replace(b'"resourceVersion":"7"', b'"resourceVersion":null'),
        GOOD.replace(b'"resourceVersion":"7"', b'"resourceVersion":"' + b"7" * 200 + b'"'),
        GOOD.replace(b'"name":"web"', b'"name":""'),
        GOOD.replace(b'"namespace":"shop",', b""),
        GOOD.replace(b'"namespace":"shop"', b'"namespace":null'),
        encoded({"type": "ADDED", "object": {"kind": "Status", "apiVersion": "v1", "metadata": {}, "code": 410}}),
        b'{"type":"ERROR","object":{"kind":"Service","metadata":{"resourceVersion":"1"}}}',
        b'{"type":"ERROR","object":[]}',
        bookmark("Service", ""),
        bookmark("Pod", 7),
        page("Service", [], 7),
        b'{"type":"ADDED","object":' + b"[" * 100_000,
    ],
    ids=lambda data: repr(data[:60]),
)  # fmt: skip
def test_a_line_that_is_no_event_of_the_kind_is_garbage(garbage):
    with pytest.raises(Garbage) as error:
        decoder("Service").event(garbage)
    assert str(error.value).isprintable()
    assert len(str(error.value)) < 500


def test_an_object_of_no_namespace_may_have_none():
    with pytest.raises(Garbage, match="namespace"):
        decoder("Namespace").event(line("ADDED", document("v1", "Namespace", "shop"), 1))


@settings(deadline=None, max_examples=60)
@given(st.integers(0, len(GOOD) - 1), st.binary(min_size=1, max_size=3))
def test_a_line_with_other_bytes_in_it_is_read_or_garbage_but_nothing_else(position, data):
    changed = GOOD[:position] + data + GOOD[position + len(data) :]
    try:
        found = decoder("Service").event(changed)
    except KubeError:
        return
    assert found.key.namespace
    assert found.key.name
    assert found.version.text


GOOD_PAGE = page("Service", [versioned(service("web"), 5)], 7, "more")


def test_a_page_has_its_version_and_what_asks_for_the_next():
    found = decoder("Service").page(GOOD_PAGE)
    assert (found.version, found.next, len(found.items)) == (Version("7", 7), "more", 1)
    document = json.loads(GOOD_PAGE)
    document["items"] = None
    assert decoder("Service").page(encoded(document)).items == ()
    # Items of built-in kinds do not say what they are.
    plain = {
        "metadata": {"name": "web", "namespace": "shop", "resourceVersion": "5"},
        "spec": {"ports": [{"port": 80}]},
    }
    assert decoder("Service").item(msgspec.Raw(encoded(plain))).item == decode(service("web"))
    with pytest.raises(Garbage, match="PodList"):
        decoder("Service").page(page("Pod", [], 7))


@pytest.mark.parametrize(
    "garbage",
    [
        b"", b"<html>", b"[]", b"{}", b'{"kind":"ServiceList"}', GOOD_PAGE[:-1], GOOD_PAGE[:50],
        page("Service", [], ""),
        GOOD_PAGE.replace(b'"v1"', b'"v7"', 1),
        GOOD_PAGE.replace(b"ServiceList", b"ConfigMapList"),
        encoded({"kind": "Status", "apiVersion": "v1", "metadata": {}, "code": 410}),
    ],
)  # fmt: skip
def test_a_page_that_is_none_of_the_kind_is_garbage(garbage):
    with pytest.raises(Garbage):
        decoder("Service").page(garbage)


@pytest.mark.parametrize("item", [{}, {"metadata": {}}, [], {"metadata": {"name": "x", "namespace": "y"}}, pod("x")])
def test_an_item_that_is_none_of_the_kind_is_garbage(item):
    with pytest.raises(Garbage):
        decoder("Service").item(msgspec.Raw(encoded(item)))


def test_versions_that_are_no_numbers_are_kept_as_text():
    found = decoder("Service").event(line("ADDED", service("web"), "a-7"))
    assert found.version == Version("a-7", 0)
    assert [version_of(text) for text in ("7", "-7", "7.0", "٣", "1" * 21, " 7")] == [7, 0, 0, 0, 0, 0]


def test_equal_parts_are_one_whatever_comes_between():
    pool = Pool()
    read = Decoder(BY_NAME["EndpointSlice"], pool)

    def one(name, address):
        ready = {"ready": True, "serving": True, "terminating": False}
        target = {"kind": "Pod", "namespace": "shop", "name": address}
        part = {"addresses": [address], "conditions": ready, "nodeName": "n1", "zone": "z1", "targetRef": target}
        made = endpoint_slice("web", {**part, "hints": {"forZones": [{"name": "z1"}]}}, name=name)
        found = read.event(line("ADDED", made, 1))
        assert found.item == decode(made)
        return found.item

    first, second = one("s1", "10.0.0.1"), one("s2", "10.0.0.2")
    (a,), (b,) = first.endpoints, second.endpoints
    assert isinstance(first, EndpointSlice)
    assert a.conditions is b.conditions
    assert a.node_name is b.node_name
    assert a.zone is b.zone
    assert a.hints is b.hints
    assert a.target_ref.namespace is b.target_ref.namespace is first.metadata.namespace
    assert first.metadata.labels is second.metadata.labels


def test_an_object_that_shows_a_defect_of_ours_is_told_and_the_others_are_read(monkeypatch, caplog):
    def fail(_):
        raise AttributeError("nobody thought of that")

    monkeypatch.setattr("control.kube.events.check_service", fail)
    found = decoder("Service").event(line("ADDED", service("web"), 1))
    assert found.item is None
    assert found.flaw == "cannot be read, which is a defect: nobody thought of that"
    assert "AttributeError" in caplog.text


def test_the_pool_is_bounded(monkeypatch):
    monkeypatch.setattr("control.kube.pool.MAX_PARTS", 8)
    pool = Pool()
    read = Decoder(BY_NAME["Pod"], pool)
    for number in range(40):
        made = pod(f"p{number}", f"a{number}", namespace=f"n{number}", app=f"x{number}")
        assert read.event(line("ADDED", made, 1)).item == decode(made)
        assert len(pool._parts) <= 8
        assert len(pool._labels) <= 8
