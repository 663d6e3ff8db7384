"""The table, drawn for terminals of several widths."""

from __future__ import annotations

import io

import pytest
from rich.console import Console

from deploy.demo.acts import ACTS, Act, Deed, Record
from deploy.demo.canary import Share
from deploy.demo.metrics import Lane, LaneKey
from deploy.demo.plane import State
from deploy.demo.screen import Texts, frame
from deploy.demo.tally import Tally
from deploy.demo.watch import Change, Endpoint

CATALOG = LaneKey("outbound", "shop/catalog:80", "shop/catalog/items", "shop/catalog:80")
SERVICES = ("catalog", "pricing", "reviews-v1", "reviews-v2")


SHARE = Share(0.995, 12_339, 12_345)


def change() -> Change:
    """The largest there is: every route and every instance, one of them ejected and one avoided."""
    lane = Lane({"200": 1234, "503": 1}, 7, {0.001: 600, 0.0025: 1234, float("inf"): 1235})
    lanes = {CATALOG: lane}
    for service, route, backend in (
        ("pricing", "prices", "pricing"),
        ("reviews", "everyone", "reviews-v1"),
        ("reviews", "everyone", "reviews-v2"),
        ("reviews", "testers", "reviews-v2"),
    ):
        lanes[LaneKey("outbound", f"shop/{service}:80", f"shop/{service}/{route}", f"shop/{backend}:80")] = lane
    lanes[LaneKey("inbound", "shop/front:80", "default", "application")] = lane
    endpoints = [Endpoint(service, f"{service}-{n}", "ready", 1.5, 0.0) for service in SERVICES for n in (1, 2)]
    endpoints[0] = Endpoint("catalog", "catalog-1", "ready", 90.0, 0.0)
    endpoints[1] = Endpoint("catalog", "catalog-2", "ejected", 1000.0, 12.3)
    endpoints[3] = Endpoint("pricing", "pricing-2", "ready", 931.0, 0.0)
    endpoints.insert(2, Endpoint("catalog", "catalog-3", "ready", 99.96, 0.0))
    pods = {endpoint.pod: Lane({"200": 1900, "503": 8}) for endpoint in endpoints}
    return Change(2.0, lanes, pods, endpoints, State(10, 123, 12.3))


def draw(width: int, tally: Tally, act: Act, away_s: float | None = None) -> list[str]:
    names = {"victim": "reviews-v1-2", "former": "catalog-2", "newcomer": "catalog-4"}
    place = "shop, plain HTTP between the sidecars"
    texts = Texts(place, "act 10 of 10", act.title.format(**names), act.watch_for.format(**names), "3599 s")
    output = io.StringIO()
    Console(file=output, width=width, force_terminal=False).print(frame(texts, tally, change(), SHARE, away_s))
    return [line.rstrip() for line in output.getvalue().splitlines()]


def tally_of(*failures: str) -> Tally:
    tally = Tally()
    for _ in range(9_999):
        tally.add(0.0123, "")
    for failure in failures:
        tally.add(1.5, failure)
    return tally


@pytest.mark.parametrize("act", ACTS, ids=lambda act: act.word)
@pytest.mark.parametrize("width", [80, 100, 200])
def test_it_fits_a_terminal_of_80_by_24_and_cuts_nothing_off(width: int, act: Act) -> None:
    lines = draw(width, tally_of("502 x"), act)
    assert len(lines) <= 23  # and the cursor below
    assert max(map(len, lines)) <= width
    assert "…" not in "".join(lines)


def test_it_says_who_is_ejected_who_is_avoided_and_who_is_in_use() -> None:
    text = "\n".join(draw(100, tally_of(), ACTS[0]))
    assert "✖ 2 probe in 12.3 s" in text
    assert "▲ 2 954/s  931 ms" in text
    assert "● 3 954/s  100 ms" in text


def test_it_says_what_users_and_routes_have_had() -> None:
    lines = draw(100, tally_of("502 x"), ACTS[0])
    assert any("99.99 % success" in line and "1 of 10000 pages failed" in line for line in lines)
    row = next(line for line in lines if "catalog/items" in line)
    assert row.split() == ["catalog/items", "catalog", "618", "99.92", "%", "1.0", "ms", "2.5", "ms", "7"]


def test_it_says_what_the_canary_is_asked_for_and_gets() -> None:
    line = next(line for line in draw(80, tally_of(), ACTS[0]) if "canary " in line)
    assert line.endswith("v2   asked 99.5 %   gets 100 % of 12345 calls")


def test_it_says_whether_there_is_a_control_plane() -> None:
    there, away = ("\n".join(draw(80, tally_of(), ACTS[0], away_s)) for away_s in (None, 3.4))
    assert "● 10 sidecars connected   from write to Ack 100 ms (123 Acks)" in there
    assert "✖ away for 3 s" in away


def record_of(deed: Deed) -> Record:
    return Record(next(act for act in ACTS if act.deed is deed))


def test_an_act_tells_what_was_seen_and_not_what_was_meant_to_be() -> None:
    record = record_of(Deed.FAIL)
    assert record.seen() == "not reached"
    record.close("catalog-3", change(), "", SHARE, is_ejected=False)
    assert record.seen() == "8 x 503; 42 calls repeated; catalog-3 in use"
    record.close("catalog-2", change(), "", SHARE, is_ejected=True)
    assert record.seen() == "16 x 503; 84 calls repeated; catalog-2 ejected"


def test_a_deed_that_was_not_done_is_told() -> None:
    record = record_of(Deed.SHIFT)
    record.close("nobody", Change(1.0, {}, {}, []), "not done: no such route", Share(), is_ejected=False)
    assert record.seen() == "not done: no such route; there is no canary"


def test_avoided_is_who_looks_much_slower_than_the_best_of_its_service() -> None:
    endpoints = [
        Endpoint("catalog", "catalog-1", "ready", 300.0, 0.0),
        Endpoint("catalog", "catalog-2", "ready", 1300.0, 0.0),
        Endpoint("catalog", "catalog-3", "ejected", 1.0, 0.5),
        Endpoint("pricing", "pricing-1", "ready", 9000.0, 0.0),
    ]
    seen = Change(1.0, {}, {}, endpoints)
    assert (seen.avoided, seen.ejected) == (["catalog-2"], ["catalog-3"])
