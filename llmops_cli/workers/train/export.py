"""The trained model as a Hugging Face folder: written by all ranks, then loaded by a fresh process.

A file that cannot be loaded, or that says something else than the model that was trained, is found
here, and not by whoever serves it.
"""

import json
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import torch

from _shared.protocol import JobError, Json
from train.checkpoints.folder import sync_folder
from train.data.batch import Batch
from train.data.source import Source
from train.questions import questions_of
from train.ranks import gather_values
from train.safety import Surroundings
from train.settings import Settings
from train.strategies.strategy import Strategy

TEMPORARY = ".export"
PROGRAM = "train.check_export"
WORKERS = Path(__file__).resolve().parent.parent
PROBE_TOKENS = 64
TOLERANCES = {"f32": 0.002, "bf16": 0.03, "fp16": 0.01}
"""Of the loss, relative: what rounding the weights to that format may change."""
POLL_EVERY_S = 0.5
MEMORY_SHARE = 0.8
"""Of what is free in main memory: a model beyond it is not loaded again."""


def export(
    around: Surroundings,
    strategy: Strategy,
    source: Source,
    tokenizer: Any,
    *,
    held_out: Source | None,
) -> Json:
    """Every rank must call it; what the fresh process found, on the first one.

    `held_out`: what the model is asked questions of, else of what it was trained on.

    Raises: JobError if what was written is not the model that was trained.
    """
    settings = around.settings
    output = around.output
    around.phase(settings.steps, "export")
    temporary = output / TEMPORARY
    if around.ranks.is_first:
        shutil.rmtree(temporary, ignore_errors=True)
        temporary.mkdir(parents=True)
    gather_values(around.ranks, None)
    strategy.save_model(temporary)
    probe = _probe(source, strategy, settings)
    loss_sum = strategy.losses(probe)
    gather_values(around.ranks, None)
    if not around.ranks.is_first:
        return {}
    tokenizer.save_pretrained(temporary)
    own_loss = loss_sum / max(probe.weight, 1.0)
    questions = questions_of(held_out or source, batch_size=settings.batch_size)
    found = _checked(temporary, probe, own_loss, questions, around)
    _publish(temporary, output)
    return {"export": found}


def _probe(source: Source, strategy: Strategy, settings: Settings) -> Batch:
    """The first tokens of this rank's first rows, each of them to be predicted."""
    rows = source.rows(0, strategy.share.rows(settings.batch_size))
    ids_BT = rows.ids_BT[:, :PROBE_TOKENS]
    lengths_B = rows.lengths().clamp(max=ids_BT.shape[1])
    positions_BT = torch.arange(ids_BT.shape[1]).expand(ids_BT.shape)
    weights_BT = (positions_BT < lengths_B[:, None] - 1).float()
    targets_BT = torch.roll(ids_BT, -1, 1) * (weights_BT > 0)
    return Batch(ids_BT, targets_BT, weights_BT, positions_BT, 1, rows.samples)


def _checked(
    folder: Path,
    probe: Batch,
    own_loss: float,
    questions: list[list[int]],
    around: Surroundings,
) -> Json:
    size_bytes = sum(path.stat().st_size for path in folder.glob("*.safetensors"))
    if size_bytes > MEMORY_SHARE * _free_memory_bytes():
        text = f"the exported model ({size_bytes / 1e9:.1f} GB) has no room to be loaded again"
        around.notices.say(text)
        return {"is_checked": False, "size_bytes": size_bytes}
    start_s = time.monotonic()
    said = _ask_fresh_process(folder, probe, questions, around)
    difference = abs(said["loss"] - own_loss) / max(abs(own_loss), 1e-6)
    if not difference <= _tolerance(around.settings) and not _is_average(around):
        raise JobError(
            "EngineFailed",
            f"the exported model is not the one that was trained: its loss on the first rows is "
            f"{said['loss']:.4f}, and was {own_loss:.4f}",
            "the last checkpoint has the run; --export-dtype f32 rounds nothing",
        )
    return {
        "is_checked": True,
        "size_bytes": size_bytes,
        "loss": said["loss"],
        "trained_loss": own_loss,
        "generated": said["generated"],
        "answers": said["answers"],
        "wall_s": round(time.monotonic() - start_s, 2),
    }


def _tolerance(settings: Settings) -> float:
    """Of the coarser of two formats: the file's, and that which the trained model computes in."""
    return max(TOLERANCES[settings.export_dtype], TOLERANCES[settings.precision])


def _is_average(around: Surroundings) -> bool:
    """Averaged weights are others than those that were trained."""
    return around.settings.ema_decay > 0


def _ask_fresh_process(
    folder: Path,
    probe: Batch,
    questions: list[list[int]],
    around: Surroundings,
) -> Json:
    asked = {
        "folder": str(folder),
        "ids": probe.ids_BT.tolist(),
        "targets": probe.targets_BT.tolist(),
        "weights": probe.weights_BT.tolist(),
        "questions": questions,
        "threads": around.settings.threads,
    }
    argv = [sys.executable, str(WORKERS), PROGRAM]
    with subprocess.Popen(
        argv,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=_alone(),
    ) as process:
        answer, words = _talk(process, json.dumps(asked).encode(), around)
    if process.returncode != 0:
        lines = words.decode(errors="replace").strip().splitlines()
        reason = lines[-1] if lines else f"exit code {process.returncode}"
        raise JobError("EngineFailed", f"the exported model cannot be used: {reason}")
    said: Json = json.loads(answer)
    return said


def _talk(
    process: subprocess.Popen[bytes], asked: bytes, around: Surroundings
) -> tuple[bytes, bytes]:
    """Waits with a heart that beats: a large model takes long to load."""
    question: bytes | None = asked
    while True:
        try:
            return process.communicate(question, timeout=POLL_EVERY_S)
        except subprocess.TimeoutExpired:
            question = None
            around.phase(around.settings.steps, "export")


def _alone() -> dict[str, str]:
    """The environment of one process that meets no other, on the CPU."""
    ours = ("RANK", "LOCAL_RANK", "WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT")
    kept = {name: value for name, value in os.environ.items() if name not in ours}
    return kept | {"CUDA_VISIBLE_DEVICES": "", "HF_HUB_OFFLINE": "1"}


def _free_memory_bytes() -> float:
    path = Path("/proc/meminfo")
    if not path.exists():
        return float("inf")
    for line in path.read_text().splitlines():
        if line.startswith("MemAvailable:"):
            return int(line.split()[1]) * 1024
    return float("inf")


def _publish(temporary: Path, output: Path) -> None:
    """File by file, the configuration last: without it nobody takes the folder for a model."""
    _remove_former(output)
    names = sorted(path.name for path in temporary.iterdir())
    names.sort(key=lambda name: name == "config.json")
    for name in names:
        (temporary / name).replace(output / name)
    temporary.rmdir()
    sync_folder(output)


def _remove_former(output: Path) -> None:
    (output / "config.json").unlink(missing_ok=True)
    for path in [*output.glob("model*.safetensors"), *output.glob("model*.index.json")]:
        path.unlink()
