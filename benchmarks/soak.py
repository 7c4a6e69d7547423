"""A gateway under mixed load for long: does it grow, does it lose count?

    python benchmarks/soak.py --requests 300000

Of the requests, 55 % are plain, 30 % streams, 5 % streams whose client leaves in the middle, 10 %
mistakes (no key, bad JSON, no such model, too large). The upstream is mockllm (C), which fails one
in 200 requests with a 500 and breaks one in 200 off. At the end: memory against what it was after a
tenth of the requests, connections and tasks that are left, and the counts of the client, the
metrics and the audit log side by side.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import random
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections import Counter
from pathlib import Path
from typing import Any

import psutil

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
from benchmarks.bench_self import mock
from benchmarks.serve import CHAT, cpu_s, free_port

STREAMS = 48
KINDS = {
    "plain": 55,
    "stream": 30,
    "cancel": 5,
    "no key": 3,
    "bad json": 3,
    "no model": 2,
    "too large": 2,
}
CODES = {
    "plain": (200, 500),
    "stream": (200, 500),
    "no key": (401, 429),  # an address may try so many bad keys a minute
    "bad json": (400,),
    "no model": (404,),
    "too large": (413,),
}


def requests(key: str) -> dict[str, bytes]:
    """The bytes of each kind."""
    body = json.dumps({**CHAT, "max_tokens": 8}).encode()
    stream = json.dumps({**CHAT, "max_tokens": 8, "stream": True}).encode()
    long = json.dumps({**CHAT, "max_tokens": 400, "stream": True}).encode()
    wrong = json.dumps({**CHAT, "model": "nope"}).encode()

    def of(body: bytes, key: str, length: int | None = None) -> bytes:
        head = f"POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {key}\r\n"
        return f"{head}Content-Length: {length or len(body)}\r\n\r\n".encode() + body

    return {
        "plain": of(body, key),
        "stream": of(stream, key),
        "cancel": of(long, key),
        "no key": of(body, "wrong"),
        "bad json": of(b'{"model": ', key),
        "no model": of(wrong, key),
        "too large": of(b"", key, 20 << 20),
    }


class Load:
    """So many requests of all kinds over `STREAMS` connections, and what became of them."""

    def __init__(self, port: int, key: str, seed: int) -> None:
        self._port = port
        self._bytes = requests(key)
        self._random = random.Random(seed)
        self.left = 0
        self.done = Counter[str]()
        self.wrong = Counter[str]()

    async def run(self, count: int) -> None:
        self.left = count
        await asyncio.gather(*(self._client() for _ in range(STREAMS)))

    async def _client(self) -> None:
        reader = writer = None
        while self.left > 0:
            self.left -= 1
            (kind,) = self._random.choices(list(KINDS), list(KINDS.values()))
            if writer is None or reader is None:
                reader, writer = await asyncio.open_connection("127.0.0.1", self._port)
            writer.write(self._bytes[kind])
            try:
                code, keeps = await asyncio.wait_for(self._read(reader, kind), 30)
            except (OSError, EOFError, TimeoutError) as error:
                code = -1
                keeps = False
                self.wrong[f"{kind}: {type(error).__name__}"] += 1
            self.done[kind] += 1
            if kind in CODES and code not in CODES[kind]:
                self.wrong[f"{kind}: {code}"] += 1
            if not keeps:
                writer.close()
                reader = writer = None
        if writer is not None:
            writer.close()

    async def _read(self, reader: asyncio.StreamReader, kind: str) -> tuple[int, bool]:
        """(the status, whether the connection may be used again)."""
        head = (await reader.readuntil(b"\r\n\r\n")).lower()
        code = int(head.split(b" ", 2)[1])
        if kind == "cancel" and code == 200:
            await reader.readuntil(b"\n\n")
            return code, False
        if b"transfer-encoding: chunked" in head:
            while True:
                size = int(await reader.readuntil(b"\r\n"), 16)
                await reader.readexactly(size + 2)
                if not size:
                    break
        else:
            size = next(
                int(line[15:])
                for line in head.split(b"\r\n")
                if line.startswith(b"content-length:")
            )
            await reader.readexactly(size)
        return code, kind != "too large" and b"connection: close" not in head


def main(arguments: list[str] | None = None) -> bool:
    """Prints the figures; whether all of them are as they should be."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--requests", type=int, default=300_000)
    parser.add_argument("--workers", type=int, default=1)
    parser.add_argument("--growth", type=float, default=0.05, help="of memory, that is too much")
    args = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory() as scratch:
        work = Path(scratch)
        env = {**os.environ, "LLMOPS_STATE_DIR": str(work / "state")}
        argv = [sys.executable, "-m", "llmops_cli"]

        def key(*options: str) -> str:
            made = subprocess.run(
                [*argv, "keys", "create", "--json", *options],
                env=env,
                capture_output=True,
                check=True,
            )
            return str(json.loads(made.stdout)["key"])

        user = key(
            "--name",
            "u",
            "--requests-per-minute",
            "100000000",
            "--tokens-per-minute",
            "10000000000",
        )
        admin = key("--name", "a", "--role", "admin")
        port = free_port()
        with mock(
            work, "--ttft-ms", "3", "--itl-ms", "1", "--error-rate", "0.005", "--drop-rate", "0.005"
        ) as upstream:
            process = subprocess.Popen(
                [
                    *argv,
                    "serve",
                    "--upstream",
                    f"{upstream.url}/v1",
                    "--port",
                    str(port),
                    "--workers",
                    str(args.workers),
                ],
                env=env,
            )
            try:
                return soak(
                    args.requests,
                    args.growth,
                    port,
                    user,
                    admin,
                    process,
                    work / "state" / "audit.jsonl",
                )
            finally:
                process.terminate()
                process.wait(60)


def soak(
    count: int,
    most: float,
    port: int,
    user: str,
    admin: str,
    process: subprocess.Popen[bytes],
    audit: Path,
) -> bool:
    while True:
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                break
        time.sleep(0.05)
    tree = [psutil.Process(process.pid), *psutil.Process(process.pid).children(recursive=True)]
    load = Load(port, user, seed=1)
    start = time.monotonic()
    asyncio.run(load.run(count // 10))
    warm = sum(p.memory_info().rss for p in tree)
    sizes = []
    for _ in range(9):
        asyncio.run(load.run(count // 10))
        sizes.append(sum(p.memory_info().rss for p in tree))
    seconds = time.monotonic() - start
    time.sleep(2)
    growth = sizes[-1] / warm - 1
    counts = metrics(port, admin)
    ours = [
        c
        for p in tree
        for c in p.net_connections()
        if c.laddr.port == port and c.status == "ESTABLISHED"
    ]
    audited = Counter[str]()
    for log in audit.parent.glob("audit.jsonl*"):
        with log.open() as file:
            for entry in map(json.loads, file):
                audited[str(entry["status"])] += entry["route"] == "/v1/chat/completions"
    sent = load.done.total()
    counted = counts["by status"]
    cpu = cpu_s(tree[0])
    print(
        f"{sent:,} requests in {seconds:.0f} s ({sent / seconds:.0f}/s), {cpu / sent * 1e3:.2f} "
        f"ms CPU each"
    )
    print(f"kinds: {dict(load.done)}; wrong answers: {dict(load.wrong) or 'none'}")
    print(
        f"memory: {warm / 1e6:.1f} MB after a tenth, then "
        f"{[round(size / 1e6, 1) for size in sizes]}: {growth:+.1%} "
        f"(target below {most:.0%})"
    )
    print(f"counts: client {sent:,}, metrics {counted.total():,}, audit {audited.total():,}")
    print(
        f"by status: metrics {dict(sorted(counted.items()))}, audit {dict(sorted(audited.items()))}"
    )
    print(
        f"left: {len(ours)} connections of clients, {counts['tasks']:.0f} tasks, "
        f"{counts['in flight']:.0f} under way (the one that asks)"
    )
    return (
        growth < most
        and sent == counted.total()
        and counted == +audited
        and not load.wrong
        and len(ours) <= 1
        and counts["in flight"] <= 1
        and counts["tasks"] < 20 * len(tree)
    )


def metrics(port: int, admin: str) -> dict[str, Any]:
    request = urllib.request.Request(
        f"http://127.0.0.1:{port}/metrics", headers={"Authorization": f"Bearer {admin}"}
    )
    with urllib.request.urlopen(request) as reply:
        lines = reply.read().decode().splitlines()
    found: Counter[str] = Counter()
    gauges = {"tasks": 0.0, "in flight": 0.0}
    for line in lines:
        value = float(line.rpartition(" ")[2]) if not line.startswith("#") else 0.0
        if line.startswith("llmops_gateway_requests_total") and "chat/completions" in line:
            found[line.partition('status="')[2].partition('"')[0]] += int(value)
        if line.startswith("llmops_gateway_requests_total") and 'route="other"' in line:
            found[line.partition('status="')[2].partition('"')[0]] += int(value)
        if line.startswith("llmops_gateway_tasks"):
            gauges["tasks"] += value
        if line.startswith("llmops_gateway_in_flight"):
            gauges["in flight"] += value
    return {"by status": found, **gauges}


if __name__ == "__main__":
    sys.exit(0 if main() else 1)
