"""`llmops serve`'s llama.cpp engine beside llama.cpp's own llama-server, in one run.

    python benchmarks/llama_server.py --llama-server PATH [--model smollm2] [--scheme F16]
        [--streams 1,8,32] [--rounds 5] [--tokens 64] [--cases plain,prefix,schema,drafts]
        [--threads 2]

Both hold the same file with the same threads and as much context a stream, and are asked in turn
with the same new words each round; the median of the rounds' ratios counts. CPU seconds are those
of the whole server; on a machine with other work they say more, with `--threads 1`, where no
thread waits for another by spinning. `drafts` has both guess
by n-grams (llama-server's ngram-simple, lookup of 3 and drafts of 8) where answers copy the prompt.
"""

from __future__ import annotations

import argparse
import json
import random
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from pathlib import Path
from statistics import median
from typing import Any, NamedTuple

import psutil

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
from benchmarks.structured import SCHEMA
from llmops_cli.bench.vocabulary import WORDS
from llmops_cli.core.artifact import Artifact
from llmops_cli.core.progress import Silent
from llmops_cli.models.convert import as_hf
from llmops_cli.models.find import find_model
from llmops_cli.quantize.recipe import QuantizeRecipe
from llmops_cli.quantize.run import quantize
from llmops_cli.serving.start import started
from llmops_cli.serving.target import EngineTarget

CONTEXT_TOKENS = 1024
PROMPT_WORDS = 48
PREFIX_WORDS = 400
COPIED_WORDS = 24
START_ATTEMPTS = 600
DRAFT_TOKENS = 8


class Server(NamedTuple):
    url: str
    processes: list[psutil.Process]

    def cpu_s(self) -> float:
        times = [each.cpu_times() for each in self.processes]
        return sum(each.user + each.system for each in times)


def gguf_of(model: str, scheme: str, folder: Path) -> Path:
    """The model as the file that both servers hold."""
    recipe = QuantizeRecipe(scheme=[scheme], imatrix="none", quality=False, verify=False)
    source = find_model(model, progress=Silent())
    if source.format == "gguf":
        source = as_hf(source, progress=Silent())
    report = quantize(recipe, {}, source, folder=folder, progress=Silent())
    return Path(report.artifacts[0].path)


@contextmanager
def our_server(
    gguf: Path, *, streams: int, threads: int, has_drafts: bool, folder: Path
) -> Iterator[Server]:
    options = {"threads": str(threads), "max_model_len": str(CONTEXT_TOKENS)}
    if has_drafts:
        options["speculative"] = f"ngram:{DRAFT_TOKENS}"
    artifact = Artifact(reference=gguf.stem, format="gguf", path=str(gguf))
    target = EngineTarget(artifact=artifact, options=options)
    with started(target, folder=folder, parallel=streams, progress=Silent()) as server:
        yield Server(server.url, psutil.Process().children(recursive=True))


@contextmanager
def llama_server(
    program: str, gguf: Path, *, streams: int, threads: int, has_drafts: bool
) -> Iterator[Server]:
    port = free_port()
    argv = [program, "-m", str(gguf), "--port", str(port), "-np", str(streams)]
    argv += ["-c", str(CONTEXT_TOKENS * streams), "-t", str(threads), "-tb", str(threads)]
    argv += ["--no-ui", "--jinja"]
    if has_drafts:
        argv += ["--spec-type", "ngram-simple", "--spec-ngram-simple-size-n", "3"]
        argv += ["--spec-ngram-simple-size-m", str(DRAFT_TOKENS)]
    with tempfile.TemporaryFile() as log:
        process = subprocess.Popen(argv, stdout=log, stderr=log)
        try:
            wait_until_ready(f"http://127.0.0.1:{port}", process)
            yield Server(f"http://127.0.0.1:{port}", [psutil.Process(process.pid)])
        except RuntimeError:
            log.seek(0)
            sys.stderr.write(log.read().decode(errors="replace")[-2000:])
            raise
        finally:
            process.terminate()
            process.wait(20)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def wait_until_ready(url: str, process: subprocess.Popen[bytes]) -> None:
    for _ in range(START_ATTEMPTS):
        try:
            urllib.request.urlopen(f"{url}/health", timeout=2).read()
        except (OSError, urllib.error.URLError):
            if process.poll() is not None:
                raise RuntimeError("llama-server ended") from None
            time.sleep(0.1)
        else:
            return
    raise RuntimeError("llama-server did not begin")


def bodies(case: str, *, count: int, tokens: int, seed: int) -> list[dict[str, Any]]:
    """One request a stream; no two ask the same words, in any round."""
    rng = random.Random(seed)
    return [body_of(case, rng, tokens) for _ in range(count)]


def body_of(case: str, rng: random.Random, tokens: int) -> dict[str, Any]:
    said = " ".join(rng.choices(WORDS, k=PROMPT_WORDS))
    common = {"temperature": 0.0, "ignore_eos": True, "max_tokens": tokens}
    if case == "prefix":
        shared = " ".join(random.Random(7).choices(WORDS, k=PREFIX_WORDS))
        return {**common, "messages": [chat(f"{shared} {said}")]}
    if case == "drafts":
        copied = " ".join(rng.choices(WORDS, k=COPIED_WORDS))
        return {**common, "messages": [chat(f"Say this again and again: {copied}")]}
    if case == "schema":
        wanted = {"type": "json_schema", "json_schema": {"name": "people", "schema": SCHEMA}}
        asked = f"Write a JSON list of people who like: {said}"
        return {**common, "messages": [chat(asked)], "response_format": wanted}
    return {**common, "messages": [chat(said)]}


def chat(text: str) -> dict[str, str]:
    return {"role": "user", "content": text}


def tokens_per_s(url: str, asked: list[dict[str, Any]]) -> float:
    """All at once; tokens of all answers over the time until the last one."""
    began_s = time.perf_counter()
    with ThreadPoolExecutor(len(asked)) as pool:
        counts = [*pool.map(lambda body: answer_tokens(url, body), asked)]
    return sum(counts) / (time.perf_counter() - began_s)


def answer_tokens(url: str, body: dict[str, Any]) -> int:
    request = urllib.request.Request(
        f"{url}/v1/chat/completions",
        json.dumps(body).encode(),
        {"Content-Type": "application/json"},
    )
    with urllib.request.urlopen(request, timeout=900) as response:
        return int(json.loads(response.read())["usage"]["completion_tokens"])


def compare(case: str, gguf: Path, options: argparse.Namespace) -> None:
    levels = [int(level) for level in options.streams.split(",")]
    shape = {
        "streams": max(levels),
        "threads": options.threads,
        "has_drafts": case == "drafts",
    }
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        servers = {
            "llmops": stack.enter_context(our_server(gguf, folder=folder, **shape)),
            "llama-server": stack.enter_context(llama_server(options.llama_server, gguf, **shape)),
        }
        for server in servers.values():
            tokens_per_s(server.url, bodies(case, count=1, tokens=8, seed=-1))
        for streams in levels:
            compare_level(case, servers, streams, options)


def compare_level(
    case: str, servers: dict[str, Server], streams: int, options: argparse.Namespace
) -> None:
    speeds: dict[str, list[float]] = {name: [] for name in servers}
    costs: dict[str, list[float]] = {name: [] for name in servers}
    for round_number in range(options.rounds):
        seed = 1000 * streams + round_number
        asked = bodies(case, count=streams, tokens=options.tokens, seed=seed)
        for name, server in servers.items():
            before_s = server.cpu_s()
            speeds[name].append(tokens_per_s(server.url, asked))
            costs[name].append(server.cpu_s() - before_s)
    ours, theirs = speeds.values()
    our_s, their_s = map(median, costs.values())
    ratios = [mine / peer for mine, peer in zip(ours, theirs, strict=True)]
    print(
        f"{case:7} {streams:3} streams: llmops {median(ours):7.1f}, llama-server "
        f"{median(theirs):7.1f} tokens/s; ratio of rounds {median(ratios):.2f} "
        f"({min(ratios):.2f} to {max(ratios):.2f}); CPU s {our_s:.2f}, {their_s:.2f} "
        f"({their_s / our_s:.2f}x)",
        flush=True,
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--llama-server", required=True)
    parser.add_argument("--model", default="smollm2")
    parser.add_argument("--scheme", default="F16")
    parser.add_argument("--streams", default="1,8,32")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--tokens", type=int, default=64)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--cases", default="plain,prefix,schema,drafts")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        gguf = gguf_of(options.model, options.scheme, Path(folder))
        for case in options.cases.split(","):
            compare(case, gguf, options)


if __name__ == "__main__":
    main()
