"""Who decides how many pods there are: one thing for each workload."""

from __future__ import annotations

from llmops_cli.deploy.knob import Knob, Manifest, value_path
from llmops_cli.deploy.kubernetes.engines import part_of
from llmops_cli.deploy.kubernetes.metadata import resource
from llmops_cli.deploy.setting import EngineSetting, Setting

CPU_PERCENT = 70
FALLBACK_AFTER = 3
"""Answers of Prometheus that fail before so many replicas run as the file has."""
SHRINK_AFTER_S = 600


def gateway_autoscaler(setting: Setting) -> Manifest:
    name = setting.label("gateway")
    return resource(
        setting,
        "HorizontalPodAutoscaler",
        name,
        api="autoscaling/v2",
        part="gateway",
        spec={
            "scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": name},
            "minReplicas": Knob(setting.replicas, "--replicas", "gateway.replicas"),
            "maxReplicas": Knob(setting.max_replicas, "--max-replicas", "gateway.maxReplicas"),
            "metrics": [
                {
                    "type": "Resource",
                    "resource": {
                        "name": "cpu",
                        "target": {
                            "type": "Utilization",
                            "averageUtilization": Knob(
                                CPU_PERCENT, "of its request: one core serves, see docs/SERVE.md"
                            ),
                        },
                    },
                }
            ],
            "behavior": {"scaleDown": {"stabilizationWindowSeconds": SHRINK_AFTER_S}},
        },
    )


def engine_scaler(setting: Setting, each: EngineSetting) -> Manifest | None:
    """By what runs and waits there. None where nobody said what a replica carries."""
    if each.requests is None or each.nodes > 1 or "running" not in each.process.gauges:
        return None
    return resource(
        setting,
        "ScaledObject",
        each.label,
        api="keda.sh/v1alpha1",
        part=part_of(each),
        spec={
            "scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": each.label},
            "minReplicaCount": Knob(
                each.replicas, "replicas of the file", value_path(each.upstream, "replicas")
            ),
            "maxReplicaCount": Knob(
                each.max_replicas, "--max-replicas", value_path(each.upstream, "maxReplicas")
            ),
            "pollingInterval": 15,
            "cooldownPeriod": SHRINK_AFTER_S,
            "fallback": {
                "failureThreshold": FALLBACK_AFTER,
                "replicas": Knob(each.replicas, path=value_path(each.upstream, "replicas")),
            },
            "advanced": {
                "horizontalPodAutoscalerConfig": {
                    "behavior": {"scaleDown": {"stabilizationWindowSeconds": SHRINK_AFTER_S}}
                }
            },
            "triggers": [
                {
                    "type": "prometheus",
                    "metricType": "AverageValue",
                    "metadata": {
                        "serverAddress": setting.recipe.prometheus,
                        "query": load_query(each),
                        "threshold": Knob(str(each.requests.value), each.requests.note),
                        "ignoreNullValues": "false",
                    },
                }
            ],
        },
    )


def load_query(each: EngineSetting) -> str:
    """Requests that an upstream's engines run and have waiting."""
    parts = []
    for gauge in ("running", "queued"):
        name = each.process.gauges.get(gauge)
        if name is not None:
            parts.append(f'sum({name}{{upstream="{each.upstream}"}})')
    return " + ".join(parts)
