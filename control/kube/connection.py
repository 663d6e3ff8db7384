"""Which API server, how to be sure that it is the one, and who we are to it: from a kubeconfig or from inside a pod."""

from __future__ import annotations

import base64
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import SplitResult, urlsplit

from control.kube.credentials import Credentials, Fixed, TokenFile, basic, bearer
from control.kube.failure import SettingsError
from control.kube.kubeconfig import Chosen, Cluster, Place, User, choose
from control.kube.material import Material
from control.kube.plugin import Plugin
from control.kube.tls import Trust
from meshproxy.kit.loopback import is_local

SERVICE_ACCOUNT = Path("/var/run/secrets/kubernetes.io/serviceaccount")
USUAL = Path(".kube/config")
EXTENSION = "client.authentication.k8s.io/exec"
"""The entry of a cluster's `extensions` that is meant for its plugin."""


@dataclass(frozen=True, slots=True)
class Connection:
    """`url` has neither query nor a slash at its end; `server_name` is checked in place of its host if not empty.

    `proxy` is the URL of an HTTP proxy, empty for none. Without `trust` it is http:// on loopback.
    """

    url: str
    described: str
    trust: Trust | None
    credentials: Credentials
    server_name: str = ""
    proxy: str = field(default="", repr=False)


def load(kubeconfig: Path | None, context: str, environment: Mapping[str, str] = os.environ) -> Connection:
    """Return what is used, everything that is in files read once. Raise SettingsError.

    The file that is given, else those of $KUBECONFIG, else a pod's service account (unless a context is asked for),
    else ~/.kube/config.
    """
    if kubeconfig is not None:
        return _of_kubeconfig(choose([kubeconfig.absolute()], context))
    named = [Path(name).absolute() for name in environment.get("KUBECONFIG", "").split(os.pathsep) if name]
    if named:
        there = [file for file in named if _is_there(file)]
        if not there:
            raise SettingsError(f"KUBECONFIG: no such file: {', '.join(str(file) for file in named)}")
        return _of_kubeconfig(choose(there, context))
    if environment.get("KUBERNETES_SERVICE_HOST") and not context:
        return in_cluster(SERVICE_ACCOUNT, environment)
    usual = Path(environment.get("HOME", "/")) / USUAL
    if not _is_there(usual):
        raise SettingsError(f"no cluster: KUBECONFIG is not set, this is no pod, and there is no {usual}")
    return _of_kubeconfig(choose([usual], context))


def in_cluster(account: Path, environment: Mapping[str, str]) -> Connection:
    """Return what a pod is given: `account` is the folder of its service account. Raise SettingsError."""
    host = environment.get("KUBERNETES_SERVICE_HOST", "")
    port = environment.get("KUBERNETES_SERVICE_PORT", "")
    if not host or not port:
        raise SettingsError("in-cluster: KUBERNETES_SERVICE_HOST and KUBERNETES_SERVICE_PORT: both are needed")
    authority = Material("in-cluster: authority", account / "ca.crt")
    token = Material("in-cluster: token", account / "token")
    url = f"https://[{host}]:{port}" if ":" in host else f"https://{host}:{port}"
    return _checked(Connection(url, "in-cluster", Trust(authority, None, None), _token_file(token)))


def _of_kubeconfig(chosen: Chosen) -> Connection:
    cluster, at, user, user_at = chosen.cluster, chosen.cluster_at, chosen.user, chosen.user_at
    described = f"kubeconfig {chosen.file}, context {chosen.context}"
    if cluster.insecure_skip_tls_verify:
        raise at.refuse(
            "insecure-skip-tls-verify", "not allowed, certificates are always checked; give certificate-authority"
        )
    url = _server(cluster.server, at)
    if not _is_name(cluster.tls_server_name):
        raise at.refuse("tls-server-name", "is no name")
    authority = at.material("certificate-authority", cluster.certificate_authority, cluster.certificate_authority_data)
    certificate = user_at.material("client-certificate", user.client_certificate, user.client_certificate_data)
    key = user_at.material("client-key", user.client_key, user.client_key_data)
    if (certificate is None) != (key is None):
        raise user_at.refuse("client-certificate", "goes with client-key, neither without the other")
    proxy = _proxy(cluster.proxy_url, at)
    if url.startswith("http://") and proxy:
        raise at.refuse("proxy-url", "goes with an https:// server only")
    trust = Trust(authority, certificate, key) if url.startswith("https://") else None
    credentials = _credentials(user, user_at, _told(cluster, authority))
    return _checked(Connection(url, described, trust, credentials, cluster.tls_server_name, proxy))


def _is_there(file: Path) -> bool:
    try:
        return file.exists()
    except OSError:
        return True  # reading it will say what is the matter


def _checked(connection: Connection) -> Connection:
    if connection.trust is not None:
        connection.trust.context(0.0)
    return connection


def _server(text: str, at: Place) -> str:
    parts = _split(text, "server", at)
    if parts.username is not None or parts.password is not None or parts.query or parts.fragment:
        raise at.refuse("server", "has more than https://HOST:PORT/PATH")
    if parts.scheme not in {"http", "https"} or not parts.hostname:
        raise at.refuse("server", f"{text!r}; allowed: https://HOST:PORT")
    if parts.scheme == "http" and not is_local(parts.netloc.encode()):
        raise at.refuse("server", f"{text!r}; http:// is allowed on loopback only")
    return parts.geturl().rstrip("/")  # what was checked: of what is given, urlsplit has left out and lowered some


def _proxy(text: str, at: Place) -> str:
    if text:
        parts = _split(text, "proxy-url", at)
        if parts.scheme != "http" or not parts.hostname:
            raise at.refuse("proxy-url", f"{parts.scheme}://{parts.hostname or ''}; allowed: http://HOST:PORT")
        return parts.geturl()
    return ""


def _split(text: str, name: str, at: Place) -> SplitResult:
    try:
        parts = urlsplit(text)
        parts.port  # noqa: B018 - raises for what is no port
    except ValueError:
        raise at.refuse(name, "is no URL") from None
    if not parts.scheme or not _is_name(parts.hostname or ""):
        raise at.refuse(name, "is missing" if not text else "is no URL")
    return parts


def _is_name(host: str) -> bool:
    """Whether it can be looked up and checked at all (empty ones are); what cannot is no failure of a connection."""
    try:
        host.encode("idna")
    except UnicodeError:
        return False
    return True


def _credentials(user: User, at: Place, told: dict[str, Any]) -> Credentials:
    if user.auth_provider is not None:
        raise at.refuse("auth-provider", "Kubernetes has given it up in 1.26; use exec")
    if user.impersonated or user.impersonated_uid or user.impersonated_groups or user.impersonated_extra:
        raise at.refuse("as", "impersonation is not supported; give a user of its own")
    ways = {
        "token": bool(user.token or user.token_file),
        "username": bool(user.username or user.password),
        "exec": user.exec is not None,
    }
    if sum(ways.values()) > 1:
        raise at.refuse(" and ".join(name for name, given in ways.items() if given), "only one of them is allowed")
    if user.exec is not None:
        return Plugin(user.exec, at, told)
    if user.token_file:
        return _token_file(Material(at.label("tokenFile"), at.path(user.token_file)))
    if user.token:
        return Fixed(bearer(user.token.encode(), at.label("token")))
    if user.username or user.password:
        return Fixed(basic(user.username, user.password))
    return Fixed()


def _token_file(file: Material) -> TokenFile:
    bearer(file.read(), file.label)
    return TokenFile(file)


def _told(cluster: Cluster, authority: Material | None) -> dict[str, Any]:
    """What a plugin is told of the cluster (`spec.cluster` of an ExecCredential)."""
    told: dict[str, Any] = {"server": cluster.server}
    if cluster.tls_server_name:
        told["tls-server-name"] = cluster.tls_server_name
    if authority is not None:
        told["certificate-authority-data"] = base64.b64encode(authority.read()).decode()
    if cluster.proxy_url:
        told["proxy-url"] = cluster.proxy_url
    config = next((it.extension for it in cluster.extensions if it.name == EXTENSION), None)
    if config is not None:
        told["config"] = config
    return told
