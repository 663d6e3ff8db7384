from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest

from control.compile.compiler import Compiler
from control.model.kinds import ENDPOINT_SLICE, KINDS
from control.model.objects import Key
from control.store.store import Store
from tests.bench import catalog
from tests.bench.followers import Setup, followed
from tests.control.build import index_of

WATCHED = [1, 10, 100]


def setup(**fields: int) -> Setup:
    given = {"streams": 100, "services": 50, "endpoints": 3, "follow": 20, **fields}
    return Setup(api=0, push=0, token="", watched=WATCHED, **given)


def test_every_service_has_all_that_its_followers_ask_for() -> None:
    compiler = Compiler(index := index_of(*catalog.documents(4, 3)))
    compiler.refresh(index.names())
    for n in range(4):
        for name in catalog.names_of(n):
            assert compiler.find(name, catalog.NAMESPACE) is not None, name
    assert len(compiler.entries["endpoints/shop/s0:80"].resource.endpoints) == 3


def test_turns_differ_in_one_address() -> None:
    first, second = (
        {item["addresses"][0] for item in catalog.slice_of(7, 5, turn)["endpoints"]} for turn in (1, 70_000)
    )
    assert first - second == {catalog.place_of(1)}
    assert second - first == {catalog.place_of(70_000)}


def test_no_two_turns_have_the_same_address() -> None:
    assert len({catalog.place_of(turn) for turn in range(200_000)}) == 200_000


def test_the_other_backend_of_a_route_exists() -> None:
    backends = {item["name"] for n in range(4) for item in catalog.route_of(n, 30)["spec"]["rules"][0]["backendRefs"]}
    assert backends == {"s0", "s1", "s2", "s3"}


async def test_what_was_seeded_is_there_for_the_next_process(tmp_path: Path) -> None:
    assert await catalog.stored(tmp_path, catalog.documents(5, 7)) == 50
    store = await Store.open(tmp_path)
    try:
        assert len(store) == 50
        assert sum(len(store.list(kind)) for kind in KINDS) == 50
        assert store.get(ENDPOINT_SLICE, Key("shop", "s4-1")) is not None
    finally:
        await store.close()


@pytest.mark.parametrize(
    ("document", "path"),
    [
        (catalog.slice_of(3, 1), "/apis/discovery.k8s.io/v1/namespaces/shop/endpointslices/s3-1"),
        (catalog.route_of(3, 1), "/apis/gateway.networking.k8s.io/v1/namespaces/shop/httproutes/s3"),
        (next(catalog.documents(1, 1)), "/api/v1/namespaces/shop/services/s0"),
    ],
)
def test_an_object_s_path_is_that_of_the_api(document: catalog.Object, path: str) -> None:
    assert catalog.path_of(document) == path


def test_the_watched_services_have_as_many_followers_as_was_asked_for() -> None:
    counts = Counter(service for n in range(100) for service in followed(n, WATCHED, 50, 20))
    for k, count in enumerate(WATCHED):
        assert counts[k] == count


def test_every_stream_follows_as_many_services_as_was_asked_for() -> None:
    for n in range(100):
        chosen = followed(n, WATCHED, 50, 20)
        assert len(set(chosen)) == len(chosen) == 20
