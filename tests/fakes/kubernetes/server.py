"""The fake API server's HTTP side: who asks, for what, and the answer. Runs in one event loop, on one `Cluster`."""

from __future__ import annotations

import asyncio
import contextlib
import time
import zlib
from collections.abc import Callable
from typing import Any

import msgspec
from aiohttp import web

from tests.fakes.kubernetes import failure, options, resources
from tests.fakes.kubernetes.encode import View, error_line, read_token, token
from tests.fakes.kubernetes.faults import JSON, Fault, Faults
from tests.fakes.kubernetes.options import Options
from tests.fakes.kubernetes.pipe import Pipe, ResetError
from tests.fakes.kubernetes.requests import Asked, Rule, Target, parse, partial_kind, takes_json, verb_of
from tests.fakes.kubernetes.resources import Resource
from tests.fakes.kubernetes.state import Cluster, GoneError
from tests.fakes.kubernetes.watch import Watch

USER = "system:serviceaccount:mesh:meshcontrol"
ANONYMOUS = "system:anonymous"
UNACCEPTABLE = (
    "406: Not Acceptable\n\nAvailable representations: application/json, application/yaml, "
    "application/vnd.kubernetes.protobuf, application/json;stream=watch, "
    "application/vnd.kubernetes.protobuf;stream=watch"
)
OPEN = {"/version", "/healthz", "/livez", "/readyz"}
"""What anybody may ask."""
VERSION = {
    "major": "1", "minor": "36", "emulationMajor": "1", "emulationMinor": "36", "minCompatibilityMajor": "1",
    "minCompatibilityMinor": "35", "gitVersion": "v1.36.2", "gitCommit": "0" * 40, "gitTreeState": "clean",
    "buildDate": "1970-01-01T00:00:00Z", "goVersion": "go1.27.3", "compiler": "gc", "platform": "linux/amd64",
}  # fmt: skip


class Server:
    """The settings are changed between requests, in the loop."""

    def __init__(self, cluster: Cluster, tokens: set[str], bookmark_s: float) -> None:
        self.cluster = cluster
        self.tokens = tokens
        self.bookmark_s = bookmark_s
        self.resources: list[Resource] = [*resources.BUILT_IN, *resources.GATEWAY_API]
        self.rules: tuple[Rule, ...] | None = None
        self.faults = Faults()
        self.watch_list = "served"
        self.has_bookmarks = True
        self.has_gzip = False
        self.asked: list[Asked] = []
        self.watches: list[Watch] = []
        self.hooks: dict[str, Callable[[str, bytes], Any]] = {}

    async def handle(self, request: web.BaseRequest) -> web.StreamResponse:
        target = parse(request.path)
        query = dict(request.query)
        verb = verb_of(request.method, target, query)
        headers = {name.lower(): value for name, value in request.headers.items()}
        place = (target.group, target.resource, target.namespace, target.name)
        asked = Asked(verb, *place, request.path, query, headers, time.monotonic())
        self.asked.append(asked)
        try:
            fault = self.faults.take(target.resource, verb)
            if fault and (fault.code or (fault.is_silent and verb != "watch")):
                return await _fail(request, fault)
            user = self._authenticate(request)
            if hook := self.hooks.get(request.path):
                return _json(hook(request.method, await request.read()))
            if not target.resource:
                return self._discover(request.path, target, user)
            return await self._serve(request, target, asked, user, fault)
        except failure.RefusedError as refused:
            return _refuse(refused)
        except ResetError:
            if request.transport:
                request.transport.abort()
            raise asyncio.CancelledError from None

    # Who, and what for

    def _authenticate(self, request: web.BaseRequest) -> str:
        secure = request.transport.get_extra_info("ssl_object") if request.transport else None
        if not self.tokens or (secure is not None and secure.getpeercert()):
            return USER
        scheme, _, secret = request.headers.get("Authorization", "").partition(" ")
        if not scheme:
            return ANONYMOUS
        if scheme != "Bearer" or secret not in self.tokens:
            raise failure.unauthorized()
        return USER

    def allows(self, user: str, group: str, resource: str, verb: str) -> bool:
        if user == ANONYMOUS:
            return False
        return self.rules is None or any(rule.allows(group, resource, verb) for rule in self.rules)

    def allows_path(self, user: str, path: str, verb: str) -> bool:
        if user == ANONYMOUS:
            return path in OPEN
        # Discovery is open to everybody who is known (system:discovery), unless a role says which paths are.
        named = [rule for rule in self.rules or () if rule.paths]
        return not named or any(rule.allows_path(path, verb) for rule in named)

    def _review(self, user: str, body: dict[str, Any]) -> dict[str, Any]:
        if (wanted := body["spec"].get("nonResourceAttributes")) is not None:
            is_allowed = self.allows_path(user, wanted.get("path", ""), wanted.get("verb", ""))
        else:
            wanted = body["spec"].get("resourceAttributes", {})
            is_allowed = self.allows(user, wanted.get("group", ""), wanted.get("resource", ""), wanted.get("verb", ""))
        reason = {"reason": 'RBAC: allowed by ClusterRoleBinding "meshcontrol"'} if is_allowed else {}
        kind = {"kind": "SelfSubjectAccessReview", "apiVersion": "authorization.k8s.io/v1", "metadata": {}}
        return {**kind, "spec": body["spec"], "status": {"allowed": is_allowed, **reason}}

    # What

    def _discover(self, path: str, target: Target, user: str) -> web.Response:
        if not self.allows_path(user, path, "get"):
            raise failure.forbidden_path(user, "get", path)
        found: Any = None
        words = path.strip("/").split("/")
        if path == "/version":
            found = VERSION
        elif path in OPEN:
            return web.Response(text="ok")
        elif path == "/api":
            found = {"kind": "APIVersions", "versions": ["v1"], "serverAddressByClientCIDRs": []}
        elif path == "/apis":
            found = resources.discover_groups(self.resources)
        elif words[0] == "apis" and len(words) == 2:
            found = resources.discover_group(self.resources, words[1])
        elif target.version:
            found = resources.discover_version(self.resources, target.group, target.version)
        if found is None:
            raise failure.no_resource() if target.version and self._is_built_in(target.group) else failure.no_page()
        return _json(found)

    def _is_built_in(self, group: str) -> bool:
        return group == resources.AUTHORIZATION or any(item.group == group for item in resources.BUILT_IN)

    def _find(self, target: Target) -> Resource:
        for resource in self.resources:
            is_same = (resource.group, resource.plural) == (target.group, target.resource)
            is_placed = resource.is_namespaced or not target.namespace
            is_one = not resource.is_namespaced or not target.name or target.namespace
            if is_same and target.version in resource.versions and is_placed and is_one and not target.rest:
                return resource
        raise failure.no_resource() if self._is_built_in(target.group) else failure.no_page()

    async def _serve(
        self, request: web.BaseRequest, target: Target, asked: Asked, user: str, fault: Fault | None
    ) -> web.StreamResponse:
        verb = asked.verb
        if (target.group, target.resource, verb) == (resources.AUTHORIZATION, resources.REVIEWS, "create"):
            return _json(self._review(user, await request.json()), 201)
        if not self.allows(user, target.group, target.resource, verb):
            raise failure.forbidden(user, verb, target.group, target.resource, target.namespace, target.name)
        resource = self._find(target)
        if verb not in {"get", "list", "watch"}:
            raise failure.not_allowed()
        accept = asked.headers.get("accept", "")
        partial = partial_kind(accept)
        if not takes_json(accept):
            raise failure.not_acceptable(UNACCEPTABLE)
        if partial and verb != "watch" and partial.endswith("List") != (verb == "list"):
            kind = "a list" if verb == "list" else "not a list"
            raise failure.not_acceptable(f"you requested {partial}, but the requested object is {kind}")
        view = View(resource, target.version, is_partial=bool(partial))
        if verb == "get":
            item = self.cluster.get(resource, target.namespace, target.name)
            if item is None:
                raise failure.not_found(target.group, target.resource, target.name)
            return web.Response(body=view.object(item) + b"\n", content_type=JSON)
        prefix = f"{target.namespace}/" if target.namespace else ""
        wanted = options.read(asked.query, target.resource)
        pipe = Pipe(request, fault)
        if verb == "list":
            has_gzip = self.has_gzip and "gzip" in asked.headers.get("accept-encoding", "")
            return await self._list(pipe, view, prefix, wanted, has_gzip=has_gzip)
        if partial.endswith("List"):
            # A watch has no lists to show: a real server begins, and ends at once.
            await pipe.open()
            return await pipe.close()
        return await self._watch(pipe, view, prefix, wanted, is_silent=fault is not None and fault.is_silent)

    async def _list(
        self, pipe: Pipe, view: View, prefix: str, wanted: Options, *, has_gzip: bool
    ) -> web.StreamResponse:
        options.check_list(wanted)
        version = wanted.version if wanted.match == "Exact" else 0
        after = ""
        if wanted.after:
            try:
                at, after = read_token(wanted.after, prefix)
                version = max(at, 0)
            except ValueError as error:
                raise failure.bad_request(str(error)) from None
        if max(version, wanted.version) > self.cluster.version:
            status = failure.from_the_future(max(version, wanted.version), self.cluster.version)
            raise failure.RefusedError(504, status, {"Retry-After": "1"})
        try:
            page = self.cluster.page(
                view.resource, matches=wanted.matches, version=version, after=after, limit=wanted.limit, prefix=prefix
            )
        except GoneError:
            raise (failure.continue_expired(token(-1, after, prefix)) if after else failure.list_expired()) from None
        pieces = view.list(page, prefix, is_whole=wanted.matches is None)
        first, second = next(pieces), next(pieces, b"")
        if second and has_gzip:
            packer = zlib.compressobj(1, wbits=31)
            pipe.response.headers["Content-Encoding"] = "gzip"
            await pipe.open()
            for piece in (first, second, *pieces):
                await pipe.write(packer.compress(piece))
            await pipe.write(packer.flush())
            return await pipe.close()
        await pipe.open(0 if second else len(first))
        await pipe.write(first)
        if second:
            await pipe.write(second)
        for piece in pieces:
            await pipe.write(piece)
        return await pipe.close()

    async def _watch(
        self, pipe: Pipe, view: View, prefix: str, wanted: Options, *, is_silent: bool
    ) -> web.StreamResponse:
        initial = wanted.initial
        if self.watch_list == "ignored":
            initial = None
        else:
            options.check_watch(wanted, has_watch_list=self.watch_list == "served")
        has_bookmarks = self.has_bookmarks and wanted.has_bookmarks
        watch = Watch(pipe, view, self.cluster, self.bookmark_s if has_bookmarks else 0)
        watch.is_silent = is_silent
        begins = initial if initial is not None else not wanted.version
        await pipe.open()
        try:
            if initial and wanted.version > self.cluster.version:
                await pipe.write(error_line(failure.from_the_future(wanted.version, self.cluster.version)))
                return await pipe.close()
            watcher = self.cluster.watch(view.resource, 0 if begins else wanted.version, watch.wake.set)
        except GoneError as gone:
            await pipe.write(error_line(failure.too_old(wanted.version, gone.args[0])))
            return await pipe.close()
        self.watches.append(watch)
        try:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(wanted.timeout_s or None):
                    if begins and not is_silent:
                        ends = has_bookmarks and self.watch_list == "served"
                        await watch.begin(prefix, wanted.matches, ends_with_bookmark=ends)
                    await watch.follow(watcher, prefix, wanted.matches, 0 if begins else wanted.version)
        finally:
            self.watches.remove(watch)
            self.cluster.unwatch(view.resource, watcher)
        return await pipe.close()


async def _fail(request: web.BaseRequest, fault: Fault) -> web.StreamResponse:
    if fault.is_silent:
        await asyncio.Event().wait()
    pipe = Pipe(request, fault, {"Content-Type": fault.content_type, **fault.headers})
    pipe.response.set_status(fault.code)
    await pipe.open()
    await pipe.write(fault.body)
    return await pipe.close()


def _refuse(refused: failure.RefusedError) -> web.Response:
    if isinstance(refused.body, str):
        body, kind = refused.body.encode(), "text/plain; charset=utf-8"
    else:
        body, kind = msgspec.json.encode(refused.body) + b"\n", JSON
    return web.Response(status=refused.code, body=body, headers={"Content-Type": kind, **refused.headers})


def _json(body: Any, code: int = 200) -> web.Response:
    return web.Response(status=code, body=msgspec.json.encode(body) + b"\n", content_type=JSON)
