"""Asks the HTTP API of the server, over a scheduler that answers by script."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from typing import Any

from _shared.grammar_making.here import made_here
from _shared.grammar_making.tasks import GrammarTask
from _shared.grammars.machine import Machine
from llamacpp.server.api import OpenAiApp
from llamacpp.server.chat import ChatTemplate
from llamacpp.server.generation import Generation, StepOutput
from llamacpp.server.grammars import Grammars
from llamacpp.server.prompts import PromptReader
from llamacpp.server.sampling import TokenLogprob
from llamacpp.server.scheduler import QueueFull, SchedulerCounters, SchedulerLoad
from tests.unit.workers.llamacpp.vocabulary import NumberedVocabulary

CHAT = "/v1/chat/completions"
COMPLETIONS = "/v1/completions"
TEMPLATE = "{% for m in messages %}{{ m.content }} {% endfor %}"

Script = Callable[[Generation], list[StepOutput]]


def two_words(generation: Generation) -> list[StepOutput]:
    generation.output_tokens = 2
    return [
        StepOutput(generation, "one ", [TokenLogprob(2, -0.5, [(2, -0.5)])]),
        StepOutput(generation, "two", [], finish="stop"),
    ]


class ScriptedScheduler:
    """Delivers the script's outputs as soon as a generation is submitted."""

    most = 8

    def __init__(self, script: Script, *, full: bool = False) -> None:
        self._script = script
        self._full = full
        self.alive = True
        self.counters = SchedulerCounters(steps=3)
        self.submitted: list[Generation] = []

    def submit(self, generations: list[Generation]) -> None:
        if self._full:
            raise QueueFull(7)
        self.submitted += generations
        for generation in generations:
            for output in self._script(generation):
                generation.deliver(output)

    def load(self) -> SchedulerLoad:
        return SchedulerLoad(
            running=1, waiting=2, kv_cells=3, kv_use=0.25, kv_unified=0, batch_tokens=4
        )


class Reply:
    """One answer, as the client gets it."""

    def __init__(self, messages: list[dict[str, Any]]) -> None:
        self.parts = [message.get("body", b"") for message in messages[1:]]
        self.status = messages[0]["status"] if messages else None
        self.headers = dict(messages[0]["headers"]) if messages else {}

    @property
    def body(self) -> Any:
        return json.loads(b"".join(self.parts))

    @property
    def events(self) -> list[Any]:
        lines = b"".join(self.parts).decode().split("\n\n")
        assert lines[-2:] == ["data: [DONE]", ""]
        return [json.loads(line.removeprefix("data: ")) for line in lines[:-2]]


def ask(
    method: str,
    path: str,
    body: object = None,
    *,
    script: Script = two_words,
    scheduler: ScriptedScheduler | None = None,
    leaves: bool = False,
    template: str = TEMPLATE,
    vocabulary: object = None,
    context: int = 20,
    make: Callable[[GrammarTask], Machine] = made_here,
) -> Reply:
    app = app_over(
        scheduler or ScriptedScheduler(script),
        template=template,
        vocabulary=vocabulary or NumberedVocabulary(),
        context=context,
        make=make,
    )
    return asyncio.run(asked_of(app, method, path, body, leaves=leaves))


def app_over(
    scheduler: ScriptedScheduler,
    *,
    template: str = TEMPLATE,
    vocabulary: object,
    context: int,
    make: Callable[[GrammarTask], Machine] = made_here,
) -> OpenAiApp:
    chat_template = ChatTemplate(template, bos="1 ", eos="0 ")
    reader = PromptReader(vocabulary, chat_template, context=context)
    grammars = Grammars(make)
    return OpenAiApp(reader, scheduler, grammars=grammars, models=["m", "lora"], context=context)


async def asked_of(
    app: OpenAiApp,
    method: str,
    path: str,
    body: object = None,
    *,
    leaves: bool = False,
) -> Reply:
    sent: list[dict[str, Any]] = []
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    messages = [{"type": "http.request", "body": raw, "more_body": False}]

    async def receive() -> dict[str, Any]:
        if messages:
            return messages.pop()
        if not leaves:
            await asyncio.Event().wait()
        return {"type": "http.disconnect"}

    async def send(message: dict[str, Any]) -> None:
        sent.append(message)

    scope = {"type": "http", "method": method, "path": path}
    await app(scope, receive, send)
    return Reply(sent)


def chat(**fields: object) -> dict[str, object]:
    return {"messages": [{"role": "user", "content": "5 6"}], **fields}
