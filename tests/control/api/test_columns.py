import msgspec
import pytest

from control.api.columns import COLUMNS
from control.api.table import Table
from control.model.kinds import KINDS
from tests.control import build

NOW = 1_000_000.0


def cells(kind, document):
    table = Table(kind, "meta.k8s.io/v1", "None")
    names = [item["name"] for item in msgspec.json.decode(table.head() + b"]}")["columnDefinitions"]]
    row = msgspec.json.decode(table.row(msgspec.json.encode(document), NOW))
    return dict(zip(names, row["cells"], strict=True))


def status(*conditions):
    shown = [{"type": word, "status": value, "reason": reason} for word, value, reason in conditions]
    return {"parents": [{"conditions": shown}]}


def test_every_kind_has_columns():
    assert set(COLUMNS) == {kind.name for kind in KINDS} | {"Proxy"}


def test_services():
    found = cells("Service", build.service("echo", 80, 443, selector={"app": "echo"}))
    assert found == {
        "Name": "echo",
        "Type": "ClusterIP",
        "Cluster-IP": "<none>",
        "Port(s)": "80/TCP,443/TCP",
        "Selector": "app=echo",
        "Age": "<unknown>",
    }
    many = cells("Service", build.service("echo", *range(80, 90)))
    assert many["Port(s)"] == "80/TCP,81/TCP,82/TCP + 7 more..."
    assert cells("Service", build.document("v1", "Service", "a", spec={"type": "ExternalName"}))["Port(s)"] == "<none>"


def test_slices():
    found = cells(
        "EndpointSlice",
        build.endpoint_slice(
            "echo",
            "10.0.0.1",
            build.endpoint("10.0.0.2", conditions={"ready": False}),
            build.endpoint("10.0.0.3", conditions={}),
        ),
    )
    assert found["Ready"] == "2/3"
    assert found["Endpoints"] == "10.0.0.1,10.0.0.2,10.0.0.3"
    assert found["Service"] == "echo"
    bare = build.document("discovery.k8s.io/v1", "EndpointSlice", "a", addressType="IPv4", endpoints=None, ports=None)
    assert cells("EndpointSlice", bare)["Ready"] == "0/0"


def test_pods():
    found = cells("Pod", build.pod("a", "echo"))
    assert (found["Meshed"], found["Account"], found["IP"]) == ("yes", "echo", "<none>")
    assert cells("Pod", build.pod("a", meshed=False))["Meshed"] == "no"


def test_routes():
    rule = build.rule({"name": "v1", "weight": 90}, {"name": "v2", "weight": 10})
    document = build.http_route("echo", rule, build.rule("v3"), build.rule(), parents=[build.parent("echo", port=80)])
    found = cells("HTTPRoute", document)
    assert found["Parents"] == "Service/echo:80"
    assert found["Backends"] == "v1=90|v2=10,v3,<none>"
    assert (found["Accepted"], found["Resolved"], found["Rules"]) == ("Unknown", "Unknown", 3)
    document["status"] = status(("Accepted", "True", "Accepted"), ("ResolvedRefs", "False", "BackendNotFound"))
    found = cells("HTTPRoute", document)
    assert (found["Accepted"], found["Resolved"]) == ("True", "False (BackendNotFound)")


def test_a_weight_of_zero_is_shown_as_such():
    rule = build.rule({"name": "v1"}, {"name": "v2", "weight": 0})
    assert cells("HTTPRoute", build.http_route("echo", rule))["Backends"] == "v1=1|v2=0"


def test_grants():
    found = cells("ReferenceGrant", build.grant("g", "shop"))
    assert (found["From"], found["To"]) == ("HTTPRoute/shop", "Service/*")


def proxy(**fields):
    given = {
        "version": "0.1.0",
        "synced": True,
        "staleForS": 0.0,
        "unacknowledged": 0,
        "subscribed": 3,
        "serviceAccount": "echo",
        "address": "127.0.0.1:1",
        "waiting": [],
        "lastNack": [],
        **fields,
    }
    return {"metadata": {"name": "a", "namespace": "shop"}, "status": given}


def test_proxies():
    assert cells("Proxy", proxy())["State"] == "synced"
    assert cells("Proxy", proxy(synced=False, staleForS=61.0))["Stale"] == "61s"
    refused = proxy(synced=False, lastNack=[{"name": "routes/a/b:80", "path": "", "message": "bad"}])
    assert cells("Proxy", refused)["State"] == "refused"
    assert cells("Proxy", refused)["Problem"] == "routes/a/b:80: bad"


def test_nothing_that_a_terminal_acts_on_is_shown():
    assert cells("Proxy", proxy(version="\x1b[2J1"))["Version"] == "?[2J1"


@pytest.mark.parametrize(("include", "kind"), [("", "PartialObjectMetadata"), ("Object", "Service"), ("None", None)])
def test_what_goes_with_a_row(include, kind):
    body = msgspec.json.encode(build.service("echo"))
    row = msgspec.json.decode(Table("Service", "meta.k8s.io/v1", include).row(body, NOW))
    assert row.get("object", {}).get("kind") == kind
