"""A chart with its own values is the manifests; another value changes its places alone."""

from __future__ import annotations

import copy
import re
from typing import Any

import pytest
import yaml

from llmops_cli.core.errors import UsageError
from llmops_cli.deploy.chart import ESCAPED, OPENING, template, values_of
from llmops_cli.deploy.knob import Knob
from tests.unit.deploy.conftest import GATEWAY, Render, objects

TEMPLATES = "chart/templates/"
PLACE = re.compile(r"\{\{ \.Values\.([A-Za-z0-9_.]+) \}\}")
SEMVER = re.compile(r"\d+\.\d+\.\d+(-[0-9A-Za-z.-]+)?")
BRACES = "  x: {url: http://h/v1, headers: {X-A: '{{ .Values.a }}', X-B: '{{{b}}}'}}\nmodels:"


def installed(files: dict[str, str], values: dict[str, Any]) -> dict[tuple[str, str], Any]:
    """As Helm makes them, of what these templates do: values in places, and braces of others."""

    def value_at(place: re.Match[str]) -> str:
        value: Any = values
        for step in place[1].split("."):
            value = value[step]
        return str(value)

    made = {}
    for name, text in files.items():
        if name.startswith(TEMPLATES):
            rest = PLACE.sub("", text).replace(ESCAPED, "")
            assert OPENING not in rest, name
            parts = [PLACE.sub(value_at, part) for part in text.split(ESCAPED)]
            made[name] = OPENING.join(parts)
    return objects(made, TEMPLATES)


def applied(files: dict[str, str]) -> dict[tuple[str, str], Any]:
    """What kustomize takes, but for the namespace."""
    names = yaml.safe_load(files["manifests/kustomization.yaml"])["resources"]
    chosen = {f"manifests/{name}": files[f"manifests/{name}"] for name in names}
    del chosen["manifests/namespace.yaml"]
    return objects(chosen)


@pytest.mark.parametrize(
    ("target", "route"),
    [("k8s", "gateway-api"), ("k8s", "both"), ("k8s", "none"), ("kserve", "ingress")],
)
def test_with_its_own_values_it_is_the_manifests(target: str, route: str, rendered: Render) -> None:
    text = GATEWAY.replace("models:", BRACES, 1)
    files = rendered(text, target=target, route=route)
    values = yaml.safe_load(files["chart/values.yaml"])
    assert installed(files, values) == applied(files)


def test_what_a_chart_is_asked_for_can_be_changed(rendered: Render) -> None:
    files = rendered()
    values = yaml.safe_load(files["chart/values.yaml"])
    assert set(values) == {"gateway", "engines", "redis", "route"}
    changed = copy.deepcopy(values)
    changed["gateway"] |= {"image": "r.io/g:2", "replicas": 5, "memory": "1Gi"}
    changed["engines"]["chat"] |= {"replicas": 3, "cpu": 9, "image": "r.io/c:2"}
    changed["route"]["host"] = "*.example.org"
    found = installed(files, changed)
    spec = found["Deployment", "llmops-gateway"]["spec"]
    container = spec["template"]["spec"]["containers"][0]
    assert spec["replicas"] == 5
    assert container["image"] == "r.io/g:2"
    assert container["resources"]["requests"]["memory"] == "1Gi"
    assert found["HorizontalPodAutoscaler", "llmops-gateway"]["spec"]["minReplicas"] == 5
    assert found["ScaledObject", "llmops-chat"]["spec"]["minReplicaCount"] == 3
    chat = found["Deployment", "llmops-chat"]["spec"]["template"]["spec"]["containers"][0]
    assert chat["image"] == "r.io/c:2"
    assert chat["resources"]["requests"]["cpu"] == 9
    assert found["HTTPRoute", "llmops-gateway"]["spec"]["hostnames"] == ["*.example.org"]
    assert (
        found["PodDisruptionBudget", "llmops-gateway"]
        == applied(files)["PodDisruptionBudget", "llmops-gateway"]
    )


def test_every_value_stands_in_a_template_and_says_where_it_is_from(rendered: Render) -> None:
    files = rendered()
    used = set[str]()
    for name, text in files.items():
        if name.startswith(TEMPLATES):
            used |= set(PLACE.findall(text))
    assert used == set(paths_in(yaml.safe_load(files["chart/values.yaml"])))
    assert "replicas: 2  # replicas of the file" in files["chart/values.yaml"]
    chart = yaml.safe_load(files["chart/Chart.yaml"])
    assert SEMVER.fullmatch(chart["version"])
    assert chart["apiVersion"] == "v2"


def paths_in(values: dict[str, Any], above: str = "") -> list[str]:
    found = []
    for name, value in values.items():
        if isinstance(value, dict):
            found += paths_in(value, f"{above}{name}.")
        else:
            found.append(f"{above}{name}")
    return found


def test_only_clusters_have_a_chart(rendered: Render) -> None:
    for target in ("compose", "systemd"):
        assert not [name for name in rendered(target=target) if name.startswith("chart/")]


def test_braces_of_others_are_no_templates_of_ours() -> None:
    text = template([{"a": "{{ evil }}", "b": Knob("x", "{{ note }}", "p.q"), "c": "{{{\0p\0"}])
    rest = PLACE.sub("", text).replace(ESCAPED, "")
    assert OPENING not in rest
    assert PLACE.findall(text) == ["p.q"]


def test_one_name_is_one_value() -> None:
    values_of([Knob(1, path="a.b"), Knob(1, path="a.b"), Knob(2, path="a.c")])
    with pytest.raises(UsageError, match=r"a\.b of the chart would be 1 and 2"):
        values_of([Knob(1, path="a.b"), Knob(2, path="a.b")])
