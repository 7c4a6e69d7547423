"""Other launchers' files: they parse, they say what was asked, and they hold no secret."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path
from typing import Any

import msgspec
import pytest
import yaml

from llmops_cli.core.errors import UsageError
from llmops_cli.core.progress import Silent
from llmops_cli.train.emit import command_of, emit
from llmops_cli.train.recipe import TrainRecipe
from tests.unit.heard import Heard
from tests.unit.sizing.configs import LLAMA_3_8B

ARGV = ["train", "--steps", "10", "--emit", "slurm", "--nproc=4", "--nnodes", "2", "-o", "run a"]
RECIPE = TrainRecipe(nproc=4, nnodes=2, gpu="h100", steps=10)


def emitted(kind: str) -> str:
    return emit(kind, RECIPE, {}, argv=ARGV, output=Path("run a"), progress=Silent())


def test_the_command_is_the_users_without_the_launchers_words() -> None:
    assert command_of(ARGV) == ["llmops", "train", "--steps", "10", "-o", "run a"]


@pytest.mark.parametrize("kind", ["torchrun", "slurm"])
def test_scripts_are_scripts(kind: str, tmp_path: Path) -> None:
    script = tmp_path / "job.sh"
    script.write_text(emitted(kind))
    assert subprocess.run(["bash", "-n", script], check=False).returncode == 0
    if shutil.which("shellcheck"):
        assert subprocess.run(["shellcheck", script], check=False).returncode == 0
    assert "'run a'" in script.read_text()


def test_a_batch_job_saves_before_its_end_and_is_queued_again() -> None:
    text = emitted("slurm")
    for words in ("--ntasks-per-node=4", "--gpus-per-node=4", "--signal=TERM@120", "--requeue"):
        assert words in text
    assert 'scontrol requeue "$SLURM_JOB_ID"' in text
    assert "#SBATCH --cpus-per-task=8" in text
    assert "#SBATCH --time=3:00:00" in text
    assert "#SBATCH --mem=" in text


@pytest.mark.parametrize("kind", ["torchrun", "slurm", "k8s"])
def test_what_the_environment_said_is_printed(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LLMOPS_TRAIN_SEED", "7")
    monkeypatch.setenv("LLMOPS_TRAIN_NPROC", "4")
    origins = {"seed": "env", "nproc": "env", "steps": "flag"}
    text = emit(kind, RECIPE, origins, argv=ARGV, output=Path("a"), progress=Silent())
    assert "LLMOPS_TRAIN_SEED" in text
    assert "NPROC" not in text.replace("PET_NPROC", "")
    assert "LLMOPS_TRAIN_STEPS" not in text


def test_a_placeholder_is_said_to_be_one() -> None:
    heard = Heard()
    emit("k8s", RECIPE, {}, argv=ARGV, output=Path("a"), progress=heard)
    assert any("REPLACE-ME/" in text for text in heard.warnings)


def test_a_line_a_node_for_torchrun() -> None:
    lines = [line for line in emitted("torchrun").splitlines() if line.startswith("torchrun")]
    assert len(lines) == 2
    assert "--node-rank=1" in lines[1]
    assert "--shutdown-timeout=120" in lines[1]


def gib(text: str) -> int:
    return int(text.removesuffix("Gi"))


def documents() -> dict[str, Any]:
    found = {}
    for document in yaml.safe_load_all(emitted("k8s")):
        found[document["kind"]] = document
    return found


def test_pods_may_save_before_they_are_killed() -> None:
    found = documents()
    assert set(found) == {"PersistentVolumeClaim", "JobSet", "TrainingRuntime", "TrainJob"}
    for job in (found["JobSet"]["spec"], found["TrainingRuntime"]["spec"]["template"]["spec"]):
        nodes = job["replicatedJobs"][0]["template"]["spec"]
        pod = nodes["template"]["spec"]
        (container,) = pod["containers"]
        variables = {each["name"]: each["value"] for each in container["env"]}
        grace_s = pod["terminationGracePeriodSeconds"]
        assert grace_s > int(variables["TORCH_ELASTIC_SHUTDOWN_TIMEOUT"])
        assert nodes["completions"] == 2
        assert container["resources"]["limits"]["nvidia.com/gpu"] == 4
        assert set(container["resources"]["requests"]) == {"cpu", "memory"}
        assert container["image"].startswith("REPLACE-ME/")
        (shared,) = [each["emptyDir"] for each in pod["volumes"] if "emptyDir" in each]
        assert gib(shared["sizeLimit"]) < gib(container["resources"]["requests"]["memory"])
        mounts = {each["mountPath"] for each in container["volumeMounts"]}
        assert "/dev/shm" in mounts
    assert found["JobSet"]["spec"]["network"]["subdomain"] == found["JobSet"]["metadata"]["name"]
    assert found["TrainJob"]["spec"]["suspend"] is True


@pytest.mark.parametrize("kind", ["torchrun", "slurm", "k8s"])
def test_no_variable_of_this_machine_is_told(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_TOKEN", "hf_secret")
    monkeypatch.setenv("WANDB_API_KEY", "wandb_secret")
    assert "secret" not in emitted(kind)


def claimed_gib(**wishes: Any) -> int:
    recipe = msgspec.structs.replace(RECIPE, **wishes)
    text = emit("k8s", recipe, {}, argv=ARGV, output=Path("a"), progress=Silent())
    claim = next(yaml.safe_load_all(text))
    return int(claim["spec"]["resources"]["requests"]["storage"].removesuffix("Gi"))


def test_the_volume_holds_what_the_run_keeps(tmp_path: Path) -> None:
    config = tmp_path / "config.json"
    config.write_text(json.dumps(LLAMA_3_8B))
    eight_billion = {"init": str(config), "data": ["a.jsonl"], "optimizer": "adamw"}
    assert claimed_gib() == 101
    assert 400 <= claimed_gib(**eight_billion, keep=2) <= 600
    assert claimed_gib(**eight_billion, keep=5) > claimed_gib(**eight_billion, keep=2) + 250


@pytest.mark.parametrize("folder", ["/out/run", "../run", "/runs-old"])
def test_what_a_pod_would_lose_is_refused(folder: str) -> None:
    with pytest.raises(UsageError, match="not on the volume"):
        emit("k8s", RECIPE, {}, argv=ARGV, output=Path(folder), progress=Silent())
    assert emit("k8s", RECIPE, {}, argv=ARGV, output=Path("/runs/a"), progress=Silent())


def test_a_cluster_needs_a_folder_and_a_known_launcher() -> None:
    with pytest.raises(UsageError, match="a folder that all its nodes see"):
        emit("slurm", RECIPE, {}, argv=ARGV, output=None, progress=Silent())
    with pytest.raises(UsageError, match="unknown launcher 'slurn'"):
        emit("slurn", RECIPE, {}, argv=ARGV, output=Path("a"), progress=Silent())
