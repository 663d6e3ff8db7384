"""Sessions without a stream: whatever happens in whatever order, a sidecar ends up with what there is."""

from __future__ import annotations

from collections import deque
from math import inf

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from control.push.bounds import Bounds
from control.push.encode import KEPT_BYTES, Frames
from control.push.session import Session, SessionError
from control.push.topics import Topics
from meshproxy.wire.problem import Problem
from meshproxy.wire.resources import Backend, Endpoint, Endpoints, Routes, Service, ServicePort
from meshproxy.wire.snapshot import entry_of
from meshproxy.wire.stream import MAX_FRAME_BYTES, Node, decode_from_control
from tests.fakes.subscriber import Holding

NODE = Node(namespace="shop", service_account="x", workload="y", version="1")
BOUNDS = Bounds(push_bytes=600, window_bytes=1_500, window_pushes=3, services=2)


class World:
    """Resources by name and consumer, and sessions that follow them."""

    def __init__(self, bounds=BOUNDS):
        self.bounds = bounds
        self.entries = {}
        self.topics = Topics(self.find, self.services_of)
        self.frames = Frames()
        self.early = []  # known to the index, and not compiled yet
        self.now = 100.0

    def find(self, name, namespace):
        return self.entries.get((name, namespace)) or self.entries.get((name, ""))

    def services_of(self, namespace):
        known = [*self.early, *(name for name, _ in self.entries)]
        return [name for name in known if name.startswith(f"service/{namespace}/")]

    def put(self, name, resource, consumer=""):
        if resource is None:
            self.entries.pop((name, consumer), None)
        else:
            self.entries[name, consumer] = entry_of(name, resource, consumer)

    def publish(self, *names):
        self.now += 1
        return list(self.topics.publish(names, self.now - 0.5, self.now))

    def session(self, known=None, node=NODE):
        return Session(node, known or {}, self.topics, self.frames, self.bounds)


def push_in(data):
    head = {126: 4, 127: 10}.get(data[1], 2)
    return decode_from_control(data[head:])


def exchange(world, session, holding):
    """Let the sidecar take and answer everything; returns the pushes."""
    pushes = []
    while (data := session.next(world.now)) is not None:
        push = push_in(data)
        pushes.append(push)
        if problems := holding.take(push):
            session.on_nack(push.nonce, problems, world.now)
        else:
            session.on_ack(push.nonce, [])
    return pushes


def some(number, *others):
    return Endpoints(endpoints=[Endpoint(address=f"10.0.{n}.1", port=80) for n in sorted((number, *others))])


NAMES = ["service/shop/a", "service/shop/b", "service/shop/c", "service/bank/a", "backend/shop/a:80",
         "endpoints/shop/a:80", "endpoints/shop/b:80", "routes/shop/a:80"]  # fmt: skip
FOLLOWED = [*NAMES, "service/shop/*", "service/bank/*", "workload/shop/x", "strange/kind", "service/shop/NOT"]


def resources(name):
    kind = name.partition("/")[0]
    if kind == "endpoints":
        numbers = st.sets(st.integers(1, 12), min_size=0, max_size=9)
        return st.none() | numbers.map(lambda chosen: some(*sorted(chosen)) if chosen else Endpoints())
    if kind == "service":
        return st.none() | st.integers(80, 83).map(lambda port: Service(ports=[ServicePort(port=port)]))
    if kind == "backend":
        return st.none() | st.integers(1, 3).map(lambda s: Backend(connect_timeout_s=float(s)))
    return st.none() | st.just(Routes())


class Sidecars(RuleBasedStateMachine):
    """A world that changes, and a sidecar that follows, answers late, refuses, and comes back."""

    @initialize()
    def begin(self):
        self.world = World()
        self.bad = set()
        self.holding = Holding(lambda name, resource: "is bad" if self.version(name, resource) in self.bad else "")
        self.followed = set()
        self.connect()

    def version(self, name, resource):
        return entry_of(name, resource).version

    def connect(self):
        self.given_up = set()  # left by name: where a namespace's Services are followed, it comes when it changes
        self.session = self.world.session(dict(self.holding.versions))
        self.wire = deque()  # pushes on their way
        self.answers = deque()
        self.session.subscribe(sorted(self.followed), self.world.now)

    @rule(data=st.data(), names=st.sets(st.sampled_from(NAMES), min_size=1, max_size=3), twice=st.booleans())
    def change(self, data, names, twice):
        for name in names:
            self.world.put(name, data.draw(resources(name)))
        self.world.publish(*names)
        if twice:
            self.world.publish(*names)

    @rule(exists=st.booleans())
    def change_variant(self, exists):
        name = "routes/shop/a:80"
        if exists and (name, "") not in self.world.entries:
            self.world.put(name, Routes())
        self.world.put(name, Routes() if exists else None, "shop")
        self.world.publish(name)

    @rule(name=st.sampled_from(NAMES[4:7]))
    def spoil(self, name):
        if (entry := self.world.find(name, "shop")) is not None:
            self.bad.add(entry.version)

    @rule(names=st.sets(st.sampled_from(FOLLOWED), min_size=1))
    def follow(self, names):
        self.session.subscribe(sorted(names), self.world.now)
        self.followed |= names
        self.given_up -= names

    @rule(names=st.sets(st.sampled_from(FOLLOWED), max_size=3))
    def leave(self, names):
        self.session.unsubscribe(sorted(names))
        self.followed -= names
        self.given_up |= names
        for name in names:
            self.holding.forget(name)

    @rule()
    def send(self):
        data = self.session.next(self.world.now)
        if data is not None:
            push = push_in(data)
            self.check_present(push)
            self.wire.append(push)

    @rule()
    def receive(self):
        if self.wire:
            push = self.wire.popleft()
            self.answers.append((push.nonce, self.holding.take(push)))

    @rule()
    def answer(self):
        if self.answers:
            nonce, problems = self.answers.popleft()
            if problems:
                self.session.on_nack(nonce, problems, self.world.now)
            else:
                self.session.on_ack(nonce, [])

    @rule()
    def come_back(self):
        self.session.close()
        assert len(self.world.topics) == 0, "who follows nothing leaves nothing behind"
        self.connect()

    def check_present(self, push):
        """What is sent is what there is now, so that no version ever goes back."""
        for update in push.updated:
            entry = self.world.find(update.name, "shop")
            assert entry is not None
            assert update.version == entry.version
        for name in push.removed:
            assert self.world.find(name, "shop") is None

    @invariant()
    def bounds_hold(self):
        session = self.session
        assert len(session.flights) <= BOUNDS.window_pushes
        assert len(session.flights) <= 1 or session.in_flight_bytes < BOUNDS.window_bytes + 3 * 100
        assert session.in_flight_bytes == sum(len(flight.frame.data) for flight in session.flights.values())
        assert set(session.due) <= set(session.subscriptions.values())
        assert set(session.refused) <= set(session.subscriptions.values())

    def teardown(self):
        if not hasattr(self, "session"):
            return
        for _ in range(500):
            self.send()
            self.receive()
            self.answer()
            if not (self.wire or self.answers or self.session.has_more()):
                break
        assert not self.session.has_more(), "there is an end to it"
        self.check_holding()

    def check_holding(self):
        names = [name for name in NAMES if name in self.followed]
        for namespace in ("shop", "bank"):
            if f"service/{namespace}/*" in self.followed:
                gathered = [s.topic.name for s in self.session.subscriptions.values() if s.is_gathered]
                here = [name for name in gathered if name.startswith(f"service/{namespace}/")]
                there = self.world.services_of(namespace)
                assert len(here) == min(BOUNDS.services, len(there))
                names += here
        for name in set(names) - self.given_up:
            entry = self.world.find(name, "shop")
            if entry is None or entry.version not in self.bad:
                assert self.holding.versions.get(name) == (entry.version if entry is not None else None)
        if not self.bad:
            assert self.session.is_synced()
            assert self.session.problems == []


TestSidecars = Sidecars.TestCase
TestSidecars.settings = settings(max_examples=100, stateful_step_count=40, deadline=None)


def test_names_are_sent_in_the_order_in_which_they_are_needed():
    world, holding = World(Bounds()), Holding()
    for name, resource in (
        ("routes/shop/a:80", Routes()), ("endpoints/shop/a:80", Endpoints()),
        ("backend/shop/a:80", Backend()), ("service/shop/a", Service()),
    ):  # fmt: skip
        world.put(name, resource)
    session = world.session()
    session.subscribe([name for name, _ in world.entries], 1.0)
    [push] = exchange(world, session, holding)
    kinds = [update.name.split("/")[0] for update in push.updated]
    assert kinds == ["service", "backend", "endpoints", "routes"]


def test_a_slow_sidecar_costs_one_entry_a_name():
    world = World()
    session = world.session()
    session.subscribe(["endpoints/shop/a:80"], 1.0)
    for n in range(1, 200):
        world.put("endpoints/shop/a:80", some(n))
        world.publish("endpoints/shop/a:80")
        session.next(world.now)
    assert len(session.flights) == BOUNDS.window_pushes
    assert len(session.due) == 1
    holding = Holding()
    for flight in list(session.flights.values()):
        holding.take(push_in(flight.frame.data))
        session.on_ack(flight.frame.nonce, [])
    [push] = exchange(world, session, holding)
    assert len(push.updated) == 1
    assert holding.resources["endpoints/shop/a:80"] == some(199)


def test_equal_pushes_share_their_bytes():
    world = World()
    world.put("service/shop/a", Service())
    sessions = [world.session() for _ in range(3)]
    for session in sessions:
        session.subscribe(["service/shop/a"], 1.0)
    first, *others = [session.next(1.0) for session in sessions]
    assert all(data is first for data in others)


def test_a_nack_that_names_nothing_blames_everything():
    world = World()
    world.put("service/shop/a", Service())
    world.put("backend/shop/a:80", Backend())
    session = world.session()
    session.subscribe(["service/shop/a", "backend/shop/a:80"], 1.0)
    push = push_in(session.next(1.0))
    session.on_nack(push.nonce, [Problem("", "", "no")], 2.0)
    assert session.next(3.0) is None
    assert len(session.refused) == 2
    assert (session.is_synced(), session.refused_since(), session.pending_since()) == (False, 1.0, inf)
    world.put("service/shop/a", None)
    world.publish("service/shop/a")
    assert push_in(session.next(4.0)).removed == ["service/shop/a"]


def test_what_fits_into_no_message_is_told_and_not_sent():
    world, holding = World(), Holding()
    huge = Endpoints(endpoints=[Endpoint(address="10.0.0.1", port=80, labels={"x": "y" * MAX_FRAME_BYTES})])
    world.put("endpoints/shop/a:80", huge)
    world.put("service/shop/a", Service())
    session = world.session()
    session.subscribe(["endpoints/shop/a:80", "service/shop/a"], 1.0)
    [push] = exchange(world, session, holding)
    assert [update.name for update in push.updated] == ["service/shop/a"]
    assert "fits into no message" in session.problems[0].message
    assert not session.is_synced()
    world.put("endpoints/shop/a:80", some(1))
    world.publish("endpoints/shop/a:80")
    exchange(world, session, holding)
    assert session.is_synced()
    assert session.problems == []


def test_latency_counts_from_the_oldest_change_that_waits():
    world = World()
    world.put("service/shop/a", Service())
    session = world.session()
    session.subscribe(["service/shop/a"], 1.0)
    push = push_in(session.next(1.0))
    assert session.on_ack(push.nonce, ["routes/x"]).since == inf
    assert session.waiting == ["routes/x"]
    for port in (80, 81):
        world.put("service/shop/a", Service(ports=[ServicePort(port=port)]))
        world.publish("service/shop/a")
    push = push_in(session.next(world.now))
    assert session.on_ack(push.nonce, []).since == world.now - 1.5
    assert session.pending_since() == inf


@pytest.mark.parametrize("form", ["service/a/b{}", "odd{}", "service/n{}/*"])
def test_names_are_bounded(form):
    names = [form.format(n) for n in range(20)]
    world = World(Bounds(names=10))
    session = world.session()
    with pytest.raises(SessionError, match="more than 10 names") as refused:
        session.subscribe(names, 1.0)
    assert refused.value.is_excess
    with pytest.raises(SessionError, match="20 known names"):
        world.session(dict.fromkeys(names, "1"))


def test_a_service_that_vanishes_before_it_is_announced_makes_room():
    world, holding = World(), Holding()
    session = world.session()
    session.subscribe(["service/shop/a", "service/shop/b", "service/shop/*"], 1.0)
    exchange(world, session, holding)
    assert holding.absent == {"service/shop/a", "service/shop/b"}
    for name in ("service/shop/a", "service/shop/b", "service/shop/c"):
        world.put(name, Service())
    world.publish("service/shop/a", "service/shop/b", "service/shop/c")
    for name in ("service/shop/a", "service/shop/b"):
        world.put(name, None)
    world.publish("service/shop/a", "service/shop/b")
    exchange(world, session, holding)
    assert set(holding.versions) == {"service/shop/c"}


def test_what_was_given_up_and_is_asked_for_again_comes_again():
    world, holding = World(), Holding()
    world.put("service/shop/a", Service())
    session = world.session()
    session.subscribe(["service/shop/*"], 1.0)
    exchange(world, session, holding)
    session.subscribe(["service/shop/a"], 2.0)
    session.unsubscribe(["service/shop/a"])
    holding.forget("service/shop/a")
    exchange(world, session, holding)
    session.subscribe(["service/shop/a"], 3.0)
    exchange(world, session, holding)
    assert set(holding.versions) == {"service/shop/a"}


def test_a_service_that_is_not_compiled_yet_is_not_announced():
    world, holding = World(), Holding()
    session = world.session()
    for name in ("service/shop/a", "service/shop/b"):
        world.put(name, Service())
    session.subscribe(["service/shop/*"], 1.0)
    exchange(world, session, holding)
    world.early = ["service/shop/new"]
    world.put("service/shop/a", None)
    world.publish("service/shop/a")
    pushes = [session.next(world.now) for _ in range(3)]
    assert [data is not None for data in pushes] == [True, False, False]
    world.early = []
    world.put("service/shop/new", Service())
    world.publish("service/shop/new")
    assert [update.name for update in push_in(session.next(world.now)).updated] == ["service/shop/new"]


def test_a_refusal_of_a_version_that_was_sent_once_more_since_says_nothing_of_the_second():
    world, holding = World(), Holding()
    name = "backend/shop/a:80"
    world.put(name, Backend(connect_timeout_s=1.0))
    session = world.session()
    session.subscribe([name], 1.0)
    exchange(world, session, holding)
    pushes = []
    for seconds in (2.0, 3.0, 2.0):
        world.put(name, Backend(connect_timeout_s=seconds))
        world.publish(name)
        pushes.append(push_in(session.next(world.now)))
    session.on_nack(pushes[0].nonce, [Problem(name, "", "not now")], world.now)
    world.put(name, Backend(connect_timeout_s=1.0))
    world.publish(name)
    for push in pushes[1:]:
        assert holding.take(push) == []
        session.on_ack(push.nonce, [])
    exchange(world, session, holding)
    assert holding.resources[name] == Backend(connect_timeout_s=1.0)
    assert session.is_synced()


def test_a_refusal_is_told_no_more_once_what_was_refused_is_not_followed():
    world = World()
    world.put("service/shop/a", Service())
    session = world.session()
    session.subscribe(["service/shop/a"], 1.0)
    push = push_in(session.next(1.0))
    session.on_nack(push.nonce, [Problem("service/shop/a", "", "no")], 2.0)
    assert session.problems
    session.unsubscribe(["service/shop/a"])
    assert (session.is_synced(), session.problems) == (True, [])


def test_many_names_are_answered_together():
    world, holding = World(Bounds()), Holding()
    names = ("routes/shop/a:80", "backend/shop/a:80", "service/shop/a")
    for name, resource in zip(names, (Routes(), Backend(), Service()), strict=True):
        world.put(name, resource)
    session = world.session({"service/shop/a": world.find("service/shop/a", "shop").version})
    for name in reversed(names):
        session.subscribe([name], 1.0, is_last=name == names[0])
        if name == "service/shop/a":
            assert session.next(1.0) is None, "more names are to come"
    [push] = exchange(world, session, holding)
    assert [update.name for update in push.updated] == ["backend/shop/a:80", "routes/shop/a:80"]


def test_what_is_kept_of_frames_is_bounded():
    world = World(Bounds())
    for n in range(50):
        world.put(f"endpoints/shop/a{n}:80", Endpoints(endpoints=[
            Endpoint(address="10.0.0.1", port=80, labels={"x": "y" * 1_000_000})]))  # fmt: skip
        session = world.session()
        session.subscribe([f"endpoints/shop/a{n}:80"], 1.0)
        assert session.next(1.0) is not None
    assert sum(len(frame.data) for frame in world.frames._made.values()) <= KEPT_BYTES


def test_a_variant_that_has_gone_is_let_go():
    world = World()
    name = "routes/shop/a:80"
    world.put(name, Routes())
    world.put(name, Routes(rules=[]), "shop")
    here, there = (
        world.session(),
        world.session(node=Node(namespace="x", service_account="x", workload="x", version="")),
    )
    for session in (here, there):
        session.subscribe([name], 1.0)
        session.next(1.0)
    topic = world.topics.admit(name)
    assert set(topic._items) == {"", "shop"}
    world.put(name, None, "shop")
    world.publish(name)
    assert set(topic._items) == {""}
