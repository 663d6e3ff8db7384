import pytest

from control.model.decode import decode
from control.model.protocol import mesh_ports, protocol_of
from tests.control.build import service


@pytest.mark.parametrize(
    ("port", "protocol"),
    [
        ({"port": 80}, "http"),
        ({"port": 80, "appProtocol": "http"}, "http"),
        ({"port": 80, "appProtocol": "HTTP"}, "http"),
        ({"port": 80, "appProtocol": "kubernetes.io/ws"}, "http"),
        ({"port": 80, "appProtocol": "kubernetes.io/h2c"}, "http2"),
        ({"port": 80, "appProtocol": "grpc"}, "grpc"),
        ({"port": 80, "appProtocol": "https"}, "tcp"),
        ({"port": 80, "appProtocol": "mongo"}, "tcp"),
        ({"port": 80, "appProtocol": "tcp", "name": "http"}, "tcp"),
        ({"port": 80, "name": "grpc-api"}, "grpc"),
        ({"port": 80, "name": "http2"}, "http2"),
        ({"port": 80, "name": "httpbin"}, "http"),
        ({"port": 80, "name": "tcp-db"}, "tcp"),
        ({"port": 3306}, "tcp"),
        ({"port": 3306, "name": "http"}, "http"),
    ],
)
def test_the_protocol_is_what_the_port_says(port, protocol):
    assert protocol_of(decode(service("a", port)).spec.ports[0]) == protocol


def test_only_tcp_ports_are_served_by_number():
    ports = [{"name": "b", "port": 90}, {"name": "d", "port": 53, "protocol": "UDP"}, {"name": "a", "port": 80}]
    assert [port.port for port in mesh_ports(decode(service("a", *ports)))] == [80, 90]
    assert mesh_ports(decode(service("a", type="ExternalName", externalName="example.com"))) == []
