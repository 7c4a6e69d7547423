"""What `--dry-run` says of a step against what torch then allocates, on two models."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from llmops_cli.sizing.families import architecture_of
from llmops_cli.sizing.layout import Degrees, layout_of
from llmops_cli.sizing.memory import largest_parts
from llmops_cli.sizing.options import with_micro_batches
from llmops_cli.sizing.work import Work
from tests.unit.sizing.configs import Config

pytestmark = pytest.mark.timeout(900)

PROGRAM = Path(__file__).parents[1] / "allocated_cells.py"
PARTS = ("weights", "gradients", "optimizer", "activations")
TOLERANCE = 0.1
LLAMA: Config = {
    "model_type": "llama",
    "hidden_size": 128,
    "intermediate_size": 320,
    "num_hidden_layers": 4,
    "num_attention_heads": 8,
    "num_key_value_heads": 2,
    "vocab_size": 512,
    "max_position_embeddings": 256,
    "tie_word_embeddings": True,
}
QWEN: Config = {
    **LLAMA,
    "model_type": "qwen3",
    "num_key_value_heads": 4,
    "head_dim": 32,
    "vocab_size": 701,
    "tie_word_embeddings": False,
}
Cell = dict[str, Any]
ONE: list[Cell] = [
    {},
    {"precision": "bf16"},
    {"optimizer": "muon", "accumulate": 2},
    {"optimizer": "adafactor", "activation_checkpointing": "full"},
    {"optimizer": "adamw8bit"},
    {"activation_checkpointing": "selective", "precision": "bf16", "ema_decay": 0.9},
]
PIPELINE: Cell = {"strategy": "pp", "pipeline_parallel": 2, "micro_batches": 4}
TWO: list[Cell] = [
    {"strategy": "ddp"},
    {"strategy": "fsdp"},
    {"strategy": "fsdp", "precision": "bf16", "activation_checkpointing": "selective"},
    {"strategy": "fsdp", "offload": "optimizer"},
    {"strategy": "tp", "tensor_parallel": 2},
    PIPELINE,
    {**PIPELINE, "pipeline_schedule": "gpipe"},
    {**PIPELINE, "activation_checkpointing": "full"},
    {**PIPELINE, "activation_checkpointing": "full", "pipeline_schedule": "gpipe"},
    {**PIPELINE, "pipeline_schedule": "interleaved"},
    {"strategy": "fsdp", "optimizer": "adamw8bit"},
]
FOUR: list[Cell] = [
    {"strategy": "hsdp", "shard_size": 2},
    {"strategy": "fsdp+tp", "tensor_parallel": 2},
    {"strategy": "fsdp+pp", "pipeline_parallel": 2, "micro_batches": 2, "precision": "bf16"},
]


CELLS = {1: ONE, 2: TWO, 4: FOUR}
Measured = dict[int, list[Cell]]


@pytest.fixture(scope="module")
def measured(tmp_path_factory: pytest.TempPathFactory) -> Measured:
    """By world size: each cell with both models, and what the rank that held most held."""
    asked = {
        world_size: [{**cell, "config": config} for config in (LLAMA, QWEN) for cell in cells]
        for world_size, cells in CELLS.items()
    }
    path = tmp_path_factory.mktemp("allocated") / "cells.json"
    path.write_text(json.dumps(asked))
    argv = [sys.executable, str(PROGRAM), str(path)]
    run = subprocess.run(argv, capture_output=True, text=True, timeout=880, check=False)
    lines = [line for line in run.stdout.splitlines() if line.startswith("CELL ")]
    told = iter([json.loads(line.removeprefix("CELL ")) for line in lines])
    assert len(lines) == sum(map(len, asked.values())), run.stderr[-3000:]
    return {world_size: [next(told) for _ in cells] for world_size, cells in asked.items()}


def _planned(cell: Cell, *, world_size: int) -> Any:
    work = Work(
        sequence_length=cell["allocated"]["tokens"],
        batch_size=8,
        accumulate=cell.get("accumulate", 1),
        precision=cell.get("precision", "f32"),
        optimizer=cell.get("optimizer", "adamw"),
        checkpointing=cell.get("activation_checkpointing", "none"),
        has_ema=cell.get("ema_decay", 0) > 0,
    )
    degrees = Degrees(
        tensor=cell.get("tensor_parallel"),
        pipeline=cell.get("pipeline_parallel"),
        shard_size=cell.get("shard_size"),
        schedule=cell.get("pipeline_schedule", "1f1b"),
        micro_batches=cell.get("micro_batches"),
        offload=cell.get("offload", "none"),
    )
    layout = layout_of(
        cell.get("strategy", "single"),
        devices=world_size,
        devices_per_node=world_size,
        degrees=degrees,
    )
    layout = with_micro_batches(layout, work, asked=degrees.micro_batches)
    return largest_parts(architecture_of(cell["config"]), work, layout, on_cpu=True)


@pytest.mark.parametrize("world_size", CELLS)
def test_each_part_is_planned_to_a_tenth(world_size: int, measured: Measured) -> None:
    for cell in measured[world_size]:
        assert "error" not in cell, cell
        plan = _planned(cell, world_size=world_size)
        ratios = {part: getattr(plan, part) / cell["allocated"][part] for part in PARTS}
        wishes = {key: cell[key] for key in cell if key not in {"config", "allocated"}}
        print(f"PLAN {cell['config']['model_type']:6} {wishes} {ratios}")
        for part, ratio in ratios.items():
            assert ratio == pytest.approx(1, abs=TOLERANCE), (part, wishes, cell["allocated"])
