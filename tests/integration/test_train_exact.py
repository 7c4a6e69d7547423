"""Every strategy is equal to one process: losses, norms of gradients, final weights.

`python -m tests.integration.test_train_exact > docs/TRAINING_EXACTNESS.md` writes the table.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import unmeasured

PROGRAM = Path(__file__).resolve().parent.parent / "train_cells.py"
LAUNCHES = ((1, 2), (4,))
"""World sizes that one program walks."""
LOSS_BOUND = 1e-5
NORM_BOUND = 1e-5
WEIGHTS_BOUND = 1e-4
LAUNCH_TIMEOUT_S = 1700
STEPS = 6 if os.environ.get("THOROUGH") == "1" else 4
PAGE_STEPS = 8
Line = dict[str, Any]
pytestmark = [pytest.mark.slow, pytest.mark.timeout(1800), pytest.mark.xdist_group("train-exact")]


def launch(folder: Path, world_sizes: Sequence[int], steps: int) -> None:
    argv = [sys.executable, str(PROGRAM), str(folder), str(steps), *map(str, world_sizes)]
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "TOKENIZERS_PARALLELISM": "false"}
    if max(world_sizes) > 2:  # two ranks have gone through nearly the same lines
        environment = unmeasured(environment)
    done = subprocess.run(
        argv,
        env=environment,
        capture_output=True,
        text=True,
        timeout=LAUNCH_TIMEOUT_S,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-6000:]


def walked(folder: Path, steps: int) -> list[Line]:
    for world_sizes in LAUNCHES:
        launch(folder, world_sizes, steps)
    text = (folder / "cells.jsonl").read_text()
    return [json.loads(line) for line in text.splitlines()]


@pytest.fixture(scope="module")
def lines(tmp_path_factory: pytest.TempPathFactory) -> list[Line]:
    found = walked(tmp_path_factory.mktemp("cells"), STEPS)
    print("\n".join(page(found)))
    return found


def test_every_cell_equals_one_process(lines: list[Line]) -> None:
    measured = [line for line in lines if "refused" not in line]
    assert [describe(line) for line in measured if not is_equal(line)] == []
    assert all(line["compared"] > 0 for line in measured)


def test_no_cell_of_adamw_is_refused(lines: list[Line]) -> None:
    plain = [line for line in lines if line["optimizer"] == "adamw" and not line["option"]]
    refused = [line for line in plain if "refused" in line]
    missing = [line for line in refused if line["kind"] == "EnvironmentMissing"]
    assert [describe(line) for line in refused if line not in missing] == []


def test_the_strategies_of_this_repository_are_all_there(lines: list[Line]) -> None:
    expected = {"single", "ddp", "fsdp", "hsdp", "tp", "pp", "fsdp+tp", "fsdp+pp"}
    assert expected <= {line["strategy"] for line in lines}


def is_equal(line: Line) -> bool:
    return (
        line["loss"] <= LOSS_BOUND
        and line["norm"] <= NORM_BOUND
        and line["weights"] <= WEIGHTS_BOUND
    )


def describe(line: Line) -> str:
    tied = "tied" if line["tied"] else "untied"
    result = line.get("refused") or figures(line)
    return (
        f"{line['strategy']} {line['family']} {tied} vocabulary {line['vocabulary']} "
        f"{line['optimizer']} accumulate {line['accumulate']} {line['option']}: {result}"
    )


def figures(line: Line) -> str:
    return f"{line['loss']:.1e} / {line['norm']:.1e} / {line['weights']:.1e}"


def page(lines: Iterable[Line]) -> Iterator[str]:
    """The table in Markdown."""
    lines = list(lines)
    yield HEAD
    llama = [line for line in lines if line["family"] == "llama"]
    yield from matrix_table([line for line in llama if not line["option"]])
    yield ""
    yield "## One cell a family, from a folder, documents packed in rows, AdamW"
    yield ""
    yield from wide_table([line for line in lines if line["family"] != "llama"], "family")
    yield ""
    yield "## One cell an option, Llama, tied, accumulate 2"
    yield ""
    yield from wide_table([line for line in llama if line["option"]], "option")


def matrix_table(lines: list[Line]) -> Iterator[str]:
    yield "| strategy | ranks | optimizer | embedding | vocabulary | accumulate 1 | accumulate 2 |"
    yield "|---|---|---|---|---|---|---|"
    rows: dict[tuple[Any, ...], list[str]] = {}
    for line in lines:
        divides = "divides" if line["vocabulary"] % 4 == 0 else "does not"
        tied = "tied" if line["tied"] else "untied"
        key = (line["strategy"], line["world_size"], line["optimizer"], tied, divides)
        rows.setdefault(key, []).append(line.get("refused") or figures(line))
    for key, cells in rows.items():
        yield "| " + " | ".join([*map(str, key), *cells]) + " |"


def wide_table(lines: list[Line], field: str) -> Iterator[str]:
    """One row a strategy, one column for each value of `field`."""
    names = list(dict.fromkeys(line[field] for line in lines))
    yield "| strategy | ranks | " + " | ".join(names) + " |"
    yield "|---|---|" + "---|" * len(names)
    rows: dict[tuple[str, int], dict[str, str]] = {}
    for line in lines:
        key = (line["strategy"], line["world_size"])
        rows.setdefault(key, {})[line[field]] = line.get("refused") or figures(line)
    for (strategy, ranks), cells in rows.items():
        shown = [cells.get(name, "not run") for name in names]
        yield f"| {strategy} | {ranks} | " + " | ".join(shown) + " |"


HEAD = """# How equal the strategies of `llmops train` are to one process

Made by `python -m tests.integration.test_train_exact`; `make thorough` holds the bounds over six
steps of each cell, `make test` over four of those in which every two kinds meet. Each cell is eight
steps in f32 of a tiny model (2 layers, 8 rows of 6 to 20 tokens, parts of each masked, clipping
on), by gloo on CPU cores, against the same steps in one process:

- the largest difference of a loss (bound 1e-5),
- the largest relative difference of a gradient's norm (bound 1e-5),
- the largest difference of a final weight, of each tensor's norm (bound 1e-4).

## Llama
"""


if __name__ == "__main__":
    os.environ["THOROUGH"] = "1"
    with tempfile.TemporaryDirectory() as temporary:
        print("\n".join(page(walked(Path(temporary), PAGE_STEPS))))
