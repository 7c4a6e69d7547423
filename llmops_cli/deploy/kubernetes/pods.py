"""What pods have in common: no rights, no writable root, spread over nodes."""

from __future__ import annotations

from llmops_cli.deploy.knob import Manifest
from llmops_cli.deploy.kubernetes.metadata import selector
from llmops_cli.deploy.setting import Setting

USER = 10_001
"""Of nobody's; images of ours are made for it."""
POD_IP = {"name": "POD_IP", "valueFrom": {"fieldRef": {"fieldPath": "status.podIP"}}}
TMP = {"name": "tmp", "emptyDir": {"sizeLimit": "1Gi"}}
TMP_MOUNT = {"name": "tmp", "mountPath": "/tmp"}  # noqa: S108 - of a pod's own


def pod_security(user: int = USER) -> Manifest:
    return {
        "runAsNonRoot": True,
        "runAsUser": user,
        "runAsGroup": user,
        "fsGroup": user,
        "seccompProfile": {"type": "RuntimeDefault"},
    }


def container_security() -> Manifest:
    return {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "privileged": False,
        "capabilities": {"drop": ["ALL"]},
    }


def spread(setting: Setting, part: str) -> list[Manifest]:
    """Over zones and nodes, as far as there are any."""
    return [
        {
            "maxSkew": 1,
            "topologyKey": key,
            "whenUnsatisfiable": "ScheduleAnyway",
            "labelSelector": {"matchLabels": selector(setting, part)},
        }
        for key in ("topology.kubernetes.io/zone", "kubernetes.io/hostname")
    ]


def http_probe(path: str, port: str, **timing: object) -> Manifest:
    return {"httpGet": {"path": path, "port": port}, **timing}
