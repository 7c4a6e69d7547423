"""An OpenAI-style server that simulates an engine: known delays, limits and scripted faults.

A request waits for one of `--max-num-seqs` places and for its KV tokens, is read in `--ttft-ms`
plus its tokens / `--prefill-tokens-per-s`, and then sends a chunk every `--itl-ms` on a fixed
schedule from the first, so that delays do not add up. `--crowding` makes each step longer by that
share for every other running request. A word is a token.
"""

import argparse
import asyncio
import os
import random
import time
from dataclasses import dataclass
from typing import Any

from _shared.choices import closing_choice, opening_choice, piece_choice, usage_of, whole_choice
from _shared.embeddings import EmbeddingRequest
from _shared.http1 import HttpConnection, HttpError, HttpRequest
from _shared.request_fields import FieldError
from sim import vectors
from sim.faults import FAULTS, REFUSALS, break_off, refuse
from sim.places import Places

DEFAULT_TOKENS = 16
WORD = " token"
ANSWERED = ("/completions", "/embeddings")


INTEGERS = {
    "--max-num-seqs": (1_000_000, "places"),
    "--kv-tokens": (0, "0: no limit"),
    "--queue": (1_000_000, "more waiting requests than this get a 429"),
    "--tokens": (0, "tokens per answer; 0: max_tokens"),
    "--tokens-per-chunk": (1, "1: an event each"),
    "--seed": (0, "of the jitter"),
    "--die-after": (0, "the process exits at the Nth request"),
}
FLOATS = {
    "--ttft-ms": (50.0, "from a request to its first token"),
    "--itl-ms": (10.0, "between two tokens"),
    "--prefill-tokens-per-s": (0.0, "0: reading costs nothing more"),
    "--crowding": (0.0, "each step is longer by this share for each other request"),
    "--jitter": (0.0, "each delay varies by up to this share"),
    "--start-s": (0.0, "answers nothing before"),
    "--leak-kb": (0.0, "memory kept of each request"),
}
"""Flag -> its default, and what it is."""


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="sim.server")
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, required=True)
    for flag, (integer, text) in INTEGERS.items():
        parser.add_argument(flag, type=int, default=integer, help=text)
    for flag, (number, text) in FLOATS.items():
        parser.add_argument(flag, type=float, default=number, help=text)
    for fault, text in FAULTS.items():
        name = fault.replace("_", "-")
        parser.add_argument(
            f"--{name}-every", type=int, default=0, help=f"every Nth request {text}"
        )
    return parser.parse_args()


@dataclass(frozen=True)
class SimRequest:
    """One request as it is computed: what it asks, when it came and what is to go wrong."""

    chat: bool
    streamed: bool
    prompt_tokens: int
    tokens: int
    received_ns: int
    fault: str | None
    vectors: EmbeddingRequest | None = None

    @property
    def kv_tokens(self) -> int:
        return self.prompt_tokens + self.tokens


class SimServer:
    """The routes, and the schedule of every answer."""

    def __init__(self, args: argparse.Namespace) -> None:
        self._args = args
        self._count = 0
        self._rng = random.Random(args.seed)
        self._places = Places(most=args.max_num_seqs, kv_tokens=args.kv_tokens)
        self._times: list[dict[str, float]] = []
        self._leaked: list[bytes] = []

    async def connection(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        connection = HttpConnection(reader, writer)
        try:
            while True:
                request = await connection.read_request()
                await self._route(request, connection)
        except HttpError as error:
            await connection.refuse(error.status, error_body(str(error)))
        except ConnectionError:
            pass
        finally:
            connection.close()

    async def _route(self, request: HttpRequest, connection: HttpConnection) -> None:
        path = request.path
        is_post = request.method == "POST"
        if is_post and path.endswith(ANSWERED):
            await self._complete(request, connection)
        elif is_post and path == "/tokenize":
            count = words(request.json())
            await connection.reply(200, {"count": count})
        elif path == "/metrics":
            await connection.reply(200, self._metrics())
        elif path == "/times":
            await connection.reply(200, self._times)
        elif path in ("/health", "/v1/models"):
            model = {"id": "sim"}
            await connection.reply(200, {"status": "ok", "data": [model]})
        else:
            await connection.reply(404, error_body(f"no {path}"))

    def _metrics(self) -> str:
        places = self._places
        values = {
            "running": places.running,
            "waiting": places.waiting,
            "kv_use": places.kv_use,
        }
        lines = [f"llmops_{name} {value}\n" for name, value in values.items()]
        return "".join(lines)

    async def _complete(self, request: HttpRequest, connection: HttpConnection) -> None:
        self._count += 1
        args = self._args
        if args.die_after and self._count >= args.die_after:
            os._exit(70)
        if args.leak_kb:
            size = int(args.leak_kb * 1024)
            self._leaked.append(os.urandom(size))
        fault = self._fault()
        if fault in REFUSALS:
            await refuse(fault, connection)
        elif self._places.waiting >= args.queue:
            await connection.reply(429, error_body("the queue is full"))
        else:
            await self._take(request, fault, connection)

    async def _take(
        self,
        request: HttpRequest,
        fault: str | None,
        connection: HttpConnection,
    ) -> None:
        try:
            asked = self._read(request, fault)
        except FieldError as error:
            await connection.reply(400, error_body(str(error)))
            return
        await self._compute(asked, connection)

    def _fault(self) -> str | None:
        """What the script wants of this request."""
        for name in FAULTS:
            every = getattr(self._args, f"{name}_every")
            if every and self._count % every == 0:
                return name
        return None

    def _read(self, request: HttpRequest, fault: str | None) -> SimRequest:
        fields = request.json()
        if request.path.endswith("/embeddings"):
            wanted = vectors.read(fields)
            return SimRequest(
                chat=False,
                streamed=False,
                prompt_tokens=vectors.tokens_of(wanted),
                tokens=0,
                received_ns=request.received_ns,
                fault=fault,
                vectors=wanted,
            )
        limit = fields.get("max_tokens")
        limit = limit or fields.get("max_completion_tokens")
        return SimRequest(
            chat="chat" in request.path,
            streamed=bool(fields.get("stream")),
            prompt_tokens=words(fields),
            tokens=self._args.tokens or limit or DEFAULT_TOKENS,
            received_ns=request.received_ns,
            fault=fault,
        )

    async def _compute(self, request: SimRequest, connection: HttpConnection) -> None:
        waited = await self._places.enter(request.kv_tokens)
        begun_ns = request.received_ns
        if waited:
            begun_ns = time.monotonic_ns()
        try:
            if request.vectors is not None:
                await self._embed(request, request.vectors, begun_ns, connection)
            else:
                await self._answer(request, begun_ns, connection)
        finally:
            self._places.leave(request.kv_tokens)

    async def _embed(
        self,
        request: SimRequest,
        wanted: EmbeddingRequest,
        begun_ns: int,
        connection: HttpConnection,
    ) -> None:
        """All vectors at once, when the texts are read."""
        due_ns = begun_ns + self._reading_ns(request.prompt_tokens)
        wait_ns = max(0, due_ns - time.monotonic_ns())
        await asyncio.sleep(wait_ns / 1e9)
        if request.fault:
            ended = await break_off(request.fault, connection)
            if ended:
                return
        self._note_times(request.received_ns, time.monotonic_ns())
        await connection.reply(200, vectors.answer(wanted, request.prompt_tokens))

    async def _answer(
        self,
        request: SimRequest,
        begun_ns: int,
        connection: HttpConnection,
    ) -> None:
        events = None
        if request.streamed:
            events = connection.events()
            if request.chat:
                opening = opening_choice()
                events.send({"choices": [opening]})
        due_ns = begun_ns + self._reading_ns(request.prompt_tokens)
        first_ns = 0
        left = request.tokens
        chunks = -(-left // self._args.tokens_per_chunk)
        middle = chunks // 2
        for chunk in range(chunks):
            wait_ns = max(0, due_ns - time.monotonic_ns())
            await asyncio.sleep(wait_ns / 1e9)
            if request.fault and chunk == middle:
                ended = await break_off(request.fault, connection)
                if ended:
                    return
            tokens = min(self._args.tokens_per_chunk, left)
            left -= tokens
            if events is not None:
                piece = piece_choice(WORD * tokens, chat=request.chat)
                events.send({"choices": [piece]})
            first_ns = first_ns or time.monotonic_ns()
            due_ns += self._step_ns()
        self._note_times(request.received_ns, first_ns)
        if events is None:
            await connection.reply(200, whole_answer(request))
            return
        closing = closing_choice("length", chat=request.chat)
        usage = usage_of(request.prompt_tokens, request.tokens)
        events.send({"choices": [closing]})
        events.send({"choices": [], "usage": usage})
        await events.end()

    def _reading_ns(self, prompt_tokens: int) -> int:
        """How long the prompt takes."""
        reading_ms = float(self._args.ttft_ms)
        rate_per_s = self._args.prefill_tokens_per_s
        if rate_per_s:
            reading_ms += 1e3 * prompt_tokens / rate_per_s
        varied_ms = self._varied(reading_ms)
        return int(varied_ms * 1e6)

    def _step_ns(self) -> int:
        """How long the next chunk takes beside all that run now."""
        args = self._args
        others = self._places.running - 1
        crowd = 1 + args.crowding * others
        step_ms = args.tokens_per_chunk * args.itl_ms * crowd
        return int(self._varied(step_ms) * 1e6)

    def _varied(self, delay_ms: float) -> float:
        jitter: float = self._args.jitter
        share = self._rng.uniform(-1, 1)
        change = jitter * share
        return delay_ms * (1 + change)

    def _note_times(self, received_ns: int, first_ns: int) -> None:
        """What a client should have measured, for GET /times."""
        ended_ns = time.monotonic_ns()
        self._times.append(
            {
                "ttft_ms": (first_ns - received_ns) / 1e6,
                "e2e_ms": (ended_ns - received_ns) / 1e6,
            }
        )


def whole_answer(request: SimRequest) -> dict[str, Any]:
    text = WORD * request.tokens
    choice = whole_choice(text, "length", chat=request.chat)
    usage = usage_of(request.prompt_tokens, request.tokens)
    return {"model": "sim", "choices": [choice], "usage": usage}


def error_body(message: str) -> dict[str, Any]:
    return {"error": {"message": message}}


def words(fields: dict[str, Any]) -> int:
    """Tokens of a request: its words, and one for the beginning."""
    messages = fields.get("messages") or ()
    texts = [message.get("content") for message in messages]
    if not texts:
        texts = [fields.get("prompt")]
    count = 1
    for text in texts:
        words_of_text = str(text or "").split()
        count += len(words_of_text)
    return count


async def main() -> None:
    args = parse()
    await asyncio.sleep(args.start_s)
    connection = SimServer(args).connection
    server = await asyncio.start_server(connection, args.host, args.port)
    async with server:
        await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(main())
