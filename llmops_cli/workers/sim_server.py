"""An OpenAI-style server whose delays are known exactly. Standard library only.

Each stream sends its first token `ttft_ms` after the request, then one chunk every `itl_ms` on a fixed
schedule from the first, so that delays do not add up. /times lists what it really did.
"""

import argparse
import asyncio
import contextlib
import json
import os
import time
from typing import Any


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="sim_server")
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--ttft-ms", type=float, default=50.0)
    parser.add_argument("--itl-ms", type=float, default=10.0)
    parser.add_argument("--tokens", type=int, default=0, help="tokens per answer; 0: max_tokens")
    parser.add_argument("--tokens-per-chunk", type=int, default=1)
    parser.add_argument("--fail-every", type=int, default=0, help="every Nth request gets a 503")
    parser.add_argument("--die-after", type=int, default=0, help="the process exits at the Nth request")
    return parser.parse_args()


class Sim:
    def __init__(self, args: argparse.Namespace) -> None:
        self.args, self.count = args, 0
        self.times: list[dict[str, float]] = []

    async def connection(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError):
            while head := (await reader.readuntil(b"\r\n\r\n")).decode():
                received_ns = time.monotonic_ns()
                method, path, _ = head.split("\r\n", 1)[0].split(" ")
                length = next((int(h[15:]) for h in head.split("\r\n") if h.lower().startswith("content-length:")), 0)
                body = await reader.readexactly(length)
                if method == "POST" and path in ("/v1/chat/completions", "/v1/completions"):
                    await self.generate(json.loads(body), received_ns, writer, chat="chat" in path)
                elif path in ("/health", "/v1/models", "/times"):
                    reply = self.times if path == "/times" else {"status": "ok", "data": [{"id": "sim"}]}
                    await self.plain(writer, 200, reply)
                else:
                    await self.plain(writer, 404, {"error": {"message": f"no {path}"}})
        writer.close()

    async def plain(self, writer: asyncio.StreamWriter, status: int, reply: Any) -> None:
        raw = json.dumps(reply).encode()
        writer.write(
            b"HTTP/1.1 %d X\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s" % (status, len(raw), raw)
        )
        await writer.drain()

    async def generate(
        self, request: dict[str, Any], received_ns: int, writer: asyncio.StreamWriter, *, chat: bool
    ) -> None:
        self.count += 1
        if self.args.die_after and self.count >= self.args.die_after:
            os._exit(70)
        if self.args.fail_every and self.count % self.args.fail_every == 0:
            await self.plain(writer, 503, {"error": {"message": "scripted failure"}})
            return
        tokens = self.args.tokens or request.get("max_tokens") or 16
        prompt = json.dumps(request.get("messages") or request.get("prompt"))
        usage = {"prompt_tokens": len(prompt.split()), "completion_tokens": tokens}
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n")
        if chat:  # a role-only first event, which is not a token
            self.event(writer, {"choices": [{"index": 0, "delta": {"role": "assistant", "content": ""}}]})
        per_chunk = self.args.tokens_per_chunk
        first_ns = received_ns + int(self.args.ttft_ms * 1e6)
        for chunk in range(-(-tokens // per_chunk)):
            due_ns = first_ns + int(chunk * per_chunk * self.args.itl_ms * 1e6)
            await asyncio.sleep(max(0, due_ns - time.monotonic_ns()) / 1e9)
            text = " token" * min(per_chunk, tokens - chunk * per_chunk)
            choice = {"delta": {"content": text}} if chat else {"text": text}
            self.event(writer, {"choices": [{"index": 0, **choice, "finish_reason": None}]})
            if chunk == 0:
                sent_first_ns = time.monotonic_ns()
        self.times.append(
            {
                "ttft_ms": (sent_first_ns - received_ns) / 1e6,
                "e2e_ms": (time.monotonic_ns() - received_ns) / 1e6,
            }
        )
        end = {"delta": {}} if chat else {"text": ""}
        self.event(writer, {"choices": [{"index": 0, **end, "finish_reason": "length"}]})
        self.event(writer, {"choices": [], "usage": {**usage, "total_tokens": sum(usage.values())}})
        writer.write(b"e\r\ndata: [DONE]\n\n\r\n0\r\n\r\n")
        await writer.drain()

    def event(self, writer: asyncio.StreamWriter, payload: dict[str, Any]) -> None:
        raw = b"data: " + json.dumps(payload).encode() + b"\n\n"
        writer.write(b"%x\r\n%s\r\n" % (len(raw), raw))


async def main() -> None:
    args = parse()
    server = await asyncio.start_server(Sim(args).connection, "127.0.0.1", args.port)
    async with server:
        await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(main())
