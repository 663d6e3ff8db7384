"""Endpoints are replaced one after another while requests go on, and none of them fails."""

from __future__ import annotations

from pathlib import Path

from tests.control import build
from tests.fakes.load import calling
from tests.fakes.mesh import running, slice_of, states

ROUNDS = 4


def test_a_rolling_replacement_of_endpoints_fails_no_request(tmp_path: Path) -> None:
    with running(tmp_path) as mesh:
        plane = mesh.control()
        old = mesh.application("v0")
        plane.apply(build.service("echo"), slice_of("echo", old, "echo-v0"))
        client = mesh.sidecar(plane.url)
        with calling(client.addresses["outbound"]) as load:
            for n in range(1, ROUNDS + 1):
                fresh = mesh.application(f"v{n}")
                plane.apply(slice_of("echo", fresh, f"echo-v{n}"))
                mesh.until(lambda fresh=fresh: load.outcomes[200, fresh.name.encode()] > 10)
                # As a Pod that is being deleted: it serves what it has, and gets nothing new.
                leaving = {"ready": False, "serving": n % 2 == 0, "terminating": True}
                plane.apply(slice_of("echo", old, f"echo-v{n - 1}", **leaving))
                place = f"{old.host}:{old.port}"
                mesh.until(lambda place=place: states(client)[place] != "ready")
                if n % 2:
                    old.stop()
                plane.delete(slice_of("echo", old, f"echo-v{n - 1}"))
                mesh.until(lambda place=place: place not in states(client))
                old.stop()
                old = fresh
        # Callers send POST, which is repeated only where it provably was not processed.
        assert {outcome[0] for outcome in load.outcomes} == {200}, load.outcomes
        assert set(states(client)) == {f"{old.host}:{old.port}"}
