"""The pods of engines: one Deployment each, or a LeaderWorkerSet where one machine is too small."""

from __future__ import annotations

import math

from llmops_cli.deploy.ending import BEFORE_END_S
from llmops_cli.deploy.engine_process import (
    FOREIGN,
    IMAGES,
    PORT,
    PYTHON,
    WORKERS,
    to_the_letter,
)
from llmops_cli.deploy.knob import Knob, Manifest, value_path, without_nothing
from llmops_cli.deploy.kubernetes.gateway import disruption_budget
from llmops_cli.deploy.kubernetes.metadata import all_labels, resource, selector
from llmops_cli.deploy.kubernetes.models import (
    download_container,
    download_script,
    model_mount,
    model_volumes,
)
from llmops_cli.deploy.kubernetes.pods import (
    POD_IP,
    TMP,
    TMP_MOUNT,
    container_security,
    http_probe,
    pod_security,
    spread,
)
from llmops_cli.deploy.setting import DRAIN_SPARE_S, EngineSetting, Setting

DRAIN = "pods.drain"
PROBE_EVERY_S = 10
PATIENCE = 3
"""Times the load time, until a pod that is not ready is started anew."""
SHARED_MEMORY = {"name": "shm", "emptyDir": {"medium": "Memory", "sizeLimit": "8Gi"}}
SHARED_MOUNT = {"name": "shm", "mountPath": "/dev/shm"}  # noqa: S108 - 64 MB otherwise
READY_PATH = "/v1/models"
"""Listed once the model is loaded."""
ALIVE_PATH = "/health"
UNTESTED = "nobody has run this image with these arguments here"


def part_of(engine: EngineSetting) -> str:
    return f"engine-{engine.upstream}"


def engine(setting: Setting, each: EngineSetting) -> list[Manifest]:
    part = part_of(each)
    found = [_workload(setting, each), service(setting, each)]
    if each.nodes == 1:
        found.append(disruption_budget(setting, part, each.label))
    if each.files:
        found.append(download_script(setting, each))
    return found


def _workload(setting: Setting, each: EngineSetting) -> Manifest:
    if each.nodes > 1:
        return _group_of_nodes(setting, each)
    return resource(
        setting,
        "Deployment",
        each.label,
        api="apps/v1",
        part=part_of(each),
        spec={
            "replicas": _replicas(each),
            "revisionHistoryLimit": 5,
            "progressDeadlineSeconds": max(600, 2 * PATIENCE * math.ceil(_load_s(each))),
            "strategy": {
                "type": "RollingUpdate",
                "rollingUpdate": {"maxSurge": 1, "maxUnavailable": 0},
            },
            "selector": {"matchLabels": selector(setting, part_of(each))},
            "template": pod_template(setting, each),
        },
    )


def _replicas(each: EngineSetting) -> Knob:
    return Knob(each.replicas, "replicas of the file", value_path(each.upstream, "replicas"))


def _load_s(each: EngineSetting) -> float:
    return float(each.resources.load_s.value)


def _group_of_nodes(setting: Setting, each: EngineSetting) -> Manifest:
    """Several machines for one vLLM: the leader answers, workers compute."""
    leader = pod_template(setting, each, rank="0")
    worker = pod_template(setting, each, rank="$(LWS_WORKER_INDEX)")
    return resource(
        setting,
        "LeaderWorkerSet",
        each.label,
        api="leaderworkerset.x-k8s.io/v1",
        part=part_of(each),
        spec={
            "replicas": _replicas(each),
            "leaderWorkerTemplate": {
                "size": Knob(
                    each.nodes,
                    f"{each.resources.cards} cards at {setting.recipe.gpus_per_node} a node",
                ),
                "restartPolicy": "RecreateGroupOnPodRestart",
                "leaderTemplate": leader,
                "workerTemplate": worker,
            },
        },
    )


def pod_template(
    setting: Setting,
    each: EngineSetting,
    *,
    rank: str | None = None,
) -> Manifest:
    """`rank`: which of several nodes."""
    part = part_of(each)
    labels = all_labels(setting, part)
    if rank not in {None, "0"}:
        labels = all_labels(setting, f"{part}-worker")
    first = [download_container(setting, each)] if each.files else []
    spec = {
        "serviceAccountName": setting.label("pods"),
        "automountServiceAccountToken": False,
        "enableServiceLinks": False,
        "terminationGracePeriodSeconds": Knob(
            each.grace_s, f"timeouts.total_s of upstream {each.upstream}, and {DRAIN_SPARE_S} s"
        ),
        "securityContext": pod_security(),
        "topologySpreadConstraints": spread(setting, part),
        "initContainers": first,
        "containers": [_container(setting, each, rank)],
        "volumes": [*model_volumes(setting, each), SHARED_MEMORY, TMP],
    }
    return {"metadata": {"labels": labels}, "spec": without_nothing(spec)}


def _container(
    setting: Setting,
    each: EngineSetting,
    rank: str | None,
) -> Manifest:
    process = each.process
    argv = [to_the_letter(word) for word in process.argv] + _node_arguments(each, rank)
    environment = [POD_IP, {"name": "HOME", "value": "/tmp"}]  # noqa: S108 - of a pod's own
    for name, value in process.environment.items():
        environment.append({"name": name, "value": to_the_letter(value)})
    container = {
        "name": "engine",
        "image": Knob(each.image, UNTESTED) if each.is_foreign else each.image,
        **_command(each, argv),
        "env": environment,
        "ports": [{"name": "http", "containerPort": PORT}],
        "resources": _resources(setting, each),
        "securityContext": container_security(),
        "volumeMounts": [model_mount(each), SHARED_MOUNT, TMP_MOUNT],
    }
    if rank in {None, "0"}:
        container |= _probes(each)
    return container


def _command(each: EngineSetting, argv: list[str]) -> Manifest:
    """Images of others have a program of their own that takes arguments."""
    if argv[0].startswith("-"):
        return {"args": argv}
    return {"command": argv[:1], "args": argv[1:]}


def _node_arguments(each: EngineSetting, rank: str | None) -> list[str]:
    if rank is None:
        return []
    shared = ["--nnodes", str(each.nodes), "--node-rank", rank]
    shared += ["--master-addr", "$(LWS_LEADER_ADDRESS)"]
    return shared if rank == "0" else [*shared, "--headless"]


def _probes(each: EngineSetting) -> Manifest:
    ready = READY_PATH
    if each.process.engine in FOREIGN:
        ready = FOREIGN[each.process.engine].health
    load = each.resources.load_s
    tries = max(6, math.ceil(PATIENCE * load.value / PROBE_EVERY_S))
    return {
        "startupProbe": http_probe(
            ready,
            "http",
            periodSeconds=PROBE_EVERY_S,
            timeoutSeconds=5,
            failureThreshold=Knob(tries, f"{PATIENCE} x {load.value:g} s of load; {load.note}"),
        ),
        "readinessProbe": http_probe(
            ready, "http", periodSeconds=5, timeoutSeconds=5, failureThreshold=3
        ),
        "livenessProbe": http_probe(
            ALIVE_PATH, "http", periodSeconds=15, timeoutSeconds=10, failureThreshold=8
        ),
        "lifecycle": {"preStop": {"exec": {"command": _before_the_end(each)}}},
    }


def _before_the_end(each: EngineSetting) -> list[str]:
    """Balancers hear of it first; engines of others cut their streams at SIGTERM."""
    gauges = [each.process.gauges.get(name) for name in ("running", "queued")]
    known = [gauge for gauge in gauges if gauge]
    if each.process.engine not in IMAGES or not known:
        return ["sleep", str(BEFORE_END_S + DRAIN_SPARE_S)]
    most_s = each.grace_s - BEFORE_END_S
    return [
        PYTHON,
        WORKERS,
        DRAIN,
        str(PORT),
        ",".join(known),
        str(most_s),
    ]


def _resources(setting: Setting, each: EngineSetting) -> Manifest:
    asked = each.resources
    cpu = Knob(asked.cpus, path=value_path(each.upstream, "cpu"))
    requests: Manifest = {"cpu": cpu}
    limits: Manifest = {}
    if asked.memory_mib is not None:
        path = value_path(each.upstream, "memory")
        memory = Knob(f"{asked.memory_mib.value}Mi", asked.memory_mib.note, path)
        requests["memory"] = memory
        if not asked.cards:
            limits["memory"] = memory
    if asked.cards:
        cards = Knob(
            math.ceil(asked.cards / each.nodes),
            "tensor_parallel x pipeline_parallel x data_parallel of the file, for each node",
        )
        requests[setting.recipe.gpu_resource] = cards
        limits[setting.recipe.gpu_resource] = cards
    return without_nothing({"requests": requests, "limits": limits})


def service(setting: Setting, each: EngineSetting) -> Manifest:
    """Headless: the gateway asks for all of its pods by name, and balances itself."""
    return resource(
        setting,
        "Service",
        each.label,
        part=part_of(each),
        spec={
            "clusterIP": "None",
            "selector": selector(setting, part_of(each)),
            "ports": [{"name": "http", "port": PORT, "targetPort": "http"}],
        },
    )
