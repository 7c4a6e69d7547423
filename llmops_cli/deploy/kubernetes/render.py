"""All manifests of a cluster, by file."""

from __future__ import annotations

from llmops_cli.deploy.knob import Manifest
from llmops_cli.deploy.kubernetes.config import account, config_map
from llmops_cli.deploy.kubernetes.engines import engine
from llmops_cli.deploy.kubernetes.gateway import gateway
from llmops_cli.deploy.kubernetes.network import policies
from llmops_cli.deploy.kubernetes.redis import redis
from llmops_cli.deploy.kubernetes.routes import http_route, ingress
from llmops_cli.deploy.kubernetes.scaling import engine_scaler, gateway_autoscaler
from llmops_cli.deploy.setting import Setting

ROUTES = {
    "gateway-api": ("httproute.yaml",),
    "ingress": ("ingress.yaml",),
    "both": ("httproute.yaml", "ingress.yaml"),
    "none": (),
}


def manifests(setting: Setting) -> dict[str, list[Manifest]]:
    """File below manifests/ -> its objects."""
    found = {
        "namespace.yaml": [_namespace(setting)],
        "config.yaml": [account(setting), config_map(setting)],
        "gateway.yaml": gateway(setting),
        "redis.yaml": redis(setting),
        "network.yaml": policies(setting),
        "httproute.yaml": [http_route(setting)],
        "ingress.yaml": [ingress(setting)],
        "scaling.yaml": _scaling(setting),
    }
    for each in setting.engines:
        found[f"engine-{each.upstream}.yaml"] = engine(setting, each)
    return {name: objects for name, objects in sorted(found.items()) if objects}


def applied(setting: Setting, names: list[str]) -> list[str]:
    """Those that kustomize takes: of two ways in the chosen one."""
    chosen = ROUTES[setting.recipe.route]
    every = ROUTES["both"]
    return [name for name in names if name not in every or name in chosen]


def _namespace(setting: Setting) -> Manifest:
    """Whose pods may have no rights."""
    return {
        "apiVersion": "v1",
        "kind": "Namespace",
        "metadata": {
            "name": setting.recipe.namespace,
            "labels": {
                "pod-security.kubernetes.io/enforce": "restricted",
                "pod-security.kubernetes.io/warn": "restricted",
            },
        },
    }


def _scaling(setting: Setting) -> list[Manifest]:
    found = [gateway_autoscaler(setting)]
    for each in setting.engines:
        scaler = engine_scaler(setting, each)
        if scaler is not None:
            found.append(scaler)
    return found
