import asyncio
import logging
import random
from contextlib import asynccontextmanager

import pytest
from tenacity import wait_fixed, wait_random_exponential

from control.kube import lines, reflection, reflector
from control.kube.failure import KubeError
from control.kube.mirror import Mirror
from control.kube.pool import Pool
from control.kube.reflector import Reflector, _wait_s
from control.model.kinds import GATEWAY
from control.model.objects import Key
from tests.control.build import http_route, pod, rule
from tests.control.kube.said import (
    AWAY,
    BY_NAME,
    GONE,
    Script,
    bookmark,
    error_line,
    groups,
    kinds,
    line,
    page,
    versioned,
)
from tests.fakes.loop import on_uvloop, passed, until

POD = BY_NAME["Pod"].kind
ROUTE = BY_NAME["HTTPRoute"].kind
NOT_FOUND = KubeError("404 page not found", 404)


@pytest.fixture(autouse=True)
def _quick(monkeypatch):
    monkeypatch.setattr(reflector, "_BACKOFF", wait_random_exponential(multiplier=0.001, max=0.01))


@asynccontextmanager
async def following(api, name="Pod", mirror=None):
    """A reflector that runs, with all that it delivered as `changes` and the lists it told as `listed`."""
    changes, listed, back = [], [], []
    made = Reflector(
        BY_NAME[name],
        api,
        mirror if mirror is not None else Mirror(),
        pool=Pool(),
        turn=asyncio.Lock(),
        deliver=changes.extend,
        on_listed=lambda: listed.append(True),
        on_back=lambda: back.append(True),
        rng=random.Random(1),
    )
    made.changes, made.listed, made.back, made.mirror = changes, listed, back, made._mirror
    task = asyncio.create_task(made.run())
    try:
        yield made
    finally:
        assert not task.done()
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        if isinstance(api, Script):
            assert api.open == 0


def stream(*made, version=100, more=(None,)):
    """The lines of a streamed list, and what comes after."""
    return [*(line("ADDED", one, 50) for one in made), bookmark("Pod", version, ends_initial=True), *more]


def names(found):
    return sorted(seen.key.name for seen in found.mirror.list(found.watched.kind))


@on_uvloop
async def test_it_lists_and_follows():
    api = Script(stream(pod("a"), more=[line("ADDED", pod("b"), 101), line("DELETED", pod("a"), 102), None]))
    async with following(api) as found:
        await until(lambda: names(found) == ["b"])
        assert [(change.key.name, change.item is None) for change in found.changes] == [
            ("a", False), ("b", False), ("a", True),
        ]  # fmt: skip
        assert found.listed == [True]
        state = found.state()
        assert (state.kind, state.api_version, state.phase, state.objects) == ("Pod", "v1", "watching", 1)
        assert (state.failure, state.refused, state.lists, state.restarts) == ("", 0, 1, 0)
        assert 0 <= state.heard_age_s < 10
    ((path, query),) = api.asked
    assert path == "/api/v1/pods"
    assert 300 <= int(query["timeoutSeconds"]) <= 600
    assert query["sendInitialEvents"] == "true"


@on_uvloop
async def test_a_watch_that_the_server_ends_is_resumed_from_the_bookmark_at_once(caplog):
    caplog.set_level(logging.INFO)
    api = Script(
        stream(pod("a"), more=[bookmark("Pod", 130)]), [bookmark("Pod", 140)], [line("ADDED", pod("b"), 141), None]
    )
    async with following(api) as found:
        await until(lambda: names(found) == ["a", "b"])
        assert found.state().restarts == 2
        assert found.state().lists == 1
    assert [query.get("resourceVersion") for _, query in api.asked] == [None, "130", "140"]
    assert not any(record.levelno > logging.INFO for record in caplog.records)


@pytest.mark.parametrize("how", ["status", "event"])
def test_a_version_that_is_too_old_leads_to_a_list_that_changes_what_is_different(how):
    @on_uvloop
    async def run():
        gone = GONE if how == "status" else [error_line(410, "Expired")]
        api = Script(stream(pod("a"), pod("b")), gone, stream(pod("a"), pod("c"), version=900))
        api.answers[0].pop()
        async with following(api) as found:
            await until(lambda: names(found) == ["a", "c"])
            await until(lambda: len(found.listed) == 2)
            assert [(change.key.name, change.item is None) for change in found.changes[2:]] == [
                ("c", False),
                ("b", True),
            ]
            assert found.state().phase == "watching"
            assert found.reflection.lists == {"start": 1, "expired": 1}
            assert found.counts.failures["expired"] == 1

    run()


@on_uvloop
async def test_a_server_that_refuses_to_stream_lists_is_asked_for_pages():
    refused = KubeError("sendInitialEvents is forbidden", 422)
    first = page("Pod", [versioned(pod("a"), 5)], 70, "more")
    api = Script(refused, first, page("Pod", [versioned(pod("b"), 6)], 70), [line("ADDED", pod("c"), 71), None])
    async with following(api) as found:
        await until(lambda: names(found) == ["a", "b", "c"])
    assert [query.get("continue") for _, query in api.asked[1:3]] == [None, "more"]
    assert api.asked[3][1]["resourceVersion"] == "70"
    assert "sendInitialEvents" not in api.asked[3][1]
    assert dict(found.counts.requests) == {("watch", 422): 1, ("list", 200): 2, ("watch", 200): 1}
    assert found.counts.failures == {"refused": 1}


@pytest.mark.parametrize("sign", ["bookmark", "silence"])
def test_a_server_that_does_not_end_its_list_is_asked_for_pages(sign, monkeypatch):
    monkeypatch.setattr(reflector, "LIST_SILENT_S", 0.05)
    said = [line("ADDED", pod("a"), 5), bookmark("Pod", 60) if sign == "bookmark" else None]
    api = Script([*said, None], page("Pod", [versioned(pod("a"), 5)], 70), [None])

    @on_uvloop
    async def run():
        async with following(api) as found:
            await until(lambda: found.is_listed)
            assert names(found) == ["a"]
            assert len(found.changes) == 1
            assert found.counts.failures == {"ignored" if sign == "bookmark" else "silence": 1}

    run()


@on_uvloop
async def test_metadata_alone_is_asked_for_of_nodes():
    blank = {"kind": "PartialObjectMetadata", "apiVersion": "meta.k8s.io/v1", "metadata": {"name": "n1"}}
    end = bookmark("Node", 9, ends_initial=True).replace(b'"kind":"Node"', b'"kind":"PartialObjectMetadata"')
    end = end.replace(b'"apiVersion":"v1"', b'"apiVersion":"meta.k8s.io/v1"')
    api = Script([line("ADDED", blank, 5), end, None])
    async with following(api, "Node") as found:
        await until(lambda: found.is_listed)
        assert names(found) == ["n1"]
    assert api.accepted == ["application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1,application/json"]


def test_a_watch_that_is_silent_leads_to_a_list(monkeypatch, caplog):
    monkeypatch.setattr(reflector, "SILENT_S", 0.08)
    caplog.set_level(logging.INFO)
    # A word now and then is enough; what it knows already is none.
    talk = [
        0.05,
        bookmark("Pod", 101),
        0.05,
        line("ADDED", pod("b"), 102),
        0.05,
        line("ADDED", pod("b"), 102),
        0.05,
        None,
    ]
    api = Script(stream(pod("a"), more=talk), stream(pod("a"), version=20))

    @on_uvloop
    async def run():
        async with following(api) as found:
            await until(lambda: len(found.listed) == 2)
            # What was heard before the silence is not in the list: it is gone.
            assert names(found) == ["a"]
            assert found.reflection.lists == {"start": 1, "doubt": 1}
            assert found.counts.failures == {"silence": 1}

    run()
    lost, back = (record.getMessage() for record in caplog.records)
    assert lost.startswith("pods: lost; what is known stays in effect")
    assert back.startswith("pods: back after ")
    assert "nothing came for" in lost


def test_waits_grow_by_chance_and_retry_after_is_kept_within_bounds(monkeypatch):
    monkeypatch.undo()

    class Outcome:
        def __init__(self, error):
            self.exception = lambda: error

    class State:
        attempt_number = 1

        def __init__(self, error):
            self.outcome = Outcome(error)

    assert 2.0 <= _wait_s(State(KubeError("later", 429, retry_after_s=2.0))) <= 2.2
    assert 120.0 <= _wait_s(State(KubeError("later", 429, retry_after_s=1e9))) <= 120.2
    assert 0.0 <= _wait_s(State(AWAY)) <= 0.2
    late = State(AWAY)
    late.attempt_number = 50
    assert max(_wait_s(late) for _ in range(200)) <= 30.0
    assert max(_wait_s(late) for _ in range(200)) > 5.0


@on_uvloop
async def test_who_is_asked_to_wait_waits():
    api = Script(KubeError("later", 429, "TooManyRequests", 0.3), page("Pod", [], 5), [None])
    async with following(api) as found:
        await until(lambda: found.is_listed)
    assert api.at[1] - api.at[0] >= 0.299  # the loop tells whole milliseconds


@on_uvloop
@pytest.mark.parametrize(
    "error",
    [AWAY, KubeError("pods is forbidden", 403, "Forbidden"), KubeError("Unauthorized", 401, "Unauthorized")],
    ids=["away", "its roles are not read yet", "its keys are not read yet"],
)
async def test_who_waits_for_a_server_to_come_back_need_not_wait_to_the_end(monkeypatch, error):
    monkeypatch.setattr(reflector, "_BACKOFF", wait_fixed(60))
    api = Script(error, stream(pod("a")))
    async with following(api) as found:
        await until(lambda: found.state().failure)
        found.hurry()
        await until(lambda: found.is_listed)
    assert api.at[1] - api.at[0] < 10
    assert found.back == [True]


@on_uvloop
async def test_who_is_asked_to_wait_waits_no_longer_than_that_once_the_server_is_back(monkeypatch):
    monkeypatch.setattr(reflector, "_BACKOFF", wait_fixed(60))
    api = Script(KubeError("storage is (re)initializing", 429, "TooManyRequests", 0.3), page("Pod", [], 5), [None])
    async with following(api) as found:
        await until(lambda: found.state().failure)
        found.hurry()
        await until(lambda: found.is_listed)
    assert 0.299 <= api.at[1] - api.at[0] < 10


@on_uvloop
async def test_a_version_that_is_gone_when_the_server_is_back_is_followed_by_a_list_at_once(monkeypatch):
    waits = []

    def wait(state):
        waits.append(str(state.outcome.exception()))
        return 0.01

    monkeypatch.setattr(reflector, "_BACKOFF", wait)
    api = Script(stream(pod("a"), more=[AWAY]), AWAY, GONE, stream(pod("b"), version=900))
    async with following(api) as found:
        await until(lambda: names(found) == ["b"])
    assert waits == [str(AWAY), str(AWAY)]


@on_uvloop
async def test_a_server_whose_versions_are_gone_at_once_is_not_listed_without_a_pause(monkeypatch):
    waits = []

    def wait(state):
        waits.append(str(state.outcome.exception()))
        return 0.01

    monkeypatch.setattr(reflector, "_BACKOFF", wait)
    api = Script(*[stream(pod("a"), more=[error_line(410, "Expired", "gone")])] * 6)
    async with following(api):
        await until(lambda: len(api.asked) == 7)
    assert len(waits) == 3


@on_uvloop
async def test_what_is_known_stays_while_the_server_is_away_and_two_lines_say_so(caplog):
    caplog.set_level(logging.INFO)
    away = [AWAY] * 3
    api = Script(stream(pod("a"), more=[AWAY]), *away, [line("ADDED", pod("b"), 101), None])
    async with following(api) as found:
        await until(lambda: len(api.answers) <= 2)
        state = found.state()
        assert (state.phase, state.failure, state.objects, state.is_listed) == ("lost", "connection refused", 1, True)
        await until(lambda: names(found) == ["a", "b"])
        assert found.state().phase == "watching"
        assert found.state().failure == ""
        assert len(found.changes) == 2
        await until(lambda: len(caplog.records) == 2)
    lost, back = (record.getMessage() for record in caplog.records)
    assert lost == "pods: lost; what is known stays in effect, and it is tried again: connection refused"
    assert back.startswith("pods: back after ")
    assert found.counts.failures == {"connection": 4}


@on_uvloop
async def test_a_resumed_watch_that_says_nothing_and_does_not_fail_is_back_soon():
    api = Script(stream(pod("a"), more=[AWAY]), AWAY, [None])
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(reflector, "SETTLED_S", 0.05)
        async with following(api) as found:
            await until(lambda: found.state().restarts == 1)
            assert found.state().phase == "lost"
            await until(lambda: found.state().phase == "watching")


def test_other_reasons_are_told_too_but_not_each_time(caplog):
    caplog.set_level(logging.INFO)
    forbidden = KubeError("pods is forbidden", 403, "Forbidden")
    reasons = [AWAY, forbidden, AWAY, forbidden, AWAY]
    api = Script(stream(pod("a"), more=[AWAY]), *reasons, [line("ADDED", pod("b"), 101), None])

    @on_uvloop
    async def run():
        async with following(api) as found:
            await until(lambda: names(found) == ["a", "b"] and len(caplog.records) == 3)

    run()
    first, second, back = (record.getMessage() for record in caplog.records)
    assert first.endswith("connection refused")
    assert second == "pods: still lost, and what is known stays in effect: pods is forbidden"
    assert back.startswith("pods: back after ")


@on_uvloop
async def test_it_says_why_a_kind_cannot_be_listed_yet(caplog):
    caplog.set_level(logging.INFO)
    api = Script(KubeError("pods is forbidden", 403, "Forbidden"), stream(pod("a")))
    async with following(api) as found:
        await until(lambda: found.is_listed and len(caplog.records) == 2)
    first, back = (record.getMessage() for record in caplog.records)
    assert first == "pods: cannot be listed yet, and is tried again until it can: pods is forbidden"
    assert back.startswith("pods: back after ")


@pytest.mark.parametrize(
    "garbage",
    [b"<html>Welcome</html>", b"x" * 2000, line("ADDED", http_route("web"), 200), b'{"type":"ADDED","object":{}}'],
    ids=["html", "too long", "another kind", "empty"],
)
def test_garbage_is_never_a_change_and_leads_to_a_list_by_pages(garbage, monkeypatch):
    monkeypatch.setattr(lines, "MAX_LINE_BYTES", 1000)
    api = Script(
        stream(pod("a"), pod("b"), more=[line("ADDED", pod("c"), 101), garbage, line("DELETED", pod("a"), 102)]),
        page("Pod", [versioned(one, 90) for one in (pod("a"), pod("b"), pod("c"))], 300),
        [None],
    )

    @on_uvloop
    async def run():
        async with following(api) as found:
            await until(lambda: len(found.listed) == 2)
            assert names(found) == ["a", "b", "c"]
            assert len(found.changes) == 3
            assert found.counts.failures == {"garbage": 1}
            assert found.state().phase == "watching"

    run()


@on_uvloop
async def test_a_list_of_garbage_is_tried_again():
    html = b"<html>Welcome</html>"
    api = Script([html, None], html, stream(pod("a")))
    async with following(api) as found:
        await until(lambda: found.is_listed)
        assert names(found) == ["a"]
        assert found.counts.failures == {"garbage": 2}


@on_uvloop
async def test_a_watch_that_ends_in_the_middle_of_a_line_is_resumed_before_it():
    class Cut(Script):
        async def _chunks(self, answer):
            async for chunk in super()._chunks(answer):
                yield chunk.removesuffix(b"\n") if chunk.endswith(b"cut\n") else chunk

    half = line("ADDED", pod("b"), 101)[:90] + b"cut"
    api = Cut(stream(pod("a"), more=[half]), [line("ADDED", pod("b"), 101), None])
    async with following(api) as found:
        await until(lambda: names(found) == ["a", "b"])
    assert api.asked[1][1]["resourceVersion"] == "100"


@on_uvloop
async def test_events_split_anywhere_are_put_together():
    class Split(Script):
        async def _chunks(self, answer):
            async for chunk in super()._chunks(answer):
                for start in range(0, len(chunk), 7):
                    yield chunk[start : start + 7]

    async with following(Split(stream(pod("a"), pod("b")))) as found:
        await until(lambda: found.is_listed)
        assert names(found) == ["a", "b"]


LOOKED = (groups(), groups(GATEWAY), kinds("httproutes", "httproutes/status"))


@on_uvloop
async def test_a_kind_that_is_not_installed_is_noticed_when_it_comes(caplog):
    caplog.set_level(logging.INFO)
    nothing, group, served = LOOKED
    end = bookmark("HTTPRoute", 9, ends_initial=True)
    route = http_route("web", rule("web"))
    api = Script(NOT_FOUND, nothing, AWAY, nothing, group, served, [line("ADDED", route, 5), end, None])
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(reflector, "LOOK_S", 0.02)
        async with following(api, "HTTPRoute") as found:
            await until(lambda: found.listed)
            assert found.state().phase == "absent"
            assert found.state().is_listed
            await until(lambda: names(found) == ["web"] and found.state().phase == "watching")
    said = [record.getMessage() for record in caplog.records]
    assert said == [
        "httproutes.gateway.networking.k8s.io: the kind is not installed; looked for every 0 s",
        "httproutes.gateway.networking.k8s.io: the kind is installed now",
    ]
    assert [path for path, _ in api.asked[1:6]] == ["/apis"] * 4 + [f"/apis/{GATEWAY}/v1"]


@on_uvloop
async def test_a_kind_is_read_in_the_first_version_that_is_served():
    group, old = groups(GATEWAY), kinds("gateways")
    end = bookmark("ReferenceGrant", 9, ends_initial=True).replace(b"/v1", b"/v1beta1")
    api = Script(NOT_FOUND, group, old, kinds("referencegrants"), [end, None])
    async with following(api, "ReferenceGrant") as found:
        await until(lambda: found.is_listed)
        assert found.state().api_version == f"{GATEWAY}/v1beta1"
    assert api.asked[-1][0] == f"/apis/{GATEWAY}/v1beta1/referencegrants"


@pytest.mark.parametrize(
    "answer",
    [
        b"<html>", b"{}", b'{"kind":"APIGroupList","groups":[]}', KubeError("no", 503), KubeError("no", 404),
        groups(GATEWAY).replace(b"APIGroupList", b"List"), b'{"x":' + b"[" * 100_000,
    ],
)  # fmt: skip
def test_an_answer_that_may_be_wrong_does_not_make_a_kind_absent(answer):
    api = Script(NOT_FOUND, *[answer] * 3)

    @on_uvloop
    async def run():
        async with following(api, "HTTPRoute") as found:
            await until(lambda: len(api.asked) == 5)
            assert not found.is_listed
            assert found.listed == []
            assert "defect" not in found.counts.failures

    run()


@on_uvloop
async def test_a_kind_that_vanishes_is_given_up_after_a_while_and_not_before(caplog):
    caplog.set_level(logging.INFO)
    nothing = LOOKED[0]
    end = bookmark("HTTPRoute", 9, ends_initial=True)
    route = http_route("web", rule("web"))
    api = Script([line("ADDED", route, 5), end], NOT_FOUND, *[nothing] * 200)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(reflector, "LOOK_S", 0.01)
        patch.setattr(reflection, "MISSING_S", 0.2)
        async with following(api, "HTTPRoute") as found:
            await until(lambda: found.state().phase == "lost" and found.reflection.is_missing)
            assert names(found) == ["web"]
            await until(lambda: found.state().phase == "absent")
            assert api.at[-1] - api.at[2] >= 0.2
            assert [(change.key, change.item) for change in found.changes[1:]] == [(Key("shop", "web"), None)]
    said = [record.getMessage() for record in caplog.records]
    assert "does not serve this kind any more" in said[0]
    assert said[1].endswith("its 1 objects are given up")
    assert len(said) == 2


@on_uvloop
async def test_a_kind_that_discovery_names_and_nobody_serves_is_told(caplog):
    found = [groups(GATEWAY), kinds("httproutes")]
    api = Script(
        NOT_FOUND, *found, NOT_FOUND, *found, NOT_FOUND, *found, [bookmark("HTTPRoute", 9, ends_initial=True), None]
    )
    async with following(api, "HTTPRoute") as following_:
        await until(lambda: following_.is_listed)
    (record,) = caplog.records
    assert "names this kind, but does not find it" in record.getMessage()


@on_uvloop
async def test_objects_that_cannot_be_taken_are_told_once(caplog):
    broken = [{**pod(name), "spec": {"serviceAccountName": 7}} for name in ("a", "b", "c")]
    api = Script(stream(*broken, pod("d"), more=[line("MODIFIED", broken[0], 101), line("ADDED", pod("e"), 102), None]))
    async with following(api) as found:
        await until(lambda: names(found) == ["d", "e"])
        assert found.state().refused == 3
        assert found.refused.keys() == {Key("shop", "a"), Key("shop", "b"), Key("shop", "c")}
    (record,) = caplog.records
    assert record.getMessage().startswith("pods: 3 objects cannot be taken and count as absent, among them shop/c: ")


class Clumsy(Mirror):
    """Fails once, at an object called b."""

    has_failed = False

    def put(self, kind, key, version, item):
        if key.name == "b" and not self.has_failed:
            self.has_failed = True
            raise ValueError("the shelf is crooked")
        return super().put(kind, key, version, item)


@on_uvloop
async def test_a_defect_of_ours_is_told_and_leads_to_a_list(caplog):
    api = Script(stream(pod("a"), more=[line("ADDED", pod("b"), 101), None]), stream(pod("a"), pod("b"), version=102))
    async with following(api, mirror=Clumsy()) as found:
        await until(lambda: len(found.listed) == 2)
        assert names(found) == ["a", "b"]
        assert [change.key.name for change in found.changes] == ["a", "b"]
        assert found.counts.failures == {"defect": 1}
    assert "the shelf is crooked" in caplog.text
    assert "a defect" in caplog.records[0].getMessage()


@on_uvloop
async def test_while_a_big_list_is_taken_others_have_their_turn():
    made = [line("ADDED", pod(f"p{number}"), 50) for number in range(5_000)]
    chunks = [b"\n".join(made[start : start + 500]) for start in range(0, len(made), 500)]
    turns = 0
    async with following(Script([*chunks, bookmark("Pod", 100, ends_initial=True), None])) as found:
        while not found.is_listed:
            await asyncio.sleep(0)
            turns += 1
        assert found.mirror.count(POD) == 5_000
    # All of it takes some 100 ms, and nobody else has to wait for more than a few.
    assert turns >= 10


@on_uvloop
async def test_it_ends_when_it_is_cancelled_wherever_it_is():
    for api in (Script(), Script([None]), Script(stream(pod("a"))), Script(NOT_FOUND), Script(AWAY)):
        async with following(api, "HTTPRoute" if api.answers == [NOT_FOUND] else "Pod"):
            await passed(0.01)
