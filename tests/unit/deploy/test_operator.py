"""Objects of the Prometheus operator: the pods that run, and the rules that the files have."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from llmops_cli.deploy.lint.finding import Found
from llmops_cli.deploy.lint.names import wrong_names
from llmops_cli.deploy.lint.ports import wrong_ports
from llmops_cli.deploy.lint.safety import unsafe
from tests.unit.deploy.conftest import Render, objects

BELOW = "monitoring/operator/"


@pytest.fixture
def files(rendered: Render) -> dict[str, Any]:
    return rendered(budget_dollars=1000.0)


def test_each_job_of_the_configuration_is_a_monitor(files: dict[str, Any]) -> None:
    jobs = yaml.safe_load(files["monitoring/prometheus.yml"])["scrape_configs"]
    wanted = {}
    for job in jobs:
        labels = {"job": job["job_name"]}
        for rule in job.get("relabel_configs", []):
            labels[rule["target_label"]] = rule["replacement"]
        wanted[job["job_name"]] = labels
    told = {}
    for (kind, _), value in objects(files, BELOW).items():
        if kind == "PodMonitor":
            endpoint, *more = value["spec"]["podMetricsEndpoints"]
            rules = endpoint["relabelings"]
            labels = {rule["targetLabel"]: rule["replacement"] for rule in rules}
            told[labels["job"]] = labels
            assert not more
    assert told == wanted


def test_the_gateway_is_asked_with_a_key_of_a_secret(files: dict[str, Any]) -> None:
    monitor = objects(files, BELOW)["PodMonitor", "llmops-gateway"]
    authorization = monitor["spec"]["podMetricsEndpoints"][0]["authorization"]
    assert authorization["credentials"] == {"name": "llmops-metrics", "key": "key"}


def test_its_rules_are_those_of_the_files(files: dict[str, Any]) -> None:
    groups = []
    for name in ("recording.yaml", "alerts.yaml"):
        groups += yaml.safe_load(files[f"monitoring/rules/{name}"])["groups"]
    rule = objects(files, BELOW)["PrometheusRule", "llmops-rules"]
    assert rule["spec"] == {"groups": groups}


def test_lint_knows_monitors_of_nobody(files: dict[str, Any]) -> None:
    everything = [Found("m", each) for each in objects(files).values()]
    monitor = objects(files, BELOW)["PodMonitor", "llmops-chat"]
    known = [*everything, Found("p", monitor)]
    assert [each for each in (*wrong_names(known), *wrong_ports(known)) if each.file == "p"] == []
    monitor["spec"]["podMetricsEndpoints"][0]["port"] = "metrics"
    assert [each.rule for each in wrong_ports(known)] == ["port"]
    monitor["spec"]["selector"]["matchLabels"] = {"a": "b"}
    assert [each.rule for each in wrong_names(known)] == ["selector"]


def test_queries_are_no_secrets_and_passwords_are(files: dict[str, Any]) -> None:
    rule = objects(files, BELOW)["PrometheusRule", "llmops-rules"]
    assert list(unsafe([Found("r", rule)])) == []
    rule["spec"]["groups"][0]["rules"][0]["expr"] = "http://me:swordfish@host/"
    assert [each.rule for each in unsafe([Found("r", rule)])] == ["secret"]


@pytest.mark.parametrize("target", ["compose", "systemd"])
def test_only_clusters_have_an_operator(target: str, rendered: Render) -> None:
    assert not [name for name in rendered(target=target) if Path(name).is_relative_to(BELOW)]
