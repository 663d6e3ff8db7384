"""Objects as controllers, scheduler and kubelet write them, with all that a client has to read past. Pure."""

from __future__ import annotations

import hashlib
from typing import Any, Protocol

API_GROUP = "discovery.k8s.io/v1"
CREATED = "2026-01-05T08:00:00Z"


class PodLike(Protocol):
    """What is told of a pod. `host` is empty as long as it has no address, `deleted` unless it is to go."""

    name: str
    namespace: str
    uid: str
    account: str
    labels: dict[str, str]
    host: str
    port: int
    phase: str
    node: str
    zone: str
    is_ready: bool
    deleted: str
    grace_s: int


def service(namespace: str, name: str, app: str, spec: dict[str, Any]) -> dict[str, Any]:
    """A Service for the pods labelled `app`, with a named target port."""
    digest = hashlib.sha256(f"{namespace}/{name}".encode()).digest()
    address = f"10.{96 + digest[0] % 16}.{digest[1]}.{digest[2]}"
    shown = {
        "ports": [{"name": "http", "protocol": "TCP", "port": 80, "targetPort": "http"}], "selector": {"app": app},
        "clusterIP": address, "clusterIPs": [address], "type": "ClusterIP", "sessionAffinity": "None",
        "ipFamilies": ["IPv4"], "ipFamilyPolicy": "SingleStack", "internalTrafficPolicy": "Cluster", **spec,
    }  # fmt: skip
    managed = [_managed("kubectl-client-side-apply", "v1", {"spec": shown})]
    metadata = {"name": name, "namespace": namespace, "managedFields": managed}
    return {"apiVersion": "v1", "kind": "Service", "metadata": metadata, "spec": shown, "status": {"loadBalancer": {}}}


def endpoint(pod: PodLike, *, is_published: bool = False) -> dict[str, Any]:
    """A pod in a slice. `is_published` are addresses that are published whether ready or not."""
    is_going = bool(pod.deleted)
    conditions = {
        "ready": is_published or (pod.is_ready and not is_going), "serving": pod.is_ready or is_published,
        "terminating": is_going,
    }  # fmt: skip
    target = {"kind": "Pod", "namespace": pod.namespace, "name": pod.name, "uid": pod.uid}
    return {
        "addresses": [pod.host], "conditions": conditions, "targetRef": target, "nodeName": pod.node, "zone": pod.zone
    }  # fmt: skip


def endpoint_slice(owner: dict[str, Any], name: str, port: int, endpoints: list[dict[str, Any]]) -> dict[str, Any]:
    """A slice of a Service; without endpoints it shows the nulls of Go."""
    service_name = owner["metadata"]["name"]
    labels = {
        "endpointslice.kubernetes.io/managed-by": "endpointslice-controller.k8s.io",
        "kubernetes.io/service-name": service_name,
    }
    reference = {
        "apiVersion": "v1", "kind": "Service", "name": service_name, "uid": owner["metadata"].get("uid", ""),
        "controller": True, "blockOwnerDeletion": True,
    }  # fmt: skip
    shown: dict[str, Any] = {
        "addressType": "IPv4",
        "endpoints": endpoints or None,
        "ports": [{"name": "http", "protocol": "TCP", "port": port}] if endpoints else None,
    }
    metadata: dict[str, Any] = {
        "name": name, "generateName": f"{service_name}-", "namespace": owner["metadata"]["namespace"], "labels": labels,
        "ownerReferences": [reference],
    }  # fmt: skip
    metadata["managedFields"] = [_managed("kube-controller-manager", API_GROUP, {"metadata": metadata, **shown})]
    return {"apiVersion": API_GROUP, "kind": "EndpointSlice", "metadata": metadata, **shown}


def pod_document(pod: PodLike) -> dict[str, Any]:
    """A pod of a Deployment, with what admission, scheduler and kubelet add."""
    owner = {
        "apiVersion": "apps/v1", "kind": "ReplicaSet", "name": pod.name.rpartition("-")[0],
        "uid": "c4a89fae-561c-463c-846a-18cfa36bf8dd", "controller": True, "blockOwnerDeletion": True,
    }  # fmt: skip
    metadata: dict[str, Any] = {
        "name": pod.name, "generateName": pod.name.rpartition("-")[0] + "-", "namespace": pod.namespace, "uid": pod.uid,
        "creationTimestamp": CREATED, "labels": {**pod.labels, "pod-template-hash": "5d876bbf6c"},
        "ownerReferences": [owner],
    }  # fmt: skip
    if pod.deleted:
        metadata.update(deletionTimestamp=pod.deleted, deletionGracePeriodSeconds=pod.grace_s)
    spec, status = _spec(pod), _status(pod)
    metadata["managedFields"] = [_managed("kube-controller-manager", "v1", {"metadata": metadata, "spec": spec})]
    if status.get("podIP"):
        metadata["managedFields"].append(_managed("kubelet", "v1", {"status": status}, "status"))
    return {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": spec, "status": status}


def namespace(name: str) -> dict[str, Any]:
    return {
        "apiVersion": "v1", "kind": "Namespace",
        "metadata": {"name": name, "labels": {"kubernetes.io/metadata.name": name}},
        "spec": {"finalizers": ["kubernetes"]}, "status": {"phase": "Active"},
    }  # fmt: skip


def node(name: str, zone: str) -> dict[str, Any]:
    labels = {
        "kubernetes.io/arch": "amd64", "kubernetes.io/hostname": name, "kubernetes.io/os": "linux",
        "topology.kubernetes.io/region": zone[:-2], "topology.kubernetes.io/zone": zone,
    }  # fmt: skip
    metadata = {"name": name, "labels": labels, "managedFields": [_managed("kubelet", "v1", {"metadata": labels})]}
    status = {"addresses": [{"type": "Hostname", "address": name}], "capacity": {"cpu": "8", "pods": "110"}}
    return {"apiVersion": "v1", "kind": "Node", "metadata": metadata, "spec": {}, "status": status}


def _spec(pod: PodLike) -> dict[str, Any]:
    token = f"kube-api-access-{pod.uid[:5]}"
    sources = [
        {"serviceAccountToken": {"expirationSeconds": 3607, "path": "token"}},
        {"configMap": {"name": "kube-root-ca.crt", "items": [{"key": "ca.crt", "path": "ca.crt"}]}},
        {"downwardAPI": {"items": [{"path": "namespace", "fieldRef": {"fieldPath": "metadata.namespace"}}]}},
    ]
    mount = {"name": token, "readOnly": True, "mountPath": "/var/run/secrets/kubernetes.io/serviceaccount"}
    probe = {
        "httpGet": {"path": "/ready", "port": "http", "scheme": "HTTP"}, "timeoutSeconds": 1, "periodSeconds": 10,
        "successThreshold": 1, "failureThreshold": 3,
    }  # fmt: skip
    container = {
        "name": "app", "image": f"registry.example/{pod.labels.get('app', 'app')}:1.4.2",
        "ports": [{"name": "http", "containerPort": pod.port or 8080, "protocol": "TCP"}],
        "resources": {"limits": {"memory": "256Mi"}, "requests": {"cpu": "100m", "memory": "256Mi"}},
        "volumeMounts": [mount], "readinessProbe": probe, "terminationMessagePath": "/dev/termination-log",
        "terminationMessagePolicy": "File", "imagePullPolicy": "IfNotPresent",
    }  # fmt: skip
    tolerations = [
        {"key": f"node.kubernetes.io/{key}", "operator": "Exists", "effect": "NoExecute", "tolerationSeconds": 300}
        for key in ("not-ready", "unreachable")
    ]
    return {
        "volumes": [{"name": token, "projected": {"sources": sources, "defaultMode": 420}}],
        "containers": [container], "restartPolicy": "Always", "terminationGracePeriodSeconds": 30,
        "dnsPolicy": "ClusterFirst", "serviceAccountName": pod.account, "serviceAccount": pod.account,
        **({"nodeName": pod.node} if pod.node else {}), "securityContext": {}, "schedulerName": "default-scheduler",
        "tolerations": tolerations, "priority": 0, "enableServiceLinks": True,
        "preemptionPolicy": "PreemptLowerPriority",
    }  # fmt: skip


def _status(pod: PodLike) -> dict[str, Any]:
    has_run = pod.phase == "Running"
    states = {
        "PodReadyToStartContainers": has_run, "Initialized": bool(pod.host), "Ready": pod.is_ready and has_run,
        "ContainersReady": pod.is_ready and has_run, "PodScheduled": bool(pod.node),
    }  # fmt: skip
    conditions = [
        {"type": name, "status": str(is_so), "lastProbeTime": None, "lastTransitionTime": CREATED}
        for name, is_so in states.items()
        if pod.host or (name == "PodScheduled" and is_so)
    ]
    shown: dict[str, Any] = {"phase": pod.phase, "conditions": conditions, "qosClass": "Burstable"}
    if pod.host:
        state = (
            {"running": {"startedAt": CREATED}} if has_run else {"terminated": {"exitCode": 0, "reason": "Completed"}}
        )
        container = {
            "name": "app", "state": state, "lastState": {}, "ready": pod.is_ready, "restartCount": 0,
            "image": f"registry.example/{pod.labels.get('app', 'app')}:1.4.2",
            "imageID": f"registry.example@sha256:{pod.uid.replace('-', '') * 2}",
            "containerID": f"containerd://{pod.uid.replace('-', '') * 2}", "started": has_run,
        }  # fmt: skip
        shown.update(
            hostIP="192.0.2.1", hostIPs=[{"ip": "192.0.2.1"}], podIP=pod.host, podIPs=[{"ip": pod.host}],
            startTime=CREATED, containerStatuses=[container],
        )  # fmt: skip
    return shown


def _managed(manager: str, api_version: str, owned: dict[str, Any], subresource: str = "") -> dict[str, Any]:
    """Who wrote what, as the server keeps it."""
    of = {"subresource": subresource} if subresource else {}
    return {
        "manager": manager, "operation": "Update", "apiVersion": api_version, "time": CREATED,
        "fieldsType": "FieldsV1", "fieldsV1": _fields(owned), **of,
    }  # fmt: skip


def _fields(value: Any) -> dict[str, Any]:
    if isinstance(value, dict):
        return {f"f:{name}": _fields(item) for name, item in value.items() if name != "managedFields"}
    if isinstance(value, list) and value and isinstance(value[0], dict):
        return {_key(item): {".": {}, **_fields(item)} for item in value}
    return {}


def _key(item: dict[str, Any]) -> str:
    for name in ("uid", "name", "type", "ip"):
        if name in item:
            return f'k:{{"{name}":"{item[name]}"}}'
    return "k:{}"
