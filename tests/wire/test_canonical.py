import msgspec
from hypothesis import given
from hypothesis import strategies as st

from meshproxy.wire import resources as wire
from meshproxy.wire.canonical import _plain, encode, version_of

texts = st.sampled_from(["", "http", "grpc", "z1", "\u00e9"])
endpoints = st.builds(
    wire.Endpoint,
    address=st.sampled_from(["10.0.0.1", "fd00::1"]),
    port=st.sampled_from([1, 65535]),
    protocol=texts,
    identity=texts,
    meshed=st.booleans(),
    zone=texts,
    hints=st.lists(texts, max_size=2),
    node=texts,
    labels=st.dictionaries(texts, texts, max_size=3),
    weight=st.sampled_from([0, 1, 2, 1_000_000]),
    ready=st.booleans(),
    serving=st.booleans(),
    terminating=st.booleans(),
)
resources = st.builds(wire.Endpoints, endpoints=st.lists(endpoints, max_size=4))


@given(resources)
def test_endpoints_are_encoded_as_every_other_resource(resource):
    # The way of all other resources, which looks at every field of its own accord.
    expected = msgspec.json.encode(_plain(resource))
    assert encode(resource) == expected


@given(resources)
def test_equal_endpoints_have_equal_bytes_wherever_they_come_from(resource):
    document = msgspec.to_builtins(resource)
    for item in document.get("endpoints", []):
        # All defaults written out, as other objects than the defaults themselves; and labels in another order.
        item.setdefault("protocol", str(b"http", "ascii"))
        item.setdefault("zone", "x"[1:])
        item.setdefault("weight", int("1"))
        item["labels"] = dict(reversed(item.get("labels", {}).items()))
    for same in (
        msgspec.json.decode(msgspec.json.encode(document), type=wire.Endpoints),
        msgspec.convert(document, wire.Endpoints),
    ):
        assert same == resource
        assert encode(same) == encode(resource)
        assert version_of(same) == version_of(resource)


def test_versions_of_endpoints_are_the_same_in_every_process():
    one = wire.Endpoint(address="10.0.0.1", port=8080, labels={"b": "1", "a": "2"}, hints=["z1"], ready=False)
    resource = wire.Endpoints(endpoints=[one])
    assert encode(resource) == (
        b'{"endpoints":[{"address":"10.0.0.1","port":8080,"hints":["z1"],"labels":{"a":"2","b":"1"},"ready":false}]}'
    )
    assert version_of(resource) == "8bc29860bbf43b4b"
    assert encode(wire.Endpoints()) == b"{}"
