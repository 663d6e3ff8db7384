"""What the verbs make of documents; in the words of a real API server where it has words for it."""

import json
from copy import deepcopy
from pathlib import Path

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from control.model.kinds import ENDPOINT_SLICE, HTTP_ROUTE, KINDS, POD, REFERENCE_GRANT, SERVICE
from control.model.objects import Key
from control.store import verbs
from control.store.records import Stored
from control.store.verbs import Preconditions, Refused, Write
from tests.control.build import endpoint_slice, grant, http_route, pod, rule, service

RECORDINGS = Path(__file__).parents[4] / "shared" / "kubernetes" / "recordings"
NOW, LATER = "2026-01-31T12:00:00Z", "2026-01-31T13:00:00Z"
MAKERS = {
    SERVICE: lambda: service("a", 80),
    POD: lambda: pod("a", "account"),
    ENDPOINT_SLICE: lambda: endpoint_slice("a", "10.0.0.1", name="a"),
    HTTP_ROUTE: lambda: http_route("a", rule("b")),
    REFERENCE_GRANT: lambda: grant("a", "bank", "b", "shop"),
}


def write(kind=HTTP_ROUTE, manager="ci", now=NOW, uid="u1", name="a"):
    return Write(kind, Key("shop", name), manager, now, uid)


def stored(document, kind=HTTP_ROUTE, version=7):
    """The document as the store would hand it out."""
    metadata = {**document["metadata"], "resourceVersion": str(version)}
    key = Key(metadata["namespace"], metadata["name"])
    return Stored(kind, key, version, msgspec.json.encode({**document, "metadata": metadata}))


def made(kind=HTTP_ROUTE, manager="ci", **fields):
    return stored(verbs.create(None, {**MAKERS[kind](), **fields}, write(kind, manager)), kind)


def route(*backends, **metadata):
    document = http_route("a", rule(*(backends or ("b",))))
    document["metadata"].update(metadata)
    return document


def body(current):
    return msgspec.json.decode(current.body)


def refusal(verb, *arguments, **options):
    with pytest.raises(Refused) as caught:
        verb(*arguments, **options)
    return caught.value


def without(document, *names):
    return {name: value for name, value in document.items() if name not in names}


@pytest.mark.parametrize("kind", KINDS)
def test_an_object_is_kept_as_it_was_sent_beside_what_the_server_adds(kind):
    sent = MAKERS[kind]()
    sent["metadata"].update(
        labels={"b": "1", "a": "2"}, annotations={"x": "y"}, creationTimestamp=None, finalizers=["f"]
    )
    before = deepcopy(sent)
    result = verbs.create(None, sent, write(kind))
    assert sent == before
    assert without(result, "metadata", "apiVersion") == without(sent, "metadata", "apiVersion")
    assert result["apiVersion"] == kind.api_version
    metadata = result["metadata"]
    added = without(metadata, *sent["metadata"]) | {"creationTimestamp": metadata["creationTimestamp"]}
    assert without(metadata, *added) == without(sent["metadata"], "creationTimestamp")
    (entry,) = added.pop("managedFields")
    assert (entry["manager"], entry["operation"], entry["time"]) == ("ci", "Update", NOW)
    generation = {} if kind is SERVICE else {"generation": 1}
    assert added == {"uid": "u1", "creationTimestamp": NOW, **generation}


def test_what_only_the_server_knows_is_not_taken_from_a_client():
    sent = route(uid="mine", generation=9, creationTimestamp="2001-01-01T00:00:00Z", selfLink="/x",
                 managedFields=[{"manager": "me"}], deletionTimestamp=NOW)  # fmt: skip
    result = verbs.create(None, sent, write())["metadata"]
    assert (result["uid"], result["generation"], result["creationTimestamp"]) == ("u1", 1, NOW)
    assert result["managedFields"][0]["manager"] == "ci"
    assert not {"selfLink", "deletionTimestamp"} & set(result)
    current = made()
    again = verbs.replace(current, without(sent, "metadata") | {"metadata": sent["metadata"] | {"uid": "u1"}}, write())
    assert again == body(current)


def test_the_name_and_namespace_that_a_document_leaves_out_are_those_asked_for():
    sent = route()
    sent["metadata"] = {}
    metadata = verbs.create(None, sent, write())["metadata"]
    assert (metadata["namespace"], metadata["name"]) == ("shop", "a")


def test_an_older_version_of_the_kind_is_kept_as_the_first():
    sent = route() | {"apiVersion": "gateway.networking.k8s.io/v1beta1"}
    assert verbs.create(None, sent, write())["apiVersion"] == "gateway.networking.k8s.io/v1"
    assert verbs.apply(made(), sent, write()) == body(made())


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"kind": "Service"}, "the object provided is 'gateway.networking.k8s.io/v1' 'Service'"),
        ({"apiVersion": "v1"}, "the object provided is 'v1' 'HTTPRoute'; allowed: gateway.networking.k8s.io/v1 or"),
        ({"kind": ["x"]}, r"the object provided is"),
        ({"metadata": None}, "metadata is required, as an object"),
        ({"metadata": {"name": "b"}}, r"the name of the object \('b'\) does not match the one in the URL \(a\)"),
        ({"metadata": {"namespace": "bank"}}, "the namespace of the object"),
        ({"metadata": {"name": {"a": 1}}}, "the name of the object"),
        ({"metadata": {"resourceVersion": 7}}, "metadata.resourceVersion is 7; allowed: text"),
        ({"metadata": {"uid": []}}, "metadata.uid is"),
    ],
)
def test_a_document_that_is_not_for_this_object_is_a_bad_request(change, message):
    sent = route() | change
    for verb in (verbs.replace, verbs.apply):
        refused = refusal(verb, made(), sent, write())
        assert refused.reason == "BadRequest"
        with pytest.raises(Refused, match=message):
            raise refused


def test_a_number_of_any_size_is_kept():
    assert body(made(POD, spec={"x": 2**70}))["spec"]["x"] == 2**70


def nested(depth):
    value = []
    for _ in range(depth):
        value = [value]
    return value


@pytest.mark.parametrize("value", ["\ud800", nested(50_000)])
def test_what_json_cannot_keep_is_refused(value):
    sent = pod("a") | {"spec": {"x": value}}
    assert refusal(verbs.create, None, sent, write(POD)).reason == "BadRequest"
    assert refusal(verbs.replace, made(POD), sent, write(POD)).reason == "BadRequest"


def test_an_object_that_is_wrong_is_invalid_with_every_flaw():
    sent = route()
    sent["spec"]["rules"][0]["matches"] = [{"path": {"type": "Prefix", "value": "/"}, "method": "get"}]
    refused = refusal(verbs.create, None, sent, write())
    assert refused.reason == "Invalid"
    assert str(refused).startswith('HTTPRoute.gateway.networking.k8s.io "a" is invalid: [spec.rules[0].matches[0].')
    assert [flaw.path for flaw in refused.flaws] == [
        f"spec.rules[0].matches[0].{name}" for name in ("path.type", "method")
    ]
    single = refusal(verbs.create, None, service("a", 0), write(SERVICE))
    assert str(single) == 'Service "a" is invalid: spec.ports[0].port: 0 is out of range; allowed: 1 to 65535'


# What exists, and what does not.


@pytest.mark.parametrize(
    ("verb", "argument"),
    [(verbs.replace, route()), (verbs.merge_patch, {}), (verbs.set_status, {}), (verbs.patch_status, {})],
)
def test_what_is_not_there_is_not_found(verb, argument):
    refused = refusal(verb, None, argument, write())
    assert (refused.reason, str(refused)) == ("NotFound", 'httproutes.gateway.networking.k8s.io "a" not found')
    assert refusal(verbs.delete, None, write()).reason == "NotFound"


def test_what_is_there_already_is_not_created():
    refused = refusal(verbs.create, made(), route(), write())
    assert (refused.reason, str(refused)) == (
        "AlreadyExists",
        'httproutes.gateway.networking.k8s.io "a" already exists',
    )


def test_what_is_created_has_no_version_yet():
    assert refusal(verbs.create, None, route(resourceVersion="3"), write()).reason == "BadRequest"
    for wanted in ({"resourceVersion": "3"}, {"uid": "u"}):
        assert refusal(verbs.apply, None, route(**wanted), write()).reason == "Conflict"


@pytest.mark.parametrize("wanted", [{"resourceVersion": "7"}, {"uid": "u1"}, {"resourceVersion": "", "uid": None}, {}])
def test_a_precondition_that_holds_lets_through(wanted):
    sent = route("c", **wanted)
    for verb in (verbs.replace, verbs.apply, verbs.merge_patch):
        assert verb(made(), sent, write())["spec"] == sent["spec"]


@pytest.mark.parametrize(
    ("wanted", "message"),
    [
        ({"resourceVersion": "6"}, "the object has been modified; please apply your changes to the latest version"),
        ({"uid": "u2"}, "Precondition failed: UID in precondition: u2, UID in object meta: u1"),
    ],
)
def test_a_precondition_that_does_not_hold_is_a_conflict(wanted, message):
    preconditions = Preconditions(wanted.get("uid", ""), wanted.get("resourceVersion", ""))
    for refused in (
        refusal(verbs.replace, made(), route("c", **wanted), write()),
        refusal(verbs.apply, made(), route("c", **wanted), write(), force=True),
        refusal(verbs.merge_patch, made(), {"metadata": wanted}, write()),
        refusal(verbs.patch_status, made(), {"metadata": wanted}, write()),
        refusal(verbs.set_status, made(), {}, write(), preconditions),
        refusal(verbs.delete, made(), write(), preconditions),
    ):
        assert refused.reason == "Conflict"
        assert message in str(refused)
    assert verbs.delete(made(), write(), Preconditions("u1", "7")) is None


# Generations, and what does not change.


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("verb", [verbs.replace, verbs.apply])
def test_what_says_the_same_changes_nothing(kind, verb):
    current = made(kind)
    reordered = dict(reversed(MAKERS[kind]().items()))
    assert verb(current, reordered, write(kind, now=LATER)) == body(current)
    assert verbs.merge_patch(current, {}, write(kind, "other", LATER)) == body(current)


CHANGES = {
    SERVICE: {"spec": {"selector": {"app": "b"}}},
    POD: {"spec": {"serviceAccountName": "b"}},
    ENDPOINT_SLICE: {"endpoints": [{"addresses": ["10.0.0.2"]}]},
    HTTP_ROUTE: {"spec": {"hostnames": ["b"]}},
    REFERENCE_GRANT: {"spec": {"to": [{"group": "", "kind": "Service"}]}},
}


@pytest.mark.parametrize("kind", KINDS)
def test_the_generation_moves_when_the_content_does_and_a_service_has_none(kind):
    changed = verbs.merge_patch(made(kind), CHANGES[kind], write(kind))
    assert changed["metadata"].get("generation") == (None if kind is SERVICE else 2)
    again = verbs.merge_patch(stored(changed, kind), {"metadata": {"labels": {"a": "b"}}}, write(kind))
    assert again["metadata"].get("generation") == changed["metadata"].get("generation")
    assert again["metadata"]["labels"]["a"] == "b"


def test_the_status_of_a_pod_moves_no_generation_and_no_owner():
    changed = verbs.merge_patch(made(POD), {"status": {"phase": "Running"}}, write(POD, "kubelet"))
    assert changed["status"] == {"phase": "Running"}
    assert changed["metadata"]["generation"] == 1
    assert changed["metadata"]["managedFields"][0]["manager"] == "ci"
    assert verbs.apply(stored(changed, POD), MAKERS[POD](), write(POD))["status"] == {"phase": "Running"}


def test_true_is_not_one():
    current = made(POD, spec={"x": 1})
    assert verbs.replace(current, pod("a") | {"spec": {"x": True}}, write(POD))["metadata"]["generation"] == 2


SPECS = st.fixed_dictionaries(
    {"parentRefs": st.just([{"group": "", "kind": "Service", "name": "a"}])},
    optional={
        "hostnames": st.lists(st.sampled_from(["a", "b"]), max_size=2),
        "rules": st.lists(st.just(rule("b")) | st.just(rule("c")), min_size=1, max_size=2),
    },
)
MAPS = st.none() | st.dictionaries(st.sampled_from("ab"), st.sampled_from("xy"), max_size=2)
SENT = st.builds(
    lambda spec, labels, notes: route(labels=labels, annotations=notes) | {"spec": spec}, SPECS, MAPS, MAPS
)


@given(SENT, SENT, st.sampled_from([verbs.replace, verbs.apply, verbs.merge_patch]))
def test_the_generation_counts_the_changes_of_spec(first, second, verb):
    current = stored(verbs.create(None, first, write()))
    after = verb(current, second, write(now=LATER))
    moved = after["spec"] != body(current)["spec"]
    assert after["metadata"]["generation"] == 1 + moved
    assert (after["metadata"]["managedFields"] != body(current)["metadata"]["managedFields"]) == moved
    for name in ("name", "namespace", "uid", "creationTimestamp"):
        assert after["metadata"][name] == body(current)["metadata"][name]
    if verb is not verbs.merge_patch:
        assert after["spec"] == second["spec"]
        sent = {name: second["metadata"][name] for name in ("labels", "annotations") if second["metadata"][name]}
        assert {
            name: after["metadata"][name] for name in ("labels", "annotations") if after["metadata"].get(name)
        } == sent


@given(SENT, SENT, st.booleans())
def test_an_apply_done_again_changes_nothing(first, second, force):
    current = stored(verbs.create(None, first, write()))
    once = stored(verbs.apply(current, second, write(), force=force))
    assert verbs.apply(once, second, write(now=LATER), force=force) == body(once)


def said(document):
    """What a document says: no labels and none given are the same."""
    maps = [document["metadata"].get(name) or {} for name in ("labels", "annotations")]
    return document["spec"], maps


@given(SENT, SENT)
def test_anothers_apply_is_a_conflict_exactly_when_it_would_change_something(first, second):
    current = stored(verbs.create(None, first, write()))
    own = verbs.apply(current, second, write())
    differs = said(own) != said(body(current))
    if differs:
        assert refusal(verbs.apply, current, second, write(manager="other")).reason == "Conflict"
    else:
        assert verbs.apply(current, second, write(manager="other")) == body(current)


# One manager owns an object.


def owner(document):
    (entry,) = document["metadata"]["managedFields"]
    return entry["manager"], entry["operation"], entry["time"]


def test_an_apply_owns_what_it_makes_and_replaces_labels_and_annotations():
    first = verbs.apply(None, route(labels={"a": "1", "b": "2"}, annotations={"x": "y"}), write())
    assert owner(first) == ("ci", "Apply", NOW)
    second = verbs.apply(stored(first), route("c", labels={"a": "1"}), write(now=LATER))
    assert owner(second) == ("ci", "Apply", LATER)
    assert second["metadata"]["labels"] == {"a": "1"}
    assert "annotations" not in second["metadata"]


def test_an_apply_keeps_finalizers_and_owners_that_it_does_not_name():
    reference = {"apiVersion": "v1", "kind": "Service", "name": "a", "uid": "1"}
    current = stored(verbs.create(None, route(finalizers=["f"], ownerReferences=[reference]), write()))
    kept = verbs.apply(current, route("c", finalizers=["g"]), write())["metadata"]
    assert (kept["finalizers"], kept["ownerReferences"]) == (["g"], [reference])


@pytest.mark.parametrize("operation", ["create", "replace", "patch", "apply"])
def test_who_gave_the_content_owns_it_and_another_managers_apply_is_told_so(operation):
    current = made(manager="first")
    if operation == "create":
        current = made(manager="ci")
    elif operation == "replace":
        current = stored(verbs.replace(current, route("c"), write()))
    elif operation == "patch":
        current = stored(verbs.merge_patch(current, {"spec": {"hostnames": ["c"]}}, write()))
    else:
        current = stored(verbs.apply(current, route("c"), write(), force=True))
    assert owner(body(current))[0] == "ci"
    refused = refusal(verbs.apply, current, route("d", labels={"x": "y"}), write(manager="other"))
    assert refused.reason == "Conflict"
    assert str(refused) == (
        'Apply failed with 2 conflicts: conflicts with "ci" using gateway.networking.k8s.io/v1:\n- .spec\n'
        "- .metadata.labels\n'ci' owns this object; force=true takes it over"
    )
    assert [flaw.path for flaw in refused.flaws] == [".spec", ".metadata.labels"]
    assert {flaw.message for flaw in refused.flaws} == {'conflict with "ci" using gateway.networking.k8s.io/v1'}


def test_force_takes_an_object_over_even_if_nothing_else_changes():
    taken = verbs.apply(made(), route(), write(manager="other", now=LATER), force=True)
    assert owner(taken) == ("other", "Apply", LATER)
    assert taken["metadata"]["generation"] == 1


def test_metadata_alone_makes_no_owner():
    for verb in (verbs.merge_patch, verbs.replace):
        assert owner(verb(made(), route(labels={"a": "b"}), write(manager="labeler", now=LATER))) == (
            "ci",
            "Update",
            NOW,
        )


def test_an_apply_does_not_say_who_manages_the_object():
    assert refusal(verbs.apply, None, route(managedFields=[{"manager": "me"}]), write()).reason == "BadRequest"


def test_the_owner_is_shown_as_kubernetes_shows_managers():
    (entry,) = body(made(SERVICE))["metadata"]["managedFields"]
    assert entry["fieldsType"] == "FieldsV1"
    assert entry["fieldsV1"] == {"f:metadata": {"f:annotations": {}, "f:labels": {}}, "f:spec": {}}
    assert set(body(made(ENDPOINT_SLICE))["metadata"]["managedFields"][0]["fieldsV1"]) == {
        "f:addressType", "f:endpoints", "f:metadata", "f:ports",
    }  # fmt: skip


# The status, beside the rest.

STATUS = {"parents": []}


def test_a_status_is_written_by_itself_and_kept_by_everything_else():
    assert "status" not in verbs.create(None, route() | {"status": STATUS}, write())
    current = stored(verbs.set_status(made(), STATUS, write()))
    assert body(current) == body(made()) | {"status": STATUS}
    for verb in (verbs.replace, verbs.apply, verbs.merge_patch):
        after = verb(current, route("c") | {"status": {"parents": None}}, write())
        assert after["status"] == STATUS
        assert after["metadata"]["generation"] == 2
    assert verbs.replace(made(), route() | {"status": STATUS}, write()) == body(made())


def test_a_status_is_patched_without_anything_else():
    current = stored(verbs.set_status(made(), STATUS, write()))
    condition = {"type": "Accepted", "status": "True", "reason": "Accepted", "message": "", "lastTransitionTime": NOW}
    parents = [{"parentRef": {"name": "a"}, "controllerName": "example.com/controller", "conditions": [condition]}]
    patch = {"status": {"parents": parents}, "spec": {"hostnames": ["x"]}, "metadata": {"labels": {"a": "b"}}}
    patched = verbs.patch_status(current, patch, write(manager="other"))
    assert patched == body(current) | {"status": {"parents": parents}}
    assert verbs.patch_status(current, {"status": None}, write()) == without(body(current), "status")
    assert verbs.set_status(current, None, write()) == without(body(current), "status")


@pytest.mark.parametrize("status", ["x", {"parents": {}}, {"parents": [{}]}, {"colour": 1}])
def test_a_status_that_is_wrong_is_refused(status):
    assert refusal(verbs.set_status, made(), status, write()).reason in {"Invalid", "BadRequest"}


# Patches.


@pytest.mark.parametrize("patch", [[], "x", None, {"metadata": None}, {"metadata": {"name": "b"}}, {"kind": None}])
def test_a_patch_that_leaves_no_such_object_is_a_bad_request(patch):
    assert refusal(verbs.merge_patch, made(), patch, write()).reason == "BadRequest"


def test_a_patch_cannot_take_the_servers_metadata_away():
    patch = {"metadata": dict.fromkeys(("uid", "resourceVersion", "generation", "managedFields", "creationTimestamp"))}
    assert verbs.merge_patch(made(), patch, write()) == body(made())


def test_a_patch_nested_too_deeply_is_a_bad_request():
    patch = {}
    for _ in range(200):
        patch = {"a": patch}
    assert refusal(verbs.merge_patch, made(), patch, write()).reason == "BadRequest"


# As a real API server has it.

recorded = pytest.mark.skipif(not RECORDINGS.is_dir(), reason="the recordings are not beside the checkout")


def recording(name):
    return json.loads((RECORDINGS / f"{name}.json").read_text())


def kubernetes(name):
    return recording(name)["body"]


@recorded
def test_refusals_are_worded_as_kubernetes_words_them():
    taken = stored(verbs.create(None, service("front"), write(SERVICE, name="front")), SERVICE)
    refused = refusal(verbs.create, taken, service("front"), write(SERVICE, name="front"))
    assert str(refused) == kubernetes("errors/already-exists")["message"]
    assert str(refusal(verbs.delete, None, write(SERVICE, name="none"))) == kubernetes("errors/not-found")["message"]
    sent = recording("errors/conflict")["request"]["body"]
    canary = write(name="payment-canary")
    current = stored(
        verbs.create(None, http_route("payment-canary", rule("b")), canary._replace(uid=sent["metadata"]["uid"]))
    )
    assert str(refusal(verbs.replace, current, sent, canary)) == kubernetes("errors/conflict")["message"]
    refused = refusal(
        verbs.create, None, recording("errors/unknown-field-strict")["request"]["body"], write(name="bad")
    )
    assert refused.reason == kubernetes("errors/unknown-field-strict")["reason"]
    assert str(refused) == kubernetes("errors/unknown-field-strict")["message"]
    invalid = kubernetes("errors/crd-invalid")
    refused = refusal(verbs.create, None, recording("errors/crd-invalid")["request"]["body"], write(name="bad"))
    assert (refused.reason, refused.flaws[0].path) == (invalid["reason"], invalid["details"]["causes"][0]["field"])
    assert str(refused).startswith('HTTPRoute.gateway.networking.k8s.io "bad" is invalid: ')


@recorded
@pytest.mark.parametrize(
    ("kind", "name"),
    [(SERVICE, "services"), (ENDPOINT_SLICE, "endpointslices"), (POD, "pods-shop"), (HTTP_ROUTE, "httproutes")],
)
def test_objects_of_a_real_cluster_have_the_metadata_that_ours_have(kind, name):
    for item in kubernetes(f"lists/{name}")["items"]:
        sent = {"apiVersion": kind.api_version, "kind": kind.name} | item
        theirs = sent["metadata"]
        metadata = without(theirs, "resourceVersion", "uid")
        who = Write(kind, Key(theirs["namespace"], theirs["name"]), "ci", NOW, theirs["uid"])
        ours = body(stored(verbs.create(None, sent | {"metadata": metadata}, who), kind))["metadata"]
        assert set(ours) == set(theirs)
        assert {type(value) for value in ours.values()} == {type(value) for value in theirs.values()}
