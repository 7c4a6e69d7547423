"""KServe: engines as InferenceServices in its raw mode, the gateway as on any cluster."""

from __future__ import annotations

from llmops_cli.deploy.knob import Manifest
from llmops_cli.deploy.kubernetes.engines import engine, part_of, pod_template
from llmops_cli.deploy.kubernetes.metadata import resource
from llmops_cli.deploy.setting import EngineSetting, Setting

RAW = {
    "serving.kserve.io/deploymentMode": "RawDeployment",
    "serving.kserve.io/autoscalerClass": "external",
}
CONTAINER = "kserve-container"


def inference_service(setting: Setting, each: EngineSetting) -> list[Manifest]:
    """In its Deployment's place; all that is beside that finds its pods by our labels.

    What wants several machines is no InferenceService, but what it is on any cluster.
    """
    workload, *others = engine(setting, each)
    return [workload if each.nodes > 1 else _service_of(setting, each), *others]


def _service_of(setting: Setting, each: EngineSetting) -> Manifest:
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
    return resource(
        setting,
        "InferenceService",
        each.label,
        api="serving.kserve.io/v1beta1",
        part=part_of(each),
        annotations=RAW,
        spec={"predictor": predictor},
    )
