"""Tokens a second of the llama.cpp server with a JSON schema and without, in one run.

    python benchmarks/structured.py [--model smollm2] [--streams 1,8] [--rounds 5] [--tokens 96]

Both ask for the same words after the same prompt and take as many tokens; the schema leaves room
for more than that. Rounds take turns; a round's speed is its tokens by its wall time, and CPU is
the server's. The first schema of the run is timed alone: it has to be compiled.
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
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
from llmops_cli.core.progress import Silent
from llmops_cli.models.convert import as_gguf
from llmops_cli.models.find import find_model
from llmops_cli.serving.start import started
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


def tokens_per_s(url: str, body: dict[str, Any], streams: int) -> float:
    began_s = time.perf_counter()
    with ThreadPoolExecutor(streams) as pool:
        counts = [*pool.map(lambda _: tokens_of_answer(url, body), range(streams))]
    return sum(counts) / (time.perf_counter() - began_s)


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
    target = EngineTarget(artifact=artifact)
    with (
        tempfile.TemporaryDirectory() as folder,
        started(target, folder=Path(folder), parallel=16, progress=Silent()) as server,
    ):
        tokens_of_answer(server.url, body_of(8, has_schema=False))
        plain_ms = first_ms(server.url, has_schema=False)
        new_ms = first_ms(server.url, has_schema=True)
        kept_ms = first_ms(server.url, has_schema=True)
        print(f"first token: {plain_ms:.1f} ms; new schema {new_ms:.1f}; kept {kept_ms:.1f}")
        for streams in map(int, args.streams.split(",")):
            compare(server.url, streams, rounds=args.rounds, tokens=args.tokens)


def compare(
    url: str,
    streams: int,
    *,
    rounds: int,
    tokens: int,
) -> None:
    speeds: dict[bool, list[float]] = {False: [], True: []}
    for _ in range(rounds):
        for has_schema, found in speeds.items():
            body = body_of(tokens, has_schema=has_schema)
            found.append(tokens_per_s(url, body, streams))
    free = median(speeds[False])
    held = median(speeds[True])
    paired = [with_it / without for without, with_it in zip(*speeds.values(), strict=True)]
    print(
        f"{streams} streams: {free:.1f} tokens/s free, {held:.1f} with a schema; "
        f"ratio of rounds {median(paired):.3f} ({min(paired):.3f} to {max(paired):.3f})"
    )


if __name__ == "__main__":
    main()
