"""Rules and dashboards name what is counted, fire when they should, and have a runbook."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from llmops_cli.deploy.monitoring import gateway_metric_names
from llmops_cli.deploy.monitoring.metric_names import (
    OF_DCGM,
    OF_ENGINE_BOARDS,
    OF_ENGINES,
    OF_PROMETHEUS,
    metrics_in,
)
from llmops_cli.deploy.monitoring.recording import LAST_BOUND_S
from llmops_cli.engines import ENGINES, load_engine
from llmops_cli.serve.watch.families import COUNTERS, GAUGES, HISTOGRAMS
from llmops_cli.serve.watch.info_board import INFOS
from llmops_cli.serve.watch.machine_board import GPUS, PROCESSES
from llmops_cli.serve.watch.metrics import PREFIX
from tests.unit.deploy.conftest import Render

DOCS = Path(__file__).parents[3] / "docs"
GUIDE_RULES = (
    "rate(llmops_gateway_requests_total{status='500'}[5m]) > 0.05",
    "histogram_quantile(0.95, llmops_gateway_ttft_seconds)",
    "gpu_memory_used_bytes / gpu_memory_total_bytes > 0.95",
)


def of_gateway() -> set[str]:
    names = {f"{PREFIX}{name}_total" for name in COUNTERS}
    names |= {f"{PREFIX}{name}" for name in (*GAUGES, *GPUS, *INFOS)}
    for name, family in PROCESSES.items():
        names.add(f"{PREFIX}{name}_total" if family.counts else f"{PREFIX}{name}")
    return names | {f"{PREFIX}{name}_bucket" for name in HISTOGRAMS}


@pytest.fixture
def files(rendered: Render) -> dict[str, Any]:
    return rendered(budget_dollars=1000.0)


def rules_of(files: dict[str, Any], name: str) -> list[Any]:
    groups = yaml.safe_load(files[f"monitoring/rules/{name}"])["groups"]
    return [rule for group in groups for rule in group["rules"]]


def queries_of(files: dict[str, Any]) -> dict[str, str]:
    found = {}
    for name in ("recording.yaml", "alerts.yaml"):
        for rule in rules_of(files, name):
            found[rule.get("alert") or rule["record"]] = rule["expr"]
    for name, text in files.items():
        if name.startswith("monitoring/dashboards/"):
            for panel in json.loads(text)["panels"]:
                found[panel["title"]] = panel["targets"][0]["expr"]
    return found


def test_every_metric_exists(files: dict[str, Any]) -> None:
    recorded = {rule["record"] for rule in rules_of(files, "recording.yaml")}
    known = of_gateway() | OF_ENGINES | OF_ENGINE_BOARDS | OF_DCGM | OF_PROMETHEUS | recorded
    for title, query in queries_of(files).items():
        assert metrics_in(query) <= known, title


def test_the_names_of_the_gateway_are_those_that_it_has() -> None:
    listed = gateway_metric_names.of_gateway()
    parts = tuple(f"{name}_{part}" for name in HISTOGRAMS for part in ("sum", "count"))
    assert {name for name in listed if not name.endswith(parts)} == of_gateway()
    assert len(listed) == len(of_gateway()) + len(parts)


def test_the_names_of_engines_are_those_that_engines_have() -> None:
    told = set[str]()
    for name in ENGINES:
        for names in load_engine(name).facts.metrics.values():
            told |= set(names)
    assert told >= OF_ENGINES


def test_the_rules_of_the_guides_would_be_found() -> None:
    known = of_gateway() | OF_ENGINES | OF_DCGM
    assert not metrics_in(GUIDE_RULES[1]) <= known  # a histogram has no series of its own name
    assert not metrics_in(GUIDE_RULES[2]) <= known  # nobody tells these


def test_every_alert_has_a_runbook_and_a_test(files: dict[str, Any]) -> None:
    alerts = rules_of(files, "alerts.yaml")
    assert len(alerts) >= 20
    for rule in alerts:
        page = rule["annotations"]["runbook_url"].rpartition("/")[2]
        text = (DOCS / "runbooks" / page).read_text()
        assert rule["alert"] in text
        for word in ("**Symptom.**", "**Check.**", "**Mend.**"):
            assert word in text
        tests = yaml.safe_load(files[f"monitoring/rules/tests/{rule['alert']}.yaml"])["tests"]
        fires, silent = (each["alert_rule_test"][0]["exp_alerts"] for each in tests)
        assert fires
        assert not silent


def test_runbooks_name_metrics_that_exist() -> None:
    known = of_gateway() | OF_ENGINES | OF_ENGINE_BOARDS
    for page in (DOCS / "runbooks").glob("*.md"):
        for word in page.read_text().replace("`", " ").split():
            if word.startswith(PREFIX) and word.isidentifier():
                assert word in known, page.name


def written(files: dict[str, Any], tmp_path: Path) -> Path:
    for name, text in files.items():
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return tmp_path / "monitoring"


@pytest.mark.parametrize(
    "limits",
    [
        {"slo_errors": 0.001, "slo_ttft_s": 0.003, "slo_tpot_s": 0.002, "slo_e2e_s": 0.01},
        {"slo_errors": 20.0, "slo_ttft_s": 899.0, "slo_tpot_s": 2.4, "slo_e2e_s": 600.0},
    ],
)
def test_alerts_of_any_limits_fire(
    limits: dict[str, float], rendered: Render, tmp_path: Path
) -> None:
    """`--slo-errors 7` paged at 101 percent of failures."""
    if not shutil.which("promtool"):
        pytest.skip("promtool is missing: apt-get install prometheus")
    folder = written(rendered(**limits), tmp_path)
    names = ("ErrorShare", "SloBurnFast", "SloBurnSlow", "TtftSlow", "TpotSlow", "E2eSlow")
    tests = [str(folder / "rules" / "tests" / f"Llmops{name}.yaml") for name in names]
    run = subprocess.run(
        ["promtool", "test", "rules", *tests], capture_output=True, text=True, check=False
    )
    assert run.returncode == 0, run.stderr + run.stdout


CARD = 'uuid="GPU-1",card="H200"'


@pytest.mark.parametrize("seen_by", ["llmops_", "llmops_gateway_", "all"])
def test_a_full_card_is_told_once_whoever_sees_it(
    seen_by: str, rendered: Render, tmp_path: Path
) -> None:
    if not shutil.which("promtool"):
        pytest.skip("promtool is missing: apt-get install prometheus")
    folder = written(rendered(), tmp_path)
    place = folder / "rules" / "tests" / "LlmopsGpuMemory.yaml"
    whole = yaml.safe_load(place.read_text())
    fires = whole["tests"][0]
    series = []
    for prefix in ("llmops_", "llmops_gateway_") if seen_by == "all" else (seen_by,):
        job = f'job="{prefix}"'
        for name, value in (("used", 98), ("total", 100)):
            series.append(
                {
                    "series": f"{prefix}gpu_memory_{name}_bytes{{{CARD},{job}}}",
                    "values": f"{value}x60",
                }
            )
    fires["input_series"] = series + (fires["input_series"] if seen_by == "all" else [])
    place.write_text(yaml.safe_dump(whole))
    argv = ["promtool", "test", "rules", str(place)]
    run = subprocess.run(argv, capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stderr + run.stdout


def test_limits_end_where_histograms_end() -> None:
    found = {name: HISTOGRAMS[f"{name}_seconds"].buckets_s[-1] for name in LAST_BOUND_S}
    assert found == LAST_BOUND_S


def test_promtool_and_amtool_agree(files: dict[str, Any], tmp_path: Path) -> None:
    if not (shutil.which("promtool") and shutil.which("amtool")):
        pytest.skip("promtool and amtool are missing: apt-get install prometheus")
    folder = written(files, tmp_path)
    tests = sorted(str(each) for each in (folder / "rules" / "tests").glob("*.yaml"))
    for argv in (
        ["promtool", "test", "rules", *tests],
        ["promtool", "check", "config", "--syntax-only", "prometheus.yml"],
        ["amtool", "check-config", "alertmanager.yml"],
    ):
        run = subprocess.run(argv, cwd=folder, capture_output=True, text=True, check=False)
        assert run.returncode == 0, run.stderr + run.stdout


def test_the_share_of_errors_is_a_share(files: dict[str, Any], tmp_path: Path) -> None:
    """A guide's `rate(errors) > 0.05` is errors a second: one in a thousand pages."""
    if not shutil.which("promtool"):
        pytest.skip("promtool is missing: apt-get install prometheus")
    series = [
        {"series": 'llmops_gateway_requests_total{status="500"}', "values": "0+6x30"},
        {"series": 'llmops_gateway_requests_total{status="200"}', "values": "0+5994x30"},
    ]
    for title, expr, fires in (
        ("ours", "llmops:error_share:rate5m > 0.05", False),
        ("guide", GUIDE_RULES[0], True),
    ):
        rule = {"alert": "A", "expr": expr}
        (tmp_path / "recording.yaml").write_text(files["monitoring/rules/recording.yaml"])
        (tmp_path / "a.yaml").write_text(
            yaml.safe_dump({"groups": [{"name": "g", "rules": [rule]}]})
        )
        labels = {"status": "500"} if fires else {}
        case = {
            "interval": "1m",
            "input_series": series,
            "alert_rule_test": [
                {
                    "eval_time": "20m",
                    "alertname": "A",
                    "exp_alerts": [{"exp_labels": labels}] if fires else [],
                }
            ],
        }
        test = {"rule_files": ["recording.yaml", "a.yaml"], "tests": [case]}
        (tmp_path / "t.yaml").write_text(yaml.safe_dump(test))
        run = subprocess.run(
            ["promtool", "test", "rules", "t.yaml"], cwd=tmp_path, capture_output=True, check=False
        )
        assert run.returncode == 0, (title, run.stderr, run.stdout)
