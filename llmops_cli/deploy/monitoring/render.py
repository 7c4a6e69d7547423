"""All files below monitoring/."""

from __future__ import annotations

from llmops_cli.deploy.monitoring.dashboards import dashboard_files
from llmops_cli.deploy.monitoring.logs import collector, filebeat, promtail
from llmops_cli.deploy.monitoring.prometheus import alertmanager_config, prometheus_config
from llmops_cli.deploy.monitoring.rules import rule_files
from llmops_cli.deploy.setting import Setting
from llmops_cli.deploy.yaml_writer import as_yaml


def monitoring(setting: Setting) -> dict[str, str]:
    files = {
        "prometheus.yml": as_yaml(prometheus_config(setting)),
        "alertmanager.yml": as_yaml(alertmanager_config()),
        "logs/promtail.yml": as_yaml(promtail()),
        "logs/filebeat.yml": as_yaml(filebeat()),
        "logs/otel-collector.yml": as_yaml(collector()),
    }
    for name, text in rule_files(setting.recipe).items():
        files[f"rules/{name}"] = text
    for name, text in dashboard_files().items():
        files[f"dashboards/{name}"] = text
    return {f"monitoring/{name}": text for name, text in files.items()}
