"""Objects of another form than their kind has: whoever looks at the others could not read them."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

from llmops_cli.deploy.lint.finding import POD_PATHS, Finding, Found

LOOKED_INTO = frozenset(
    (
        *POD_PATHS,
        "HTTPRoute",
        "HorizontalPodAutoscaler",
        "InferenceService",
        "Ingress",
        "NetworkPolicy",
        "Pod",
        "PodDisruptionBudget",
        "PodMonitor",
        "ScaledObject",
        "Service",
    )
)
MAPPINGS = frozenset(
    (
        "annotations",
        "configMap",
        "configMapKeyRef",
        "configMapRef",
        "exec",
        "http",
        "httpGet",
        "jobTemplate",
        "labels",
        "leaderTemplate",
        "leaderWorkerTemplate",
        "lifecycle",
        "limits",
        "livenessProbe",
        "matchLabels",
        "metadata",
        "podSelector",
        "preStop",
        "predictor",
        "readinessProbe",
        "requests",
        "resources",
        "scaleTargetRef",
        "securityContext",
        "selector",
        "service",
        "sleep",
        "spec",
        "startupProbe",
        "tcpSocket",
        "template",
        "valueFrom",
        "workerTemplate",
    )
)
LISTS = frozenset(
    (
        "backendRefs",
        "containers",
        "egress",
        "env",
        "envFrom",
        "from",
        "ingress",
        "initContainers",
        "items",
        "paths",
        "podMetricsEndpoints",
        "ports",
        "rules",
        "to",
        "volumeClaimTemplates",
        "volumeMounts",
        "volumes",
    )
)
"""Of mappings."""
WORDS = frozenset(
    (
        "containerPort",
        "image",
        "key",
        "kind",
        "name",
        "namespace",
        "number",
        "port",
        "serviceAccountName",
        "targetPort",
    )
)
"""Texts or numbers."""
MAPPINGS_THERE = re.compile(r"(?:.*\.)?(?:service\.port|volumes\.\d+\.image)")
"""Places where a word is a mapping: of an Ingress, and of a volume that is an image."""

OPAQUE = frozenset(("annotations", "grpc", "labels", "matchLabels", "nodeSelector"))
"""What is in them may be called anything."""
SELECTORS = ("podSelector", "selector")


class Sorted(NamedTuple):
    """`readable`: what the other rules can look at."""

    readable: list[Found]
    findings: list[Finding]


def by_form(objects: Sequence[Found]) -> Sorted:
    found = Sorted([], [])
    for each in objects:
        odd = list(_odd(each))
        found.findings.extend(odd)
        if not odd:
            found.readable.append(each)
    return found


def _odd(found: Found) -> Iterator[Finding]:
    if not isinstance(found.value.get("apiVersion"), str):
        yield found.wrong("form", "it has no apiVersion")
    metadata = found.value.get("metadata")
    if not isinstance(metadata, dict) or not isinstance(metadata.get("name"), str):
        yield found.wrong("form", "it has no metadata with a name")
    if found.kind in LOOKED_INTO:
        for place in _odd_places(found.value, ""):
            yield found.wrong("form", f"{place} is not what stands there in any {found.kind}")
    elif found.kind == "ConfigMap" and not _is_data(found.value.get("data")):
        yield found.wrong("form", "data maps names to texts")


def _odd_places(value: Any, above: str) -> Iterator[str]:  # Any: YAML
    if isinstance(value, list):
        for number, each in enumerate(value):
            yield from _odd_places(each, f"{above}{number}.")
    if not isinstance(value, dict):
        return
    for name, each in value.items():
        place = f"{above}{name}"
        if each is None:
            continue
        is_mapping = name in WORDS and MAPPINGS_THERE.fullmatch(place) is not None
        if not (isinstance(each, dict) if is_mapping else _has_form(name, each)):
            yield place
        elif name in SELECTORS:
            if not isinstance(each.get("matchLabels") or {}, dict):
                yield f"{place}.matchLabels"
        elif name not in OPAQUE:
            yield from _odd_places(each, f"{place}.")


def _is_data(value: Any) -> bool:  # Any: YAML
    if value is None:
        return True
    return isinstance(value, dict) and all(isinstance(each, str) for each in value.values())


def _has_form(name: str, value: Any) -> bool:  # Any: YAML
    if name in MAPPINGS:
        return isinstance(value, dict)
    if name in LISTS:
        return isinstance(value, list) and all(isinstance(each, dict) for each in value)
    return name not in WORDS or isinstance(value, str | int)
