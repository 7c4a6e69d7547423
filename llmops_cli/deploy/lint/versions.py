"""API versions: an object of another one is refused, or nobody in the cluster looks at it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from llmops_cli.deploy.lint.finding import Finding, Found

VERSIONS = {
    "ConfigMap": ("v1",),
    "CronJob": ("batch/v1",),
    "DaemonSet": ("apps/v1",),
    "Deployment": ("apps/v1",),
    "HTTPRoute": ("gateway.networking.k8s.io/v1", "gateway.networking.k8s.io/v1beta1"),
    "HorizontalPodAutoscaler": ("autoscaling/v2", "autoscaling/v1"),
    "InferenceService": ("serving.kserve.io/v1beta1",),
    "Ingress": ("networking.k8s.io/v1",),
    "Job": ("batch/v1",),
    "LeaderWorkerSet": ("leaderworkerset.x-k8s.io/v1",),
    "Namespace": ("v1",),
    "NetworkPolicy": ("networking.k8s.io/v1",),
    "PersistentVolumeClaim": ("v1",),
    "Pod": ("v1",),
    "PodDisruptionBudget": ("policy/v1",),
    "PodMonitor": ("monitoring.coreos.com/v1",),
    "PrometheusRule": ("monitoring.coreos.com/v1",),
    "ScaledObject": ("keda.sh/v1alpha1",),
    "Secret": ("v1",),
    "Service": ("v1",),
    "ServiceAccount": ("v1",),
    "StatefulSet": ("apps/v1",),
}
"""Of kinds that we render or look at, those that clusters serve today."""


def wrong_versions(objects: Sequence[Found]) -> Iterator[Finding]:
    for found in objects:
        known = VERSIONS.get(found.kind)
        version = str(found.value.get("apiVersion", ""))
        if known is None or version in known:
            continue
        yield found.wrong(
            "api-version", f"{version} has none of its kind; known: {', '.join(known)}"
        )
