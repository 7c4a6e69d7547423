"""The HTTP API over a scheduler that answers by script."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from typing import Any

import pytest

from llamacpp.server.api import OpenAiApp
from llamacpp.server.chat import ChatTemplate
from llamacpp.server.generation import Generation, GenerationFailure, StepOutput
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
        return SchedulerLoad(running=1, waiting=2, kv_cells=3, kv_use=0.25, batch_tokens=4)


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
) -> Reply:
    template = ChatTemplate(TEMPLATE, bos="1 ", eos="0 ")
    reader = PromptReader(NumberedVocabulary(), template)
    app = OpenAiApp(
        reader, scheduler or ScriptedScheduler(script), models=["m", "lora"], context=20
    )
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
    asyncio.run(app(scope, receive, send))
    return Reply(sent)


def chat(**fields: object) -> dict[str, object]:
    return {"messages": [{"role": "user", "content": "5 6"}], **fields}


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [("GET", "/nowhere", 404), ("GET", COMPLETIONS, 405), ("POST", "/health", 405)],
)
def test_what_is_not_served_is_refused(method: str, path: str, status: int) -> None:
    reply = ask(method, path)
    assert reply.status == status
    assert reply.body["error"]["message"] == f"no {method} {path} here"


def test_a_scheduler_that_has_ended_is_unhealthy() -> None:
    assert ask("GET", "/health").body == {"status": "ok"}
    dead = ScriptedScheduler(two_words)
    dead.alive = False
    assert ask("GET", "/health", scheduler=dead).status == 503


def test_adapters_are_models() -> None:
    assert [entry["id"] for entry in ask("GET", "/v1/models").body["data"]] == ["m", "lora"]


def test_metrics_have_the_names_that_telemetry_reads() -> None:
    text = b"".join(ask("GET", "/metrics").parts).decode()
    for line in ("llmops_running 1.0", "llmops_kv_use 0.25", "llmops_steps_total 3.0"):
        assert line in text.splitlines()


@pytest.mark.parametrize(
    ("body", "tokens"),
    [
        ({"content": "5 6"}, [1, 5, 6]),
        ({"prompt": "5 6", "add_special_tokens": False}, [5, 6]),
        (chat(), [1, 5, 6]),
    ],
)
def test_tokens_of_text_and_messages(body: dict[str, object], tokens: list[int]) -> None:
    assert ask("POST", "/tokenize", body).body["tokens"] == tokens


def test_a_whole_answer_joins_its_steps() -> None:
    body = ask("POST", CHAT, chat(n=2, logprobs=True)).body
    assert [choice["index"] for choice in body["choices"]] == [0, 1]
    first = body["choices"][0]
    assert first["message"] == {"role": "assistant", "content": "one two"}
    assert first["finish_reason"] == "stop"
    assert [entry["token"] for entry in first["logprobs"]["content"]] == ["2 "]
    assert body["usage"]["prompt_tokens"] == 3  # the choices share their prompt
    assert body["usage"]["completion_tokens"] == 4


def test_a_stream_has_the_role_first_and_the_usage_last() -> None:
    reply = ask("POST", CHAT, chat(stream=True, stream_options={"include_usage": True}))
    events = reply.events
    deltas = [event["choices"][0]["delta"] for event in events[:-1]]
    assert deltas == [
        {"role": "assistant", "content": ""},
        {"content": "one "},
        {"content": "two"},
        {},
    ]
    assert events[-1]["usage"]["total_tokens"] == 5
    assert len(reply.parts) == 1  # what has arrived meanwhile is one write


def test_completions_stream_text() -> None:
    reply = ask("POST", COMPLETIONS, {"prompt": [5, 6], "stream": True, "logprobs": 1})
    choices = [event["choices"][0] for event in reply.events]
    assert [choice["text"] for choice in choices] == ["one ", "two", ""]
    assert choices[0]["logprobs"]["top_logprobs"] == [{"2 ": -0.5}]
    assert [choice["finish_reason"] for choice in choices] == [None, None, "stop"]


def test_each_choice_of_a_seeded_request_has_its_own_seed() -> None:
    scheduler = ScriptedScheduler(two_words)
    ask("POST", CHAT, chat(n=3, seed=5, model="lora"), scheduler=scheduler)
    assert [generation.params.seed for generation in scheduler.submitted] == [5, 6, 7]
    assert {generation.adapter for generation in scheduler.submitted} == {1}
    assert all(generation.cancelled for generation in scheduler.submitted)


@pytest.mark.parametrize(("limit", "most"), [(None, 17), (5, 5), (99, 17), (0, 1)])
def test_an_answer_is_at_most_what_the_context_leaves(limit: int | None, most: int) -> None:
    scheduler = ScriptedScheduler(two_words)
    ask("POST", CHAT, chat(max_tokens=limit), scheduler=scheduler)
    assert scheduler.submitted[0].max_tokens == most


@pytest.mark.parametrize(
    ("path", "body", "status", "kind"),
    [
        (CHAT, chat(model="other"), 404, "model_not_found"),
        (CHAT, chat(messages=[]), 400, "invalid_request_error"),
        (COMPLETIONS, {"prompt": [[]]}, 400, "invalid_request_error"),
        (COMPLETIONS, {"prompt": [99]}, 400, "invalid_request_error"),
        (COMPLETIONS, {"prompt": [5], "echo": True}, 400, "invalid_request_error"),
        (COMPLETIONS, {"prompt": [5] * 20}, 400, "context_length_exceeded"),
        (COMPLETIONS, b"x" * (33 << 20), 413, "invalid_request_error"),
    ],
)
def test_a_request_that_cannot_be_served_says_why(
    path: str, body: object, status: int, kind: str
) -> None:
    reply = ask("POST", path, body)
    assert reply.status == status
    assert reply.body["error"]["type"] == kind
    assert reply.body["error"]["code"] == status


def test_a_full_queue_says_when_to_come_again() -> None:
    reply = ask("POST", CHAT, chat(), scheduler=ScriptedScheduler(two_words, full=True))
    assert reply.status == 429
    assert reply.headers[b"retry-after"] == b"7"


@pytest.mark.parametrize(("clients", "status"), [(True, 400), (False, 500)])
@pytest.mark.parametrize("stream", [True, False])
def test_a_failure_before_the_first_byte_is_a_status(
    clients: bool, status: int, stream: bool
) -> None:
    failure = GenerationFailure("no grammar", is_clients_fault=clients)

    def fails(generation: Generation) -> list[StepOutput]:
        return [StepOutput(generation, "", [], finish="error", failure=failure)]

    reply = ask("POST", CHAT, chat(stream=stream), script=fails)
    assert reply.status == status
    assert reply.body["error"]["message"] == "no grammar"


def test_a_later_failure_is_an_event_of_the_stream() -> None:
    failure = GenerationFailure("the engine broke")

    def breaks(generation: Generation) -> list[StepOutput]:
        return [
            StepOutput(generation, "one ", []),
            StepOutput(generation, "", [], finish="error", failure=failure),
        ]

    events = ask("POST", COMPLETIONS, {"prompt": "5", "stream": True}, script=breaks).events
    assert events[-1] == {"error": {"message": "the engine broke"}}


@pytest.mark.parametrize("stream", [True, False])
def test_a_client_that_leaves_ends_its_generation(stream: bool) -> None:
    scheduler = ScriptedScheduler(lambda _: [])
    reply = ask("POST", CHAT, chat(stream=stream), scheduler=scheduler, leaves=True)
    assert reply.status is None
    assert scheduler.submitted[0].cancelled
