"""The gateway's own cost, keys, limits, metrics and audit on: CPU a request and a token, added TTFT, memory, start.

The upstream is mockllm (C), the load `llmops bench`; each figure through the gateway stands beside the direct one of
the same run. LiteLLM's proxy and nginx are not in this benchmark yet.
"""

from __future__ import annotations

import asyncio
import json
import os
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from pathlib import Path
from typing import Any

import psutil

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
from benchmarks.bench_self import mock

CHAT = {"model": "mock", "messages": [{"role": "user", "content": "word " * 64}], "max_tokens": 16}


def cpu_s(process: psutil.Process) -> float:
    used = process.cpu_times()
    return float(used.user + used.system)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


async def fire(port: int, key: str, count: int, streams: int) -> None:
    """`count` plain requests over `streams` kept connections."""
    body = json.dumps(CHAT).encode()
    head = f"POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {key}\r\n"
    request, left = f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body, [count]

    async def one() -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        while left[0] > 0:
            left[0] -= 1
            writer.write(request)
            answer = await reader.readuntil(b"\r\n\r\n")
            if b" 200 " not in answer[:16]:
                raise RuntimeError(answer.decode())
            size = next(int(line[15:]) for line in answer.lower().split(b"\r\n") if line.startswith(b"content-length:"))
            await reader.readexactly(size)
        writer.close()

    await asyncio.gather(*(one() for _ in range(streams)))


def ttft(url: str, key: str, work: Path, name: str, *options: object) -> tuple[dict[str, Any], int]:
    argv = [sys.executable, "-m", "llmops_cli", "bench", "--url", url, "-o", work / name, "--json", "--allow-invalid",
            "--input-tokens", 64, *options]  # fmt: skip
    run = subprocess.run([*map(str, argv)], capture_output=True, check=False, env={**os.environ, "LLMOPS_API_KEY": key})
    if run.returncode:
        raise RuntimeError(run.stderr.decode()[-500:])
    (level,) = json.loads(run.stdout)["levels"]
    return level["ttft_ms"], int(level["output_tokens"]) if "output_tokens" in level else 0


def main() -> None:
    with tempfile.TemporaryDirectory() as scratch:
        work = Path(scratch)
        env = {**os.environ, "LLMOPS_STATE_DIR": str(work / "state")}
        argv = [sys.executable, "-m", "llmops_cli"]
        made = subprocess.run([*argv, "keys", "create", "--name", "b", "--requests-per-minute", "100000000",
                               "--tokens-per-minute", "1000000000", "--json"], env=env, capture_output=True,
                              check=True)  # fmt: skip
        key = json.loads(made.stdout)["key"]
        with mock(work, "--ttft-ms", "20", "--itl-ms", "5") as upstream:
            port, start = free_port(), time.monotonic()
            process = subprocess.Popen([*argv, "serve", "--upstream", f"{upstream.url}/v1", "--port",
                                        str(port)], env=env, stderr=subprocess.DEVNULL)  # fmt: skip
            try:
                measure(work, key, upstream.url, port, psutil.Process(process.pid), start)
            finally:
                process.terminate()
                process.wait()


def measure(work: Path, key: str, direct: str, port: int, gateway: psutil.Process, start: float) -> None:
    while True:
        try:
            urllib.request.urlopen(f"http://127.0.0.1:{port}/health").close()
            break
        except OSError:
            time.sleep(0.01)
    print(f"ready after {time.monotonic() - start:.2f} s (target 1)")
    asyncio.run(fire(port, key, 500, 16))
    before = cpu_s(gateway)
    asyncio.run(fire(port, key, 5000, 16))
    print(f"plain requests: {(cpu_s(gateway) - before) / 5000 * 1e3:.3f} ms CPU each (target 0.25)")
    for streams, requests in ((1, 100), (64, 1280)):
        options = ("--concurrency", streams, "--requests", requests, "--output-tokens", 32, "--warmup", 0)
        bare, _ = ttft(direct, key, work, f"direct-{streams}", *options)
        before = cpu_s(gateway)
        ours, _ = ttft(f"http://127.0.0.1:{port}", key, work, f"gateway-{streams}", *options)
        spent = cpu_s(gateway) - before
        print(f"{streams} streams, a token each 5 ms: TTFT p50 +{ours['p50'] - bare['p50']:.2f} ms, p99 "
              f"+{ours['p99'] - bare['p99']:.2f} ms (targets {'1' if streams == 1 else '5'}, 10 at 64); "
              f"{spent / (requests * 32) * 1e6:.0f} us CPU a token (target 40)")  # fmt: skip
    print(f"memory: {gateway.memory_info().rss / 1e6:.0f} MB (target 60)")


if __name__ == "__main__":
    main()
