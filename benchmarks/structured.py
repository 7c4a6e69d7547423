"""Tokens a second of the llama.cpp server with a JSON schema and without, in one run.

    python benchmarks/structured.py [--model smollm2] [--streams 1,8] [--rounds 5] [--tokens 96]

Both ask for the same words after the same prompt and take as many tokens; the schema leaves room
for more than that. Rounds take turns. The server has one thread, so that its CPU seconds are work
and not waiting: on a busy machine trust them, not tokens by wall time. The first schema of the run
is timed alone: it has to be compiled.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
import urllib.request
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from statistics import median
from typing import Any, NamedTuple

import psutil

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
from llmops_cli.core.progress import Silent
from llmops_cli.models.convert import as_gguf
from llmops_cli.models.find import find_model
from llmops_cli.serving.start import RunningServer, started
from llmops_cli.serving.target import EngineTarget

PERSON = {
    "type": "object",
    "properties": {
        "name": {"type": "string", "maxLength": 65536},
        "age": {"type": "integer", "minimum": 0, "maximum": 120},
        "email": {"type": "string", "pattern": "^[a-z.]+@[a-z]+\\.org$"},
        "tags": {"type": "array", "items": {"enum": ["a", "b", "c"]}, "uniqueItems": True},
    },
    "required": ["name", "age", "email", "tags"],
    "additionalProperties": False,
}
SCHEMA = {"type": "array", "items": PERSON, "minItems": 40}
PROMPT = "Write a JSON list of people, each with name, age, email and tags."


def body_of(tokens: int, *, has_schema: bool) -> dict[str, Any]:
    body: dict[str, Any] = {
        "messages": [{"role": "user", "content": PROMPT}],
        "max_tokens": tokens,
        "temperature": 0.7,
        "ignore_eos": True,
    }
    if has_schema:
        body["response_format"] = {"type": "json_schema", "json_schema": {"schema": SCHEMA}}
    return body


def tokens_of_answer(url: str, body: dict[str, Any]) -> int:
    request = urllib.request.Request(
        f"{url}/v1/chat/completions",
        json.dumps(body).encode(),
        {"Content-Type": "application/json"},
    )
    with urllib.request.urlopen(request, timeout=600) as response:
        answer = json.loads(response.read())
    return int(answer["usage"]["completion_tokens"])


class Speed(NamedTuple):
    tokens_per_s: float
    tokens_per_cpu_s: float


def speed_of(server: RunningServer, body: dict[str, Any], streams: int) -> Speed:
    began_s = time.perf_counter()
    cpu_s = tree_cpu_s(server.pid)
    with ThreadPoolExecutor(streams) as pool:
        counts = [*pool.map(lambda _: tokens_of_answer(server.url, body), range(streams))]
    tokens = sum(counts)
    wall_s = time.perf_counter() - began_s
    return Speed(tokens / wall_s, tokens / (tree_cpu_s(server.pid) - cpu_s))


def tree_cpu_s(pid: int | None) -> float:
    root = psutil.Process(pid)
    times = [each.cpu_times() for each in [root, *root.children(recursive=True)]]
    return sum(each.user + each.system for each in times)


def first_ms(url: str, *, has_schema: bool) -> float:
    """One token, after one that has warmed the prompt."""
    began_s = time.perf_counter()
    tokens_of_answer(url, body_of(1, has_schema=has_schema))
    return (time.perf_counter() - began_s) * 1e3


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", default="smollm2")
    parser.add_argument("--streams", default="1,8")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--tokens", type=int, default=96)
    args = parser.parse_args()
    artifact = find_model(args.model, progress=Silent())
    if artifact.format != "gguf":
        artifact = as_gguf(artifact, progress=Silent())
    target = EngineTarget(artifact=artifact, options={"threads": "1"})
    with (
        tempfile.TemporaryDirectory() as folder,
        started(target, folder=Path(folder), parallel=16, progress=Silent()) as server,
    ):
        tokens_of_answer(server.url, body_of(8, has_schema=False))
        plain_ms = first_ms(server.url, has_schema=False)
        new_ms = first_ms(server.url, has_schema=True)
        kept_ms = first_ms(server.url, has_schema=True)
        print(
            f"first token: {plain_ms:.1f} ms; new schema {new_ms:.1f}; kept {kept_ms:.1f}",
            flush=True,
        )
        for streams in map(int, args.streams.split(",")):
            compare(server, streams, rounds=args.rounds, tokens=args.tokens)


def compare(
    server: RunningServer,
    streams: int,
    *,
    rounds: int,
    tokens: int,
) -> None:
    speeds: dict[bool, list[Speed]] = {False: [], True: []}
    for _ in range(rounds):
        for has_schema, found in speeds.items():
            body = body_of(tokens, has_schema=has_schema)
            found.append(speed_of(server, body, streams))
    for field in Speed._fields:
        free = [getattr(each, field) for each in speeds[False]]
        held = [getattr(each, field) for each in speeds[True]]
        ratios = [with_it / without for without, with_it in zip(free, held, strict=True)]
        print(
            f"{streams} streams, {field}: {median(free):.1f} free, {median(held):.1f} held; "
            f"ratio of rounds {median(ratios):.3f} ({min(ratios):.3f} to {max(ratios):.3f})",
            flush=True,
        )


if __name__ == "__main__":
    main()
