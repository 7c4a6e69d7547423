"""Manifests that others put beside ours, in the forms of their charts: none of them is wrong."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from llmops_cli.deploy.check import own_lint
from tests.unit.deploy.conftest import Render

CLOSED = {
    "runAsNonRoot": True,
    "allowPrivilegeEscalation": False,
    "readOnlyRootFilesystem": True,
    "capabilities": {"drop": ["ALL"]},
}
ASKS = {"requests": {"cpu": "9m", "memory": "1Gi"}, "limits": {"cpu": 0.009, "memory": "1024Mi"}}
LABELS = {"app": "cache"}
CACHE = """
apiVersion: v1
kind: Service
metadata: {name: cache}
spec: {selector: {app: cache}, ports: [{name: redis, port: 6379, targetPort: redis}]}
---
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {name: cache}
spec:
  podSelector: {matchLabels: {app: cache}}
  policyTypes: [Ingress, Egress]
  ingress:
  - from: [{podSelector: {matchLabels: {app: cache}}}]
    ports: [{port: redis}]
  - from: [{podSelector: {matchLabels: {app.kubernetes.io/name: prometheus}}}]
    ports: [{port: metrics}]
  egress:
  - to: [{namespaceSelector: {matchLabels: {kubernetes.io/metadata.name: openshift-dns}}}]
    ports: [{port: 5353, protocol: UDP}, {port: 5353, protocol: TCP}]
  - to: [{podSelector: {matchLabels: {app: cache}}}]
    ports: [{port: 6379}]
---
apiVersion: monitoring.coreos.com/v1
kind: PodMonitor
metadata: {name: cache}
spec: {selector: {matchLabels: {app: cache}}, podMetricsEndpoints: [{portNumber: 9121}]}
"""
OTHERS = {
    "a role of a cluster": """
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRoleBinding
metadata: {name: "cache:auth-delegator"}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: "system:auth-delegator"}
""",
    "a PodMonitor of Azure's": """
apiVersion: azmonitoring.coreos.com/v1
kind: PodMonitor
metadata: {name: theirs}
spec: {selector: {matchLabels: {app: x}}, podMetricsEndpoints: [{port: metrics}]}
""",
    "a Job of Volcano's": """
apiVersion: batch.volcano.sh/v1alpha1
kind: Job
metadata: {name: train}
spec: {minAvailable: 2, tasks: [{replicas: 2, name: worker, template: {spec: {}}}]}
""",
    "a policy of Calico's": """
apiVersion: projectcalico.org/v3
kind: NetworkPolicy
metadata: {name: theirs}
spec:
  selector: app == 'cache'
  types: [Egress]
  egress: [{action: Allow, protocol: TCP, destination: {ports: [6379]}}]
""",
    "a policy of another namespace": """
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {name: deny-all, namespace: another}
spec: {podSelector: {}, policyTypes: [Ingress, Egress]}
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: alone, labels: {app: alone}}
spec: {selector: {matchLabels: {app: alone}}, template: {metadata: {labels: {app: alone}}}}
---
apiVersion: v1
kind: Service
metadata: {name: alone}
spec: {selector: {app: alone}, ports: [{port: 80}]}
""",
    "an alert without a page": """
apiVersion: monitoring.coreos.com/v1
kind: PrometheusRule
metadata: {name: theirs}
spec: {groups: [{name: x, rules: [{alert: RedisDown, expr: redis_up == 0}]}]}
""",
    "a job by an interval": """
apiVersion: batch/v1
kind: CronJob
metadata: {name: tidy}
spec: {schedule: "@every 1h30m", jobTemplate: {spec: {template: {spec: {}}}}}
""",
    "a gateway and a range": """
apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: {name: edge}
spec:
  listeners: [{name: http, port: 80, protocol: HTTP, allowedRoutes: {namespaces: {from: All}}}]
---
apiVersion: v1
kind: LimitRange
metadata: {name: each}
spec: {limits: [{type: Container, default: {cpu: 500m}}]}
""",
}


@pytest.fixture
def folder(rendered: Render, tmp_path: Path) -> Path:
    for name, text in rendered().items():
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return tmp_path


def put_in(folder: Path, text: str, *, listed_as: str = "theirs.yaml") -> None:
    (folder / "manifests" / "theirs.yaml").write_text(text)
    path = folder / "manifests" / "kustomization.yaml"
    kustomization = yaml.safe_load(path.read_text())
    kustomization["resources"].append(listed_as)
    path.write_text(yaml.safe_dump(kustomization))


def findings(folder: Path) -> list[str]:
    return [each.message for each in own_lint(folder).findings]


@pytest.mark.parametrize("name", OTHERS)
def test_an_object_of_another_chart_is_right(name: str, folder: Path) -> None:
    put_in(folder, OTHERS[name])
    assert findings(folder) == []


def cache(**variables: str) -> dict[str, Any]:
    """One that is asked by a Service, with its exporter beside it, and weights of an image."""
    redis = {
        "name": "redis",
        "image": "docker.io/bitnami/redis:7.2.4",
        "securityContext": CLOSED,
        "resources": ASKS,
        "ports": [{"name": "redis", "containerPort": 6379}],
        "readinessProbe": {"tcpSocket": {"port": "redis"}},
        "startupProbe": {"tcpSocket": {"port": "redis"}},
        "env": [{"name": name, "value": value} for name, value in variables.items()],
        "volumeMounts": [{"name": "weights", "mountPath": "/weights"}],
    }
    exporter = {
        "name": "metrics",
        "image": "docker.io/oliver006/redis_exporter:v1.58.0",
        "securityContext": CLOSED,
        "resources": ASKS,
        "ports": [{"name": "metrics", "containerPort": 9121}],
    }
    pod = {
        "containers": [redis, exporter],
        "volumes": [{"name": "weights", "image": {"reference": "quay.io/some/model:v1"}}],
    }
    template = {"metadata": {"labels": LABELS}, "spec": pod}
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": "cache"},
        "spec": {"selector": {"matchLabels": LABELS}, "template": template},
    }


def test_a_cache_beside_ours_is_right(folder: Path) -> None:
    """Its variables are called as secrets are, and hold none."""
    deployment = cache(
        ALLOW_EMPTY_PASSWORD="yes",
        OPENAI_API_KEY="EMPTY",
        STOP_TOKEN="<|im_end|>",
        HF_HUB_DISABLE_IMPLICIT_TOKEN="1",
    )
    put_in(folder, f"{yaml.safe_dump(deployment)}---{CACHE}")
    assert findings(folder) == []
    deployment = cache(REDIS_PASSWORD="correct horse")
    put_in(folder, f"{yaml.safe_dump(deployment)}---{CACHE}")
    assert len(findings(folder)) == 1


def test_kustomizations_list_files_in_any_form(folder: Path) -> None:
    put_in(folder, OTHERS["a job by an interval"], listed_as="./theirs.yaml")
    path = folder / "manifests" / "kustomization.yaml"
    kustomization = yaml.safe_load(path.read_text())
    kustomization["resources"] += [
        "github.com/some/repository//deploy?ref=v1.0",
        "git@example.org:some/repository.git",
        "https://example.org/all.yaml",
    ]
    kustomization["resources"].remove("network.yaml")
    kustomization["patches"] = [{"path": "network.yaml"}, {"patch": "[]"}]
    path.write_text(yaml.safe_dump(kustomization))
    assert findings(folder) == []
