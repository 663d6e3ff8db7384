"""The README says what the code says."""

from __future__ import annotations

import re
from pathlib import Path

from meshproxy.faults import FAULTS

README = (Path(__file__).parent.parent / "README.md").read_text()


def test_the_table_of_faults_is_that_of_the_code() -> None:
    rows = re.findall(r"^\| `(\w+)` \| (\d+) \| (\w+) \| (.+) \| (.+) \|$", README, re.MULTILINE)
    assert rows == [(f.word, str(f.status), f.side.value, f.meaning, f.advice) for f in FAULTS.values()]
