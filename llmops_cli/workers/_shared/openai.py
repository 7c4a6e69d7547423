"""An OpenAI-style HTTP front for workers that generate tokens themselves. Standard library only.

A worker gives it an object with `models`, `context`, `encode_chat`, `encode_text`, `decode`,
`submit` and `gauges`; it answers each Job's `events` from any thread with `job.put(tokens)` and
`job.end(reason)`.
"""

import asyncio
import contextlib
import json
import signal
import sys
import time
import uuid
from typing import Any

MAX_BODY_BYTES = 32 << 20
MAX_HEAD_BYTES = 1 << 16


class Refused(Exception):
    """A request that cannot be served: HTTP status and why."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


class Job:
    """One generation. `put` and `end` may be called from any thread; `cancelled` tells that nobody
    listens.
    """

    def __init__(self, prompt: list[int], fields: dict[str, Any], *, room: int, model: str) -> None:
        limit = fields.get("max_completion_tokens") or fields.get("max_tokens")
        self.prompt = prompt
        self.model = model
        self.max_tokens = min(int(limit), room) if limit else min(room, 512)
        self.temperature = float(
            1.0 if fields.get("temperature") is None else fields["temperature"]
        )
        self.top_p = float(1.0 if fields.get("top_p") is None else fields["top_p"])
        self.top_k = int(fields.get("top_k") or 0)
        self.seed = fields.get("seed")
        self.ignore_eos = bool(fields.get("ignore_eos"))
        self.tokens: list[int] = []
        self.cancelled = self.finished = False
        self._loop = asyncio.get_running_loop()
        self._events: asyncio.Queue[tuple[list[int], str | None, str | None]] = asyncio.Queue()

    def put(self, tokens: list[int]) -> bool:
        """Takes tokens up to the limit; True when no more are wanted."""
        if self.finished or self.cancelled:
            return True
        kept = tokens[: self.max_tokens - len(self.tokens)]
        self.tokens += kept
        if kept:
            self._send((kept, None, None))
        if len(self.tokens) >= self.max_tokens:
            self.end("length")
        return self.finished

    def end(self, reason: str, error: str | None = None) -> None:
        if not self.finished:
            self.finished = True
            self._send(([], reason, error))

    def _send(self, event: tuple[list[int], str | None, str | None]) -> None:
        with contextlib.suppress(RuntimeError):  # the loop has ended with the server
            self._loop.call_soon_threadsafe(self._events.put_nowait, event)

    async def next(self) -> tuple[list[int], str | None, str | None]:
        return await self._events.get()


class TextStream:
    """Tokens to text without cutting a character: what may still change is held back. Stops at a
    stop string.
    """

    def __init__(self, decode: Any, stops: list[str]) -> None:
        self._decode = decode
        self._stops = stops
        self._ids: list[int] = []
        self._done = self._read = 0
        self._held = ""
        self.stopped = False

    def add(self, ids: list[int], *, last: bool = False) -> str:
        self._ids += ids
        before = self._decode(self._ids[self._done : self._read])
        now = self._decode(self._ids[self._done :])
        if (now.endswith("\ufffd") and not last) or len(now) <= len(before):
            return self._release("", last=last)
        self._done = self._read
        self._read = len(self._ids)
        return self._release(now[len(before) :], last=last)

    def _release(self, text: str, *, last: bool) -> str:
        text = self._held + text
        self._held = ""
        for stop in self._stops:
            if (at := text.find(stop)) >= 0:
                self.stopped = True
                return text[:at]
        if not last and self._stops:
            longest = max(len(stop) for stop in self._stops) - 1
            keep = next(
                (
                    n
                    for n in range(min(longest, len(text)), 0, -1)
                    if any(stop.startswith(text[-n:]) for stop in self._stops)
                ),
                0,
            )
            if keep:
                text, self._held = text[:-keep], text[-keep:]
        return text


class Front:
    """Connections, routes and streams; the engine does the rest."""

    def __init__(self, engine: Any) -> None:
        self._engine = engine
        self._counts = {"requests": 0, "prompt_tokens": 0, "output_tokens": 0}

    async def connection(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(
            ConnectionError, asyncio.IncompleteReadError, asyncio.LimitOverrunError
        ):
            while head := await reader.readuntil(b"\r\n\r\n"):
                lines = head.decode("latin-1").split("\r\n")
                method, path, *_ = [*lines[0].split(" "), "", ""]
                headers = {
                    k.strip().lower(): v.strip()
                    for k, _, v in (line.partition(":") for line in lines[1:])
                }
                try:
                    length = int(headers.get("content-length") or 0)
                    if length > MAX_BODY_BYTES:
                        raise Refused(413, f"the body is over {MAX_BODY_BYTES >> 20} MiB")
                    body = await reader.readexactly(length)
                    await self._route(method, path.partition("?")[0], body, reader, writer)
                except Refused as refused:
                    await reply(
                        writer,
                        refused.status,
                        {
                            "error": {
                                "message": str(refused),
                                "type": "invalid_request_error",
                                "code": refused.status,
                            }
                        },
                    )
                except (ValueError, TypeError, KeyError) as error:
                    await reply(
                        writer,
                        400,
                        {
                            "error": {
                                "message": f"{type(error).__name__}: {error}",
                                "type": "invalid_request_error",
                                "code": 400,
                            }
                        },
                    )
        writer.close()

    async def _route(
        self,
        method: str,
        path: str,
        body: bytes,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
    ) -> None:
        engine = self._engine
        if (method, path) == ("GET", "/health"):
            await reply(writer, 200, {"status": "ok"})
        elif (method, path) == ("GET", "/v1/models"):
            entries = [
                {
                    "id": name,
                    "object": "model",
                    "owned_by": "llmops",
                    "max_model_len": engine.context,
                }
                for name in engine.models
            ]
            await reply(writer, 200, {"object": "list", "data": entries})
        elif (method, path) == ("GET", "/metrics"):
            values = {
                **engine.gauges(),
                **{f"{name}_total": count for name, count in self._counts.items()},
            }
            text = "".join(f"llmops_{name} {value}\n" for name, value in values.items())
            await reply(writer, 200, text)
        elif method == "POST" and path == "/tokenize":
            ids = self._prompt(decoded(body), chat="messages" in decoded(body))
            await reply(
                writer, 200, {"tokens": ids, "count": len(ids), "max_model_len": engine.context}
            )
        elif method == "POST" and path in ("/v1/chat/completions", "/v1/completions"):
            await self._generate(decoded(body), reader, writer, chat="chat" in path)
        else:
            raise Refused(404, f"no {method} {path} here")

    def _prompt(self, fields: dict[str, Any], *, chat: bool) -> list[int]:
        if chat:
            if not fields.get("messages"):
                raise Refused(400, "messages: at least one is needed")
            return list(self._engine.encode_chat(fields["messages"]))
        prompt = fields.get("prompt", "")
        if isinstance(prompt, list) and prompt and all(isinstance(part, int) for part in prompt):
            return list(prompt)
        if isinstance(prompt, list):
            if len(prompt) != 1:
                raise Refused(400, "one prompt a request")
            prompt = prompt[0]
        return list(self._engine.encode_text(str(prompt)))

    async def _generate(
        self,
        fields: dict[str, Any],
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        *,
        chat: bool,
    ) -> None:
        engine = self._engine
        model = str(fields.get("model") or engine.models[0])
        if model not in engine.models:
            raise Refused(404, f"no model '{model}' here; there is {', '.join(engine.models)}")
        if int(fields.get("n") or 1) != 1:
            raise Refused(400, "n: one answer a request")
        prompt = self._prompt(fields, chat=chat)
        room = engine.context - len(prompt)
        if not prompt or room < 1:
            raise Refused(
                400, f"the prompt has {len(prompt)} tokens; the context is {engine.context}"
            )
        job = Job(prompt, fields, room=room, model=model)
        stops = fields.get("stop") or []
        stream = TextStream(engine.decode, [stops] if isinstance(stops, str) else list(stops))
        self._counts["requests"] += 1
        self._counts["prompt_tokens"] += len(prompt)
        engine.submit(job)
        watcher = asyncio.create_task(watch(reader, job))
        try:
            write = self._stream if fields.get("stream") else self._collect
            await write(job, stream, fields, writer, chat=chat)
        finally:
            job.cancelled = True
            watcher.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await watcher  # it must have let go of the reader before the next request is read
            self._counts["output_tokens"] += len(job.tokens)

    async def _stream(
        self,
        job: Job,
        stream: TextStream,
        fields: dict[str, Any],
        writer: asyncio.StreamWriter,
        *,
        chat: bool,
    ) -> None:
        base = {
            "id": f"{'chatcmpl' if chat else 'cmpl'}-{uuid.uuid4().hex[:24]}",
            "created": int(time.time()),
            "object": "chat.completion.chunk" if chat else "text_completion",
            "model": job.model,
        }
        started = False
        finish = None

        def send(choices: list[dict[str, Any]], **more: Any) -> None:
            raw = b"data: " + json.dumps({**base, "choices": choices, **more}).encode() + b"\n\n"
            writer.write(b"%x\r\n%b\r\n" % (len(raw), raw))

        def begin() -> None:
            writer.write(
                b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"
            )
            if chat:
                send(
                    [
                        {
                            "index": 0,
                            "delta": {"role": "assistant", "content": ""},
                            "finish_reason": None,
                        }
                    ]
                )

        while finish is None:
            ids, finish, error = await job.next()
            if error and not started:
                raise Refused(500, error)
            if not started:
                begin()
                started = True
            if error:
                send([], error={"message": error})
            text = stream.add(ids, last=finish is not None)
            if text:
                send(
                    [
                        {
                            "index": 0,
                            **({"delta": {"content": text}} if chat else {"text": text}),
                            "finish_reason": None,
                        }
                    ]
                )
            if stream.stopped:
                job.cancelled = True
                finish = "stop"
            await writer.drain()
        send([{"index": 0, **({"delta": {}} if chat else {"text": ""}), "finish_reason": finish}])
        if (fields.get("stream_options") or {}).get("include_usage"):
            send([], usage=usage(job))
        writer.write(b"e\r\ndata: [DONE]\n\n\r\n0\r\n\r\n")
        await writer.drain()

    async def _collect(
        self,
        job: Job,
        stream: TextStream,
        fields: dict[str, Any],
        writer: asyncio.StreamWriter,
        *,
        chat: bool,
    ) -> None:
        text = ""
        finish = None
        while finish is None:
            ids, finish, error = await job.next()
            if error:
                raise Refused(500, error)
            text += stream.add(ids, last=finish is not None)
            if stream.stopped:
                job.cancelled = True
                finish = "stop"
        message = {"message": {"role": "assistant", "content": text}} if chat else {"text": text}
        await reply(
            writer,
            200,
            {
                "id": f"{'chatcmpl' if chat else 'cmpl'}-{uuid.uuid4().hex[:24]}",
                "created": int(time.time()),
                "object": "chat.completion" if chat else "text_completion",
                "model": job.model,
                "choices": [{"index": 0, **message, "finish_reason": finish}],
                "usage": usage(job),
            },
        )


def decoded(body: bytes) -> dict[str, Any]:
    try:
        fields = json.loads(body)
    except ValueError as error:
        raise Refused(400, f"the body is not JSON: {error}") from error
    if not isinstance(fields, dict):
        raise Refused(400, "the body is no JSON object")
    return fields


def usage(job: Job) -> dict[str, int]:
    return {
        "prompt_tokens": len(job.prompt),
        "completion_tokens": len(job.tokens),
        "total_tokens": len(job.prompt) + len(job.tokens),
    }


async def reply(writer: asyncio.StreamWriter, status: int, content: Any) -> None:
    raw = content.encode() if isinstance(content, str) else json.dumps(content).encode()
    kind = b"text/plain; version=0.0.4" if isinstance(content, str) else b"application/json"
    writer.write(
        b"HTTP/1.1 %d X\r\nContent-Type: %b\r\nContent-Length: %d\r\n\r\n%b"
        % (status, kind, len(raw), raw)
    )
    await writer.drain()


async def watch(reader: asyncio.StreamReader, job: Job) -> None:
    """The client speaks only when the answer is over; an end before that means it has gone."""
    while not job.finished:
        await asyncio.sleep(0.2)
        if reader.at_eof():
            job.cancelled = True
            return


def serve(engine: Any, port: int) -> None:
    """Until SIGTERM."""

    async def main() -> None:
        stop = asyncio.Event()
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, stop.set)
        try:
            server = await asyncio.start_server(
                Front(engine).connection, "127.0.0.1", port, limit=MAX_HEAD_BYTES
            )
        except OSError as error:
            sys.exit(f"cannot listen on 127.0.0.1:{port}: {error.strerror}")
        print(f"serving {', '.join(engine.models)} on 127.0.0.1:{port}", flush=True)
        async with server:
            await stop.wait()

    asyncio.run(main())
