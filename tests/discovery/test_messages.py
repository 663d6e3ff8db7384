from meshproxy.discovery import messages
from meshproxy.discovery.messages import greeting, subscriptions
from meshproxy.wire.stream import Hello, Node, Subscribe, Unsubscribe, decode_from_sidecar

NODE = Node(namespace="shop", service_account="web", workload="web-1", version="1")
NAMES = [f"endpoints/{'n' * 63}/{'s' * 63}{number:05}:80" for number in range(16_000)]


def test_messages_are_bounded_and_leave_nothing_out():
    told = [decode_from_sidecar(message) for message in subscriptions(NAMES[:10], NAMES)]
    assert [type(message) for message in told] == [Unsubscribe, *[Subscribe] * (len(told) - 1)]
    assert [name for message in told[1:] for name in message.names] == NAMES
    assert all(len(message) <= messages.MAX_BYTES + 1024 for message in subscriptions([], NAMES))
    assert list(subscriptions([], [])) == []


def test_a_hello_is_bounded_and_leaves_out_what_then_comes_whole():
    message = greeting(NODE, dict.fromkeys(NAMES, "0123456789abcdef"))
    assert len(message) <= messages.MAX_BYTES + 1024
    hello = decode_from_sidecar(message)
    assert isinstance(hello, Hello)
    assert 3_000 < len(hello.known) < 16_000
    few = decode_from_sidecar(greeting(NODE, {"service/a/b": "1"}))
    assert few == Hello(node=NODE, schema=1, known={"service/a/b": "1"})
