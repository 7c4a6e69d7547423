"""Orders planted in documents and results of tools: shares flagged of own forms, each in several
carriers, and of own honest documents. `--rows` writes them as lines for `llmops guard eval`.

What the acts were adjusted on is `dev`; `held_out` was written before them and is only counted.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
from benchmarks.guard import print_rates
from llmops_cli.guard.check import Guard
from llmops_cli.guard.evaluation.rates import LabelledText, evaluate
from llmops_cli.runtime.yaml_text import load_yaml

FOLDER = Path(__file__).with_name("orders")
PARTS = ("dev", "held_out")
CARRIERS_EACH = 3


def planted(part: str) -> Iterator[LabelledText]:
    """Each order in some of the carriers, so that all carriers come about equally often."""
    carriers = list(_data("carriers").items())
    place = 0
    for act, orders in _data("attacks")[part].items():
        for order in orders:
            for _ in range(CARRIERS_EACH):
                name, carrier = carriers[place % len(carriers)]
                place += 1
                yield LabelledText(_filled(carrier, order), "attack", act, name)


def honest(part: str) -> Iterator[LabelledText]:
    for kind, texts in _data("honest")[part].items():
        for text in texts:
            yield LabelledText(text, "benign", kind, "honest")


def _data(name: str) -> dict[str, Any]:  # Any: YAML
    found: dict[str, Any] = load_yaml((FOLDER / f"{name}.yaml").read_bytes())
    return found


def _filled(carrier: str, order: str) -> str:
    quoted = json.dumps(order, ensure_ascii=False)
    return carrier.replace("{json}", quoted).replace("{order}", order)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--role", default="document")
    parser.add_argument("--rows", type=Path, help="write the texts to this file and stop")
    parser.add_argument("--misses", action="store_true", help="print what was decided wrongly")
    args = parser.parse_args()
    guard = Guard()
    for part in PARTS:
        rows = [*planted(part), *honest(part)]
        if args.rows:
            lines = [
                json.dumps({key: getattr(row, key) for key in row.__struct_fields__})
                for row in rows
            ]
            args.rows.with_suffix(f".{part}.jsonl").write_text("\n".join(lines) + "\n")
            continue
        found = evaluate(guard, rows, role=args.role)
        print_rates(f"{part} all", found.overall)
        for kind, groups in (("family", found.families), ("source", found.sources)):
            for name, rates in groups.items():
                print_rates(f"{part} {kind} {name}", rates)
        if args.misses:
            _print_misses(guard, rows, args.role)


def _print_misses(guard: Guard, rows: list[LabelledText], role: str) -> None:
    for row in rows:
        decision = guard.check_input(row.text, role=role)
        if decision.flagged != row.is_attack:
            acts = ", ".join(f"{item.rule} {item.score:g}" for item in decision.findings)
            print(f"{row.label} {row.source} {row.family}: {row.text[:300]!r}\n    {acts}")


if __name__ == "__main__":
    main()
