import math

import pytest

from meshproxy.wire import resources as wire
from meshproxy.wire.check import check_links, check_resource

KEY = "shop/a:80"
ID = "spiffe://td/ns/shop/sa/a"


def paths(name, resource):
    return [problem.path for problem in check_resource(name, resource)]


def endpoints(*items):
    return wire.Endpoints(endpoints=[wire.Endpoint(**{"address": "10.0.0.1", "port": 80, **item}) for item in items])


def one_rule(match=None, **fields):
    fields = {"name": "r", "backends": [wire.RouteBackend(backend=KEY)], **fields}
    return wire.Routes(matches=[wire.RouteMatch(rule=0, **(match or {}))], rules=[wire.Rule(**fields)])


@pytest.mark.parametrize(
    ("resource", "path"),
    [
        (endpoints({"address": "x"}), "endpoints[0].address"),
        (endpoints({"address": "0.0.0.0"}), "endpoints[0].address"),
        (endpoints({"port": 0}), "endpoints[0].port"),
        (endpoints({"port": 65536}), "endpoints[0].port"),
        (endpoints({"protocol": "smtp"}), "endpoints[0].protocol"),
        (endpoints({"weight": -1}), "endpoints[0].weight"),
        (endpoints({"weight": 10**9}), "endpoints[0].weight"),
        (endpoints({"meshed": True}), "endpoints[0].identity"),
        (endpoints({"identity": ID}), "endpoints[0].identity"),
        (endpoints({"identity": "me", "meshed": True}), "endpoints[0].identity"),
        (endpoints({}, {}), "endpoints"),
        (endpoints({"address": "10.0.0.10"}, {"address": "10.0.0.9"}), "endpoints"),
    ],
)
def test_endpoints_are_dialable_sorted_and_each_once(resource, path):
    assert paths(f"endpoints/{KEY}", resource) == [path]


def test_good_resources_have_no_problem():
    assert not paths(f"endpoints/{KEY}", endpoints({}, {"port": 81}, {"address": "10.0.0.2", "weight": 0}))
    assert not paths(f"endpoints/{KEY}", endpoints({"identity": ID, "meshed": True}))
    assert not paths(f"backend/{KEY}", wire.Backend())
    assert not paths(f"routes/{KEY}", one_rule())
    assert not paths(f"routes/{KEY}", wire.Routes())
    assert not paths("service/shop/a", wire.Service())
    assert not paths("workload/shop/a", wire.Workload())


@pytest.mark.parametrize(
    ("backend", "path"),
    [
        (wire.Backend(protocol="x"), "protocol"),
        (wire.Backend(connect_timeout_s=0.0), "connect_timeout_s"),
        (wire.Backend(connect_timeout_s=math.inf), "connect_timeout_s"),
        (wire.Backend(connect_timeout_s=math.nan), "connect_timeout_s"),
        (wire.Backend(connect_timeout_s=-1.0), "connect_timeout_s"),
        (wire.Backend(connect_timeout_s=1e12), "connect_timeout_s"),
        (wire.Backend(balance=wire.Balance(decay_s=0.0)), "balance.decay_s"),
        (wire.Backend(breaker=wire.Breaker(max_requests=0)), "breaker.max_requests"),
        (wire.Backend(outlier=wire.Outlier(max_ejected_percent=101)), "outlier.max_ejected_percent"),
        (wire.Backend(outlier=wire.Outlier(base_s=9.0, max_s=1.0)), "outlier.max_s"),
        (wire.Backend(retry_budget=wire.RetryBudget(percent=-1.0)), "retry_budget.percent"),
        (wire.Backend(pool=wire.Pool(idle_s=-1.0)), "pool.idle_s"),
    ],
)
def test_numbers_of_a_backend_are_finite_and_in_range(backend, path):
    assert paths(f"backend/{KEY}", backend) == [path]


REWRITE = wire.URLRewrite(path=wire.ReplacePrefixMatch(value="/x"))


@pytest.mark.parametrize(
    ("routes", "path"),
    [
        (wire.Routes(matches=[wire.RouteMatch(rule=0)]), "matches[0].rule"),
        (wire.Routes(matches=[wire.RouteMatch(rule=-1)]), "matches[0].rule"),
        (one_rule({"path": wire.PathMatch(value="x")}), "matches[0].path.value"),
        (one_rule({"path": wire.PathMatch(value="")}), "matches[0].path.value"),
        (one_rule({"path": wire.PathMatch(value="/" + "x" * 5000)}), "matches[0].path.value"),
        (one_rule({"method": "GE T"}), "matches[0].method"),
        (one_rule({"headers": [wire.StringMatch(name="X-A", value="1")]}), "matches[0].headers[0].name"),
        (one_rule({"headers": [wire.StringMatch(name="x:", value="1")]}), "matches[0].headers[0].name"),
        (one_rule({"query_params": [wire.StringMatch(name="", value="1")]}), "matches[0].query_params[0].name"),
        (one_rule(name=""), "rules[0].name"),
        (one_rule(name="a\nb"), "rules[0].name"),
        (one_rule(backends=[]), "rules[0].backends"),
        (one_rule(backends=[wire.RouteBackend()]), "rules[0].backends[0].backend"),
        (one_rule(backends=[wire.RouteBackend(backend="a:80")]), "rules[0].backends[0].backend"),
        (one_rule(backends=[wire.RouteBackend(backend="?", fault="backend_missing")]), "rules[0].backends[0].backend"),
        (one_rule(backends=[wire.RouteBackend(backend=KEY, weight=-1)]), "rules[0].backends[0].weight"),
        (one_rule(timeouts=wire.Timeouts(request_s=math.nan)), "rules[0].timeouts.request_s"),
        (one_rule(timeouts=wire.Timeouts(backend_request_s=-1.0)), "rules[0].timeouts.backend_request_s"),
        (one_rule(retry=wire.Retry(attempts=101)), "rules[0].retry.attempts"),
        (one_rule(retry=wire.Retry(codes=[200])), "rules[0].retry.codes[0]"),
        (one_rule(retry=wire.Retry(backoff_s=math.inf)), "rules[0].retry.backoff_s"),
        (one_rule(filters=[wire.URLRewrite(), wire.URLRewrite()]), "rules[0].filters"),
        (one_rule(filters=[wire.URLRewrite(), wire.RequestRedirect()]), "rules[0].filters"),
        (one_rule(filters=[wire.RequestRedirect(scheme="ftp")]), "rules[0].filters[0].scheme"),
        (one_rule(filters=[wire.RequestRedirect(port=-1)]), "rules[0].filters[0].port"),
        (one_rule(filters=[wire.RequestRedirect(status_code=200)]), "rules[0].filters[0].status_code"),
        (one_rule(filters=[wire.RequestHeaderModifier(add=[("a b", "")])]), "rules[0].filters[0]"),
        (one_rule(filters=[wire.RequestHeaderModifier(set=[("a", "x\r\ny: z")])]), "rules[0].filters[0]"),
        (one_rule(filters=[wire.ResponseHeaderModifier(remove=[""])]), "rules[0].filters[0].remove"),
        (one_rule({"path": wire.PathMatch(type="Exact", value="/a")}, filters=[REWRITE]), "rules[0].filters[0].path"),
    ],
)
def test_rules_and_matches_are_consistent(routes, path):
    assert paths(f"routes/{KEY}", routes) == [path]


def test_two_rules_of_one_name_are_a_problem():
    rule = one_rule().rules[0]
    assert paths(f"routes/{KEY}", wire.Routes(rules=[rule, rule])) == ["rules[1].name"]


@pytest.mark.parametrize(
    ("name", "resource", "path"),
    [
        ("service/shop/a", wire.Service(ports=[wire.ServicePort(port=0)]), "ports[0].port"),
        ("service/shop/a", wire.Service(ports=[wire.ServicePort(port=2), wire.ServicePort(port=1)]), "ports"),
        ("service/shop/a", wire.Service(ports=[wire.ServicePort(port=1, name="A")]), "ports[0].name"),
        ("service/shop/a", wire.Service(ports=[wire.ServicePort(port=n, name="a") for n in (1, 2)]), "ports"),
        ("workload/shop/a", wire.Workload(service_account="A"), "service_account"),
        ("workload/shop/a", wire.Workload(ports=[wire.WorkloadPort(port=0)]), "ports[0].port"),
        ("workload/shop/a", wire.Workload(ports=[wire.WorkloadPort(port=1, services=["x"])]), "ports[0].services[0]"),
        ("workload/shop/a", wire.Workload(ports=[wire.WorkloadPort(port=1, services=[KEY] * 2)]), "ports[0].services"),
        ("service/shop/a", wire.Backend(), ""),
        ("nothing/shop/a", wire.Backend(), ""),
    ],
)
def test_services_and_workloads_are_consistent(name, resource, path):
    assert paths(name, resource) == [path]


def test_a_service_needs_all_resources_of_its_ports():
    service = wire.Service(ports=[wire.ServicePort(port=80)])
    present = {f"routes/{KEY}", f"backend/{KEY}", f"endpoints/{KEY}"}
    assert not check_links("service/shop/a", service, present)
    for missing in present:
        assert [p.message for p in check_links("service/shop/a", service, present - {missing})] == [
            f"{missing} is missing"
        ]


def test_a_backend_with_a_fault_need_not_exist():
    assert not check_links("x", one_rule(backends=[wire.RouteBackend(backend=KEY, fault="backend_missing")]), set())
    assert len(check_links("x", one_rule(), set())) == 2
