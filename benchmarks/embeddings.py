"""Texts a second and CPU of our embeddings beside sentence-transformers, on minilm, in one run.

    python benchmarks/embeddings.py [--texts 600] [--rounds 3] [--backends llamacpp,transformers]

The peer computes in its own process, in batches of 32 sorted by length, with nothing in between.
Ours are servers: their figures have HTTP, JSON and base64 in them, for requests of `--a-request`
texts from four clients at once. Each has one thread; rounds take turns. CPU seconds are those of
the process that computes. Vectors are compared one by one.
"""

from __future__ import annotations

import argparse
import base64
import json
import os
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from pathlib import Path
from statistics import median
from typing import NamedTuple

import numpy as np
import psutil
from numpy.typing import NDArray

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
from llmops_cli.core.progress import Silent
from llmops_cli.models.find import find_model
from llmops_cli.runtime.http import Http
from llmops_cli.runtime.paths import cache_dir, recipes_dir
from llmops_cli.serving.start import started
from llmops_cli.serving.target import EngineTarget

PEER = "sentence-transformers==6.2.0"
# Without torch and transformers: those of this Python, as the worker has them.
PEER_PACKAGES = (
    PEER,
    "scikit-learn",
    "scipy",
    "joblib",
    "threadpoolctl",
    "cloudpickle",
    "narwhals",
)
PEER_PROGRAM = """
import json, sys, time
import numpy as np, torch
from sentence_transformers import SentenceTransformer
torch.set_num_threads(1)
model = SentenceTransformer(sys.argv[1], device="cpu")
texts = json.load(open(sys.argv[2]))
print("ready", flush=True)
for line in sys.stdin:
    wall, cpu = time.perf_counter(), time.process_time()
    vectors = model.encode(texts, batch_size=32)
    cost = [time.perf_counter() - wall, time.process_time() - cpu]
    np.save(sys.argv[3], vectors)
    print(json.dumps(cost), flush=True)
"""
CLIENTS = 4
MOST_CHARS = 600
"""Below 256 tokens: what the peer would cut, we refuse."""

Vectors = NDArray[np.float32]


class Cost(NamedTuple):
    wall_s: float
    cpu_s: float


class Round(NamedTuple):
    """Shape of vectors_BD: (texts, 384)."""

    cost: Cost
    vectors_BD: Vectors


Side = Callable[[], Round]


def texts_of(count: int) -> list[str]:
    """Sentences and paragraphs of the held-out text, short and long ones."""
    text = (recipes_dir() / "data" / "heldout.txt").read_text()
    paragraphs = [part.strip() for part in text.split("\n\n")]
    sentences = re.split(r"(?<=[.!?])\s+", text.replace("\n", " "))
    known = [part for part in [*sentences, *paragraphs] if 20 < len(part) <= MOST_CHARS]
    rng = np.random.default_rng(0)
    chosen = rng.choice(len(known), size=count, replace=count > len(known))
    return [known[place] for place in chosen]


def peer_packages() -> Path:
    """Where the peer lies, installed on first use."""
    folder = cache_dir() / "bench-peers" / PEER.replace("==", "-")
    if not (folder / "narwhals").is_dir():
        pip = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps"]
        subprocess.run([*pip, "--target", str(folder), *PEER_PACKAGES], check=True)
    return folder


@contextmanager
def peer(model: str, texts: list[str], work: Path) -> Iterator[Side]:
    texts_file = work / "texts.json"
    texts_file.write_text(json.dumps(texts))
    vectors_file = work / "peer.npy"
    argv = [sys.executable, "-c", PEER_PROGRAM, model, str(texts_file), str(vectors_file)]
    env = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(peer_packages())}
    process = subprocess.Popen(
        argv,
        env=env,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    assert process.stdin is not None
    assert process.stdout is not None
    told, asked = process.stdout, process.stdin
    if told.readline() != "ready\n":
        sys.exit("sentence-transformers does not start")

    def run() -> Round:
        asked.write("go\n")
        asked.flush()
        wall_s, cpu_s = json.loads(told.readline())
        return Round(Cost(wall_s, cpu_s), np.load(vectors_file))

    yield run
    asked.close()
    process.wait(10)


@contextmanager
def ours(
    backend: str,
    texts: list[str],
    work: Path,
    *,
    a_request: int,
) -> Iterator[Side]:
    target = EngineTarget(backend=backend, model="minilm", options={"threads": "1"})
    parts = [texts[start : start + a_request] for start in range(0, len(texts), a_request)]
    with started(target, folder=work, parallel=CLIENTS, progress=Silent()) as server:
        http = Http()
        url = f"{server.url}/v1/embeddings"

        def embed(part: list[str]) -> list[Vectors]:
            body = {"model": server.model, "input": part, "encoding_format": "base64"}
            answer = http.post_json(url, body, timeout_s=300)
            if answer is None:
                sys.exit(f"{backend} refused {len(part)} texts")
            raw = [base64.b64decode(entry["embedding"]) for entry in answer["data"]]
            return [np.frombuffer(each, np.float32) for each in raw]

        def run() -> Round:
            cpu_s = tree_cpu_s(server.pid)
            begun_s = time.perf_counter()
            with ThreadPoolExecutor(CLIENTS) as pool:
                found = [vector for part in pool.map(embed, parts) for vector in part]
            cost = Cost(time.perf_counter() - begun_s, tree_cpu_s(server.pid) - cpu_s)
            return Round(cost, np.array(found))

        yield run


def tree_cpu_s(pid: int | None) -> float:
    root = psutil.Process(pid)
    every = [root, *root.children(recursive=True)]
    times = [each.cpu_times() for each in every]
    return sum(each.user + each.system for each in times)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--texts", type=int, default=600)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--a-request", type=int, default=32)
    parser.add_argument("--backends", default="llamacpp,transformers")
    args = parser.parse_args()
    texts = texts_of(args.texts)
    model = str(find_model("minilm", progress=Silent()).path)
    with ExitStack() as stack:
        work = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        sides = {PEER: stack.enter_context(peer(model, texts, work))}
        for backend in args.backends.split(","):
            side = ours(backend, texts, work, a_request=args.a_request)
            sides[backend] = stack.enter_context(side)
        for run in sides.values():
            run()  # warm
        rounds: dict[str, list[Round]] = {name: [] for name in sides}
        for _ in range(args.rounds):
            for name, run in sides.items():
                rounds[name].append(run())
    show(rounds, len(texts))


def show(rounds: dict[str, list[Round]], count: int) -> None:
    expected_BD = rounds[PEER][0].vectors_BD
    print(f"{count} texts, {len(next(iter(rounds.values())))} rounds, medians, one thread each")
    print("| | texts/s | CPU ms a text | least cosine |\n|---|---:|---:|---:|")
    for name, found in rounds.items():
        wall_s = median(each.cost.wall_s for each in found)
        cpu_s = median(each.cost.cpu_s for each in found)
        cosines_B = (found[0].vectors_BD * expected_BD).sum(axis=1)
        cosine = f"{cosines_B.min():.6f}"
        print(f"| {name} | {count / wall_s:.0f} | {1e3 * cpu_s / count:.2f} | {cosine} |")


if __name__ == "__main__":
    main()
