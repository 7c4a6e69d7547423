"""The gateway beside nginx, a FastAPI pass-through, Portkey's gateway and LiteLLM's proxy: what
each costs, in one run.

Keys, limits, metrics and audit are on for ours; the others pass through (LiteLLM with its model
list, no database; Portkey with the upstream's address in a header). Each stands on core 0, the load
and the upstream (mockllm, C) on the others. Figures of time are against the upstream asked directly
in the same run. Peers that are missing are installed into a folder of the cache; nginx and node
must be there (Debian: apt-get install nginx-light nodejs npm).

    python benchmarks/serve.py [--peers llmops,nginx,fastapi,portkey,litellm] [--guard]
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import MappingProxyType
from typing import Any, NamedTuple

import psutil

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
from benchmarks.bench_self import mock

CHAT = {"model": "mock", "messages": [{"role": "user", "content": "word " * 64}], "max_tokens": 16}
PACKAGES = ("litellm[proxy]", "fastapi", "httpx", "uvicorn", "uvloop", "httptools")
PORTKEY = {
    "private": True,
    "dependencies": {"@portkey-ai/gateway": "1.15.2"},
    "overrides": {"@hono/node-server": "1.13.8"},
}
"""With the newest node-server that it would take, each of its streams is a 500."""
LOOPBACK = """
import net from "node:net";
const listen = net.Server.prototype.listen;
net.Server.prototype.listen = function (port, ...rest) {
  const call = rest.find((each) => typeof each === "function");
  return listen.call(this, { port: Number(port?.port ?? port), host: "127.0.0.1" }, call);
};
"""
"""Portkey's gateway has no option for the address that it listens at, and takes all."""
FASTAPI = """
import httpx
from fastapi import FastAPI, Request
from fastapi.responses import Response, StreamingResponse
app, client = FastAPI(), httpx.AsyncClient(timeout=600, limits=httpx.Limits(max_connections=1000))
@app.get("/health")
async def health():
    return {}
@app.post("/v1/chat/completions")
async def chat(request: Request):
    body = await request.body()
    asked = client.build_request("POST", "UPSTREAM/v1/chat/completions", content=body,
                                 headers={"content-type": "application/json"})
    reply = await client.send(asked, stream=True)
    if "event-stream" in reply.headers.get("content-type", ""):
        return StreamingResponse(reply.aiter_raw(), media_type="text/event-stream")
    return Response(await reply.aread(), media_type="application/json")
"""
NGINX = """
worker_processes 1; daemon off; pid FOLDER/nginx.pid; error_log FOLDER/error.log;
events { worker_connections 4096; }
http {
  access_log off; client_body_temp_path FOLDER; proxy_temp_path FOLDER; fastcgi_temp_path FOLDER;
  uwsgi_temp_path FOLDER; scgi_temp_path FOLDER; keepalive_requests 1000000;
  upstream model { server 127.0.0.1:UPPORT; keepalive 256; keepalive_requests 1000000; }
  server {
    listen 127.0.0.1:PORT;
    location = /health { return 200; }
    location / {
      proxy_pass http://model; proxy_http_version 1.1;
      proxy_set_header Connection ""; proxy_buffering off;
    }
  }
}
"""


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def cpu_s(process: psutil.Process) -> float:
    """Of the process and its children."""
    total = 0.0
    for each in [process, *process.children(recursive=True)]:
        used = each.cpu_times()
        total += used.user + used.system
    return total


def rss_mb(process: psutil.Process) -> float:
    return (
        sum(each.memory_info().rss for each in [process, *process.children(recursive=True)]) / 1e6
    )


class Peer(NamedTuple):
    """How a gateway is started and asked. `health`: a path that answers when it is ready."""

    argv: list[str]
    env: Mapping[str, str] = MappingProxyType({})
    key: str = "none"
    health: str = "/health"
    headers: Mapping[str, str] = MappingProxyType({})
    is_slow: bool = False


async def fire(
    port: int, peer: Peer, count: int, streams: int, *, stream: bool = False, tokens: int = 16
) -> None:
    """`count` requests over `streams` kept connections; streams are read to their end, unparsed."""
    body = json.dumps({**CHAT, "stream": stream, "max_tokens": tokens}).encode()
    head = f"POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {peer.key}\r\n"
    head += "Content-Type: application/json\r\n"
    for name, value in peer.headers.items():
        head += f"{name}: {value}\r\n"
    request = f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body
    left = [count]

    async def one() -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", port, limit=1 << 22)
        while left[0] > 0:
            left[0] -= 1
            writer.write(request)
            answer = (await reader.readuntil(b"\r\n\r\n")).lower()
            if b" 200 " not in answer[:16]:
                raise RuntimeError(answer.decode())
            if b"chunked" in answer:
                await reader.readuntil(b"\r\n0\r\n\r\n")
            else:
                sizes = (
                    line[15:]
                    for line in answer.split(b"\r\n")
                    if line.startswith(b"content-length:")
                )
                await reader.readexactly(int(next(sizes)))
        writer.close()

    await asyncio.gather(*(one() for _ in range(streams)))


def ttft(url: str, peer: Peer, work: Path, *options: object) -> dict[str, Any]:
    argv = [
        sys.executable,
        "-m",
        "llmops_cli",
        "bench",
        "--url",
        url,
        "-o",
        work / f"r{time.monotonic_ns()}",
        "--json",
        "--allow-invalid",
        "--input-tokens",
        64,
        "--warmup",
        0,
        "--model",
        "mock",
        *options,
    ]
    env = {**os.environ, "LLMOPS_API_KEY": peer.key}
    for number, (name, value) in enumerate(peer.headers.items()):
        env[f"HEADER_{number}"] = value  # one is named like a secret
        argv += ["--header", f"{name}: $HEADER_{number}"]
    run = subprocess.run(
        [*map(str, argv)],
        capture_output=True,
        check=False,
        env=env,
    )
    if run.returncode:
        raise RuntimeError(run.stderr.decode()[-500:])
    (level,) = json.loads(run.stdout)["levels"]
    found: dict[str, Any] = level["ttft_ms"]
    return found


# -- who is measured
# -----------------------------------------------------------------------------------


def llmops(work: Path, upstream: str, port: int, *options: str) -> Peer:
    env = {"LLMOPS_STATE_DIR": str(work / f"state{port}")}
    argv = [sys.executable, "-m", "llmops_cli"]
    made = subprocess.run(
        [
            *argv,
            "keys",
            "create",
            "--name",
            "b",
            "--requests-per-minute",
            "100000000",
            "--tokens-per-minute",
            "10000000000",
            "--json",
        ],
        env={**os.environ, **env},
        capture_output=True,
        check=True,
    )
    return Peer(
        [*argv, "serve", "--upstream", f"{upstream}/v1", "--port", str(port), *options],
        env,
        json.loads(made.stdout)["key"],
    )


def nginx(work: Path, upstream: str, port: int) -> Peer:
    program = shutil.which("nginx", path=f"{os.environ['PATH']}:/usr/sbin")
    if program is None:
        raise FileNotFoundError("nginx is not installed")
    text = (
        NGINX.replace("FOLDER", str(work))
        .replace("UPPORT", upstream.rpartition(":")[2])
        .replace("PORT", str(port))
    )
    (work / "nginx.conf").write_text(text)
    return Peer([program, "-c", str(work / "nginx.conf"), "-p", str(work)])


def fastapi(work: Path, upstream: str, port: int) -> Peer:
    (work / "passes.py").write_text(FASTAPI.replace("UPSTREAM", upstream))
    python = str(peers() / "bin" / "python")
    argv = [python, "-m", "uvicorn", "passes:app", "--app-dir", str(work), "--port", str(port)]
    return Peer([*argv, "--no-access-log", "--log-level", "error"])


def portkey(work: Path, upstream: str, port: int) -> Peer:
    node = shutil.which("node")
    npm = shutil.which("npm")
    if node is None or npm is None:
        raise FileNotFoundError("node and npm are not installed")
    folder = cache() / "bench-peers-portkey"
    program = folder / "node_modules" / "@portkey-ai" / "gateway" / "build" / "start-server.js"
    if not program.exists():
        print("installing Portkey's gateway", flush=True)
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "package.json").write_text(json.dumps(PORTKEY))
        argv = [npm, "install", "--no-audit", "--no-fund", "--prefix", str(folder)]
        subprocess.run(argv, check=True, capture_output=True)
    loopback = work / "loopback.mjs"
    loopback.write_text(LOOPBACK)
    return Peer(
        [node, "--import", str(loopback), str(program), f"--port={port}", "--headless"],
        {"NODE_ENV": "production", "TRUSTED_CUSTOM_HOSTS": "127.0.0.1"},
        health="/",
        headers={"x-portkey-provider": "openai", "x-portkey-custom-host": f"{upstream}/v1"},
    )


def litellm(work: Path, upstream: str, port: int) -> Peer:
    (work / "litellm.yaml").write_text(
        json.dumps(
            {
                "model_list": [
                    {
                        "model_name": "mock",
                        "litellm_params": {
                            "model": "openai/mock",
                            "api_base": f"{upstream}/v1",
                            "api_key": "none",
                        },
                    }
                ]
            }
        )
    )
    program = str(peers() / "bin" / "litellm")
    env = {
        "LITELLM_LOCAL_MODEL_COST_MAP": "True",
        "LITELLM_LOG": "ERROR",
        "LITELLM_DANGEROUSLY_PERMIT_WEAK_OR_UNSET_MASTER_KEY": "true",
    }
    argv = [program, "--config", str(work / "litellm.yaml"), "--port", str(port)]
    return Peer([*argv, "--host", "127.0.0.1"], env, health="/health/liveliness", is_slow=True)


def cache() -> Path:
    return Path(os.environ.get("LLMOPS_CACHE_DIR", "") or Path.home() / ".cache" / "llmops")


def peers() -> Path:
    """A virtual environment with the peers' packages, made once."""
    folder = cache() / "bench-peers"
    if not (folder / "made").exists():
        print("installing the peers", flush=True)
        subprocess.run([sys.executable, "-m", "venv", "--clear", str(folder)], check=True)
        subprocess.run([str(folder / "bin" / "pip"), "install", "-q", *PACKAGES], check=True)
        (folder / "made").touch()
    return folder


# -- measuring
# -----------------------------------------------------------------------------------------


@contextmanager
def running(peer: Peer, port: int) -> Iterator[tuple[psutil.Process, float]]:
    """(the process, seconds until it answered), on core 0."""
    start = time.monotonic()
    log = tempfile.TemporaryFile()  # noqa: SIM115
    process = subprocess.Popen(peer.argv, env={**os.environ, **peer.env}, stdout=log, stderr=log)
    try:
        psutil.Process(process.pid).cpu_affinity([0])
        while True:
            try:
                urllib.request.urlopen(f"http://127.0.0.1:{port}{peer.health}", timeout=1).close()
                break
            except OSError as error:
                if process.poll() is not None or time.monotonic() - start > 90:
                    log.seek(0)
                    raise RuntimeError(log.read().decode()[-500:]) from error
                time.sleep(0.01)
        yield psutil.Process(process.pid), time.monotonic() - start
    finally:
        process.terminate()
        process.wait(30)
        log.close()


Row = dict[str, float]


def added(with_it: float | None, alone: float) -> float:
    """Not a number where the gateway's own requests failed, so that there is no percentile."""
    return float("nan") if with_it is None else with_it - alone


def measure(
    name: str, work: Path, paced: str, fast: str, direct: dict[int, dict[str, Any]], guard: bool
) -> Row:
    """One gateway's figures. `paced` sends a token each 5 ms, `fast` as quickly as it can."""
    row = Row()
    maker: Callable[..., Peer] = globals()[name]
    options = ("--guard", "default") if guard and name == "llmops" else ()
    port = free_port()
    peer = maker(work, paced, port, *options)
    slow = peer.is_slow
    with running(peer, port) as (process, row["ready s"]):
        asyncio.run(fire(port, peer, 20 if slow else 500, 16))
        costs = []
        for _ in range(1 if slow else 5):
            count = 200 if slow else 2000
            before = cpu_s(process)
            asyncio.run(fire(port, peer, count, 16))
            costs.append((cpu_s(process) - before) / count * 1e3)
        row["plain ms"] = sorted(costs)[len(costs) // 2]
        for streams, requests in ((1, 20 if slow else 100), (64, 128 if slow else 1280)):
            before = cpu_s(process)
            found = ttft(
                f"http://127.0.0.1:{port}",
                peer,
                work,
                "--concurrency",
                streams,
                "--requests",
                requests,
                "--output-tokens",
                32,
            )
            row[f"us a token, {streams}"] = (cpu_s(process) - before) / (requests * 32) * 1e6
            for percentile in ("p50", "p99"):
                alone = direct[streams][percentile]
                row[f"TTFT {percentile} ms, {streams}"] = added(found[percentile], alone)
        row["MB"] = rss_mb(process)
    port = free_port()
    peer = maker(work, fast, port, *options)
    with running(peer, port) as (process, _):
        asyncio.run(fire(port, peer, 4, 4, stream=True, tokens=200))
        count = 20 if slow else 1000
        before = cpu_s(process)
        asyncio.run(fire(port, peer, count, 16, stream=True, tokens=1000))
        row["CPU s a 1M tokens"] = (cpu_s(process) - before) / count * 1e3
    return row


TARGETS = {
    "plain ms": 0.20,
    "CPU s a 1M tokens": 5,
    "us a token, 64": 40,
    "TTFT p50 ms, 1": 1,
    "TTFT p50 ms, 64": 5,
    "TTFT p99 ms, 64": 10,
    "MB": 60,
    "ready s": 1,
}


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--peers", default="llmops,nginx,fastapi,portkey,litellm")
    parser.add_argument("--guard", action="store_true", help="with the default policy, for ours")
    args = parser.parse_args()
    os.sched_setaffinity(0, range(1, os.cpu_count() or 2) if (os.cpu_count() or 1) > 1 else {0})
    rows: dict[str, Row] = {}
    with tempfile.TemporaryDirectory() as scratch:
        work = Path(scratch)
        with (
            mock(work, "--ttft-ms", "20", "--itl-ms", "5") as paced,
            mock(work, "--ttft-ms", "1", "--itl-ms", "0") as fast,
        ):
            direct = {}
            for streams, requests in ((1, 100), (64, 1280)):
                options = ("--concurrency", streams, "--requests", requests, "--output-tokens", 32)
                direct[streams] = ttft(paced.url, Peer([]), work, *options)
            for name in args.peers.split(","):
                try:
                    rows[name] = measure(name, work, paced.url, fast.url, direct, args.guard)
                    print(name, {figure: round(value, 3) for figure, value in rows[name].items()})
                    sys.stdout.flush()
                except (FileNotFoundError, RuntimeError, subprocess.CalledProcessError) as error:
                    print(f"{name}: not measured: {error}")
    names = list(rows)
    print(f"{'':22}{'target':>9}" + "".join(f"{name:>11}" for name in names))
    for figure, target in TARGETS.items():
        print(f"{figure:22}{target:>9}" + "".join(f"{rows[name][figure]:>11.2f}" for name in names))
    for figure in ("us a token, 1", "TTFT p99 ms, 1"):
        print(f"{figure:22}{'':>9}" + "".join(f"{rows[name][figure]:>11.2f}" for name in names))


if __name__ == "__main__":
    main()
