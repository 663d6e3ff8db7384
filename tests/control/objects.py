"""Objects of all five kinds, few names and many references between them, so that most of them meet."""

from __future__ import annotations

from hypothesis import strategies as st

from tests.control.build import endpoint, endpoint_slice, grant, http_route, parent, path, pod, rule, service

NAMESPACES = ("shop", "bank", "park")
"""Services live in the first two; in the third there are only callers, with routes of their own."""

names = st.sampled_from(["a", "b"])
homes = st.sampled_from(NAMESPACES[:2])
namespaces = st.sampled_from(NAMESPACES)


@st.composite
def services(draw):
    if draw(st.integers(0, 7)) == 0:
        return service(draw(names), type="ExternalName", externalName="example.com", namespace=draw(homes))
    ports = draw(st.lists(st.sampled_from([80, 81, 6379]), min_size=1, max_size=2, unique=True))
    given = [
        {"port": port, "name": f"p{port}", "protocol": draw(st.sampled_from(["TCP", "TCP", "UDP"]))} for port in ports
    ]
    families = draw(st.sampled_from([{}, {"ipFamilies": ["IPv4", "IPv6"]}, {"ipFamilies": ["IPv6"]}]))
    return service(draw(names), *given, namespace=draw(homes), **families)


@st.composite
def slices(draw):
    family = draw(st.sampled_from(["IPv4", "IPv4", "IPv6"]))
    prefix = "10.0.0." if family == "IPv4" else "fd00::"
    endpoints = [
        endpoint(
            f"{prefix}{draw(st.integers(1, 3))}",
            draw(st.sampled_from(["", "x", "x", "y"])),
            conditions={"ready": ready, "serving": draw(st.booleans()), "terminating": draw(st.booleans())},
        )
        for ready in draw(st.lists(st.booleans(), min_size=1, max_size=3))
    ]
    ports = [{"name": name, "port": 8080} for name in draw(st.sets(st.sampled_from(["p80", "p81"]), min_size=1))]
    # A slice's family never changes: the field is immutable.
    name = draw(st.sampled_from(["s1", "s2"])) if family == "IPv4" else "s6"
    return endpoint_slice(draw(names), *endpoints, ports=ports, name=name, namespace=draw(homes), addressType=family)


@st.composite
def pods(draw):
    account = draw(st.sampled_from(["", "buyer"]))
    return pod(draw(st.sampled_from(["x", "x", "y"])), account, meshed=draw(st.booleans()), namespace=draw(homes))


@st.composite
def routes(draw):
    def ref():
        return {
            "name": draw(names), "namespace": draw(homes), "port": draw(st.sampled_from([80, 81])),
            "weight": draw(st.integers(0, 2)),
        }  # fmt: skip

    def one():
        kind, value = draw(
            st.sampled_from([
                ("PathPrefix", "/"), ("PathPrefix", "/x"), ("Exact", "/x"), ("Exact", "/x/y"),
                ("RegularExpression", "/z"), ("RegularExpression", "("),
            ])
        )  # fmt: skip
        refused = [{"type": "RequestMirror", "requestMirror": {"backendRef": {"name": "a", "port": 80}}}]
        filters = {"filters": refused} if draw(st.integers(0, 4)) == 0 else {}
        return rule(*[ref() for _ in range(draw(st.integers(0, 2)))], matches=[path(value, kind)], **filters)

    parents = [
        parent(name, namespace=draw(homes), **draw(st.sampled_from([{}, {"port": 80}, {"sectionName": "p81"}])))
        for name in draw(st.lists(names, min_size=1, max_size=2, unique=True))
    ]
    rules = [one() for _ in range(draw(st.integers(1, 2)))]
    return http_route(draw(names), *rules, parents=parents, namespace=draw(namespaces))


grants = st.builds(grant, names, namespaces, st.sampled_from(["", "a"]), homes)
documents = st.one_of(services(), services(), slices(), slices(), pods(), routes(), routes(), grants)

BASE = [
    *(service(name, {"port": 80, "name": "p80"}, namespace=home) for name in ("a", "b") for home in NAMESPACES[:2]),
    *(pod(name, "buyer", namespace=home) for name in ("x", "y") for home in NAMESPACES[:2]),
    endpoint_slice("a", endpoint("10.0.0.1", "x"), ports=[{"name": "p80", "port": 8080}], name="s1"),
    endpoint_slice("a", endpoint("fd00::1", "x"), ports=[{"name": "p80", "port": 8080}], name="s6", addressType="IPv6"),
    http_route("a", rule("b", matches=[path("/x")]), parents=["a"]),
    http_route("b", rule("b"), parents=[parent("a", namespace="shop")], namespace="park"),
    http_route("b", rule({"name": "b", "namespace": "shop", "port": 80}), parents=["b"], namespace="bank"),
    grant("a", "bank", "", "shop"),
]
"""Something for the first change to meet."""
