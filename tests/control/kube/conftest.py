"""What tests of the fake API server have in common."""

import contextlib

import pytest

from tests.fakes.kubernetes.api import FakeApi
from tests.fakes.kubernetes.reader import Watched


@pytest.fixture
def api():
    with FakeApi() as api:
        yield api


@pytest.fixture
def watch(api):
    """Opens watches of paths, which end with the test."""
    with contextlib.ExitStack() as stack:
        yield lambda path: stack.enter_context(contextlib.closing(Watched(api, path)))
