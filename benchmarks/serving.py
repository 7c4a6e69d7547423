"""Continuous batching against its peers, in one run on one machine.

Peers: `python -m llama_cpp.server` (serial), llama.cpp's own llama-server (--llama-server PATH,
built from the sources inside the llama-cpp-python sdist), and a bare batched llama_decode loop (the
ceiling). All serve the same random-weight Llama of 0.5B parameters; 16 streams of 64 tokens unless
told otherwise.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import socket
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
from benchmarks.random_model import make
from llmops_cli.bench.vocabulary import WORDS
from llmops_cli.core.artifact import Artifact
from llmops_cli.core.progress import Silent
from llmops_cli.quantize.recipe import QuantizeRecipe
from llmops_cli.quantize.run import quantize
from llmops_cli.runtime.paths import WORKERS

PROMPT_WORDS = 24
TOKENS = 64
SHARED_WORDS = 256  # about two tokens a word in this tokenizer: a 512-token prefix


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextmanager
def server(argv: list[str], port: int) -> Iterator[str]:
    with tempfile.TemporaryFile() as log:
        process = subprocess.Popen(argv, stdout=log, stderr=log)
        url = f"http://127.0.0.1:{port}"
        try:
            for _ in range(1200):
                try:
                    urllib.request.urlopen(f"{url}/v1/models", timeout=2).read()
                    break
                except (OSError, urllib.error.URLError):
                    if process.poll() is not None:
                        log.seek(0)
                        raise RuntimeError(log.read().decode()[-2000:]) from None
                    time.sleep(0.1)
            yield url
        finally:
            process.terminate()
            process.wait(20)


def peers(
    gguf: Path, llama_server: str | None, streams: int, threads: int
) -> dict[str, tuple[list[str], int]]:
    ports = [free_port() for _ in range(3)]
    ctx = 1024
    found = {
        "llmops": [
            sys.executable,
            str(WORKERS),
            "llamacpp.server",
            "--model",
            str(gguf),
            "--port",
            str(ports[0]),
            "--parallel",
            str(streams),
            "--ctx",
            str(ctx),
            "--threads",
            str(threads),
        ],
        "llama_cpp.server": [
            sys.executable,
            "-m",
            "llama_cpp.server",
            "--model",
            str(gguf),
            "--port",
            str(ports[1]),
            "--n_ctx",
            str(ctx),
            "--n_threads",
            str(threads),
            "--n_threads_batch",
            str(threads),
            "--verbose",
            "false",
            "--interrupt_requests",
            "false",
        ],
    }
    if llama_server:
        found["llama-server"] = [
            llama_server,
            "-m",
            str(gguf),
            "--port",
            str(ports[2]),
            "-np",
            str(streams),
            "-c",
            str(ctx * streams),
            "-t",
            str(threads),
            "--no-webui",
        ]
    return {name: (argv, port) for (name, argv), port in zip(found.items(), ports, strict=False)}


def prompts(count: int, *, shared: int, seed: int) -> list[str]:
    rng = random.Random(seed)
    head = " ".join(random.Random(7).choices(WORDS, k=shared))
    return [
        (head + " " if shared else "") + " ".join(rng.choices(WORDS, k=PROMPT_WORDS))
        for _ in range(count)
    ]


def load(url: str, texts: list[str]) -> dict[str, float]:
    """All at once; aggregate tokens/s from the first send to the last token, and TTFT p50."""
    with tempfile.TemporaryDirectory() as folder:
        prompts_file = Path(folder) / "prompts.jsonl"
        prompts_file.write_text("".join(json.dumps({"prompt": text}) + "\n" for text in texts))
        argv = [
            sys.executable,
            "-m",
            "llmops_cli",
            "bench",
            "--url",
            url,
            "--model",
            "model",
            "--api",
            "completions",
            "--burst",
            str(len(texts)),
            "--dataset",
            str(prompts_file),
            "--output-tokens",
            str(TOKENS),
            "--warmup",
            "0",
            "--body",
            "ignore_eos=true",
            "--timeout-s",
            "600",
            "--json",
            "-o",
            f"{folder}/run",
        ]
        run = subprocess.run(argv, capture_output=True, text=True, check=False)
    if run.returncode:
        raise RuntimeError(run.stderr[-500:])
    (level,) = json.loads(run.stdout)["levels"]
    if level["errors"]:
        raise RuntimeError(str(level["error_kinds"]))
    return {
        "tokens_per_s": level["output_tokens_per_s"],
        "ttft_p50_ms": level["ttft_ms"]["p50"],
        "prompt_tokens": level["input_tokens"] / level["requests"],
    }


BARE = """
import ctypes, json, sys, time, numpy as np, llama_cpp as L
path, streams, prompt, tokens, threads = sys.argv[1], *map(int, sys.argv[2:6])
cb = L.llama_log_callback(lambda *a: None)
L.llama_log_set(cb, ctypes.c_void_p(0)); L.llama_backend_init()
m = L.llama_model_load_from_file(path.encode(), L.llama_model_default_params())
V = L.llama_vocab_n_tokens(L.llama_model_get_vocab(m))
p = L.llama_context_default_params()
p.n_ctx, p.n_batch, p.n_ubatch, p.n_seq_max = 1024 * streams, 512, 512, streams
p.kv_unified, p.flash_attn_type, p.n_threads, p.n_threads_batch = True, 1, threads, threads
c = L.llama_init_from_model(m, p); b = L.llama_batch_init(512, 0, 1)
def decode(items):
    for i, (t, q, s, w) in enumerate(items):
        b.token[i], b.pos[i], b.n_seq_id[i], b.logits[i] = t, q, 1, w
        b.seq_id[i][0] = s
    b.n_tokens = len(items)
    assert L.llama_decode(c, b) == 0
rng = np.random.default_rng(0)
def once():
    L.llama_memory_clear(L.llama_get_memory(c), True)
    rows = []
    for s in range(streams):
        rows += [(s, i, int(t)) for i, t in enumerate(rng.integers(300, V, prompt))]
    items = [(t, i, s, i == prompt - 1) for s, i, t in rows]
    start = time.monotonic()
    last = [0] * streams
    for at in range(0, len(items), 512):
        part = items[at:at + 512]
        decode(part)
        for i, (_, _, s, w) in enumerate(part):
            if w:
                last[s] = int(np.ctypeslib.as_array(L.llama_get_logits_ith(c, i), (V,)).argmax())
    first = time.monotonic()
    for k in range(tokens - 1):
        decode([(last[s], prompt + k, s, True) for s in range(streams)])
        rows = np.ctypeslib.as_array(L.llama_get_logits(c), (streams, V)).argmax(1)
        last = [int(x) for x in rows]
    took = time.monotonic() - start
    return {"tokens_per_s": streams * tokens / took, "ttft_p50_ms": (first - start) * 1e3}
once()
print(json.dumps([once() for _ in range(int(sys.argv[6]))]))
"""


def bare(gguf: Path, streams: int, prompt: int, threads: int) -> list[dict[str, float]]:
    argv = [sys.executable, "-c", BARE, str(gguf), *map(str, (streams, prompt, TOKENS, threads, 1))]
    return json.loads(subprocess.run(argv, capture_output=True, text=True, check=True).stdout)


def median(runs: list[dict[str, float]]) -> dict[str, float]:
    return {
        key: statistics.median(run[key] for run in runs) for key in ("tokens_per_s", "ttft_p50_ms")
    }


def compare(gguf: Path, scheme: str, args: argparse.Namespace) -> dict[str, dict[str, float]]:
    """Rounds go peer by peer in turn, so that a slow minute of the machine hits all of them."""
    runs: dict[str, list[dict[str, float]]] = {}
    for round_ in range(args.rounds):
        for name, (argv, port) in peers(
            gguf, args.llama_server, args.streams, args.threads
        ).items():
            with server(argv, port) as url:
                load(url, prompts(1, shared=0, seed=99))
                runs.setdefault(name, []).append(
                    load(url, prompts(args.streams, shared=0, seed=round_))
                )
                if name == "llmops":
                    runs.setdefault("llmops 1 stream", []).append(
                        load(url, prompts(1, shared=0, seed=50))
                    )
        prompt = int(
            runs["llmops"][-1]["prompt_tokens"]
        )  # the loop reads prompts as long as the servers do
        runs.setdefault("bare loop", []).extend(bare(gguf, args.streams, prompt, args.threads))
        runs.setdefault("bare loop 1 stream", []).extend(bare(gguf, 1, prompt, args.threads))
    found = {name: median(values) for name, values in runs.items()}
    ours = found["llmops"]
    print(f"\n{scheme}: {args.streams} streams x {TOKENS} tokens, median of {args.rounds}")
    for name, values in found.items():
        print(
            f"  {name:20} {values['tokens_per_s']:8.1f} tokens/s   TTFT p50 "
            f"{values['ttft_p50_ms']:8.0f} ms"
        )
    for name in ("llama_cpp.server", "llama-server", "bare loop"):
        if name in found:
            print(
                f"  llmops / {name:17} {ours['tokens_per_s'] / found[name]['tokens_per_s']:.2f}x "
                f"tokens/s, "
                f"{ours['ttft_p50_ms'] / found[name]['ttft_p50_ms']:.2f}x TTFT"
            )
    one = found["llmops 1 stream"]["tokens_per_s"] / found["bare loop 1 stream"]["tokens_per_s"]
    print(f"  1 stream: llmops / bare loop {one:.2f}x")
    return found


def prefix(gguf: Path, args: argparse.Namespace) -> dict[str, float]:
    speeds = {}
    for name, extra in (("reuse", []), ("no reuse", ["--no-prefix-reuse"])):
        argv, port = peers(gguf, None, args.streams, args.threads)["llmops"]
        with server([*argv, *extra], port) as url:
            speeds[name] = load(url, prompts(args.streams, shared=SHARED_WORDS, seed=0))[
                "tokens_per_s"
            ]
    ratio = speeds["reuse"] / speeds["no reuse"]
    print(
        f"\n512-token shared prefix, {args.streams} streams, tokens/s: {speeds['reuse']:.1f} "
        f"with reuse, ",
        end="",
    )
    print(f"{speeds['no reuse']:.1f} without, {ratio:.1f}x")
    return speeds


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--llama-server", default=os.environ.get("LLAMA_SERVER"))
    parser.add_argument("--schemes", default="F16,Q8_0,Q4_K_M")
    parser.add_argument("--streams", type=int, default=16)
    parser.add_argument("--threads", type=int, default=len(os.sched_getaffinity(0)))
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument(
        "--work", type=Path, default=Path(tempfile.gettempdir()) / "llmops-benchmarks"
    )
    parser.add_argument("--no-prefix", action="store_true")
    args = parser.parse_args()
    source = make(args.work / "llama-0.5b")
    recipe = QuantizeRecipe(scheme=args.schemes.split(","), imatrix="none", quality=False)
    artifact = Artifact(
        reference="llama-0.5b", format="hf", path=str(source), digest="sha256:benchmark-llama-0.5b"
    )
    report = quantize(recipe, {}, artifact, folder=args.work, progress=Silent())
    for made in report.artifacts:
        compare(Path(made.path), made.scheme, args)
    if not args.no_prefix:
        prefix(Path(report.artifacts[0].path), args)


if __name__ == "__main__":
    main()
