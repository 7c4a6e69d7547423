"""Names that one object has for another: each must be somebody's."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from llmops_cli.deploy.cluster_names import LABEL, MOST_CHARS, MOST_OF_OBJECT, OBJECT_NAME
from llmops_cli.deploy.knob import Manifest
from llmops_cli.deploy.lint.finding import (
    Finding,
    Found,
    containers_in,
    labels_of,
    matches,
    pods_in,
)

SCALERS = ("HorizontalPodAutoscaler", "ScaledObject")
SELECTORS = ("Service", "PodDisruptionBudget", "NetworkPolicy", "PodMonitor")
ROLES = ("ClusterRole", "ClusterRoleBinding", "Role", "RoleBinding")
ROLE_NAME = re.compile(r"(?!\.{1,2}$)[^/%\s]+")
"""Of them any that fits into a path, as `system:auth-delegator`."""
WORKLOADS = ("Deployment", "StatefulSet", "LeaderWorkerSet")


def wrong_names(objects: Sequence[Found]) -> Iterator[Finding]:
    for found in objects:
        yield from _own_name(found)
        yield from _own_selector(found)
        for pod in pods_in(found):
            yield from _volumes(found, pod)
            yield from _references(found, pod, objects)
            yield from _keys(found, pod, objects)
        if found.kind in SELECTORS:
            yield from _selected(found, objects)
        if found.kind in SCALERS:
            yield from _scaled(found, objects)
    yield from _scaled_twice(objects)
    yield from _twice(objects)


def _own_name(found: Found) -> Iterator[Finding]:
    rule = LABEL if found.kind == "Service" else OBJECT_NAME
    rule = ROLE_NAME if found.kind in ROLES else rule
    most = MOST_CHARS if found.kind == "Service" else MOST_OF_OBJECT
    if len(found.name) > most or not rule.fullmatch(found.name):
        yield found.wrong("name", "no cluster takes this name")


def _own_selector(found: Found) -> Iterator[Finding]:
    if found.kind not in {"Deployment", "StatefulSet", "DaemonSet"}:
        return
    selector = (found.spec.get("selector") or {}).get("matchLabels") or {}
    for pod in pods_in(found):
        if not selector or not matches(selector, labels_of(pod)):
            yield found.wrong("selector", "its selector does not match its own pods' labels")


def _selected(found: Found, objects: Sequence[Found]) -> Iterator[Finding]:
    selector = found.spec.get("selector") or {}
    if found.kind == "NetworkPolicy":
        selector = found.spec.get("podSelector") or {}
    if found.kind != "Service":
        selector = selector.get("matchLabels") or {}
    if not selector:
        return
    for other in objects:
        if not _may_select(found, other):
            continue
        if any(matches(selector, labels_of(pod)) for pod in pods_in(other)):
            return
    words = ", ".join(f"{name}={value}" for name, value in selector.items())
    yield found.wrong("selector", f"no pod of its namespace has the labels {words}")


def _may_select(found: Found, other: Found) -> bool:
    """Whether both can be in one namespace; a PodMonitor may name others."""
    if found.kind == "PodMonitor" and found.spec.get("namespaceSelector"):
        return True
    both = {found.namespace, other.namespace} - {""}
    return len(both) <= 1


def _volumes(found: Found, pod: Manifest) -> Iterator[Finding]:
    spec = pod.get("spec") or {}
    have = {volume.get("name") for volume in spec.get("volumes") or []}
    claims = found.spec.get("volumeClaimTemplates") or []
    have |= {claim.get("metadata", {}).get("name") for claim in claims}
    used = set()
    for container in containers_in(pod):
        for mount in container.get("volumeMounts") or []:
            used.add(mount.get("name"))
            if mount.get("name") not in have:
                yield found.wrong("volume", f"mounts {mount.get('name')}, which is no volume")
    for name in sorted(have - used - {None}):
        yield found.wrong("volume", f"nobody mounts the volume {name}")


def _references(
    found: Found,
    pod: Manifest,
    objects: Sequence[Found],
) -> Iterator[Finding]:
    """ConfigMaps and accounts must be rendered; Secrets never are, so they are only listed."""
    known = {(other.kind, other.name) for other in objects}
    for kind, name in sorted(set(_named_in(pod))):
        if (kind, name) not in known:
            yield found.wrong("reference", f"no {kind} is called {name}")


def _named_in(pod: Manifest) -> Iterator[tuple[str, str]]:
    spec = pod.get("spec") or {}
    account = spec.get("serviceAccountName")
    if account and account != "default":
        yield "ServiceAccount", account
    for volume in spec.get("volumes") or []:
        if volume.get("configMap"):
            yield "ConfigMap", volume["configMap"].get("name", "")
    for container in containers_in(pod):
        for reference in _keys_in(container):
            yield "ConfigMap", reference.get("name", "")
        for source in container.get("envFrom") or []:
            if source.get("configMapRef"):
                yield "ConfigMap", source["configMapRef"].get("name", "")


def _keys_in(container: Manifest) -> Iterator[Manifest]:
    """References to a value of a ConfigMap."""
    for variable in container.get("env") or []:
        reference = (variable.get("valueFrom") or {}).get("configMapKeyRef")
        if reference:
            yield reference


def _keys(found: Found, pod: Manifest, objects: Sequence[Found]) -> Iterator[Finding]:
    maps = {other.name: other for other in objects if other.kind == "ConfigMap"}
    for container in containers_in(pod):
        for reference in _keys_in(container):
            config = maps.get(reference.get("name", ""))
            if config is None or reference.get("optional"):
                continue
            if reference.get("key") not in (config.value.get("data") or {}):
                yield found.wrong(
                    "reference", f"wants {reference.get('key')}, which {config.title} lacks"
                )


def _target(found: Found) -> tuple[str, str]:
    target = found.spec.get("scaleTargetRef") or {}
    return target.get("kind", "Deployment"), target.get("name", "")


def _scaled(found: Found, objects: Sequence[Found]) -> Iterator[Finding]:
    kind, name = _target(found)
    if not any(other.kind == kind and other.name == name for other in objects):
        yield found.wrong("scale-target", f"scales {kind} {name}, which is not there")


def _scaled_twice(objects: Sequence[Found]) -> Iterator[Finding]:
    """Two scalers undo each other's work."""
    seen: dict[tuple[str, str], Found] = {}
    for found in objects:
        if found.kind not in SCALERS:
            continue
        target = _target(found)
        if target in seen:
            other = seen[target].title
            yield found.wrong("scale-target", f"{other} scales {target[1]}, too")
        seen[target] = found


def _twice(objects: Sequence[Found]) -> Iterator[Finding]:
    seen: dict[tuple[str, str, str], str] = {}
    for found in objects:
        key = (found.kind, found.namespace, found.name)
        if key in seen:
            yield found.wrong("twice", f"stands in {seen[key]}, too")
        seen[key] = found.file
