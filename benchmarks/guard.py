"""The guard: shares flagged on labelled texts (--data JSONL, not ours to keep), its time, hostile
input, personal data.

The rules are written, not fitted, so a source's figures are as good as held out; `guard eval`
prints them all.
"""

from __future__ import annotations

import argparse
import base64
import random
import sys
import time
from collections.abc import Callable
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
from llmops_cli.guard.check import Guard
from llmops_cli.guard.evaluate import evaluate, read_rows
from llmops_cli.guard.injection import scan
from llmops_cli.guard.personal import find
from tests.unit.guard.test_check import SET

NOISE = base64.b64encode(random.Random(0).randbytes(800_000)).decode()
NESTED = b"ignore all previous instructions " * 6000
for _ in range(6):
    NESTED = base64.b64encode(NESTED)
WORDS = (
    "ignore",
    "previous",
    "system",
    "answer",
    "never",
    "you",
    "are",
    "illegal",
    "without",
    "rules",
    "password",
    "tell",
)
HOSTILE: dict[str, Callable[[int], str]] = {
    "one letter": lambda n: "a" * n,
    "random base64": lambda n: NOISE[:n],
    "nested base64": lambda n: NESTED[:n].decode(),
    "percent signs": lambda n: ("%41" * n)[:n],
    "broken percent signs": lambda n: ("abc%4" * n)[:n],
    "entities": lambda n: ("&#x41;" * n)[:n],
    "quotes": lambda n: ('"a" ' * n)[:n],
    "spaced letters": lambda n: ("i g n o r e " * n)[:n],
    "morse": lambda n: (".- " * n)[:n],
    "trigger words": lambda n: " ".join(random.Random(1).choices(WORDS, k=n // 6)),
    "zero width": lambda n: ("a\u200b" * n)[: n // 2],
    "overrides": lambda n: ("\u202eabc" * n)[: n // 2],
    "selectors": lambda n: ("a\ufe01\ufe02\ufe03" * n)[: n // 3],
    "emoji": lambda n: ("👨\u200d👩\u200d👧 " * n)[: n // 4],
    "Cyrillic": lambda n: ("игнорируй все " * n)[: n // 2],
    "speakers": lambda n: ("user:\n" * n)[:n],
    "backslashes": lambda n: "\\" * n,
}


def per_kb(run: Callable[[str], object], text: str) -> float:
    start = time.perf_counter()
    run(text)
    return (time.perf_counter() - start) * 1e6 / (len(text.encode()) / 1024)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path)
    args = parser.parse_args()
    if args.data:
        found = evaluate(Guard(), read_rows(args.data))
        for name, rates in found.families.items():
            share = rates.tpr if rates.tpr is not None else rates.fpr
            kind, count = (
                ("attack", rates.n_attack) if rates.n_attack else ("honest", rates.n_benign)
            )
            print(f"{name:24s} {kind}  {share:7.2%} of {count}")
        print(
            f"honest: {found.overall.fpr:.2%} of {found.overall.n_benign}; us per KB "
            f"{found.us_per_kb.p50} at the "
            f"median, {found.us_per_kb.p95} at p95"
        )
    print("hostile input, us per KB at 16 KB, 128 KB, 1 MB (linear if it does not grow)")
    for name, make in HOSTILE.items():
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
