"""One thing that is wrong with a rendered file."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

import msgspec

from llmops_cli.deploy.knob import Manifest


class Finding(msgspec.Struct, frozen=True, kw_only=True, order=True):
    """`file`: below the folder. `rule`: which check, in one word or two."""

    file: str
    rule: str
    message: str


class Found(NamedTuple):
    """An object and the file that it stands in."""

    file: str
    value: Manifest

    @property
    def kind(self) -> str:
        """With its group where that is another than the kind is known for, as kubectl writes it."""
        kind = str(self.value.get("kind", ""))
        group = str(self.value.get("apiVersion", "")).rpartition("/")[0]
        return f"{kind}.{group}" if group in OF_OTHERS.get(kind, ()) else kind

    @property
    def name(self) -> str:
        metadata = self.value.get("metadata")
        return str(metadata.get("name", "")) if isinstance(metadata, dict) else ""

    @property
    def namespace(self) -> str:
        """Empty: that of whoever applies it."""
        metadata = self.value.get("metadata")
        return str(metadata.get("namespace") or "") if isinstance(metadata, dict) else ""

    @property
    def title(self) -> str:
        return f"{self.kind} {self.name}"

    @property
    def spec(self) -> Manifest:
        """Empty for what has none, or one of another form."""
        spec = self.value.get("spec")
        return spec if isinstance(spec, dict) else {}

    def wrong(self, rule: str, message: str) -> Finding:
        return Finding(file=self.file, rule=rule, message=f"{self.title}: {message}")


OF_OTHERS = {
    "Job": ("batch.volcano.sh",),
    "NetworkPolicy": ("projectcalico.org", "crd.projectcalico.org"),
    "PodMonitor": ("azmonitoring.coreos.com",),
    "Service": ("serving.knative.dev",),
}
"""Groups that have a kind of the same name, and of another form."""
POD_PATHS = {
    "Deployment": (("template",),),
    "StatefulSet": (("template",),),
    "DaemonSet": (("template",),),
    "Job": (("template",),),
    "CronJob": (("jobTemplate", "spec", "template"),),
    "LeaderWorkerSet": (
        ("leaderWorkerTemplate", "leaderTemplate"),
        ("leaderWorkerTemplate", "workerTemplate"),
    ),
}


def pods_in(found: Found) -> Iterator[Manifest]:
    """Templates of pods, with metadata and spec."""
    if found.kind == "Pod":
        yield found.value
    if found.kind == "InferenceService":
        predictor = found.spec.get("predictor") or {}
        yield {"metadata": {"labels": predictor.get("labels") or {}}, "spec": predictor}
    for path in POD_PATHS.get(found.kind, ()):
        value: Any = found.spec  # Any: YAML
        for step in path:
            value = value.get(step) or {}
        if value:
            yield value


def containers_in(pod: Manifest) -> list[Manifest]:
    spec = pod.get("spec") or {}
    return [*(spec.get("initContainers") or []), *(spec.get("containers") or [])]


def labels_of(pod: Manifest) -> Manifest:
    metadata = pod.get("metadata") or {}
    return metadata.get("labels") or {}


def matches(selector: Manifest, labels: Manifest) -> bool:
    return all(labels.get(name) == value for name, value in selector.items())
