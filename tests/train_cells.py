"""Every strategy against one process: the same steps on tiny models, cell after cell.

`python train_cells.py FOLDER STEPS WORLD_SIZE...` walks the cells of each world size, with ranks
forked from itself, and appends one line for each to FOLDER/cells.jsonl. World size 1 comes first:
it writes what one process gets. With THOROUGH=1 every cell is walked; else the table
of Llama so that every two of its kinds meet, and two families where a strategy cuts no layer.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import replace
from functools import partial
from itertools import product
from pathlib import Path
from typing import NamedTuple

WORKERS = Path(__file__).resolve().parent.parent / "llmops_cli/workers"
sys.path[:0] = [str(WORKERS), str(Path(__file__).resolve().parent)]

import torch  # noqa: E402
from forked_ranks import run_ranks  # noqa: E402
from torch import Tensor, distributed  # noqa: E402
from train_families import FAMILIES, WITH_DROPOUT, config_of  # noqa: E402
from train_settings import SETTINGS  # noqa: E402
from transformers import AutoModelForCausalLM  # noqa: E402

from _shared.protocol import JobError, Json, die_with_launcher  # noqa: E402
from train import ranks as processes  # noqa: E402
from train.data.batch import Batch  # noqa: E402
from train.layout import is_spread  # noqa: E402
from train.loop import Step, run  # noqa: E402
from train.model import make_model  # noqa: E402
from train.settings import Settings  # noqa: E402
from train.strategies.in_force import check  # noqa: E402
from train.strategies.strategy import Strategy  # noqa: E402
from train.strategies.table import ON_META, STRATEGIES  # noqa: E402
from train.strategies.zero import ZeroStrategy  # noqa: E402

ROWS = 8
TOKENS = 20
DIVISIBLE = 64
NOT_DIVISIBLE = 67
UNLIKE_LLAMA = ("gemma3", "gpt2")


class Column(NamedTuple):
    """One strategy as it is launched here. families: all, or those that it is tried on."""

    name: str
    world_size: int
    settings: Json
    variant: str = ""
    families: tuple[str, ...] = ()

    @property
    def label(self) -> str:
        return f"{self.name} {self.variant}".strip()

    @property
    def cuts_layers(self) -> bool:
        """Whether it has to know what a family's layers are."""
        return self.name == "single" or "tp" in self.name or "pp" in self.name


COLUMNS = [
    Column("single", 1, {}),
    Column("ddp", 2, {}),
    Column("fsdp", 2, {}),
    Column("tp", 2, {"tensor_parallel": 2}),
    Column("pp", 2, {"pipeline_parallel": 2}),
    Column("pp", 2, {"pipeline_parallel": 2, "pipeline_schedule": "gpipe"}, "gpipe"),
    Column(
        "pp",
        2,
        {"pipeline_parallel": 2, "pipeline_schedule": "interleaved"},
        "interleaved",
        ("llama of 4 blocks",),
    ),
    Column("zero1", 2, {}),
    Column("zero2", 2, {}),
    Column("zero3", 2, {}),
    Column("zero3", 2, {"offload": "parameters"}, "offloaded"),
    Column("hsdp", 4, {"shard_size": 2}),
    Column("fsdp+tp", 4, {"tensor_parallel": 2}),
    Column("fsdp+pp", 4, {"pipeline_parallel": 2}),
]


OPTIONS: dict[str, Json] = {
    "offload parameters": {"offload": "parameters"},
    "offload optimizer": {"offload": "optimizer"},
    "checkpointing full": {"activation_checkpointing": "full"},
    "checkpointing selective": {"activation_checkpointing": "selective"},
    "average of weights": {"ema_decay": 0.9},
}


NO_OPTIONS: Json = {"offload": "none", "activation_checkpointing": "none", "ema_decay": 0.0}


class Cell(NamedTuple):
    """A model and how it is trained; `reference` is that of one process."""

    family: str
    tied: bool
    vocabulary: int
    optimizer: str
    accumulate: int
    option: str = ""

    @property
    def reference(self) -> str:
        """Options change nothing that is computed, so that they have no reference of their own."""
        tied = "tied" if self.tied else "untied"
        return f"{self.family}-{tied}-{self.vocabulary}-{self.optimizer}"


class Outcome(NamedTuple):
    """What a run came to: weights by name, whole, of those that this rank knows."""

    losses: list[float]
    norms: list[float]
    weights: dict[str, Tensor]


IS_THOROUGH = os.environ.get("THOROUGH") == "1"
KINDS = ((True, False), (DIVISIBLE, NOT_DIVISIBLE), ("adamw", "muon"), (1, 2))
EVERY_PAIR = ((1, 1, 1, 1), (1, 0, 0, 0), (0, 1, 0, 0), (0, 0, 1, 0), (0, 0, 0, 1))
"""Places in KINDS: the fewest rows in which every two values of two kinds meet."""


def matrix() -> Iterator[Cell]:
    """The table of Llama: all that a strategy must keep the same."""
    if IS_THOROUGH:
        kinds = list(product(*KINDS))
    else:
        kinds = [tuple(kind[at] for kind, at in zip(KINDS, row, strict=True)) for row in EVERY_PAIR]
    for tied, vocabulary, optimizer, accumulate in kinds:
        yield Cell("llama", tied, vocabulary, optimizer, accumulate)


def families(column: Column) -> Iterator[Cell]:
    """One cell for each family, tied as its models are, in whose rows documents are packed."""
    for name, family in FAMILIES.items():
        if not (IS_THOROUGH or column.cuts_layers or name in UNLIKE_LLAMA):
            continue
        # Ranks that read different rows draw different numbers than one process.
        if name != WITH_DROPOUT or column.name in {"single", "tp"}:
            yield Cell(name, family.tied, NOT_DIVISIBLE, "adamw", 1)


def options(column: Column) -> Iterator[Cell]:
    """What must change nothing, and an optimizer that knows whole matrices in its own way."""
    if column.name.startswith("zero"):
        return  # DeepSpeed has optimizers and offload of its own
    for name in OPTIONS:
        yield Cell("llama", True, NOT_DIVISIBLE, "adamw", 2, name)
    yield Cell("llama", True, NOT_DIVISIBLE, "adafactor", 2, "adafactor")


class Drawn:
    """Rows of variable length, drawn by step; those of packed sources have two documents."""

    size = 10_000

    def __init__(self, vocabulary: int, *, packed: bool) -> None:
        self._vocabulary = vocabulary
        self._packed = packed

    def rows(self, step: int, numbers: Sequence[int]) -> Batch:
        generator = torch.Generator().manual_seed(1_000 + step)
        shape = (ROWS, TOKENS)
        ids_BT = torch.randint(1, self._vocabulary, shape, generator=generator)
        lengths_B = torch.randint(6, TOKENS + 1, (ROWS,), generator=generator)
        places_BT = torch.arange(TOKENS).expand(shape)
        starts_B = lengths_B // 3
        weights_BT = (
            (places_BT >= starts_B[:, None]) & (places_BT < lengths_B[:, None] - 1)
        ).float()
        targets_BT = torch.roll(ids_BT, -1, 1) * (weights_BT > 0)
        positions_BT = places_BT
        if self._packed:
            is_second_BT = places_BT >= starts_B[:, None]
            positions_BT = torch.where(is_second_BT, places_BT - starts_B[:, None], places_BT)
        rows = torch.tensor(list(numbers))
        return Batch(
            ids_BT=ids_BT[rows],
            targets_BT=targets_BT[rows],
            weights_BT=weights_BT[rows],
            positions_BT=positions_BT[rows],
            documents=2 if self._packed else 1,
            samples=tuple(numbers),
        )

    def state(self) -> Json:
        return {}

    def restore(self, state: Json) -> None: ...


class Heard:
    def __init__(self) -> None:
        self.steps: list[Step] = []

    def after(self, step: Step) -> bool:
        self.steps.append(step)
        return False


def steps_asked() -> int:
    return int(sys.argv[2])


def settings_of(folder: Path, column: Column, cell: Cell) -> Settings:
    """Llama begins from a configuration, other families from a folder with weights."""
    source = folder / cell.reference
    if not source.exists():
        write_model(source, cell)
    begins = "init" if cell.family == "llama" else "model"
    fields = {
        **SETTINGS,
        begins: str(source),
        "strategy": column.name,
        "steps": steps_asked(),
        "batch_size": ROWS,
        "accumulate": cell.accumulate,
        "optimizer": cell.optimizer,
        "learning_rate": 1e-3,
        "checkpoint_every": 0,
        **column.settings,
        **OPTIONS.get(cell.option, {}),
    }
    return Settings(**fields)


def outcome_of(settings: Settings, cell: Cell, ranks: processes.Ranks) -> Outcome:
    on_meta = settings.strategy in ON_META
    model = make_model(settings, cell.vocabulary, on_meta=on_meta)
    strategy = STRATEGIES[settings.strategy](model, settings, ranks)
    check(strategy.in_force(), settings, ranks)
    heard = Heard()
    packed = next(iter(matrix())).family != cell.family
    run(strategy, Drawn(cell.vocabulary, packed=packed), settings, watchers=[heard])
    weights = {name: whole.detach().clone() for name, whole in whole_weights(strategy)}
    losses = [step.loss for step in heard.steps]
    norms = [step.gradient_norm for step in heard.steps]
    return Outcome(losses, norms, weights)


def whole_weights(strategy: Strategy) -> Iterator[tuple[str, Tensor]]:
    """DeepSpeed's state has no weights by name."""
    if isinstance(strategy, ZeroStrategy):
        yield from strategy.whole_weights()
        return
    for name, weight in strategy.state()["model"].items():
        yield name, weight.full_tensor() if is_spread(weight) else weight


@torch.no_grad()
def write_model(folder: Path, cell: Cell) -> None:
    """With biases drawn: those of new models are 0, which has no relative difference."""
    torch.manual_seed(7)
    config = config_of(cell.family, tied=cell.tied, vocabulary=cell.vocabulary)
    model = AutoModelForCausalLM.from_config(config)
    for name, parameter in model.named_parameters():
        if name.endswith(".bias"):
            parameter.normal_(std=0.1)
    model.save_pretrained(folder)


def comparable(name: str, weight: Tensor) -> Tensor:
    """Without GPT-2's biases of keys.

    Softmax does not see them: their gradients are rounding alone, and Adam steps as far for that.
    """
    if name.endswith("c_attn.bias"):
        query, _key, value = weight.chunk(3)
        return torch.cat([query, value])
    return weight


def differences(found: Outcome, reference: Outcome) -> Json:
    """Largest ones: losses as they are, norms relative, weights of each tensor's norm."""
    losses = zip(found.losses, reference.losses, strict=True)
    norms = zip(found.norms, reference.norms, strict=True)
    shifts = [0.0]
    for name, weight in found.weights.items():
        expected = reference.weights.get(name)
        if expected is not None:
            shift = comparable(name, weight - expected).norm()
            shifts.append(float(shift / comparable(name, expected).norm()))
    return {
        "loss": max(abs(one - other) for one, other in losses),
        "norm": max(abs(one - other) / other for one, other in norms),
        "weights": _largest(max(shifts)),
        "compared": len(shifts) - 1,
    }


def _largest(value: float) -> float:
    if not distributed.is_initialized():
        return value
    tensor = torch.tensor(value, dtype=torch.float64)
    distributed.all_reduce(tensor, op=distributed.ReduceOp.MAX)
    return tensor.item()


def walk(folder: Path, ranks: processes.Ranks) -> Iterator[Json]:
    for column in COLUMNS:
        if column.world_size != ranks.world_size or column.name not in STRATEGIES:
            continue
        for cell in [*matrix(), *families(column), *options(column)]:
            if column.families and cell.family not in column.families:
                continue
            line = {"strategy": column.label, "world_size": ranks.world_size, **cell._asdict()}
            try:
                yield {**line, **_measured(folder, column, cell, ranks)}
            except JobError as error:
                yield {**line, "refused": error.message, "kind": error.kind}


def _measured(folder: Path, column: Column, cell: Cell, ranks: processes.Ranks) -> Json:
    settings = settings_of(folder, column, cell)
    path = folder / f"{cell.reference}.pt"
    if column.name == "single" and not path.exists():
        plain = replace(settings, accumulate=1, **NO_OPTIONS)
        first = outcome_of(plain, cell, ranks)
        torch.save(first._asdict(), path)
    reference = Outcome(**torch.load(path))
    return differences(outcome_of(settings, cell, ranks), reference)


def walk_as_rank(folder: Path) -> None:
    die_with_launcher()
    torch.set_num_threads(1)
    torch.use_deterministic_algorithms(True)
    ranks = processes.join()
    try:
        with (folder / "cells.jsonl").open("a", buffering=1) as lines:
            for line in walk(folder, ranks):
                if ranks.is_first:
                    lines.write(json.dumps(line) + "\n")
    finally:
        processes.leave()


def main() -> int:
    os.environ.setdefault("DS_ACCELERATOR", "cpu")
    with suppress(ImportError):  # where it is not installed, its cells say so
        import deepspeed  # noqa: F401  once for all ranks
    work = partial(walk_as_rank, Path(sys.argv[1]))
    for world_size in sys.argv[3:]:
        code = run_ranks(int(world_size), work)
        if code:
            return code
    return 0


if __name__ == "__main__":
    sys.exit(main())
