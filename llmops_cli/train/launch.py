"""Which processes train: one here, several that are started here, or one of somebody else's.

Pure: a recipe and an environment become a `Launch`. Inside torchrun, srun or a training job of
Kubernetes a run joins the processes that are there; else torch's own launcher is put before the
program.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

import msgspec

from llmops_cli.core.errors import UsageError
from llmops_cli.train.recipe import TrainRecipe
from llmops_cli.train.torchrun import (
    SHUTDOWN_TIMEOUT_S,
    Rendezvous,
    check_nodes,
    check_processes,
    rendezvous_of,
    torchrun,
)

LOOPBACK = "127.0.0.1"
FIRST_PORT = 20_000
PORTS = 20_000
"""Of jobs whose launcher names no port: the job's number decides, so all ranks agree."""
RANGE = re.compile(r"\[(\d+)[^\]]*\]")
"""Of a SLURM list of nodes: `gpu[07-09,12]-ib,cpu3` begins with gpu07-ib."""

Environ = Mapping[str, str]


class Launch(msgspec.Struct, frozen=True, kw_only=True):
    """The processes of a run, seen from this one.

    `joined`: somebody else started them, and this is rank `rank`. `rank` is that of this process's
    first worker. `env`: what the workers get beside this process's environment.
    """

    world_size: int = 1
    ranks_here: int = 1
    nnodes: int = 1
    rank: int = 0
    local_rank: int = 0
    joined: bool = False
    argv: tuple[str, ...] = ()
    env: dict[str, str] = {}

    @property
    def is_first(self) -> bool:
        """Whether this process reports what the run was."""
        return self.rank == 0


ALONE = Launch(env={"RANK": "", "WORLD_SIZE": "1", "LOCAL_RANK": "0"})
"""One process that meets no other, whatever a pod or a launcher around it has set."""


def launch_of(
    recipe: TrainRecipe,
    *,
    environ: Environ,
    gpus: int,
    port: int,
) -> Launch:
    """`port`: a free one of this machine.

    Raises: UsageError if what is asked for is not what the launcher around us started, or cannot
    be.
    """
    joined = _joined(recipe, environ)
    if joined is not None:
        _refuse_another_size(recipe, joined)
        return joined
    return _started(recipe, environ, gpus=gpus, port=port)


def _joined(recipe: TrainRecipe, environ: Environ) -> Launch | None:
    """None where nobody has started us as one of several."""
    if _number(environ, "WORLD_SIZE") > 1 and "RANK" in environ and "MASTER_ADDR" in environ:
        return _of_variables(environ)
    is_wish = recipe.nproc is not None or recipe.nnodes is not None
    if _is_step(environ) and not is_wish:
        return _of_slurm(environ)
    return None


def _is_step(environ: Environ) -> bool:
    """Whether srun has started us with others. A batch script is alone, with all but the step."""
    tasks = _number(environ, "SLURM_NTASKS")
    return tasks > 1 and "SLURM_PROCID" in environ and "SLURM_STEP_ID" in environ


def _of_variables(environ: Environ) -> Launch:
    """Torchrun's variables, which training jobs of Kubernetes set too."""
    world_size = _number(environ, "WORLD_SIZE")
    rank = _number(environ, "RANK")
    local_rank = _number(environ, "LOCAL_RANK")
    ranks_here = _number(environ, "LOCAL_WORLD_SIZE") or 1
    return Launch(
        world_size=world_size,
        ranks_here=ranks_here,
        nnodes=max(1, world_size // ranks_here),
        rank=rank,
        local_rank=local_rank,
        joined=True,
        env={
            "LOCAL_RANK": str(local_rank),
            "LOCAL_WORLD_SIZE": str(ranks_here),
            "MASTER_PORT": environ.get("MASTER_PORT", "29500"),
        },
    )


def _of_slurm(environ: Environ) -> Launch:
    """Srun's variables, put as torch reads them."""
    world_size = _number(environ, "SLURM_NTASKS")
    nnodes = _number(environ, "SLURM_NNODES") or 1
    ranks_here = max(1, world_size // nnodes)
    rank = _number(environ, "SLURM_PROCID")
    local_rank = _number(environ, "SLURM_LOCALID")
    job_number = _number(environ, "SLURM_JOB_ID")
    port = FIRST_PORT + job_number % PORTS
    return Launch(
        world_size=world_size,
        ranks_here=ranks_here,
        nnodes=nnodes,
        rank=rank,
        local_rank=local_rank,
        joined=True,
        env={
            "RANK": str(rank),
            "WORLD_SIZE": str(world_size),
            "LOCAL_RANK": str(local_rank),
            "LOCAL_WORLD_SIZE": str(ranks_here),
            "MASTER_ADDR": environ.get("MASTER_ADDR") or _first_node(environ, nnodes),
            "MASTER_PORT": environ.get("MASTER_PORT", str(port)),
        },
    )


def _first_node(environ: Environ, nnodes: int) -> str:
    nodes = environ.get("SLURM_STEP_NODELIST") or environ.get("SLURM_JOB_NODELIST") or ""
    first, _, _ = RANGE.sub(r"\1", nodes).partition(",")
    return LOOPBACK if nnodes == 1 else first or LOOPBACK


def _refuse_another_size(recipe: TrainRecipe, joined: Launch) -> None:
    wanted = {
        "--nproc": (recipe.nproc, joined.ranks_here),
        "--nnodes": (recipe.nnodes, joined.nnodes),
    }
    for flag, (asked, there) in wanted.items():
        if asked is not None and asked != there:
            raise UsageError(
                f"{flag} {asked}: this process is one of {joined.world_size} that another launcher "
                f"started, {there} in place of {asked}",
                hint=f"leave {flag} out here, or start llmops train once and alone",
            )


def launch_on(recipe: TrainRecipe, *, nproc: int, nnodes: int) -> Launch:
    """The first process of a run on machines that are only planned.

    Raises: UsageError for what such a run would be refused for.
    """
    check_nodes(recipe, nnodes=nnodes, node_rank=recipe.node_rank or 0)
    return Launch(world_size=nproc * nnodes, ranks_here=nproc, nnodes=nnodes)


def _started(
    recipe: TrainRecipe,
    environ: Environ,
    *,
    gpus: int,
    port: int,
) -> Launch:
    """One process, or torch's launcher before the program."""
    nproc = recipe.nproc or _number(environ, "PET_NPROC_PER_NODE") or _usual_nproc(recipe, gpus)
    nnodes = recipe.nnodes or _number(environ, "PET_NNODES") or 1
    node_rank = recipe.node_rank
    if node_rank is None:
        node_rank = _number(environ, "PET_NODE_RANK")
    check_nodes(recipe, nnodes=nnodes, node_rank=node_rank)
    check_processes(nproc, gpus=gpus)
    if nproc * nnodes == 1:
        return ALONE
    rendezvous = Rendezvous(LOOPBACK, port)
    if nnodes > 1:
        rendezvous = rendezvous_of(recipe, environ)
    shutdown_timeout_s = _number(environ, "TORCH_ELASTIC_SHUTDOWN_TIMEOUT") or SHUTDOWN_TIMEOUT_S
    return Launch(
        world_size=nproc * nnodes,
        ranks_here=nproc,
        nnodes=nnodes,
        rank=nproc * node_rank,
        argv=torchrun(
            nproc=nproc,
            nnodes=nnodes,
            node_rank=node_rank,
            rendezvous=rendezvous,
            shutdown_timeout_s=shutdown_timeout_s,
        ),
    )


def _usual_nproc(recipe: TrainRecipe, gpus: int) -> int:
    """All GPUs; the demo and its like are too small for more than one."""
    is_small = recipe.model is None and recipe.init is None
    if recipe.strategy == "single" or is_small:
        return 1
    return max(1, gpus)


def _number(environ: Environ, name: str) -> int:
    """0 where it is not set, or no number."""
    text = environ.get(name, "")
    return int(text) if text.isdigit() else 0
