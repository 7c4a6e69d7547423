"""Torch's own launcher as words, and what its sizes and its meeting place may be."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from llmops_cli.core.errors import UsageError
from llmops_cli.train.recipe import TrainRecipe

SHUTDOWN_TIMEOUT_S = 300
"""How long a rank may save after SIGTERM before torch's launcher kills it (its default is 30)."""
USUAL_PORT = "29500"


class Rendezvous(NamedTuple):
    """Where ranks meet: node 0."""

    host: str
    port: int


def torchrun(
    *,
    nproc: int,
    nnodes: int,
    node_rank: int,
    rendezvous: Rendezvous,
    shutdown_timeout_s: int,
) -> tuple[str, ...]:
    """Torch's launcher, without restarts: a run that failed is resumed by its command."""
    return (
        "-m",
        "torch.distributed.run",
        f"--nproc-per-node={nproc}",
        f"--nnodes={nnodes}",
        f"--node-rank={node_rank}",
        f"--master-addr={rendezvous.host}",
        f"--master-port={rendezvous.port}",
        "--max-restarts=0",
        f"--shutdown-timeout={shutdown_timeout_s}",
    )


def check_nodes(recipe: TrainRecipe, *, nnodes: int, node_rank: int) -> None:
    """Raises: UsageError for a node that is not there, or a meeting place that nobody needs."""
    if node_rank >= nnodes:
        raise UsageError(
            f"--node-rank {node_rank} is beyond the last of {nnodes} nodes",
            hint="nodes count from 0",
        )
    if recipe.rendezvous is None:
        return
    if nnodes == 1:
        raise UsageError(
            "--rendezvous is for several nodes",
            hint="give --nnodes, or leave it out",
        )
    read_rendezvous(recipe.rendezvous)


def check_processes(nproc: int, *, gpus: int) -> None:
    """Raises: UsageError for more than there are GPUs, unless there is none."""
    if 0 < gpus < nproc:
        raise UsageError(
            f"--nproc {nproc} is more than the {gpus} GPUs here",
            hint=f"--nproc {gpus}, or CUDA_VISIBLE_DEVICES= to train on the CPU",
        )


def rendezvous_of(recipe: TrainRecipe, environ: Mapping[str, str]) -> Rendezvous:
    """As the user says, else as Kubeflow's Trainer does. Raises: UsageError if nobody says."""
    text = recipe.rendezvous
    if text is None and "PET_MASTER_ADDR" in environ:
        text = f"{environ['PET_MASTER_ADDR']}:{environ.get('PET_MASTER_PORT', USUAL_PORT)}"
    if text is None:
        raise UsageError(
            "several nodes must know where the first one is",
            hint="--rendezvous HOST:PORT, the same on every node",
        )
    return read_rendezvous(text)


def read_rendezvous(text: str) -> Rendezvous:
    """Raises: UsageError for what is not HOST:PORT."""
    host, _, port = text.rpartition(":")
    if not host or not port.isdigit():
        raise UsageError(
            f"--rendezvous {text} is not HOST:PORT", hint="--rendezvous 10.0.0.1:29500"
        )
    return Rendezvous(host, int(port))
