"""Files of Prometheus: rules, and tests of each alert by promtool."""

from __future__ import annotations

from llmops_cli.deploy.knob import Manifest
from llmops_cli.deploy.monitoring.alert import Alert, Series
from llmops_cli.deploy.monitoring.alerts import alerts_of
from llmops_cli.deploy.monitoring.recording import recording_rules
from llmops_cli.deploy.recipe import RenderRecipe
from llmops_cli.deploy.yaml_writer import as_yaml

RUNBOOKS = "https://github.com/llmops-cli/llmops-cli/blob/main/docs/runbooks"
RECORDING = "recording.yaml"
ALERTS = "alerts.yaml"


def rule_files(recipe: RenderRecipe) -> dict[str, str]:
    """Path below monitoring/rules -> text."""
    recorded, told = rule_groups(recipe)
    files = {RECORDING: as_yaml({"groups": [recorded]}), ALERTS: as_yaml({"groups": [told]})}
    for alert in alerts_of(recipe):
        files[f"tests/{alert.name}.yaml"] = as_yaml(_tests(alert))
    return files


def rule_groups(recipe: RenderRecipe) -> list[Manifest]:
    """What is recorded, and what is told."""
    alerts = [_rule(each) for each in alerts_of(recipe)]
    return [
        {"name": "llmops-recording", "rules": recording_rules()},
        {"name": "llmops-alerts", "rules": alerts},
    ]


def _rule(alert: Alert) -> Manifest:
    return {
        "alert": alert.name,
        "expr": alert.expr,
        "for": alert.wait,
        "labels": {"severity": alert.severity, "service": "llmops"},
        "annotations": _annotations(alert, alert.summary),
    }


def _annotations(alert: Alert, summary: str) -> Manifest:
    return {"summary": summary, "runbook_url": f"{RUNBOOKS}/{alert.runbook}.md"}


def _tests(alert: Alert) -> Manifest:
    """One in which it fires, and one in which it is silent."""
    expected = {
        "exp_labels": {"severity": alert.severity, "service": "llmops", **alert.labels},
        "exp_annotations": _annotations(alert, _filled(alert)),
    }
    return {
        "rule_files": [f"../{RECORDING}", f"../{ALERTS}"],
        "evaluation_interval": "1m",
        "tests": [
            _test(alert, alert.fires, [expected]),
            _test(alert, alert.silent, []),
        ],
    }


def _filled(alert: Alert) -> str:
    summary = alert.summary
    for name, value in alert.labels.items():
        summary = summary.replace(f"{{{{ $labels.{name} }}}}", value)
    return summary


def _test(alert: Alert, series: Series, expected: list[Manifest]) -> Manifest:
    return {
        "interval": "1m",
        "input_series": [{"series": name, "values": values} for name, values in series],
        "alert_rule_test": [
            {"eval_time": alert.at, "alertname": alert.name, "exp_alerts": expected}
        ],
    }
