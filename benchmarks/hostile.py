"""How long others wait while hostile bodies are read and judged, and what honest large ones cost.

One guarded gateway (on all cores, judges and all), mockllm (C) behind it. A second process asks for
/health and a small guarded chat all the time, first alone, then while 64 bodies of a kind are sent
at once over keys of their own; then a chat of 1 MB and one of 4 MB with images are sent alone, and
once more to a gateway without a guard.

    python benchmarks/hostile.py [--kind NAME]... [--at-once 64]
"""

from __future__ import annotations

import argparse
import asyncio
import base64
import http.client
import json
import multiprocessing
import random
import statistics
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any, NamedTuple

import psutil

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
from benchmarks.bench_self import mock
from benchmarks.serve import cpu_s, rss_mb
from tests.gateway import Gateway, Starter
from tests.hostile import TEXTS

MB = 1 << 20
FILE = """
upstreams: {{up: {{url: "{url}/v1"}}}}
{guard}
limits: {{key: {{requests_per_minute: 1000000, tokens_per_minute: 10000000000}}}}
"""
PROBE_EVERY_S = 0.02
KEYS = 16
SMALL = {
    "model": "mock",
    "messages": [{"role": "user", "content": "What is the capital of France? " * 20}],
    "max_tokens": 1,
}


def chat(text: str, **more: Any) -> bytes:
    messages = [{"role": "user", "content": text}]
    return json.dumps({"model": "mock", "messages": messages, "max_tokens": 1, **more}).encode()


def text_kind(name: str, size: int) -> Callable[[], bytes]:
    return lambda: chat(TEXTS[name](size))


def small_messages() -> bytes:
    messages = [{"role": "user", "content": "hi"}] * 150_000
    return json.dumps({"model": "mock", "messages": messages}).encode()


def crowd(piece: bytes) -> bytes:
    inner = b",".join([piece] * (9 * MB // (len(piece) + 1)))
    return b'{"model": "mock", "messages": [{"role": "user", "content": [' + inner + b"]}]}"


def fields() -> bytes:
    inner = b",".join(b'"k%d":1' % number for number in range(700_000))
    return b'{"model": "mock", "messages": [{"role": "user", "content": "hi"}],' + inner + b"}"


KINDS: dict[str, Callable[[], bytes]] = {
    "1 MB random base64": text_kind("random base64", MB),
    "1 MB one letter": text_kind("one letter", MB),
    "1 MB quotes": text_kind("quotes", MB),
    "1 MB zero width": text_kind("zero width", MB // 3),
    "1 MB nested base64": text_kind("nested base64", MB),
    "1 MB line breaks": text_kind("line breaks", MB),
    "1 MB brackets": text_kind("brackets", MB),
    "1 MB every cipher": text_kind("every cipher", MB),
    "1 MB signs": text_kind("signs", MB),
    "9 MB random base64": lambda: chat(TEXTS["random base64"](2 * MB) * 4),
    "9 MB one letter": text_kind("one letter", 9 * MB),
    "9 MB quotes": text_kind("quotes", 4 * MB),
    "9 MB zero width": lambda: chat("\u200b" * (3 * MB // 2)),
    "9 MB line breaks": text_kind("line breaks", 4 * MB),
    "9 MB brackets": text_kind("brackets", 9 * MB),
    "9 MB model name": lambda: json.dumps(
        {"model": "m" * (9 * MB), "messages": [{"role": "user", "content": "hi"}]}
    ).encode(),
    "150,000 messages": small_messages,
    "9 MB of {}": lambda: crowd(b"{}"),
    "9 MB of numbers": lambda: crowd(b"1"),
    "9 MB of strings": lambda: crowd(b'"a"'),
    "700,000 fields": fields,
    "deep": lambda: b'{"model":' + b"[" * (9 * MB) + b"}",
}


class Waits(NamedTuple):
    """Of one kind of question, in milliseconds."""

    count: int
    p50: float
    p99: float
    longest: float


def waits_of(seconds: list[float]) -> Waits:
    ordered = sorted(value * 1000 for value in seconds)
    return Waits(
        len(ordered),
        ordered[len(ordered) // 2],
        ordered[min(len(ordered) - 1, int(len(ordered) * 0.99))],
        ordered[-1],
    )


async def asked(port: int, request: bytes, seconds: list[float], stop: asyncio.Event) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    while not stop.is_set():
        start = time.perf_counter()
        writer.write(request)
        head = await reader.readuntil(b"\r\n\r\n")
        if b" 200 " not in head[:16]:
            raise RuntimeError(head.decode())
        length = next(
            int(line.partition(b":")[2])
            for line in head.lower().split(b"\r\n")
            if line.startswith(b"content-length:")
        )
        await reader.readexactly(length)
        seconds.append(time.perf_counter() - start)
        await asyncio.sleep(PROBE_EVERY_S)
    writer.close()


async def probing(port: int, key: str, pipe: Connection) -> None:
    body = json.dumps(SMALL).encode()
    small = (
        f"POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {key}\r\n"
        f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
    ).encode() + body
    health = b"GET /health HTTP/1.1\r\nHost: x\r\n\r\n"
    found: dict[str, list[float]] = {"/health": [], "small chat": []}
    stop = asyncio.Event()
    work = [
        asyncio.create_task(asked(port, health, found["/health"], stop)),
        asyncio.create_task(asked(port, small, found["small chat"], stop)),
    ]
    while True:
        command = await asyncio.to_thread(pipe.recv)
        pipe.send({name: waits_of(times) for name, times in found.items() if times})
        for times in found.values():
            times.clear()
        for task in work:
            if task.done():
                task.result()
        if command == "end":
            stop.set()
            await asyncio.gather(*work)
            return


def probe(port: int, key: str, pipe: Connection) -> None:
    asyncio.run(probing(port, key, pipe))


def send(gateway: Gateway, key: str, body: bytes) -> tuple[int, float]:
    """Its status, and how long it took."""
    host, _, port = gateway.url.removeprefix("http://").partition(":")
    client = http.client.HTTPConnection(host, int(port), timeout=300)
    headers = {"Authorization": f"Bearer {key}", "Content-Type": "application/json"}
    start = time.perf_counter()
    try:
        client.request("POST", "/v1/chat/completions", body, headers)
        answer = client.getresponse()
        answer.read()
        return answer.status, time.perf_counter() - start
    except OSError:
        return 0, time.perf_counter() - start
    finally:
        client.close()


def shown(name: str, waits: dict[str, Waits], more: str = "") -> None:
    cells = "".join(
        f"{w.p50:7.1f}{w.p99:7.1f}{w.longest:7.1f}" for w in (waits["/health"], waits["small chat"])
    )
    print(f"{name:22s}{cells}   {more}", flush=True)


def honest_chat() -> bytes:
    path = Path(__file__).parent.parent / "recipes" / "data" / "heldout.txt"
    prose = path.read_text(errors="replace")
    turns = []
    size = 0
    while size < MB:
        part = prose[size % len(prose) :][:20_000]
        turns.append({"role": "user" if len(turns) % 2 == 0 else "assistant", "content": part})
        size += len(part)
    turns.append({"role": "user", "content": "Sum it up."})
    return json.dumps({"model": "mock", "messages": turns, "max_tokens": 1}).encode()


def chat_with_images() -> bytes:
    image = base64.b64encode(random.Random(9).randbytes(750_000)).decode()
    url = {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{image}"}}
    said = {"type": "text", "text": "What is on these pictures? " * 10}
    messages = [{"role": "user", "content": [said, url, url, url, url]}]
    return json.dumps({"model": "mock", "messages": messages, "max_tokens": 1}).encode()


def honest(gateway: Gateway, name: str, body: bytes, times: int = 5) -> tuple[float, float]:
    """Milliseconds, and milliseconds of CPU a KB."""
    process = psutil.Process(gateway.process.pid)
    send(gateway, gateway.key, body)
    before = cpu_s(process)
    found = []
    for _ in range(times):
        status, seconds = send(gateway, gateway.key, body)
        if status != 200:
            raise RuntimeError(f"{name}: {status}; see the gateway's log")
        found.append(seconds * 1000)
    spent_ms = (cpu_s(process) - before) * 1000 / times
    return statistics.median(found), spent_ms / (len(body) / 1024)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kind", action="append", choices=list(KINDS))
    parser.add_argument("--at-once", type=int, default=64)
    parser.add_argument("--alone-s", type=float, default=10.0)
    args = parser.parse_args()
    names = args.kind or list(KINDS)
    with tempfile.TemporaryDirectory() as folder, mock(Path(folder), "--ttft-ms", "1") as up:
        work = Path(folder)
        guarded = Starter(work / "guarded")
        plain = Starter(work / "plain")
        for each in (guarded, plain):
            each.folder.mkdir()
        try:
            measure(guarded, plain, up.url, names, args)
        finally:
            guarded.stop()
            plain.stop()


def measure(
    guarded: Starter, plain: Starter, url: str, names: list[str], args: argparse.Namespace
) -> None:
    gateway = guarded.config(FILE.format(url=url, guard="guard: default"))
    keys = [guarded.key(f"h{number}", "--role", "user") for number in range(KEYS)]
    process = psutil.Process(gateway.process.pid)
    ours, theirs = multiprocessing.Pipe()
    number = int(gateway.url.rpartition(":")[2])
    prober = multiprocessing.get_context("spawn").Process(
        target=probe, args=(number, gateway.key, theirs), daemon=True
    )
    prober.start()
    time.sleep(3)
    head = "   /health p50    p99    max | small chat p50 p99 max (ms)"
    print(f"{'':19s}{head}")
    ours.send("read")
    ours.recv()
    time.sleep(args.alone_s)
    ours.send("read")
    shown("alone", ours.recv(), f"{rss_mb(process):.0f} MB")
    for name in names:
        body = KINDS[name]()
        ours.send("read")
        ours.recv()
        start = time.perf_counter()
        with ThreadPoolExecutor(args.at_once) as threads:
            asks = [
                threads.submit(send, gateway, keys[index % KEYS], body)
                for index in range(args.at_once)
            ]
            statuses = Counter(ask.result()[0] for ask in asks)
        took = time.perf_counter() - start
        ours.send("read")
        told = ", ".join(f"{count} x {status}" for status, count in sorted(statuses.items()))
        shown(name, ours.recv(), f"{told}; {took:.1f} s; {rss_mb(process):.0f} MB")
    ours.send("end")
    ours.recv()
    prober.join(10)
    bare = plain.config(FILE.format(url=url, guard=""))
    for name, body in (("1 MB chat", honest_chat()), ("4 MB chat, images", chat_with_images())):
        judged_ms, judged_cpu = honest(gateway, name, body)
        plain_ms, plain_cpu = honest(bare, name, body)
        print(
            f"{name}, {len(body) / MB:.1f} MB: {judged_ms:.0f} ms judged, {plain_ms:.0f} ms not: "
            f"{judged_ms - plain_ms:.0f} ms added; {judged_cpu:.3f} and {plain_cpu:.3f} ms of CPU "
            "a KB"
        )
    print(f"memory: {rss_mb(psutil.Process(bare.process.pid)):.0f} MB without a guard")


if __name__ == "__main__":
    main()
