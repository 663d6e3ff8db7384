"""What goes on for hours with nobody looking: what the log says, what is told of the configuration's age, defects."""

import itertools
import logging

import msgspec
import pytest

from meshproxy.discovery import client
from meshproxy.wire.stream import Ack, Nack, Update
from tests.fakes.follower import started
from tests.fakes.loop import on_uvloop, passed, until
from tests.fakes.places import refusing
from tests.fakes.pusher import Line, pushing
from tests.fakes.pushes import lane, push, service

A = [service("bank/a"), *lane("bank/a:80", 1)]
BAD = Update(name="backend/bank/a:80", version="9", resource=msgspec.Raw(b'{"protocol":"smtp"}'))


def ours(caplog):
    """What the sidecar says; the fake at the other end has a log as well."""
    return [record for record in caplog.records if record.name.startswith("meshproxy")]


@pytest.fixture(autouse=True)
def _quick(monkeypatch):
    monkeypatch.setattr(client, "FIRST_WAIT_S", 0.001)
    monkeypatch.setattr(client, "LONGEST_WAIT_S", 0.005)


def _connects(sidecar, outcome):
    return sidecar.metric(f'meshproxy_stream_connects_total{{outcome="{outcome}"}}') or 0


def test_an_outage_of_several_control_planes_is_told_once_of_each(caplog):
    @on_uvloop
    async def run():
        urls = [f"ws://127.0.0.1:{refusing().port}" for _ in range(2)]
        async with started(*urls) as sidecar:
            await until(lambda: _connects(sidecar, "failed") > 20)

    with caplog.at_level(logging.INFO):
        run()
    assert len(ours(caplog)) == 2


@pytest.mark.parametrize("says", ["goodbye", "what nobody understands"])
def test_a_control_plane_that_ends_up_the_same_each_time_is_told_once(says, caplog, monkeypatch):
    async def answer(line, message):
        line.received.append(message)
        if len(line.received) == 2:
            if says == "goodbye":
                await line.socket.close(code=1008, message=b"schema 1 is unknown")
            else:
                await line.socket.send_str('{"type":"later"}')

    monkeypatch.setattr(Line, "on_message", answer)

    @on_uvloop
    async def run():
        async with pushing() as control, started(control.url) as sidecar:
            await until(lambda: _connects(sidecar, "opened") > 10)
            assert {"goodbye": "schema 1 is unknown", "what nobody understands": "'later'"}[says] in caplog.text

    with caplog.at_level(logging.INFO):
        run()
    assert len(ours(caplog)) == 1


def test_the_end_of_a_stream_and_the_next_one_are_told_each_time(caplog):
    @on_uvloop
    async def run():
        async with pushing() as control, started(control.url) as sidecar:
            for _ in range(3):
                await until(lambda: sidecar.discovery.is_synced)
                await control.stop()
                await until(lambda: not sidecar.discovery.is_connected)
                await control.start()

    with caplog.at_level(logging.INFO):
        run()
    told = [word for word, _ in itertools.groupby(record.message.partition(" ")[0] for record in ours(caplog))]
    assert told[:5] == ["connected", "no", "connected", "no", "connected"]


def test_a_defect_that_stays_takes_nobody_elses_turn_and_does_not_fill_the_log(caplog, monkeypatch):
    monkeypatch.setattr(client, "DEFECT_PAUSE_S", 0.05, raising=False)

    @on_uvloop
    async def run():
        async with pushing(*A) as control, started(control.url) as sidecar:
            await until(lambda: sidecar.discovery.is_synced)

            def fail(now):
                raise RuntimeError("as the test wants it")

            with monkeypatch.context() as patch:
                patch.setattr("meshproxy.discovery.store.Store.on_time", lambda _, now: fail(now))
                sidecar.discovery.want("bank", "a", None)
                await until(lambda: ours(caplog))
                await passed(0.2)
            assert len(ours(caplog)) < 10
            await until(lambda: len([state for state in sidecar.states.values() if state]) == 4)

    with caplog.at_level(logging.ERROR):
        run()


@on_uvloop
async def test_what_is_refused_is_told_until_it_is_in_order():
    async with pushing(*A) as control, started(control.url) as sidecar:
        sidecar.discovery.want("bank", "a", None)
        await until(lambda: len(sidecar.states) == 4 and sidecar.discovery.is_synced)
        assert isinstance(await control.line.push(push(BAD, service("shop/x"))), Nack)
        # What is in order comes again by itself, as it does from a control plane.
        assert isinstance(await control.line.push(push(service("shop/x"))), Ack)
        (refused,) = sidecar.discovery.report()["refused"]
        assert refused.startswith(BAD.name)
        assert BAD.name not in sidecar.discovery.report()["unanswered"]
        await until(lambda: not sidecar.discovery.report()["unanswered"])
        assert not sidecar.discovery.is_synced
        await control.line.push(push(A[1]))
        assert sidecar.discovery.report()["refused"] == []
        assert sidecar.discovery.is_synced


@on_uvloop
async def test_one_bad_resource_does_not_keep_a_new_sidecar_from_being_ready():
    async with pushing(service("shop/x"), *lane("shop/x:80", 1)) as control:
        control.is_answering = False
        async with started(control.url) as sidecar:
            await until(lambda: control.lines and control.line.names)
            await control.line.push(push(service("shop/x")))
            bad = Update(name="backend/shop/x:80", version="9", resource=BAD.resource)
            _, good, rest = lane("shop/x:80", 1)
            assert isinstance(await control.line.push(push(bad, good, rest)), Nack)
            assert sidecar.discovery.unready(), "the rest is still to come"
            await control.line.push(push(good, rest))
            await until(lambda: not sidecar.discovery.unready())
            assert not sidecar.discovery.is_synced
            assert len(sidecar.discovery.report()["refused"]) == 1


@on_uvloop
async def test_restarts_during_an_outage_do_not_make_the_configuration_younger(tmp_path, monkeypatch):
    clock = 1_800_000_000.0
    monkeypatch.setattr(client.time, "time", lambda: clock)
    async with pushing(*A) as control, started(control.url, state_dir=tmp_path) as sidecar:
        sidecar.discovery.want("bank", "a", None)
        await until(lambda: len(sidecar.states) == 4 and sidecar.discovery.is_synced)
    for hours in (1, 2, 3):
        clock = 1_800_000_000.0 + 3600 * hours
        async with started(control.url, state_dir=tmp_path) as sidecar:
            assert 3590 * hours < sidecar.discovery.age_s < 3610 * hours
            # Something changes by itself meanwhile, and is written.
            sidecar.discovery._keeper.save()
            assert sidecar.discovery.report()["restored_from"][:15] in {"2027-01-15T07:5", "2027-01-15T08:0"}
    clock = 1_700_000_000.0
    async with started(control.url, state_dir=tmp_path) as sidecar:
        assert 0.0 <= sidecar.discovery.age_s < 10, "the clock went back"


@on_uvloop
async def test_what_is_not_complete_yet_is_not_kept_for_another_life(tmp_path):
    async with pushing(service("shop/x"), *lane("shop/x:80", 1)) as control:
        control.is_answering = False
        async with started(control.url, state_dir=tmp_path) as sidecar:
            await until(lambda: control.lines and control.line.names)
            await control.line.push(push(service("shop/x")))
            assert len(sidecar.states) == 1
        assert list(tmp_path.iterdir()) == []
        async with started(control.url, state_dir=tmp_path) as sidecar:
            assert sidecar.discovery.unready()
            control.is_answering = True
            await until(lambda: not sidecar.discovery.unready())
            await until(lambda: list(tmp_path.iterdir()))
