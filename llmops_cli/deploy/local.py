"""The same pods on one machine, for `podman kube play`: on 127.0.0.1, one of each.

What podman does not have is left out: probes, spread, requests. Keys are made in the gateway's pod;
models are downloaded as on a cluster.
"""

from __future__ import annotations

from llmops_cli.deploy.cluster_config import REDIS_PORT, cluster_config
from llmops_cli.deploy.engine_process import HOST, PORT, at_address
from llmops_cli.deploy.knob import Manifest, plain
from llmops_cli.deploy.kubernetes.config import FILE, gateway_files
from llmops_cli.deploy.kubernetes.engines import engine
from llmops_cli.deploy.kubernetes.gateway import gateway
from llmops_cli.deploy.kubernetes.metadata import resource
from llmops_cli.deploy.kubernetes.redis import BEGIN, redis
from llmops_cli.deploy.setting import Setting
from llmops_cli.deploy.yaml_writer import as_yaml

ADDRESS = "127.0.0.1"
ONLY_IN_CLUSTERS = (
    "serviceAccountName",
    "topologySpreadConstraints",
    "enableServiceLinks",
)
DOWNLOAD = "download"
NOT_HERE = ("resources", "startupProbe", "readinessProbe", "livenessProbe", "lifecycle")


def local_objects(setting: Setting) -> list[Manifest]:
    """An engine that wants several machines is not among them."""
    shared = [*gateway(setting), *redis(setting)]
    workloads = [each for each in shared if each["kind"] == "Deployment"]
    found = [_config_map(setting)]
    found += [_local(each, PORT) for each in workloads]
    for number, engine_setting in enumerate(setting.engines):
        workload, *others = engine(setting, engine_setting)
        if engine_setting.nodes == 1:
            found += [each for each in others if each["kind"] == "ConfigMap"]
            found.append(_local(workload, _port(number)))
    return found


def _port(number: int) -> int:
    return PORT + 1 + number


def _config_map(setting: Setting) -> Manifest:
    addresses = {}
    for number, each in enumerate(setting.engines):
        addresses[each.upstream] = {"url": f"http://{ADDRESS}:{_port(number)}/v1"}
    url = f"redis://{ADDRESS}:{REDIS_PORT}/0" if setting.redis_image is not None else None
    config = cluster_config(setting, addresses, redis_url=url)
    files = gateway_files(setting) | {FILE: as_yaml(config)}
    return resource(setting, "ConfigMap", setting.label("gateway"), part="gateway", data=files)


def _local(workload: Manifest, port: int) -> Manifest:
    """`port`: of an engine; the others have theirs."""
    found: Manifest = plain(workload)
    found["spec"]["replicas"] = 1
    pod = found["spec"]["template"]["spec"]
    for name in ONLY_IN_CLUSTERS:
        pod.pop(name, None)
    pod["hostNetwork"] = True
    pod["volumes"] = [each for each in pod["volumes"] if each["name"] not in {"keys", "shm"}]
    first = [each for each in pod.pop("initContainers", []) if each["name"] == DOWNLOAD]
    if first:
        pod["initContainers"] = first
    for container in [*first, *pod["containers"]]:
        _only_here(container, port)
    return found


def _only_here(container: Manifest, port: int) -> None:
    for name in NOT_HERE:
        container.pop(name, None)
    container.pop("ports", None)
    args = container.get("args", [])
    container["args"] = [ADDRESS if each == HOST else each for each in args]
    if container["name"] == "engine":
        container["args"] = at_address(args, host=ADDRESS, port=port)
    if container["name"] == "redis":
        container["command"] = [BEGIN]  # without a password, where only this machine reaches it
        container["args"] += ["--bind", ADDRESS]
    container["env"] = [each for each in container.get("env", []) if _is_kept(each)]
    mounts = container.get("volumeMounts", [])
    container["volumeMounts"] = [each for each in mounts if each["name"] not in {"keys", "shm"}]


def _is_kept(variable: Manifest) -> bool:
    return variable["name"] not in {"POD_IP", "REDIS_PASSWORD"}
