"""The index: all objects by key, and which of them refer to which.

`apply` and `delete` take one object at a time and return the names of the resources that may have changed by it; only
those need compiling again. Equal objects change nothing.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import NamedTuple, TypeVar

from control.index.links import Links
from control.model.decode import Known
from control.model.objects import EndpointSlice, Key, Namespace, Node, Pod, PodRef, Service, SliceEndpoint
from control.model.protocol import mesh_ports
from control.model.routes import BackendRef, HTTPRoute, ReferenceGrant
from meshproxy.wire.names import PORT_KINDS, PortKey

Item = TypeVar("Item")


class Withheld(NamedTuple):
    """An endpoint of a Service that is left out, because the Pod that it is said to be is not known."""

    service: Key
    address: str
    pod: Key
    uid: str


class Index:
    """What is known of a cluster (or of a folder of files). Holds no time and no I/O.

    `has_uids`: the uids by which endpoints name their Pods are those of the Pods here. On a cluster they are. Objects
    that were exported and stored elsewhere have got uids of their own there; their endpoints name Pods by name alone.
    """

    __slots__ = (
        "_has_uids", "_routes_by_backend", "_routes_by_namespace", "_routes_by_parent", "_services_by_namespace",
        "_slices_by_node", "_slices_by_pod", "_slices_by_service", "grants", "namespaces", "nodes",
        "pods", "routes", "services", "slices",
    )  # fmt: skip

    def __init__(self, *, has_uids: bool = True) -> None:
        self._has_uids = has_uids
        self.services: dict[Key, Service] = {}
        self.slices: dict[Key, EndpointSlice] = {}
        self.pods: dict[Key, Pod] = {}
        self.nodes: dict[Key, Node] = {}
        self.namespaces: dict[Key, Namespace] = {}
        self.routes: dict[Key, HTTPRoute] = {}
        self.grants: dict[str, dict[Key, ReferenceGrant]] = {}
        self._services_by_namespace: Links[Key, str] = Links()  # those that have resources
        self._slices_by_service: Links[Key, Key] = Links()
        self._slices_by_pod: Links[Key, PodRef] = Links()
        self._slices_by_node: Links[Key, str] = Links()  # of endpoints whose zone is that of their node
        self._routes_by_parent: Links[Key, Key] = Links()
        self._routes_by_backend: Links[Key, Key] = Links()
        self._routes_by_namespace: Links[Key, str] = Links()  # of backends in another namespace than the route's

    def apply(self, item: Known) -> set[str]:
        """Take a new or changed object."""
        return self._replace(type(item), item.key, item)

    def delete(self, kind: type[Known], key: Key) -> set[str]:
        """Forget an object; one that is not known changes nothing."""
        return self._replace(kind, key, None)

    def _replace(self, kind: type[Known], key: Key, new: Known | None) -> set[str]:
        if kind is Service:
            return self._put_service(key, new if isinstance(new, Service) else None)
        if kind is EndpointSlice:
            return self._put_slice(key, new if isinstance(new, EndpointSlice) else None)
        if kind is Pod:
            return self._put_pod(key, new if isinstance(new, Pod) else None)
        if kind is Node:
            return self._put_node(key, new if isinstance(new, Node) else None)
        if kind is Namespace:
            _put(self.namespaces, key, new if isinstance(new, Namespace) else None)
            return set()
        if kind is HTTPRoute:
            return self._put_route(key, new if isinstance(new, HTTPRoute) else None)
        return self._put_grant(key, new if isinstance(new, ReferenceGrant) else None)

    def _put_service(self, key: Key, new: Service | None) -> set[str]:
        old = self.services.get(key)
        if old == new:
            return set()
        _put(self.services, key, new)
        has_resources = new is not None and new.spec.type != "ExternalName"
        self._services_by_namespace.put(key, [key.namespace] if has_resources else [])
        names = {name for service in (old, new) if service is not None for name in service_names(service)}
        for slice_ in self.slices_of(key):
            names |= self._workload_names(self._pods(slice_))
        return names | self._route_names(self._routes_by_backend.sources(key))

    def _put_slice(self, key: Key, new: EndpointSlice | None) -> set[str]:
        old = self.slices.get(key)
        if old == new:
            return set()
        _put(self.slices, key, new)
        self._slices_by_service.put(key, [new.service] if new is not None and new.service is not None else [])
        self._slices_by_node.put(key, _nodes(new) if new is not None else [])
        pods = self._slices_by_pod.put(key, self._pods(new) if new is not None else [])
        if old is not None and new is not None and (old.service, old.ports) != (new.service, new.ports):
            pods |= self._pods(new)  # workloads name the Service and its ports; else only who came or went has changed
        names = self._workload_names(pods)
        for slice_ in (old, new):
            if slice_ is not None:
                names |= self._endpoints_names(slice_)
        return names

    def _put_pod(self, key: Key, new: Pod | None) -> set[str]:
        old = self.pods.get(key)
        if old == new:
            return set()
        _put(self.pods, key, new)
        names = {f"workload/{key}"}
        uids = {"", *(pod.metadata.uid for pod in (old, new) if pod is not None)}
        refs = [PodRef(*key, uid) for uid in uids]
        return names.union(*map(self._endpoints_names, self._slices_with(refs)))

    def _put_node(self, key: Key, new: Node | None) -> set[str]:
        old = self.nodes.get(key)
        _put(self.nodes, key, new)
        if (old.zone if old is not None else "") == (new.zone if new is not None else ""):
            return set()
        slices = self._slices_by_node.sources(key.name)
        return set().union(*(self._endpoints_names(self.slices[slice_key]) for slice_key in slices))

    def _put_route(self, key: Key, new: HTTPRoute | None) -> set[str]:
        old = self.routes.get(key)
        if old == new:
            return set()
        names = self._route_names([key]) if old is not None else set()
        _put(self.routes, key, new)
        backends = backends_of(new) if new is not None else []
        self._routes_by_parent.put(key, parents_of(new) if new is not None else [])
        self._routes_by_backend.put(key, backends)
        self._routes_by_namespace.put(key, {backend.namespace for backend in backends} - {key.namespace})
        return names | (self._route_names([key]) if new is not None else set())

    def _put_grant(self, key: Key, new: ReferenceGrant | None) -> set[str]:
        grants = self.grants.setdefault(key.namespace, {})
        old = grants.get(key)
        _put(grants, key, new)
        if not grants:
            del self.grants[key.namespace]
        return set() if old == new else self._route_names(self._routes_by_namespace.sources(key.namespace))

    def routes_touched(self, kind: type[Known], key: Key) -> set[Key]:
        """Return the routes whose status an object's change may have changed. Ask after the change was applied."""
        if kind is Service:
            return {*self._routes_by_parent.sources(key), *self._routes_by_backend.sources(key)}
        if kind is HTTPRoute:
            return {key} if key in self.routes else set()
        if kind is ReferenceGrant:
            return set(self._routes_by_namespace.sources(key.namespace))
        return set()

    def services_of(self, namespace: str) -> list[str]:
        """Return the names of the resources `service/...` of a namespace, sorted."""
        return sorted(f"service/{key}" for key in self._services_by_namespace.sources(namespace))

    def slices_of(self, service: Key) -> list[EndpointSlice]:
        """Return the slices of a Service, by name."""
        return [self.slices[key] for key in sorted(self._slices_by_service.sources(service))]

    def slices_with(self, pod: Pod) -> list[EndpointSlice]:
        """Return the slices that have a Pod among their endpoints, by namespace and name."""
        return self._slices_with(PodRef(*pod.key, uid) for uid in {"", pod.metadata.uid})

    def pod_of(self, slice_: EndpointSlice, endpoint: SliceEndpoint) -> PodRef | None:
        """Return which Pod an endpoint of a slice is; its uid is empty where the name alone decides."""
        ref = slice_.pod_of(endpoint)
        return ref if ref is None or self._has_uids else ref._replace(uid="")

    def withheld(self, slice_: EndpointSlice) -> Iterator[Withheld]:
        """Return the endpoints of a slice that are left out as long as their Pods are not known."""
        if slice_.service is not None:
            for endpoint in slice_.endpoints:
                ref = self.pod_of(slice_, endpoint)
                if ref is not None and is_withheld(ref, self.pods.get(ref.key)):
                    yield Withheld(slice_.service, endpoint.addresses[0], ref.key, ref.uid)

    def zone_of(self, node: str) -> str:
        """Return the zone of a node; empty where that is not known."""
        found = self.nodes.get(Key("", node))
        return found.zone if found is not None else ""

    def lacks_namespace(self, name: str) -> bool:
        """Tell whether a namespace does not exist, which is known only where there are objects of namespaces."""
        return bool(self.namespaces) and Key("", name) not in self.namespaces

    def routes_of(self, service: Key) -> list[HTTPRoute]:
        """Return the routes that name a Service as a parent, by namespace and name."""
        return [self.routes[key] for key in sorted(self._routes_by_parent.sources(service))]

    def is_granted(self, route: HTTPRoute, service: Key) -> bool:
        """Tell whether a ReferenceGrant lets a route send to a Service of another namespace."""
        return any(
            any(
                (source.group, source.kind, source.namespace)
                == ("gateway.networking.k8s.io", "HTTPRoute", route.metadata.namespace)
                for source in grant.spec.from_
            )
            and any(
                (target.group, target.kind) == ("", "Service") and target.name in {"", service.name}
                for target in grant.spec.to
            )
            for grant in self.grants.get(service.namespace, {}).values()
        )

    def names(self) -> list[str]:
        """Return the names of all resources that there are; those of replicas, which have much in common, together."""
        names = [name for service in self.services.values() for name in service_names(service)]
        return [*names, *(f"workload/{pod}" for pod in self.pods)]

    def _slices_with(self, pods: Iterable[PodRef]) -> list[EndpointSlice]:
        keys = {key for ref in pods for key in self._slices_by_pod.sources(ref)}
        return [self.slices[key] for key in sorted(keys)]

    def _pods(self, slice_: EndpointSlice) -> set[PodRef]:
        return {ref for endpoint in slice_.endpoints if (ref := self.pod_of(slice_, endpoint)) is not None}

    def _workload_names(self, pods: Iterable[PodRef]) -> set[str]:
        # A reference may hold anything; a Pod that is not known has no workload, and brings it when it comes.
        return {f"workload/{pod.key}" for pod in pods if pod.key in self.pods}

    def _endpoints_names(self, slice_: EndpointSlice) -> set[str]:
        service = self.services.get(slice_.service) if slice_.service is not None else None
        if service is None:
            return set()
        return {PortKey(*service.key, port.port).name("endpoints") for port in mesh_ports(service)}

    def _route_names(self, routes: Iterable[Key]) -> set[str]:
        parents = {parent for key in routes for parent in parents_of(self.routes[key])}
        services = [self.services[parent] for parent in parents if parent in self.services]
        return {PortKey(*service.key, port.port).name("routes") for service in services for port in mesh_ports(service)}


def is_withheld(ref: PodRef, known: Pod | None) -> bool:
    """Tell whether an endpoint must be left out: `known`, the Pod of that name, is not, or not yet, the one that it is.

    Its address may have been another Pod's before, or be another's by now. With a wrong identity its requests would
    fail; with none they would be sent to a stranger.
    """
    return bool(ref.uid) and (known is None or known.metadata.uid != ref.uid)


def service_names(service: Service) -> list[str]:
    """Return the names of the resources that exist because of a Service."""
    if service.spec.type == "ExternalName":
        return []
    keys = [PortKey(*service.key, port.port) for port in mesh_ports(service)]
    return [f"service/{service.key}", *(key.name(kind) for key in keys for kind in PORT_KINDS)]


def parents_of(route: HTTPRoute) -> set[Key]:
    """Return the Services that a route names as parents, whether they exist or not."""
    return {
        Key(parent.namespace or route.metadata.namespace, parent.name)
        for parent in route.spec.parent_refs
        if (parent.group, parent.kind) == ("", "Service")
    }


def backend_key(route: HTTPRoute, backend: BackendRef) -> Key:
    return Key(backend.namespace or route.metadata.namespace, backend.name)


def backends_of(route: HTTPRoute) -> list[Key]:
    """Return the Services that a route sends to, whether they exist or not."""
    return [
        backend_key(route, backend)
        for rule in route.spec.rules
        for backend in rule.backend_refs
        if (backend.group, backend.kind) == ("", "Service")
    ]


def _nodes(slice_: EndpointSlice) -> set[str]:
    return {endpoint.node_name for endpoint in slice_.endpoints if endpoint.node_name and not endpoint.zone}


def _put(items: dict[Key, Item], key: Key, new: Item | None) -> None:
    if new is None:
        items.pop(key, None)
    else:
        items[key] = new
