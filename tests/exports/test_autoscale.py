"""AUTOSCALE: by Kubernetes or KEDA where they can, and elsewhere by a supervisor."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.exports import judges
from tests.exports.projects import exported
from tests.exports.test_losses import said
from tests.exports.test_schedules import resources

WEB = {"BACKEND": "gunicorn", "ARGS": {"bind": "0.0.0.0:8000"}}
WORKER = {"BACKEND": "shell", "ARGS": ["sleep", "1000"]}
COUNTED = "tests.exports.test_autoscale.counted"


def counted() -> int:
    return 7


def scaled(entry: dict[str, Any], metric: str, target: Any, **more: Any) -> dict[str, Any]:
    return {**entry, "AUTOSCALE": {"METRIC": metric, "TARGET": target, "MAX": 8, **more}}


@pytest.mark.parametrize(
    ("metric", "target", "quantity"),
    [
        ("cpu", 0.7, "700m"),
        ("cpu", 2, "2000m"),
        ("cpu", 0.0001, "1m"),
        ("memory", "400MiB", "400Mi"),
        ("memory", "400MB", "382Mi"),
    ],
)
def test_cpu_and_memory_metrics_become_a_horizontal_pod_autoscaler(
    metric: str, target: Any, quantity: str, tmp_path: Path
) -> None:
    found = resources({"web": scaled(WEB, metric, target, MIN=2)}, tmp_path)
    spec = found["HorizontalPodAutoscaler", "site-web"]["spec"]
    deployment = found["Deployment", "site-web"]["spec"]
    (container,) = deployment["template"]["spec"]["containers"]

    (measured,) = spec["metrics"]
    assert measured["resource"]["name"] == metric
    assert measured["resource"]["target"] == {"type": "AverageValue", "averageValue": quantity}
    assert (spec["minReplicas"], spec["maxReplicas"]) == (2, 8)
    assert spec["scaleTargetRef"]["name"] == "site-web"
    assert spec["behavior"]["scaleDown"]["stabilizationWindowSeconds"] == 300
    # Otherwise each `kubectl apply` would undo what the autoscaler has decided.
    assert "replicas" not in deployment
    # One instance in each pod.
    assert container["command"][-1] == "web=1"
    assert ("PodDisruptionBudget", "site-web") in found
    judges.kubernetes(tmp_path)


def test_a_metric_of_the_project_becomes_a_keda_scaled_object(tmp_path: Path) -> None:
    rule = {"INTERVAL": 7.5, "STABILIZATION": 60, "MIN": 1}
    found = resources({"worker": scaled(WORKER, COUNTED, 2.5, **rule)}, tmp_path)
    spec = found["ScaledObject", "site-worker"]["spec"]
    deployment = found["Deployment", "site-worker"]["spec"]
    (container,) = deployment["template"]["spec"]["containers"]

    assert "replicas" not in deployment
    assert container["command"][-1] == "worker=1"
    assert {"name": "PRODSERVER_MONITOR", "value": "0.0.0.0:9180"} in container["env"]
    assert found["Service", "site-worker-load"]["spec"]["ports"][0]["port"] == 9180
    assert (spec["minReplicaCount"], spec["maxReplicaCount"]) == (1, 8)
    assert spec["pollingInterval"] == 8
    (trigger,) = spec["triggers"]
    assert trigger == {
        "type": "metrics-api",
        "metricType": "AverageValue",
        "metadata": {
            "url": "http://site-worker-load.site.svc:9180/metrics",
            "format": "prometheus",
            "valueLocation": 'prodserver_process_autoscale_load{process="worker"}',
            "targetValue": "2.5",
        },
    }
    judges.kubernetes(tmp_path)


def test_kubernetes_leaves_the_busy_metric_to_a_single_supervisor(tmp_path: Path) -> None:
    found = resources({"web": scaled(WEB, "busy", 5)}, tmp_path)
    deployment = found["Deployment", "site-web"]["spec"]
    (container,) = deployment["template"]["spec"]["containers"]

    assert {kind for kind, _ in found} == {"Deployment", "Service"}
    assert deployment["replicas"] == 1
    assert container["command"][-1] == "web"
    judges.kubernetes(tmp_path)


@pytest.mark.parametrize("to", ["compose", "systemd-split", "supervisord", "fly", "render"])
def test_other_formats_run_a_supervisor_that_scales_the_process(to: str, tmp_path: Path) -> None:
    entry = scaled({**WORKER, "REPLICAS": 3}, "cpu", 0.7)
    files = exported({"worker": entry}, to, tmp_path)

    text = "\n".join(files.values())
    assert " worker" in text
    assert "worker=" not in text
    assert said({"worker": entry}, to) == []


def test_autoscale_values_that_kubernetes_cannot_honour_are_reported() -> None:
    none = scaled(WORKER, COUNTED, 2, MIN=0)
    slow = scaled(WORKER, "cpu", 0.5, STABILIZATION=7200)

    assert said({"none": none, "slow": slow}, "kubernetes-split") == [
        "none: MIN of AUTOSCALE is 0, but one is kept to report the load",
        "slow: STABILIZATION of AUTOSCALE is 7200 s, but Kubernetes waits for 3600 s at most",
    ]
