"""Who may talk to whom: everything else is refused."""

from __future__ import annotations

from urllib.parse import urlsplit

from llmops_cli.deploy.cluster_config import REDIS_PORT
from llmops_cli.deploy.engine_process import PORT as ENGINE_PORT
from llmops_cli.deploy.knob import Manifest
from llmops_cli.deploy.kubernetes.engines import part_of
from llmops_cli.deploy.kubernetes.gateway import PORT as GATEWAY_PORT
from llmops_cli.deploy.kubernetes.metadata import INSTANCE, resource, selector
from llmops_cli.deploy.setting import EngineSetting, Setting
from llmops_cli.gateway_file.upstream import UpstreamConfig

NAMES = {
    "to": [{"namespaceSelector": {}, "podSelector": {"matchLabels": {"k8s-app": "kube-dns"}}}],
    "ports": [{"protocol": "UDP", "port": 53}, {"protocol": "TCP", "port": 53}],
}
MONITORING = {"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "monitoring"}}}
DEFAULT_PORTS = {"http": 80, "https": 443}


def policies(setting: Setting) -> list[Manifest]:
    found = [_nothing(setting), _gateway(setting)]
    found += [_engine(setting, each) for each in setting.engines]
    if setting.redis_image is not None:
        found.append(_redis(setting))
    return found


def _nothing(setting: Setting) -> Manifest:
    """Of what is not said elsewhere."""
    return resource(
        setting,
        "NetworkPolicy",
        setting.label("default"),
        api="networking.k8s.io/v1",
        spec={
            "podSelector": {"matchLabels": {INSTANCE: setting.name}},
            "policyTypes": ["Ingress", "Egress"],
        },
    )


def _policy(
    setting: Setting,
    part: str,
    name: str,
    *,
    ingress: list[Manifest],
    egress: list[Manifest],
) -> Manifest:
    return resource(
        setting,
        "NetworkPolicy",
        name,
        api="networking.k8s.io/v1",
        part=part,
        spec={
            "podSelector": {"matchLabels": selector(setting, part)},
            "policyTypes": ["Ingress", "Egress"],
            "ingress": ingress,
            "egress": egress,
        },
    )


def _pods(setting: Setting, part: str) -> Manifest:
    return {"podSelector": {"matchLabels": selector(setting, part)}}


def _tcp(*ports: int) -> list[Manifest]:
    return [{"protocol": "TCP", "port": port} for port in ports]


def _gateway(setting: Setting) -> Manifest:
    """Its door is open: it asks for keys itself."""
    egress: list[Manifest] = [NAMES]
    egress.extend(
        {"to": [_pods(setting, part_of(each))], "ports": _tcp(ENGINE_PORT)}
        for each in setting.engines
    )
    if setting.redis_image is not None:
        egress.append({"to": [_pods(setting, "redis")], "ports": _tcp(REDIS_PORT)})
    outside = outside_ports(setting)
    if outside:
        egress.append({"ports": _tcp(*outside)})
    return _policy(
        setting,
        "gateway",
        setting.label("gateway"),
        ingress=[{"ports": _tcp(GATEWAY_PORT)}],
        egress=egress,
    )


def outside_ports(setting: Setting) -> list[int]:
    """Of upstreams, a Redis and a collector of traces that are not ours."""
    config = setting.config
    urls = [_address(config.upstreams[name]) for name in setting.outside]
    if config.traces is not None:
        urls.append(config.traces)
    if config.redis is not None and setting.redis_image is None:
        urls.append(config.redis.url)
    ports = set()
    for url in urls:
        parts = urlsplit((url or "").replace("${", "").replace("}", ""))
        ports.add(_port(parts.netloc, parts.scheme))
    return sorted(ports)


def _address(upstream: UpstreamConfig) -> str | None:
    """Members that are found in a file may be anywhere; their port is the usual one then."""
    if upstream.discover is not None:
        return upstream.discover.place()
    return upstream.url


def _port(place: str, scheme: str) -> int:
    _, _, digits = place.rpartition(":")
    if digits.isdecimal():
        return int(digits)
    if scheme.startswith("redis"):
        return REDIS_PORT
    return DEFAULT_PORTS.get(scheme, 443)


def _engine(setting: Setting, each: EngineSetting) -> Manifest:
    """Asked by gateways and by Prometheus; asks nobody, but for its model."""
    egress: list[Manifest] = []
    url = setting.volume.url
    if url is not None:
        parts = urlsplit(url)
        port = parts.port or DEFAULT_PORTS[parts.scheme]
        egress = [NAMES, {"ports": _tcp(port)}]
    source = [_pods(setting, "gateway"), MONITORING]
    if each.nodes > 1:
        worker = _pods(setting, f"{part_of(each)}-worker")
        egress.append({"to": [worker, _pods(setting, part_of(each))]})
        source.append(worker)
    return _policy(
        setting,
        part_of(each),
        each.label,
        ingress=[{"from": source, "ports": _tcp(ENGINE_PORT)}],
        egress=egress,
    )


def _redis(setting: Setting) -> Manifest:
    return _policy(
        setting,
        "redis",
        setting.label("redis"),
        ingress=[{"from": [_pods(setting, "gateway")], "ports": _tcp(REDIS_PORT)}],
        egress=[],
    )
