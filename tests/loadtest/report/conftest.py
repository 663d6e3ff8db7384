from __future__ import annotations

import pytest

from tests.loadtest.report import sample


@pytest.fixture(scope="session")
def found():
    """Two rounds of everything; not to be changed."""
    return sample.comparison()
