"""An object that was found good once is read back as the same, without being checked again."""

from __future__ import annotations

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from control.model.decode import ObjectError, decode, recall
from tests.control import objects
from tests.control.build import service


def with_nulls(value, draw):
    """A field that is null stands for one that is not set."""
    if isinstance(value, list):
        return [with_nulls(item, draw) for item in value]
    if not isinstance(value, dict):
        return value
    result = {key: with_nulls(item, draw) for key, item in value.items()}
    unset = {"ipFamilies", "annotations", "hints", "zone", "nodeName", "creationTimestamp"}
    return {**result, **dict.fromkeys(sorted(draw(st.sets(st.sampled_from(sorted(unset)), max_size=2)) - set(result)))}


@given(st.data(), st.one_of(objects.services(), objects.slices(), objects.pods(), objects.routes()))
def test_what_is_recalled_is_what_was_decoded(data, document):
    for form in (document, with_nulls(document, data.draw)):
        try:
            decoded = decode(form)
        except ObjectError:
            continue  # a null where no such field is
        assert recall(form["kind"], msgspec.json.encode(form)) == decoded


def test_a_null_is_a_field_that_is_not_set():
    document = service("a")
    document["metadata"]["annotations"] = None
    assert recall("Service", msgspec.json.encode(document)) == decode(service("a"))


@pytest.mark.parametrize("kind", ["Service", "EndpointSlice", "Pod", "HTTPRoute"])
@pytest.mark.parametrize("body", [b"", b"{", b"[]", b"{}", b'{"metadata":{}}', b"\xff"])
def test_what_cannot_be_read_is_told(kind, body):
    with pytest.raises(ObjectError):
        recall(kind, body)


def test_an_object_that_says_no_namespace_is_in_the_one_that_a_new_object_would_be_in():
    document = service("a")
    del document["metadata"]["namespace"]
    assert recall("Service", msgspec.json.encode(document)) == decode(document)
    assert decode(document).metadata.namespace == "default"
