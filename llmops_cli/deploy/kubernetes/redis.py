"""Redis, which gateways share limits, budgets and answers by. What it holds may be lost."""

from __future__ import annotations

from llmops_cli.deploy.cluster_config import REDIS_PASSWORD, REDIS_PORT
from llmops_cli.deploy.knob import Knob, Manifest
from llmops_cli.deploy.kubernetes.metadata import all_labels, resource, selector
from llmops_cli.deploy.kubernetes.pods import container_security, pod_security
from llmops_cli.deploy.setting import Setting

PART = "redis"
USER = 999
"""Of Redis' own image."""
MEMORY_MB = 256
BEGIN = "redis-server"
BEGIN_WITH_PASSWORD = (
    "sh",
    "-c",
    f'exec {BEGIN} "$@" - <<END\nrequirepass ${REDIS_PASSWORD}\nEND',
    BEGIN,
)
"""It is read from the input: everybody on a node may read command lines."""


def redis(setting: Setting) -> list[Manifest]:
    if setting.redis_image is None:
        return []
    name = setting.label(PART)
    deployment = resource(
        setting,
        "Deployment",
        name,
        api="apps/v1",
        part=PART,
        spec={
            "replicas": 1,
            "strategy": {"type": "Recreate"},
            "selector": {"matchLabels": selector(setting, PART)},
            "template": {
                "metadata": {"labels": all_labels(setting, PART)},
                "spec": _pod(setting),
            },
        },
    )
    service = resource(
        setting,
        "Service",
        name,
        part=PART,
        spec={
            "selector": selector(setting, PART),
            "ports": [{"name": "redis", "port": REDIS_PORT, "targetPort": "redis"}],
        },
    )
    return [deployment, service]


def _pod(setting: Setting) -> Manifest:
    return {
        "serviceAccountName": setting.label("pods"),
        "automountServiceAccountToken": False,
        "enableServiceLinks": False,
        "terminationGracePeriodSeconds": 30,
        "securityContext": pod_security(USER),
        "containers": [_container(setting)],
        "volumes": [{"name": "data", "emptyDir": {"sizeLimit": "1Gi"}}],
    }


def _container(setting: Setting) -> Manifest:
    ready = {"tcpSocket": {"port": "redis"}}
    return {
        "name": PART,
        "image": setting.redis_image,
        "command": list(BEGIN_WITH_PASSWORD),
        "args": [
            "--port",
            str(REDIS_PORT),
            "--maxmemory",
            f"{MEMORY_MB}mb",
            "--maxmemory-policy",
            "volatile-lru",
            "--appendonly",
            "no",
            "--save",
            "",
            "--dir",
            "/data",
        ],
        "env": [
            {
                "name": REDIS_PASSWORD,
                "valueFrom": {"secretKeyRef": {"name": setting.label(PART), "key": REDIS_PASSWORD}},
            }
        ],
        "ports": [{"name": "redis", "containerPort": REDIS_PORT}],
        "startupProbe": ready | {"periodSeconds": 1, "failureThreshold": 30},
        "readinessProbe": ready | {"periodSeconds": 5},
        "livenessProbe": ready | {"periodSeconds": 10, "failureThreshold": 6},
        "resources": {
            "requests": {"cpu": "100m", "memory": f"{MEMORY_MB}Mi"},
            "limits": {"memory": Knob(f"{2 * MEMORY_MB}Mi", f"twice maxmemory {MEMORY_MB}mb")},
        },
        "securityContext": container_security(),
        "volumeMounts": [{"name": "data", "mountPath": "/data"}],
    }
