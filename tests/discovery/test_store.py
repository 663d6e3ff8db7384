import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from meshproxy.discovery.store import HOLD_FIRST_S, HOLD_S, Store
from meshproxy.discovery.wants import Limits
from meshproxy.proxy.exchange import PARK_S
from meshproxy.wire import resources as wire
from meshproxy.wire.change import Outlook
from meshproxy.wire.stream import Update
from tests.fakes.pushes import backend, endpoints, lane, patched, push, routes, service

LANE = ["routes/bank/a:80", "backend/bank/a:80", "endpoints/bank/a:80"]


def take(store, message, now):
    """All the steps of a push at once."""
    steps = store.take_steps(message, now)
    while True:
        try:
            next(steps)
        except StopIteration as end:
            return end.value


class Sidecar:
    """A store of a sidecar in namespace `shop`, and what its traffic side and its control plane have been told."""

    def __init__(self, limits=None, workload="", has_outbound=True):
        self.store = Store("shop", workload, has_outbound=has_outbound, limits=limits or Limits())
        self.now = 0.0
        self.states = {}
        self.followed = set(self.store.followed)
        self.told = []
        self.held = {}
        self.gone = {}  # what the control plane has taken away, and when
        self.store.begin()

    def note(self, taken):
        assert not set(taken.subscribe) & self.followed
        assert set(taken.unsubscribe) <= self.followed
        self.followed = (self.followed | set(taken.subscribe)) - set(taken.unsubscribe)
        assert self.followed == set(self.store.followed)
        told = [entry.name for entry in taken.change.updated] + taken.change.removed + taken.change.forgotten
        assert len(told) == len(set(told))
        lost = [name for name in taken.change.removed if self.states.get(name)]
        for entry in taken.change.updated:
            assert self.states.get(entry.name) != entry
            self.states[entry.name] = entry
        for name in taken.change.removed:
            assert name not in self.states or self.states[name] is not None
            self.states[name] = None
        for name in taken.change.forgotten:
            del self.states[name]
        assert {name for name, state in self.states.items() if state} == {one.name for one in self.store.entries()}
        self._check_make_before_break(taken.change)
        in_effect = [state for state in self.states.values() if state and isinstance(state.resource, wire.Routes)]
        used = {name for state in in_effect for name in needs(state)}
        assert all(self.now >= self.gone[name] + HOLD_S for name in used.intersection(lost)), "taken away too early"
        if taken.subscribe:
            self.store.on_subscribed(taken.subscribe)
        self.told.append(taken)
        return taken

    def _check_make_before_break(self, change):
        for entry in change.updated:
            if isinstance(entry.resource, wire.Routes) and any(name not in self.states for name in needs(entry)):
                assert self.now >= self.held[entry.name].until, "took effect before what it names was known"
        in_use = {name for routes in self.store.held if self.states.get(routes) for name in needs(self.states[routes])}
        assert in_use.isdisjoint(change.removed + change.forgotten), "taken away while it was in use"
        self.held = dict(self.store.held)

    def push(self, *updated, removed=()):
        for name in removed:
            self.gone.setdefault(name, self.now)
        for one in updated:
            self.gone.pop(one.name, None)
        return self.note(take(self.store, push(*updated, removed=removed), self.now))

    def want(self, name="a", port=None, namespace="bank"):
        outlook = self.store.want(namespace, name, port, self.now)
        self.note(self.store.on_time(self.now))
        return outlook

    def wait(self, seconds):
        self.now += seconds
        return self.note(self.store.on_time(self.now))


def needs(entry):
    backends = [backend.backend for rule in entry.resource.rules for backend in rule.backends]
    return [f"{kind}/{key}" for key in backends for kind in ("backend", "endpoints")]


def names(entries):
    return [entry.name for entry in entries]


def test_the_usual_first_call_needs_one_round_trip():
    sidecar = Sidecar()
    assert sidecar.want() is Outlook.COMING
    assert sidecar.told[-1].subscribe == ["service/bank/a", *LANE]
    taken = sidecar.push(service("bank/a"), *lane("bank/a:80", 1))
    assert names(taken.change.updated) == ["service/bank/a", "backend/bank/a:80", "endpoints/bank/a:80", LANE[0]]
    assert taken[1:] == ([], [], [], [])
    assert sidecar.store.is_synced


def test_another_port_than_the_usual_one_is_asked_for_as_it_was_called():
    sidecar = Sidecar()
    sidecar.want(port=8080)
    assert "routes/bank/a:8080" in sidecar.followed
    sidecar.push(service("bank/a", 80, 443), removed=["routes/bank/a:8080"])
    assert "routes/bank/a:8080" not in sidecar.followed
    assert {"routes/bank/a:80", "routes/bank/a:443"} <= sidecar.followed
    assert sidecar.want(port=8080) is Outlook.ABSENT
    assert sidecar.want(port=443) is Outlook.COMING


def test_what_does_not_exist_is_told_and_stays_followed():
    sidecar = Sidecar()
    sidecar.want()
    taken = sidecar.push(removed=["service/bank/a", *LANE])
    assert taken.change.removed == ["service/bank/a"]
    assert taken.unsubscribe == LANE
    assert sidecar.want() is Outlook.ABSENT
    assert sidecar.followed == {"service/bank/a"}
    assert sidecar.push(service("bank/a")).subscribe == LANE
    assert sidecar.want() is Outlook.COMING


def test_a_port_whose_routes_do_not_exist_is_absent():
    sidecar = Sidecar()
    sidecar.want()
    sidecar.push(service("bank/a"), removed=LANE)
    assert sidecar.want(port=80) is Outlook.ABSENT


@pytest.mark.parametrize(
    ("namespace", "name"), [("bank", "A"), ("bank", "x" * 64), ("", "a"), ("b/c", "a"), ("b", "*")]
)
def test_what_is_no_name_of_a_service_is_not_asked_for(namespace, name):
    sidecar = Sidecar()
    assert sidecar.want(name, namespace=namespace) is Outlook.ABSENT
    assert sidecar.followed == set()


def test_too_many_new_names_are_refused():
    sidecar = Sidecar()
    assert [sidecar.want(f"n{n}") for n in range(65)] == [Outlook.COMING] * 64 + [Outlook.REFUSED]


def test_services_of_the_own_namespace_come_by_themselves():
    sidecar = Sidecar()
    _, wanted = sidecar.store.begin()
    assert wanted == ["service/shop/*"]
    taken = sidecar.push(service("shop/x"), service("bank/y"))
    assert names(taken.change.updated) == ["service/shop/x"]
    assert taken.subscribe[0] == "service/shop/x"
    sidecar.push(*lane("shop/x:80", 1))
    taken = sidecar.push(removed=["service/shop/x"])
    assert sorted(taken.change.forgotten) == sorted(taken.unsubscribe)
    assert sidecar.states == {}


def test_a_service_of_the_own_namespace_that_is_removed_though_it_was_never_there_leaves_nothing():
    sidecar = Sidecar()
    taken = sidecar.push(removed=["service/shop/x"])
    assert not any((*taken.change, taken.subscribe, taken.unsubscribe))
    assert sidecar.store.entries() == []
    assert sidecar.store.begin()[0] == {}


def test_so_many_services_of_the_own_namespace_are_followed_and_in_a_push_room_is_made_first():
    sidecar = Sidecar(Limits(own=2))
    sidecar.push(*(service(f"shop/s{n}") for n in range(3)))
    assert set(sidecar.states) == {"service/shop/s0", "service/shop/s1"}
    sidecar.push(service("shop/s3"), removed=["service/shop/s0"])
    assert set(sidecar.states) == {"service/shop/s1", "service/shop/s3"}


def test_an_inbound_side_alone_follows_its_workload_and_nothing_else():
    sidecar = Sidecar(workload="web-1", has_outbound=False)
    assert sidecar.store.begin() == ({}, ["workload/shop/web-1"])
    sidecar.push(service("shop/x"), removed=["workload/shop/web-1"])
    assert sidecar.states == {"workload/shop/web-1": None}


def test_new_routes_wait_for_what_they_name_and_the_old_ones_stay():
    sidecar = Sidecar()
    sidecar.want()
    old, new = routes("bank/a:80", "bank/a:80"), routes("bank/a:80", "bank/a:80", "bank/b:80")
    sidecar.push(service("bank/a"), *lane("bank/a:80", 1))
    taken = sidecar.push(new)
    assert taken.change == ([], [], [])
    assert taken.waiting == taken.subscribe == ["backend/bank/b:80", "endpoints/bank/b:80"]
    assert sidecar.states["routes/bank/a:80"] == old
    assert sidecar.push(backend("bank/b:80")).waiting == ["endpoints/bank/b:80"]
    taken = sidecar.push(endpoints("bank/b:80", 2))
    assert names(taken.change.updated) == ["endpoints/bank/b:80", "routes/bank/a:80"]
    assert taken.waiting == []
    assert sidecar.states["routes/bank/a:80"] == new


def test_what_does_not_exist_is_not_waited_for():
    sidecar = Sidecar()
    sidecar.want()
    sidecar.push(service("bank/a"), routes("bank/a:80", "bank/b:80"))
    taken = sidecar.push(removed=["backend/bank/b:80", "endpoints/bank/b:80"])
    assert names(taken.change.updated) == ["routes/bank/a:80"]


def test_a_hold_ends_by_time_also_when_newer_routes_keep_coming():
    sidecar = Sidecar()
    sidecar.want()
    sidecar.push(service("bank/a"), *lane("bank/a:80", 1))
    sidecar.push(routes("bank/a:80", "bank/b:80"))
    sidecar.wait(HOLD_S - 1)
    newer = routes("bank/a:80", "bank/c:80")
    sidecar.push(newer)
    assert sidecar.store.next_at() == HOLD_S
    taken = sidecar.wait(1.0)
    assert taken.change.updated == [newer]
    assert sidecar.store.held == {}


def test_the_first_routes_of_a_port_are_held_for_less_time_than_its_callers_wait():
    sidecar = Sidecar()
    sidecar.want()
    sidecar.push(service("bank/a"), routes("bank/a:80", "bank/b:80"))
    assert sidecar.store.next_at() == HOLD_FIRST_S < PARK_S
    assert sidecar.wait(HOLD_FIRST_S).change.updated == [routes("bank/a:80", "bank/b:80")]


def test_a_rollback_ends_a_hold():
    sidecar = Sidecar()
    sidecar.want()
    sidecar.push(service("bank/a"), *lane("bank/a:80", 1))
    sidecar.push(routes("bank/a:80", "bank/b:80"))
    taken = sidecar.push(routes("bank/a:80", "bank/a:80"))
    assert taken.change == ([], [], [])
    assert taken.waiting == []
    assert sidecar.store.held == {}
    assert taken.unsubscribe == ["backend/bank/b:80", "endpoints/bank/b:80"]


def test_what_only_the_old_routes_use_stays_as_long_as_they_do():
    sidecar = Sidecar()
    sidecar.want()
    sidecar.push(service("bank/a"), *lane("bank/a:80", 1))
    taken = sidecar.push(routes("bank/a:80", "bank/b:80"), removed=LANE[1:])
    assert taken.change == ([], [], [])
    assert set(LANE[1:]).isdisjoint(sidecar.store.begin()[0]), "the control plane knows that they do not exist"
    taken = sidecar.push(backend("bank/b:80"), endpoints("bank/b:80", 2))
    assert set(taken.change.forgotten) == set(LANE[1:])
    assert sidecar.states["routes/bank/a:80"] == routes("bank/a:80", "bank/b:80")


def test_what_is_removed_before_the_routes_that_give_it_up_have_come_stays_until_then():
    sidecar = Sidecar()
    sidecar.want()
    sidecar.push(service("bank/a"), *lane("bank/a:80", 1))
    # A push is bounded: what a change takes away may come in another one than what it puts in.
    taken = sidecar.push(removed=LANE[1:])
    assert taken.change == ([], [], [])
    sidecar.wait(HOLD_S - 1)
    sidecar.push(routes("bank/a:80", "bank/b:80"))
    sidecar.wait(HOLD_S - 1)
    taken = sidecar.push(backend("bank/b:80"), endpoints("bank/b:80", 2))
    assert set(taken.change.forgotten) == set(LANE[1:])
    assert sidecar.states["routes/bank/a:80"] == routes("bank/a:80", "bank/b:80")
    assert sidecar.store.next_at() == 600.0


def test_what_is_removed_and_given_up_by_no_routes_goes_after_a_bound():
    sidecar = Sidecar()
    sidecar.want()
    sidecar.push(service("bank/a"), *lane("bank/a:80", 1))
    sidecar.push(removed=LANE[1:])
    sidecar.wait(1.0)
    sidecar.store.end()
    sidecar.store.begin()
    sidecar.push(removed=LANE[1:])
    assert sidecar.store.next_at() == HOLD_S
    assert sidecar.wait(HOLD_S - 1.5).change.removed == []
    assert sidecar.wait(0.5).change.removed == LANE[1:]


def test_a_service_that_is_removed_goes_at_once_with_all_that_it_had():
    sidecar = Sidecar()
    sidecar.want()
    sidecar.push(service("bank/a"), *lane("bank/a:80", 1))
    taken = sidecar.push(removed=["service/bank/a", *LANE])
    assert sidecar.states == {"service/bank/a": None}
    assert taken.unsubscribe == LANE
    sidecar.push(service("bank/a"))
    sidecar.push(*lane("bank/a:80", 1))
    assert set(sidecar.states) == {"service/bank/a", *LANE}


def test_what_was_removed_too_early_and_comes_again_lives_on():
    sidecar = Sidecar()
    sidecar.want()
    sidecar.push(service("bank/a"), *lane("bank/a:80", 1))
    sidecar.push(routes("bank/a:80", "bank/a:80", "bank/b:80"), removed=["endpoints/bank/a:80"])
    assert sidecar.push(patched(endpoints("bank/a:80", 1), endpoints("bank/a:80", 2))).problems
    sidecar.push(endpoints("bank/a:80", 2))
    sidecar.push(backend("bank/b:80"), endpoints("bank/b:80", 2))
    assert sidecar.states["endpoints/bank/a:80"] == endpoints("bank/a:80", 2)


def test_endpoints_change_by_patches():
    sidecar = Sidecar()
    sidecar.want()
    sidecar.push(service("bank/a"), *lane("bank/a:80", 1, 2))
    target = endpoints("bank/a:80", 2, 3)
    taken = sidecar.push(patched(endpoints("bank/a:80", 1, 2), target))
    assert taken.change.updated == [target]


BAD = Update(name="backend/bank/a:80", version="1", resource=msgspec.Raw(b'{"protocol":"smtp"}'))


@pytest.mark.parametrize(
    ("bad", "removed"),
    [
        ([BAD], []),
        ([patched(endpoints("bank/a:80", 9), endpoints("bank/a:80", 8))], []),
        ([backend("bank/a:80"), backend("bank/a:80")], []),
        ([backend("bank/a:80")], ["backend/bank/a:80"]),
        ([], ["backend/bank/A:80"]),
        ([Update(name="service/bank/*", version="1", resource=msgspec.Raw(b"{}"))], []),
        ([Update(name="routes/x", version="1", resource=msgspec.Raw(b"{}"))], []),
    ],
)
def test_a_push_is_refused_whole(bad, removed):
    sidecar = Sidecar()
    sidecar.want()
    sidecar.push(service("bank/a"), *lane("bank/a:80", 1))
    before = dict(sidecar.states)
    taken = sidecar.push(endpoints("bank/a:80", 2), service("shop/x"), *bad, removed=[*removed, LANE[0]])
    assert taken.problems
    assert not any((*taken.change, taken.subscribe, taken.unsubscribe))
    assert sidecar.states == before
    assert not sidecar.store.is_synced, "what was refused is not known"
    sidecar.push(endpoints("bank/a:80", 2), backend("bank/a:80"), service("shop/x"), removed=[LANE[0]])
    assert sidecar.states[LANE[0]] is None


def test_the_problems_told_are_bounded():
    sidecar = Sidecar()
    taken = sidecar.push(removed=[f"backend/bank/{n}" for n in range(1000)])
    assert len(taken.problems) == 100


def test_unknown_kinds_and_what_is_not_followed_any_more_are_passed_over():
    sidecar = Sidecar()
    later = Update(name="address/10.0.0.1:80", version="1", resource=msgspec.Raw(b"[1]"))
    stale = patched(endpoints("bank/z:80", 1), endpoints("bank/z:80", 2))
    taken = sidecar.push(later, stale, *lane("bank/z:80", 1)[:1], removed=["address/10.0.0.2:80", "service/shop/*"])
    assert not any((*taken.change, taken.subscribe, taken.unsubscribe))
    assert taken.problems == []
    assert sidecar.states == {}


def test_in_sync_means_that_all_that_was_asked_for_is_answered():
    sidecar = Sidecar()
    assert not sidecar.store.is_synced
    sidecar.push()
    assert sidecar.store.is_synced
    sidecar.want()
    assert not sidecar.store.is_synced
    sidecar.push(service("bank/a"), *lane("bank/a:80", 1)[:2])
    assert sidecar.store.awaited() == ["routes/bank/a:80"]
    sidecar.push(removed=["routes/bank/a:80"])
    assert sidecar.store.is_synced
    sidecar.store.end()
    assert not sidecar.store.is_synced


def test_a_new_stream_begins_with_what_is_held():
    sidecar = Sidecar()
    sidecar.want()
    sidecar.want("gone")
    sidecar.push(service("bank/a"), *lane("bank/a:80", 1), removed=["service/bank/gone"])
    new = routes("bank/a:80", "bank/b:80")
    sidecar.push(new)
    sidecar.store.end()
    known, wanted = sidecar.store.begin()
    assert known == {
        "service/bank/a": service("bank/a").version,
        "backend/bank/a:80": backend("bank/a:80").version,
        "endpoints/bank/a:80": endpoints("bank/a:80", 1).version,
        "routes/bank/a:80": new.version,
    }
    assert set(wanted) == {"service/shop/*", *sidecar.followed}
    assert sidecar.store.awaited() == ["backend/bank/b:80", "endpoints/bank/b:80", "service/bank/gone"]


def test_an_idle_service_is_let_go_with_all_that_it_needs():
    sidecar = Sidecar()
    sidecar.want()
    sidecar.push(service("bank/a"), *lane("bank/a:80", 1))
    taken = sidecar.wait(600.0)
    assert sorted(taken.change.forgotten) == sorted(taken.unsubscribe) == sorted(["service/bank/a", *LANE])
    assert sidecar.states == {}
    assert sidecar.store.next_at() is None


def test_what_two_services_need_stays_for_the_other_one():
    sidecar = Sidecar()
    sidecar.want("a")
    sidecar.want("b")
    both = [backend("bank/c:80"), endpoints("bank/c:80", 1)]
    sidecar.push(
        service("bank/a"), service("bank/b"), routes("bank/a:80", "bank/c:80"), routes("bank/b:80", "bank/c:80")
    )
    sidecar.push(*both)
    sidecar.now = 300.0
    sidecar.store.wants.on_traffic([("bank", "b")], 300.0)
    sidecar.wait(300.0)
    assert set(sidecar.states) == {"service/bank/b", "routes/bank/b:80", "backend/bank/c:80", "endpoints/bank/c:80"}


def test_a_hundred_thousand_hostile_names_leave_the_called_ones_and_little_else():
    sidecar = Sidecar()
    sidecar.want()
    sidecar.push(service("bank/a"), *lane("bank/a:80", 1))
    store = sidecar.store
    for n in range(100_000):
        sidecar.now += 0.001
        if n % 5_000 == 0:
            store.wants.on_traffic([("bank", "a")], sidecar.now)
        if store.want("bank", f"h{n}", None, sidecar.now) is Outlook.COMING:
            taken = store.on_time(sidecar.now)
            take(store, push(removed=taken.subscribe), sidecar.now)
    assert len(store.followed) <= 4 * 1024
    assert service("bank/a") in store.entries()
    assert store.wants.called <= 1024
    assert len(store._states) <= len(store.followed)
    assert len(store._touched) == len(store._awaited) == 0


def test_what_an_earlier_life_left_is_taken_as_far_as_it_is_wanted():
    sidecar = Sidecar()
    saved = [
        service("bank/a"),
        *lane("bank/a:80", 1),
        service("shop/own"),
        *lane("shop/own:80", 2),
        service("bank/other"),
        *lane("bank/other:80", 3),
    ]
    sidecar.note(sidecar.store.restore(saved, [("bank", "a")], 0.0))
    assert set(sidecar.states) == set(names(saved[:8]))
    assert set(sidecar.store.begin()[0]) == set(sidecar.states)
    assert sidecar.store.wants.used() == [("bank", "a")]


def test_restored_routes_are_not_held():
    sidecar = Sidecar()
    lame = [service("bank/a"), routes("bank/a:80", "bank/gone:80")]
    taken = sidecar.store.restore(lame, [("bank", "a")], 0.0)
    assert taken.change.updated == lame
    assert sidecar.store.held == {}


def test_a_change_that_took_no_effect_comes_again_with_the_next():
    sidecar = Sidecar()
    sidecar.want()
    lost = take(sidecar.store, push(service("bank/a"), *lane("bank/a:80", 1)), 0.0)
    sidecar.store.offer_again(lost.change)
    assert not sidecar.store.is_due
    taken = sidecar.push(endpoints("bank/a:80", 2))
    assert set(names(taken.change.updated)) == {"service/bank/a", *LANE}


# Whatever the order: a control plane whose objects change, and that tells of them bit by bit.

KEYS = ("bank/a:80", "bank/b:80", "bank/c:80")
one_route = st.builds(
    lambda key, to, n: routes(key, *to, name=f"v{n}"),
    st.sampled_from(KEYS),
    st.lists(st.sampled_from(KEYS), min_size=1, max_size=3, unique=True),
    st.integers(0, 3),
)
one_endpoints = st.builds(
    lambda key, numbers: endpoints(key, *sorted(numbers)), st.sampled_from(KEYS), st.sets(st.integers(1, 5))
)
one_change = st.one_of(
    one_route,
    one_endpoints,
    st.builds(backend, st.sampled_from(KEYS)),
    st.builds(lambda key: service(key[:-3]), st.sampled_from(KEYS)),
    st.builds(
        lambda kind, key: f"{kind}/{key}", st.sampled_from(["routes", "backend", "endpoints"]), st.sampled_from(KEYS)
    ),
    st.builds(lambda key: f"service/{key[:-3]}", st.sampled_from(KEYS)),
)
step = st.one_of(
    st.tuples(st.just("change"), st.lists(one_change, max_size=4)),
    st.tuples(st.just("tell"), st.integers(0, 255)),
    st.tuples(st.just("wait"), st.floats(0, 4)),
    st.tuples(st.just("want"), st.sampled_from("abc")),
    st.tuples(st.just("poison"), st.none()),
    st.tuples(st.just("reconnect"), st.none()),
)


class Server:
    """Follows the protocol's rules: the newest version of what is followed, patches against what was taken."""

    def __init__(self, sidecar):
        self.sidecar = sidecar
        self.objects = {}
        self.held = {}  # what the sidecar has acknowledged: an entry, or None for what does not exist

    def due(self):
        return [
            name
            for name in sorted(self.sidecar.followed)
            if name not in self.held or self.objects.get(name) != self.held[name]
        ]

    def tell(self, chosen, poison=()):
        updated, removed = [], []
        for name in chosen:
            entry, held = self.objects.get(name), self.held.get(name)
            if entry is None:
                removed.append(name)
            elif held is not None and name.startswith("endpoints"):
                updated.append(patched(held, entry))
            else:
                updated.append(entry)
        taken = self.sidecar.push(*updated, *poison, removed=removed)
        assert bool(taken.problems) == bool(poison), taken.problems
        if not poison:
            self.held.update({name: self.objects.get(name) for name in chosen})
        self.held = {name: entry for name, entry in self.held.items() if name in self.sidecar.followed}

    def reconnect(self):
        self.sidecar.store.end()
        known, wanted = self.sidecar.store.begin()
        assert set(wanted) == {*self.sidecar.followed, "service/shop/*"}
        assert known == {name: entry.version for name, entry in self.held.items() if entry is not None}
        self.held = {name: self.held[name] for name in known}


@settings(max_examples=300, deadline=None)
@given(st.lists(step, max_size=25))
def test_whatever_the_order_of_pushes_what_is_in_effect_in_the_end_is_what_the_server_has(steps):
    sidecar = Sidecar()
    server = Server(sidecar)
    sidecar.want("a", 80)
    ever = set()
    for what, value in steps:
        match what:
            case "change":
                for one in value:
                    if isinstance(one, str):
                        server.objects.pop(one, None)
                    else:
                        server.objects[one.name] = one
                        ever.add((one.name, one.version))
            case "tell":
                server.tell([name for n, name in enumerate(server.due()) if value >> (n % 8) & 1])
            case "wait":
                sidecar.wait(value)
            case "want":
                sidecar.want(value, 80)
            case "poison":
                before = dict(sidecar.states)
                server.tell(server.due()[:3], [Update(name="service/shop/Q", version="1")])
                assert {**before, **sidecar.states} == {**sidecar.states, **before}
            case "reconnect":
                server.reconnect()
        assert all((state.name, state.version) in ever for state in sidecar.states.values() if state is not None)
    while due := server.due():
        server.tell(due)
    sidecar.wait(HOLD_S)
    while due := server.due():
        server.tell(due)
    assert sidecar.store.held == {}
    assert sidecar.states == {name: server.objects.get(name) for name in sidecar.followed}
    assert sidecar.store.is_synced
