"""Objects as JSON documents, with what a test does not care about filled in."""

from __future__ import annotations

from typing import Any

from control.compile.compiler import Compiler
from control.index.index import Index
from control.model.decode import decode

GATEWAY = "gateway.networking.k8s.io"


def document(api_version: str, kind: str, name: str, namespace: str = "shop", **fields: Any) -> dict[str, Any]:
    metadata = {"name": name, "namespace": namespace, **fields.pop("metadata", {})}
    return {"apiVersion": api_version, "kind": kind, "metadata": metadata, **fields}


def service(name: str, *ports: Any, namespace: str = "shop", **spec: Any) -> dict[str, Any]:
    """`ports`: numbers, or dicts as in the Service."""
    given = [port if isinstance(port, dict) else {"port": port} for port in ports or (80,)]
    if len(given) > 1:
        given = [{"name": f"p{port['port']}", **port} for port in given]
    return document("v1", "Service", name, namespace, spec={"ports": given, **spec})


def endpoint(address: str, pod: str = "", **fields: Any) -> dict[str, Any]:
    target = {"targetRef": {"kind": "Pod", "name": pod}} if pod else {}
    return {"addresses": [address], **target, **fields}


def endpoint_slice(
    owner: str, *endpoints: Any, ports: Any = ({"port": 8080},), name: str = "", namespace: str = "shop", **fields: Any
) -> dict[str, Any]:
    """`endpoints`: addresses, or dicts as `endpoint` makes them."""
    return document(
        "discovery.k8s.io/v1",
        "EndpointSlice",
        name or f"{owner}-1",
        namespace,
        metadata={"labels": {"kubernetes.io/service-name": owner}},
        **{"addressType": "IPv4", **fields},
        endpoints=[endpoint(item) if isinstance(item, str) else item for item in endpoints],
        ports=list(ports),
    )


def pod(name: str, account: str = "", *, meshed: bool = True, namespace: str = "shop", **labels: str) -> dict[str, Any]:
    spec = {"containers": [{"name": "app"}], **({"serviceAccountName": account} if account else {})}
    marks = {"meshproxy.io/sidecar": "injected"} if meshed else {}
    return document("v1", "Pod", name, namespace, metadata={"labels": {**labels, **marks}}, spec=spec)


def parent(name: str, **fields: Any) -> dict[str, Any]:
    return {"group": "", "kind": "Service", "name": name, **fields}


def http_route(
    name: str, *rules: dict[str, Any], parents: Any = (), namespace: str = "shop", created: str = "", **spec: Any
) -> dict[str, Any]:
    """`parents`: names of Services, or dicts as `parent` makes them; by default the Service called as the route."""
    refs = [item if isinstance(item, dict) else parent(item) for item in parents or (name,)]
    metadata = {"creationTimestamp": created} if created else {}
    fields = {"parentRefs": refs, "rules": list(rules), **spec}
    return document(f"{GATEWAY}/v1", "HTTPRoute", name, namespace, metadata=metadata, spec=fields)


def rule(*backends: Any, **fields: Any) -> dict[str, Any]:
    """`backends`: names of Services with port 80, or dicts as in backendRefs."""
    refs = [item if isinstance(item, dict) else {"name": item, "port": 80} for item in backends]
    return {"backendRefs": refs, **fields} if refs else fields


def path(value: str, kind: str = "PathPrefix") -> dict[str, Any]:
    return {"path": {"type": kind, "value": value}}


def grant(name: str, source: str, target: str = "", namespace: str = "bank") -> dict[str, Any]:
    """Let HTTPRoutes of the namespace `source` refer to the Service `target` (or all) of the grant's namespace."""
    spec = {
        "from": [{"group": GATEWAY, "kind": "HTTPRoute", "namespace": source}],
        "to": [{"group": "", "kind": "Service", **({"name": target} if target else {})}],
    }
    return document(f"{GATEWAY}/v1beta1", "ReferenceGrant", name, namespace, spec=spec)


def index_of(*documents: dict[str, Any]) -> Index:
    index = Index()
    for item in documents:
        index.apply(decode(item))
    return index


def compiled(index: Index, trust_domain: str = "cluster.local") -> Compiler:
    """Compile everything from scratch, and let the result be checked."""
    compiler = Compiler(index, trust_domain)
    compiler.refresh(index.names())
    compiler.snapshot()
    return compiler


def resources_of(*documents: dict[str, Any]) -> dict[str, Any]:
    return {name: entry.resource for name, entry in compiled(index_of(*documents)).entries.items()}
