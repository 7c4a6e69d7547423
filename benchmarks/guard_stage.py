"""Fits the guard's shipped stage, and says what it is worth on texts that it never saw.

    python benchmarks/guard_stage.py --data guard.jsonl --honest manuals.jsonl --write
    python benchmarks/guard_stage.py --data guard.jsonl           # only count, with what is there

It learns from texts of our own (benchmarks/guard_pairs, each file another writer, who saw neither
the rules nor the other files; tests/data without the halves that are only counted) and from the
honest texts of --data and of --honest (pieces of manuals, licences and sources of an installed
system), whose rows are others' and stay where they are. It never sees the attacks of --data, nor
held_out*.jsonl, nor benchmarks/orders, nor the halves that are only counted.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import shutil
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

from msgspec import structs
from rich.console import Console

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
from benchmarks.orders import PARTS, honest, planted
from llmops_cli.core.progress import Silent
from llmops_cli.guard.check import Guard
from llmops_cli.guard.evaluation.rates import LabelledText, rates_of, read_rows
from llmops_cli.guard.learnt.model import CARD, MODEL, SHIPPED, WEIGHTS
from llmops_cli.guard.learnt.report import GuardTrainReport, recipe_of
from llmops_cli.guard.learnt.show import train_table
from llmops_cli.guard.learnt.train import train_stage
from llmops_cli.guard.models import rules_alone
from llmops_cli.guard.policy import DEFAULT
from llmops_cli.runtime.runs import RunFolder
from tests.unit.guard.test_fresh import CASES

PAIRS = Path(__file__).parent / "guard_pairs"
HELD_OUT = "held_out"
HELD_HALF = "held"
ANSWER = "answer"
FALSE_ALARMS = 0.022
"""Of the honest texts that it learns from, of which most are as near to an attack as can be."""


def own_rows() -> Iterator[tuple[LabelledText, bool]]:
    """Each with whether it is only counted."""
    for path in sorted(PAIRS.glob("*.jsonl")):
        for row in read_rows(path):
            yield row, path.stem.startswith(HELD_OUT)
    for part in PARTS:
        for row in (*planted(part), *honest(part)):
            yield structs.replace(row, source=f"orders_{part}", role="document"), True
    for case in CASES:
        if case.role == ANSWER:
            continue
        label = "attack" if case.label == "attack" else "benign"
        text = "\n".join(case.texts)
        half = case.half.split()[0]
        row = LabelledText(text, label, family=case.kind, source=half, role=case.role)
        yield row, HELD_HALF in case.half


def fit(others: list[Path]) -> GuardTrainReport:
    """In the current folder, so that its card names no other."""
    rows = [row for row, is_held in own_rows() if not is_held]
    for path in others:
        rows += [row for row in read_rows(path) if not row.is_attack]
    path = Path("texts.jsonl")
    with path.open("w") as written:
        for row in rows:
            fields = {name: getattr(row, name) for name in row.__struct_fields__}
            written.write(json.dumps(fields) + "\n")
    recipe = recipe_of(path, false_alarms=FALSE_ALARMS, seed=None)
    run = RunFolder("guard-train", "texts", chosen=Path("stage"))
    return train_stage(recipe, run, progress=Silent())


def count(data: Path | None) -> None:
    """Rules alone, and with the stage that the package has."""
    held = [row for row, is_held in own_rows() if is_held]
    seen = [row for row, is_held in own_rows() if not is_held]
    groups = {"held out": held, "learnt from": seen}
    if data is not None:
        groups["--data"] = list(read_rows(data))
    for name, rows in groups.items():
        for said, guard in (("rules", Guard(rules_alone(DEFAULT))), ("both", Guard())):
            verdicts = [
                (row, guard.check_input(row.text, role=row.role or "user").flagged) for row in rows
            ]
            sources = {row.source for row in rows} if name == "held out" else set()
            for source in [*sorted(sources), None]:
                told = [pair for pair in verdicts if source in (None, pair[0].source)]
                found = rates_of(told)
                print(f"{name:12s} {source or 'all':14s} {said:6s}", end="")
                for share, interval, number in (
                    (found.tpr, found.tpr_ci95, found.n_attack),
                    (found.fpr, found.fpr_ci95, found.n_benign),
                ):
                    if share is not None and interval is not None:
                        low, high = interval
                        print(f"  {share:7.2%} ({low:.1%} to {high:.1%}) of {number}", end="")
                print()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path)
    parser.add_argument("--honest", type=Path)
    parser.add_argument("--write", action="store_true", help="into the package")
    args = parser.parse_args()
    if args.write:
        given = [path.resolve() for path in (args.data, args.honest) if path is not None]
        with tempfile.TemporaryDirectory() as folder, contextlib.chdir(folder):
            report = fit(given)
            Console(width=170).print(train_table(report))
            SHIPPED.mkdir(exist_ok=True)
            for name in (MODEL, WEIGHTS, CARD):
                shutil.copyfile(Path(report.folder) / name, SHIPPED / name)
    count(args.data)


if __name__ == "__main__":
    main()
