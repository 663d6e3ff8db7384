"""The control plane's own metrics, and where Prometheus finds them."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from aiohttp import web
from prometheus_client import CollectorRegistry, Counter, Histogram, disable_created_metrics, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.exposition import CONTENT_TYPE_LATEST
from prometheus_client.process_collector import ProcessCollector
from prometheus_client.registry import Collector

from control.api.protocols import Objects
from control.compile.compiler import Compiler
from control.feed import Feed
from control.listener import Listener
from control.model.kinds import Kind

MAX_CONNECTIONS = 64
"""Of those who scrape, and ask for health."""
COMPILE_BOUNDS_S = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0)


class Metrics:
    """Registers into one registry; what counts elsewhere (streams, pushes) registers there by itself."""

    def __init__(self, registry: CollectorRegistry) -> None:
        # When each series began: twice the series for nothing that is asked of them.
        disable_created_metrics()  # type: ignore[no-untyped-call]
        self._registry = registry
        self._compile = Histogram(
            "meshcontrol_compile_duration_seconds",
            "How long one round of compiling took.",
            buckets=COMPILE_BOUNDS_S,
            registry=registry,
        )
        self._compiled = Counter(
            "meshcontrol_compiled_resources_total",
            "Resources compiled, whether they changed or not.",
            registry=registry,
        )
        ProcessCollector(namespace="meshcontrol", registry=registry)

    def on_compiled(self, duration_s: float, count: int) -> None:
        self._compile.observe(duration_s)
        self._compiled.inc(count)

    def watch(self, objects: Objects, kinds: tuple[Kind, ...], compiler: Compiler, feed: Feed) -> None:
        """Add what they know of themselves."""
        self._registry.register(_State(objects, kinds, compiler, feed))


class _State(Collector):
    """Read at each scrape."""

    def __init__(self, objects: Objects, kinds: tuple[Kind, ...], compiler: Compiler, feed: Feed) -> None:
        self._objects = objects
        self._kinds = kinds
        self._compiler = compiler
        self._feed = feed

    def collect(self) -> Iterable[Metric]:
        objects = GaugeMetricFamily("meshcontrol_objects", "Objects kept, by kind.", labels=["kind"])
        for kind in self._kinds:
            objects.add_metric([kind.name], self._objects.count(kind))
        yield objects
        yield GaugeMetricFamily("meshcontrol_resources", "Compiled resources.", value=len(self._compiler.entries))
        yield CounterMetricFamily(
            "meshcontrol_resources_failed",
            "Resources that could not be compiled, and stay as they were: a defect.",
            value=self._feed.failed,
        )


class MetricsServer:
    """`/metrics`, `/healthz` (it lives) and `/readyz` (sidecars are served), without a token."""

    def __init__(self, registry: CollectorRegistry, unready: Callable[[], str]) -> None:
        self._registry = registry
        self._unready = unready
        application = web.Application()
        application.router.add_get("/metrics", self._metrics)
        application.router.add_get("/healthz", self._healthz)
        application.router.add_get("/readyz", self._readyz)
        runner = web.AppRunner(application, access_log=None, shutdown_timeout=1.0)
        self._listener = Listener(runner, MAX_CONNECTIONS)

    async def start(self, address: tuple[str, int]) -> tuple[str, int]:
        """Listen; returns the address, with the port that was taken for 0."""
        return await self._listener.start(address)

    async def stop(self) -> None:
        await self._listener.stop()

    async def _metrics(self, _: web.Request) -> web.Response:
        return web.Response(body=generate_latest(self._registry), headers={"Content-Type": CONTENT_TYPE_LATEST})

    async def _healthz(self, _: web.Request) -> web.Response:
        return web.Response(text="ok\n")

    async def _readyz(self, _: web.Request) -> web.Response:
        reason = self._unready()
        return web.Response(status=503 if reason else 200, text=f"{reason or 'ok'}\n")
