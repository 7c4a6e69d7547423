"""`--emit`: the files with which another launcher starts this run. Nothing is run.

Each rank of them is `llmops train`, which joins. No file holds a variable of this machine, so no
secret of it either.
"""

from __future__ import annotations

import shlex
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from llmops_cli import __version__
from llmops_cli.core.errors import UsageError, unknown_name
from llmops_cli.core.progress import Progress, Silent
from llmops_cli.runtime.contents import read_state
from llmops_cli.train.cluster import cluster_of
from llmops_cli.train.dry_run import AUTO, DryRun
from llmops_cli.train.emit_kubernetes import IMAGE, kubernetes
from llmops_cli.train.emitted import (
    Job,
    job_name,
    needs_of,
    shutdown_timeout_s,
    storage_bytes,
    variables_of,
)
from llmops_cli.train.kept import REPORT, model_name
from llmops_cli.train.planned import dry_run_of, is_impossible, refuse_unfit
from llmops_cli.train.recipe import TrainRecipe
from llmops_cli.train.report import TrainReport

DROPPED = frozenset({"--emit", "--gpu", "--nproc", "--nnodes", "--node-rank", "--rendezvous"})
"""What the launcher says itself."""
RENDEZVOUS = "NODE0:29500"
ELSEWHERE = frozenset({"k8s"})
"""Launchers whose jobs see a volume of their own and no folder of this machine."""


def emit(
    kind: str,
    recipe: TrainRecipe,
    origins: Mapping[str, str],
    *,
    argv: Sequence[str],
    output: Path | None,
    progress: Progress,
) -> str:
    """The text of the launcher's files. `argv`: the user's own words behind `llmops`.

    Raises: UsageError for an unknown launcher, a run that cannot go on from a checkpoint, and for
    what the run itself would be refused for.
    """
    if kind not in LAUNCHERS:
        raise unknown_name("launcher", kind, LAUNCHERS)
    if output is None:
        raise UsageError(
            "a job of a cluster needs a folder that all its nodes see",
            hint="-o DIR, on a shared file system",
        )
    found = dry_run_of(recipe, origins, elsewhere=kind in ELSEWHERE)
    _tell(recipe, found, progress)
    job = job_of(recipe, origins, found, argv=argv, output=output)
    if kind == "k8s":
        progress.warn(f"{IMAGE} is a placeholder: put your own image with llmops in its place")
    return LAUNCHERS[kind](job)


def _tell(recipe: TrainRecipe, found: DryRun, progress: Progress) -> None:
    """Raises: UsageError where the run itself would not begin."""
    for note in found.notes:
        progress.warn(note)
    if found.chosen is not None:
        return
    if recipe.strategy == AUTO or is_impossible(recipe, found):
        refuse_unfit(found)
    progress.warn(f"it may not fit: {found.reason}")


def job_of(
    recipe: TrainRecipe,
    origins: Mapping[str, str],
    found: DryRun,
    *,
    argv: Sequence[str],
    output: Path,
) -> Job:
    cluster = cluster_of(gpu=recipe.gpu, nproc=recipe.nproc, nnodes=recipe.nnodes)
    return Job(
        name=job_name(model_name(recipe)),
        command=command_of(argv),
        nproc=cluster.devices_per_node,
        nnodes=cluster.nodes,
        has_gpus=not cluster.device.is_cpu,
        folder=str(output),
        shutdown_timeout_s=shutdown_timeout_s(found, measured_save_s=measured_save_s(output)),
        rendezvous=recipe.rendezvous,
        needs=needs_of(recipe, found, cluster),
        variables=variables_of(origins),
        storage_bytes=storage_bytes(recipe, found),
    )


def measured_save_s(output: Path) -> float | None:
    """The longest save of the run that the folder holds."""
    saved = read_state(output / REPORT, TrainReport, progress=Silent())
    if saved is None or not saved.saves:
        return None
    return max(float(str(save["wall_s"])) for save in saved.saves)


def command_of(argv: Sequence[str]) -> list[str]:
    """The user's command without what the launcher says itself."""
    kept = []
    skips = False
    for word in argv:
        name, equals, _ = word.partition("=")
        if skips:
            skips = False
        elif name in DROPPED:
            skips = not equals
        else:
            kept.append(word)
    return ["llmops", *kept]


def _torchrun(job: Job) -> str:
    """One command a node."""
    host, _, port = (job.rendezvous or RENDEZVOUS).rpartition(":")
    lines = ["#!/bin/sh", "# One line a node; each rank joins the others and node 0 reports."]
    lines += _exports(job)
    for node in range(job.nnodes):
        words = [
            "torchrun",
            f"--nproc-per-node={job.nproc}",
            f"--nnodes={job.nnodes}",
            f"--node-rank={node}",
            f"--master-addr={host}",
            f"--master-port={port}",
            "--max-restarts=0",
            f"--shutdown-timeout={job.shutdown_timeout_s}",
            "--no-python",
            *job.command,
        ]
        lines.append(f"# node {node}")
        lines.append(shlex.join(words))
    return "\n".join(lines) + "\n"


def _exports(job: Job) -> list[str]:
    """What the recipe has from this machine's LLMOPS_TRAIN_ variables."""
    return [f"export {name}={shlex.quote(text)}" for name, text in job.variables.items()]


def _slurm(job: Job) -> str:
    """A task a rank. The signal comes early enough to save, and the job is queued again then."""
    gpus = f"#SBATCH --gpus-per-node={job.nproc}\n" if job.has_gpus else ""
    exports = "".join(f"{line}\n" for line in _exports(job))
    needs = job.needs
    return f"""#!/bin/bash
#SBATCH --job-name={job.name}
#SBATCH --nodes={job.nnodes}
#SBATCH --ntasks-per-node={job.nproc}
{gpus}#SBATCH --cpus-per-task={needs.cores_per_rank}
#SBATCH --mem={needs.memory_gib_per_node}G
#SBATCH --time={needs.hours}:00:00
#SBATCH --signal=TERM@{job.shutdown_timeout_s}
#SBATCH --requeue
#SBATCH --open-mode=append
#SBATCH --output={job.name}-%j.log
# llmops {__version__}. {job.shutdown_timeout_s} s before the end every rank is told to save; then
# the job is queued again and goes on from its newest whole checkpoint. Cores, memory and time are
# computed from the plan, with room: change them to what your cluster has.
set -uo pipefail

{exports}MASTER_ADDR=$(scontrol show hostnames "$SLURM_JOB_NODELIST" | head -n 1)
MASTER_PORT=$((20000 + SLURM_JOB_ID % 20000))
export MASTER_ADDR MASTER_PORT

code=0
srun --kill-on-bad-exit=1 --wait={job.shutdown_timeout_s} \\
  {shlex.join(job.command)} || code=$?

# 130: a signal ended it, and its state is saved.
if [ "$code" -eq 130 ]; then
  scontrol requeue "$SLURM_JOB_ID"
fi
exit "$code"
"""


LAUNCHERS: dict[str, Callable[[Job], str]] = {
    "torchrun": _torchrun,
    "slurm": _slurm,
    "k8s": kubernetes,
}
