import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from meshproxy.discovery.intake import apply_patch, read_update
from meshproxy.wire import resources as wire
from meshproxy.wire.address import endpoint_order
from meshproxy.wire.canonical import version_of
from meshproxy.wire.snapshot import entry_of
from meshproxy.wire.stream import Patch, Update

NAME = "endpoints/shop/a:80"


def endpoint(number, port=80, **values):
    return wire.Endpoint(address=f"10.0.0.{number}", port=port, **values)


def endpoints(*numbers):
    return entry_of(NAME, wire.Endpoints(endpoints=[endpoint(number) for number in numbers]))


def whole(entry):
    return Update(name=entry.name, version=entry.version, resource=msgspec.Raw(msgspec.json.encode(entry.resource)))


def patched(former, version="2", **values):
    problems = []
    patch = Patch(**{"base": former.version if former else "1", **values})
    return read_update(Update(name=NAME, version=version, patch=patch), former, problems), list(map(str, problems))


def test_a_whole_resource_is_taken():
    entry = endpoints(1, 2)
    assert read_update(whole(entry), None, []) == entry


def test_a_patch_makes_what_the_whole_would_have_been():
    target = endpoints(1, 3, 4)
    taken, problems = patched(
        endpoints(1, 2, 3), target.version, upsert=[endpoint(4), endpoint(3)], remove=["10.0.0.2:80"]
    )
    assert problems == []
    assert taken == target
    assert version_of(taken.resource) == taken.version


@pytest.mark.parametrize(
    ("former", "values", "message"),
    [
        (None, {}, "there are no endpoints that it could be a change of"),
        (endpoints(1), {"base": "other"}, "patch.base: is against version 'other', held is"),
        (endpoints(1), {"remove": ["10.0.0.2:80"]}, "patch.remove[0]: '10.0.0.2:80' is not there, or stands twice"),
        (endpoints(1), {"remove": ["10.0.0.1:80"] * 2}, "patch.remove[1]: '10.0.0.1:80' is not there, or stands"),
        (endpoints(1), {"upsert": [endpoint(1)], "remove": ["10.0.0.1:80"]}, "10.0.0.1:80 stands twice in the patch"),
        (endpoints(1), {"upsert": [endpoint(2), endpoint(2)]}, "10.0.0.2:80 stands twice in the patch"),
        (endpoints(1), {"upsert": [wire.Endpoint(address="here", port=1)]}, "upsert[0].address: 'here' is no IP"),
        (endpoints(1), {"upsert": [endpoint(2, port=0)]}, "endpoints[1].port: 0 is no port"),
        (endpoints(1), {"version": ""}, "version: must have 1 to 128"),
    ],
)
def test_a_patch_that_does_not_fit_is_refused(former, values, message):
    taken, problems = patched(former, **values)
    assert taken is None
    assert problems
    assert message in problems[0]


@pytest.mark.parametrize(
    ("update", "message"),
    [
        (Update(name=NAME, version="1"), "Input data was truncated"),
        (Update(name=NAME, version="1", resource=msgspec.Raw(b"[]")), "Expected `object`"),
        (Update(name=NAME, version="", resource=msgspec.Raw(b"{}")), "version: must have"),
        (Update(name=NAME, version="1", resource=msgspec.Raw(b'{"endpoints":[{"address":"\xff"}]}')), "utf-8"),
        (Update(name=NAME, version="1", resource=msgspec.Raw(b"{}"), patch=Patch(base="1")), "one of the two"),
        (
            Update(name="backend/shop/a:80", version="1", resource=msgspec.Raw(b'{"protocol":"smtp"}')),
            "unknown protocol 'smtp'",
        ),
        (
            Update(
                name="routes/shop/a:80",
                version="1",
                resource=msgspec.Raw(
                    b'{"matches":[{"rule":0,"path":{"type":"RegularExpression","value":"("}}],'
                    b'"rules":[{"name":"r","backends":[{"backend":"shop/a:80"}]}]}'
                ),
            ),
            "routes/shop/a:80: rule r: match 0",
        ),
    ],
)
def test_a_resource_that_cannot_be_used_is_refused(update, message):
    problems = []
    assert read_update(update, None, problems) is None
    assert message in str(problems[0])


places = st.builds(lambda number, port, weight: endpoint(number, port, weight=weight), *(st.integers(1, 4),) * 3)


def by_place(items):
    return {(item.address, item.port): item for item in items}


def in_order(items):
    return sorted(by_place(items).values(), key=lambda item: endpoint_order(item.address, item.port))


@given(st.lists(places), st.lists(places))
def test_any_change_can_be_told_by_a_patch(before, after):
    before, after = in_order(before), in_order(after)
    old, new = by_place(before), by_place(after)
    patch = Patch(
        base="1",
        upsert=[item for place, item in new.items() if old.get(place) != item],
        remove=[f"{address}:{port}" for address, port in old if (address, port) not in new],
    )
    problems = []
    assert apply_patch(before, patch, NAME, problems) == after
    assert problems == []
