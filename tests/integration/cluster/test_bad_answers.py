"""The API server answers, but not as it should: nothing changes for the sidecars, whatever it is."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.control import build
from tests.fakes.cluster import KINDS, SILENCE, TOKEN, cluster, role
from tests.fakes.kubernetes.faults import (
    BROKEN_LINE,
    TRUNCATED_LINE,
    WRONG_KIND_LINE,
    WRONG_LIST,
    Fault,
    broken,
    garbage,
    html,
    too_many,
    unavailable,
)

FAULTS = {
    "a web page": (html(), "garbage"),
    "broken JSON": (garbage(BROKEN_LINE), "garbage"),
    "a line that ends in its middle": (garbage(TRUNCATED_LINE), ""),
    "objects of another kind": (garbage(WRONG_KIND_LINE), "garbage"),
    "an empty list of another kind": (garbage(WRONG_LIST), "garbage"),
    "nothing": (garbage(b""), ""),
    "no JSON at all": (garbage(b"\x00\xff\xfe" * 1000 + b"\n"), "garbage"),
    "an answer that breaks off": (Fault(cut_after=300), "connection"),
    "500": (broken(), "server"),
    "503": (unavailable(), "server"),
    "not found": (Fault(404, b"404 page not found\n", "text/plain"), ""),
    "a redirect": (Fault(302, b"", headers={"Location": "/login"}), "refused"),
}


def test_an_api_server_that_answers_nonsense_changes_nothing(tmp_path: Path) -> None:
    with cluster(tmp_path) as shop:
        blue = shop.moving()
        with blue.called() as (client, load):
            shop.rest()
            for name, (fault, word) in FAULTS.items():
                known = blue.unchanged(load, client)
                reason = {"reason": word} if word else {}
                with shop.grows("failures_total", "EndpointSlice", "HTTPRoute", **reason):
                    shop.api.fail(fault)
                    shop.api.cut()
                    blue.move()
                known.check()
                shop.api.heal()
                blue.until_known(load)
                shop.rest()
                assert shop.kind_metric("listed") == len(KINDS), name
        # Of each kind: one line when it was lost, one when it was back.
        for kind in KINDS:
            lost, back = (len(shop.lines(rf": {kind}[a-z0-9.]*: {word}")) for word in ("lost", "back"))
            assert lost == back >= 1, shop.plane.log


def test_a_server_that_asks_for_patience_is_given_it(tmp_path: Path) -> None:
    with cluster(tmp_path) as shop:
        blue = shop.moving()
        with blue.called() as (client, load):
            known = blue.unchanged(load, client)
            begun = len(shop.api.asked)
            shop.api.fail(too_many("1"), "endpointslices", times=1)
            shop.api.cut("endpointslices")
            blue.move()
            shop.until(lambda: shop.kind_metric("failures_total", reason="throttled") == 1)
            known.check()
            blue.until_known(load)
        times = [asked.at for asked in shop.api.asked[begun:] if asked.resource == "endpointslices"]
        assert len(times) == 2
        assert times[1] - times[0] >= 1.0


def test_a_slow_server_changes_nothing_and_is_waited_for(tmp_path: Path) -> None:
    with cluster(tmp_path) as shop:
        blue = shop.moving()
        with blue.called(SILENCE) as (client, load):
            known = blue.unchanged(load, client)
            # The list takes longer than the longest silence that is borne, but it is never silent.
            shop.api.put(*(build.endpoint_slice("more", "10.0.0.1", name=f"more-{number}") for number in range(8)))
            shop.api.fail(Fault(bytes_per_s=1500), "endpointslices")
            shop.api.inject(BROKEN_LINE, "endpointslices")
            shop.until(lambda: shop.kind_metric("lists_total", "EndpointSlice") == 2)
            known.check()
            blue.move()
            blue.until_known(load)


def test_a_token_that_is_not_accepted_any_more_is_read_anew(tmp_path: Path) -> None:
    with cluster(tmp_path) as shop:
        token = tmp_path / "api-token"
        token.write_text(TOKEN)
        shop.api.kubeconfig(shop.kubeconfig, tokenFile=str(token))
        blue = shop.moving()
        with blue.called() as (client, load):
            known = blue.unchanged(load, client)
            shop.api.accept("the-second-token")
            shop.api.cut()
            blue.move()
            shop.until(lambda: len(shop.lines(": lost.*credentials of .* are not accepted")) == len(KINDS))
            assert shop.kind_metric("failures_total", reason="unauthorized") >= len(KINDS)
            known.check()
            token.write_text("the-second-token")
            blue.until_known(load)
        log = "".join(shop.plane.log)
        assert TOKEN not in log
        assert "the-second-token" not in log


def test_a_kind_that_may_not_be_read_any_more_holds_up_no_other(tmp_path: Path) -> None:
    with cluster(tmp_path) as shop:
        blue = shop.moving()
        with blue.called() as (_, load):
            narrow = role()
            narrow["rules"][0]["resources"].remove("pods")
            shop.api.allow(narrow)
            shop.api.cut("pods")
            shop.until(lambda: shop.lines(": pods: lost.*forbidden"))
            assert shop.kind_metric("failures_total", "Pod", reason="forbidden") >= 1
            blue.move()
            blue.until_known(load)
            assert len(shop.lines(": lost")) == 1
            found = shop.checks("fail")
            assert found["Rights: pods"].startswith("may not list, watch")
            assert "Rights: services" not in found
            assert "not followed at present" in shop.checks("warn")["Objects: Pod"]
            shop.api.allow(role())
            shop.until(lambda: shop.lines(": pods: back"))
            assert {"Rights: pods", "Objects: Pod"} <= set(shop.checks("ok"))


@pytest.mark.parametrize("code", [401, 403])
def test_a_control_plane_that_is_refused_from_the_start_says_so(tmp_path: Path, code: int) -> None:
    with cluster(tmp_path) as shop:
        if code == 401:
            shop.api.accept("another-token")
        else:
            shop.api.allow({"rules": []})
        plane = shop.control(waits=False)
        shop.until(lambda: len(shop.lines(": cannot be listed yet")) == len(KINDS))
        status, why = plane.ask("metrics", "/readyz")
        assert status == 503
        assert ("are not accepted" if code == 401 else "is forbidden: User") in why
        if code == 401:
            shop.api.accept(TOKEN)
        else:
            shop.api.allow(role())
        shop.until(lambda: plane.ask("metrics", "/readyz")[0] == 200)
