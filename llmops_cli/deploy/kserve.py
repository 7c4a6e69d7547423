"""KServe: engines as InferenceServices in its raw mode, the gateway as on any cluster."""

from __future__ import annotations

from llmops_cli.deploy.knob import Manifest
from llmops_cli.deploy.kubernetes.engines import part_of, pod_template, service
from llmops_cli.deploy.kubernetes.metadata import resource
from llmops_cli.deploy.setting import EngineSetting, Setting

RAW = {
    "serving.kserve.io/deploymentMode": "RawDeployment",
    "serving.kserve.io/autoscalerClass": "external",
}
CONTAINER = "kserve-container"


def inference_service(setting: Setting, each: EngineSetting) -> list[Manifest]:
    """Its pods have our labels, by which our headless Service and so the gateway finds them."""
    template = pod_template(setting, each)
    pod = dict(template["spec"])
    container, *_ = pod["containers"]
    pod["containers"] = [container | {"name": CONTAINER}]
    predictor = {
        "minReplicas": each.replicas,
        "maxReplicas": each.max_replicas,
        "labels": template["metadata"]["labels"],
        **pod,
    }
    found = resource(
        setting,
        "InferenceService",
        each.label,
        api="serving.kserve.io/v1beta1",
        part=part_of(each),
        annotations=RAW,
        spec={"predictor": predictor},
    )
    return [found, service(setting, each)]
