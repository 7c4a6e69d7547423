"""How many pods there may be: bounds of scalers, budgets that let no node be emptied, endings."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from llmops_cli.deploy.knob import Manifest
from llmops_cli.deploy.lint.finding import (
    Finding,
    Found,
    containers_in,
    labels_of,
    matches,
    pods_in,
)

LEAST = ("minReplicas", "minReplicaCount")
MOST = ("maxReplicas", "maxReplicaCount")
NONE = re.compile(r"0+%?")
PERCENT = re.compile(r"(\d+)%")
GRACE_S = 30
"""Of a pod that says nothing."""


def wrong_numbers(objects: Sequence[Found]) -> Iterator[Finding]:
    for found in objects:
        yield from _bounds(found)
        if found.kind == "PodDisruptionBudget":
            yield from _budget(found, objects)
        for pod in pods_in(found):
            yield from _ending(found, pod)


def _bounds(found: Found) -> Iterator[Finding]:
    least = _number(found.spec, LEAST)
    most = _number(found.spec, MOST)
    if least is not None and most is not None and least > most:
        yield found.wrong("scale-bounds", f"at least {least} and at most {most} pods")


def _number(spec: Manifest, names: Sequence[str]) -> int | None:
    for name in names:
        if isinstance(spec.get(name), int):
            return int(spec[name])
    return None


def _budget(found: Found, objects: Sequence[Found]) -> Iterator[Finding]:
    """A pod alone may have one that keeps it: then whoever empties a node asks first."""
    selector = (found.spec.get("selector") or {}).get("matchLabels") or {}
    pods = _pods(selector, objects)
    gone = found.spec.get("maxUnavailable")
    if gone is not None and NONE.fullmatch(str(gone)) and pods > 1:
        yield found.wrong("budget", f"maxUnavailable {gone}: no node with its pods can be emptied")
    kept = found.spec.get("minAvailable")
    if kept is not None and pods > 1 and _kept_of(kept, pods) >= pods:
        yield found.wrong(
            "budget", f"minAvailable {kept} of {pods} pods: no node with them can be emptied"
        )


def _kept_of(kept: object, pods: int) -> int:
    """Percent are rounded up, as the cluster does."""
    percent = PERCENT.fullmatch(str(kept))
    if percent is not None:
        return -(-int(percent[1]) * pods // 100)
    return kept if isinstance(kept, int) else 0


def _pods(selector: Manifest, objects: Sequence[Found]) -> int:
    """How many there are at least."""
    count = 0
    for other in objects:
        if not any(selector and matches(selector, labels_of(pod)) for pod in pods_in(other)):
            continue
        replicas = other.spec.get("replicas", 1)
        for scaler in objects:
            target = scaler.spec.get("scaleTargetRef") or {}
            if (target.get("kind", "Deployment"), target.get("name")) == (other.kind, other.name):
                replicas = _number(scaler.spec, LEAST) or replicas
        count += replicas if isinstance(replicas, int) else 1
    return count


def _ending(found: Found, pod: Manifest) -> Iterator[Finding]:
    """What a container does before it is told to end takes of the same time."""
    grace_s = (pod.get("spec") or {}).get("terminationGracePeriodSeconds", GRACE_S)
    for container in containers_in(pod):
        sleep_s = _sleep_s(container)
        if isinstance(grace_s, int) and sleep_s is not None and sleep_s >= grace_s:
            yield found.wrong(
                "ending",
                f"container {container.get('name')} sleeps {sleep_s:g} s of the {grace_s} s that "
                "it has to end",
            )


def _sleep_s(container: Manifest) -> float | None:
    before = (container.get("lifecycle") or {}).get("preStop") or {}
    asked = (before.get("sleep") or {}).get("seconds")
    if isinstance(asked, int):
        return float(asked)
    match (before.get("exec") or {}).get("command"):
        case ["sleep", seconds] if str(seconds).isdecimal():
            return float(seconds)
    return None
