from __future__ import annotations

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from control.push.encode import ABSENT, Frames, Item, difference, text_frame
from meshproxy.wire.address import endpoint_order
from meshproxy.wire.canonical import version_of
from meshproxy.wire.resources import Endpoint, Endpoints, Service, ServicePort
from meshproxy.wire.snapshot import entry_of
from meshproxy.wire.stream import Push, Update, decode_from_control
from tests.fakes.subscriber import Holding

NAME = "endpoints/shop/a:80"

places = st.tuples(
    st.sampled_from(["10.0.0.1", "10.0.0.2", "10.0.0.10", "10.0.1.0", "fd00::1", "fd00::2"]), st.sampled_from([80, 81])
)


@st.composite
def endpoints(draw):
    chosen = draw(st.sets(places))
    made = [
        Endpoint(address=address, port=port, ready=draw(st.booleans()), zone=draw(st.sampled_from(["", "z"])))
        for address, port in sorted(chosen, key=lambda place: endpoint_order(*place))
    ]
    return Endpoints(endpoints=made)


def push_of(*parts):
    made = Frames().of(parts, [], ())
    return decode_from_control(made.data[2 if len(made.data) < 128 else 4 :])


@given(endpoints(), endpoints())
def test_a_patch_makes_the_new_version_out_of_the_one_before(old, new):
    holding = Holding()
    former, entry = entry_of(NAME, old), entry_of(NAME, new)
    assert holding.take(push_of(Item(NAME, former).part(None))) == []
    patch = difference(former.version, old, new)
    update = Update(name=NAME, version=entry.version, patch=patch)
    assert holding.take(Push(nonce="1", updated=[update])) == []
    assert holding.resources[NAME] == new
    assert version_of(holding.resources[NAME]) == entry.version
    untouched = {(item.address, item.port) for item in old.endpoints if item in new.endpoints}
    assert not untouched & {(item.address, item.port) for item in patch.upsert}


@given(endpoints(), endpoints(), st.sampled_from([None, "base", "other"]))
def test_only_who_holds_the_base_is_sent_a_patch(old, new, sent):
    former, entry = entry_of(NAME, old), entry_of(NAME, new)
    part = Item(NAME, entry, former).part(former.version if sent == "base" else sent)
    assert not part.is_patch or sent == "base"
    holding = Holding()
    holding.take(push_of(Item(NAME, former).part(None)))
    assert holding.take(push_of(part)) == []
    assert holding.resources[NAME] == new


def test_each_version_is_encoded_once():
    item = Item(NAME, entry_of(NAME, Endpoints(endpoints=[Endpoint(address="10.0.0.1", port=80)])))
    assert item.part(None) is item.part("another")
    frames = Frames()
    parts = (item.part(None),)
    one = frames.of(parts, [], ())
    assert frames.of(parts, [], ()) is one
    assert frames.of(parts, [], (one.nonce,)).nonce != one.nonce


def test_a_resource_of_another_kind_is_never_patched():
    name = "service/shop/a"
    versions = [entry_of(name, Service(ports=[ServicePort(port=port)])) for port in (80, 81)]
    assert not Item(name, versions[1], versions[0]).part(versions[0].version).is_patch


def test_what_does_not_exist_is_removed():
    push = push_of(
        Item(NAME, None).part(None), Item("service/shop/a", entry_of("service/shop/a", Service())).part(None)
    )
    assert push.removed == [NAME]
    assert [update.name for update in push.updated] == ["service/shop/a"]
    assert Item(NAME, None).version == ABSENT


@pytest.mark.parametrize(("size", "head"), [(0, 2), (125, 2), (126, 4), (65_535, 4), (65_536, 10)])
def test_frames_are_as_rfc_6455_says(size, head):
    made = text_frame(b"x" * size)
    assert made[0] == 0x81
    assert len(made) == size + head
    length = made[1] if head == 2 else int.from_bytes(made[2:head], "big")
    assert length == size
    assert made[1] == {2: size, 4: 126, 10: 127}[head]


@given(st.text())
def test_unknown_names_are_answered_as_they_were_written(name):
    made = Frames().of((), [name], ())
    payload = made.data[2 if made.data[1] < 126 else 4 :]
    assert decode_from_control(payload).removed == [msgspec.json.decode(msgspec.json.encode(name))]
