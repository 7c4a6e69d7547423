"""Rules and dashboards: each alert has a page that helps, and each query asks for what is told."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import msgspec

from llmops_cli.deploy.lint.finding import Finding, Found
from llmops_cli.deploy.monitoring.gateway_metric_names import of_gateway
from llmops_cli.deploy.monitoring.metric_names import OF_ENGINE_BOARDS, OF_ENGINES, metrics_in
from llmops_cli.runtime.yaml_text import UNREADABLE, load_yaml

RULES = "monitoring/rules/*.yaml"
BOARDS = "monitoring/dashboards/*.json"
OURS = ("llmops_", "llmops:")
TOLD = OF_ENGINES | OF_ENGINE_BOARDS | of_gateway()
RUNBOOK = "runbook_url"
Json = Any  # Any: a file's, as somebody may have changed it


def wrong_watching(folder: Path, objects: Sequence[Found]) -> Iterator[Finding]:
    sets = {}
    for path in sorted(folder.glob(RULES)):
        try:
            value = load_yaml(path.read_text(encoding="utf-8"))
        except (*UNREADABLE, OSError):
            continue  # promtool tells it
        sets[path.relative_to(folder).as_posix()] = list(_rules_in(value))
    for found in objects:
        if found.kind == "PrometheusRule":
            sets[found.file] = list(_rules_in(found.spec))
    recorded = {str(rule.get("record")) for rules in sets.values() for rule in rules}
    for file, rules in sets.items():
        for rule in rules:
            yield from _unanswered(file, rule, recorded)
        yield from _without_page(file, rules)
    yield from _wrong_boards(folder, recorded)


def _rules_in(value: Json) -> Iterator[dict[str, Any]]:
    for group in _list(_table(value).get("groups")):
        for rule in _list(_table(group).get("rules")):
            if isinstance(rule, dict):
                yield rule


def _table(value: Json) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def _list(value: Json) -> list[Any]:
    return value if isinstance(value, list) else []


def _without_page(file: str, rules: Sequence[dict[str, Any]]) -> Iterator[Finding]:
    """Where the others of a file have one: somebody's own rules need none."""
    alerts = [rule for rule in rules if "alert" in rule]
    without = [rule for rule in alerts if not _table(rule.get("annotations")).get(RUNBOOK)]
    if len(without) == len(alerts):
        return
    for rule in without:
        message = f"alert {rule['alert']} has no {RUNBOOK}"
        yield Finding(file=file, rule="runbook", message=message)


def _unanswered(file: str, rule: dict[str, Any], recorded: set[str]) -> Iterator[Finding]:
    title = rule.get("alert") or rule.get("record")
    for name in _unknown(str(rule.get("expr", "")), recorded):
        yield _nobody_tells(file, str(title), name)


def _nobody_tells(file: str, title: str, name: str) -> Finding:
    return Finding(file=file, rule="metric", message=f"{title} asks for {name}, which nobody tells")


def _wrong_boards(folder: Path, recorded: set[str]) -> Iterator[Finding]:
    for path in sorted(folder.glob(BOARDS)):
        file = path.relative_to(folder).as_posix()
        try:
            board = msgspec.json.decode(path.read_bytes())
        except (msgspec.DecodeError, OSError, RecursionError):
            yield Finding(file=file, rule="json", message="is no dashboard: it cannot be read")
            continue
        for title, query in _queries(board):
            for name in _unknown(query, recorded):
                yield _nobody_tells(file, title, name)


def _queries(board: Json) -> Iterator[tuple[str, str]]:
    for each in _list(_table(board).get("panels")):
        panel = _table(each)
        for target in _list(panel.get("targets")):
            yield str(panel.get("title")), str(_table(target).get("expr", ""))
        yield from _queries(panel)


def _unknown(query: str, recorded: set[str]) -> Iterator[str]:
    """Of names that are ours. Others' exporters are the cluster's to know."""
    for name in sorted(metrics_in(query)):
        if name.startswith(OURS) and name not in TOLD | recorded:
            yield name
