"""How fast train.index finds the rows of a corpus, and with how much memory.

Usage: python benchmarks/train_index.py [--gigabytes N] [--kind KIND] [--share S] [--keep FOLDER]
"""

from __future__ import annotations

import argparse
import json
import random
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
WORKERS = ROOT / "llmops_cli" / "workers"
WORDS = ("the", "of", "and", "to", "a", "in", "is", "it", "été", "was", "for", "北京", "they")
MEGABYTE = 1 << 20
KINDS = ("chats", "texts", "short", "text")

CHILD = """
import sys, time
sys.path.insert(0, sys.argv[1])
from pathlib import Path
from _shared.protocol import peak_rss_bytes
from train.data.files import File, kind_of
from train.data.index import indexed
path = Path(sys.argv[2])
before_bytes = peak_rss_bytes()
start_s = time.process_time()
begin_s = time.monotonic()
indexed(
    File(path, kind_of(path)),
    Path(sys.argv[3]),
    piece_bytes=65536,
    report=lambda *_: None,
    share=float(sys.argv[4]),
)
cpu_s = time.process_time() - start_s
print(cpu_s, time.monotonic() - begin_s, before_bytes, peak_rss_bytes())
"""


def words(count: int, rng: random.Random) -> str:
    return " ".join(rng.choices(WORDS, k=count))


def row(kind: str, rng: random.Random) -> str:
    if kind == "text":
        return words(rng.randint(5, 300), rng)
    if kind == "short":
        value: object = {"text": words(8, rng)}
    elif kind == "texts":
        value = {"text": words(rng.randint(100, 900), rng)}
    else:
        question = {"role": "user", "content": words(rng.randint(5, 120), rng)}
        answer = {"role": "assistant", "content": words(rng.randint(20, 250), rng) + '\n"quoted"'}
        value = {"messages": [question, answer]}
    return json.dumps(value, ensure_ascii=rng.random() < 0.5)


def make_corpus(path: Path, kind: str, size_bytes: int) -> None:
    """Blocks of different rows, again and again, each time with the rows in another order."""
    rng = random.Random(0)
    rows = [row(kind, rng) for _ in range(20_000)]
    with path.open("wb") as file:
        while file.tell() < size_bytes:
            rng.shuffle(rows)
            block = "\n".join(rows) + "\n"
            file.write(block.encode())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--gigabytes", type=float, default=1.0)
    parser.add_argument("--kind", choices=KINDS, action="append")
    parser.add_argument("--share", type=float, default=0.0, help="for validation")
    parser.add_argument("--keep", type=Path, help="make the corpora here, and leave them")
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        folder = asked.keep or Path(scratch)
        folder.mkdir(parents=True, exist_ok=True)
        for kind in asked.kind or KINDS:
            suffix = "txt" if kind == "text" else "jsonl"
            path = folder / f"{kind}-{asked.gigabytes:g}GB.{suffix}"
            if not path.exists():
                make_corpus(path, kind, int(asked.gigabytes * 1e9))
            for cache in ("first", "again"):
                measure(kind, path, Path(scratch) / "cache", cache, asked.share)


def measure(kind: str, path: Path, cache: Path, which: str, share: float) -> None:
    command = [sys.executable, "-c", CHILD, str(WORKERS), str(path), str(cache), str(share)]
    started_s = time.monotonic()
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    whole_s = time.monotonic() - started_s
    cpu_s, wall_s, before_bytes, peak_bytes = map(float, done.stdout.split())
    megabytes = path.stat().st_size / 1e6
    print(
        f"{kind:6} {which:6} {megabytes:7.0f} MB: {megabytes / max(cpu_s, 1e-9):10,.0f} MB per"
        f" CPU s, {megabytes / max(wall_s, 1e-9):10,.0f} MB/s, process {whole_s:.1f} s,"
        f" memory {before_bytes / MEGABYTE:.0f} -> {peak_bytes / MEGABYTE:.0f} MB",
        flush=True,
    )


if __name__ == "__main__":
    main()
