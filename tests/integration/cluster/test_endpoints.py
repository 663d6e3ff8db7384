"""What Services, EndpointSlices, Pods and Nodes of a cluster mean for who is called."""

from __future__ import annotations

import json
import threading
from pathlib import Path

from tests.control import build
from tests.fakes.cluster import calling, cluster, outbound, slice_of
from tests.fakes.kubernetes.manifests import node
from tests.fakes.kubernetes.rollout import Pod
from tests.fakes.load import Server
from tests.fakes.mesh import get, states
from tests.fakes.origin import ok


class Held(Server):
    """Answers a request only when it is told to."""

    def __init__(self) -> None:
        self.has_come = threading.Event()
        self.may_go = threading.Event()
        super().__init__(ok(b"held"))

    def answer(self, head: bytes) -> bytes:
        self.has_come.set()
        self.may_go.wait(20)
        return super().answer(head)


def test_a_terminating_endpoint_gets_nothing_new_and_finishes_what_it_has(tmp_path: Path) -> None:
    with cluster(tmp_path) as shop:
        held = Held()
        shop.mesh.server(held)
        other = shop.mesh.server(Server(ok(b"other")))
        shop.api.put(build.service("echo"), slice_of("echo", held, "echo-1"))
        shop.control()
        client = shop.sidecar()
        outcomes: list[tuple[int, bytes]] = []
        request = threading.Thread(target=lambda: outcomes.append(get(outbound(client), "echo", "/long")))
        request.start()
        assert held.has_come.wait(20)
        leaving = {"ready": False, "serving": True, "terminating": True}
        shop.api.put(slice_of("echo", other, "echo-2"), slice_of("echo", held, "echo-1", conditions=leaving))
        shop.until(lambda: states(client)[f"{held.host}:{held.port}"] == "terminating")
        with calling(client) as load:
            shop.until(lambda: load.total > 50)
        assert set(load.outcomes) == {(200, b"other")}
        # Even when its Pod is gone from the cluster.
        shop.api.delete(slice_of("echo", held, "echo-1"))
        shop.until(lambda: list(states(client)) == [f"{other.host}:{other.port}"])
        assert not outcomes
        held.may_go.set()
        request.join()
        assert outcomes == [(200, b"held")]


def test_what_serves_without_being_ready_is_used_when_nothing_else_is(tmp_path: Path) -> None:
    with cluster(tmp_path) as shop:
        last, unready = (shop.mesh.server(Server(ok(name))) for name in (b"last", b"unready"))
        leaving = {"ready": False, "serving": True, "terminating": True}
        starting = {"ready": False, "serving": False, "terminating": False}
        shop.api.put(
            build.service("echo"),
            slice_of("echo", last, "echo-1", conditions=leaving),
            slice_of("echo", unready, "echo-2", conditions=starting),
        )
        shop.control()
        client = shop.sidecar()
        with calling(client) as load:
            shop.until(lambda: load.total > 50)
            assert load.bodies() == {"last"}
            shop.api.put(slice_of("echo", unready, "echo-2"))
            shop.until(lambda: "unready" in load.bodies())
            before = load.so_far()
            shop.until(lambda: load.total > before.total() + 50)
            assert (load.so_far() - before)[200, b"last"] <= 4


def test_every_pod_is_called_at_its_own_port_of_the_name(tmp_path: Path) -> None:
    with cluster(tmp_path) as shop:
        servers: dict[str, Server] = {}

        def start(pod: Pod) -> tuple[str, int]:
            servers[pod.name] = shop.mesh.server(Server(ok(pod.name.encode())))
            return servers[pod.name].host, servers[pod.name].port

        echo = shop.deployment("echo", 3, start=start, stop=lambda _: None)
        assert len({pod.port for pod in echo.pods}) == 3
        shop.control()
        client = shop.sidecar()
        with calling(client) as load:
            shop.until(lambda: load.bodies() == set(servers))
            echo.rolling_restart()
            names = {pod.name for pod in echo.pods}
            shop.until(lambda: names <= load.bodies())


def test_addresses_that_are_published_whether_ready_or_not_are_used(tmp_path: Path) -> None:
    with cluster(tmp_path) as shop:
        spec = {"publishNotReadyAddresses": True, "clusterIP": "None", "clusterIPs": ["None"]}
        published = shop.deployment("echo", 1, service=spec)
        other = shop.deployment("other", 1)
        published.unready(published.pods[0])
        other.unready(other.pods[0])
        shop.control()
        client = shop.sidecar()
        with calling(client) as load:
            shop.until(lambda: load.bodies() == {published.pods[0].name})
        assert get(outbound(client), "other")[0] == 503


def test_an_address_in_several_slices_is_one_endpoint_in_its_best_state(tmp_path: Path) -> None:
    with cluster(tmp_path) as shop:
        both, other = (shop.mesh.server(Server(ok(name))) for name in (b"both", b"other"))
        place = f"{both.host}:{both.port}"
        unready = {"ready": False, "serving": False, "terminating": False}
        first, second = slice_of("echo", both, "echo-1"), slice_of("echo", both, "echo-2", conditions=unready)
        shop.api.put(build.service("echo"), first, second, slice_of("echo", other, "echo-3"))
        shop.control()
        client = shop.sidecar()
        with calling(client) as load:
            shop.until(lambda: load.total > 200)
            assert states(client) == {place: "ready", f"{other.host}:{other.port}": "ready"}
            counts = load.so_far()
            assert min(counts[200, b"both"], counts[200, b"other"]) > 0.2 * counts.total()
            # As it moves from one slice to another: it is not lost between.
            shop.api.put(slice_of("echo", both, "echo-2"))
            shop.api.delete(first)
            shop.api.put(slice_of("echo", both, "echo-2", conditions=unready))
            shop.until(lambda: states(client)[place] == "unready")


def test_zones_hints_and_nodes_reach_the_sidecar(tmp_path: Path) -> None:
    with cluster(tmp_path) as shop:
        hinted, placed, moved = (shop.mesh.server(Server(ok(name))) for name in (b"hinted", b"placed", b"moved"))
        hints = {"forZones": [{"name": "zone-a"}, {"name": "zone-b"}]}
        shop.api.put(
            build.service("echo"),
            slice_of("echo", hinted, "echo-1", zone="zone-b", hints=hints, nodeName="node-zone-b"),
            slice_of("echo", placed, "echo-2", nodeName="node-zone-a"),
            slice_of("echo", moved, "echo-3", nodeName="node-later"),
        )
        plane = shop.control()
        client = shop.sidecar()

        def shown() -> dict[str, tuple[str, list[str]]]:
            text = plane.meshctl("proxies", "shop/client-1", "config", "-o", "json")
            (found,) = (row for row in json.loads(text)["resources"] if row["name"] == "endpoints/shop/echo:80")
            rows = found["resource"]["endpoints"]
            return {f"{row['address']}:{row['port']}": (row.get("zone", ""), row.get("hints", [])) for row in rows}

        places = {server: f"{server.host}:{server.port}" for server in (hinted, placed, moved)}
        shop.until(lambda: set(states(client)) == set(places.values()))
        assert shown() == {
            places[hinted]: ("zone-b", ["zone-a", "zone-b"]), places[placed]: ("zone-a", []), places[moved]: ("", []),
        }  # fmt: skip
        # A node that is known later, of which nothing but metadata was asked for.
        before = shop.settled(client)
        shop.api.put(node("node-later", "zone-b"))
        shop.until(lambda: shop.settled(client) != before)
        assert shown()[places[moved]] == ("zone-b", [])
        (accept,) = {asked.headers["accept"] for asked in shop.api.asked if asked.resource == "nodes"}
        assert "as=PartialObjectMetadata" in accept
        table = plane.meshctl("proxies", "shop/client-1", "endpoints")
        assert all(place in table for place in places.values())


def test_a_pod_of_both_families_is_one_endpoint_of_the_services_first(tmp_path: Path) -> None:
    with cluster(tmp_path) as shop:
        four = shop.mesh.server(Server(ok(b"four")))
        six = shop.mesh.application("six", host="::1")
        orders = {"echo": ["IPv4", "IPv6"], "echo-six": ["IPv6", "IPv4"], "only-six": ["IPv6"]}
        for name, families in orders.items():
            (pod,) = shop.api.put(build.pod(f"{name}-1", meshed=False))
            target = {"kind": "Pod", "namespace": "shop", "name": f"{name}-1", "uid": pod["metadata"]["uid"]}
            policy = "RequireDualStack" if len(families) == 2 else "SingleStack"
            shop.api.put(build.service(name, ipFamilies=families, ipFamilyPolicy=policy))
            # Nobody listens at the address of the other family.
            port = {"IPv4": four.port, "IPv6": six.port}[families[0]]
            for family in families:
                item = {"addresses": [{"IPv4": four.host, "IPv6": "::1"}[family]], "targetRef": target}
                fields = {"name": f"{name}-{family.lower()}", "addressType": family}
                shop.api.put(build.endpoint_slice(name, item, ports=[{"port": port}], **fields))
        shop.control()
        client = shop.sidecar()
        for name, body in (("echo", b"four"), ("echo-six", b"six"), ("only-six", b"six")):
            assert {get(outbound(client), name) for _ in range(10)} == {(200, body)}
        assert set(states(client)) == {f"{four.host}:{four.port}", f"[::1]:{six.port}"}


def test_an_external_name_is_no_backend(tmp_path: Path) -> None:
    with cluster(tmp_path) as shop:
        outside = build.service("outside", type="ExternalName", externalName="example.com")
        shop.serve("echo")
        shop.api.put(outside, build.http_route("echo", build.rule("outside")))
        plane = shop.control()
        client = shop.sidecar()
        shop.until(lambda: get(outbound(client), "echo")[0] == 500)
        assert get(outbound(client), "outside")[0] == 404
        told = plane.meshctl("explain", "http://echo/", "--from", "shop/client", status=1)
        assert "Service shop/outside is of type ExternalName, which is no backend" in told
        assert "ExternalName" in shop.checks("warn")["Configuration: HTTPRoute shop/echo"]
        # It becomes an ordinary one.
        shop.serve("outside")
        shop.until(lambda: get(outbound(client), "echo") == (200, b"outside"))


def test_consumer_routes_and_grants_of_a_cluster_hold(tmp_path: Path) -> None:
    with cluster(tmp_path) as shop:
        shop.serve("echo")
        shop.serve("other")
        near = shop.mesh.server(Server(ok(b"near")))
        far = slice_of("near", near)
        far["metadata"]["namespace"] = "park"
        shop.api.put(build.service("near", namespace="park"), far)
        shop.control()
        clients = {name: shop.sidecar(name=name, namespace=name) for name in ("shop", "park")}

        def answers() -> dict[str, tuple[int, bytes]]:
            found = {name: get(outbound(client), "echo.shop") for name, client in clients.items()}
            return {name: (status, body if status == 200 else b"") for name, (status, body) in found.items()}

        shop.until(lambda: answers() == {"shop": (200, b"echo"), "park": (200, b"echo")})
        mine = build.http_route(
            "mine", build.rule("near"), parents=[build.parent("echo", namespace="shop")], namespace="park"
        )
        shop.api.put(mine)
        shop.until(lambda: answers() == {"shop": (200, b"echo"), "park": (200, b"near")})
        # The producer may send to another namespace only if that one says so.
        shop.api.put(build.http_route("echo", build.rule({"name": "near", "namespace": "park", "port": 80})))
        shop.until(lambda: answers() == {"shop": (500, b""), "park": (200, b"near")})
        grant = build.grant("to-near", "shop", "near", namespace="park")
        shop.api.put(grant)
        shop.until(lambda: answers() == {"shop": (200, b"near"), "park": (200, b"near")})
        shop.api.delete(grant)
        shop.until(lambda: answers()["shop"] == (500, b""))
        shop.api.put(build.http_route("echo", build.rule("other")))
        shop.until(lambda: answers() == {"shop": (200, b"other"), "park": (200, b"near")})
        shop.api.delete(mine)
        shop.until(lambda: answers() == {"shop": (200, b"other"), "park": (200, b"other")})
