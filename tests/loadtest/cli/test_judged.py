"""Names of subjects for which expectations are meant."""

from __future__ import annotations

import pytest

from loadtest.cli.failure import Failure
from loadtest.cli.perform import check_judged
from loadtest.compare import Chosen
from loadtest.scenario.load import parse
from loadtest.subjects import choice


def chosen(judged, *subjects):
    text = f"name: x\njudged: {judged}\nload: {{phases: [{{for: 8s, rate: 1/s}}]}}\n"
    return [Chosen(text, parse(text), subjects)]


def test_a_name_that_no_subject_begins_with_is_refused():
    with pytest.raises(Failure) as caught:
        check_judged(chosen("[mesh, meshprxy]", "direct"))
    assert str(caught.value) == (
        "x: judged[1]: no subject's name begins with 'meshprxy'; allowed: the beginning of "
        f"{', '.join(choice.ABOUT)}, http://HOST:PORT"
    )


@pytest.mark.parametrize("judged", ["[]", "[meshproxy, envoy-m]", "['http://127.0.0.1']"])
def test_the_beginning_of_a_name_is_enough(judged):
    check_judged(chosen(judged, "direct"))
