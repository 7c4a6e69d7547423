"""`llmops generate` beside the openai client with a semaphore, on the same rows and server.

    python benchmarks/generate.py --rows 100000 --concurrency 256

The server is mockllm.c, whose own rate is so many in flight over its latency. CPU is that of the
client's process without its start, memory its peak.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from llmops_cli.runtime.server import free_port

MOCK = Path(__file__).with_name("mockllm.c")
TOKENS = 16


def write_rows(path: Path, rows: int) -> None:
    with path.open("w") as file:
        for number in range(rows):
            body = {
                "model": "mock",
                "max_tokens": TOKENS,
                "messages": [{"role": "user", "content": f"question {number} " * 10}],
            }
            row = {"custom_id": f"row-{number}", "method": "POST", "body": body}
            file.write(json.dumps({**row, "url": "/v1/chat/completions"}) + "\n")


def peak_mb() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e3


def cpu_s() -> float:
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


async def openai_client(
    rows: list[dict[str, object]],
    url: str,
    concurrency: int,
) -> list[str]:
    """The usual script: as many requests as a semaphore lets through, answers in order."""
    import httpx
    from openai import AsyncOpenAI

    limits = httpx.Limits(max_connections=concurrency, max_keepalive_connections=concurrency)
    http = httpx.AsyncClient(limits=limits, timeout=600)
    client = AsyncOpenAI(base_url=f"{url}/v1", api_key="none", http_client=http)
    turns = asyncio.Semaphore(concurrency)

    async def ask(row: dict[str, object]) -> str:
        async with turns:
            answer = await client.chat.completions.create(**row["body"])  # type: ignore[arg-type]
        return json.dumps({"custom_id": row["custom_id"], "body": answer.model_dump()})

    return await asyncio.gather(*(ask(row) for row in rows))


def peer(source: Path, output: Path, url: str, concurrency: int) -> None:
    """In a process of its own."""
    start_s = time.monotonic()
    start_cpu_s = cpu_s()
    rows = [json.loads(line) for line in source.read_text().splitlines()]
    answers = asyncio.run(openai_client(rows, url, concurrency))
    output.write_text("\n".join(answers) + "\n")
    seconds = time.monotonic() - start_s
    figures = {"s": seconds, "cpu_s": cpu_s() - start_cpu_s, "peak_mb": peak_mb()}
    print(json.dumps(figures))


def ours(folder: Path, source: Path, url: str, concurrency: int) -> dict[str, float]:
    """Its peak is that of the largest child so far, so it has to run first."""
    command = [sys.executable, "-m", "llmops_cli", "generate", str(source), "-o", "ours.jsonl"]
    command += ["--url", url, "--concurrency", str(concurrency), "--json"]
    run = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=True)
    report = json.loads(run.stdout)
    assert report["answered"] == report["rows"], report["error_kinds"]
    peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1e3
    return {"s": report["duration_s"], "cpu_s": report["cpu_s"], "peak_mb": peak}


def theirs(folder: Path, source: Path, url: str, concurrency: int) -> dict[str, float]:
    arguments = [str(source), str(folder / "theirs.jsonl"), url, str(concurrency)]
    command = [sys.executable, __file__, "--peer", *arguments]
    run = subprocess.run(command, capture_output=True, text=True, check=True)
    found: dict[str, float] = json.loads(run.stdout)
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=100_000)
    parser.add_argument("--concurrency", type=int, default=256)
    parser.add_argument("--latency-ms", type=float, default=100.0)
    parser.add_argument("--peer", nargs=4)
    asked = parser.parse_args()
    if asked.peer:
        source, output, url, concurrency = asked.peer
        peer(Path(source), Path(output), url, int(concurrency))
        return
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        program = folder / "mockllm"
        subprocess.run(["gcc", "-O2", "-o", program, MOCK], check=True)
        port = free_port()
        latency = ["--ttft-ms", str(asked.latency_ms), "--tokens", str(TOKENS)]
        server = subprocess.Popen([program, "--port", str(port), *latency, "--quiet"])
        source = folder / "in.jsonl"
        write_rows(source, asked.rows)
        possible = asked.concurrency / (asked.latency_ms / 1e3)
        print(f"{asked.rows:,} rows, {asked.concurrency} in flight; at most {possible:,.0f}/s")
        try:
            for label, run in (("llmops generate", ours), ("openai, semaphore", theirs)):
                found = run(folder, source, f"http://127.0.0.1:{port}", asked.concurrency)
                rate = asked.rows / found["s"]
                micros = found["cpu_s"] / asked.rows * 1e6
                share = rate / possible
                print(
                    f"{label:18} {rate:8,.0f} rows/s ({share:.2f})"
                    f"  {micros:6,.0f} us CPU a row  {found['peak_mb']:6,.0f} MB"
                )
        finally:
            server.terminate()
            server.wait()


if __name__ == "__main__":
    main()
