"""The control plane's loads, against a real one."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator

import pytest

from tests.bench import catalog, control, followers, writers
from tests.bench.followers import Followers, Order, Setup
from tests.bench.plane import Plane, figure, settle
from tests.bench.rest import Rest
from tests.fakes.control import Control, control_plane

SERVICES, ENDPOINTS, STREAMS = 8, 3, 6


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Control]:
    directory = tmp_path_factory.mktemp("data")
    catalog.seed(directory, catalog.documents(SERVICES, ENDPOINTS))
    with control_plane(directory) as made:
        yield made


@pytest.fixture
def plane(running: Control) -> Plane:
    ports = {word: port for word, (_, port) in running.addresses.items()}
    return Plane("meshcontrol", ports["api"], [], ports["push"], ports["metrics"], running.directory)


@pytest.fixture
async def streams(plane: Plane) -> AsyncIterator[Followers]:
    setup = Setup(
        api=plane.port,
        push=plane.push,
        token=plane.token,
        streams=STREAMS,
        services=SERVICES,
        endpoints=ENDPOINTS,
        follow=3,
        watched=[2, STREAMS, 0],
    )
    made = Followers(setup, await Rest.open(plane.port, plane.token))
    await made.open()
    yield made
    made.close()


@pytest.mark.parametrize("is_confirmed", [False, True])
@pytest.mark.parametrize("service", [0, 1, 2])
async def test_every_change_is_acknowledged_by_all_who_follow(
    streams: Followers, service: int, is_confirmed: bool
) -> None:
    outcome = await streams.carry_out(Order(service=service, seconds=0, least=3, is_confirmed=is_confirmed))
    assert (outcome.changes, outcome.failed) == (3, 0)
    assert 0 < outcome.p50_s <= outcome.p99_s
    assert outcome.answered_p50_s <= outcome.p50_s


async def test_a_change_that_somebody_does_not_hear_of_has_failed(
    streams: Followers, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(followers, "TIMEOUT_S", 0.2)
    # Taken for one of its followers, and follows it not.
    streams._setup.watched[0] = 3
    outcome = await streams.carry_out(Order(service=0, seconds=0, least=1, is_confirmed=False))
    assert outcome.failed == 1


async def test_every_write_counts_that_was_acknowledged(plane: Plane) -> None:
    before = figure(plane.metrics, "meshcontrol_store_version")
    result = await writers.run(plane.port, plane.token, 2, 0.2)
    assert result["failed"] == 0
    assert result["requests"] >= 2
    assert figure(plane.metrics, "meshcontrol_store_version") >= before + result["requests"]


async def test_a_write_that_is_refused_is_a_failure(plane: Plane) -> None:
    result = await writers.run(plane.port, "no-token-of-this-one", 1, 0.05)
    assert result["failed"] == result["requests"] >= 1
    assert result["rps"] == 0


def test_an_object_that_was_put_is_the_one_there(plane: Plane) -> None:
    settle(plane)
    before = plane.figure("meshcontrol_store_version")
    plane.put(catalog.slice_of(5, ENDPOINTS, 77))
    assert plane.figure("meshcontrol_store_version") == before + 1


async def test_the_first_push_is_waited_for(plane: Plane, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(control, "SERVICES", SERVICES)
    assert await control._pushed(plane, has_objects=True) > 0


async def test_a_first_push_without_the_objects_is_no_start(plane: Plane) -> None:
    with pytest.raises(control.StartError, match="removed"):
        await control._pushed(plane, has_objects=True)


def test_a_metric_that_is_not_there_is_told(plane: Plane) -> None:
    with pytest.raises(LookupError, match="meshcontrol_no_such"):
        plane.figure("meshcontrol_no_such")
