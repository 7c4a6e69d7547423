"""Kustomizations: what all clusters have, and what two of them change."""

from __future__ import annotations

from llmops_cli.deploy.knob import Manifest
from llmops_cli.deploy.kubernetes.render import applied
from llmops_cli.deploy.kubernetes.scaling import engine_scaler
from llmops_cli.deploy.nightly.cluster import nightly
from llmops_cli.deploy.setting import DEV, Setting

API = "kustomize.config.k8s.io/v1beta1"
APIS = {
    "HorizontalPodAutoscaler": "autoscaling/v2",
    "ScaledObject": "keda.sh/v1alpha1",
    "CronJob": "batch/v1",
}


def base(setting: Setting, names: list[str]) -> Manifest:
    return {
        "apiVersion": API,
        "kind": "Kustomization",
        "namespace": setting.recipe.namespace,
        "resources": applied(setting, names),
    }


def dev(setting: Setting) -> Manifest:
    """One of each, nothing that scales or comes by night, on a namespace of its own."""
    replicas = [{"name": setting.label("gateway"), "count": 1}]
    patches = []
    alone = [each.label for each in setting.engines if each.nodes == 1]
    replicas += [{"name": label, "count": 1} for label in alone]
    for kind, name in [*_scalers(setting), *_nightly(setting)]:
        patches.append({"target": {"kind": kind, "name": name}, "patch": _delete(kind, name)})
    return {
        "apiVersion": API,
        "kind": "Kustomization",
        "namespace": f"{setting.recipe.namespace}{DEV}",
        "resources": ["../../manifests"],
        "replicas": replicas,
        "patches": patches,
    }


def prod(setting: Setting) -> Manifest:
    """As rendered; a place for what only this cluster has."""
    images = []
    for each in (setting.gateway_image, *(engine.image for engine in setting.engines)):
        name, _, tag = each.value.rpartition(":")
        is_tag = bool(name) and "/" not in tag  # behind a port stands the rest of a name
        if is_tag and "@" not in name and {"name": name, "newTag": tag} not in images:
            images.append({"name": name, "newTag": tag})
    labels = {"pairs": {"llmops/environment": "prod"}, "includeSelectors": False}
    return {
        "apiVersion": API,
        "kind": "Kustomization",
        "namespace": setting.recipe.namespace,
        "resources": ["../../manifests"],
        "labels": [labels],
        "images": images,
    }


def _scalers(setting: Setting) -> list[tuple[str, str]]:
    found = [("HorizontalPodAutoscaler", setting.label("gateway"))]
    scaled = [each for each in setting.engines if engine_scaler(setting, each) is not None]
    return found + [("ScaledObject", each.label) for each in scaled]


def _nightly(setting: Setting) -> list[tuple[str, str]]:
    return [
        (each["kind"], each["metadata"]["name"])
        for each in nightly(setting)
        if each["kind"] == "CronJob"
    ]


def _delete(kind: str, name: str) -> str:
    api = APIS[kind]
    return f"$patch: delete\napiVersion: {api}\nkind: {kind}\nmetadata:\n  name: {name}\n"
