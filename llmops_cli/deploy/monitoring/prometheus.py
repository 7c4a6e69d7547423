"""What Prometheus scrapes, and where its alerts go."""

from __future__ import annotations

from llmops_cli.deploy.engine_process import PORT as ENGINE_PORT
from llmops_cli.deploy.knob import Manifest
from llmops_cli.deploy.kubernetes.gateway import PORT as GATEWAY_PORT
from llmops_cli.deploy.monitoring.rules import ALERTS, RECORDING
from llmops_cli.deploy.setting import EngineSetting, Setting

METRICS_KEY = "/etc/prometheus/secrets/llmops-metrics-key"
"""Of a key with the role metrics: `llmops keys create --name prometheus --role metrics`."""


def prometheus_config(setting: Setting) -> Manifest:
    jobs = [_gateway(setting)]
    for number, each in enumerate(setting.engines):
        jobs.append(_engine(setting, each, number))
    return {
        "global": {"scrape_interval": "15s", "evaluation_interval": "15s"},
        "rule_files": [f"rules/{RECORDING}", f"rules/{ALERTS}"],
        "alerting": {"alertmanagers": [{"static_configs": [{"targets": ["alertmanager:9093"]}]}]},
        "scrape_configs": jobs,
    }


def _gateway(setting: Setting) -> Manifest:
    job: Manifest = {
        "job_name": "llmops-gateway",
        "authorization": {"credentials_file": METRICS_KEY},
    }
    if _is_cluster(setting):
        return job | _pods(setting, setting.label("gateway-pods"), GATEWAY_PORT)
    host = "gateway" if setting.recipe.target == "compose" else "127.0.0.1"
    return job | {"static_configs": [{"targets": [f"{host}:{GATEWAY_PORT}"]}]}


def _engine(setting: Setting, each: EngineSetting, number: int) -> Manifest:
    """Its series say which upstream it is."""
    job: Manifest = {"job_name": f"llmops-engine-{each.upstream}"}
    label = {"target_label": "upstream", "replacement": each.upstream}
    if _is_cluster(setting):
        place = _pods(setting, each.label, ENGINE_PORT)
    elif setting.recipe.target == "compose":
        place = {"static_configs": [{"targets": [f"{each.upstream}:{ENGINE_PORT}"]}]}
    else:
        place = {"static_configs": [{"targets": [f"127.0.0.1:{ENGINE_PORT + number}"]}]}
    return job | place | {"relabel_configs": [label]}


def _is_cluster(setting: Setting) -> bool:
    return setting.recipe.target in {"k8s", "kserve"}


def _pods(setting: Setting, service: str, port: int) -> Manifest:
    """Every pod of a headless Service, which Prometheus needs no rights in the cluster to find."""
    host = f"{service}.{setting.recipe.namespace}.svc"
    names = {"names": [host], "type": "A", "port": port, "refresh_interval": "15s"}
    return {"dns_sd_configs": [names]}


def alertmanager_config() -> Manifest:
    """Pages at once, tickets together; what a dead gateway makes of its upstreams is not told."""
    return {
        "route": {
            "receiver": "tickets",
            "group_by": ["alertname", "upstream", "model"],
            "group_wait": "30s",
            "group_interval": "5m",
            "repeat_interval": "12h",
            "routes": [
                {
                    "receiver": "pages",
                    "matchers": ['severity="page"'],
                    "group_wait": "10s",
                    "repeat_interval": "1h",
                }
            ],
        },
        "inhibit_rules": [
            {
                "source_matchers": ['alertname="LlmopsGatewayDown"'],
                "target_matchers": ['service="llmops"', 'alertname!="LlmopsGatewayDown"'],
            },
            {
                "source_matchers": ['alertname="LlmopsUpstreamDown"'],
                "target_matchers": ['alertname="LlmopsBreakerOpen"'],
                "equal": ["upstream"],
            },
        ],
        "receivers": [
            {
                "name": "pages",
                "webhook_configs": [{"url": "http://alert-receiver:8080/pages"}],
            },
            {
                "name": "tickets",
                "webhook_configs": [{"url": "http://alert-receiver:8080/tickets"}],
            },
        ],
    }
