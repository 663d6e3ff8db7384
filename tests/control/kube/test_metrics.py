import pytest
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.parser import text_string_to_metric_families

from control.kube.events import Garbage
from control.kube.failure import KubeError
from control.kube.metrics import Counts, KubeCollector, Sample, word_of
from control.kube.reflection import CutOff, Defect, Ignored, Silence
from tests.control.kube.said import AWAY, GONE


@pytest.mark.parametrize(
    ("error", "word"),
    [
        (AWAY, "connection"), (CutOff("cut"), "connection"), (GONE, "expired"), (Silence("nothing"), "silence"),
        (Garbage("what?"), "garbage"), (Ignored("no end"), "ignored"), (Defect("ours"), "defect"),
        (KubeError("no", 401), "unauthorized"), (KubeError("no", 403), "forbidden"), (KubeError("no", 404), "absent"),
        (KubeError("no", 429), "throttled"), (KubeError("no", 503), "server"), (KubeError("no", 422), "refused"),
        (KubeError("no", 302), "refused"),
    ],
)  # fmt: skip
def test_a_failure_has_one_of_few_words(error, word):
    assert word_of(error) == word


def test_everything_that_is_counted_is_shown():
    counts = Counts()
    counts.on_failure("expired")
    counts.on_request("watch", 200)
    counts.on_request("watch", 200)
    counts.on_request("list", 0)
    sample = Sample("Pod", True, 1.5, 3, {"ADDED": 7}, {"start": 1}, counts)
    registry = CollectorRegistry()
    registry.register(KubeCollector(lambda: [sample, sample._replace(kind="Node", is_listed=False, counts=Counts())]))
    text = generate_latest(registry).decode()
    found = {
        (row.name, tuple(sorted(row.labels.items()))): row.value
        for family in text_string_to_metric_families(text)
        for row in family.samples
    }
    pod = {"kind": "Pod"}

    def value(name, **labels):
        return found[f"meshcontrol_kube_{name}", tuple(sorted({**pod, **labels}.items()))]

    assert value("listed") == 1.0
    assert value("listed", kind="Node") == 0.0
    assert value("watch_age_seconds") == 1.5
    assert value("objects_refused") == 3.0
    assert value("events_total", type="ADDED") == 7.0
    assert value("lists_total", reason="start") == 1.0
    assert value("failures_total", reason="expired") == 1.0
    assert value("requests_total", verb="watch", code="200") == 2.0
    assert value("requests_total", verb="list", code="0") == 1.0
