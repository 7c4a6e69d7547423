"""The same jobs and rules as objects of the Prometheus operator, for clusters that have it.

Pods are found by their labels: the two Services of a gateway would have each of them twice.
"""

from __future__ import annotations

from llmops_cli.deploy.knob import Manifest
from llmops_cli.deploy.kubernetes.engines import part_of
from llmops_cli.deploy.kubernetes.metadata import resource, selector
from llmops_cli.deploy.monitoring.rules import rule_groups
from llmops_cli.deploy.setting import EngineSetting, Setting

API = "monitoring.coreos.com/v1"
EVERY = "15s"
KEY = "key"
"""Of the Secret NAME-metrics: a key of the gateway with the role metrics."""


def pod_monitors(setting: Setting) -> list[Manifest]:
    return [_gateway(setting), *(_engine(setting, each) for each in setting.engines)]


def prometheus_rule(setting: Setting) -> Manifest:
    """What the two files of rules have."""
    return resource(
        setting,
        "PrometheusRule",
        setting.label("rules"),
        api=API,
        spec={"groups": rule_groups(setting.recipe)},
    )


def _gateway(setting: Setting) -> Manifest:
    credentials = {"name": setting.label("metrics"), "key": KEY}
    endpoint = {"authorization": {"type": "Bearer", "credentials": credentials}}
    return _monitor(
        setting, "gateway", setting.label("gateway"), {"job": "llmops-gateway"}, endpoint
    )


def _engine(setting: Setting, each: EngineSetting) -> Manifest:
    labels = {"job": f"llmops-engine-{each.upstream}", "upstream": each.upstream}
    return _monitor(setting, part_of(each), each.label, labels, {})


def _monitor(
    setting: Setting,
    part: str,
    name: str,
    labels: dict[str, str],
    endpoint: Manifest,
) -> Manifest:
    """`labels`: of its series, which alerts and dashboards ask for."""
    relabelings = [
        {"targetLabel": label, "replacement": value, "action": "replace"}
        for label, value in labels.items()
    ]
    whole = {"port": "http", "path": "/metrics", "interval": EVERY, **endpoint}
    return resource(
        setting,
        "PodMonitor",
        name,
        api=API,
        part=part,
        spec={
            "selector": {"matchLabels": selector(setting, part)},
            "podMetricsEndpoints": [whole | {"relabelings": relabelings}],
        },
    )
