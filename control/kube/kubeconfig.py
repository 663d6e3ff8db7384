"""kubeconfig files: read, merged as kubectl merges them, and one context chosen."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

import msgspec
from msgspec import Struct, field

from control.kube.failure import SettingsError
from control.kube.material import Material, read_file
from control.model.yaml_events import YAMLError, read_yaml

MAX_BYTES = 4 << 20
MAX_NODES = 200_000

T = TypeVar("T")


class Extension(Struct):
    name: str = ""
    extension: Any = None


class Cluster(Struct, rename="kebab"):
    server: str = ""
    certificate_authority: str = ""
    certificate_authority_data: str = ""
    insecure_skip_tls_verify: bool = False
    tls_server_name: str = ""
    proxy_url: str = ""
    extensions: list[Extension] = []


class Variable(Struct):
    name: str
    value: str = ""


class Exec(Struct, rename="camel"):
    """A program that gives credentials (client.authentication.k8s.io)."""

    api_version: str = ""
    command: str = ""
    args: list[str] = []
    env: list[Variable] = []
    interactive_mode: str = "IfAvailable"
    install_hint: str = ""
    provide_cluster_info: bool = False


class User(Struct, rename="kebab"):
    client_certificate: str = ""
    client_certificate_data: str = ""
    client_key: str = ""
    client_key_data: str = ""
    token: str = ""
    token_file: str = field(name="tokenFile", default="")
    username: str = ""
    password: str = ""
    exec: Exec | None = None
    auth_provider: Any = None
    impersonated: str = field(name="as", default="")
    impersonated_uid: str = field(name="as-uid", default="")
    impersonated_groups: list[str] = field(name="as-groups", default_factory=list)
    impersonated_extra: dict[str, Any] = field(name="as-user-extra", default_factory=dict)

    def __repr__(self) -> str:  # secrets stay out of tracebacks and logs
        return "User(...)"


class Context(Struct):
    cluster: str = ""
    user: str = ""


class NamedCluster(Struct):
    name: str
    cluster: Cluster = field(default_factory=Cluster)


class NamedUser(Struct):
    name: str
    user: User = field(default_factory=User)


class NamedContext(Struct):
    name: str
    context: Context = field(default_factory=Context)


class Config(Struct, rename="kebab"):
    current_context: str = ""
    clusters: list[NamedCluster] = []
    users: list[NamedUser] = []
    contexts: list[NamedContext] = []


class Place(NamedTuple):
    """Where an entry stands: `FILE: cluster prod`."""

    file: Path
    entry: str

    def label(self, name: str) -> str:
        return f"{self.file}: {self.entry}: {name}"

    def refuse(self, name: str, why: str) -> SettingsError:
        return SettingsError(f"{self.label(name)}: {why}")

    def path(self, text: str) -> Path:
        """Paths are relative to the file that names them."""
        return self.file.parent / text

    def material(self, name: str, path: str, data: str) -> Material | None:
        """The pair of fields NAME and NAME-data; the data win."""
        if data:
            return Material.of_base64(self.label(f"{name}-data"), data)
        return Material(self.label(name), self.path(path)) if path else None


class Chosen(NamedTuple):
    """One context's cluster and user, and where they stand."""

    context: str
    file: Path
    cluster: Cluster
    cluster_at: Place
    user: User
    user_at: Place


def choose(files: Sequence[Path], context: str) -> Chosen:
    """Return the cluster and user of `context`, or of the current one if that is empty. Raise SettingsError.

    Of several files the first one that says something wins, for each name and for the current context. A context
    without user has an empty one.
    """
    configs = [(file, read(file)) for file in files]
    told = ", ".join(str(file) for file in files)
    name = context or next((config.current_context for _, config in configs if config.current_context), "")
    if not name:
        raise SettingsError(f"{told}: current-context: is empty, and no context was asked for")
    contexts = _merge(configs, "context", lambda config: [(it.name, it.context) for it in config.contexts])
    clusters = _merge(configs, "cluster", lambda config: [(it.name, it.cluster) for it in config.clusters])
    users = _merge(configs, "user", lambda config: [(it.name, it.user) for it in config.users])
    at, chosen = _take(contexts, name, f"{told}: contexts")
    cluster_at, cluster = _take(clusters, chosen.cluster, at.label("cluster"))
    user_at, user = _take(users, chosen.user, at.label("user")) if chosen.user else (at, User())
    return Chosen(name, at.file, cluster, cluster_at, user, user_at)


def read(file: Path) -> Config:
    """Return what stands in one file. Raise SettingsError."""
    try:
        documents = [value for _, value in read_yaml(read_file(file, "", MAX_BYTES).decode(), MAX_NODES)]
        return msgspec.convert(_without_nulls(documents[0]) if documents else {}, Config)
    except UnicodeDecodeError:
        raise SettingsError(f"{file}: is no text in UTF-8") from None
    except (YAMLError, msgspec.ValidationError) as error:
        raise SettingsError(f"{file}: {error}") from None


def _merge(
    configs: Sequence[tuple[Path, Config]], what: str, entries: Callable[[Config], list[tuple[str, T]]]
) -> dict[str, tuple[Place, T]]:
    merged: dict[str, tuple[Place, T]] = {}
    for file, config in configs:
        for name, value in entries(config):
            merged.setdefault(name, (Place(file, f"{what} {name}"), value))
    return merged


def _take(merged: dict[str, tuple[Place, T]], name: str, label: str) -> tuple[Place, T]:
    if name not in merged:
        there = ", ".join(list(merged)[:20]) or "none"
        raise SettingsError(f"{label}: there is no {name!r}; there are: {there}")
    return merged[name]


def _without_nulls(value: Any) -> Any:
    """Null means absent: tools write `users: null`."""
    if isinstance(value, dict):
        return {key: _without_nulls(inner) for key, inner in value.items() if inner is not None}
    if isinstance(value, list):
        return [_without_nulls(inner) for inner in value]
    return value
