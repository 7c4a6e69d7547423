"""From a recipe to files, in memory: nothing is written before all of them are there."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from llmops_cli.deploy.chart import chart_files
from llmops_cli.deploy.compose import compose_files
from llmops_cli.deploy.knob import Manifest
from llmops_cli.deploy.kserve import inference_service
from llmops_cli.deploy.kubernetes.render import manifests
from llmops_cli.deploy.kubernetes.scaling import gateway_autoscaler
from llmops_cli.deploy.kustomize import base, dev, prod
from llmops_cli.deploy.local import local_objects
from llmops_cli.deploy.monitoring.operator import pod_monitors, prometheus_rule
from llmops_cli.deploy.monitoring.render import monitoring
from llmops_cli.deploy.nginx import nginx_config
from llmops_cli.deploy.nightly.cluster import nightly
from llmops_cli.deploy.nightly.pipelines import pipeline_files
from llmops_cli.deploy.recipe import RenderRecipe
from llmops_cli.deploy.setting import Setting, settle
from llmops_cli.deploy.systemd import systemd_files
from llmops_cli.deploy.yaml_writer import as_yaml, documents

Files = dict[str, str]


class Rendered(NamedTuple):
    """`files`: path -> content. `notes`: what whoever applies them must know."""

    files: dict[str, bytes]
    notes: tuple[str, ...]


def render(recipe: RenderRecipe) -> Rendered:
    """Raises: UsageError."""
    setting = settle(recipe)
    files = TARGETS[recipe.target](setting) | monitoring(setting)
    files["nginx/nginx.conf"] = nginx_config(setting)
    files |= pipeline_files(setting)
    encoded = {name: text.encode() for name, text in sorted(files.items())}
    return Rendered(encoded, setting.notes)


def _kubernetes(setting: Setting) -> Files:
    files = _cluster(setting, manifests(setting))
    files["overlays/dev/kustomization.yaml"] = as_yaml(dev(setting))
    files["overlays/prod/kustomization.yaml"] = as_yaml(prod(setting))
    files["overlays/local/pods.yaml"] = documents(local_objects(setting))
    return files


def _kserve(setting: Setting) -> Files:
    """Engines are InferenceServices; what scales Deployments would find none."""
    objects = manifests(setting)
    for each in setting.engines:
        objects[f"engine-{each.upstream}.yaml"] = inference_service(setting, each)
    objects["scaling.yaml"] = [gateway_autoscaler(setting)]
    return _cluster(setting, objects)


def _cluster(setting: Setting, objects: dict[str, list[Manifest]]) -> Files:
    """What any cluster takes, as it is and as a chart, and what the operator of Prometheus does."""
    jobs = nightly(setting)
    if jobs:
        objects["nightly.yaml"] = jobs
    files = {f"manifests/{name}": documents(found) for name, found in objects.items()}
    files["manifests/kustomization.yaml"] = as_yaml(base(setting, list(objects)))
    files |= chart_files(setting, objects)
    files["monitoring/operator/podmonitors.yaml"] = documents(pod_monitors(setting))
    files["monitoring/operator/rules.yaml"] = as_yaml(prometheus_rule(setting))
    return files


TARGETS: dict[str, Callable[[Setting], Files]] = {
    "k8s": _kubernetes,
    "kserve": _kserve,
    "compose": compose_files,
    "systemd": systemd_files,
}
