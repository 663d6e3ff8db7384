"""`meshctl apply`, `diff` and `delete`."""

import json

import pytest
import yaml

from tests.control.build import endpoint_slice, http_route, pod, rule, service
from tests.fakes.scripted import Reply, scripted


def shop(ns, *backends):
    return [
        http_route("echo", rule(*(backends or ("echo",))), namespace=ns),
        service("echo", namespace=ns),
        endpoint_slice("echo", "127.0.0.1", namespace=ns),
        pod("echo-1", namespace=ns),
    ]


def test_what_is_new_is_created_what_differs_configured_and_what_is_the_same_unchanged(meshctl, manifest, ns):
    file = manifest(*shop(ns))
    first = meshctl("apply", "-f", file)
    lines = ["service/echo created", "pod/echo-1 created", "endpointslice/echo-1 created", "httproute/echo created"]
    assert (first.status, first.err, first.out.splitlines()) == (0, "", lines)
    assert meshctl("apply", "-f", file).out.split()[1::2] == ["unchanged"] * 4
    documents = shop(ns, {"name": "echo", "port": 80, "weight": 7})
    again = meshctl("apply", "-f", manifest(*documents))
    assert again.out.splitlines()[-1] == "httproute/echo configured"
    assert again.out.split()[1:-1:2] == ["unchanged"] * 3


def test_a_dry_run_says_what_would_be_and_changes_nothing(meshctl, manifest, ns):
    file = manifest(*shop(ns))
    result = meshctl("apply", "-f", file, "--dry-run")
    assert (result.status, result.out.splitlines()[0]) == (0, "service/echo created (dry run)")
    assert "no services found" in meshctl("get", "svc", "-n", ns).err
    meshctl("apply", "-f", file)
    assert meshctl("apply", "-f", file, "--dry-run").out.splitlines()[0] == "service/echo unchanged (dry run)"


def test_all_that_is_wrong_is_told_with_its_place_and_nothing_is_applied(meshctl, manifest, ns):
    bad = http_route("bad", rule("echo", timeout="1s"), namespace=ns)
    file = manifest(service("echo", namespace=ns), bad, service("b", colour="red", namespace=ns))
    result = meshctl("apply", "-f", file)
    assert result.status == 1
    assert f"{file}: document 2 (HTTPRoute {ns}/bad): spec.rules[0].timeout: unknown field; allowed: " in result.err
    assert f"{file}: document 3 (Service {ns}/b): spec.colour: unknown field" in result.err
    assert result.err.endswith("2 errors\nnothing was applied\n")
    assert "no services found" in meshctl("get", "svc", "-n", ns).err


def test_what_the_control_plane_refuses_keeps_all_from_being_applied(meshctl, manifest, ns):
    stale = service("b", namespace=ns)
    stale["metadata"]["resourceVersion"] = "1"
    file = manifest(service("a", namespace=ns), stale)
    result = meshctl("apply", "-f", file)
    assert result.status == 1
    assert f"{file}: document 2 (Service {ns}/b): " in result.err
    assert "leave out metadata.resourceVersion" in result.err
    assert "nothing was applied" in result.err
    assert "no services found" in meshctl("get", "svc", "-n", ns).err


def test_another_managers_object_is_taken_over_only_by_force(meshctl, manifest, ns, control):
    meshctl("apply", "-f", manifest(service("a", namespace=ns)))
    route = http_route("r", rule("a"), parents=["a"], namespace=ns)
    post(control, f"/apis/gateway.networking.k8s.io/v1/namespaces/{ns}/httproutes?fieldManager=robot", route)
    file = manifest(http_route("r", rule({"name": "a", "port": 80, "weight": 3}), parents=["a"], namespace=ns))
    refused = meshctl("apply", "-f", file)
    assert refused.status == 1
    assert "robot" in refused.err
    assert "--force-conflicts" in refused.err
    assert meshctl("diff", "-f", file).status == 2
    assert meshctl("diff", "-f", file, "--force-conflicts").status == 1
    assert meshctl("apply", "-f", file, "--force-conflicts").out == "httproute/r configured\n"
    assert meshctl("apply", "-f", file).out == "httproute/r unchanged\n"


def post(control, path, document):
    import http.client

    connection = http.client.HTTPConnection(*control.addresses["api"], timeout=10)
    token = control.token_file.read_text().strip()
    headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}
    connection.request("POST", path, json.dumps(document), headers)
    response = connection.getresponse()
    assert response.status == 201, response.read()
    connection.close()


def test_a_route_that_is_not_accepted_is_applied_and_warned_of(meshctl, manifest, ns):
    documents = [
        service("a", namespace=ns),
        http_route("lost", rule("a"), parents=["gone"], namespace=ns),
        http_route("half", rule("nowhere"), parents=["a"], namespace=ns),
        http_route("edge", rule("a"), parents=[{"name": "gateway"}], namespace=ns),
    ]
    result = meshctl("apply", "-f", manifest(*documents))
    assert result.status == 0
    lines = result.err.splitlines()
    assert any(line.startswith("warning: httproute/lost: is not Accepted: NoMatchingParent") for line in lines)
    assert any(line.startswith("warning: httproute/half: is not ResolvedRefs: BackendNotFound") for line in lines)
    assert not any("edge" in line for line in lines)


def test_the_namespace_option_fills_in_and_must_not_contradict(meshctl, manifest, ns, monkeypatch):
    bare = service("a")
    del bare["metadata"]["namespace"]
    assert meshctl("apply", "-f", manifest(bare), "-n", ns).status == 0
    assert meshctl("get", "svc", "a", "-n", ns).status == 0
    result = meshctl("apply", "-f", manifest(service("a", namespace="other")), "-n", ns)
    assert result.status == 1
    assert f"metadata.namespace is not {ns}, as -n says" in result.err
    monkeypatch.setenv("MESHCTL_NAMESPACE", "elsewhere")
    assert meshctl("apply", "-f", manifest(service("a", namespace=ns))).out == "service/a unchanged\n"


def test_what_was_printed_can_be_applied_again(meshctl, manifest, ns, tmp_path):
    meshctl("apply", "-f", manifest(*shop(ns)))
    printed = tmp_path / "printed.yaml"
    printed.write_text(meshctl("get", "httproutes", "-n", ns, "-o", "yaml").out)
    assert meshctl("diff", "-f", printed).status == 0
    assert meshctl("apply", "-f", printed).out == "httproute/echo unchanged\n"


def test_a_diff_shows_what_would_change_and_its_status_says_whether(meshctl, manifest, ns):
    fresh = manifest(*shop(ns))
    result = meshctl("diff", "-f", fresh)
    assert result.status == 1
    assert f"--- service/{ns}/echo (not there)\n+++ service/{ns}/echo (after an apply)\n" in result.out
    meshctl("apply", "-f", fresh)
    assert meshctl("diff", "-f", fresh) == (0, "", "")
    changed = meshctl("diff", "-f", manifest(*shop(ns, {"name": "echo", "port": 80, "weight": 7})))
    assert changed.status == 1
    assert "+      weight: 7" in changed.out
    assert "resourceVersion" not in changed.out
    assert "status" not in changed.out
    bad = meshctl("diff", "-f", manifest(service("B", namespace=ns)))
    assert (bad.status, bad.out) == (2, "")
    assert "metadata.name: 'B' is malformed" in bad.err


def test_objects_are_deleted_by_name_and_by_manifest(meshctl, manifest, ns):
    file = manifest(*shop(ns))
    meshctl("apply", "-f", file)
    assert meshctl("delete", "svc", "echo", "-n", ns).out == "service/echo deleted\n"
    result = meshctl("delete", "-f", file)
    assert result.out.splitlines() == ["httproute/echo deleted", "endpointslice/echo-1 deleted", "pod/echo-1 deleted"]
    assert result.status == 1
    assert 'services "echo" not found' in result.err
    assert meshctl("delete", "-f", file, "--ignore-not-found") == (0, "", "")
    assert meshctl("delete", "svc/echo", "-n", ns).err == 'Error from server (NotFound): services "echo" not found\n'


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((), "nothing was named"),
        (("svc",), "the name of the service is missing"),
        (("svc", "a", "-f", "x"), "exclude each other"),
        (("proxies", "a"), "cannot be deleted"),
        (("deploy", "a"), "'deploy' is not known"),
    ],
)
def test_a_deletion_that_says_too_little_or_too_much_deletes_nothing(meshctl, arguments, message):
    result = meshctl("delete", *arguments)
    assert result.status == 1
    assert message in result.err


def answering(failing):
    """A control plane that takes everything in a dry run, and fails at the real apply of one object."""

    def answer(asked):
        if asked.method == "GET":
            return Reply(404, b'{"kind": "Status", "message": "not found", "reason": "NotFound", "code": 404}')
        if "dryRun" not in asked.target and "services/b?" in asked.target:
            return failing
        return Reply(201, asked.body)

    return answer


@pytest.mark.parametrize(
    ("failing", "expected"),
    [
        (Reply(507, b'{"message": "the disk is full: nothing was changed"}'), "may be applied or not: service/b"),
        (Reply(403, b'{"message": "no"}'), "not applied: service/b, service/c"),
        (Reply(cut=True), None),
    ],
)
def test_when_it_breaks_off_in_the_midst_it_says_what_is_applied_and_what_is_not(
    failing, expected, meshctl, manifest, monkeypatch
):
    with scripted(answering(failing)) as server:
        monkeypatch.setenv("MESHCTL_API", server.url)
        result = meshctl("apply", "-f", manifest(*(service(name) for name in "abc")))
    assert result.status == 1
    assert result.out == "service/a created\n"
    assert "service/c" in result.err.split("not applied: ")[1]
    assert "1 applied, as told above" in result.err
    assert expected is None or expected in result.err


def test_secrets_and_other_kinds_are_skipped_with_a_notice(meshctl, manifest, ns):
    other = {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "x"}}
    result = meshctl("apply", "-f", manifest(other, service("a", namespace=ns)))
    assert (result.status, result.out) == (0, "service/a created\n")
    assert "skipped 1 of kind Deployment" in result.err
    assert meshctl("apply", "-f", manifest(other)).status == 1


def test_yaml_of_several_documents_from_a_folder(meshctl, ns, tmp_path):
    folder = tmp_path / "in"
    folder.mkdir()
    (folder / "a.yaml").write_text("---\n".join(yaml.safe_dump(document) for document in shop(ns)))
    (folder / "b.json").write_text(json.dumps(service("b", namespace=ns)))
    result = meshctl("apply", "-f", folder)
    assert (result.status, len(result.out.splitlines())) == (0, 5)
