"""One training step of each cell that it is given, and what each rank held.

Prints `CELL {json}` a line on rank 0. Usage: allocated_cells.py CELLS.json, lists by world size of
objects with the fields of `Settings` that differ from `SETTINGS`, and `config`, a configuration's
fields. Ranks are forked from this program.
"""

from __future__ import annotations

import json
import sys
import tempfile
from collections.abc import Sequence
from functools import partial
from pathlib import Path

import torch
from torch import Tensor

WORKERS = Path(__file__).resolve().parent.parent / "llmops_cli/workers"
sys.path[:0] = [str(WORKERS), str(Path(__file__).resolve().parent)]

from forked_ranks import run_ranks  # noqa: E402

from _shared.protocol import die_with_launcher  # noqa: E402
from train import ranks as processes  # noqa: E402
from train.allocated import measured  # noqa: E402
from train.data.batch import Batch  # noqa: E402
from train.loop import run  # noqa: E402
from train.model import make_model  # noqa: E402
from train.settings import Settings  # noqa: E402
from train.strategies.table import ON_META, strategy_named  # noqa: E402

SETTINGS = {
    "model": None,
    "init": None,
    "tokenizer": None,
    "strategy": "single",
    "tensor_parallel": 1,
    "pipeline_parallel": 1,
    "shard_size": 0,
    "pipeline_schedule": "1f1b",
    "micro_batches": 1,
    "offload": "none",
    "steps": 1,
    "batch_size": 8,
    "accumulate": 1,
    "sequence_length": 128,
    "seed": 0,
    "precision": "f32",
    "attention": "auto",
    "activation_checkpointing": "none",
    "compile": False,
    "optimizer": "adamw",
    "learning_rate": 1e-3,
    "schedule": "constant",
    "warmup_steps": 0,
    "decay_share": 0.0,
    "least_rate": 0.0,
    "weight_decay": 0.1,
    "beta1": 0.9,
    "beta2": 0.95,
    "clip_norm": 1.0,
    "ema_decay": 0.0,
    "evaluate_every": 0,
    "checkpoint_every": 0,
    "keep": 1,
    "on_spike": "stop",
    "hidden_size": 64,
    "intermediate_size": 128,
    "layers": 2,
    "heads": 4,
    "kv_heads": 2,
    "context": 64,
    "threads": 1,
}


class FullRows:
    """Rows without padding, so that a plan's tokens are those that there are."""

    size = 1000

    def __init__(self, settings: Settings, vocabulary: int) -> None:
        self._settings = settings
        self._vocabulary = vocabulary

    def rows(self, step: int, numbers: Sequence[int]) -> Batch:
        shape = (self._settings.batch_size, self._settings.sequence_length)
        generator = torch.Generator().manual_seed(step)
        ids_BT = torch.randint(1, self._vocabulary, shape, generator=generator)
        positions_BT = torch.arange(shape[1]).expand(shape)
        own = torch.tensor(list(numbers))
        ids_BT = ids_BT[own]
        weights_BT: Tensor = torch.ones(ids_BT.shape)
        return Batch(
            ids_BT=ids_BT,
            targets_BT=ids_BT,
            weights_BT=weights_BT,
            positions_BT=positions_BT[own],
            documents=1,
            samples=tuple(numbers),
        )

    def state(self) -> dict[str, object]:
        return {}

    def restore(self, state: dict[str, object]) -> None: ...


def measure(cell: dict[str, object], ranks: processes.Ranks) -> dict[str, object]:
    config = cell["config"]
    wishes = {key: value for key, value in cell.items() if key not in {"config", "name"}}
    with tempfile.TemporaryDirectory() as folder:
        Path(folder, "config.json").write_text(json.dumps(config))
        settings = Settings(**{**SETTINGS, **wishes, "init": folder})
        vocabulary = int(config["vocab_size"])
        on_meta = settings.strategy in ON_META
        model = make_model(settings, vocabulary, on_meta=on_meta)
        built = strategy_named(settings.strategy)(model, settings, ranks)
        strategy, first = measured(built, settings)
        run(strategy, FullRows(settings, vocabulary), settings)
    return {**cell, "allocated": first.allocated()._asdict()}


def measure_as_rank(cells: list[dict[str, object]]) -> None:
    die_with_launcher()
    torch.set_num_threads(1)
    ranks = processes.join()
    for cell in cells:
        try:
            found = measure(cell, ranks)
        except Exception as error:
            found = {**cell, "error": repr(error)}
        if ranks.is_first:
            print("CELL", json.dumps(found), flush=True)
    processes.leave()


def main() -> int:
    cells_by_world_size = json.loads(Path(sys.argv[1]).read_text())
    for world_size, cells in cells_by_world_size.items():
        code = run_ranks(int(world_size), partial(measure_as_rank, cells))
        if code:
            return code
    return 0


if __name__ == "__main__":
    sys.exit(main())
