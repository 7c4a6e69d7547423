"""Names, labels and headers that manifests share."""

from __future__ import annotations

from llmops_cli import __version__
from llmops_cli.deploy.knob import Manifest, without_nothing
from llmops_cli.deploy.setting import Setting

PART = "app.kubernetes.io/component"
INSTANCE = "app.kubernetes.io/instance"


def resource(
    setting: Setting,
    kind: str,
    name: str,
    *,
    api: str = "v1",
    part: str = "",
    annotations: Manifest | None = None,
    **content: object,
) -> Manifest:
    """An object of the namespace. `part`: its label; empty: it belongs to all of them."""
    metadata = {
        "name": name,
        "namespace": setting.recipe.namespace,
        "labels": all_labels(setting, part),
        "annotations": annotations,
    }
    return {
        "apiVersion": api,
        "kind": kind,
        "metadata": without_nothing(metadata),
        **content,
    }


def selector(setting: Setting, part: str) -> Manifest:
    """The labels by which pods of a part are found; they never change."""
    return {INSTANCE: setting.name, PART: part}


def all_labels(setting: Setting, part: str) -> Manifest:
    labels = {
        "app.kubernetes.io/name": "llmops",
        INSTANCE: setting.name,
        "app.kubernetes.io/version": __version__,
        "app.kubernetes.io/managed-by": "llmops-deploy",
    }
    if part:
        labels[PART] = part
    return labels
