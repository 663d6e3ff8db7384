"""What is remembered of strings that were looked at before changes no answer."""

from __future__ import annotations

import pytest

from control.model.core import MAX_ADDRESS_CHARS
from control.model.decode import ObjectError, decode
from control.model.schema import MEMO_CHARS, Flaw, Schema, validate
from tests.control.build import endpoint_slice


def flaws(document: dict[str, object]) -> list[str]:
    try:
        decode(document)
    except ObjectError as error:
        return [str(flaw) for flaw in error.flaws]
    return []


@pytest.mark.parametrize("times", [1, 2])
def test_an_address_is_judged_by_its_slice_s_family_each_time(times: int) -> None:
    for _ in range(times):
        assert flaws(endpoint_slice("echo", "10.0.0.1")) == []
        [flaw] = flaws(endpoint_slice("echo", "10.0.0.1", addressType="IPv6"))
        assert "10.0.0.1 is IPv4; allowed: IPv6" in flaw


@pytest.mark.parametrize("size", [MAX_ADDRESS_CHARS, MAX_ADDRESS_CHARS + 1, 500])
def test_what_is_no_address_is_refused_whatever_its_length(size: int) -> None:
    [flaw] = flaws(endpoint_slice("echo", "1" * size))
    assert "is no IP address" in flaw


@pytest.mark.parametrize("size", [MEMO_CHARS - 1, MEMO_CHARS, MEMO_CHARS + 1])
def test_a_pattern_holds_for_strings_of_every_length(size: int) -> None:
    for _ in range(2):
        for pattern, is_good in (("^a+$", True), ("^b+$", False)):
            found: list[Flaw] = []
            validate(Schema(type="string", pattern=pattern), "a" * size, "field", found)
            assert (not found) is is_good
