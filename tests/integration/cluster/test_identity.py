"""An address that has become another Pod's: nobody who means the former is ever led to the latter."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from tests.control import build
from tests.fakes.cluster import Cluster, cluster, outbound
from tests.fakes.load import Server
from tests.fakes.mesh import get, own_host, states
from tests.fakes.origin import ok
from tests.fakes.pki import Authority, make_ca, make_identity
from tests.fakes.process import Sidecar


class Told(Server):
    """Remembers that it was asked."""

    asked = 0

    def answer(self, head: bytes) -> bytes:
        self.asked += 1
        return super().answer(head)


def identity(directory: Path, account: str, ca: Authority) -> tuple[str, str]:
    return "--identity-dir", str(make_identity(directory / account, f"spiffe://cluster.local/ns/shop/sa/{account}", ca))


def slice_of(pod: dict[str, Any], place: tuple[str, int]) -> dict[str, Any]:
    """The only slice of the Service: its endpoint is this Pod."""
    metadata = pod["metadata"]
    target = {"kind": "Pod", "namespace": "shop", "name": metadata["name"], "uid": metadata["uid"]}
    item = {"addresses": [place[0]], "conditions": {"ready": True}, "targetRef": target}
    return build.endpoint_slice("echo", item, ports=[{"port": place[1]}])


def identities(client: Sidecar) -> dict[str, str]:
    """Whom the sidecar expects at each address."""
    rows = json.loads(client.admin("/endpoints")[1])["endpoints"]
    return {row["address"]: row["identity"] for row in rows}


def expected(shop: Cluster, client: Sidecar, place: str, account: str) -> None:
    """Wait until the sidecar expects nobody else there."""
    shop.until(lambda: identities(client) == {place: f"spiffe://cluster.local/ns/shop/sa/{account}"})


def test_an_address_that_another_pod_took_over_is_not_called_in_the_name_of_the_former(tmp_path: Path) -> None:
    ca = make_ca()
    with cluster(tmp_path) as shop:
        apps = {name: shop.mesh.server(Told(ok(name.encode()))) for name in ("front", "thief")}
        (front,) = shop.api.put(build.pod("front-1", "front"))
        shop.api.put(build.service("echo"))
        plane = shop.control()

        def behind(account: str, port: int) -> Sidecar:
            app = apps[account]
            flags = ("--inbound", f"{host}:{port}", "--app", f"{app.host}:{app.port}")
            name = f"{account}-1"
            return shop.mesh.sidecar(plane.url, *flags, *identity(tmp_path, account, ca), name=name, account=account)

        host = own_host()
        server = behind("front", 0)
        port = server.addresses["inbound"][1]
        shop.api.put(slice_of(front, (host, port)))
        client = shop.sidecar(*identity(tmp_path, "client", ca))
        address, place = outbound(client), f"{host}:{port}"
        shop.until(lambda: get(address, "echo") == (200, b"front"))
        expected(shop, client, place, "front")

        # The Pod goes, another one gets its address, and the control plane has not heard of either yet.
        for kind in ("pods", "endpointslices"):
            shop.api.silence(kind)
        server.stop()
        behind("thief", port)
        (thief,) = shop.api.put(build.pod("thief-1", "thief"))
        shop.api.delete(front)
        for _ in range(5):
            status, _ = get(address, "echo")
            assert status in {502, 503}
        assert apps["thief"].asked == 0
        assert identities(client)[place].endswith("/sa/front")

        # The Pods are told; the slice is still the old one. What it says is nobody is left out.
        shop.api.cut("pods")
        shop.until(lambda: states(client) == {})
        assert get(address, "echo")[0] == 503
        assert (
            "withheld until the Pod with this uid is known" in shop.checks("warn")["Configuration: Service shop/echo"]
        )
        # The slice says who it is now: it is called in its own name.
        shop.api.put(slice_of(thief, (host, port)))
        shop.api.cut("endpointslices")
        expected(shop, client, place, "thief")
        shop.until(lambda: get(address, "echo") == (200, b"thief"))
        assert not any("withheld" in message for message in shop.checks("warn").values())


def test_a_pod_that_is_made_anew_by_the_same_name_is_another_one_until_it_is_known(tmp_path: Path) -> None:
    with cluster(tmp_path) as shop:
        place = shop.mesh.server(Server(ok(b"echo")))
        shown = f"{place.host}:{place.port}"
        (old,) = shop.api.put(build.pod("db-0", "db"))
        shop.api.put(build.service("echo"), slice_of(old, (place.host, place.port)))
        shop.control()
        client = shop.sidecar()
        expected(shop, client, shown, "db")
        # As of a StatefulSet: the same name, the same address, another uid and ServiceAccount. Slices come first.
        shop.api.silence("pods")
        shop.api.delete(old)
        (new,) = shop.api.put(build.pod("db-0", "db-next"))
        assert new["metadata"]["uid"] != old["metadata"]["uid"]
        shop.api.put(slice_of(new, (place.host, place.port)))
        shop.until(lambda: states(client) == {})
        shop.api.cut("pods")
        expected(shop, client, shown, "db-next")
        # Pods come first: what the slice still says of the old one is nobody's.
        shop.api.silence("endpointslices")
        shop.api.delete(new)
        (last,) = shop.api.put(build.pod("db-0", "db-last"))
        shop.until(lambda: states(client) == {})
        shop.api.put(slice_of(last, (place.host, place.port)))
        shop.api.cut("endpointslices")
        expected(shop, client, shown, "db-last")
