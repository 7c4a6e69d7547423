"""Ports by name or number, and what probes ask for."""

from __future__ import annotations

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

PROBES = ("startupProbe", "readinessProbe", "livenessProbe")
PATHS = ("/health", "/ready", "/v1/models", "/metrics")
"""What servers here answer a probe at."""


def wrong_ports(objects: Sequence[Found]) -> Iterator[Finding]:
    for found in objects:
        for pod in pods_in(found):
            for container in containers_in(pod):
                yield from _probes(found, container)
            yield from _without_probe(found, pod, objects)
        if found.kind == "Service":
            yield from _service(found, objects)
        if found.kind == "PodMonitor":
            yield from _pod_monitor(found, objects)
        if found.kind == "Ingress":
            yield from _ingress(found, objects)
        if found.kind == "HTTPRoute":
            yield from _route(found, objects)


def _ports_of(container: Manifest) -> set[str | int]:
    ports: set[str | int] = set()
    for port in container.get("ports") or []:
        ports |= {port.get("name"), port.get("containerPort")}
    return ports - {None}


def _probes(found: Found, container: Manifest) -> Iterator[Finding]:
    ports = _ports_of(container)
    for name in PROBES:
        probe = container.get(name) or {}
        asked = probe.get("httpGet") or probe.get("tcpSocket")
        if not asked:
            continue
        if asked.get("port") not in ports:
            yield found.wrong("port", f"{name} asks port {asked.get('port')}, which is none of it")
        path = asked.get("path")
        if path is not None and path not in PATHS:
            yield found.wrong("probe", f"{name} asks for {path}; known: {', '.join(PATHS)}")
    if container.get("readinessProbe") and not container.get("startupProbe"):
        message = "without a startupProbe it is killed while it loads"
        yield found.wrong("probe", f"container {container.get('name')}: {message}")


def _without_probe(
    found: Found,
    pod: Manifest,
    objects: Sequence[Found],
) -> Iterator[Finding]:
    """A pod behind a Service is asked as soon as it runs, whether it can answer or not."""
    asked = _asked_of(pod, objects)
    for container in (pod.get("spec") or {}).get("containers") or []:
        if _ports_of(container) & asked and not container.get("readinessProbe"):
            message = "without a readinessProbe it is asked before it can answer"
            yield found.wrong("probe", f"container {container.get('name')}: {message}")


def _asked_of(pod: Manifest, objects: Sequence[Found]) -> set[str | int]:
    """Ports at which Services send to it: what stands beside may tell its metrics at another."""
    asked: set[str | int] = set()
    for other in objects:
        selector = other.spec.get("selector")
        if other.kind == "Service" and selector and matches(selector, labels_of(pod)):
            ports = other.spec.get("ports") or []
            asked |= {port.get("targetPort", port.get("port")) for port in ports}
    return asked - {None}


def _ports_of_pods(selector: Manifest, objects: Sequence[Found]) -> set[str | int]:
    ports: set[str | int] = set()
    for other in objects:
        for pod in pods_in(other):
            if selector and matches(selector, labels_of(pod)):
                for container in containers_in(pod):
                    ports |= _ports_of(container)
    return ports


def _pod_monitor(found: Found, objects: Sequence[Found]) -> Iterator[Finding]:
    selector = (found.spec.get("selector") or {}).get("matchLabels") or {}
    ports = _ports_of_pods(selector, objects)
    for endpoint in found.spec.get("podMetricsEndpoints") or []:
        if ports and "port" in endpoint and endpoint["port"] not in ports:
            yield found.wrong("port", f"asks port {endpoint.get('port')}, which its pods have not")


def _service(found: Found, objects: Sequence[Found]) -> Iterator[Finding]:
    ports = _ports_of_pods(found.spec.get("selector") or {}, objects)
    for port in found.spec.get("ports") or []:
        target = port.get("targetPort", port.get("port"))
        if ports and target not in ports:
            yield found.wrong("port", f"leads to port {target}, which its pods have not")


def _service_ports(objects: Sequence[Found], name: str) -> set[str | int] | None:
    for other in objects:
        if other.kind == "Service" and other.name == name:
            ports: set[str | int] = set()
            for port in other.spec.get("ports") or []:
                ports |= {port.get("name"), port.get("port")}
            return ports
    return None


def _leads_to(
    found: Found,
    objects: Sequence[Found],
    name: str,
    port: str | int,
) -> Iterator[Finding]:
    ports = _service_ports(objects, name)
    if ports is None:
        yield found.wrong("reference", f"no Service is called {name}")
    elif port not in ports:
        yield found.wrong("port", f"leads to port {port} of Service {name}, which has none")


def _ingress(found: Found, objects: Sequence[Found]) -> Iterator[Finding]:
    for rule in found.spec.get("rules") or []:
        for path in (rule.get("http") or {}).get("paths") or []:
            service = (path.get("backend") or {}).get("service") or {}
            port = service.get("port") or {}
            wanted = port.get("name") or port.get("number", "")
            yield from _leads_to(found, objects, service.get("name", ""), wanted)


def _route(found: Found, objects: Sequence[Found]) -> Iterator[Finding]:
    for rule in found.spec.get("rules") or []:
        for backend in rule.get("backendRefs") or []:
            name = backend.get("name", "")
            yield from _leads_to(found, objects, name, backend.get("port", ""))
