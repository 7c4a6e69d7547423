"""The gateway's pods and their Service."""

from __future__ import annotations

from llmops_cli.deploy.ending import BEFORE_END_S
from llmops_cli.deploy.engine_process import PYTHON
from llmops_cli.deploy.knob import Knob, Manifest, without_nothing
from llmops_cli.deploy.kubernetes.config import (
    DATABASE,
    FILE,
    config_digest,
    config_items,
    environment,
)
from llmops_cli.deploy.kubernetes.metadata import all_labels, resource, selector
from llmops_cli.deploy.kubernetes.pods import (
    POD_IP,
    TMP,
    TMP_MOUNT,
    container_security,
    http_probe,
    pod_security,
    spread,
)
from llmops_cli.deploy.secrets import FOLDER
from llmops_cli.deploy.setting import Setting

PART = "gateway"
PORT = 8080
STATE = "/var/lib/llmops"
CONFIG = "/etc/llmops"
MEMORY_NOTE = "60 MB a process and as much for each of two judges (docs/SERVE.md), and requests"


def gateway(setting: Setting) -> list[Manifest]:
    return [
        _deployment(setting),
        _service(setting),
        _pods_service(setting),
        _budget(setting),
    ]


def _deployment(setting: Setting) -> Manifest:
    name = setting.label(PART)
    replicas = Knob(setting.replicas, path="gateway.replicas")
    template = {
        "metadata": {
            "labels": all_labels(setting, PART),
            "annotations": {"llmops/config-digest": config_digest(setting)},
        },
        "spec": _pod(setting),
    }
    return resource(
        setting,
        "Deployment",
        name,
        api="apps/v1",
        part=PART,
        spec={
            "replicas": replicas,
            "revisionHistoryLimit": 5,
            "minReadySeconds": 5,
            "strategy": {
                "type": "RollingUpdate",
                "rollingUpdate": {"maxSurge": 1, "maxUnavailable": 0},
            },
            "selector": {"matchLabels": selector(setting, PART)},
            "template": template,
        },
    )


def _pod(setting: Setting) -> Manifest:
    return {
        "serviceAccountName": setting.label("pods"),
        "automountServiceAccountToken": False,
        "enableServiceLinks": False,
        "terminationGracePeriodSeconds": setting.ending.grace(),
        "securityContext": pod_security(),
        "topologySpreadConstraints": spread(setting, PART),
        "initContainers": [_keys(setting)],
        "containers": [_container(setting)],
        "volumes": _volumes(setting),
    }


def _keys(setting: Setting) -> Manifest:
    """Keys are of a Secret, so that every gateway has the same; limits and budgets of Redis."""
    return {
        "name": "keys",
        "image": setting.gateway_image,
        "command": ["cp", f"/keys/{DATABASE}", f"{STATE}/{DATABASE}"],
        "securityContext": container_security(),
        "resources": {
            "requests": {"cpu": "10m", "memory": "16Mi"},
            "limits": {"memory": "64Mi"},
        },
        "volumeMounts": [
            {"name": "keys", "mountPath": "/keys", "readOnly": True},
            {"name": "state", "mountPath": STATE},
        ],
    }


def _container(setting: Setting) -> Manifest:
    mounts = [
        {"name": "config", "mountPath": CONFIG, "readOnly": True},
        {"name": "state", "mountPath": STATE},
        TMP_MOUNT,
    ]
    if setting.secrets.files:
        mounts.append({"name": "files", "mountPath": FOLDER, "readOnly": True})
    return {
        "name": PART,
        "image": setting.gateway_image,
        "command": [PYTHON, "-m", "llmops_cli"],
        "args": _arguments(setting),
        "env": [
            POD_IP,
            {"name": "LLMOPS_STATE_DIR", "value": STATE},
            {"name": "XDG_CACHE_HOME", "value": "/tmp/cache"},  # noqa: S108 - of a pod's own
            *({"name": name, "value": text} for name, text in setting.log_form.items()),
            *environment(setting),
        ],
        "ports": [{"name": "http", "containerPort": PORT}],
        "startupProbe": http_probe("/health", "http", periodSeconds=2, failureThreshold=30),
        "readinessProbe": http_probe(
            "/ready", "http", periodSeconds=5, failureThreshold=2, timeoutSeconds=3
        ),
        "livenessProbe": http_probe(
            "/health", "http", periodSeconds=10, failureThreshold=6, timeoutSeconds=5
        ),
        "lifecycle": {"preStop": {"exec": {"command": ["sleep", str(BEFORE_END_S)]}}},
        "resources": {
            "requests": {
                "cpu": Knob("500m", "0.3 CPU ms a request, 5 s a million tokens", "gateway.cpu"),
                "memory": Knob("384Mi", MEMORY_NOTE, "gateway.memory"),
            },
            "limits": {"memory": Knob("1Gi", "bodies under way", "gateway.memoryLimit")},
        },
        "securityContext": container_security(),
        "volumeMounts": mounts,
    }


def _arguments(setting: Setting) -> list[str]:
    return [
        "serve",
        "--config",
        f"{CONFIG}/{FILE}",
        "--host",
        "$(POD_IP)",
        "--port",
        str(PORT),
    ]


def _volumes(setting: Setting) -> list[Manifest]:
    config = {"name": setting.label(PART), "items": config_items(setting)}
    found = [
        {"name": "config", "configMap": without_nothing(config)},
        {"name": "state", "emptyDir": {"sizeLimit": "2Gi"}},
        {"name": "keys", "secret": {"secretName": setting.label("keys")}},
        TMP,
    ]
    if setting.secrets.files:
        found.append({"name": "files", "secret": {"secretName": setting.label("files")}})
    return found


def _service(setting: Setting) -> Manifest:
    return resource(
        setting,
        "Service",
        setting.label(PART),
        part=PART,
        spec={
            "type": "ClusterIP",
            "selector": selector(setting, PART),
            "ports": [{"name": "http", "port": 80, "targetPort": "http"}],
        },
    )


def _pods_service(setting: Setting) -> Manifest:
    """Headless: Prometheus scrapes each pod, not whichever answers."""
    return resource(
        setting,
        "Service",
        setting.label("gateway-pods"),
        part=PART,
        spec={
            "clusterIP": "None",
            "publishNotReadyAddresses": True,
            "selector": selector(setting, PART),
            "ports": [{"name": "http", "port": PORT, "targetPort": "http"}],
        },
    )


def _budget(setting: Setting) -> Manifest:
    return disruption_budget(setting, PART, setting.label(PART))


def disruption_budget(setting: Setting, part: str, name: str) -> Manifest:
    """One at a time is drained from its node."""
    return resource(
        setting,
        "PodDisruptionBudget",
        name,
        api="policy/v1",
        part=part,
        spec={"maxUnavailable": 1, "selector": {"matchLabels": selector(setting, part)}},
    )
