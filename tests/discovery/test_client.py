"""The push client over real sockets, against a control plane that does what the test says."""

import asyncio
import contextlib
import logging
import socket
import time

import msgspec
import pytest

from meshproxy.discovery import client, stream
from meshproxy.wire.change import Outlook
from meshproxy.wire.stream import Ack, Ask, Nack, Subscribe, Update, encode
from tests.fakes.follower import started
from tests.fakes.loop import on_uvloop, passed, until
from tests.fakes.pusher import pushing
from tests.fakes.pushes import backend, endpoints, lane, patched, push, routes, service

A = [service("bank/a"), *lane("bank/a:80", 1)]
NAMES = {entry.name for entry in A}


@pytest.fixture(autouse=True)
def _quick(monkeypatch):
    monkeypatch.setattr(client, "LONGEST_WAIT_S", 0.05)


@on_uvloop
async def test_a_service_that_is_called_comes_and_what_does_not_exist_is_told():
    async with pushing(*A) as control, started(control.url) as sidecar:
        assert sidecar.discovery.want("bank", "a", None) is Outlook.COMING
        assert sidecar.discovery.want("bank", "b", None) is Outlook.COMING
        await until(lambda: set(sidecar.states) >= NAMES and sidecar.discovery.is_synced)
        assert {name for name, state in sidecar.states.items() if state} == NAMES
        assert sidecar.states["service/bank/b"] is None
        assert sidecar.discovery.want("bank", "b", None) is Outlook.ABSENT
        assert control.line.hello.node.namespace == "shop"
        assert control.line.nacks == []
        assert sidecar.metric('meshproxy_wants_total{outcome="coming"}') == 2
        assert sidecar.metric('meshproxy_wants_total{outcome="absent"}') == 1
        assert sidecar.metric("meshproxy_stream_connected") == 1
        assert sidecar.metric("meshproxy_subscriptions") == 5
        assert sidecar.metric("meshproxy_configuration_age_seconds") < 5
        assert abs(sidecar.metric("meshproxy_stream_last_contact_timestamp_seconds") - time.time()) < 5
        report = sidecar.discovery.report()
        assert report["connected_to"] == control.url
        assert report["unanswered"] == report["held"] == report["refused"] == []


@on_uvloop
async def test_names_wanted_in_one_turn_are_asked_for_in_one_message():
    async with pushing() as control, started(control.url) as sidecar:
        await until(lambda: sidecar.discovery.is_synced)
        for n in range(20):
            sidecar.discovery.want("bank", f"n{n}", None)
        await until(lambda: sidecar.discovery.is_synced and len(control.line.names) > 20)
        assert len(control.line.of(Subscribe)) == 2


@on_uvloop
async def test_it_is_configured_when_all_that_it_begins_with_is_answered():
    async with pushing(service("shop/x"), *lane("shop/x:80", 1)) as control:
        control.is_answering = False
        async with started(control.url) as sidecar:
            await until(lambda: control.lines and control.line.of(Subscribe))
            assert control.line.names == {"service/shop/*"}
            assert sidecar.discovery.unready() == f"waiting for the first configuration from {control.url}"
            assert isinstance(await control.line.push(push(service("shop/x"))), Ack)
            assert sidecar.discovery.unready()
            await control.line.push(push(*lane("shop/x:80", 1)))
            await until(lambda: not sidecar.discovery.unready())
            assert len(sidecar.states) == 4


@on_uvloop
async def test_a_push_is_acknowledged_once_it_is_in_effect_and_says_what_it_waits_for():
    async with pushing(*A) as control, started(control.url) as sidecar:
        sidecar.discovery.want("bank", "a", None)
        await until(lambda: set(sidecar.states) >= NAMES)
        control.is_answering = False
        outcome = await control.line.push(push(routes("bank/a:80", "bank/b:80")))
        assert outcome.waiting == ["backend/bank/b:80", "endpoints/bank/b:80"]
        assert sidecar.states["routes/bank/a:80"] == A[3]
        assert sidecar.metric("meshproxy_push_held_resources") == 1
        sidecar.gate.clear()
        last = push(backend("bank/b:80"), endpoints("bank/b:80", 2))
        await control.line.send(last)
        await passed(0.02)
        assert last.nonce not in [ack.nonce for ack in control.line.acks]
        sidecar.gate.set()
        await until(lambda: last.nonce in [ack.nonce for ack in control.line.acks])
        assert sidecar.states["routes/bank/a:80"] == routes("bank/a:80", "bank/b:80")


@on_uvloop
async def test_held_routes_take_effect_after_a_bound(monkeypatch):
    monkeypatch.setattr("meshproxy.discovery.store.HOLD_S", 0.05)
    async with pushing(*A) as control, started(control.url) as sidecar:
        sidecar.discovery.want("bank", "a", None)
        await until(lambda: set(sidecar.states) >= NAMES)
        control.is_answering = False
        await control.line.push(push(routes("bank/a:80", "bank/b:80")))
        await until(lambda: sidecar.states["routes/bank/a:80"] == routes("bank/a:80", "bank/b:80"))


POISON = {
    "a bad resource": Update(name="backend/bank/a:80", version="9", resource=msgspec.Raw(b'{"protocol":"smtp"}')),
    "a bad base": patched(endpoints("bank/a:80", 7), endpoints("bank/a:80", 8)),
    "a bad expression": Update(
        name="routes/bank/a:80",
        version="9",
        resource=msgspec.Raw(
            b'{"matches":[{"rule":0,"path":{"type":"RegularExpression","value":"("}}],'
            b'"rules":[{"name":"r","backends":[{"backend":"bank/a:80"}]}]}'
        ),
    ),
}


@pytest.mark.parametrize("kind", POISON)
def test_a_poisoned_push_is_refused_and_all_stays(kind, caplog):
    @on_uvloop
    async def run():
        async with pushing(*A) as control, started(control.url) as sidecar:
            sidecar.discovery.want("bank", "a", None)
            await until(lambda: set(sidecar.states) >= NAMES)
            before = dict(sidecar.states)
            outcome = await control.line.push(push(POISON[kind], service("shop/x")))
            assert isinstance(outcome, Nack)
            assert outcome.problems[0].name == POISON[kind].name
            assert sidecar.states == before
            assert not sidecar.discovery.is_synced
            assert sidecar.metric('meshproxy_pushes_total{outcome="refused"}') == 1
            assert POISON[kind].name in sidecar.discovery.report()["refused"][0]
            good = [entry for entry in A if entry.name == POISON[kind].name]
            assert isinstance(await control.line.push(push(*good, service("shop/x"))), Ack)
            assert sidecar.discovery.report()["refused"] == []

    with caplog.at_level(logging.ERROR):
        run()
    assert "is refused, what is in effect stays" in caplog.text


@pytest.mark.parametrize(
    "frame",
    [
        "no json",
        '{"type":"push"}',
        '{"type":"later"}',
        b"\x00\x01",
        "[" * 100_000,
        '{"type":"push","nonce":"1","updated":[{"name":"x","version":"1","patch":{"base":"1","upsert":[{}]}}]}',
    ],
)
def test_what_is_not_understood_ends_the_stream_and_another_one_begins(frame):
    @on_uvloop
    async def run():
        async with pushing(*A) as control, started(control.url) as sidecar:
            sidecar.discovery.want("bank", "a", None)
            await until(lambda: set(sidecar.states) >= NAMES)
            before, first = dict(sidecar.states), control.line
            if isinstance(frame, bytes):
                await first.socket.send_bytes(frame)
            else:
                await first.socket.send_str(frame)
            await until(lambda: control.line is not first and sidecar.discovery.is_synced)
            assert first.is_closed
            assert sidecar.states == before
            assert set(control.line.hello.known) == NAMES

    run()


@on_uvloop
async def test_a_frame_past_the_bound_ends_the_stream(monkeypatch):
    monkeypatch.setattr(stream, "MAX_FRAME_BYTES", 10_000)
    async with pushing(*A) as control, started(control.url) as sidecar:
        await until(lambda: sidecar.discovery.is_synced)
        first = control.line
        await first.socket.send_str('{"type":"push","nonce":"' + "x" * 10_000 + '"}')
        await until(lambda: control.line is not first and sidecar.discovery.is_synced)


@on_uvloop
async def test_a_control_plane_that_is_restarted_is_found_again_and_nothing_is_lost_meanwhile():
    async with pushing(*A) as control, started(control.url) as sidecar:
        sidecar.discovery.want("bank", "a", None)
        await until(lambda: set(sidecar.states) >= NAMES and sidecar.discovery.is_synced)
        count = len(sidecar.changes)
        await control.stop()
        await until(lambda: not sidecar.discovery.is_connected)
        await until(lambda: sidecar.metric('meshproxy_stream_connects_total{outcome="failed"}'))
        assert not sidecar.discovery.unready()
        assert len(sidecar.changes) == count
        assert sidecar.discovery.want("bank", "late", None) is Outlook.COMING
        control.put(endpoints("bank/a:80", 2))
        await control.start()
        await until(lambda: sidecar.discovery.is_synced)
        assert set(control.line.hello.known) == NAMES
        assert sidecar.states["endpoints/bank/a:80"] == endpoints("bank/a:80", 2)
        assert sidecar.states["service/bank/late"] is None
        assert sidecar.metric('meshproxy_stream_connects_total{outcome="opened"}') == 2


@on_uvloop
async def test_of_several_control_planes_the_next_one_is_taken_when_one_fails():
    async with pushing() as one, pushing() as two, started(one.url, two.url) as sidecar:
        await until(lambda: sidecar.discovery.is_synced)
        first, second = (one, two) if one.lines else (two, one)
        assert not second.lines
        await first.stop()
        await until(lambda: second.lines and sidecar.discovery.is_synced)


@on_uvloop
async def test_a_control_plane_that_accepts_and_says_nothing_is_given_up(monkeypatch):
    monkeypatch.setattr(stream, "CONNECT_S", 0.05)
    # The kernel completes the connection, and nobody ever reads.
    with socket.create_server(("127.0.0.1", 0)) as hole:
        url = f"ws://127.0.0.1:{hole.getsockname()[1]}"
        async with pushing() as control:
            async with started(url) as sidecar:
                await until(lambda: sidecar.metric('meshproxy_stream_connects_total{outcome="failed"}'))
                assert "no answer within" in sidecar.discovery.report()["failure"]
            async with started(url, control.url) as sidecar:
                await until(lambda: sidecar.discovery.is_synced)


@on_uvloop
async def test_what_is_no_control_plane_is_told():
    async with pushing() as control, started(control.url + "/elsewhere") as sidecar:
        await until(lambda: "HTTP 404" in sidecar.discovery.report()["failure"])


@on_uvloop
async def test_a_stream_on_which_nothing_is_heard_is_given_up(monkeypatch):
    monkeypatch.setattr(stream, "PING_S", 0.05)
    monkeypatch.setattr(stream, "SILENT_S", 0.1)
    async with pushing() as control:
        control.answers_pings = False
        async with started(control.url):
            await until(lambda: len(control.lines) > 1)


@on_uvloop
async def test_pongs_keep_a_quiet_stream(monkeypatch):
    monkeypatch.setattr(stream, "PING_S", 0.05)
    monkeypatch.setattr(stream, "SILENT_S", 0.2)
    async with pushing() as control, started(control.url) as sidecar:
        await until(lambda: sidecar.discovery.is_synced)
        await passed(0.5)
        assert len(control.lines) == 1
        assert sidecar.discovery.age_s < 0.2


@on_uvloop
async def test_without_a_stream_the_configuration_ages():
    async with pushing() as control, started(control.url) as sidecar:
        await until(lambda: sidecar.discovery.is_synced)
        await control.stop()
        await until(lambda: not sidecar.discovery.is_connected)
        await until(lambda: sidecar.discovery.age_s > 0.05)
        assert sidecar.metric("meshproxy_stream_connected") == 0


@on_uvloop
async def test_a_change_that_takes_no_effect_by_a_defect_is_refused_and_tried_again():
    async with pushing() as control, started(control.url) as sidecar:
        await until(lambda: sidecar.discovery.is_synced)
        control.is_answering = False
        sidecar.fails = True
        assert isinstance(await control.line.push(push(service("shop/x"))), Nack)
        sidecar.fails = False
        assert isinstance(await control.line.push(push(service("shop/y"))), Ack)
        await until(lambda: {"service/shop/x", "service/shop/y"} <= set(sidecar.states))
        assert sidecar.metric('meshproxy_pushes_total{outcome="failed"}') == 1


@on_uvloop
async def test_questions_are_answered_and_bounded():
    async with pushing() as control, started(control.url) as sidecar:
        await until(lambda: control.lines and control.line.received)
        line = control.line
        for number, what in enumerate(["config", "metrics", "endpoints", "secrets"]):
            await line.send(Ask(id=number, what=what))
        await until(lambda: len(line.answers) == 4)
        answers = {answer.id: answer for answer in line.answers}
        assert answers[0].body == "all about config"
        assert answers[1].body == "all about metrics"
        assert answers[2].error == "it could not be answered by a defect"
        assert "'secrets' is not known here" in answers[3].error
        sidecar.gate.clear()
        for number in range(10, 30):
            await line.send(Ask(id=number, what="config"))
        await until(lambda: len(line.answers) == 4 + 16)
        assert {answer.error for answer in line.answers[4:]} == {"too many questions at once"}
        sidecar.gate.set()
        await until(lambda: len(line.answers) == 24)


@on_uvloop
async def test_questions_are_rate_limited_and_long_answers_are_not_sent(monkeypatch):
    monkeypatch.setattr("meshproxy.discovery.answers.MAX_BYTES", 20)
    monkeypatch.setattr("meshproxy.discovery.answers.monotonic", lambda: 0.0)
    async with pushing() as control, started(control.url) as sidecar:
        await until(lambda: control.lines and control.line.received)
        line = control.line
        for number in range(40):
            await line.send(Ask(id=number, what="config"))
            await until(lambda number=number: len(line.answers) > number)
        assert "allowed: 20" in line.answers[0].error
        assert line.answers[-1].error == "too many questions at once"
        assert len(sidecar.asked) == 20


@on_uvloop
async def test_a_sidecar_that_is_slow_to_apply_reads_no_more_than_it_may(monkeypatch):
    monkeypatch.setattr(stream, "INBOX_BYTES", 20_000)
    async with pushing() as control, started(control.url) as sidecar:
        await until(lambda: sidecar.discovery.is_synced)
        control.is_answering = False
        sidecar.gate.clear()
        count = 300
        for number in range(count):
            change = push(service("shop/x", *range(number + 1, number + 100)))
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(0.2):
                    await control.line.send(change)
        assert sidecar.discovery._stream._inbox_bytes < 20_000 + 262_144
        sidecar.gate.set()
        await until(lambda: len(control.line.acks) >= count)
        assert sidecar.states["service/shop/x"].resource.ports[0].port == count


@on_uvloop
async def test_the_end_is_told_to_the_control_plane():
    async with pushing() as control:
        async with started(control.url) as sidecar:
            await until(lambda: sidecar.discovery.is_synced)
        await until(lambda: control.line.is_closed)
        assert control.line.socket.close_code == 1001


# The last known good.


@on_uvloop
async def test_a_sidecar_that_is_restarted_while_nobody_listens_has_what_it_had(tmp_path):
    async with pushing(*A, service("shop/x"), *lane("shop/x:80", 3)) as control:
        async with started(control.url, state_dir=tmp_path) as sidecar:
            sidecar.discovery.want("bank", "a", None)
            await until(lambda: len(sidecar.states) == 8 and sidecar.discovery.is_synced)
            sidecar.discovery.used(["bank/a"])
        before = sidecar.states
        await control.stop()
        async with started(control.url, state_dir=tmp_path) as sidecar:
            assert sidecar.states == before
            assert not sidecar.discovery.unready()
            assert sidecar.discovery.report()["restored_from"].endswith("Z")
            assert 0 <= sidecar.discovery.age_s < 60
            control.put(endpoints("bank/a:80", 9))
            await control.start()
            await until(lambda: sidecar.discovery.is_synced)
            assert set(control.line.hello.known) == set(before)
            assert sidecar.states["endpoints/bank/a:80"] == endpoints("bank/a:80", 9)


@on_uvloop
async def test_the_state_of_another_identity_is_not_taken(tmp_path, caplog):
    async with pushing(*A) as control:
        async with started(control.url, state_dir=tmp_path) as sidecar:
            sidecar.discovery.want("bank", "a", None)
            await until(lambda: set(sidecar.states) >= NAMES)
        await control.stop()
        async with started(control.url, state_dir=tmp_path, service_account="thief") as sidecar:
            assert sidecar.states == {}
            assert sidecar.discovery.unready()
    assert "it was written for shop/web" in caplog.text


def test_an_encoded_ask_is_what_the_fake_sends():
    assert encode(Ask(id=1, what="config")) == b'{"type":"ask","id":1,"what":"config"}'
