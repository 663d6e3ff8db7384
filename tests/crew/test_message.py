from __future__ import annotations

from pathlib import Path

import pytest

from meshproxy.admin.view import EndpointRow
from meshproxy.config import Settings
from meshproxy.crew import message as say
from meshproxy.crew.child import share_of
from meshproxy.policy.budget import RetryBudget
from meshproxy.wire import resources as wire
from meshproxy.wire.change import Outlook
from meshproxy.wire.snapshot import entry_of
from tests.fakes.snapshots import service

SETTINGS = Settings(
    snapshot=None,
    namespace="default",
    service_account="client",
    workload="client-1",
    admin=("127.0.0.1", 15000),
    outbound=("::1", 0),
    inbound=("0.0.0.0", 15006),
    app=("127.0.0.1", 8080),
    identity_dir=Path("/run/identity"),
    state_dir=Path("/var/lib/meshproxy"),
    control=("wss://one:15012", "wss://two:15012"),
    workers=4,
)

ROW = EndpointRow(
    backend="default/echo:80",
    address="[::1]:80",
    state="ejected",
    identity="",
    inflight=3,
    ewma_ms=1.5,
    failures=2,
    ejected_for_s=0.5,
)


@pytest.mark.parametrize(
    "message",
    [
        say.Start(worker=2, settings=SETTINGS, places={"outbound": ("::1", 4321)}, reserved=[("127.0.0.1", 15000)]),
        say.Apply(number=7, removed=["service/a/b"], forgotten=["service/c/d"]),
        say.Open(),
        say.Verdict("a", "b", Outlook.REFUSED),
        say.Ask(3),
        say.AskUsed(),
        say.Level("debug"),
        say.Drain(),
    ],
)
def test_what_the_parent_says_arrives_as_it_was(message):
    assert say.decode_to_worker(say.encode(message)) == message


@pytest.mark.parametrize(
    "message",
    [
        say.Opened(),
        say.Applied(3),
        say.Want("a", "b", None),
        say.Want("a", "b", 80),
        say.Rows(id=3, rows=[ROW], is_last=True),
        say.Used(["a/b"]),
        say.Beat(),
        say.Drained(4),
    ],
)
def test_what_a_worker_says_arrives_as_it_was(message):
    assert say.decode_to_parent(say.encode(message)) == message


def test_entries_arrive_as_they_were_in_parts_of_bounded_size():
    entries = [
        entry for n in range(2000) for entry in service(f"echo-{n}", [wire.Endpoint(address="10.0.0.1", port=n + 1)])
    ]
    entries.append(entry_of("workload/default/client-1", wire.Workload()))
    many = wire.Endpoints(endpoints=[wire.Endpoint(address="127.0.0.1", port=n + 1) for n in range(20_000)])
    entries.append(entry_of("endpoints/default/many:80", many))
    frames = [frame for frame in say.parts(entries) if frame]
    assert len(frames) > 2
    arrived = []
    for frame in frames:
        load = say.decode_to_worker(frame)
        assert isinstance(load, say.Load)
        # It ends with the resource that makes it so long.
        assert sum(len(piece.resource) for piece in load.pieces[:-1]) < say.PART_BYTES
        arrived += map(say.entry_of, load.pieces)
    assert arrived == entries


def test_no_entries_are_no_message():
    assert list(say.parts([])) == []


def test_the_least_rate_of_a_retry_budget_is_divided_among_workers_and_nothing_else():
    backend = wire.Backend(retry_budget=wire.RetryBudget(percent=10.0, min_per_s=6.0, window_s=5.0))
    entry = entry_of("backend/default/echo:80", backend)
    share = share_of(entry, 4)
    assert share.resource == wire.Backend(retry_budget=wire.RetryBudget(percent=10.0, min_per_s=1.5, window_s=5.0))
    assert (share.name, share.version) == (entry.name, entry.version)
    assert isinstance(share.resource, wire.Backend)
    whole = RetryBudget.of(backend.retry_budget).allowance
    assert 4 * RetryBudget.of(share.resource.retry_budget).allowance == whole
    routes = entry_of("routes/default/echo:80", wire.Routes())
    assert share_of(routes, 4) is routes
