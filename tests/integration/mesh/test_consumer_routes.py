"""A namespace routes its own calls of another one's Service; nobody else's are touched."""

from __future__ import annotations

from pathlib import Path

from tests.control import build
from tests.fakes.load import Server
from tests.fakes.mesh import get, running, slice_of
from tests.fakes.origin import ok


def test_a_consumer_route_holds_for_callers_of_its_namespace_alone(tmp_path: Path) -> None:
    with running(tmp_path) as mesh:
        plane = mesh.control()

        def deploy(name: str, namespace: str) -> None:
            piece = slice_of(name, mesh.server(Server(ok(f"{namespace}/{name}".encode()))))
            piece["metadata"]["namespace"] = namespace
            plane.apply(build.service(name, namespace=namespace), piece)

        for name, namespace in (("echo", "shop"), ("echo", "bank"), ("mine", "park")):
            deploy(name, namespace)
        clients = {name: mesh.sidecar(plane.url, name=name, namespace=name) for name in ("shop", "bank", "park")}

        def answers(host: str) -> dict[str, bytes]:
            found = {name: get(client.addresses["outbound"], host) for name, client in clients.items()}
            assert {status for status, _ in found.values()} == {200}, found
            return {name: body for name, (_, body) in found.items()}

        everybody = dict.fromkeys(clients, b"shop/echo")
        assert answers("echo.shop") == everybody
        to_shop = build.parent("echo", namespace="shop")
        route = build.http_route("mine", build.rule("mine"), parents=[to_shop], namespace="park")
        plane.apply(route)
        mesh.until(lambda: answers("echo.shop") == everybody | {"park": b"park/mine"})
        # The Service of the same name in another namespace is another one.
        assert answers("echo.bank") == dict.fromkeys(clients, b"bank/echo")
        both = build.http_route(
            "mine", build.rule("mine"), parents=[to_shop, build.parent("echo", namespace="bank")], namespace="park"
        )
        plane.apply(both)
        mesh.until(lambda: answers("echo.bank")["park"] == b"park/mine")
        assert answers("echo.bank") == dict.fromkeys(clients, b"bank/echo") | {"park": b"park/mine"}
        # The producer's own route holds for all others.
        deploy("other", "shop")
        plane.apply(build.http_route("echo", build.rule("other")))
        mesh.until(lambda: answers("echo.shop")["shop"] == b"shop/other")
        mesh.until(lambda: answers("echo.shop")["bank"] == b"shop/other")
        assert answers("echo.shop")["park"] == b"park/mine"
        plane.delete(both)
        mesh.until(lambda: answers("echo.shop") == dict.fromkeys(clients, b"shop/other"))
        mesh.until(lambda: answers("echo.bank") == dict.fromkeys(clients, b"bank/echo"))
