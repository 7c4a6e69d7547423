"""An OpenAI-style server that simulates an engine: known delays, limits and scripted faults.
Standard library only.

A request waits for one of `--max-num-seqs` places and for its KV tokens, is read in `--ttft-ms`
plus its tokens / `--prefill-tokens-per-s`, and then sends a chunk every `--itl-ms` on a fixed
schedule from the first, so that delays do not add up. `--crowding` makes each step longer by that
share for every other running request. A word is a token.
"""

import argparse
import asyncio
import contextlib
import json
import os
import random
import socket
import struct
import time
from collections import deque
from typing import Any

FAULTS = {
    "fail": "gets a 503",
    "error": "gets a 500",
    "busy": "gets a 429 with Retry-After",
    "silent": "gets nothing at all",
    "slow_headers": "gets headers that never end",
    "wrong_length": "gets less than was promised",
    "stall": "stops sending",
    "reset": "is reset",
    "half": "ends without its end",
    "malformed": "has a broken event",
}


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="sim.server")
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--ttft-ms", type=float, default=50.0)
    parser.add_argument("--itl-ms", type=float, default=10.0)
    parser.add_argument(
        "--prefill-tokens-per-s", type=float, default=0.0, help="0: reading costs nothing more"
    )
    parser.add_argument("--crowding", type=float, default=0.0)
    parser.add_argument(
        "--jitter", type=float, default=0.0, help="each delay varies by up to this share"
    )
    parser.add_argument("--max-num-seqs", type=int, default=1_000_000)
    parser.add_argument("--kv-tokens", type=int, default=0, help="0: no limit")
    parser.add_argument(
        "--queue", type=int, default=1_000_000, help="more waiting requests than this get a 429"
    )
    parser.add_argument("--tokens", type=int, default=0, help="tokens per answer; 0: max_tokens")
    parser.add_argument("--tokens-per-chunk", type=int, default=1)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--start-s", type=float, default=0.0, help="answers nothing before")
    parser.add_argument("--leak-kb", type=float, default=0.0, help="memory kept of each request")
    parser.add_argument(
        "--die-after", type=int, default=0, help="the process exits at the Nth request"
    )
    for fault, what in FAULTS.items():
        parser.add_argument(
            f"--{fault.replace('_', '-')}-every",
            type=int,
            default=0,
            help=f"every Nth request {what}",
        )
    return parser.parse_args()


class Sim:
    def __init__(self, args: argparse.Namespace) -> None:
        self.args = args
        self.count = 0
        self.rng = random.Random(args.seed)
        self.running = self.kv_used = 0
        self.waiting: deque[tuple[int, asyncio.Future[None]]] = deque()
        self.times: list[dict[str, float]] = []
        self.leaked: list[bytes] = []

    # -- places

    async def enter(self, need: int) -> bool:
        """Whether it had to wait."""
        if self.fits(need) and not self.waiting:
            self.take(need)
            return False
        place: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.waiting.append((need, place))
        await place
        return True

    def fits(self, need: int) -> bool:
        limit = self.args.kv_tokens
        return self.running < self.args.max_num_seqs and (
            not limit or not self.running or self.kv_used + need <= limit
        )

    def take(self, need: int) -> None:
        self.running += 1
        self.kv_used += need

    def leave(self, need: int) -> None:
        self.running -= 1
        self.kv_used -= need
        while self.waiting and self.fits(self.waiting[0][0]):
            wanted, place = self.waiting.popleft()
            if not place.cancelled():
                self.take(wanted)
                place.set_result(None)

    # -- HTTP

    async def connection(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError):
            while head := (await reader.readuntil(b"\r\n\r\n")).decode():
                received_ns = time.monotonic_ns()
                method, path, _ = head.split("\r\n", 1)[0].split(" ")
                length = next(
                    (
                        int(h[15:])
                        for h in head.split("\r\n")
                        if h.lower().startswith("content-length:")
                    ),
                    0,
                )
                body = await reader.readexactly(length)
                if method == "POST" and path in ("/v1/chat/completions", "/v1/completions"):
                    await self.generate(json.loads(body), received_ns, writer, chat="chat" in path)
                elif (method, path) == ("POST", "/tokenize"):
                    await self.plain(writer, 200, {"count": words(json.loads(body))})
                elif path == "/metrics":
                    await self.plain(writer, 200, self.metrics())
                elif path in ("/health", "/v1/models", "/times"):
                    reply = (
                        self.times
                        if path == "/times"
                        else {"status": "ok", "data": [{"id": "sim"}]}
                    )
                    await self.plain(writer, 200, reply)
                else:
                    await self.plain(writer, 404, {"error": {"message": f"no {path}"}})
        writer.close()

    def metrics(self) -> str:
        use = self.kv_used / self.args.kv_tokens if self.args.kv_tokens else 0.0
        return f"llmops_running {self.running}\nllmops_waiting {len(self.waiting)}\nllmops_kv_use {use}\n"

    async def plain(self, writer: asyncio.StreamWriter, status: int, reply: Any) -> None:
        raw = reply.encode() if isinstance(reply, str) else json.dumps(reply).encode()
        kind = b"text/plain" if isinstance(reply, str) else b"application/json"
        writer.write(
            b"HTTP/1.1 %d X\r\nContent-Type: %b\r\nContent-Length: %d\r\n\r\n%b"
            % (status, kind, len(raw), raw)
        )
        await writer.drain()

    # -- generation

    def fault(self) -> str | None:
        every = ((name, getattr(self.args, f"{name}_every")) for name in FAULTS)
        return next((name for name, n in every if n and self.count % n == 0), None)

    def varied(self, ms: float) -> float:
        return ms * (1 + self.args.jitter * self.rng.uniform(-1, 1))

    async def generate(
        self, request: dict[str, Any], received_ns: int, writer: asyncio.StreamWriter, *, chat: bool
    ) -> None:
        self.count += 1
        args = self.args
        fault = self.fault()
        if args.die_after and self.count >= args.die_after:
            os._exit(70)
        if args.leak_kb:
            self.leaked.append(os.urandom(int(args.leak_kb * 1024)))
        if fault in ("fail", "error", "busy", "silent", "slow_headers", "wrong_length"):
            await self.refuse(fault, writer)
            return
        if len(self.waiting) >= args.queue:
            await self.plain(writer, 429, {"error": {"message": "the queue is full"}})
            return
        tokens = (
            args.tokens or request.get("max_tokens") or request.get("max_completion_tokens") or 16
        )
        prompt = words(request)
        waited = await self.enter(prompt + tokens)
        begun_ns = time.monotonic_ns() if waited else received_ns
        try:
            await self.answer(
                request,
                (received_ns, begun_ns),
                writer,
                fault,
                prompt=prompt,
                tokens=tokens,
                chat=chat,
            )
        finally:
            self.leave(prompt + tokens)

    async def refuse(self, fault: str, writer: asyncio.StreamWriter) -> None:
        """What goes wrong before an answer begins."""
        if fault in ("fail", "error"):
            await self.plain(
                writer, 503 if fault == "fail" else 500, {"error": {"message": "scripted failure"}}
            )
        elif fault == "busy":
            writer.write(b"HTTP/1.1 429 X\r\nRetry-After: 1\r\nContent-Length: 2\r\n\r\n{}")
        elif fault == "silent":
            await asyncio.sleep(3600)
        elif fault == "slow_headers":
            writer.write(b"HTTP/1.1 200 OK\r\n")
            for number in range(36_000):
                writer.write(b"X-%d: y\r\n" % number)
                await asyncio.sleep(0.1)
                await writer.drain()
        else:
            writer.write(
                b'HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 999\r\n\r\n{"id":'
            )
            await writer.drain()
            raise ConnectionResetError

    async def answer(
        self,
        request: dict[str, Any],
        at_ns: tuple[int, int],
        writer: asyncio.StreamWriter,
        fault: str | None,
        *,
        prompt: int,
        tokens: int,
        chat: bool,
    ) -> None:
        args = self.args
        per_chunk = self.args.tokens_per_chunk
        usage = {
            "prompt_tokens": prompt,
            "completion_tokens": tokens,
            "total_tokens": prompt + tokens,
        }
        streamed = bool(request.get("stream"))
        if streamed:
            writer.write(
                b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"
            )
            if chat:  # a role-only first event, which is not a token
                self.event(
                    writer,
                    {"choices": [{"index": 0, "delta": {"role": "assistant", "content": ""}}]},
                )
        reading_ms = args.ttft_ms + (
            1e3 * prompt / args.prefill_tokens_per_s if args.prefill_tokens_per_s else 0.0
        )
        received_ns, begun_ns = at_ns
        due_ns = begun_ns + int(self.varied(reading_ms) * 1e6)
        first_ns = 0
        chunks = -(-tokens // per_chunk)
        for chunk in range(chunks):
            await asyncio.sleep(max(0, due_ns - time.monotonic_ns()) / 1e9)
            if fault and chunk == chunks // 2 and await self.break_off(fault, writer):
                return
            text = " token" * min(per_chunk, tokens - chunk * per_chunk)
            if streamed:
                choice = {"delta": {"content": text}} if chat else {"text": text}
                self.event(writer, {"choices": [{"index": 0, **choice, "finish_reason": None}]})
            first_ns = first_ns or time.monotonic_ns()
            due_ns += int(
                self.varied(per_chunk * args.itl_ms * (1 + args.crowding * (self.running - 1)))
                * 1e6
            )
        self.times.append(
            {
                "ttft_ms": (first_ns - received_ns) / 1e6,
                "e2e_ms": (time.monotonic_ns() - received_ns) / 1e6,
            }
        )
        if not streamed:
            message = (
                {"message": {"role": "assistant", "content": " token" * tokens}}
                if chat
                else {"text": " token" * tokens}
            )
            await self.plain(
                writer,
                200,
                {
                    "model": "sim",
                    "choices": [{"index": 0, **message, "finish_reason": "length"}],
                    "usage": usage,
                },
            )
            return
        end = {"delta": {}} if chat else {"text": ""}
        self.event(writer, {"choices": [{"index": 0, **end, "finish_reason": "length"}]})
        self.event(writer, {"choices": [], "usage": usage})
        writer.write(b"e\r\ndata: [DONE]\n\n\r\n0\r\n\r\n")
        await writer.drain()

    async def break_off(self, fault: str, writer: asyncio.StreamWriter) -> bool:
        """Does what the script says in the middle of an answer; True if that was its end."""
        if fault == "malformed":
            writer.write(b"d\r\ndata: {oops\n\n\r\n")
            return False
        await writer.drain()
        if fault == "stall":
            await asyncio.sleep(3600)
        if fault == "half":
            writer.write(b"0\r\n\r\n")
            await writer.drain()
            return True
        raw = writer.get_extra_info("socket")
        raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        writer.transport.abort()
        raise ConnectionResetError

    def event(self, writer: asyncio.StreamWriter, payload: dict[str, Any]) -> None:
        raw = b"data: " + json.dumps(payload).encode() + b"\n\n"
        writer.write(b"%x\r\n%s\r\n" % (len(raw), raw))


def words(request: dict[str, Any]) -> int:
    """Tokens of a request: its words, and one for the beginning."""
    parts = [str(m.get("content") or "") for m in request.get("messages") or ()] or [
        str(request.get("prompt") or "")
    ]
    return 1 + sum(len(part.split()) for part in parts)


async def main() -> None:
    args = parse()
    await asyncio.sleep(args.start_s)
    server = await asyncio.start_server(Sim(args).connection, "127.0.0.1", args.port, limit=1 << 24)
    async with server:
        await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(main())
