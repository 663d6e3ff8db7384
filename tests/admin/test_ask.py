"""What the control plane is answered."""

from __future__ import annotations

import asyncio
import json

import pytest

from meshproxy.admin import ask
from meshproxy.admin.desk import Desk
from tests.fakes.view import FakeView


def _answer(view: FakeView, what: str) -> str:
    return asyncio.run(ask.answer(Desk(view, is_public=False), what))


def test_it_gets_what_the_admin_address_serves() -> None:
    view = FakeView(services=30, endpoints=700)
    view.registry.exchange("inbound", "a", "b", "c", "http").finish(200, "", "", 0.1, 0.1)
    assert len(json.loads(_answer(view, "config"))["resources"]) == 90
    assert len(json.loads(_answer(view, "endpoints"))["endpoints"]) == 21_000
    assert "meshproxy_requests_total{" in _answer(view, "metrics")


def test_no_more_is_made_of_an_answer_than_can_travel(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ask, "MAX_BYTES", 10_000)
    assert 10_000 < len(_answer(FakeView(services=1, endpoints=10_000), "endpoints")) < 60_000
