"""Mistakes that somebody makes by hand in what we have rendered: each is told by its rule."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from llmops_cli.deploy.check import own_lint
from llmops_cli.deploy.lint.quantities import quantity_of
from llmops_cli.deploy.lint.times import wrong_schedule
from tests.unit.deploy.conftest import Render

Documents = list[Any]
GATEWAY = "gateway.yaml"


@pytest.fixture
def folder(rendered: Render, tmp_path: Path) -> Path:
    files = rendered(nightly={"assistant": "03:30"})
    for name, text in files.items():
        path = tmp_path / "out" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return tmp_path / "out"


def of_kind(documents: Documents, kind: str, name: str | None = None) -> Any:
    for each in documents:
        if each["kind"] == kind and name in (None, each["metadata"]["name"]):
            return each
    raise AssertionError(f"no {kind} {name}")


def container(documents: Documents) -> Any:
    return of_kind(documents, "Deployment")["spec"]["template"]["spec"]["containers"][0]


def policy(documents: Documents, name: str = "llmops-gateway") -> Any:
    return of_kind(documents, "NetworkPolicy", name)["spec"]


def want_a_key_that_is_not_there(found: Documents) -> None:
    reference = {"configMapKeyRef": {"name": "llmops-gateway", "key": "nope"}}
    container(found)["env"].append({"name": "X", "valueFrom": reference})


def drop_probes(found: Documents) -> None:
    for name in ("startupProbe", "readinessProbe", "livenessProbe"):
        del container(found)[name]


def write_a_password(found: Documents) -> None:
    container(found)["env"].append({"name": "REDIS_PASSWORD", "value": "correct horse"})


def want_more_than_it_may_have(found: Documents) -> None:
    container(found)["resources"]["limits"]["memory"] = "100Mi"


def misspell_a_quantity(found: Documents) -> None:
    container(found)["resources"]["limits"]["memory"] = "1 Gib"


def sleep_through_the_end(found: Documents) -> None:
    of_kind(found, "Deployment")["spec"]["template"]["spec"]["terminationGracePeriodSeconds"] = 10


def keep_all(found: Documents) -> None:
    of_kind(found, "PodDisruptionBudget")["spec"] = {
        "minAvailable": "51%",
        "selector": of_kind(found, "PodDisruptionBudget")["spec"]["selector"],
    }


def miss_none(found: Documents) -> None:
    of_kind(found, "PodDisruptionBudget")["spec"]["maxUnavailable"] = 0


def have_no_version(found: Documents) -> None:
    of_kind(found, "Deployment")["apiVersion"] = "apps/v1beta1"


def be_elsewhere(found: Documents) -> None:
    of_kind(found, "Service", "llmops-gateway")["metadata"]["namespace"] = "other"


def be_called_as_nothing(found: Documents) -> None:
    of_kind(found, "Service", "llmops-gateway-pods")["metadata"]["name"] = "Llmops_Gateway"


def cross_bounds(found: Documents) -> None:
    of_kind(found, "HorizontalPodAutoscaler")["spec"]["minReplicas"] = 99


def have_an_old_scaler(found: Documents) -> None:
    of_kind(found, "HorizontalPodAutoscaler")["apiVersion"] = "autoscaling/v2beta2"


def ask_no_names(found: Documents) -> None:
    del policy(found)["egress"][0]


def let_nobody_watch(found: Documents) -> None:
    (asked,) = policy(found, "llmops-chat")["ingress"]
    asked["from"] = [each for each in asked["from"] if "namespaceSelector" not in each]


def open_another_port(found: Documents) -> None:
    policy(found)["ingress"][0]["ports"][0]["port"] = 8081


def begin_at_no_time(found: Documents) -> None:
    of_kind(found, "CronJob")["spec"]["schedule"] = "61 3 * * *"


def help_nobody(found: Documents) -> None:
    del found[0]["groups"][0]["rules"][0]["annotations"]["runbook_url"]


def ask_for_what_nobody_tells(found: Documents) -> None:
    found[0]["groups"][0]["rules"][0]["expr"] = "rate(llmops_gateway_requets_total[5m]) > 1"


def list_what_is_not_there(found: Documents) -> None:
    found[0]["resources"].append("nope.yaml")


def leave_one_out(found: Documents) -> None:
    found[0]["resources"].remove("network.yaml")


Change = Callable[[Documents], None]


@pytest.mark.parametrize(
    ("file", "change", "rule"),
    [
        (GATEWAY, want_a_key_that_is_not_there, "reference"),
        (GATEWAY, drop_probes, "probe"),
        (GATEWAY, write_a_password, "secret"),
        (GATEWAY, want_more_than_it_may_have, "resources"),
        (GATEWAY, misspell_a_quantity, "resources"),
        (GATEWAY, sleep_through_the_end, "ending"),
        (GATEWAY, keep_all, "budget"),
        (GATEWAY, miss_none, "budget"),
        (GATEWAY, have_no_version, "api-version"),
        (GATEWAY, be_elsewhere, "selector"),
        (GATEWAY, be_called_as_nothing, "name"),
        ("scaling.yaml", cross_bounds, "scale-bounds"),
        ("scaling.yaml", have_an_old_scaler, "api-version"),
        ("network.yaml", ask_no_names, "network"),
        ("network.yaml", let_nobody_watch, "network"),
        ("network.yaml", open_another_port, "network"),
        ("nightly.yaml", begin_at_no_time, "schedule"),
        ("kustomization.yaml", list_what_is_not_there, "kustomization"),
        ("kustomization.yaml", leave_one_out, "kustomization"),
        ("../monitoring/rules/alerts.yaml", help_nobody, "runbook"),
        ("../monitoring/rules/alerts.yaml", ask_for_what_nobody_tells, "metric"),
    ],
)
def test_a_planted_mistake_is_told(file: str, change: Change, rule: str, folder: Path) -> None:
    assert own_lint(folder).findings == []
    path = folder / "manifests" / file
    documents = list(yaml.safe_load_all(path.read_text()))
    change(documents)
    path.write_text(yaml.safe_dump_all(documents))
    assert {each.rule for each in own_lint(folder).findings} == {rule}


def test_a_board_that_asks_for_what_nobody_tells_is_told(folder: Path) -> None:
    path = folder / "monitoring" / "dashboards" / "gateway.json"
    board = json.loads(path.read_text())
    panel = board["panels"][0]
    panel["targets"][0]["expr"] = "sum(rate(llmops_gateway_ttft_seconds[5m]))"
    path.write_text(json.dumps(board))
    (found,) = own_lint(folder).findings
    assert found.file == "monitoring/dashboards/gateway.json"
    assert found.message.startswith(f"{panel['title']} asks for llmops_gateway_ttft_seconds,")

    path.write_text("{")
    assert [each.rule for each in own_lint(folder).findings] == ["json"]


def test_what_others_may_rightly_have_is_no_mistake(folder: Path) -> None:
    """A rule of theirs without our names, a pod without a door, a Service of another group."""
    rules = {
        "groups": [{"name": "x", "rules": [{"record": "x:y", "expr": "rate(node_load1[5m])"}]}]
    }
    (folder / "monitoring" / "rules" / "theirs.yaml").write_text(yaml.safe_dump(rules))
    kustomization = folder / "manifests" / "kustomization.yaml"
    listed = yaml.safe_load(kustomization.read_text())
    listed["resources"].append("theirs.yaml")
    kustomization.write_text(yaml.safe_dump(listed))
    service = {"apiVersion": "serving.knative.dev/v1", "kind": "Service", "metadata": {"name": "k"}}
    (folder / "manifests" / "theirs.yaml").write_text(yaml.safe_dump(service))
    assert own_lint(folder).findings == []


def test_rules_of_another_form_end_no_check(folder: Path) -> None:
    rules = {"groups": [None, {"rules": [{"record": ["x"], "expr": ["y"]}, 5]}, {"rules": "z"}]}
    (folder / "monitoring" / "rules" / "theirs.yaml").write_text(yaml.safe_dump(rules))
    claim = {"apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": {"name": "x"}}
    (folder / "manifests" / "theirs.yaml").write_text(yaml.safe_dump({**claim, "spec": "none"}))
    assert {each.rule for each in own_lint(folder).findings} == {"kustomization"}


@pytest.mark.parametrize("target", ["k8s", "kserve", "compose", "systemd"])
def test_no_target_of_ours_has_a_mistake(target: str, rendered: Render, folder: Path) -> None:
    other = folder.parent / target
    for name, text in rendered(target=target, route="both").items():
        path = other / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    assert own_lint(other).findings == []


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("500m", 0.5),
        ("2", 2),
        (4, 4),
        ("1Ki", 1024),
        ("1.5G", 1.5e9),
        ("1e3", 1000),
        ("1E", 1e18),
        ("1 Gib", None),
        ("", None),
        ("Mi", None),
        ("1mi", None),
    ],
)
def test_a_quantity_is_read_as_clusters_do(text: object, value: float | None) -> None:
    assert quantity_of(text) == value


@pytest.mark.parametrize(
    "text", ["*/5 * * * *", "0 0 1-7 jan,6 MON-fri", "@daily", "0,30 8-18/2 ? * *"]
)
def test_a_schedule_may_be_of_any_form(text: str) -> None:
    assert list(wrong_schedule(text)) == []


@pytest.mark.parametrize(
    "text", ["60 * * * *", "* * 0 * *", "*/0 * * * *", "5-1 * * * *", "* * * *", ""]
)
def test_a_schedule_that_is_none_is_told(text: str) -> None:
    assert len(list(wrong_schedule(text))) == 1
