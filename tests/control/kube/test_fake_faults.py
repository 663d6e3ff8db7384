"""What can go wrong with the fake API server, each when it is wanted and for as long."""

import contextlib
import http.client
import json

import pytest

from tests.fakes.kubernetes import faults
from tests.fakes.kubernetes.reader import SERVICES, WATCH_LIST, Watched, ask, listed, names, web


@pytest.mark.parametrize(
    ("fault", "status", "headers"),
    [
        (faults.too_many("7"), 429, {"Retry-After": "7"}),
        (faults.broken(), 500, {}),
        (faults.unavailable(), 503, {}),
        (faults.unauthorized(), 401, {}),
        (faults.forbidden("services"), 403, {}),
        (faults.html(), 200, {"Content-Type": "text/html; charset=utf-8"}),
        (faults.garbage(faults.WRONG_LIST), 200, {"Content-Type": "application/json"}),
    ],
)
def test_a_fault_is_met_by_the_requests_it_is_for(api, fault, status, headers):
    api.fail(fault, "services", "list", times=1)
    assert ask(api, "/api/v1/nodes")[0] == 200
    found, given, data = ask(api, SERVICES)
    assert found == status
    assert headers.items() <= given.items()
    assert data == fault.body
    assert names(listed(api, SERVICES)) == []


def test_a_fault_lasts_until_it_is_taken_back(api):
    undo = api.fail(faults.broken(), "services")
    assert [ask(api, SERVICES)[0] for _ in range(3)] == [500] * 3
    undo()
    assert ask(api, SERVICES)[0] == 200
    api.fail(faults.broken())
    assert ask(api, "/version")[0] == 500
    api.heal()
    assert ask(api, "/version")[0] == 200


def test_a_list_is_cut_in_its_middle(api):
    api.put(*(web(f"a{number}") for number in range(400)))
    api.fail(faults.Fault(cut_after=10_000), "services", times=2)
    for path in (SERVICES, f"{SERVICES}?limit=20"):
        with pytest.raises((http.client.IncompleteRead, ConnectionResetError)):
            ask(api, path)
    assert len(listed(api, SERVICES)["items"]) == 400


def test_an_answer_comes_slowly_and_whole(api):
    api.put(*(web(f"a{number}") for number in range(10)))
    api.fail(faults.Fault(bytes_per_s=100_000), "services", times=1)
    assert len(listed(api, SERVICES)["items"]) == 10


def test_a_watch_is_accepted_and_says_nothing(api, watch):
    api.put(web("a"))
    undo = api.fail(faults.SILENCE, "services", "watch")
    watched = watch(f"{SERVICES}?{WATCH_LIST}")
    api.wait_watching()
    api.end()
    assert watched.line() == b""
    undo()
    watched = watch(f"{SERVICES}?{WATCH_LIST}")
    watched.next()
    watched.next()
    api.silence("services")
    api.put(web("b"))
    api.end()
    assert watched.line() == b""


def test_other_requests_wait_for_silence_in_vain(api):
    api.fail(faults.SILENCE, "services", "list")
    with pytest.raises(TimeoutError):
        ask(api, SERVICES, timeout=0.1)


def test_bytes_are_put_into_a_watch(api, watch):
    watched = watch(f"{SERVICES}?watch=true&resourceVersion={api.version}")
    api.wait_watching("services")
    for line in (faults.BROKEN_LINE, faults.WRONG_KIND_LINE):
        api.inject(line)
        assert watched.line() == line
    api.put(web("a"))
    assert watched.next()[1] == "a"
    api.inject(faults.TRUNCATED_LINE, "services")
    api.end()
    assert watched.line() == faults.TRUNCATED_LINE
    assert watched.line() == b""


def test_a_watch_is_cut(api, watch):
    watched = watch(f"{SERVICES}?watch=true&resourceVersion={api.version}")
    api.wait_watching("services")
    api.cut("pods")
    assert api.watching() == 1
    api.cut("services")
    with pytest.raises((http.client.IncompleteRead, ConnectionResetError)):
        watched.response.read()
    assert api.watching() == 0


def test_who_goes_away_is_not_watching_any_more(api):
    with contextlib.closing(Watched(api, f"{SERVICES}?watch=true")):
        api.wait_watching("services")
    api.until(lambda: api.watching() == 0)


# Its life


def test_it_is_killed_and_comes_back_at_its_place(api, watch):
    api.put(web("a"))
    before = api.version
    api.put(web("b"))
    watched = watch(f"{SERVICES}?watch=true&resourceVersion={api.version}")
    api.kill()
    with pytest.raises((http.client.IncompleteRead, ConnectionResetError)):
        watched.response.read()
    with pytest.raises(ConnectionRefusedError):
        ask(api, SERVICES)
    api.start()
    assert names(listed(api, SERVICES)) == ["a", "b"]
    # It does not remember what happened before; its storage does.
    assert json.loads(watch(f"{SERVICES}?watch=true&resourceVersion={before}").line())["type"] == "ERROR"
    again = watch(f"{SERVICES}?watch=true&resourceVersion={api.version}")
    api.put(web("c"))
    assert again.next()[1] == "c"


def test_it_is_a_black_hole_until_it_is_started(api, watch):
    watched = watch(f"{SERVICES}?watch=true&resourceVersion={api.version}")
    api.wait_watching()
    api.go_deaf()
    api.put(web("a"))
    with pytest.raises(TimeoutError):
        ask(api, SERVICES, timeout=0.1)
    api.end()
    assert watched.line() == b""
    api.start()
    assert names(listed(api, SERVICES)) == ["a"]


def test_a_restored_backup_takes_versions_back(api, watch):
    api.put(web("a"))
    backup = api.backup()
    api.put(web("b"))
    api.delete(web("a"))
    late = api.version
    api.restore(backup)
    assert api.version < late
    assert names(listed(api, SERVICES)) == ["a"]
    watched = watch(f"{SERVICES}?watch=true&resourceVersion={late}")
    api.wait_watching()
    api.put(web("c"))
    api.end()
    assert watched.line() == b""
