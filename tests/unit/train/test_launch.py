"""Which processes train: what a recipe asks for, and what a launcher around us has started."""

from __future__ import annotations

import pytest

from llmops_cli.core.errors import UsageError
from llmops_cli.train.launch import ALONE, Launch, launch_of
from llmops_cli.train.recipe import TrainRecipe

TORCHRUN = {
    "RANK": "3",
    "WORLD_SIZE": "4",
    "LOCAL_RANK": "1",
    "LOCAL_WORLD_SIZE": "2",
    "MASTER_ADDR": "10.0.0.1",
    "MASTER_PORT": "29500",
}
SLURM = {
    "SLURM_PROCID": "5",
    "SLURM_NTASKS": "8",
    "SLURM_NNODES": "2",
    "SLURM_LOCALID": "1",
    "SLURM_STEP_ID": "0",
    "SLURM_JOB_ID": "4711",
    "SLURM_JOB_NODELIST": "gpu[07-08]",
}
MODEL = {"model": "llama", "data": ["chats.jsonl"]}


def launch(environ: dict[str, str] | None = None, *, gpus: int = 0, **fields: object) -> Launch:
    recipe = TrainRecipe(**fields)  # type: ignore[arg-type]
    return launch_of(recipe, environ=environ or {}, gpus=gpus, port=29501)


def test_one_process_is_alone_whatever_a_pod_says() -> None:
    assert launch() == ALONE
    assert launch({"RANK": "0", "WORLD_SIZE": "1", "MASTER_ADDR": "x"}) == ALONE
    assert ALONE.env["RANK"] == ""


def test_several_processes_are_started_by_torchs_launcher() -> None:
    found = launch(nproc=2)
    assert found.world_size == 2
    assert found.argv == (
        "-m",
        "torch.distributed.run",
        "--nproc-per-node=2",
        "--nnodes=1",
        "--node-rank=0",
        "--master-addr=127.0.0.1",
        "--master-port=29501",
        "--max-restarts=0",
        "--shutdown-timeout=300",
    )


def test_a_node_that_is_not_the_first_reports_nothing() -> None:
    found = launch(nproc=4, nnodes=2, node_rank=1, rendezvous="10.0.0.1:29500")
    assert (found.rank, found.world_size, found.is_first) == (4, 8, False)
    assert "--master-addr=10.0.0.1" in found.argv


def test_a_model_takes_all_gpus_and_the_demo_one() -> None:
    assert launch(gpus=8, **MODEL).world_size == 8
    assert launch(gpus=8) == ALONE
    assert launch(gpus=8, strategy="single", **MODEL) == ALONE


def test_inside_torchrun_a_run_joins() -> None:
    found = launch(TORCHRUN)
    assert found.joined
    assert (found.rank, found.local_rank, found.ranks_here, found.nnodes) == (3, 1, 2, 2)
    assert found.argv == ()


def test_inside_srun_a_run_joins_with_torchs_variables() -> None:
    found = launch(SLURM)
    assert found.joined
    assert found.env == {
        "RANK": "5",
        "WORLD_SIZE": "8",
        "LOCAL_RANK": "1",
        "LOCAL_WORLD_SIZE": "4",
        "MASTER_ADDR": "gpu07",
        "MASTER_PORT": "24711",
    }


def test_a_batch_script_may_launch_by_itself() -> None:
    assert launch(SLURM, nproc=2).argv


def test_a_batch_script_waits_for_no_tasks_that_nobody_has_started() -> None:
    """SLURM numbers it 0 of all tasks of its job, which only srun starts."""
    script = {name: value for name, value in SLURM.items() if name != "SLURM_STEP_ID"}
    assert launch({**script, "SLURM_PROCID": "0"}) == ALONE
    assert launch({**script, "SLURM_PROCID": "0"}, gpus=8, **MODEL).ranks_here == 8


@pytest.mark.parametrize(
    ("nodes", "first"),
    [
        ("a1,a2", "a1"),
        ("a[3-5],b", "a3"),
        ("cpu-[001,004]", "cpu-001"),
        ("gpu[07-09,12]-ib,cpu3", "gpu07-ib"),
        ("rack[1-2]n[03-04]", "rack1n03"),
        ("", "127.0.0.1"),
    ],
)
def test_the_first_node_of_a_list(nodes: str, first: str) -> None:
    found = launch({**SLURM, "SLURM_JOB_NODELIST": nodes})
    assert found.env["MASTER_ADDR"] == first


def test_kubeflows_variables_are_ours() -> None:
    pod = {
        "PET_NPROC_PER_NODE": "2",
        "PET_NNODES": "2",
        "PET_NODE_RANK": "1",
        "PET_MASTER_ADDR": "train-node-0-0.train",
        "PET_MASTER_PORT": "29400",
        "TORCH_ELASTIC_SHUTDOWN_TIMEOUT": "120",
    }
    found = launch(pod)
    assert (found.world_size, found.rank) == (4, 2)
    assert "--master-addr=train-node-0-0.train" in found.argv
    assert "--master-port=29400" in found.argv
    assert "--shutdown-timeout=120" in found.argv


@pytest.mark.parametrize(
    ("environ", "gpus", "fields", "words"),
    [
        (TORCHRUN, 0, {"nproc": 3}, "--nproc 3: this process is one of 4"),
        ({}, 2, {"nproc": 3}, "more than the 2 GPUs here"),
        ({}, 0, {"nnodes": 2}, "several nodes must know where the first one is"),
        ({}, 0, {"nnodes": 2, "rendezvous": "host"}, "is not HOST:PORT"),
        ({}, 0, {"nnodes": 2, "node_rank": 2}, "beyond the last of 2 nodes"),
        ({}, 0, {"rendezvous": "a:1"}, "--rendezvous is for several nodes"),
    ],
)
def test_what_cannot_be_is_refused(
    environ: dict[str, str], gpus: int, fields: dict[str, object], words: str
) -> None:
    with pytest.raises(UsageError, match=words) as caught:
        launch(environ, gpus=gpus, **fields)
    assert caught.value.hint
