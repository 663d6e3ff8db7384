import contextlib
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from meshproxy.wire import resources as wire
from meshproxy.wire import snapshot
from meshproxy.wire.canonical import version_of
from meshproxy.wire.snapshot import SnapshotError, dump, entry_of, load

DEEP = b'{"schema":1,"resources":[],"later":' + b"[" * 200_000


def port_entries(key="shop/a:80", endpoints=()):
    rule = wire.Rule(name="default", backends=[wire.RouteBackend(backend=key)])
    return [
        entry_of(f"routes/{key}", wire.Routes(matches=[wire.RouteMatch(rule=0)], rules=[rule])),
        entry_of(f"backend/{key}", wire.Backend()),
        entry_of(f"endpoints/{key}", wire.Endpoints(endpoints=list(endpoints))),
    ]


def routes(name):
    rule = wire.Rule(name=name, backends=[wire.RouteBackend(backend="shop/a:80")])
    return wire.Routes(matches=[wire.RouteMatch(rule=0)], rules=[rule])


def edited(entries, edit):
    file = json.loads(dump(entries))
    edit(file)
    return json.dumps(file).encode()


def refusal(data):
    with pytest.raises(SnapshotError) as caught:
        load(data)
    return [str(problem) for problem in caught.value.problems]


def test_what_is_dumped_is_loaded_and_dumped_the_same():
    full = wire.Routes(
        matches=[
            wire.RouteMatch(
                rule=0,
                path=wire.PathMatch(type="Exact", value="/x"),
                headers=[wire.StringMatch(name="a", value="b")],
                query_params=[wire.StringMatch(name="q", value=".*", type="RegularExpression")],
                method="GET",
            ),
            wire.RouteMatch(rule=1),
            wire.RouteMatch(rule=2),
        ],
        rules=[
            wire.Rule(
                name="shop/r/0",
                filters=[wire.RequestHeaderModifier(set=[("x-a", "1")], remove=["x-b"])],
                backends=[wire.RouteBackend(backend="shop/a:80", weight=3), wire.RouteBackend(fault="backend_missing")],
                timeouts=wire.Timeouts(request_s=2.0, backend_request_s=0.5),
                retry=wire.Retry(codes=[503], attempts=2),
            ),
            wire.Rule(
                name="shop/r/1",
                filters=[wire.RequestRedirect(path=wire.ReplacePrefixMatch(value="/y"), status_code=308)],
            ),
            wire.Rule(
                name="shop/r/2",
                filters=[wire.URLRewrite(hostname="b", path=wire.ReplaceFullPath(value="/z"))],
                backends=[wire.RouteBackend(backend="shop/a:80")],
            ),
        ],
    )
    endpoint = wire.Endpoint(
        address="127.0.0.2", port=8080, meshed=True, identity="spiffe://td/ns/shop/sa/a", labels={"b": "1", "a": "2"}
    )
    _, backend, endpoints = port_entries(endpoints=[endpoint])
    workload = entry_of("workload/shop/a-1", wire.Workload(ports=[wire.WorkloadPort(port=1, services=["shop/a:80"])]))
    ports = entry_of("service/shop/a", wire.Service(ports=[wire.ServicePort(port=80)]))
    data = dump([entry_of("routes/shop/a:80", full), backend, endpoints, workload, ports])
    loaded = load(data)
    assert {entry.name: entry.resource for entry in loaded.entries}["routes/shop/a:80"] == full
    assert dump(loaded.entries) == data
    assert [version_of(entry.resource) for entry in loaded.entries] == [entry.version for entry in loaded.entries]


def test_a_version_is_the_content_and_nothing_else():
    one = wire.Endpoint(address="10.0.0.1", port=1, labels={"a": "1", "b": "2"})
    same = wire.Endpoint(address="10.0.0.1", port=1, labels={"b": "2", "a": "1"}, weight=1)
    other = wire.Endpoint(address="10.0.0.1", port=1, labels={"a": "1", "b": "2"}, weight=2)
    versions = [version_of(wire.Endpoints(endpoints=[endpoint])) for endpoint in (one, same, other)]
    assert versions[0] == versions[1] != versions[2]
    # Numbers and texts that are equal to a default, without being the same object.
    explicit = wire.Backend(
        protocol=str(b"http", "ascii"), connect_timeout_s=float("1.0"), outlier=wire.Outlier(base_s=float("1"))
    )
    assert version_of(explicit) == version_of(wire.Backend())
    # Known from another process: a version must not change with it.
    assert version_of(wire.Backend()) == "44136fa355b3678a"


def test_a_namespace_takes_its_own_variant_and_the_others_the_common_one():
    common, own = routes("default"), routes("bank/own/0")
    entries = [*port_entries()[1:], entry_of("routes/shop/a:80", common), entry_of("routes/shop/a:80", own, "bank")]
    loaded = load(dump(entries))
    assert loaded.select("bank")["routes/shop/a:80"].resource == own
    assert loaded.select("shop")["routes/shop/a:80"].resource == common
    assert loaded.select("bank").keys() == loaded.select("shop").keys() == {entry.name for entry in entries}


def test_unknown_fields_and_kinds_are_ignored():
    def edit(file):
        file["later"] = 1
        file["resources"][0]["later"] = {"a": 1}
        file["resources"][0]["resource"]["later"] = [1]
        file["resources"].append({"name": "address/10.0.0.1:80", "version": "1", "resource": {"x": 1}})

    loaded = load(edited(port_entries(), edit))
    assert len(loaded.entries) == 3
    assert loaded.skipped == ["address/10.0.0.1:80"]


@pytest.mark.parametrize(
    ("edit", "message"),
    [
        (lambda f: f.update(schema=2), "schema: schema 2 is unknown; allowed: 1"),
        (lambda f: f.update(schema=2, resources="something else"), "schema: schema 2 is unknown; allowed: 1"),
        (lambda f: f.update(schema="1"), "not a snapshot file: Expected `int`, got `str` - at `$.schema`"),
        (lambda f: f.pop("schema"), "missing required field `schema`"),
        (lambda f: f.update(resources={}), "Expected `array`, got `object`"),
        (lambda f: f["resources"][0].pop("version"), "missing required field `version`"),
        (lambda f: f["resources"][0].update(version=""), "backend/shop/a:80: version: must have"),
        (lambda f: f["resources"][0].update(version="x" * 200), "backend/shop/a:80: version: must have"),
        (lambda f: f["resources"][0].update(name="backend/shop/A:80"), "malformed name 'backend/shop/A:80'"),
        (lambda f: f["resources"][0].update(consumer="bank"), "backend/shop/a:80: consumer: is a namespace, of routes"),
        (lambda f: f["resources"][2].update(consumer="Bank"), "routes/shop/a:80: consumer: is a namespace, of routes"),
        (lambda f: f["resources"][2].update(consumer="bank"), "no variant for the other namespaces"),
        (lambda f: f["resources"].append(f["resources"][0]), "backend/shop/a:80: stands twice"),
        (lambda f: f["resources"].pop(0), "routes/shop/a:80: rules[0].backends[0]: backend/shop/a:80 is missing"),
        (lambda f: f["resources"].pop(1), "backend/shop/a:80: endpoints/shop/a:80 is missing"),
        (lambda f: f["resources"][0]["resource"].update(protocol=1), "backend/shop/a:80: protocol: Expected `str`"),
        (
            lambda f: f["resources"][2]["resource"]["rules"][0].update(filters=[{"type": "Teapot"}]),
            "routes/shop/a:80: rules[0].filters[0].type: Invalid value 'Teapot'",
        ),
        (lambda f: f["resources"][0].update(resource=None), "Expected `object`, got `null`"),
    ],
)
def test_a_poisoned_snapshot_is_refused_whole_and_says_where(edit, message):
    assert message in "\n".join(refusal(edited(port_entries(), edit)))


@pytest.mark.parametrize(
    "data", [b"", b"{", DEEP, b"[]", b"null", b"\xff", b'{"schema":1,"resources":[{"name":"\xff"}]}']
)
def test_what_is_no_snapshot_is_refused(data):
    assert "not a snapshot file" in refusal(data)[0]


@given(st.binary(max_size=60))
def test_arbitrary_bytes_are_refused_with_a_problem(data):
    assert refusal(data)


@given(st.data())
def test_a_damaged_snapshot_is_loaded_or_refused_and_nothing_else(data):
    whole = dump(port_entries(endpoints=[wire.Endpoint(address="127.0.0.2", port=80)]))
    at = data.draw(st.integers(0, len(whole) - 1))
    damaged = whole[:at] + data.draw(st.binary(max_size=3)) + whole[at + data.draw(st.integers(0, 5)) :]
    with contextlib.suppress(SnapshotError):
        load(damaged)


def test_size_and_count_are_bounded(monkeypatch):
    data = dump(port_entries())
    monkeypatch.setattr(snapshot, "MAX_BYTES", len(data) - 1)
    assert "bytes; allowed: at most" in refusal(data)[0]
    monkeypatch.undo()
    monkeypatch.setattr(snapshot, "MAX_RESOURCES", 2)
    assert refusal(data) == ["resources: 3 resources; allowed: at most 2"]


def test_the_problems_told_are_bounded():
    entries = [entry_of(f"backend/shop/a{i}:80", wire.Backend(protocol="x")) for i in range(150)]
    with pytest.raises(SnapshotError, match="and 50 more") as caught:
        load(dump(entries))
    assert len(caught.value.problems) == snapshot.MAX_PROBLEMS


def test_a_problem_is_one_printable_line():
    (problem,) = refusal(edited(port_entries(), lambda file: file["resources"][0].update(name="backend/a\n\x1b[31m")))
    assert problem.isprintable()
    assert problem.startswith("backend/a??[31m: malformed name")
