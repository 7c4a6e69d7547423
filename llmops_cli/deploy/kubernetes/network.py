"""Who may talk to whom: everything else is refused."""

from __future__ import annotations

from urllib.parse import urlsplit

from llmops_cli.deploy.cluster_config import REDIS_PORT
from llmops_cli.deploy.engine_process import PORT as ENGINE_PORT
from llmops_cli.deploy.knob import Knob, Manifest
from llmops_cli.deploy.kubernetes.engines import part_of
from llmops_cli.deploy.kubernetes.gateway import PORT as GATEWAY_PORT
from llmops_cli.deploy.kubernetes.metadata import INSTANCE, resource, selector
from llmops_cli.deploy.setting import EngineSetting, Setting
from llmops_cli.gateway_file.discovery import DNS_PORT, host_port
from llmops_cli.gateway_file.upstream import UpstreamConfig

NAMES = {
    "to": [{"namespaceSelector": {}, "podSelector": {"matchLabels": {"k8s-app": "kube-dns"}}}],
    "ports": [{"protocol": "UDP", "port": 53}, {"protocol": "TCP", "port": 53}],
}
MONITORING = {"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "monitoring"}}}
DEFAULT_PORTS = {"http": 80, "https": 443}


def policies(setting: Setting) -> list[Manifest]:
    found = [_nothing(setting), _gateway(setting)]
    for each in setting.engines:
        found += _engine(setting, each)
    if setting.redis_image is not None:
        found.append(_redis(setting))
    if setting.nights:
        found.append(_nightly(setting))
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
    egress += _outside(setting)
    return _policy(
        setting,
        "gateway",
        setting.label("gateway"),
        ingress=[{"ports": _tcp(GATEWAY_PORT)}],
        egress=egress,
    )


def _outside(setting: Setting) -> list[Manifest]:
    """To upstreams, a Redis, a collector of traces and name servers that are not ours."""
    config = setting.config
    theirs = [config.upstreams[name] for name in setting.outside]
    ports = {_port_of(each) for each in theirs}
    ports |= {_port_in(each.url) for each in setting.source.detectors if each.url}
    if config.traces is not None:
        ports.add(_port_in(config.traces))
    if config.redis is not None and setting.redis_image is None:
        ports.add(_port_in(config.redis.url))
    found: list[Manifest] = []
    if None in ports:
        anywhere = Knob("TCP", "any port: a variable, a record or a file of members tells it")
        found.append({"ports": [{"protocol": anywhere}]})
    elif ports:
        found.append({"ports": _tcp(*sorted(port for port in ports if port is not None))})
    servers = {each.discover.resolver for each in theirs if each.discover is not None}
    for port in sorted({host_port(each, port=DNS_PORT).port for each in servers if each}):
        both = [{"protocol": name, "port": port} for name in ("UDP", "TCP")]
        found.append({"ports": both})
    return found


def _port_of(upstream: UpstreamConfig) -> int | None:
    """None: only the cluster knows."""
    discover = upstream.discover
    if discover is None:
        return _port_in(upstream.url or "")
    return None if discover.dns is None else host_port(discover.dns).port


def _port_in(url: str) -> int | None:
    """None: a variable stands where it would."""
    scheme, _, rest = url.partition("://")
    host = rest.partition("/")[0].rpartition("@")[2]
    digits = host.rpartition(":")[2]
    if digits.isdecimal():
        return int(digits)
    if "${" in host or not host:
        return None
    return REDIS_PORT if scheme.startswith("redis") else DEFAULT_PORTS.get(scheme)


def _engine(setting: Setting, each: EngineSetting) -> list[Manifest]:
    """Asked by gateways and by Prometheus; asks nobody, but for its model and its own machines."""
    asked = {"from": [_pods(setting, "gateway"), MONITORING], "ports": _tcp(ENGINE_PORT)}
    egress = _model_source(setting)
    if each.nodes == 1:
        return [_policy(setting, part_of(each), each.label, ingress=[asked], egress=egress)]
    worker = f"{part_of(each)}-worker"
    machines = [_pods(setting, part_of(each)), _pods(setting, worker)]
    egress = [NAMES, *egress, {"to": machines}]
    ours = {"from": machines}
    return [
        _policy(setting, part_of(each), each.label, ingress=[asked, ours], egress=egress),
        _policy(setting, worker, f"{each.label}-worker", ingress=[ours], egress=egress),
    ]


def _model_source(setting: Setting) -> list[Manifest]:
    """Where a model is downloaded from, if it is."""
    url = setting.volume.url
    if url is None:
        return []
    parts = urlsplit(url)
    return [NAMES, {"ports": _tcp(parts.port or DEFAULT_PORTS[parts.scheme])}]


def _nightly(setting: Setting) -> Manifest:
    """Jobs by night ask the gateway, as clients do."""
    gateway = {"to": [_pods(setting, "gateway")], "ports": _tcp(GATEWAY_PORT)}
    return _policy(
        setting,
        "nightly",
        setting.label("nightly"),
        ingress=[],
        egress=[NAMES, gateway],
    )


def _redis(setting: Setting) -> Manifest:
    return _policy(
        setting,
        "redis",
        setting.label("redis"),
        ingress=[{"from": [_pods(setting, "gateway")], "ports": _tcp(REDIS_PORT)}],
        egress=[],
    )
