"""A push that cannot be right is refused whole: what was in effect stays, and the operator is told why."""

from __future__ import annotations

from pathlib import Path

import pytest

from meshproxy.wire import resources as wire
from meshproxy.wire.snapshot import Entry, entry_of
from tests.fakes.hub import pushing_in_thread
from tests.fakes.load import calling, server
from tests.fakes.mesh import running, states
from tests.fakes.origin import ok
from tests.fakes.snapshots import endpoint, service

ROUTES = "routes/default/echo:80"


def routes(path: str = "/.*", weight: int = 1) -> Entry:
    match = wire.RouteMatch(rule=0, path=wire.PathMatch(type="RegularExpression", value=path))
    rule = wire.Rule(name="bad", backends=[wire.RouteBackend(backend="default/echo:80", weight=weight)])
    return entry_of(ROUTES, wire.Routes(matches=[match], rules=[rule]))


@pytest.mark.parametrize(
    ("bad", "reason"),
    [
        (routes(path="([a-z"), "missing ]: [a-z"),
        (routes(weight=-1), "weight"),
    ],
)
def test_bad_routes_are_refused_and_the_former_ones_go_on(bad: Entry, reason: str, tmp_path: Path) -> None:
    with (
        server(ok(b"one")) as one,
        server(ok(b"two")) as two,
        pushing_in_thread(tmp_path / "api", service("echo", [one])) as hub,
        running(tmp_path) as mesh,
    ):
        client = mesh.sidecar(hub.url, namespace="default")
        with calling(client.addresses["outbound"]) as load:
            mesh.until(lambda: load.total > 20)
            # In one push with something good, which is not taken without the rest, but comes by itself after it.
            hub.use(bad, service("echo", [two])[2])
            mesh.until(lambda: hub.proxies()["client-1"].last_nack)
            assert client.metric('meshproxy_pushes_total{outcome="refused"}') >= 1
            mesh.until(lambda: load.outcomes[200, b"two"] > 20)
            shown = hub.meshctl("proxies")
            assert "refused" in shown
            assert "default/client-1 refused, and keeps what it had:" in shown
            assert ROUTES in shown
            assert reason in shown
            assert reason in hub.meshctl("proxies", "default/client-1")
            assert client.has_logged("is refused, what is in effect stays")
            before = load.total
            mesh.until(lambda: load.total > before + 20)
            # The same again is not sent again; something good ends it.
            assert hub.metric("meshcontrol_nacks_total") <= 2
            hub.use(routes())
            mesh.until(lambda: hub.proxies()["client-1"].synced)
            assert hub.proxies()["client-1"].last_nack == []
            assert "refused" not in hub.meshctl("proxies")
        assert set(load.outcomes) <= {(200, b"one"), (200, b"two")}


def test_a_patch_of_what_is_not_held_is_refused_and_the_whole_sent(tmp_path: Path) -> None:
    with server(ok(b"one")) as one, server(ok(b"two")) as two, server(ok(b"three")) as three:
        places = [endpoint(place) for place in (one, two, three)]

        def endpoints(version: str, *numbers: int) -> Entry:
            items = sorted((places[n] for n in numbers), key=lambda item: item.port)
            resource = wire.Endpoints(endpoints=items)
            return Entry(name="endpoints/default/echo:80", version=version, resource=resource)

        first = [*service("echo", [])[:2], endpoints("1", 0, 1), service("echo", [])[3]]
        with pushing_in_thread(tmp_path / "api", first) as hub, running(tmp_path) as mesh:
            client = mesh.sidecar(hub.url, namespace="default")
            with calling(client.addresses["outbound"]) as load:
                mesh.until(lambda: load.outcomes[200, b"two"] > 20)
                # What the control plane takes for version 1 is not what the sidecar has.
                hub.do(lambda: _misremember(hub.plane.hub, endpoints("1", 0, 1, 2)))
                hub.use(endpoints("2", 0, 1))
                mesh.until(lambda: hub.metric("meshcontrol_nacks_total") == 1)
                mesh.until(lambda: hub.proxies()["client-1"].synced)
                assert client.has_logged("patch.remove[0]")
                hub.use(endpoints("3", 0, 1, 2))
                mesh.until(lambda: load.outcomes[200, b"three"] > 20)
                assert hub.metric("meshcontrol_nacks_total") == 1
                assert len(states(client)) == 3
            assert {outcome[0] for outcome in load.outcomes} == {200}


def _misremember(hub, entry: Entry) -> None:
    (item,) = hub._topics._topics[entry.name]._items.values()
    item.entry = entry
