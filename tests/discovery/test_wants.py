import pytest
from hypothesis import given
from hypothesis import strategies as st

from meshproxy.discovery.wants import Limits, Wants

FEW = Limits(called=4, idle_s=600.0, own=2, earlier=3, unanswered=2, calls_per_s=1e9, calls_at_once=10**9)


def key(name):
    return ("shop", str(name))


def called(wants, *names, exists=True, now=0.0):
    for name in names:
        assert wants.call(key(name), 80, now)
        wants.on_answer(key(name), exists, now)


def test_a_called_service_is_wanted_until_it_is_idle():
    wants = Wants(FEW)
    called(wants, "a", now=10.0)
    assert key("a") in wants
    assert wants.next_at() == 610.0
    wants.drop_idle(609.9)
    assert key("a") in wants
    wants.changed.clear()
    wants.drop_idle(610.0)
    assert key("a") not in wants
    assert wants.changed == {key("a")}
    assert wants.next_at() is None


@pytest.mark.parametrize("again", [lambda w: w.call(key("a"), 80, 500.0), lambda w: w.on_traffic([key("a")], 500.0)])
def test_use_keeps_it(again):
    wants = Wants(FEW)
    called(wants, "a")
    again(wants)
    wants.drop_idle(1099.0)
    assert key("a") in wants


def test_the_least_recently_used_goes_first():
    wants = Wants(FEW)
    called(wants, "a", "b", "c", "d")
    wants.on_traffic([key("a")], 1.0)
    called(wants, "e", now=2.0)
    assert [name for name in "abcde" if key(name) in wants] == ["a", "c", "d", "e"]


def test_what_does_not_exist_goes_before_what_does():
    wants = Wants(FEW)
    called(wants, "a", "b", "c")
    called(wants, "x", exists=False)
    called(wants, "y", exists=False)
    called(wants, "z", exists=False)
    assert [name for name in "abcxyz" if key(name) in wants] == ["a", "b", "c", "z"]


def test_what_comes_to_exist_is_treated_like_the_others():
    wants = Wants(FEW)
    called(wants, "x", exists=False)
    called(wants, "a", "b", "c")
    wants.on_answer(key("x"), exists=True, now=5.0)
    called(wants, "d", now=6.0)
    assert [name for name in "abcdx" if key(name) in wants] == ["b", "c", "d", "x"]


def test_so_many_may_be_unanswered():
    wants = Wants(FEW)
    assert [wants.call(key(n), None, 0.0) for n in range(3)] == [True, True, False]
    assert wants.call(key(0), None, 0.0), "the same again is nothing new"
    wants.on_answer(key(0), exists=False, now=0.0)
    assert wants.call(key(3), None, 0.0)
    assert sorted(wants._unanswered) == [key(1), key(3)]


def test_new_names_come_at_a_bounded_rate():
    wants = Wants(Limits())

    def many(now, prefix):
        admitted = 0
        for n in range(1000):
            name = key(f"{prefix}{n}")
            if wants.call(name, None, now):
                admitted += 1
                wants.on_answer(name, exists=False, now=now)
        return admitted

    assert many(0.0, "a") == 256
    assert many(0.5, "b") == 50


def test_hostile_names_neither_grow_nor_displace_what_exists():
    wants = Wants(Limits(calls_per_s=1e9, calls_at_once=10**9))
    called(wants, *(f"real-{n}" for n in range(500)))
    wants.on_own(key("own"), exists=True)
    wants.on_earlier([key("before")])
    for n in range(100_000):
        assert wants.call(key(f"h{n}"), n % 65_536, 1.0)
        wants.on_answer(key(f"h{n}"), exists=False, now=1.0)
    assert wants.called == 1024
    assert all(key(f"real-{n}") in wants for n in range(500))
    assert key("own") in wants
    assert key("before") in wants
    assert len(wants.used()) <= 256


def test_hostile_ports_of_one_name_are_bounded():
    wants = Wants(FEW)
    for port in range(1, 1000):
        wants.call(key("a"), port, 0.0)
    assert wants.ports(key("a")) == [1, 2, 3, 4]
    assert wants.ports(key("b")) == [80]


def test_services_of_the_own_namespace_are_bounded_and_make_room():
    wants = Wants(FEW)
    for name in "abc":
        wants.on_own(key(name), exists=True)
    assert [key(name) in wants for name in "abc"] == [True, True, False]
    wants.on_own(key("a"), exists=False)
    wants.on_own(key("c"), exists=True)
    assert [key(name) in wants for name in "abc"] == [False, True, True]


def test_what_an_earlier_life_called_stays_for_this_one():
    wants = Wants(FEW)
    wants.on_earlier(map(key, "abcd"))
    wants.drop_idle(1e9)
    assert [key(name) in wants for name in "abcd"] == [True, True, True, False]


def test_a_later_life_is_told_what_was_used_last_first():
    wants = Wants(FEW)
    wants.on_earlier(map(key, "ab"))
    called(wants, "c")
    called(wants, "x", exists=False)
    wants.on_own(key("own"), exists=True)
    assert wants.used() == [key("c"), key("a"), key("b")]
    wants.on_traffic([key("own"), key("stranger")], 1.0)
    assert wants.used() == [key("own"), key("c"), key("a")]
    wants.on_answer(key("c"), exists=False, now=2.0)
    wants.on_answer(key("a"), exists=False, now=2.0)
    assert wants.used() == [key("own"), key("b")]


@given(
    st.lists(
        st.tuples(
            st.sampled_from(["call", "there", "not", "own", "not-own", "traffic", "idle"]),
            st.integers(0, 9),
            st.floats(0, 400),
        )
    )
)
def test_whatever_happens_the_bounds_hold_and_every_change_is_told(steps):
    wants = Wants(FEW)
    now = 0.0
    believed = set()
    for what, name, later in steps:
        now += later
        match what:
            case "call":
                wants.call(key(name), 80, now)
            case "there" | "not":
                wants.on_answer(key(name), what == "there", now)
            case "own" | "not-own":
                wants.on_own(key(name), what == "own")
            case "traffic":
                wants.on_traffic([key(name)], now)
            case "idle":
                wants.drop_idle(now)
                assert (wants.next_at() or now + 1) > now
        for changed in wants.changed:
            (believed.add if changed in wants else believed.discard)(changed)
        wants.changed.clear()
        assert believed == {key(n) for n in range(10) if key(n) in wants}
        assert wants.called <= FEW.called
        assert len(wants._unanswered) <= FEW.unanswered
        assert len(wants.used()) <= FEW.earlier
