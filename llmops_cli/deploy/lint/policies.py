"""NetworkPolicies that cut what their pods need: names, whoever asks them, whoever watches.

A pod that no policy selects may be asked by all and ask all.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

from llmops_cli.deploy.knob import Manifest
from llmops_cli.deploy.lint.finding import (
    Finding,
    Found,
    containers_in,
    labels_of,
    matches,
    pods_in,
)

RULE = "network"
NAMES_PORTS: set[str | int] = {53, 5353, "dns", "dns-tcp"}
"""Of name servers: what clients ask, where OpenShift's listen, and what their pods call both."""
INGRESS = "Ingress"
EGRESS = "Egress"
ADDRESS = "ipBlock"


class Walls(NamedTuple):
    """Rules of all policies of a pod; None: no policy says anything of that way."""

    ingress: list[Manifest] | None
    egress: list[Manifest] | None


def wrong_policies(objects: Sequence[Found]) -> Iterator[Finding]:
    for found in objects:
        for pod in pods_in(found):
            walls = _walls(found.namespace, labels_of(pod), objects)
            if walls.egress is not None:
                yield from _without_names(found, walls.egress)
            if walls.ingress is not None:
                yield from _unreached(found, pod, walls.ingress, objects)


def _walls(namespace: str, labels: Manifest, objects: Sequence[Found]) -> Walls:
    ways: dict[str, list[Manifest] | None] = {INGRESS: None, EGRESS: None}
    for policy in objects:
        selector = policy.spec.get("podSelector") or {}
        is_of_pod = matches(selector.get("matchLabels") or {}, labels)
        if policy.kind != "NetworkPolicy" or policy.namespace != namespace:
            continue
        if not is_of_pod or selector.get("matchExpressions"):
            continue
        for way in _ways(policy):
            ways[way] = [*(ways[way] or []), *_rules(policy, way)]
    return Walls(ways[INGRESS], ways[EGRESS])


def _ways(policy: Found) -> list[str]:
    """A policy that names none is of what comes in, and of what goes out if it has rules of it."""
    named = policy.spec.get("policyTypes")
    if isinstance(named, list):
        return [way for way in (INGRESS, EGRESS) if way in named]
    return [INGRESS, EGRESS] if policy.spec.get("egress") else [INGRESS]


def _rules(policy: Found, way: str) -> list[Manifest]:
    rules = policy.spec.get(way.lower())
    return [rule for rule in rules if isinstance(rule, dict)] if isinstance(rules, list) else []


def _without_names(found: Found, egress: list[Manifest]) -> Iterator[Finding]:
    """Who asks addresses alone needs no name server."""
    asks = [rule for rule in egress if not _is_of_addresses(rule)]
    if asks and not any(_has_port(rule, NAMES_PORTS) for rule in egress):
        yield found.wrong(RULE, "its NetworkPolicies let it ask no name server (port 53)")


def _is_of_addresses(rule: Manifest) -> bool:
    to = rule.get("to")
    return isinstance(to, list) and bool(to) and all(ADDRESS in each for each in to)


def _has_port(rule: Manifest, wanted: set[str | int]) -> bool:
    """A rule that names no port is of all, and so is one that names a protocol alone."""
    ports = rule.get("ports")
    if not isinstance(ports, list) or not ports:
        return True
    return any(_is_port(each, one) for each in ports for one in wanted)


def _is_port(named: Manifest, wanted: str | int) -> bool:
    first = named.get("port")
    last = named.get("endPort")
    if first is None or first == wanted:
        return True
    if isinstance(first, int) and isinstance(last, int) and isinstance(wanted, int):
        return first <= wanted <= last
    return False


def _unreached(
    found: Found,
    pod: Manifest,
    ingress: list[Manifest],
    objects: Sequence[Found],
) -> Iterator[Finding]:
    """By Services and by those that watch, which are none of these pods."""
    for other in objects:
        selector = other.spec.get("selector") or {}
        if other.kind == "PodMonitor":
            selector = selector.get("matchLabels") or {}
        elif other.kind != "Service":
            continue
        if not selector or not matches(selector, labels_of(pod)):
            continue
        rules = ingress
        if other.kind == "PodMonitor":
            rules = [rule for rule in ingress if _is_from_elsewhere(rule, objects)]
        for port in _asked_ports(other):
            wanted = _both_names(pod, port)
            if not any(_has_port(rule, wanted) for rule in rules):
                yield found.wrong(
                    RULE, f"its NetworkPolicies keep {other.title} from its port {port}"
                )


def _is_from_elsewhere(rule: Manifest, objects: Sequence[Found]) -> bool:
    sources = rule.get("from")
    if not isinstance(sources, list) or not sources:
        return True
    return any(_is_elsewhere(each, objects) for each in sources)


def _is_elsewhere(source: Manifest, objects: Sequence[Found]) -> bool:
    """Another namespace, or pods of this one that others have made, or all of them."""
    if "namespaceSelector" in source or ADDRESS in source:
        return True
    labels = (source.get("podSelector") or {}).get("matchLabels") or {}
    pods = (pod for other in objects for pod in pods_in(other))
    return not labels or not any(matches(labels, labels_of(pod)) for pod in pods)


def _asked_ports(found: Found) -> Iterator[str | int]:
    if found.kind == "PodMonitor":
        for endpoint in found.spec.get("podMetricsEndpoints") or []:
            named = (endpoint.get(name) for name in ("port", "portNumber", "targetPort"))
            yield from (port for port in named if port is not None)
        return
    for port in found.spec.get("ports") or []:
        yield port.get("targetPort", port.get("port", ""))


def _both_names(pod: Manifest, port: str | int) -> set[str | int]:
    """Its name and its number."""
    names = {port}
    for container in containers_in(pod):
        for each in container.get("ports") or []:
            pair = {each.get("name"), each.get("containerPort")}
            if port in pair:
                names |= pair - {None}
    return names
