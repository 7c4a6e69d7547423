"""A run for Kubernetes: a JobSet, and the same for Kubeflow's Trainer (suspended)."""

from __future__ import annotations

import math
import posixpath
import shlex
from typing import Any

import yaml

from llmops_cli import __version__
from llmops_cli.core.errors import UsageError
from llmops_cli.train.emitted import Job

IMAGE = f"REPLACE-ME/llmops:{__version__}"
"""No image of that name can be: what was not replaced is refused before it runs."""
DATA_AND_CACHE_GIB = 100
GIB = 1 << 30
PORT = 29500
MOUNT = "/runs"
SHARED_MEMORY = "/dev/shm"  # noqa: S108 - a mount of the container, where NCCL speaks
BEYOND_SHUTDOWN_S = 30
"""For what ends after the ranks have saved."""
ANCESTOR = {"trainer.kubeflow.org/trainjob-ancestor-step": "trainer"}
Manifest = dict[str, Any]  # Any: YAML


def kubernetes(job: Job) -> str:
    """Raises: UsageError if -o is where only the pod is, and would be lost with it."""
    folder = posixpath.normpath(posixpath.join(MOUNT, job.folder))
    if folder != MOUNT and not folder.startswith(f"{MOUNT}/"):
        raise UsageError(
            f"-o {job.folder} is not on the volume that the job mounts at {MOUNT}",
            hint=f"-o NAME, a folder of that volume, or -o {MOUNT}/NAME",
        )
    parts = [
        _commented(
            f"Checkpoints and the model: all nodes mount it at {MOUNT}, where data and -o lie.",
            _claim(job),
        ),
        _commented(
            "JobSet makes the headless service by which the nodes find one another.", _job_set(job)
        ),
        _commented(
            "The same run for Kubeflow Trainer, in place of the JobSet: it waits until suspend is "
            "false.",
            _runtime(job),
        ),
        _commented("", _train_job(job)),
    ]
    return "---\n".join(parts)


def _commented(words: str, manifest: Manifest) -> str:
    text = yaml.safe_dump(manifest, sort_keys=False, width=100)
    return f"# {words}\n{text}" if words else text


def _claim(job: Job) -> Manifest:
    return {
        "apiVersion": "v1",
        "kind": "PersistentVolumeClaim",
        "metadata": {"name": job.name},
        "spec": {
            "accessModes": ["ReadWriteMany"],
            "resources": {"requests": {"storage": _storage(job)}},
        },
    }


def _storage(job: Job) -> str:
    """What the run keeps, and room for data and the cache."""
    return f"{DATA_AND_CACHE_GIB + math.ceil(job.storage_bytes / GIB)}Gi"


def _job_set(job: Job) -> Manifest:
    first = f"{job.name}-node-0-0.{job.name}"
    launch = (
        f"exec {shlex.join(job.command)} --nproc {job.nproc} --nnodes {job.nnodes}"
        f' --node-rank "$JOB_COMPLETION_INDEX" --rendezvous {first}:{PORT}'
    )
    if job.nnodes == 1:
        launch = f"exec {shlex.join(job.command)} --nproc {job.nproc}"
    return {
        "apiVersion": "jobset.x-k8s.io/v1alpha2",
        "kind": "JobSet",
        "metadata": {"name": job.name},
        "spec": {
            "network": {
                "enableDNSHostnames": True,
                "subdomain": job.name,
                "publishNotReadyAddresses": True,
            },
            "failurePolicy": {"maxRestarts": 3},
            "replicatedJobs": [_nodes(job, ["/bin/sh", "-c", launch], container="train")],
        },
    }


def _nodes(job: Job, command: list[str], *, container: str) -> Manifest:
    return {
        "name": "node",
        "replicas": 1,
        "template": {
            "spec": {
                "parallelism": job.nnodes,
                "completions": job.nnodes,
                "completionMode": "Indexed",
                "backoffLimit": 0,
                "template": {"spec": _pod(job, command, container=container)},
            }
        },
    }


def _pod(job: Job, command: list[str], *, container: str) -> Manifest:
    """SIGTERM reaches `llmops train`, which saves before the grace ends."""
    return {
        "restartPolicy": "Never",
        "terminationGracePeriodSeconds": job.shutdown_timeout_s + BEYOND_SHUTDOWN_S,
        "containers": [
            {
                "name": container,
                "image": IMAGE,
                "command": command,
                "workingDir": MOUNT,
                "env": [
                    {"name": "XDG_CACHE_HOME", "value": f"{MOUNT}/cache"},
                    {
                        "name": "TORCH_ELASTIC_SHUTDOWN_TIMEOUT",
                        "value": str(job.shutdown_timeout_s),
                    },
                    *({"name": name, "value": text} for name, text in job.variables.items()),
                ],
                "resources": _resources(job),
                "volumeMounts": [
                    {"name": "runs", "mountPath": MOUNT},
                    {"name": "shared-memory", "mountPath": SHARED_MEMORY},
                ],
            }
        ],
        "volumes": [
            {"name": "runs", "persistentVolumeClaim": {"claimName": job.name}},
            {
                "name": "shared-memory",
                "emptyDir": {
                    "medium": "Memory",
                    "sizeLimit": f"{job.needs.shared_gib_per_node}Gi",
                },
            },
        ],
    }


def _resources(job: Job) -> Manifest:
    """The memory has the shared one in it; the processor may be taken beyond what is asked for."""
    memory = f"{job.needs.memory_gib_per_node}Gi"
    limits: Manifest = {"memory": memory}
    if job.has_gpus:
        limits["nvidia.com/gpu"] = job.nproc
    cores = str(job.nproc * job.needs.cores_per_rank)
    return {"requests": {"cpu": cores, "memory": memory}, "limits": limits}


def _runtime(job: Job) -> Manifest:
    """Trainer tells each node its number in PET_ variables, which `llmops train` reads."""
    nodes = _nodes(job, job.command, container="node")
    nodes["template"]["metadata"] = {"labels": ANCESTOR}
    return {
        "apiVersion": "trainer.kubeflow.org/v1alpha1",
        "kind": "TrainingRuntime",
        "metadata": {
            "name": job.name,
            "labels": {"trainer.kubeflow.org/framework": "torch"},
        },
        "spec": {
            "mlPolicy": {"numNodes": job.nnodes, "torch": {"numProcPerNode": job.nproc}},
            "template": {"spec": {"replicatedJobs": [nodes]}},
        },
    }


def _train_job(job: Job) -> Manifest:
    return {
        "apiVersion": "trainer.kubeflow.org/v1alpha1",
        "kind": "TrainJob",
        "metadata": {"name": job.name},
        "spec": {
            "suspend": True,
            "runtimeRef": {
                "apiGroup": "trainer.kubeflow.org",
                "kind": "TrainingRuntime",
                "name": job.name,
            },
            "trainer": {"numNodes": job.nnodes, "numProcPerNode": job.nproc},
        },
    }
