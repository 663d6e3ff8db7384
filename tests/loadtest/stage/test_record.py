"""What a record says of a run, before it began."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from loadtest.results.model import Ledger
from loadtest.scenario.load import parse
from loadtest.stage.record import Record, Trial
from loadtest.subjects.address import There
from loadtest.subjects.direct import Direct

ADDRESS = "http://127.0.0.1:8080"
FAULT = "faults: [{for: 1s, hang: true}]\n"
NOTE = "the origins are not meshload's: none of the scenario's faults and changes took place"


@pytest.mark.parametrize(
    ("subject", "rest", "windows", "notes"),
    [("direct", FAULT, 1, []), (ADDRESS, FAULT, 0, [NOTE]), (ADDRESS, "", 0, [])],
)
def test_what_is_behind_an_address_has_no_faults_and_that_is_told(subject, rest, windows, notes):
    text = f"name: x\nload: {{phases: [{{for: 8s, rate: 1/s}}]}}\n{rest}"
    record = Record(Trial(text, parse(text), subject))
    made = There(ADDRESS) if subject == ADDRESS else Direct()
    result = record.result(made, SimpleNamespace(addresses={}), Ledger())
    assert len(result.windows) == windows
    assert result.generator.notes == notes
    assert len(record.now(record.began).faults) == windows
