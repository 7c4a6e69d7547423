"""The attack runner against a server that takes half a second: time, processor, disk; garak beside
it with --garak.

Both send 1,280 attempts, 64 in flight, and judge every answer. The server is ours (aiohttp in a
process of its own) and answers every chat alike, so what is measured is the runner.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

GARAK_PROBES = ",".join(
    f"encoding.Inject{name}" for name in ("Base64", "ROT13", "Hex", "Morse", "Braille")
)
SERVER = """
import asyncio, json, sys, time
from aiohttp import web
delay, first = float(sys.argv[1]), []
message = {"role": "assistant", "content": "I am sorry, but I cannot help with that request."}
choice = {"index": 0, "message": message, "finish_reason": "stop"}
usage = {"prompt_tokens": 40, "completion_tokens": 12, "total_tokens": 52}
body = json.dumps({"id": "x", "object": "chat.completion", "model": "m", "choices": [choice],
  "usage": usage})
async def chat(request):
    await request.read()
    first.append(time.time())
    await asyncio.sleep(delay)
    return web.Response(text=body, content_type="application/json")
async def stats(request):
    return web.json_response({"first": first[0] if first else None, "count": len(first)})
async def models(request):
    return web.json_response({"object": "list", "data": [{"id": "m"}]})
app = web.Application()
app.router.add_post("/v1/chat/completions", chat)
app.router.add_get("/v1/models", models)
app.router.add_get("/stats", stats)
web.run_app(app, host="127.0.0.1", port=int(sys.argv[2]), print=None)
"""


def serve(delay_s: float, port: int) -> subprocess.Popen[bytes]:
    process = subprocess.Popen([sys.executable, "-c", SERVER, str(delay_s), str(port)])
    time.sleep(1.5)
    return process


def stats(port: int) -> dict[str, float]:
    import urllib.request

    with urllib.request.urlopen(f"http://127.0.0.1:{port}/stats") as reply:
        return json.load(reply)


def timed(
    argv: list[str], folder: Path, env: dict[str, str] | None = None
) -> tuple[float, float, float]:
    """(wall seconds, CPU seconds, when it began)."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    start = time.monotonic()
    began = time.time()
    subprocess.run(
        argv,
        cwd=folder,
        env={**os.environ, **(env or {})},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        check=True,
    )
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return (
        time.monotonic() - start,
        after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime,
        began,
    )


def size(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--garak", help="a Python that has garak")
    parser.add_argument("--attempts", type=int, default=1280)
    parser.add_argument("--delay-s", type=float, default=0.5)
    parser.add_argument("--port", type=int, default=18431)
    args = parser.parse_args()
    ideal = args.attempts / 64 * args.delay_s
    print(
        f"{args.attempts} attempts, 64 in flight, {args.delay_s} s a request: at least "
        f"{ideal:.1f} s"
    )
    server = serve(args.delay_s, args.port)
    try:
        with tempfile.TemporaryDirectory() as scratch:
            folder = Path(scratch)
            url = f"http://127.0.0.1:{args.port}"
            argv = [
                sys.executable,
                "-m",
                "llmops_cli",
                "redteam",
                "--url",
                url,
                "--model",
                "m",
                "--suite",
                "full",
                "--concurrency",
                "64",
                "--max-attempts",
                str(args.attempts),
                "-o",
                "run",
                "--json",
            ]
            wall, cpu, began = timed(argv, folder)
            seen = stats(args.port)
            kept = (folder / "run" / "attempts.jsonl").stat().st_size
            print(
                f"llmops: {wall:.1f} s, {cpu * 1000 / args.attempts:.2f} ms CPU an attempt, "
                f"first request after "
                f"{seen['first'] - began:.2f} s, {kept / args.attempts:.0f} bytes an attempt on "
                f"disk "
                f"({size(folder / 'run') / args.attempts:.0f} with report and page), "
                f"{seen['count']} requests"
            )
    finally:
        server.terminate()
        server.wait()
    if args.garak:
        garak(args, ideal)


def garak(args: argparse.Namespace, ideal: float) -> None:
    server = serve(args.delay_s, args.port + 1)
    try:
        with tempfile.TemporaryDirectory() as scratch:
            folder = Path(scratch)
            config = {
                "openai": {
                    "OpenAICompatible": {
                        "uri": f"http://127.0.0.1:{args.port + 1}/v1",
                        "model": "m",
                    }
                }
            }
            (folder / "generator.json").write_text(json.dumps(config))
            argv = [
                args.garak,
                "-m",
                "garak",
                "--target_type",
                "openai.OpenAICompatible",
                "--target_name",
                "m",
                "--generator_option_file",
                "generator.json",
                "--probes",
                GARAK_PROBES,
                "--generations",
                "1",
                "--parallel_attempts",
                "64",
                "--report_prefix",
                str(folder / "garak"),
            ]
            env = {
                "OPENAICOMPATIBLE_API_KEY": "x",
                "XDG_DATA_HOME": scratch,
                "XDG_CACHE_HOME": scratch,
            }
            wall, cpu, began = timed(argv, folder, env)
            seen = stats(args.port + 1)
            n = max(int(seen["count"]), 1)
            print(
                f"garak: {wall:.1f} s for {n} attempts ({wall / n * args.attempts:.1f} s for "
                f"{args.attempts}), "
                f"{cpu * 1000 / n:.2f} ms CPU an attempt, first request after "
                f"{seen['first'] - began:.2f} s, "
                f"{size(folder) / n:.0f} bytes an attempt on disk"
            )
    finally:
        server.terminate()
        server.wait()


if __name__ == "__main__":
    main()
