import msgspec
import pytest
from hypothesis import event, given, settings
from hypothesis import strategies as st

from control.index.index import Index
from control.kube.events import Garbage
from control.kube.failure import KubeError
from control.kube.mirror import Mirror
from control.kube.reflection import LIVED_S, MAX_RESUMED, MISSING_S, Ask, CutOff, Ignored, Silence
from control.model.decode import decode
from control.model.objects import Key, Pod
from tests.control.build import http_route, pod, rule, service
from tests.control.kube.said import (
    AWAY,
    BY_NAME,
    GONE,
    bookmark,
    encoded,
    error_line,
    line,
    page,
    reflection_of,
    versioned,
)
from tests.control.kube.world import STABLE, World

POD = BY_NAME["Pod"].kind
KEYS = [Key("shop", "a"), Key("shop", "b"), Key("bank", "a"), Key("bank", "c")]
FAILURES = [
    GONE,
    AWAY,
    KubeError("no", 403),
    KubeError("no", 500),
    KubeError("later", 429),
    Garbage("what?"),
    CutOff("cut"),
]


class Follower:
    """Drives a reflection with what a world says, right or wrong, and sees to it that nothing is given up in error."""

    def __init__(self, draw):
        self.draw = draw
        self.now = 0.0
        self.world = World()
        self.mirror = Mirror()
        self.index = Index()
        self.reflection = reflection_of("Pod", self.mirror)
        self.may_differ = True
        """Whether something was said wrong since the last complete list."""
        self.pages = []
        self.listed = set()
        self.taken = set()

    def items(self):
        return {seen.key: seen.item for seen in self.mirror.list(POD)}

    def apply(self, change, said=None):
        if change is None:
            return
        assert (change.key in self.taken) is (change.key in self.index.pods)
        if change.item is None:
            if said is None:
                assert change.key not in self.listed, "given up, though the list had it"
            else:
                assert change.key == said.key
                assert said.word == "DELETED" or said.document["spec"]["serviceAccountName"] == ["none"]
            self.index.delete(change.type, change.key)
            self.taken.discard(change.key)
        else:
            assert self.index.pods.get(change.key) != change.item, "a change of nothing"
            self.index.apply(change.item)
            self.taken.add(change.key)
        assert change.key not in STABLE or change.item is not None, "flapped"

    def hear(self, said):
        is_repeated = not self.reflection.is_listing and said.version <= self.reflection.version.number
        change = self.reflection.on_line(said.line, self.now)
        assert change is None or not is_repeated, "went back"
        if self.reflection.is_listing and said.word != "DELETED":
            self.listed.add(said.key)
        elif said.word == "DELETED":
            self.listed.discard(said.key)
        self.apply(change, said)

    def finish(self):
        known = self.items()
        for change in self.reflection.finish():
            assert change.item is None
            assert change.key in known
            self.apply(change)

    def fail(self, error):
        before = self.items()
        self.reflection.on_failure(error, self.now)
        assert self.items() == before

    def change_world(self):
        for _ in range(self.draw(st.integers(0, 3))):
            key = self.draw(st.sampled_from(KEYS))
            content = self.draw(st.integers(-2, 3))
            self.world.delete(key) if content < 0 else self.world.put(key, content)

    def step(self):
        self.now += self.draw(st.sampled_from([0.1, LIVED_S + 1]))
        self.change_world()
        ask = self.reflection.request().ask
        if self.draw(st.integers(0, 5)) == 0:
            self.fail(self.draw(st.sampled_from(FAILURES)))
        elif ask is Ask.STREAM:
            self.stream()
        elif ask is Ask.PAGE:
            self.page()
        else:
            self.watch()

    def stream(self, *, is_whole=False):
        """List by a watch: in any order, with changes among it, perhaps not to its end."""
        self.reflection.on_opened(self.now)
        self.listed = set()
        begun = self.world.version
        lines = self.draw(st.permutations([(key, document) for key, document in self.world.objects.items()]))
        if not is_whole and self.draw(st.booleans()):
            lines = lines[: self.draw(st.integers(0, len(lines)))]
            ending = self.draw(st.sampled_from(["cut", "ended", "ignored", "garbage", "gone", "silence"]))
        else:
            ending = ""
        for key, document in lines:
            change = self.reflection.on_line(line("ADDED", document, document["metadata"]["resourceVersion"]), self.now)
            self.listed.add(key)
            refused = document["spec"]["serviceAccountName"] == ["none"]
            self.apply(
                change, self.world.history[-1]._replace(word="ADDED", key=key, document=document) if refused else None
            )
        if not is_whole:
            self.change_world()
        for said in self.world.since(begun):
            self.hear(said)
        self.end_stream(ending)

    def end_stream(self, ending):
        if not ending:
            assert self.reflection.on_line(bookmark("Pod", self.world.version, ends_initial=True), self.now) is None
            assert self.reflection.has_all
            self.finish()
            self.may_differ = False
            assert self.items() == self.world.items()
            return
        error = {"cut": CutOff("cut"), "silence": Silence("nothing came"), "gone": None}.get(ending)
        try:
            if ending == "ended":
                self.reflection.on_ended(self.now)
            elif ending == "ignored":
                self.reflection.on_line(bookmark("Pod", self.world.version), self.now)
            elif ending == "garbage":
                self.reflection.on_line(b"<html>", self.now)
            elif ending == "gone":
                self.reflection.on_line(error_line(410, "Expired"), self.now)
        except KubeError as told:
            error = told
        assert error is not None
        self.fail(error)

    def page(self, *, is_whole=False):
        """List by pages, of the state when the first was asked for."""
        request = self.reflection.request()
        if "continue" not in request.query:
            self.pages = [(self.world.version, dict(self.world.objects))]
            self.listed = set()
        elif not self.pages:
            self.fail(GONE)
            return
        version, objects = self.pages[0]
        given = sorted(objects)
        start = int(request.query.get("continue", 0))
        size = len(given) if is_whole else self.draw(st.integers(1, 3))
        more = str(start + size) if start + size < len(given) else ""
        items = [objects[key] for key in given[start : start + size]]
        found = self.reflection.on_page(page("Pod", items, version, more), self.now)
        for raw, document in zip(found.items, items, strict=True):
            key = Key(document["metadata"]["namespace"], document["metadata"]["name"])
            change = self.reflection.on_item(raw)
            self.listed.add(key)
            refused = document["spec"]["serviceAccountName"] == ["none"]
            self.apply(change, self.world.history[-1]._replace(key=key, document=document) if refused else None)
        if self.reflection.has_all:
            self.finish()
            self.may_differ = False
            assert self.items().keys() == {
                key for key, document in objects.items() if document["spec"]["serviceAccountName"] != ["none"]
            }

    def watch(self):
        """Go on from a version: right, from too early, with holes, or not at all."""
        version = int(self.reflection.request().query["resourceVersion"])
        if version > self.world.version:
            self.reflection.on_opened(self.now)
            self.fail(Silence("nothing came"))
            return
        if version < self.world.oldest:
            if self.draw(st.booleans()):
                self.reflection.on_opened(self.now)
                with pytest.raises(KubeError) as error:
                    self.reflection.on_line(error_line(410, "Expired"), self.now)
                self.fail(error.value)
            else:
                self.fail(GONE)
            return
        self.reflection.on_opened(self.now)
        manner = self.draw(st.sampled_from(["right", "right", "early", "holes", "short"]))
        lines = self.world.since(version)
        if manner == "early":
            lines = self.world.since(version - self.draw(st.integers(0, 6)))
        elif manner == "holes" and lines:
            lines = [said for said in lines if self.draw(st.booleans())]
            self.may_differ = True
        elif manner == "short":
            lines = lines[: self.draw(st.integers(0, len(lines)))]
        for said in lines:
            self.hear(said)
        if manner in {"right", "early"}:
            assert self.reflection.on_line(bookmark("Pod", self.world.version), self.now) is None
            assert int(self.reflection.request().query["resourceVersion"]) == self.world.version
            if not self.may_differ:
                assert self.items() == self.world.items()
        if self.draw(st.booleans()):
            self.fail(self.draw(st.sampled_from([CutOff("cut"), AWAY])))
        else:
            self.reflection.on_ended(self.now + 5.0)

    def list_at_last(self):
        self.now += 1.0
        while not self.reflection.is_listing:
            self.fail(GONE)
        if self.reflection.request().ask is Ask.STREAM:
            self.stream(is_whole=True)
        else:
            self.fail(GONE)
            if self.reflection.request().ask is Ask.STREAM:
                self.stream(is_whole=True)
            else:
                self.page(is_whole=True)


@settings(max_examples=150, deadline=None)
@given(st.data())
def test_whatever_happens_nothing_flaps_and_a_list_makes_it_right(data):
    follower = Follower(data.draw)
    saved = follower.world.saved()
    for _ in range(data.draw(st.integers(1, 14))):
        what = data.draw(st.integers(0, 19))
        if what == 0:
            follower.world.compact()
        elif what == 1:
            saved = follower.world.saved()
        elif what == 2:
            event("restored from a backup")
            follower.world.restore(saved)
            # Of what is resumed in another past nobody can tell that it is another; pages of it are gone.
            follower.may_differ = True
            follower.pages = []
        else:
            follower.step()
        assert follower.index.pods == follower.items()
    follower.list_at_last()
    assert follower.items() == follower.world.items() == follower.index.pods
    assert follower.reflection.refused.keys() == follower.world.objects.keys() - follower.items().keys()
    assert follower.reflection.phase == "watching"


# What follows are the single cases, each by itself.


def listed(name="Pod", *made, version=100, mirror=None):
    """A reflection that has listed these and watches."""
    reflection = reflection_of(name, mirror if mirror is not None else Mirror())
    assert reflection.phase == "listing"
    assert reflection.request().ask is Ask.STREAM
    reflection.on_opened(0.0)
    for document in made:
        reflection.on_line(line("ADDED", document, version - 1), 0.0)
    reflection.on_line(bookmark(name, version, ends_initial=True), 0.0)
    assert list(reflection.finish()) == []
    assert reflection.phase == "watching"
    return reflection


def test_the_first_question_is_for_a_streamed_list_and_the_next_for_what_comes_after():
    request = reflection_of("EndpointSlice", Mirror()).request()
    assert request.path == "/apis/discovery.k8s.io/v1/endpointslices"
    assert request.query == {
        "watch": "true", "allowWatchBookmarks": "true", "sendInitialEvents": "true",
        "resourceVersionMatch": "NotOlderThan",
    }  # fmt: skip
    reflection = listed("EndpointSlice")
    reflection.on_line(bookmark("EndpointSlice", 120), 1.0)
    assert reflection.on_ended(2.0) is False
    assert reflection.request().query == {"watch": "true", "allowWatchBookmarks": "true", "resourceVersion": "120"}


@pytest.mark.parametrize(
    ("error", "ask"),
    [
        (AWAY, Ask.WATCH), (KubeError("no", 401), Ask.WATCH), (KubeError("no", 403), Ask.WATCH),
        (KubeError("later", 429), Ask.WATCH), (KubeError("no leader", 500), Ask.WATCH), (CutOff("cut"), Ask.WATCH),
        (GONE, Ask.STREAM), (KubeError("old", 200, "Expired"), Ask.STREAM), (KubeError("bad version", 400), Ask.STREAM),
        (KubeError("what?", 404), Ask.STREAM), (Silence("nothing came"), Ask.STREAM), (Garbage("what?"), Ask.PAGE),
    ],
)  # fmt: skip
def test_after_a_watch_that_fails_it_is_resumed_or_all_is_listed(error, ask):
    reflection = listed("Pod", pod("a"))
    reflection.on_ended(5.0)
    assert reflection.on_failure(error, 6.0) is False
    assert reflection.request().ask is ask
    assert reflection.phase == ("listing" if ask is Ask.STREAM and "Expired" in error.reason else "lost")
    assert reflection.is_listed
    assert reflection.failure == str(error)


def test_a_server_that_cannot_resume_a_version_is_asked_for_a_list_at_last():
    reflection = listed("Pod", pod("a"))
    reflection.on_failure(AWAY, 1.0)
    for _ in range(MAX_RESUMED - 2):
        reflection.on_failure(KubeError("etcd", 500), 1.0)
        assert reflection.request().ask is Ask.WATCH
    reflection.on_failure(KubeError("etcd", 500), 1.0)
    assert reflection.request().ask is Ask.STREAM


def test_an_error_within_a_watch_is_not_met_again():
    reflection = listed("Pod", pod("a"))
    with pytest.raises(KubeError) as error:
        reflection.on_line(error_line(500, "InternalError"), 1.0)
    reflection.on_failure(error.value, 1.0)
    assert reflection.request().ask is Ask.STREAM


def test_a_watch_that_ends_soon_and_brought_nothing_new_is_a_failure_too():
    reflection = listed("Pod")
    reflection.on_ended(5.0)
    reflection.on_opened(6.0)
    reflection.on_line(bookmark("Pod", 100), 6.05)
    with pytest.raises(CutOff, match="as soon as"):
        reflection.on_ended(6.1)


def test_a_list_is_counted_by_what_led_to_it_and_not_by_what_delayed_it():
    reflection = reflection_of("Pod", Mirror())
    reflection.on_failure(AWAY, 0.0)
    reflection.on_opened(1.0)
    reflection.on_line(bookmark("Pod", 100, ends_initial=True), 1.0)
    list(reflection.finish())
    reflection.on_failure(GONE, 2.0)
    reflection.on_failure(KubeError("storage is (re)initializing", 429), 3.0)
    assert reflection.request().ask is Ask.PAGE
    with pytest.raises(Garbage):
        reflection.on_page(b"<html>", 4.0)
    reflection.on_failure(Garbage("no list"), 4.0)
    reflection.on_opened(5.0)
    assert reflection.lists == {"start": 1, "expired": 1, "broken": 1}


def test_a_watch_that_was_cut_after_a_while_is_resumed_at_once_and_not_lost_yet():
    reflection = listed("Pod", pod("a"))
    assert reflection.on_failure(CutOff("cut"), LIVED_S) is True
    assert (reflection.phase, reflection.failure, reflection.lost_at) == ("watching", "", None)
    assert reflection.on_failure(AWAY, LIVED_S + 1) is False
    assert (reflection.phase, reflection.failure, reflection.lost_at) == ("lost", str(AWAY), LIVED_S + 1)
    reflection.on_opened(30.0)
    assert reflection.phase == "lost"
    reflection.on_settled()
    assert (reflection.phase, reflection.failure, reflection.lost_at) == ("watching", "", None)
    assert reflection.restarts == 1


def test_an_event_brings_a_lost_watch_back():
    reflection = listed("Pod")
    reflection.on_failure(AWAY, 1.0)
    reflection.on_opened(2.0)
    assert reflection.on_line(line("ADDED", pod("a"), 101), 2.5).item == decode(pod("a"))
    assert reflection.phase == "watching"
    assert reflection.heard_at == 2.5


@pytest.mark.parametrize("code", [400, 422])
def test_a_server_that_refuses_to_stream_lists_is_asked_for_pages_from_then_on(code):
    reflection = reflection_of("Pod", Mirror())
    assert reflection.on_failure(KubeError("sendInitialEvents is forbidden", code), 0.0) is True
    assert reflection.request().query == {"limit": "500"}
    reflection.on_page(page("Pod", [], 50), 0.0)
    list(reflection.finish())
    reflection.on_failure(GONE, 1.0)
    assert reflection.request().ask is Ask.PAGE
    assert reflection.failure == str(GONE)
    assert reflection.lists == {"refused": 1}


def test_a_bookmark_that_does_not_end_the_list_shows_that_it_was_not_understood():
    reflection = reflection_of("Pod", Mirror())
    reflection.on_opened(0.0)
    reflection.on_line(line("ADDED", pod("a"), 5), 0.0)
    with pytest.raises(Ignored) as error:
        reflection.on_line(bookmark("Pod", 7), 0.0)
    assert reflection.on_failure(error.value, 0.0) is True
    assert reflection.request().ask is Ask.PAGE
    assert reflection.lost_at is None


def test_a_stream_that_breaks_off_is_followed_by_pages_and_these_by_a_stream():
    reflection = reflection_of("Pod", Mirror())
    for error in (Silence("nothing came"), KubeError("cache", 429), CutOff("cut")):
        reflection.on_opened(0.0)
        reflection.on_failure(error, 1.0)
        assert reflection.request().ask is Ask.PAGE
        reflection.on_failure(KubeError("no", 500), 1.0)
        assert reflection.request().ask is Ask.STREAM
    reflection.on_failure(AWAY, 1.0)
    assert reflection.request().ask is Ask.STREAM
    assert not reflection.is_listed
    assert reflection.phase == "listing"


def test_a_watch_that_ends_as_soon_as_it_is_opened_is_a_failure():
    reflection = listed("Pod")
    reflection.on_ended(5.0)
    reflection.on_opened(6.0)
    with pytest.raises(CutOff, match="as soon as"):
        reflection.on_ended(6.1)
    reflection.on_opened(7.0)
    reflection.on_line(bookmark("Pod", 105), 7.05)
    assert reflection.on_ended(7.1) is False
    reflection.on_opened(8.0)
    assert reflection.on_ended(8.0 + LIVED_S) is True


def test_repeated_events_are_passed_over_and_are_no_sign_of_life():
    mirror = Mirror()
    reflection = listed("Pod", pod("a", "one"), mirror=mirror)
    for version, account in ((99, "two"), (100, "three")):
        assert reflection.on_line(line("MODIFIED", pod("a", account), version), 50.0) is None
        assert reflection.on_line(line("DELETED", pod("a"), version), 50.0) is None
    assert reflection.on_line(bookmark("Pod", 60), 50.0) is None
    assert reflection.heard_at == 0.0
    assert reflection.request().query["resourceVersion"] == "100"
    assert mirror.get(POD, Key("shop", "a")).item == decode(pod("a", "one"))
    assert reflection.on_line(bookmark("Pod", 100), 60.0) is None
    assert reflection.heard_at == 60.0
    assert reflection.on_line(line("MODIFIED", pod("a", "four"), 101), 70.0).item == decode(pod("a", "four"))


def test_what_is_older_than_the_object_itself_is_passed_over():
    mirror = Mirror()
    reflection = reflection_of("Pod", mirror)
    reflection.on_opened(0.0)
    reflection.on_line(line("ADDED", pod("a", "new"), 110), 0.0)
    reflection.on_line(bookmark("Pod", 100, ends_initial=True), 0.0)
    list(reflection.finish())
    assert reflection.on_line(line("MODIFIED", pod("a", "old"), 105), 1.0) is None
    assert reflection.on_line(line("DELETED", pod("a"), 106), 1.0) is None
    assert reflection.on_line(line("MODIFIED", pod("a", "newest"), 111), 1.0).item == decode(pod("a", "newest"))


def test_versions_that_are_no_numbers_are_taken_in_their_order():
    reflection = listed("Pod", version=100)
    assert reflection.on_line(line("ADDED", pod("a", "one"), "x9"), 1.0) is not None
    assert reflection.on_line(line("MODIFIED", pod("a", "two"), "x10"), 1.0) is not None
    assert reflection.on_line(line("DELETED", pod("a"), "x8"), 1.0).item is None
    assert reflection.request().query["resourceVersion"] == "x8"


def test_lower_versions_of_a_list_are_believed():
    mirror = Mirror()
    reflection = listed("Pod", pod("a", "one"), version=1000, mirror=mirror)
    reflection.on_failure(Silence("nothing came"), 200.0)
    reflection.on_opened(200.0)
    assert reflection.on_line(line("ADDED", pod("a", "restored"), 40), 200.0).item == decode(pod("a", "restored"))
    reflection.on_line(bookmark("Pod", 50, ends_initial=True), 200.0)
    list(reflection.finish())
    assert reflection.request().query["resourceVersion"] == "50"
    assert reflection.on_line(line("MODIFIED", pod("a", "on"), 51), 201.0).item == decode(pod("a", "on"))


def test_a_deletion_while_the_list_is_streamed_counts():
    mirror = Mirror()
    reflection = reflection_of("Pod", mirror)
    reflection.on_opened(0.0)
    reflection.on_line(line("ADDED", pod("a"), 5), 0.0)
    assert reflection.on_line(line("DELETED", pod("a"), 9), 0.0).item is None
    reflection.on_line(bookmark("Pod", 10, ends_initial=True), 0.0)
    assert list(reflection.finish()) == []
    assert mirror.count(POD) == 0


def test_an_object_that_cannot_be_taken_counts_as_absent_until_it_can():
    mirror = Mirror()
    reflection = listed("Pod", pod("a", "one"), mirror=mirror)
    broken = {**pod("a"), "spec": {"serviceAccountName": 7}}
    change = reflection.on_line(line("MODIFIED", broken, 101), 1.0)
    assert (change.type, change.key, change.item) == (Pod, Key("shop", "a"), None)
    assert "serviceAccountName" in reflection.refused[Key("shop", "a")]
    assert reflection.on_line(line("MODIFIED", broken, 102), 1.0) is None
    assert reflection.on_line(line("MODIFIED", pod("a", "one"), 103), 1.0).item == decode(pod("a", "one"))
    assert reflection.refused == {}
    reflection.on_line(line("ADDED", {**broken, "metadata": {"name": "b", "namespace": "shop"}}, 104), 1.0)
    assert reflection.refused.keys() == {Key("shop", "b")}
    reflection.on_line(line("DELETED", pod("b"), 105), 1.0)
    assert reflection.refused == {}


def test_objects_that_cannot_be_taken_are_forgotten_with_the_list_that_lacks_them():
    broken = {**pod("a"), "spec": {"serviceAccountName": 7}}
    reflection = listed("Pod", broken)
    assert reflection.refused
    reflection.on_failure(GONE, 1.0)
    reflection.on_opened(2.0)
    reflection.on_line(bookmark("Pod", 200, ends_initial=True), 2.0)
    assert reflection.refused
    assert list(reflection.finish()) == []
    assert reflection.refused == {}


def test_dropped_fields_are_told_as_long_as_they_are_there():
    reflection = listed("HTTPRoute", http_route("web", rule("web", unheard=1)))
    assert reflection.ignored == {Key("shop", "web"): "spec.rules[0].unheard"}
    assert reflection.on_line(line("MODIFIED", http_route("web", rule("web")), 101), 1.0) is None
    assert reflection.ignored == {}


def test_a_second_list_of_the_same_objects_is_no_change():
    mirror, told = Mirror(), []
    made = [service("a"), service("b", 81), service("c", namespace="bank")]
    reflection = listed("Service", *made, mirror=mirror)
    mirror.listen(told.extend)
    items = {seen.key: seen.item for seen in mirror.list(BY_NAME["Service"].kind)}
    for ask in (Ask.STREAM, Ask.PAGE, Ask.STREAM):
        reflection.on_failure(GONE, 1.0)
        if ask is Ask.PAGE:
            reflection.on_opened(2.0)
            reflection.on_failure(CutOff("cut"), 2.0)
            found = reflection.on_page(page("Service", [versioned(one, 900) for one in made], 1000), 2.0)
            assert [reflection.on_item(raw) for raw in found.items] == [None] * 3
        else:
            reflection.on_opened(2.0)
            assert [reflection.on_line(line("ADDED", one, 500), 2.0) for one in made] == [None] * 3
            reflection.on_line(bookmark("Service", 600, ends_initial=True), 2.0)
        assert list(reflection.finish()) == []
        mirror.tell()
    assert told == []
    assert all(mirror.get(BY_NAME["Service"].kind, key).item is item for key, item in items.items())


def test_pages_of_different_versions_are_no_list():
    reflection = listed("Pod", pod("a"))
    reflection.on_failure(Garbage("what?"), 1.0)
    reflection.on_page(page("Pod", [], 200, "more"), 1.0)
    assert reflection.request().query == {"limit": "500", "continue": "more"}
    with pytest.raises(Garbage, match="different"):
        reflection.on_page(page("Pod", [], 300), 1.0)


@pytest.mark.parametrize("failure", [GONE, KubeError("no", 500), AWAY])
def test_a_page_that_fails_begins_the_list_anew(failure):
    mirror = Mirror()
    reflection = listed("Pod", pod("a"), pod("b"), mirror=mirror)
    reflection.on_failure(Garbage("what?"), 1.0)
    found = reflection.on_page(page("Pod", [versioned(pod("a"), 150)], 200, "more"), 1.0)
    assert [reflection.on_item(raw) for raw in found.items] == [None]
    reflection.on_failure(failure, 1.0)
    assert "continue" not in reflection.request().query
    assert mirror.count(POD) == 2


def test_an_item_of_garbage_ends_the_list():
    reflection = listed("Pod", pod("a"))
    reflection.on_failure(Garbage("what?"), 1.0)
    found = reflection.on_page(
        encoded({"kind": "PodList", "apiVersion": "v1", "metadata": {"resourceVersion": "7"}, "items": [{}]}), 1.0
    )
    with pytest.raises(Garbage):
        reflection.on_item(found.items[0])
    assert isinstance(found.items[0], msgspec.Raw)


NOT_FOUND = KubeError("404 page not found", 404)


def test_a_kind_that_is_not_installed_is_listed_and_empty_and_looked_for():
    reflection = reflection_of("HTTPRoute", Mirror())
    reflection.on_failure(NOT_FOUND, 0.0)
    assert reflection.request().ask is Ask.LOOK
    assert not reflection.is_listed
    assert list(reflection.on_looked("", 1.0)) == []
    assert (reflection.phase, reflection.is_listed, reflection.is_looking) == ("absent", True, True)
    assert reflection.failure == ""
    reflection.on_failure(AWAY, 16.0)
    assert (reflection.phase, reflection.request().ask) == ("absent", Ask.LOOK)
    assert list(reflection.on_looked("", 31.0)) == []
    assert list(reflection.on_looked("v1beta1", 46.0)) == []
    assert reflection.phase == "listing"
    assert reflection.request().path == "/apis/gateway.networking.k8s.io/v1beta1/httproutes"
    reflection.on_opened(46.0)
    assert reflection.lists == {"appeared": 1}


def test_a_kind_that_vanishes_is_given_up_only_when_discovery_lacks_it_for_long():
    mirror = Mirror()
    reflection = listed("HTTPRoute", http_route("web", rule("web")), mirror=mirror)
    reflection.on_failure(NOT_FOUND, 100.0)
    assert list(reflection.on_looked("", 101.0)) == []
    assert (reflection.phase, reflection.is_missing, reflection.is_looking) == ("lost", True, True)
    assert list(reflection.on_looked("", 101.0 + MISSING_S - 1)) == []
    assert mirror.count(BY_NAME["HTTPRoute"].kind) == 1
    # A server that is away says nothing about what it serves.
    reflection.on_failure(AWAY, 101.0 + MISSING_S)
    assert list(reflection.on_looked("", 101.0 + MISSING_S)) == []
    (change,) = reflection.on_looked("", 101.0 + 2 * MISSING_S)
    assert (change.key, change.item) == (Key("shop", "web"), None)
    assert (reflection.phase, reflection.is_listed, reflection.is_missing) == ("absent", True, False)
    assert mirror.count(BY_NAME["HTTPRoute"].kind) == 0


def test_a_kind_that_is_served_after_all_is_listed_and_was_never_given_up():
    mirror = Mirror()
    made = http_route("web", rule("web"))
    reflection = listed("HTTPRoute", made, mirror=mirror)
    reflection.on_failure(NOT_FOUND, 100.0)
    list(reflection.on_looked("", 101.0))
    assert list(reflection.on_looked("v1", 150.0)) == []
    assert not reflection.is_missing
    reflection.on_opened(151.0)
    assert reflection.on_line(line("ADDED", made, 90), 151.0) is None
    reflection.on_line(bookmark("HTTPRoute", 300, ends_initial=True), 151.0)
    assert list(reflection.finish()) == []
    assert reflection.phase == "watching"


def test_a_kind_that_is_always_served_is_never_looked_for():
    reflection = listed("Pod", pod("a"))
    reflection.on_failure(NOT_FOUND, 1.0)
    assert reflection.request().ask is Ask.STREAM
