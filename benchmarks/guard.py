"""The guard: shares flagged on labelled texts (--data JSONL, not ours to keep), its time, hostile
input, personal data.

The rules are written, not fitted, so a source's figures are as good as held out; `guard eval`
prints them all.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
from llmops_cli.guard.check import Guard
from llmops_cli.guard.evaluation.rates import DetectionRates, evaluate, read_rows
from llmops_cli.guard.injection import scan
from llmops_cli.guard.personal import find
from tests.hostile import TEXTS
from tests.unit.guard.test_check import SET


def per_kb(run: Callable[[str], object], text: str) -> float:
    start = time.perf_counter()
    run(text)
    return (time.perf_counter() - start) * 1e6 / (len(text.encode(errors="replace")) / 1024)


def print_rates(name: str, rates: DetectionRates) -> None:
    """Shares flagged with 95 % intervals, one line for attacks and one for honest texts."""
    for kind, share, interval, count in (
        ("attack", rates.tpr, rates.tpr_ci95, rates.n_attack),
        ("honest", rates.fpr, rates.fpr_ci95, rates.n_benign),
    ):
        if share is not None and interval is not None:
            low, high = interval
            print(f"{name:36s} {kind}  {share:7.2%} ({low:.2%} to {high:.2%}) of {count}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path)
    parser.add_argument("--role", default="user", help="whose texts they are")
    args = parser.parse_args()
    if args.data:
        found = evaluate(Guard(), read_rows(args.data), role=args.role)
        for kind, groups in (("family", found.families), ("source", found.sources)):
            for name, rates in groups.items():
                print_rates(f"{kind} {name}", rates)
        print_rates("all", found.overall)
        spent = found.us_per_kb
        print(f"us per KB: {spent.p50} at the median, {spent.p95} at p95")
    print("hostile input, us per KB at 16 KB, 128 KB, 1 MB (linear if it does not grow)")
    for name, make in TEXTS.items():
        scan(make(4096))
        print(
            f"  {name:22s}"
            + "".join(f"{per_kb(scan, make(n)):8.0f}" for n in (1 << 14, 1 << 17, 1 << 20))
        )
    texts = [text for text, _ in SET]
    prose = (Path(__file__).parent.parent / "recipes" / "data" / "heldout.txt").read_text()
    for text in [*texts, prose]:
        find(text)
    start = time.perf_counter()
    size = sum(len(text.encode()) for text in texts) / 1024
    for text in texts:
        find(text)
    spent = (time.perf_counter() - start) * 1e6 / size
    print(
        f"personal data: {spent:.0f} us per KB on the labelled set, a line at a time; "
        f"{per_kb(find, prose):.0f} on prose"
    )


if __name__ == "__main__":
    main()
