"""The push side over real sockets, with the real compiler behind it."""

from __future__ import annotations

import asyncio
import time
from math import inf

import aiohttp
import msgspec
import pytest

from control.push.ask import AskError
from meshproxy.wire.stream import Ack, Answer, Subscribe, encode
from tests.control.build import endpoint_slice, http_route, rule, service
from tests.control.push.plane import A, has, hello, masked, plane, raw
from tests.fakes.loop import on_uvloop, until
from tests.fakes.subscriber import Subscriber


@on_uvloop
async def test_what_is_followed_comes_and_its_changes_come():
    async with plane(service("a"), endpoint_slice("a", "10.0.0.1", "10.0.0.2")) as it, Subscriber(it.port) as one:
        await one.connect(*A, "service/shop/none")
        await until(has(one, it, *A))
        assert len(one.pushes) == 1
        assert one.holding.absent == {"service/shop/none"}
        it.apply(endpoint_slice("a", "10.0.0.1", "10.0.0.3"))
        await until(has(one, it, *A))
        assert one.holding.patches == 0, "half of it is not worth a patch"
        it.apply(endpoint_slice("a", "10.0.0.1", "10.0.0.3", "10.0.0.4"))
        await until(has(one, it, *A))
        assert one.holding.patches == 1
        it.apply(service("none"))
        await until(has(one, it, *A, "service/shop/none"))
        await until(lambda: it.hub.proxies()[0].synced)
        assert it.metric("meshcontrol_push_latency_seconds_count") == 3
        assert it.metric("meshcontrol_pushes_total") == 4
        assert it.metric("meshcontrol_subscriptions") == 5
        assert it.metric("meshcontrol_streams") == 1
        assert it.metric("meshcontrol_oldest_unacknowledged_seconds") == 0


@on_uvloop
async def test_one_change_of_a_service_is_one_push():
    async with plane() as it, Subscriber(it.port) as one:
        await one.connect(*A)
        await until(lambda: len(one.pushes) == 1)
        it.apply(service("a"), endpoint_slice("a", "10.0.0.1"))
        await until(has(one, it, *A))
        assert len(one.pushes) == 2
        order = [update.name for update in one.pushes[1].updated]
        assert order == ["service/shop/a", "backend/shop/a:80", "endpoints/shop/a:80", "routes/shop/a:80"]
        it.delete(service("a"))
        await until(lambda: one.holding.absent == set(A))


@on_uvloop
async def test_reconnecting_with_what_is_known_brings_only_the_difference():
    async with plane(service("a"), service("b"), endpoint_slice("a", "10.0.0.1")) as it, Subscriber(it.port) as one:
        names = (*A, "service/shop/b")
        await one.connect(*names)
        await until(has(one, it, *names))
        await one.close()
        await one.connect(*names)
        await until(lambda: len(one.pushes) == 1)
        assert not one.pushes[0].updated
        assert not one.pushes[0].removed
        await one.close()
        await until(lambda: not it.hub.proxies())
        it.apply(endpoint_slice("a", "10.0.0.2"))
        it.delete(service("b"))
        await one.connect(*names)
        await until(has(one, it, *names))
        [push] = one.pushes
        assert [update.name for update in push.updated] == ["endpoints/shop/a:80"]
        assert push.removed == ["service/shop/b"]
        assert it.closed("client") == 2


@on_uvloop
async def test_each_subscription_is_answered():
    async with plane(service("a")) as it, Subscriber(it.port) as one:
        await one.connect(*A)
        await until(has(one, it, *A))
        await one.subscribe(*A)
        await until(lambda: len(one.pushes) == 2)
        await one.send(Subscribe(names=[]))
        await until(lambda: len(one.pushes) == 3)
        await one.subscribe("endpoint/of/a:newer/kind", "service/shop/UPPER", "routes/shop/a:99999")
        await until(lambda: len(one.pushes) == 4)
        assert set(one.pushes[3].removed) == {"endpoint/of/a:newer/kind", "service/shop/UPPER", "routes/shop/a:99999"}
        assert it.hub.proxies()[0].subscribed == len(A)


@on_uvloop
async def test_what_is_not_followed_any_more_does_not_come():
    async with plane(service("a"), service("b")) as it, Subscriber(it.port) as one:
        await one.connect("service/shop/a", "service/shop/b")
        await until(has(one, it, "service/shop/a", "service/shop/b"))
        await one.unsubscribe("service/shop/a", "service/shop/unheard-of")
        await until(lambda: it.hub.proxies()[0].subscribed == 1)
        it.apply(service("a", 81), service("b", 81))
        await until(has(one, it, "service/shop/b"))
        await one.subscribe("service/shop/a")
        await until(has(one, it, "service/shop/a", "service/shop/b"))


@on_uvloop
async def test_all_services_of_a_namespace_come_and_go():
    names = [f"service/shop/s{n}" for n in range(3)]
    async with plane(service("s0"), service("s1"), services=2) as it, Subscriber(it.port) as one:
        await one.connect("service/shop/*")
        await until(has(one, it, *names[:2]))
        it.apply(service("s2"), service("s9", namespace="bank"))
        it.delete(service("s0"))
        # There is room for it now that another is gone.
        await until(has(one, it, *names[1:]))
        await one.unsubscribe("service/shop/*", *names)
        await until(lambda: it.hub.proxies()[0].subscribed == 0)
        it.apply(service("s4"))
        await one.subscribe("service/shop/s4")
        await until(has(one, it, "service/shop/s4"))
        assert sum(len(push.updated) for push in one.pushes) == 4


@on_uvloop
async def test_a_namespace_with_routes_of_its_own_gets_its_variant():
    own = http_route("a", rule("b"), parents=[{"group": "", "kind": "Service", "name": "a", "namespace": "shop"}],
                     namespace="park")  # fmt: skip
    name = "routes/shop/a:80"
    async with (
        plane(service("a"), service("b", namespace="park")) as it,
        Subscriber(it.port, "shop") as shop,
        Subscriber(it.port, "park") as park,
    ):
        await shop.connect(name)
        await park.connect(name)
        await until(has(shop, it, name))
        await until(has(park, it, name, namespace="park"))
        assert park.holding.versions == shop.holding.versions
        it.apply(own)
        await until(has(park, it, name, namespace="park"))
        assert park.holding.versions != shop.holding.versions
        it.delete(own)
        await until(has(park, it, name, namespace="park"))
        assert park.holding.versions == shop.holding.versions
        assert len(shop.pushes) == 1


@on_uvloop
async def test_a_refused_version_is_told_and_not_sent_again():
    def judge(name, resource):
        return "is poison" if name == A[3] and resource.endpoints[0].address == "10.0.0.66" else ""

    async with plane(service("a"), endpoint_slice("a", "10.0.0.1")) as it, Subscriber(it.port, judge=judge) as one:
        await one.connect(*A)
        await until(has(one, it, *A))
        good = one.holding.versions[A[3]]
        it.apply(endpoint_slice("a", "10.0.0.66"), service("a", {"port": 80, "appProtocol": "kubernetes.io/h2c"}))
        # What was not blamed comes without it.
        await until(lambda: one.holding.versions[A[0]] == it.versions(A[0])[A[0]])
        await until(lambda: it.hub.proxies()[0].unacknowledged == 0)
        assert one.holding.versions[A[3]] == good
        [row] = it.hub.proxies()
        assert (row.synced, row.last_nack[0].name, row.last_nack[0].message) == (False, A[3], "is poison")
        assert row.stale_for_s > 0
        count = len(one.pushes)
        it.hub.publish([A[3]], time.monotonic())
        await one.send(Subscribe(names=[A[3]]))
        await until(lambda: len(one.pushes) == count + 1)
        assert not one.pushes[-1].updated
        it.apply(endpoint_slice("a", "10.0.0.2"))
        await until(has(one, it, *A))
        await until(lambda: it.hub.proxies()[0].synced)
        assert it.hub.proxies()[0].last_nack == []
        assert it.metric("meshcontrol_nacks_total") == 1


@on_uvloop
async def test_a_sidecar_that_lost_its_state_is_sent_the_whole_after_a_refused_patch():
    async with plane(service("a"), endpoint_slice("a", "10.0.0.1", "10.0.0.2")) as it, Subscriber(it.port) as one:
        await one.connect(A[3])
        await until(has(one, it, A[3]))
        one.holding.versions[A[3]] = "another"
        it.apply(endpoint_slice("a", "10.0.0.1", "10.0.0.2", "10.0.0.3"))
        await until(has(one, it, A[3]))
        await until(lambda: it.hub.proxies()[0].synced)
        assert [update.patch is not None for push in one.pushes for update in push.updated] == [False, True, False]


@on_uvloop
async def test_a_sidecar_that_does_not_answer_is_closed_and_holds_up_nobody():
    async with (
        plane(service("a"), endpoint_slice("a", "10.0.0.1"), unacknowledged_s=0.3) as it,
        Subscriber(it.port, workload="dead") as dead,
        Subscriber(it.port, workload="live") as live,
    ):
        dead.is_silent = True
        await dead.connect(*A)
        await live.connect(*A)
        for n in range(20):
            it.apply(endpoint_slice("a", f"10.0.1.{n + 1}"))
            await until(has(live, it, *A))
        assert len(dead.pushes) <= 8
        await until(lambda: dead.closed is not None)
        assert dead.closed == (1008, "a push was not answered within 0.3 s")
        assert it.closed("stalled") == 1
        await until(lambda: [row.name for row in it.hub.proxies()] == ["live"])


@on_uvloop
async def test_a_sidecar_that_does_not_read_is_closed_and_holds_up_nobody():
    many = endpoint_slice("a", *(f"10.0.{m}.{k}" for m in range(20) for k in range(1, 51)))
    async with (
        plane(service("a"), many, unacknowledged_s=0.5) as it,
        Subscriber(it.port, workload="live") as live,
        raw(it.port) as (_, stuck),
    ):
        stuck.transport.pause_reading()
        stuck.write(masked(encode(hello("stuck"))) + masked(encode(Subscribe(names=list(A)))))
        await live.connect(*A)
        await until(lambda: len(it.hub.proxies()) == 2)
        for n in range(5):
            it.apply(endpoint_slice("a", f"10.9.0.{n + 1}", name="a-2"))
            await until(has(live, it, *A))
        await until(lambda: it.closed("stalled") == 1)
        await until(lambda: it.metric("meshcontrol_streams") == 1)


@on_uvloop
async def test_a_sidecar_that_says_nothing_is_closed():
    async with plane(ping_s=0.05, silent_s=0.4) as it, raw(it.port) as (reader, writer):
        writer.write(masked(encode(hello("quiet"))))
        assert (await reader.readexactly(2)) == b"\x89\x00"
        await until(lambda: it.closed("ping") == 1)
        await until(lambda: it.metric("meshcontrol_streams") == 0)


@on_uvloop
async def test_after_the_loop_stood_still_sidecars_are_heard_before_they_are_judged():
    # Swept by hand alone, and for nothing but silence.
    bounds = {"sweep_s": 100.0, "silent_s": 5.0, "unacknowledged_s": inf, "age_s": inf}
    async with plane(**bounds) as it, Subscriber(it.port) as one:
        await one.connect()
        await until(it.hub.proxies)
        it.skew_s += 300.0
        it.hub.sweep()
        await one.send(Subscribe(names=[]))
        await until(lambda: one.pushes)
        it.hub.sweep()
        assert it.hub.proxies()
        # Standing still again and again is no excuse.
        it.skew_s += 300.0
        it.hub.sweep()
        it.skew_s += 300.0
        it.hub.sweep()
        assert it.closed("ping") == 1


@on_uvloop
async def test_a_defect_with_one_sidecar_ends_its_stream_and_holds_up_nobody(monkeypatch):
    async with (
        plane(service("a"), service("b")) as it,
        Subscriber(it.port, workload="poor") as poor,
        Subscriber(it.port, workload="fine") as fine,
    ):
        await poor.connect("service/shop/b")
        await fine.connect(*A)
        await until(has(fine, it, *A))
        await until(has(poor, it, "service/shop/b"))

        topic = it.hub._topics.admit("service/shop/b")
        monkeypatch.setattr(type(topic), "item", _failing(type(topic).item, topic))
        it.apply(service("a", 81), service("b", 81))
        await until(has(fine, it, *A))
        await until(lambda: poor.closed is not None)
        assert poor.closed == (1011, "the control plane met a defect")
        assert it.closed("defect") == 1


@on_uvloop
async def test_questions_are_bounded_over_all_sidecars():
    async with plane(all_asks=1) as it, Subscriber(it.port) as one, Subscriber(it.port, workload="two") as two:
        await one.connect()
        await two.connect()
        await until(lambda: len(it.hub.proxies()) == 2)
        asked = []
        one.answer = asked.append
        task = asyncio.create_task(it.hub.ask("shop", "front-1", "config"))
        await until(lambda: asked)
        with pytest.raises(AskError, match="1 sidecars are being asked already"):
            await it.hub.ask("shop", "two", "config")
        await one.send(Answer(id=asked[0].id, body="here"))
        assert await task == "here"
        assert await it.hub.ask("shop", "two", "config") == "config of a fake"


@on_uvloop
async def test_pings_keep_an_idle_stream_open():
    async with plane(ping_s=0.02, silent_s=0.3) as it, Subscriber(it.port) as one:
        await one.connect()
        await until(it.hub.proxies)
        began = time.monotonic()
        await until(lambda: time.monotonic() - began > 0.6)
        assert one.closed is None


@on_uvloop
async def test_an_old_stream_is_sent_to_try_again():
    async with plane(age_s=0.1) as it, Subscriber(it.port) as one:
        await one.connect()
        await until(lambda: one.closed is not None)
        assert one.closed == (1012, "try again: streams are shared out anew")
        assert it.closed("age") == 1


@on_uvloop
async def test_sidecars_are_told_when_the_control_plane_ends():
    async with plane() as it, Subscriber(it.port) as one:
        await one.connect()
        await until(it.hub.proxies)
        await it.server.stop()
        await until(lambda: one.closed is not None)
        assert one.closed == (1001, "the control plane ends")
        assert it.closed("shutdown") == 1


@on_uvloop
async def test_a_burst_of_a_thousand_changes_is_few_pushes():
    async with plane(service("a")) as it, Subscriber(it.port) as one:
        await one.connect(*A)
        await until(has(one, it, *A))
        for n in range(1000):
            it.apply(endpoint_slice("a", f"10.1.{n // 200}.{n % 200 + 1}"))
        await until(has(one, it, *A))
        assert len(one.pushes) <= 10


@on_uvloop
async def test_what_is_greater_than_a_push_comes_in_several():
    names = [f"endpoints/shop/s{n}:80" for n in range(20)]
    many = [f"10.0.1.{k}" for k in range(1, 51)]
    documents = [item for n in range(20) for item in (service(f"s{n}"), endpoint_slice(f"s{n}", *many))]
    async with plane(*documents, push_bytes=5_000, window_bytes=12_000) as it, Subscriber(it.port) as one:
        await one.connect(*names)
        await until(has(one, it, *names))
        assert len(one.pushes) > 5
        assert all(len(msgspec.json.encode(push)) < 5_500 for push in one.pushes)


@on_uvloop
async def test_questions_are_answered():
    async with plane(ask_s=1.0) as it, Subscriber(it.port) as one:
        await one.connect()
        await until(it.hub.proxies)
        assert await it.hub.ask("shop", "front-1", "config") == "config of a fake"
        with pytest.raises(LookupError, match="no sidecar of shop/none is connected"):
            await it.hub.ask("shop", "none", "config")
        with pytest.raises(AskError, match="allowed: config, endpoints, metrics"):
            await it.hub.ask("shop", "front-1", "secrets")
        one.answer = lambda ask: Answer(id=ask.id, error="not now")
        with pytest.raises(AskError, match="not now"):
            await it.hub.ask("shop", "front-1", "config")
        one.answer = lambda ask: Answer(id=ask.id, body="x" * 2_000_000)
        assert len(await it.hub.ask("shop", "front-1", "metrics")) == 2_000_000
        late = []
        one.answer = late.append
        with pytest.raises(TimeoutError, match=r"did not answer within 1 s"):
            await it.hub.ask("shop", "front-1", "config")
        await one.send(Answer(id=late[0].id, body="late"))
        one.answer = lambda ask: Answer(id=ask.id, body="still here")
        assert await it.hub.ask("shop", "front-1", "config") == "still here"
        await one.send(Answer(id=99, body="unasked"))
        await until(lambda: one.closed is not None)
        assert one.closed[0] == 1008


@on_uvloop
async def test_questions_are_bounded_and_end_with_the_stream():
    async with plane() as it, Subscriber(it.port) as one:
        await one.connect()
        await until(it.hub.proxies)
        asked = []
        one.answer = asked.append
        tasks = [asyncio.create_task(it.hub.ask("shop", "front-1", "config")) for _ in range(9)]
        await until(lambda: len(asked) == 8 and tasks[8].done())
        assert "8 things already" in str(tasks[8].exception())
        await one.close()
        await until(lambda: all(task.done() for task in tasks))
        assert str(tasks[0].exception()) == "the sidecar's stream has ended"
        await one.connect()
        await until(it.hub.proxies)
        one.answer = lambda ask: Answer(id=ask.id, body="fast")
        asked = await asyncio.gather(*(_ask_again(it) for _ in range(4)), return_exceptions=True)
        assert any("more than 20 times a second" in str(answer) for answer in asked)


@on_uvloop
async def test_streams_are_bounded():
    async with plane(streams=1) as it, Subscriber(it.port) as one, Subscriber(it.port) as two:
        await one.connect()
        await until(it.hub.proxies)
        with pytest.raises(aiohttp.WSServerHandshakeError) as refused:
            await two.connect()
        assert refused.value.status == 503


@on_uvloop
async def test_acks_are_counted_once():
    async with plane(service("a")) as it, Subscriber(it.port) as one:
        await one.connect(*A)
        await until(has(one, it, *A))
        await one.send(Ack(nonce=one.pushes[0].nonce))
        await until(lambda: one.closed is not None)
        assert one.closed[0] == 1008


def _failing(look, bad):
    def item(topic, namespace):
        if topic is bad:
            raise RuntimeError("a defect")
        return look(topic, namespace)

    return item


async def _ask_again(it):
    for _ in range(25):
        await it.hub.ask("shop", "front-1", "config")
